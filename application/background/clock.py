"""The clock, a port so that the domain and the use cases can be tested at any instant."""

import datetime as dt
from typing import Protocol


class Clock(Protocol):
    """Our own clock. It is not Stripe's: versions are compared in Stripe's time only."""

    def now(self) -> dt.datetime:
        """The instant, aware UTC, in whole milliseconds."""
        ...
