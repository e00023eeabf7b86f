"""Checkpoints: how far each piece of long work has come."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the work `task` on a Stripe account has come.

    `state` is plain JSON data of the task's own. `revision` grows by one with each save; 0 is a
    checkpoint that was never saved. `saved_at` is by our clock.
    """

    stripe_account: str
    task: str
    revision: int
    state: Mapping[str, Any] = field(default_factory=dict)
    saved_at: dt.datetime | None = None


class Checkpoints(Protocol):
    """Keeps one checkpoint a Stripe account and task.

    The boundary is here so that long work survives its process. Whoever saves must have seen the
    last save: of two processes at the same work the later one goes on and the other one learns it
    at its next save. Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def load(self, stripe_account: str, task: str) -> Checkpoint:
        """The checkpoint; one of revision 0 and without state where none was saved."""
        ...

    async def save(self, checkpoint: Checkpoint, *, now: dt.datetime) -> Checkpoint:
        """Replace the checkpoint of the revision given, atomically and durably; it as it now is.

        Raises Conflict (REQUEST_IN_FLIGHT), and writes nothing, where somebody else saved since.
        """
        ...

    async def forget(self, stripe_account: str, *, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` checkpoints of a Stripe account last saved before an instant.

        Returns how many. Whoever has loaded one of them may save it no more, unless it is made anew
        meanwhile: so only for what nobody can still be at.
        """
        ...

    async def of(self, stripe_account: str) -> Sequence[Checkpoint]:
        """All checkpoints of a Stripe account, by task."""
        ...
