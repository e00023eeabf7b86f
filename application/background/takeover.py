"""Taking over: what processes that have ended still hold becomes free at once."""

import datetime as dt
from typing import Protocol


class Takeover(Protocol):
    """Ends every lease on the store, whoever has it.

    The boundary is here because only some stores know that nobody else is at work on them: where
    others may be, a lease has to end by itself. So it is for a process that has the store for
    itself, before it takes a lease of its own.
    """

    async def end_leases(self, *, now: dt.datetime) -> int:
        """Make due at `now` what is held: open mutations, processes, pending events and jobs.

        Returns how many those were. Atomic and durable; what was given back before stays as it is.
        Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...
