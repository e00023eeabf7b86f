"""Walking a list of Stripe's to its end: one page ahead, patient, and never endless."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

from application.background.retries import Retries
from application.mirror.lists import Page, Place
from domain.errors import Reason, Unavailable

E = TypeVar("E")
MAX_PAGES: Final = 1_000_000


async def walk(
    read: Callable[[Place], Awaitable[Page[E]]], place: Place, retries: Retries
) -> AsyncGenerator[Page[E], None]:
    """The pages from a place to the list's end; the next is read while one is worked on.

    Ends only where Stripe said that there is no more; raises otherwise. Close it (`aclosing`), so
    that no request stays under way.
    """

    def begin(at: Place) -> "asyncio.Future[Page[E]]":
        return asyncio.ensure_future(retries(lambda: read(at)))

    ahead = begin(place)
    try:
        for _ in range(MAX_PAGES):
            page = await ahead
            if page.next is None:
                yield page
                return
            if page.next == place:
                break
            place = page.next
            ahead = begin(place)
            yield page
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
    raise Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe's list does not come to an end")
