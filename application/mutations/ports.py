"""The mutation log: what a caller asked for, which Stripe calls it took, and what came of it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

K_co = TypeVar("K_co", covariant=True)
K_contra = TypeVar("K_contra", contravariant=True)

LONGEST_PAUSE: Final = dt.timedelta(hours=1)
"""Nothing is put off, or leased, for longer: what is due later is so by a clock that was ahead."""


class MutationState(StrEnum):
    """OPEN may be carried on by whoever holds the lease; DONE has its definite outcome."""

    OPEN = "open"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class MutationKey:
    """What makes two requests the same one."""

    account: str
    method: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One change: exact parameters, kept before they are first sent.

    `attempt` is part of the idempotency key; `sent_at` is when the attempt was first sent (None:
    not yet); `answer` the encoded answer, `failure` the encoded refusal: None until there is a
    definite one, and never both. `stripe_account` is the one that it acts on; empty for that of
    the record, as with all steps of earlier releases.
    """

    name: str
    params: bytes
    attempt: int = 1
    sent_at: dt.datetime | None = None
    answer: bytes | None = None
    failure: bytes | None = None
    stripe_account: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may have been carried out, and nobody knows yet."""
        return self.sent_at is not None and self.answer is None and self.failure is None


class Stepped(Protocol[K_co]):
    """Work whose changes are steps: a mutation, or a process that outlives its call."""

    @property
    def key(self) -> K_co:
        """What its log keeps it under."""
        ...

    @property
    def account(self) -> str:
        """The account that it is of."""
        ...

    @property
    def stripe_account(self) -> str:
        """The Stripe account that a step acts on unless it names another; may be empty."""
        ...

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from all other work, for good: the idempotency keys follow from it."""
        ...

    @property
    def created_at(self) -> dt.datetime:
        """When it was first asked for."""
        ...

    @property
    def steps(self) -> Mapping[str, Step]:
        """Its steps so far, by name."""
        ...


@dataclass(frozen=True, slots=True)
class MutationRecord:
    """A mutation as stored. `payload`, `reply`, a step's `params` and `answer` are JSON.

    `stripe_account` is the one the mutation acts on, kept so that a later connection never
    inherits it. `failure` is the encoded definite error; of `reply` and `failure` a DONE record
    has exactly one.
    """

    key: MutationKey
    stripe_account: str
    payload: bytes
    payload_hash: str
    created_at: dt.datetime
    state: MutationState = MutationState.OPEN
    steps: Mapping[str, Step] = field(default_factory=dict)
    reply: bytes | None = None
    failure: bytes | None = None

    @property
    def account(self) -> str:
        """The account that it is of."""
        return self.key.account

    @property
    def identity(self) -> tuple[str, ...]:
        """See `Stepped`."""
        return self.key.account, self.key.method, self.key.request_id


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of `owner` to carry a mutation, or a process, on until `until`."""

    owner: str
    until: dt.datetime


class StepLog(Protocol[K_contra]):
    """Where steps are kept: the boundary lets `Steps` serve whatever has a record and a lease."""

    async def save_step(self, key: K_contra, lease: Lease, step: Step) -> bool:
        """Store or replace a step and prolong the lease. False, and nothing done, if it is lost.

        Atomic, and durable on return. Raises Unavailable (STORE_UNAVAILABLE).
        """
        ...


class MutationLog(StepLog[MutationKey], Protocol):
    """Keeps every mutation from before its first Stripe call until long after its last.

    Each method is atomic on one record and durable on return. Raises Unavailable
    (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def begin(
        self, record: MutationRecord, lease: Lease, *, now: dt.datetime
    ) -> tuple[MutationRecord, bool]:
        """Store a new record under the lease, or take over the stored one of the same key.

        Returns the record as it now stands, and whether `lease` holds it. It does not where the
        stored one is DONE, has another payload hash, or is leased to somebody else at `now`. A
        lease that ends later than LONGEST_PAUSE from `now` is nobody's.
        """
        ...

    async def finish(
        self, key: MutationKey, lease: Lease, *, reply: bytes | None, failure: bytes | None
    ) -> bool:
        """Make the record DONE with its reply or failure. False where the lease is lost."""
        ...

    async def release(
        self, key: MutationKey, lease: Lease, *, retry_at: dt.datetime | None
    ) -> bool:
        """Give the lease back; the record stays OPEN. False where the lease is lost.

        `find_open` shows it from `retry_at`; with None never: nothing was sent, so only the caller
        may carry it on.
        """
        ...

    async def find_open(self, *, now: dt.datetime, limit: int) -> Sequence[MutationRecord]:
        """OPEN records of all tenants that are due, longest due first.

        Due is one that was released with a `retry_at` at or before `now`, and one whose lease has
        ended without a release: its process died. One that is due later than LONGEST_PAUSE from
        `now` was put off by a clock that was ahead: it is due at once.

        For the recovery task only: the one method here that reads across tenants.
        """
        ...

    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        """Delete records created before an instant that nobody carries on; returns how many.

        Those are the DONE ones, and the open ones that were given back without `retry_at`. At most
        `limit`.
        """
        ...
