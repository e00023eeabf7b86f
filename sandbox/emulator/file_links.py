"""File links (API reference, "File Links"): public addresses of files, until they expire."""

import base64
import binascii
from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Integer, Metadata, Reference, Text, merged_metadata
from sandbox.emulator.core.values import JsonObject, Scope
from sandbox.emulator.core.verbs import listed, retrieve

_LINKED: Final = ("business_icon", "business_logo", "customer_signature", "dispute_evidence")
"""The purposes whose files can be linked, of those that can be uploaded here."""

_CREATE: Final = {
    "expires_at": Integer(),
    "file": Reference(noun="file", required=True),
    "metadata": Metadata(),
}

_UPDATE: Final = {"expires_at": Text(clearable=True), "metadata": Metadata()}


def new(call: Call) -> JsonObject:
    """A link to the file that the parameters name; ApiError 400 where its purpose has none."""
    params = call.params
    file = call.find("file", params["file"], "file")
    if file["purpose"] not in _LINKED:
        raise invalid(f"Files of {file['purpose']} cannot be linked.", "file")
    check_expiry(call, params.get("expires_at"), "expires_at")
    token = _token(call)
    return call.add(
        NOUN,
        {
            "expires_at": params.get("expires_at"),
            "file": file["id"],
            "metadata": merged_metadata({}, params.get("metadata")),
            "token": token,
            "url": f"{call.address}/files/links/{token}",
        },
    )


def check_expiry(call: Call, instant: int | None, param: str) -> None:
    """ApiError 400 for an end in the past."""
    if instant is not None and instant <= call.now:
        raise invalid("`expires_at` must be in the future.", param)


def scope_of(token: str) -> Scope | None:
    """Whose link a token is, as it says itself; None for what is no token."""
    try:
        padded = token + "=" * (-len(token) % 4)
        account, mode, _ = base64.urlsafe_b64decode(padded).decode().split("|")
    except (ValueError, binascii.Error):
        return None
    return Scope(account, mode == "live")


def of_token(call: Call) -> JsonObject:
    """The link of the token in the path; 404 once it is expired."""
    found = call.shelf(NOUN).walk(("token", call.id), (None, None), None, None)
    link = next(iter(found), None)
    if link is None or _expired(link, call.now):
        raise ApiError(404, "This file link is expired, or there never was one.")
    return link


def _token(call: Call) -> str:
    mode = "live" if call.scope.livemode else "test"
    plain = f"{call.scope.account}|{mode}|{call.world.ids.text(24)}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _update(call: Call) -> JsonObject:
    link, params = call.target(), call.params
    if _expired(link, call.now):
        raise invalid("Expired links can no longer be updated.")
    patch: JsonObject = {}
    if "metadata" in params:
        patch["metadata"] = merged_metadata(link["metadata"], params["metadata"])
    if "expires_at" in params:
        patch["expires_at"] = _end(call, params["expires_at"])
    return call.seen(call.change(link, patch))


def _end(call: Call, given: str | None) -> int | None:
    if given == "now":
        return call.now
    if given is None:
        return None
    instant: int = Integer().read(given, "expires_at")
    check_expiry(call, instant, "expires_at")
    return instant


def _expired(link: JsonObject, now: int) -> bool:
    return link["expires_at"] is not None and link["expires_at"] <= now


def _view(link: JsonObject, now: int) -> JsonObject:
    shown = {name: value for name, value in link.items() if name != "token"}
    return {**shown, "expired": _expired(link, now)}


NOUN: Final = Noun(
    object="file_link",
    title="file link",
    collection="file_links",
    prefix="link",
    fields={
        "expired": False,
        "expires_at": None,
        "file": "",
        "metadata": {},
        "token": "",
        "url": None,
    },
    view=_view,
    indexed=("file", "token"),
    expandable=frozenset({"file"}),
    actions=(
        Action("POST", "", _CREATE, lambda call: call.seen(new(call))),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        listed({"file": Filter(Text())}),
    ),
)
