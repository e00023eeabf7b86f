"""Walking a list of Stripe's to its end: one page ahead, patient, and never endless."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

from application.ports.listing import Page, Place
from domain.back_off import BackOff
from domain.errors import BillingError, Conflict, RateLimited, Reason, Unavailable

E = TypeVar("E")
R = TypeVar("R")

MAX_PAGES: Final = 1_000_000
TRIES: Final = 6
FIRST_WAIT_SECONDS: Final = 1.0
LAST_WAIT_SECONDS: Final = 60.0
_WAITS: Final = BackOff(FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS)

Sleep = Callable[[float], Awaitable[object]]

Hearing = Callable[[BillingError, float], None]
"""Hears for what is waited, and for how many seconds."""

_hearing: ContextVar[Hearing | None] = ContextVar("hearing", default=None)


def hear_waits(hearing: Hearing) -> None:
    """Let `hearing` be told of every pause between tries, in this task and those that it begins."""
    _hearing.set(hearing)


class Retries:
    """Tries again what may succeed later: a full budget, a cut answer, a store that is away.

    The gateway has its own, shorter, patience within each try. What is still refused after the last
    one is raised: the work is then unfinished, and goes on from its checkpoint.
    """

    def __init__(self, *, tries: int = TRIES, sleep: Sleep = asyncio.sleep) -> None:
        self._tries = tries
        self._sleep = sleep

    async def __call__(self, action: Callable[[], Awaitable[R]]) -> R:
        """What the action gives. Raises what it raised last, and at once what no wait can mend."""
        for retries in range(self._tries - 1):
            try:
                return await action()
            except (RateLimited, Unavailable, Conflict) as error:
                told = error.retry_after_seconds if isinstance(error, RateLimited) else 0
                pause = min(max(_WAITS.longest(retries), float(told)), LAST_WAIT_SECONDS)
                if hearing := _hearing.get():
                    hearing(error, pause)
            await self._sleep(pause)
        return await action()


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
