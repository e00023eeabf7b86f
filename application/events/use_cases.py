"""Received Stripe events as operators and internal services see them: followed, explained, retried.

Whose they are is settled first: a caller sees the events of his connection's Stripe account, an
operator those of all accounts and of the platform itself.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.background.clock import Clock
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.events.event_log import MAX_EVENTS, EventFilter, EventLog, EventRecord
from application.events.explanation import ExplainedEvent, RowFacts, explained, row_facts
from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import EventReader
from application.mirror.nouns import NOUN_BY_NAME
from application.mirror.ports import Mirror
from application.requests.callers import Caller
from application.requests.paging import Page, PageTokens, Position, digest, page_size_violations
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    optional_id_violations,
    refuse,
    text_violations,
)
from domain.connections import STRIPE_ACCOUNT_ID
from domain.errors import FieldViolation, NotFound, PermissionDenied, Reason
from domain.periods import to_milliseconds

PAYLOAD_SCOPE: Final = "events.payload"
"""What a token needs beside a method's own scope to read payloads: they hold personal data."""

PLATFORM: Final = "platform"
"""How an operator names the platform's own Stripe account."""

DEFAULT_PAGE_SIZE: Final = 50
DEFAULT_EXPLAINED: Final = 20
MAX_EXPLAINED: Final = 50
"""How many events with their payloads are held at once."""

RETRY_BATCHES: Final = 20
"""How many batches of MAX_EVENTS one call retries: what it takes fits into a deadline."""

_MAX_TEXT: Final = 255
_EVENT_ID: Final = "evt_1MqqbKLt4dXK03v5qaIbiNCC"

