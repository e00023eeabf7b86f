"""Time that passes when a test says so: a clock and the sleeps that follow it."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from tests.support.fakes.stores import FakeClock

TURNS: Final = 300
"""How often everybody gets his turn between two instants at most: fakes need far fewer."""

_STEPS: Final = 5_000


class VirtualTime:
    """A clock whose sleepers wake in order, each when its time has come."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.slept: list[float] = []
        self._due: list[tuple[dt.datetime, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Instead of `asyncio.sleep`."""
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due.append((self.clock.now() + dt.timedelta(seconds=seconds), woken))
        await woken

    async def settle(self) -> None:
        """Let everybody go on until he waits for time to pass."""
        loop: Any = asyncio.get_running_loop()
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if not loop._ready:  # nobody else has anything to do
                return

    async def elapse(self, seconds: float) -> None:
        """Let so much time pass, with all that happens meanwhile."""
        end = self.clock.now() + dt.timedelta(seconds=seconds)
        await self.settle()
        for _ in range(_STEPS):
            due = [at for at, woken in self._due if at <= end and not woken.done()]
            if not due:
                self._move(end)
                return
            self._move(min(due))
            self._wake()
            await self.settle()
        raise AssertionError("somebody sleeps without end in no time")

    async def until(self, holds: Callable[[], object], seconds: float = 3_600) -> None:
        """Let time pass until something holds, a quarter of a second at a time."""
        end = self.clock.now() + dt.timedelta(seconds=seconds)
        await self.settle()
        while not holds():
            assert self.clock.now() < end, f"not within {seconds} s"
            await self.elapse(0.25)

    def _move(self, to: dt.datetime) -> None:
        self.clock.instant = max(self.clock.instant, to)

    def _wake(self) -> None:
        """Wake whose time has come, and forget who does not sleep any more."""
        now = self.clock.now()
        asleep = [(at, woken) for at, woken in self._due if not woken.done()]
        self._due = [(at, woken) for at, woken in asleep if at > now]
        for at, woken in asleep:
            if at <= now:
                woken.set_result(None)
