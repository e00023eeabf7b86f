"""The outbox: follow-ups for other systems, kept until they are published, and billing events."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.jobs import Job

MAX_JOBS = 1_000
"""How many jobs one call appends, claims, ends or reads at most."""

LONGEST_PAUSE: Final = dt.timedelta(minutes=10)
"""Nothing is put off, or leased, for longer: what is due later is so by a clock that was ahead."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job handed to one publisher until its lease ends. `attempts` counts earlier failures."""

    job: Job
    attempts: int


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A claimed job that could not be published: due again at `retry_at`, `error` kept."""

    job_id: str
    error: str
    retry_at: dt.datetime


@dataclass(frozen=True, slots=True)
class WatchedJob:
    """A billing event and its position. Positions grow by one or more from event to event."""

    position: int
    job: Job


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What waits to be published. `oldest` is when the first of those due was made (None: none)."""

    pending: int
    oldest: dt.datetime | None


class Outbox(Protocol):
    """Keeps jobs in the order of business before the order of transport.

    The boundary is cut here so that an effect is durable whether or not the queue can be reached.
    Jobs of the kinds `events.…` are billing events: they take a position in one stream instead of
    being published. A position that can be read has no lower one appear later, whatever processes
    write at once: who read up to it has missed nothing.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def append(self, jobs: Sequence[Job]) -> None:
        """Keep jobs; durable on return. Idempotent by id: one that is there stays as it was.

        Billing events of one call take positions in their order.
        """
        ...

    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int
    ) -> Sequence[ClaimedJob]:
        """Jobs to be published that are due, longest due first, for `owner` until `now + lease`.

        No job is handed to two owners while a lease runs; one whose lease has ended is due again.
        A new job is due at its `created_at`. One that is due later than LONGEST_PAUSE from `now`
        was made, or put off, by a clock that was ahead: it is due at once.
        """
        ...

    async def mark_published(self, owner: str, ids: Sequence[str], *, now: dt.datetime) -> int:
        """End jobs that `owner` still holds; returns how many. Idempotent."""
        ...

    async def release(self, owner: str, failures: Sequence[FailedJob]) -> int:
        """Give jobs back that `owner` still holds, `attempts` growing by one; returns how many."""
        ...

    async def counts(self) -> OutboxCounts:
        """What waits to be published, claimed jobs included. Across tenants: for operators."""
        ...

    async def watch(self, account: str, *, after: int, limit: int) -> Sequence[WatchedJob]:
        """Billing events of an account from behind a position, in order of position."""
        ...

    async def bounds(self) -> tuple[int, int]:
        """The positions of the first and the last billing event kept; (0, 0) where none ever was.

        Of all tenants, so that a watch knows whether what it missed is still kept.
        """
        ...

    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        """Delete jobs published, and billing events made, before an instant; returns how many.

        At most `limit` of either. Billing events go in order of position, the last one stays; a job
        that is not published yet is never deleted.
        """
        ...


async def append_all(outbox: Outbox, jobs: Sequence[Job]) -> None:
    """Append however many jobs, in order, MAX_JOBS a call. Cut off, the first ones are kept."""
    for start in range(0, len(jobs), MAX_JOBS):
        await outbox.append(jobs[start : start + MAX_JOBS])
