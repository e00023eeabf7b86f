"""The inbox as operators see it: events listed, read, and given another chance."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from application.events.inbox import EventState, ReceivedEvent

MAX_EVENTS: Final = 1_000
"""How many events one call lists or sends back at most."""

MAX_ABOUT: Final = 100
"""How many events one call gives with their payloads at most."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as the inbox keeps it, without its payload.

    `attempts` counts failures, `error` is the last one's. `due_at` is when a PENDING event may be
    tried next, at the end of its lease where somebody holds it, and never before `received_at`;
    None for all others. `effects` says what followed, in words.
    """

    id: str
    stripe_account: str
    type: str
    api_version: str
    created: int
    object_type: str
    object_id: str
    received_at: dt.datetime
    size: int
    state: EventState
    decision: str
    effects: tuple[str, ...]
    attempts: int
    error: str
    due_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; all conditions hold at once, None asks nothing.

    `stripe_account` is empty for the platform's own. `received` is `[from, until)`.
    """

    stripe_account: str | None = None
    state: EventState | None = None
    type: str | None = None
    object_id: str | None = None
    received_from: dt.datetime | None = None
    received_until: dt.datetime | None = None


class EventLog(Protocol):
    """Reads the inbox without claiming anything.

    Apart from `Inbox`, since the pipeline needs none of it and operators need nothing else. Every
    method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer, and ValueError for
    more than its bounds. Every query is served by an index: where `object_id` is given, so must be
    `stripe_account` (else ValueError).

    An index narrows to an object, to what is PENDING or DEAD, or to times of receipt (MongoDB's to
    a Stripe account too). A webhook pays for each index, so other conditions are looked at event by
    event, in the order listed: an account, a type, or a state PROCESSED or IGNORED that few events
    have is looked for through all that the index gives, and Unavailable once that takes longer than
    the store lets a read run. Times of receipt bound it.
    """

    async def list(
        self, where: EventFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[EventRecord]:
        """Events, the last received first (then by id, descending), from after a position.

        A position is an event's `received_at` in milliseconds and its id. At most `limit`
        (1 to MAX_EVENTS). An event that arrives meanwhile shifts no later page. Across tenants
        where `where` names no Stripe account: for operators.
        """
        ...

    async def record(self, event_id: str) -> EventRecord | None:
        """One event, or None. Across tenants: the caller checks whose it is."""
        ...

    async def payload(self, event_id: str) -> bytes | None:
        """An event's body, byte for byte, or None. It holds personal data."""
        ...

    async def about(
        self, stripe_account: str, object_id: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[ReceivedEvent]:
        """Events about an object with their payloads, by `created` and id, ascending.

        From after a position (`created` and id), at most `limit` (1 to MAX_ABOUT). What is returned
        does not say what became of them: `record` does. So those of the other mode are among them,
        which are IGNORED: ids that a merchant chooses, such as a product's, may be alike in both.
        """
        ...

    async def retry(self, event_ids: Sequence[str], *, now: dt.datetime) -> int:
        """Make DEAD events, and PENDING ones that wait, due at `now`; returns how many.

        At most MAX_EVENTS ids. Attempts start anew, the last error stays. A PENDING one that is due
        already counts where it has failed before, since its attempts then start anew. An event that
        somebody holds, or that is done, is left alone. Each event atomically; idempotent.
        """
        ...

    async def retry_dead(self, where: EventFilter, *, now: dt.datetime, limit: int) -> int:
        """Make up to `limit` (1 to MAX_EVENTS) DEAD events that match due; returns how many.

        The first received come first. Attempts start anew, the last error stays. Zero says that
        there is none left. `where.state` is not looked at.
        """
        ...

    async def counts(self, stripe_account: str | None) -> dict[EventState, int]:
        """How many events are PENDING and how many are DEAD; of all tenants where None.

        Only these two: the others grow without end and nobody waits for them.
        """
        ...

    async def oldest_pending(self, stripe_account: str) -> int | None:
        """The least `created` of a Stripe account's PENDING events, in milliseconds; None: none.

        Looks at all of them.
        """
        ...


def check_filter(where: EventFilter) -> None:
    """ValueError for a filter that no index serves."""
    if where.object_id is not None and where.stripe_account is None:
        raise ValueError("object_id: needs stripe_account too")


def check_limit(limit: int, most: int = MAX_EVENTS) -> None:
    """ValueError for a page that is empty or larger than the port allows."""
    if not 1 <= limit <= most:
        raise ValueError(f"limit: 1 to {most}")


def check_ids(event_ids: Sequence[str]) -> None:
    """ValueError for more events than one call sends back."""
    if len(event_ids) > MAX_EVENTS:
        raise ValueError(f"event_ids: at most {MAX_EVENTS}")
