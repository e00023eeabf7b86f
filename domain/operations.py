"""Operations: long work on a Stripe account that is started, watched and cancelled."""

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from domain.oddities import Oddities

EXPIRY: Final = dt.timedelta(seconds=60)
"""After how long without a sign of life a running operation may be taken over."""

ID_CHARACTERS: Final = 12
"""An operation's id has so many hexadecimal digits. A rebuild's names the shadow that it fills."""

MAX_TAKEOVERS: Final = 100
"""How many processes an operation may lose: it may be what ends them."""


class OperationKind(StrEnum):
    """What is done. Of each kind a Stripe account has one operation at a time."""

    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    REBUILD = "rebuild"
    LINK_CONTACTS = "link_contacts"
    PROOF = "proof"
    REBUILD_FACTS = "rebuild_facts"


MIRROR_KINDS: Final = (
    OperationKind.BACKFILL,
    OperationKind.RECONCILE,
    OperationKind.REBUILD,
    OperationKind.PROOF,
    OperationKind.REBUILD_FACTS,
)
"""The kinds that are work on the mirror and on what follows from it: an operator's business."""


class OperationState(StrEnum):
    """Where an operation stands. The last three are for good.

    PENDING waits for a process that has room; RUNNING is in the hands of one, also while it waits
    for Stripe or the store.
    """

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDS: Final = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED)


@dataclass(frozen=True, slots=True)
class OperationOptions:
    """How it is done. `restart`: a backfill begins anew. `repair`: a reconciliation mends.

    `account` is the one whose contacts are linked.
    """

    restart: bool = False
    repair: bool = False
    account: str = ""

    @property
    def words(self) -> str:
        """The options for people to read."""
        chosen = [name for name in ("restart", "repair") if getattr(self, name)]
        return f"with {' and '.join(chosen)}" if chosen else "without options"


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """How far it has come.

    `phase` is what it does now: `read` objects of Stripe's, `compare` them with the mirror,
    `replay` kept events, `swap` a rebuilt mirror in, `link` customers to contacts, `prove` the
    books, `post` facts that differ (then `changed` counts those that were posted). `noun` is the
    one in work, `nouns_done` of `nouns_total` are done in this phase. `read` counts the phase's
    objects (or events), `changed` the rows that a backfill changed, `drifted`
    those that a comparison found wrong, or how often a check of a proof did not hold. `rate` is
    objects a second. `reached` is the creation time of the oldest object read of the noun; of a
    proof, which begins with the oldest, that of the latest.

    Of `total` customers, those that were read are `linked` to a contact that was there, `created`
    as one, `unmatched`, or were `already_linked` before.

    `oddities` were met in any phase: objects that are not understood, or cannot be linked.
    """

    phase: str = ""
    noun: str = ""
    nouns_done: int = 0
    nouns_total: int = 0
    read: int = 0
    changed: int = 0
    drifted: int = 0
    rate: float = 0.0
    reached: dt.datetime | None = None
    total: int = 0
    linked: int = 0
    created: int = 0
    unmatched: int = 0
    already_linked: int = 0
    oddities: Oddities = field(default_factory=Oddities)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, from its request to its end. Times are by our clock.

    `error_reason` and `error` tell why it waits (until `next_try_at`) or failed. `report_id` names
    the report of a comparison that has ended. `owner` is whoever has it in hand, anew each time.
    `prepared`: what must be done once, at its beginning, was done. `takeovers` counts how often its
    process has gone without a word.
    """

    id: str
    stripe_account: str
    kind: OperationKind
    options: OperationOptions
    requested_at: dt.datetime
    state: OperationState = OperationState.PENDING
    progress: OperationProgress = field(default_factory=OperationProgress)
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    report_id: str = ""
    error_reason: str = ""
    error: str = ""
    next_try_at: dt.datetime | None = None
    owner: str = ""
    prepared: bool = False
    takeovers: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in _ENDS

    def is_free(self, seen_at: dt.datetime, now: dt.datetime) -> bool:
        """Whether any process may take it; `seen_at` is the last sign of life of its owner."""
        if self.state is OperationState.RUNNING:
            return (
                abs(now - seen_at) > EXPIRY
            )  # seen in the future, it was by a clock that was ahead
        return self.state is OperationState.PENDING

    def taken(self, owner: str, now: dt.datetime) -> "Operation":
        """In the hands of an owner. One that was RUNNING has lost the one that it had.

        FAILED, where it has lost more than MAX_TAKEOVERS.
        """
        lost = self.takeovers + (self.state is OperationState.RUNNING)
        if lost > MAX_TAKEOVERS:
            return self.failed("INTERNAL", f"its process ended {lost} times without a word", now)
        return replace(
            self,
            state=OperationState.RUNNING,
            owner=owner,
            started_at=self.started_at or now,
            takeovers=lost,
        )

    def given_back(self) -> "Operation":
        """Free for anybody, at once."""
        return replace(self, state=OperationState.PENDING, owner="")

    def advanced(self, progress: OperationProgress) -> "Operation":
        """A step further, and no longer waiting."""
        return replace(self, progress=progress, error_reason="", error="", next_try_at=None)

    def waiting(self, reason: str, error: str, until: dt.datetime) -> "Operation":
        """Refused for now: it goes on, later."""
        return replace(self, error_reason=reason, error=error, next_try_at=until)

    def succeeded(self, report_id: str, now: dt.datetime) -> "Operation":
        """Done, with the report of a comparison."""
        return replace(self._ended(OperationState.SUCCEEDED, now), report_id=report_id)

    def failed(self, reason: str, error: str, now: dt.datetime) -> "Operation":
        """Refused for good."""
        ended = self._ended(OperationState.FAILED, now)
        return replace(ended, error_reason=reason, error=error)

    def cancelled(self, now: dt.datetime) -> "Operation":
        """Ended by an operator."""
        return self._ended(OperationState.CANCELLED, now)

    def _ended(self, state: OperationState, now: dt.datetime) -> "Operation":
        return replace(
            self,
            state=state,
            finished_at=now,
            error_reason="",
            error="",
            next_try_at=None,
            owner="",
        )
