"""The inbox: the durable log of received Stripe events, the first thing a webhook touches."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

LONGEST_PAUSE: Final = dt.timedelta(minutes=10)
"""Nothing is put off, or leased, for longer: what is due later is so by a clock that was ahead."""


class EventState(StrEnum):
    """Where an event stands.

    PENDING waits to be claimed (again, after a failure, from `next_attempt_at`); PROCESSED is done;
    IGNORED was never to be projected (other mode, unknown type, thin); DEAD is not understood, or
    failed too often, and waits for an operator.
    """

    PENDING = "pending"
    PROCESSED = "processed"
    IGNORED = "ignored"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A verified event as it came in.

    `id` is Stripe's, or made of the body's digest where that bears none. `stripe_account` is empty
    for an event of the platform's own Stripe account. `created` is Stripe's time in milliseconds,
    or `received_at` where it is not told. `object_type` and `object_id` name the object that it is
    about (empty where it has none). `payload` is the body, byte for byte. `error` says why one is
    DEAD as it comes: the inbox keeps it as its last error, which goes with no event that is handed
    out.
    """

    id: str
    stripe_account: str
    type: str
    api_version: str
    created: int
    object_type: str
    object_id: str
    payload: bytes
    received_at: dt.datetime
    state: EventState = EventState.PENDING
    decision: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event handed to one projector until its lease ends. `attempts` counts earlier failures."""

    event: ReceivedEvent
    attempts: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a claimed event, to be written on it.

    With `state` PENDING it is tried again from `retry_at`, `attempts` growing by one and `error`
    kept; every other state ends it. `effects` are what followed from it, in words.
    """

    event_id: str
    state: EventState
    decision: str
    error: str = ""
    retry_at: dt.datetime | None = None
    effects: tuple[str, ...] = ()


class Inbox(Protocol):
    """Stores events first and hands them out later.

    The boundary is cut here so that a webhook is answered once its event is durable, and never
    waits for what is done with it. Raises Unavailable (STORE_UNAVAILABLE) when the store does not
    answer.
    """

    async def append(self, event: ReceivedEvent) -> bool:
        """Keep an event. Durable on return; concurrent calls share a commit.

        Idempotent by event id, which is unique at Stripe: False, and nothing written, where it was
        there already.
        """
        ...

    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int, max_bytes: int
    ) -> Sequence[ClaimedEvent]:
        """Due pending events, oldest received first, claimed for `owner` until `now + lease`.

        No event is handed to two owners while a lease runs; one whose lease has ended is due again.
        One that is due later than LONGEST_PAUSE from `now` was put off by a clock that was ahead:
        it is due at once.
        At most `limit` events, and no more than the first of those whose payloads exceed
        `max_bytes` together (so one large event alone is still claimed).
        """
        ...

    async def settle(self, owner: str, outcomes: Sequence[Settled]) -> int:
        """Write outcomes on events that `owner` still holds; those of a lost lease are left alone.

        Returns how many were written. Each event atomically; idempotent.
        """
        ...

    async def backlog(self) -> int:
        """How many events are pending, claimed ones included."""
        ...

    async def get(self, event_id: str) -> tuple[ReceivedEvent, str] | None:
        """An event with its last error, its present state and decision, or None."""
        ...
