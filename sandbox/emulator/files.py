"""Files (API reference, "Files"; docs, "File upload guide"): uploaded at their own address.

Stripe's second host, files.stripe.com, stands at `/files` here: an SDK is given it as the base
address of files. A file's `url` needs a key; what is to be public has a link.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from sandbox.emulator import file_links
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.nouns import Nested
from sandbox.emulator.core.params import Boolean, File, Hash, Integer, Metadata, OneOf
from sandbox.emulator.core.values import DAY_SECONDS, Download, JsonObject, Upload
from sandbox.emulator.core.verbs import listed, retrieve

BASE: Final = "/files"

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_DOCUMENTS: Final = ("jpg", "pdf", "png")
_PICTURES: Final = ("gif", "jpg", "png")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What files of a purpose may be (docs, "File upload guide").

    most: bytes. lasts: seconds until the file expires; None never does. downloadable: whether its
    contents are given out at all.
    """

    types: tuple[str, ...]
    most: int
    lasts: int | None = None
    downloadable: bool = True


PURPOSES: Final = {
    "account_requirement": Purpose(_DOCUMENTS, 16 * _MIB, downloadable=False),
    "business_icon": Purpose(_PICTURES, 512 * _KIB),
    "business_logo": Purpose(_PICTURES, 512 * _KIB),
    "customer_signature": Purpose(("jpg", "png", "svg"), 4 * _MIB, 7 * DAY_SECONDS),
    "dispute_evidence": Purpose(_DOCUMENTS, 5 * _MIB, 270 * DAY_SECONDS),
    "identity_document": Purpose(_DOCUMENTS, 16 * _MIB, downloadable=False),
}

_CREATE: Final = {
    "file": File(required=True),
    "file_link_data": Hash(
        fields={
            "create": Boolean(required=True),
            "expires_at": Integer(),
            "metadata": Metadata(),
        }
    ),
    "purpose": OneOf(values=tuple(PURPOSES), required=True),
}

_SIGNATURES: Final = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"%PDF-": "pdf",
    b"<svg": "svg",
}
_CONTENT_TYPES: Final = {
    "gif": "image/gif", "jpg": "image/jpeg", "pdf": "application/pdf", "png": "image/png",
    "svg": "image/svg+xml",
}  # fmt: skip


def _upload(call: Call) -> JsonObject:
    """Keep a file; its type is what its bytes say. The words of refusals are from memory."""
    upload: Upload = call.params["file"]
    name = call.params["purpose"]
    purpose = PURPOSES[name]
    kind = _type(upload.content)
    if len(upload.content) > purpose.most:
        raise invalid(f"The file is larger than the {purpose.most} bytes of {name}.", "file")
    if kind not in purpose.types:
        raise invalid(f"A file of {name} is one of {', '.join(purpose.types)}.", "file")
    link = call.params.get("file_link_data", {})
    file_links.check_expiry(call, link.get("expires_at"), "file_link_data[expires_at]")
    made = call.add(
        NOUN,
        {
            "content": upload.content,
            "expires_at": None if purpose.lasts is None else call.now + purpose.lasts,
            "filename": PurePath(upload.filename).name,
            "purpose": name,
            "size": len(upload.content),
            "type": kind,
        },
    )
    url = f"{call.address}{BASE}/v1/files/{made['id']}/contents"
    call.change(made, {"url": url})
    if link.get("create", False):
        file_links.new(call.on("file_link", {**link, "file": made["id"]}))
    return call.seen(made)


def _type(content: bytes) -> str:
    found = (kind for signature, kind in _SIGNATURES.items() if content.startswith(signature))
    return next(found, "")


def contents(call: Call, file: JsonObject) -> Download:
    """The bytes of a file, as long as it lasts and if its purpose lets it out."""
    if file["expires_at"] is not None and file["expires_at"] <= call.now:
        raise call.missing(NOUN, file["id"], "id", 404)
    if not PURPOSES[file["purpose"]].downloadable:
        raise invalid(f"A file of {file['purpose']} cannot be downloaded.")
    return Download(file["content"], _CONTENT_TYPES[file["type"]])


def _linked(call: Call, link: JsonObject) -> Download:
    return contents(call, call.find("file", link["file"], "id"))


def _view(file: JsonObject, _: int) -> JsonObject:
    return {name: value for name, value in file.items() if name != "content"}


NOUN: Final = Noun(
    object="file",
    title="file",
    collection="files",
    prefix="file",
    stamps_mode=False,
    fields={
        "content": b"",
        "expires_at": None,
        "filename": None,
        "purpose": "",
        "size": 0,
        "title": None,
        "type": None,
        "url": None,
    },
    view=_view,
    nested={"links": Nested("file_link", "file", "/v1/file_links?file={id}")},
    actions=(
        Action("POST", f"{BASE}/v1/files", _CREATE, _upload),
        Action("GET", f"{BASE}/v1/files/{{id}}/contents", {}, Call.target, sends=contents),
        Action(
            "GET",
            f"{BASE}/links/{{id}}",
            {},
            file_links.of_token,
            keyless=file_links.scope_of,
            sends=_linked,
        ),
        retrieve(),
        listed({"purpose": Filter(OneOf(values=tuple(PURPOSES)))}),
    ),
)
