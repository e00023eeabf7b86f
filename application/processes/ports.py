"""The process log: what was begun that outlives its call, how far it is, and what it waits for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from application.mutations.ports import Lease, Step

LONGEST_LEASE: Final = dt.timedelta(minutes=5)
"""Far longer than any lease: what was leased or put off by a clock so far ahead is free at once."""

MAX_WATCHES: Final = 100
MAX_HISTORY: Final = 200
"""How many changes of state are kept: the first half, and then the latest."""


class Course(StrEnum):
    """Which way a process goes.

    FORWARD through its stages, BACKWARD through what takes them back; COMPLETED or TAKEN_BACK it
    rests, and only follows what is done to the objects that it watches. In all of them it may need
    attention (`ProcessRecord.attention`): then nothing happens until an operator decides.
    """

    FORWARD = "forward"
    BACKWARD = "backward"
    COMPLETED = "completed"
    TAKEN_BACK = "taken_back"

    @property
    def rests(self) -> bool:
        """Whether nothing is left to do but to follow."""
        return self in (Course.COMPLETED, Course.TAKEN_BACK)


@dataclass(frozen=True, slots=True)
class ProcessKey:
    """What makes two requests begin the same process, for good."""

    account: str
    kind: str
    request_id: str


@dataclass(frozen=True, slots=True, order=True)
class Watch:
    """An object at Stripe whose events wake a process."""

    stripe_account: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of state: when it came by our clock, and why, as a reason of an error or nothing."""

    state: str
    at: dt.datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is: the part of its record that its runner writes as a whole.

    - `state`: how it stands, in its own words.
    - `stage`: the index of the stage in hand; BACKWARD, of the one to be taken back (-1: none).
    - `data`: what it has learnt, as JSON.
    - `failure`: the encoded refusal that turned it back, or is to; None while there is none.
    - `turning`: it is to turn back as soon as no outcome is unknown.
    - `trouble`: why the stage in hand did not go on when it was last tried, as a reason.
    - `look_at`: when it is to be looked at whatever happens; None where nothing is to happen then.
    - `tries`: how often the stage in hand has failed. `polls`: how often it was looked at in this
      state. Both count only what was tried when `paused_until` had passed, so that wakes, of which
      anybody may cause any number, use up no patience.
    - `attention`: why it needs an operator; empty where it does not.
    """

    state: str
    course: Course = Course.FORWARD
    stage: int = 0
    data: bytes = b"{}"
    failure: bytes | None = None
    turning: bool = False
    tries: int = 0
    polls: int = 0
    paused_until: dt.datetime | None = None
    look_at: dt.datetime | None = None
    trouble: str = ""
    attention: str = ""
    history: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process as stored. `frozen`, `data` and a step's `params` and `answer` are JSON.

    `claims` are texts of which each belongs to one open process, until it rests.

    `id` names it to callers: unique, and opaque. `stripe_account` is the one that its steps act on
    unless they name another. `payload_hash` is of what the caller asked for, so that another
    payload under the same key is told. `wakes` counts the events that concerned it.
    """

    id: str
    key: ProcessKey
    stripe_account: str
    payload_hash: str
    frozen: bytes
    created_at: dt.datetime
    progress: Progress
    steps: Mapping[str, Step] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    claims: tuple[str, ...] = ()
    wakes: int = 0

    @property
    def account(self) -> str:
        """The account that it is of."""
        return self.key.account

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from all other work, a mutation of the same request too."""
        return "process", self.key.account, self.key.kind, self.key.request_id


def by_age(record: ProcessRecord) -> tuple[dt.datetime, str]:
    """What puts processes in order, the oldest first."""
    return record.created_at, record.id


@dataclass(frozen=True, slots=True)
class Change:
    """What one write changes: any of a step, the progress and new watches, together or not."""

    progress: Progress | None = None
    step: Step | None = None
    watches: tuple[Watch, ...] = ()


class ProcessLog(Protocol):
    """Keeps every process, for good. Nothing is ever deleted here.

    The boundary is here because a process is carried on by whoever holds its lease: the call that
    began it, an event, the clock or an operator, in whichever of our processes. Each method is
    atomic on one record and durable on return. Raises Unavailable (STORE_UNAVAILABLE) when the
    store does not answer.
    """

    async def begin(self, record: ProcessRecord, lease: Lease) -> tuple[ProcessRecord, bool]:
        """Store a new record under the lease, unless one of its key is there; whether it was made.

        The one that is there is returned as it is, whoever holds it. Raises AlreadyExists
        (ALREADY_EXISTS, with the other one's id as `process`) where another one that does not rest
        has a claim of it. A claim ends with the write by which its process rests.
        """
        ...

    async def take(
        self, process_id: str, lease: Lease, *, now: dt.datetime
    ) -> tuple[ProcessRecord, bool] | None:
        """Take the lease. The record as it stands, and whether `lease` holds it; None: no such.

        It does not hold it where it is somebody else's at `now`. A lease that ends later than
        LONGEST_LEASE from `now` is nobody's.
        """
        ...

    async def renew(self, process_id: str, lease: Lease) -> bool:
        """Prolong the lease. False where it is lost."""
        ...

    async def write(self, process_id: str, lease: Lease, change: Change) -> bool:
        """Make a change, as a whole or not at all, and prolong the lease. False where it is lost.

        Raises AlreadyExists (ALREADY_EXISTS), and changes nothing, where another process watches
        one of the objects: an object belongs to one process. One's own may be told again.
        """
        ...

    async def release(
        self, process_id: str, lease: Lease, change: Change, *,
        due_at: dt.datetime | None, wakes: int, now: dt.datetime,
    ) -> bool:  # fmt: skip
        """Make a last change and give the lease back. False, and nothing done, where it is lost.

        `find_due` shows it from `due_at` (None: only once it is woken); at once where it was woken
        more often than `wakes`, that is since it was last looked at.
        """
        ...

    async def wake(self, objects: Sequence[Watch], *, now: dt.datetime) -> int:
        """Make the processes that watch one of these objects, at most 10,000, due; how many.

        One that is held is due once it is released. No tenant is asked for, since a Stripe account
        and an object's id say more. Costs one read where nobody watches any.
        """
        ...

    async def get(self, process_id: str) -> ProcessRecord | None:
        """A process by its id, whoever's it is: for those that know the id by themselves."""
        ...

    async def find(self, key: ProcessKey) -> ProcessRecord | None:
        """A process by what began it."""
        ...

    async def list(
        self, account: str, kind: str, *, after: tuple[dt.datetime, str] | None, limit: int
    ) -> Sequence[ProcessRecord]:
        """Processes of an account, the newest first, behind one's `created_at` and `id`."""
        ...

    async def find_due(self, *, now: dt.datetime, limit: int) -> Sequence[str]:
        """Ids of processes of all tenants that are due, longest due first.

        Due is one whose `due_at` has passed, or whose lease has ended without a release, or that a
        clock more than LONGEST_LEASE ahead of `now` has put off. For the loop only.
        """
        ...

    async def find_open(self, stripe_account: str, *, limit: int) -> Sequence[ProcessRecord]:
        """Processes of all tenants that do not rest and need a Stripe account, the oldest first.

        It is the one that their steps act on, or an object there is watched. At most `limit`; which
        of more is not promised.
        """
        ...

    async def find_attention(self, *, limit: int) -> Sequence[ProcessRecord]:
        """Processes of all tenants that need attention, the oldest first. For operators only."""
        ...
