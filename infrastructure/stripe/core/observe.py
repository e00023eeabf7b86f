"""Objects of any mirrored noun, as Stripe's answers show them: whole, with the time of it."""

from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from domain.errors import InvalidArgument, NotFound, NotUnderstood, Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot, Version
from infrastructure.stripe.core.client import Answer, Request, StripeApi
from infrastructure.stripe.core.shapes import Gone, NestedList, ShapeT, Translation

T = TypeVar("T", bound=MirroredObject)

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 100
"""How many pages of a nested list are read: no invoice has ten thousand lines."""


async def observe(
    api: StripeApi,
    request: Request,
    translation: Translation[T, ShapeT],
    *,
    not_before_ms: int | None = None,
    owner: str = "",
) -> Snapshot[T]:
    """Read one object, nested lists to their end, and give the observation that it makes.

    `owner` is whose it is, where that is not the account on whose behalf the request is sent.
    Where it took several answers, the version spans them all: what changed between them lies
    within it, so that the event of the change has the object read again.
    """
    account = owner or request.stripe_account
    answer = await api.request(request)
    version = answer.version(not_before_ms=not_before_ms)
    if answer.missing:
        return Snapshot(account, request.subject.id, version, None)
    found = api.understand(answer, request, translation.decode)
    if isinstance(found, Gone):
        return Snapshot(account, found.id, version, None)
    shape = found
    for name, nested in translation.cut_short(found).items():
        elements, last = await _read_to_end(api, request, translation, name, nested)
        shape = msgspec.structs.replace(shape, **{name: NestedList(data=elements)})
        version = _spanning(version, last.version(not_before_ms=not_before_ms))
    return api.understand(answer, request, lambda _: translation.snapshot(shape, account, version))


async def _read_to_end(
    api: StripeApi,
    request: Request,
    translation: Translation[T, ShapeT],
    name: str,
    nested: NestedList[Any],
) -> tuple[list[Any], Answer]:
    """All elements of a nested list, and the last answer.

    From the start: the beginning in hand need not be in the order of the list's own pages. Raises
    Unavailable where it changed meanwhile, NotUnderstood where it has no end that can be reached.
    """
    path, _, query = nested.url.partition("?")
    if not path.startswith("/v1/"):
        raise _not_understood(request, f"{name}: has no address")
    params: dict[str, object] = {**dict(parse_qsl(query)), "limit": PAGE_SIZE}
    elements: list[Any] = []
    for _ in range(MAX_PAGES):
        page = Request(
            "get",
            path,
            request.subject,
            request.stripe_account,
            params=params,
            priority=request.priority,
        )
        try:
            answer = await api.request(page)
        except (NotFound, InvalidArgument):  # the object, or the element where a page ended
            words = "a nested list changed while it was read"
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, words) from None
        told = api.understand(answer, page, lambda body: translation.decode_nested(name, body))
        elements += told.data
        if not told.has_more:
            return elements, answer
        if not told.data:
            break
        params = {**params, "starting_after": told.data[-1].id}
    raise _not_understood(request, f"{name}: has no end")


def _spanning(first: Version, last: Version) -> Version:
    """The version of what was read from a first answer to a last one."""
    return replace(
        first,
        low=min(first.low, last.low),
        high=max(first.high, last.high),
        known_at=last.known_at,
    )


def _not_understood(request: Request, why: str) -> NotUnderstood:
    return NotUnderstood(request.subject.noun, request.subject.id, why)
