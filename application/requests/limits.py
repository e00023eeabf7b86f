"""What keeps one caller from taking what all share: how often it calls, and how many at once.

All of it is this process's own: with several processes each allows as much.
"""

import asyncio
import math
from collections import OrderedDict, deque
from typing import Final

from application.requests.allowances import Allowance
from domain.errors import RateLimited, Reason

BURST_SECONDS: Final = 5
"""So many seconds' worth of calls may come at once."""

HEAVIEST: Final = 5
MAX_BUCKETS: Final = 10_000

_Key = tuple[str, str]


class TokenBuckets:
    """A token bucket for each key, such as a caller and an account. Bounded: what rested longest,
    and so is full nearly always, makes room."""

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[_Key, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: _Key, per_second: int, weight: int, now: float) -> None:
        """Take as much as a call weighs, at a time in seconds of any clock that only goes forward.

        Raises RateLimited (CALLER_LIMITED), which says when there is enough again.
        """
        full = max(per_second * BURST_SECONDS, HEAVIEST)
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room()
            level = float(full)
        else:
            level = min(full, bucket[0] + (now - bucket[1]) * per_second)
            self._buckets.move_to_end(key)
        if level < weight:
            self._buckets[key] = level, now
            wait = math.ceil((weight - level) / per_second)
            raise _limited("calls too often", max(1, wait))
        self._buckets[key] = level - weight, now

    def _make_room(self) -> None:
        while len(self._buckets) >= self._max_buckets:
            self._buckets.popitem(last=False)


class FairShare:
    """So many calls at once, of which no caller takes over half while another one waits.

    A caller alone may take all of it. Once all is taken, who has less than half waits a moment for
    what becomes free, in the order of arrival, and who has half or more is refused.
    """

    def __init__(self, most: int, *, patience_seconds: float = 1.0) -> None:
        self._most = most
        self._half = max(1, most // 2)
        self._patience_seconds = patience_seconds
        self._max_waiting = waiting_room(most)
        self._running: dict[str, int] = {}
        self._total = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    def enter(self, caller: str) -> "asyncio.Future[None] | None":
        """Take a place; where one has to be waited for, what to hand to `wait`.

        Raises RateLimited: CALLER_LIMITED where others need what is left, else OVERLOADED.
        """
        running = self._running.get(caller, 0)
        if self._total < self._most:
            self._running[caller] = running + 1
            self._total += 1
            return None
        if running >= self._half:
            if running < self._total or self._waiting:
                raise _limited("has too many calls at once beside others", 1)
            raise _overloaded()
        if len(self._waiting) >= self._max_waiting:
            raise _overloaded()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((caller, place))
        return place

    async def wait(self, caller: str, place: "asyncio.Future[None]") -> None:
        """Wait for the place. Raises RateLimited (OVERLOADED) where it does not become free."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            if place.done() and not place.cancelled():
                self.leave(caller)  # it was given in the same moment
            self._waiting = deque(entry for entry in self._waiting if entry[1] is not place)
            if isinstance(error, TimeoutError):
                raise _overloaded() from None
            raise

    def leave(self, caller: str) -> None:
        """Give a place back, to the first of those who wait, if there are any."""
        self._count(caller, -1)
        self._total -= 1
        while self._waiting and self._total < self._most:
            heir, place = self._next()
            if not place.done():
                self._count(heir, 1)
                self._total += 1
                place.set_result(None)

    def _next(self) -> "tuple[str, asyncio.Future[None]]":
        """Take out the first of those who wait and have less than half, else the first."""
        for number, (caller, _) in enumerate(self._waiting):
            if self._running.get(caller, 0) < self._half:
                entry = self._waiting[number]
                del self._waiting[number]
                return entry
        return self._waiting.popleft()

    def _count(self, caller: str, change: int) -> None:
        running = self._running.get(caller, 0) + change
        if running:
            self._running[caller] = running
        else:
            del self._running[caller]


class OpenStreams:
    """How many streams each caller has open."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def open(self, caller: str, allowance: Allowance) -> None:
        """Count one more. Raises RateLimited (CALLER_LIMITED) above the caller's allowance."""
        count = self._open.get(caller, 0)
        if count >= allowance.streams:
            raise _limited("has as many streams open as it may", 1)
        self._open[caller] = count + 1

    def close(self, caller: str) -> None:
        """Count one less."""
        count = self._open[caller] - 1
        if count:
            self._open[caller] = count
        else:
            del self._open[caller]


def waiting_room(most: int) -> int:
    """How many may wait where so many are served at once."""
    return max(1, most // 10)


def _limited(words: str, seconds: int) -> RateLimited:
    return RateLimited(
        Reason.CALLER_LIMITED, f"the caller {words}", retry_after_seconds=min(seconds, 60)
    )


def _overloaded() -> RateLimited:
    return RateLimited(Reason.OVERLOADED, "too many calls at once", retry_after_seconds=1)
