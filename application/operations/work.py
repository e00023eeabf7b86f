"""Long work: what a capability declares to have it carried out as an operation."""

import datetime as dt
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from domain.operations import Operation, OperationKind, OperationProgress


@dataclass(frozen=True, slots=True)
class Step:
    """Where the work has come to; at the end of a comparison with the id of its report."""

    progress: OperationProgress
    report_id: str = ""


class Work(Protocol):
    """What is done in an operation of one kind, for example a backfill.

    `Operations` starts, resumes and ends it, tells of it, and sees to it that a Stripe account has
    one of a kind at a time; it knows no kind. `bootstrap` gives it one work a kind.

    The process may die between any two calls of a port, also another's in the middle of the work
    just when this one takes over. So each method may be repeated, and cut off, at any point. What
    was done is kept in the account's checkpoint that is named by the kind: by its age `Operations`
    knows that the same work is being done elsewhere, for instance as part of catch-up.

    Every method raises Unavailable, RateLimited and Conflict for what is worth another try later,
    and another error of Billing's for what no waiting mends: the operation has then failed.
    """

    kind: ClassVar[OperationKind]
    """The kind of the operations that it carries out."""

    async def prepare(self, operation: Operation) -> None:
        """Do what is needed once, before the first step. Repeated where its end was not kept."""
        ...

    def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        """Begin, or go on where it was cut off, to the end; tells of each step. Close it.

        Raises Conflict (REQUEST_IN_FLIGHT) where another run has taken over.
        """
        ...

    async def report(self, operation: Operation) -> str:  # noqa: ARG002 - for those that have one
        """The id of the operation's report, where it is there already; otherwise nothing.

        It is, where the last process has kept it and did not live to say so. No step follows then.
        """
        return ""

    async def tidy(self, operation: Operation) -> None:  # noqa: ARG002 - for those that leave some
        """Remove what an operation that is over leaves behind, for instance a second store.

        Where that fails, the next operation of its kind removes it as it prepares.
        """
        return


class Meter:
    """Measures how fast a phase goes, since its first step in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phase = ""
        self._count = 0
        self._since = clock.now()

    def of(self, progress: OperationProgress) -> OperationProgress:
        """The progress with its rate."""
        if progress.phase != self._phase:
            self._phase, self._count = progress.phase, progress.read
            self._since = self._clock.now()
        seconds = (self._clock.now() - self._since) / dt.timedelta(seconds=1)
        rate = (progress.read - self._count) / seconds if seconds > 0 else 0.0
        return replace(progress, rate=rate)


async def begin_anew(checkpoints: Checkpoints, operation: Operation, clock: Clock) -> None:
    """Empty the checkpoint of an operation's work, whatever an earlier operation has done of it."""
    checkpoint = await checkpoints.load(operation.stripe_account, operation.kind)
    if checkpoint.state:
        await checkpoints.save(replace(checkpoint, state={}), now=clock.now())
