"""The log of operations: the last one of each kind a Stripe account, as a checkpoint of its own."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from domain.operations import EXPIRY, Operation, OperationKind

_TASK: Final = "operation "
_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """An operation as it was saved last, and what proves that its holder has seen that."""

    operation: Operation
    checkpoint: Checkpoint


class OperationLog:
    """Keeps operations, so that they survive their process.

    Of two that change the same one at once, the second is refused: it must look again. Each save is
    a sign of life. Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    def __init__(self, checkpoints: Checkpoints, clock: Clock) -> None:
        self._checkpoints = checkpoints
        self._clock = clock
        self._taken_over_at = _NEVER

    async def find(self, stripe_account: str, kind: OperationKind) -> Kept | None:
        """The last operation of a kind, or None."""
        checkpoint = await self._checkpoints.load(stripe_account, f"{_TASK}{kind}")
        return _kept(checkpoint) if checkpoint.revision else None

    async def of(self, stripe_account: str) -> Sequence[Kept]:
        """The last operation of each kind that there was, by kind."""
        found = await self._checkpoints.of(stripe_account)
        return [_kept(one) for one in found if one.task.startswith(_TASK)]

    async def save(self, operation: Operation, seen: Kept | None) -> Kept:
        """Keep an operation in the place of the one that was seen (None: of none), durably.

        Raises Conflict, and writes nothing, where somebody else saved one since.
        """
        checkpoint = (
            seen.checkpoint
            if seen
            else Checkpoint(operation.stripe_account, f"{_TASK}{operation.kind}", 0)
        )
        told = replace(checkpoint, state=msgspec.to_builtins(operation))
        return Kept(operation, await self._checkpoints.save(told, now=self._clock.now()))

    async def is_elsewhere(self, operation: Operation) -> bool:
        """Whether the same work was seen alive a moment ago, for instance as part of catch-up.

        By its checkpoint, which is named by the kind: see `Work`.
        """
        checkpoint = await self._checkpoints.load(operation.stripe_account, operation.kind)
        saved_at = checkpoint.saved_at
        return saved_at is not None and abs(self._clock.now() - saved_at) < EXPIRY

    def take_over(self) -> None:
        """Know that whoever had an operation until now is not alive any more."""
        self._taken_over_at = self._clock.now()

    def is_free(self, kept: Kept) -> bool:
        """Whether any process may take it: nobody has it, or nobody alive."""
        now = self._clock.now()
        seen_at = kept.checkpoint.saved_at or now
        if seen_at <= self._taken_over_at:
            seen_at = _NEVER
        return kept.operation.is_free(seen_at, now)


def _kept(checkpoint: Checkpoint) -> Kept:
    return Kept(msgspec.convert(checkpoint.state, Operation), checkpoint)
