"""The emulator's clock: Stripe's time, which tests and the demo may move."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate


def wall_milliseconds() -> int:
    """Wall time in whole milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Clock:
    """Wall time plus an offset: it ticks with the wall between moves.

    `created`, `Date` and every expiry follow it; retries of deliveries and their signatures
    follow wall time, because the receiver checks those against its own clock.
    """

    def __init__(
        self, start: int | None = None, wall: Callable[[], int] = wall_milliseconds
    ) -> None:
        """Start at `start` (seconds since 1970), or at wall time."""
        self._wall = wall
        self._offset = 0
        self._held: int | None = None
        self._date = (-1, "")
        if start is not None:
            self.set(start)

    def now(self) -> int:
        """The emulator's time in whole seconds since 1970."""
        if self._held is not None:
            return self._held
        return (self._wall() + self._offset) // 1000

    @contextmanager
    def held(self, instant: int) -> Iterator[None]:
        """Let it be `instant` while what fell due then is done."""
        before, self._held = self._held, instant
        try:
            yield
        finally:
            self._held = before

    def set(self, instant: int) -> None:
        """Move to `instant`, seconds since 1970, forwards or backwards."""
        self._offset = instant * 1000 - self._wall()

    def advance(self, seconds: int) -> None:
        """Move by `seconds`; negative goes back."""
        self._offset += seconds * 1000

    def http_date(self) -> str:
        """The `Date` header (RFC 7231), formatted once a second."""
        now = self.now()
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True))
        return self._date[1]