_CLIENT_SECRET: Final = re.compile(rb'("client_secret"\s*:\s*)"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events; all conditions hold at once, empty asks nothing. Times: `[from, until)`.

    `stripe_account` is an id of Stripe's or PLATFORM.
    """

    stripe_account: str = ""
    state: EventState | None = None
    type: str = ""
    object_id: str = ""
    received_from: dt.datetime | None = None
    received_until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectQuery:
    """An object to explain, and which page of its events. `object_type` is Stripe's name."""

    object_type: str
    object_id: str
    stripe_account: str = ""
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an object came to be as it is mirrored; `row` is None where the mirror has none."""

    stripe_account: str
    row: RowFacts | None
    events: Page[ExplainedEvent]


class Events:
    """Lists, gets, explains and retries events.

    `arrived` is set where events are due anew, so that the projector of this process wakes.
    `violations` are those of reading the caller's input; they are refused with the rest.
    Every method raises NotFound for what is another tenant's, FailedPrecondition
    (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED) as `Connections.of` does, and Unavailable.
    """

    def __init__(
        self,
        event_log: EventLog,
        mirror: Mirror,
        event_reader: EventReader,
        connections: Connections,
        platform: Platform,
        page_tokens: PageTokens,
        clock: Clock,
        arrived: asyncio.Event | None = None,
    ) -> None:
        self._log = event_log
        self._mirror = mirror
        self._reader = event_reader
        self._connections = connections
        self._platform = platform
        self._page_tokens = page_tokens
        self._clock = clock
        self._arrived = arrived

    async def list(
        self,
        caller: Caller,
        query: EventQuery,
        *,
        page_size: int = 0,
        page_token: str = "",
        violations: Sequence[FieldViolation] = (),
    ) -> Page[EventRecord]:
        """A page of events, the last received first."""
        sizes = page_size_violations(page_size, default=DEFAULT_PAGE_SIZE, most=MAX_EVENTS)
        refuse(chain(violations, sizes, _query_violations(caller, query)))
        where = await self._where(caller, query)
        scope = digest("events", where)
        limit = page_size or DEFAULT_PAGE_SIZE
        after = _place(self._page_tokens.read(page_token, scope))
        records = await self._log.list(where, after=after, limit=limit)
        last = records[-1] if len(records) == limit else None
        position = Position(to_milliseconds(last.received_at), last.id) if last else None
        return Page(records, self._page_tokens.write(scope, position))

    async def get(
        self,
        caller: Caller,
        event_id: str,
        *,
        full: bool = False,
        violations: Sequence[FieldViolation] = (),
    ) -> tuple[EventRecord, bytes | None]:
        """An event; with `full` its payload too, for which the token needs PAYLOAD_SCOPE.

        Client secrets are masked: who has one can go on with somebody's payment. Raises
        PermissionDenied (SCOPE_MISSING), whether there is such an event or not.
        """
        refuse(chain(violations, id_violations(event_id, "id", _EVENT_ID)))
        if full and PAYLOAD_SCOPE not in caller.scopes:
            raise PermissionDenied(
                Reason.SCOPE_MISSING,
                f"the token lacks the scope {PAYLOAD_SCOPE}, which payloads need",
                metadata={"scope": PAYLOAD_SCOPE},
            )
        record = await self._own(caller, event_id)
        payload = await self._log.payload(record.id) if full else None
        return record, payload and _CLIENT_SECRET.sub(rb'\1"[redacted]"', payload)

    async def retry(self, caller: Caller, event_id: str) -> EventRecord:
        """Make a dead event, or one that waits, due now; how it then stands. Idempotent."""
        refuse(id_violations(event_id, "id", _EVENT_ID))
        record = await self._own(caller, event_id)
        if await self._log.retry([record.id], now=self._clock.now()):
            self._wake()
        return await self._log.record(record.id) or record

    async def retry_all(
        self, caller: Caller, query: EventQuery, violations: Sequence[FieldViolation] = ()
    ) -> tuple[int, bool]:
        """Make all dead events that match due now: how many, and whether there may be more.

        Where it fails midway, what was retried stays so. `query.state` is not looked at.
        """
        refuse(chain(violations, _query_violations(caller, query)))
        where = await self._where(caller, query)
        count = 0
        for _ in range(RETRY_BATCHES):
            now = self._clock.now()
            retried = await self._log.retry_dead(where, now=now, limit=MAX_EVENTS)
            if not retried:
                return count, False
            count += retried
            self._wake()
        return count, True

    async def explain_object(self, caller: Caller, query: ObjectQuery) -> Explanation:
        """The object's row, and the events about it in order of creation."""
        refuse(_object_violations(caller, query))
        noun = NOUN_BY_NAME[query.object_type]
        stripe_account = await self._stripe_account(caller, query.stripe_account)
        kept_under = await self._kept_under(stripe_account)
        scope = digest("explained", stripe_account, noun.name, query.object_id)
        after = _place(self._page_tokens.read(query.page_token, scope))
        limit = query.page_size or DEFAULT_EXPLAINED
        told = await self._log.about(kept_under, query.object_id, after=after, limit=limit + 1)
        shown = told[:limit]
        last = shown[-1] if len(told) > limit else None
        rows = await self._mirror.fetch(noun, stripe_account, [query.object_id])
        events = await asyncio.to_thread(
            explained,
            self._reader,
            noun,
            stripe_account,
            await self._with_records(shown),
            await self._stored(kept_under, after[1]) if after else None,
        )
        position = Position(last.created, last.id) if last else None
        row = rows.get(query.object_id)
        return Explanation(
            stripe_account,
            row_facts(row) if row else None,
            Page(events, self._page_tokens.write(scope, position)),
        )

    async def _own(self, caller: Caller, event_id: str) -> EventRecord:
        """The event's record, if it is the caller's to see."""
        stripe_account = await self._stripe_account(caller, "")
        record = await self._log.record(event_id)
        if record is None:
            raise NotFound("event", event_id)
        if stripe_account and record.stripe_account != await self._kept_under(stripe_account):
            raise NotFound("event", event_id)
        return record

    async def _where(self, caller: Caller, query: EventQuery) -> EventFilter:
        if caller.is_operator and query.stripe_account == PLATFORM:
            kept_under: str | None = ""
        else:
            stripe_account = await self._stripe_account(caller, query.stripe_account)
            kept_under = await self._kept_under(stripe_account) if stripe_account else None
        return EventFilter(
            stripe_account=kept_under,
            state=query.state,
            type=query.type or None,
            object_id=query.object_id or None,
            received_from=query.received_from,
            received_until=query.received_until,
        )

    async def _stripe_account(self, caller: Caller, named: str) -> str:
        """The Stripe account that is asked about; empty: all of them, for an operator alone."""
        if caller.is_operator:
            return await self._platform.stripe_account() if named == PLATFORM else named
        own = (await self._connections.of(caller)).stripe_account
        if named not in ("", own):
            raise NotFound("Stripe account", named)
        return own

    async def _kept_under(self, stripe_account: str) -> str:
        """How the inbox names a Stripe account: the platform's own events bear none.

        Stripe is not asked which one that is: whoever looks at events needs no answer of Stripe's.
        """
        platform = await self._platform.known_stripe_account()
        return "" if stripe_account == platform else stripe_account

    async def _with_records(
        self, events: Iterable[ReceivedEvent]
    ) -> Sequence[tuple[ReceivedEvent, EventRecord]]:
        """Events with what became of them; those that are gone meanwhile left out."""
        pairs = [(event, await self._log.record(event.id)) for event in events]
        return [(event, record) for event, record in pairs if record is not None]

    async def _stored(
        self, kept_under: str, event_id: str
    ) -> tuple[ReceivedEvent, EventRecord] | None:
        """The event where a page ended, whose state the next page's first one followed."""
        record = await self._log.record(event_id)
        payload = await self._log.payload(event_id)
        if record is None or payload is None or record.stripe_account != kept_under:
            return None
        event = ReceivedEvent(
            id=record.id,
            stripe_account=record.stripe_account,
            type=record.type,
            api_version=record.api_version,
            created=record.created,
            object_type=record.object_type,
            object_id=record.object_id,
            payload=payload,
            received_at=record.received_at,
            state=record.state,
        )
        return event, record

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()


def _place(position: Position | None) -> tuple[int, str] | None:
    """A page token's position as the log takes it: milliseconds and id."""
    return (int(position.value), position.id) if position else None


def _query_violations(caller: Caller, query: EventQuery) -> Iterator[FieldViolation]:
    yield from _stripe_account_violations(caller, query.stripe_account)
    yield from text_violations(query.type, "type", _MAX_TEXT)
    yield from optional_id_violations(query.object_id, "object_id", CUSTOMER_ID)
    if caller.is_operator and query.object_id and not query.stripe_account:
        yield FieldViolation("stripe_account", f"is needed with object_id; or {PLATFORM}")
    start, end = query.received_from, query.received_until
    if start and end and start >= end:
        yield FieldViolation("received_before", "must be after received_after")


def _object_violations(caller: Caller, query: ObjectQuery) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size, default=DEFAULT_EXPLAINED, most=MAX_EXPLAINED)
    yield from _stripe_account_violations(caller, query.stripe_account)
    if caller.is_operator and not query.stripe_account:
        yield FieldViolation(
            "stripe_account",
            f"is required without an account: an id such as acct_..., or {PLATFORM}",
        )
    if query.object_type not in NOUN_BY_NAME:
        yield FieldViolation("object_type", f"one of {', '.join(sorted(NOUN_BY_NAME))}")
    yield from id_violations(query.object_id, "object_id", CUSTOMER_ID)


def _stripe_account_violations(caller: Caller, named: str) -> Iterator[FieldViolation]:
    if not caller.is_operator or named in ("", PLATFORM):
        return
    if not STRIPE_ACCOUNT_ID.fullmatch(named):
        yield FieldViolation(
            "stripe_account", f"an id such as acct_1032D82eZvKYlo2C, or {PLATFORM}"
        )
