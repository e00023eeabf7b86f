"""Trying again what may succeed later, and telling who waits for what."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

from domain.back_off import BackOff
from domain.errors import BillingError, Conflict, RateLimited, Unavailable

R = TypeVar("R")

TRIES: Final = 6
FIRST_WAIT_SECONDS: Final = 1.0
LAST_WAIT_SECONDS: Final = 60.0

Sleep = Callable[[float], Awaitable[object]]

Hearing = Callable[[BillingError, float], None]
"""Hears for what is waited, and for how many seconds."""

_WAITS: Final = BackOff(FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS)
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
