"""The machine's clock, where a test has to be ahead of it."""

import datetime as dt

from typing_extensions import override

from infrastructure.clock import SystemClock


class MovableClock(SystemClock):
    """The machine's clock, and `ahead` of it: leases and pauses before retries pass at once."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta()

    def set(self, second: int) -> None:
        """Let it be that second since 1970, from which it ticks on."""
        self.ahead = dt.datetime.fromtimestamp(second, dt.UTC) - super().now()

    @override
    def now(self) -> dt.datetime:
        return super().now() + self.ahead
