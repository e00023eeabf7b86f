"""Loops: what runs beside calls, again and again, for as long as the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from secrets import SystemRandom
from typing import Any, Final

from application.background.outages import Outage
from application.background.retries import Sleep
from domain.back_off import BackOff
from domain.errors import BillingError

_log = logging.getLogger(__name__)
_random = SystemRandom()


class Paused(Exception):
    """Raised by work that has logged itself for what it waits: the loop only backs off."""


class Loop:
    """Does one piece of work at once, and again after each rest, until it is stopped or cancelled.

    No failure ends it. What the work waits for (a BillingError) is told as an outage, a line a
    change; anything else that it raises is a defect, logged each time.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        interval_seconds: float | Callable[[], float],
        *,
        wake: asyncio.Event | None = None,
        gather: Callable[[], Awaitable[None]] | None = None,
        back_off: BackOff | None = None,
        at_end: Callable[[], Awaitable[None]] | None = None,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = _random.random,
    ) -> None:
        """`name` begins its log lines, as in "catch-up waits".

        It rests for `interval_seconds`, or until `wake` is set, which is cleared before the work
        begins, so that what comes meanwhile wakes it again. Where there is `gather`, that is
        awaited instead, to let more come first, and has to clear it. After a failure it rests as
        `back_off` says, whatever is set; without one, as after a success. `at_end` is awaited once,
        however the loop ends. `chance` gives numbers of [0, 1).
        """
        self.name: Final = name
        self._work = work
        self._interval_seconds = interval_seconds
        self._wake = wake
        self._gather = gather
        self._back_off = back_off
        self._at_end = at_end
        self._sleep = sleep
        self._chance = chance
        self._stopping = asyncio.Event()
        self._waiting = Outage(_log, f"{name} waits", f"{name} goes on")

    @property
    def stopping(self) -> bool:
        """Whether the work, where it has parts, is to begin no further one."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Let `run` return once the work in hand is done. For good, also before it was begun."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped or cancelled; what is in hand is finished in the first case only."""
        failures = 0
        try:
            while not self.stopping:
                failures = 0 if await self._succeeds() else failures + 1
                await self._rest(failures)
        finally:
            if self._at_end is not None:
                await self._at_end()

    async def _succeeds(self) -> bool:
        """Do the work once, and tell what came of it; whether it was done."""
        try:
            await self._take_the_wake()
            await self._work()
        except Paused:
            return False
        except BillingError as error:
            self._waiting.waits(error)
            return False
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            _log.exception("%s failed", self.name)  # what it awaited was cancelled, not the loop
            return False
        except Exception:  # noqa: BLE001 - a defect must not end what the service needs
            _log.exception("%s failed", self.name)
            return False
        self._waiting.answered()
        return True

    async def _rest(self, failures: int) -> None:
        """Wait until the next round is due, or the loop is stopped."""
        if failures and self._back_off is not None:
            pause = self._back_off.pause(failures - 1, self._chance())
            await self._wait(pause, self._stopping)
        elif self._wake is None:
            await self._wait(self._interval(), self._stopping)
        else:
            await self._wait(self._interval(), self._stopping, self._wake)

    async def _take_the_wake(self) -> None:
        if self._gather is not None:
            await self._gather()
        elif self._wake is not None:
            self._wake.clear()

    def _interval(self) -> float:
        interval = self._interval_seconds
        return interval() if callable(interval) else interval

    async def _wait(self, seconds: float, *events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        await first_of([asyncio.ensure_future(self._sleep(seconds)), *waits])


class RunningLoops:
    """Loops at work, each in a task of its own."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        """Begin them all. Needs a running event loop."""
        self._tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]

    async def finish(self, seconds: float) -> None:
        """Wait until all have ended, which have been stopped, at most so long; then cut the late.

        What is cut is left to the next process, or to another one.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.cut()

    async def cut(self) -> None:
        """Cancel all that have not ended, and wait until they have."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def first_of(waits: "Sequence[asyncio.Future[Any]]") -> None:
    """Wait for one of them, and give the others up."""
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
