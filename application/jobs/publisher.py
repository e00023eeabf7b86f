"""What carries jobs to their consumers."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.jobs import Job


class QueueUnavailable(Exception):
    """The queue does not answer. No caller ever sees it: jobs wait in the outbox meanwhile.

    Its text is for the log: the cause and the address, without credentials.
    """


class Publisher(Protocol):
    """Hands jobs over, at least once.

    The boundary is here because a deployment has a message stream or, embedded, none. Order is not
    promised; consumers drop repeats by the job's id.
    """

    async def open(self) -> None:
        """Connect, and make or check what jobs are handed to. Repeatable; one that is open stays.

        Raises QueueUnavailable where it does not answer within a bound, or has gone meanwhile;
        FailedPrecondition where what is there does not keep the promises that jobs need.
        """
        ...

    async def publish(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """Hand jobs over, many at once, each within a bound.

        Returns why, by id, those failed that nobody has confirmed to have; each of the others has
        been accepted for good. A failed one may have arrived all the same.

        Raises QueueUnavailable where none can be handed over now.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Repeatable."""
        ...
