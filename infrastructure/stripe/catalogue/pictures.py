"""Pictures: files at Stripe that do not expire, and public links to them.

A file's own address needs a key; that of a link does not (docs, "File upload guide"; API reference,
"Files", "File Links"). Files bear no metadata: the link that is made with one bears the tag.
"""

import datetime as dt
from functools import partial
from typing import Final, final

import msgspec
from typing_extensions import override

from application.catalogue.ports import PictureGateway, PictureKey, PictureLink
from application.mutations.stripe import REQUEST_TAG, Call
from domain.errors import FailedPrecondition, InvalidArgument
from infrastructure.stripe.core.client import Request, StripeApi, segment
from infrastructure.stripe.core.elements import read_elements
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.send import after_sending, created_since, tagged
from infrastructure.stripe.core.shapes import Metadata

_LINKS: Final = "/v1/file_links"
_FILES: Final = "/v1/files"
_PURPOSE: Final = "business_logo"


@final
class _Link(msgspec.Struct, frozen=True, gc=False):
    id: str
    url: str | None = None
    expired: bool = False
    metadata: Metadata = msgspec.UNSET


@final
class _Links(msgspec.Struct, frozen=True, gc=False):
    data: list[_Link]


@final
class _File(msgspec.Struct, frozen=True, gc=False):
    links: _Links


_FILE: Final = msgspec.json.Decoder(_File)
_LINK: Final = msgspec.json.Decoder(_Link)


class StripePictures(PictureGateway):
    """Pictures of products, of the purpose `business_logo`."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def upload(self, call: Call, params: PictureKey, content: bytes) -> PictureLink:
        link = {"create": "true", "metadata": {REQUEST_TAG: call.tag}}
        request = Request(
            "post",
            _FILES,
            Subject("file"),
            call.stripe_account,
            params={"purpose": _PURPOSE, "file_link_data": link},
            idempotency_key=call.idempotency_key,
            file=content,
        )
        answer = await self._api.request(request)
        return self._api.understand(answer, request, _uploaded)

    @override
    async def find_uploaded(
        self, call: Call, params: PictureKey, sent_at: dt.datetime
    ) -> PictureLink | None:
        request = Request(
            "get", _LINKS, Subject("file_link"), call.stripe_account,
            params={"created": created_since(sent_at)},
        )  # fmt: skip
        decode = partial(read_elements, read=_LINK.decode)
        async for elements, _ in self._api.pages(request, decode):
            if (link := tagged(elements, call.tag)) is not None:
                return _picture_link(link)
        return None

    @override
    async def expire(self, call: Call, params: PictureLink) -> PictureLink:
        path = f"{_LINKS}/{segment('file_link', params.id)}"
        subject = Subject("file_link", params.id)
        request = Request.change(call, path, subject, {"expires_at": "now"})
        try:
            await self._api.request(request)
        except (FailedPrecondition, InvalidArgument):
            with after_sending():
                ended = await self._ended(call, params)
            if ended is None:
                raise
        return params

    @override
    async def find_expired(
        self, call: Call, params: PictureLink, sent_at: dt.datetime
    ) -> PictureLink | None:
        return await self._ended(call, params)

    async def _ended(self, call: Call, link: PictureLink) -> PictureLink | None:
        """The link, where Stripe shows that it has ended."""
        path = f"{_LINKS}/{segment('file_link', link.id)}"
        request = Request("get", path, Subject("file_link", link.id), call.stripe_account)
        answer = await self._api.request(request)
        shown = self._api.understand(answer, request, _LINK.decode)
        return link if shown.expired else None


def _uploaded(body: str) -> PictureLink:
    """The link that was made with a file. ValueError where there is none."""
    links = _FILE.decode(body).links.data
    if not links:
        raise ValueError("links: there is none")
    return _picture_link(links[0])


def _picture_link(link: _Link) -> PictureLink:
    if link.url is None:
        raise ValueError("url: is missing")
    return PictureLink(link.id, link.url)
