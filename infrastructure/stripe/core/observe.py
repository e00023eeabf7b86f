"""Objects of any mirrored noun, as Stripe's answers show them: whole, with the time of it."""

from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from application.mirror.lists import Place
from domain.errors import InvalidArgument, NotFound, NotUnderstood, Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot, Version
from infrastructure.stripe.core.client import Answer, Request, StripeApi, TooManyPages
from infrastructure.stripe.core.shapes import Gone, NestedList, ShapeT, Translation

T = TypeVar("T", bound=MirroredObject)


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
    shown = api.understand(answer, request, translation.decode)
    if isinstance(shown, Gone):
        return Snapshot(account, shown.id, version, None)
    shape = shown
    for name, nested in translation.cut_short(shown).items():
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
    start = Request(
        "get",
        path,
        request.subject,
        request.stripe_account,
        params=dict(parse_qsl(query)),
        priority=request.priority,
    )
    try:
        pages = [page async for page in api.pages(start, partial(_page, translation, name))]
    except (NotFound, InvalidArgument):  # the object, or the element where a page ended
        words = "a nested list changed while it was read"
        raise Unavailable(Reason.STRIPE_UNAVAILABLE, words) from None
    except TooManyPages:
        raise _not_understood(request, f"{name}: has no end") from None
    _, last = pages[-1]
    return [element for elements, _ in pages for element in elements], last


def _page(
    translation: Translation[T, ShapeT], name: str, body: str
) -> tuple[list[Any], Place | None]:
    """A page of a nested list, and where the list goes on. ValueError where nothing tells that."""
    nested = translation.decode_nested(name, body)
    if not nested.has_more:
        return nested.data, None
    if not nested.data:
        raise ValueError(f"{name}: has no end")
    return nested.data, Place(after=nested.data[-1].id)


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
