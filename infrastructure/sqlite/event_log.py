"""The inbox in SQLite as operators see it."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.events.event_log import (
    MAX_ABOUT,
    EventFilter,
    EventLog,
    EventRecord,
    check_filter,
    check_ids,
    check_limit,
)
from application.events.inbox import EventState, ReceivedEvent
from application.events.lists import EventHistory
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.names import MIN_INTEGER
from infrastructure.sqlite.core.tables import Tables
from infrastructure.sqlite.inbox import EVENT_COLUMNS, event_of

TABLES: Final = Tables(
    # A webhook pays for an index by the pages that it dirties. One in the order of receipt only
    # grows at its end, so it may be wide: accounts and types are looked for in it without reading
    # rows. One in any other order costs about 8 % of an event: one more by account was too much.
    """
    CREATE INDEX IF NOT EXISTS "billing.events by receipt"
    ON "billing.events" (received_at, stripe_account, type)
    """,
    # Stripe's ids grow with time, so that new objects share a page, which those of accounts do not.
    """
    CREATE INDEX IF NOT EXISTS "billing.events by object" ON "billing.events" (object_id)
    """,
)

_RECORD_COLUMNS: Final = (
    "id, stripe_account, type, api_version, created, object_type, object_id, received_at, size,"
    " state, decision, effects, attempts, error, due_at"
)
_OPEN: Final = '"billing.events open"'
_BY_RECEIPT: Final = '"billing.events by receipt"'
_BY_OBJECT: Final = '"billing.events by object"'

_RECORD: Final = f'SELECT {_RECORD_COLUMNS} FROM "billing.events" WHERE id = ?'
_PAYLOAD: Final = (
    'SELECT payload FROM "billing.events" JOIN "billing.event_payloads" USING (seq) WHERE id = ?'
)
# Which of an object's events these are is found before their payloads are read.
_ABOUT: Final = (
    f'SELECT {EVENT_COLUMNS}, payload FROM "billing.events"'
    ' JOIN "billing.event_payloads" USING (seq) WHERE seq IN ('
    f'SELECT seq FROM "billing.events" INDEXED BY {_BY_OBJECT}'
    " WHERE object_id = ? AND stripe_account = ? AND (created, id) > (?, ?)"
    " ORDER BY created, id LIMIT ?) ORDER BY created, id"
)
_OF_ACCOUNT: Final = (
    f'SELECT {EVENT_COLUMNS}, payload FROM "billing.events" INDEXED BY {_BY_RECEIPT}'
    ' JOIN "billing.event_payloads" USING (seq)'
    " WHERE stripe_account = ? AND (received_at, id) > (?, ?) AND state <> 'ignored'"
    " ORDER BY received_at, id LIMIT ?"
)
_OLDEST: Final = (
    f'SELECT min(created) FROM "billing.events" INDEXED BY {_OPEN}'
    " WHERE state = 'pending' AND stripe_account = ?"
)
_PLACE: Final = 'SELECT received_at, id FROM "billing.events" WHERE id = ? AND stripe_account = ?'
_FROM_THE_FIRST: Final = (MIN_INTEGER, "")

_MAKE_DUE: Final = "UPDATE \"billing.events\" SET state = 'pending', attempts = 0, due_at = :now"
# Whoever holds an event may still settle it, also after its lease: the owner stays.
_RETRY: Final = (
    f"{_MAKE_DUE} WHERE id = :id AND (state = 'dead'"
    " OR (state = 'pending' AND owner IS NULL AND due_at > :now)"
    " OR (state = 'pending' AND due_at <= :now AND attempts > 0))"
)
_COUNT: Final = f'SELECT count(*) FROM "billing.events" INDEXED BY {_OPEN} WHERE state = '

_decode_effects = msgspec.json.Decoder(tuple[str, ...]).decode


class SqliteEventLog(EventLog, EventHistory):
    """`application.events.event_log.EventLog`, and the EventHistory, on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def list(
        self, where: EventFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[EventRecord]:
        check_filter(where)
        check_limit(limit)
        source, values = _matching(where, after)
        statement = (
            f"SELECT {_RECORD_COLUMNS} {source} ORDER BY received_at DESC, id DESC LIMIT :limit"
        )
        values["limit"] = limit

        def job(connection: sqlite3.Connection) -> Sequence[EventRecord]:
            return [_record(row) for row in connection.execute(statement, values)]

        return await self._database.read(job)

    @override
    async def record(self, event_id: str) -> EventRecord | None:
        def job(connection: sqlite3.Connection) -> EventRecord | None:
            row = connection.execute(_RECORD, (event_id,)).fetchone()
            return None if row is None else _record(row)

        return await self._database.read(job)

    @override
    async def payload(self, event_id: str) -> bytes | None:
        def job(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(_PAYLOAD, (event_id,)).fetchone()
            return None if row is None else row[0]

        return await self._database.read(job)

    @override
    async def about(
        self, stripe_account: str, object_id: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[ReceivedEvent]:
        check_limit(limit, MAX_ABOUT)
        values = (object_id, stripe_account, *(after or _FROM_THE_FIRST), limit)

        def job(connection: sqlite3.Connection) -> Sequence[ReceivedEvent]:
            return [event_of(row) for row in connection.execute(_ABOUT, values)]

        return await self._database.read(job)

    @override
    async def of_account(
        self, stripe_account: str, *, after: str, limit: int
    ) -> Sequence[ReceivedEvent]:
        check_limit(limit)

        def job(connection: sqlite3.Connection) -> Sequence[ReceivedEvent]:
            place = _FROM_THE_FIRST
            if after:
                place = connection.execute(_PLACE, (after, stripe_account)).fetchone()
                if place is None:
                    raise ValueError("after: no event of this Stripe account")
            values = (stripe_account, *place, limit)
            return [event_of(row) for row in connection.execute(_OF_ACCOUNT, values)]

        return await self._database.read(job)

    @override
    async def retry(self, event_ids: Sequence[str], *, now: dt.datetime) -> int:
        check_ids(event_ids)
        rows = [{"id": event_id, "now": to_milliseconds(now)} for event_id in event_ids]
        if not rows:
            return 0
        return await self._database.write(
            lambda connection: connection.executemany(_RETRY, rows).rowcount
        )

    @override
    async def retry_dead(self, where: EventFilter, *, now: dt.datetime, limit: int) -> int:
        check_filter(where)
        check_limit(limit)
        source, values = _matching(where, state=EventState.DEAD)
        statement = (
            f"{_MAKE_DUE} WHERE seq IN (SELECT seq {source} ORDER BY received_at LIMIT :limit)"
        )
        values |= {"now": to_milliseconds(now), "limit": limit}
        return await self._database.write(
            lambda connection: connection.execute(statement, values).rowcount
        )

    @override
    async def counts(self, stripe_account: str | None) -> dict[EventState, int]:
        one = "" if stripe_account is None else " AND stripe_account = ?"
        values = () if stripe_account is None else (stripe_account,)

        def job(connection: sqlite3.Connection) -> dict[EventState, int]:
            counted = {}
            for state in (EventState.PENDING, EventState.DEAD):
                statement = f"{_COUNT}'{state.value}'{one}"
                (counted[state],) = connection.execute(statement, values).fetchone()
            return counted

        return await self._database.read(job)

    @override
    async def oldest_pending(self, stripe_account: str) -> int | None:
        def job(connection: sqlite3.Connection) -> int | None:
            (oldest,) = connection.execute(_OLDEST, (stripe_account,)).fetchone()
            return None if oldest is None else int(oldest)

        return await self._database.read(job)


def _matching(
    where: EventFilter,
    after: tuple[int, str] | None = None,
    *,
    state: EventState | None = None,
) -> tuple[str, dict[str, object]]:
    """Table, index and conditions of a filter as SQL, and the values by name.

    `state` stands in for the filter's. It is written out: only so a partial index may be used.
    """
    state = state or where.state
    equal = {
        "stripe_account": where.stripe_account,
        "type": where.type,
        "object_id": where.object_id,
    }
    values: dict[str, object] = {name: value for name, value in equal.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    if state is not None:
        conditions.append(f"state = '{state.value}'")
    bounds, bound_values = _received(where, after)
    table = f'FROM "billing.events" INDEXED BY {_index(where, state)}'
    return f"{table} WHERE {' AND '.join([*conditions, *bounds])}", values | bound_values


def _index(where: EventFilter, state: EventState | None) -> str:
    if where.object_id is not None:
        return _BY_OBJECT
    if state in (EventState.PENDING, EventState.DEAD):
        return _OPEN
    return _BY_RECEIPT


def _received(
    where: EventFilter, after: tuple[int, str] | None
) -> tuple[Sequence[str], dict[str, object]]:
    """Conditions on the time of receipt: one from below, and at most one from above.

    A second one from above would be looked at row by row instead of narrowing the range.
    """
    start = where.received_from
    values: dict[str, object] = {"from": MIN_INTEGER if start is None else to_milliseconds(start)}
    conditions = ["received_at >= :from"]
    until = None if where.received_until is None else to_milliseconds(where.received_until)
    if after is not None and (until is None or after[0] < until):
        conditions.append("(received_at, id) < (:after, :after_id)")
        values |= {"after": after[0], "after_id": after[1]}
    elif until is not None:
        conditions.append("received_at < :until")
        values["until"] = until
    return conditions, values


def _record(row: Sequence[Any]) -> EventRecord:
    """A record from the columns `_RECORD_COLUMNS`."""
    received_at, due_at = from_milliseconds(row[7]), from_milliseconds(row[14])
    state = EventState(row[9])
    return EventRecord(
        id=row[0],
        stripe_account=row[1],
        type=row[2],
        api_version=row[3],
        created=row[4],
        object_type=row[5],
        object_id=row[6],
        received_at=received_at,
        size=row[8],
        state=state,
        decision=row[10],
        effects=_decode_effects(row[11]),
        attempts=row[12],
        error=row[13],
        due_at=max(due_at, received_at) if state is EventState.PENDING else None,
    )
