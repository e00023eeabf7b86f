"""The inbox in SQLite: a small index of the open events is the queue."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from application.events.inbox import LONGEST_PAUSE, ClaimedEvent, EventState, ReceivedEvent, Settled
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables, columns_of

_EFFECTS: Final = "effects TEXT NOT NULL DEFAULT '[]'"
"""A column that version 1 lacks."""


def _mend(connection: sqlite3.Connection, _: int) -> None:
    if "effects" not in columns_of(connection, "billing.events"):
        connection.execute(f'ALTER TABLE "billing.events" ADD COLUMN {_EFFECTS}')


TABLES: Final = Tables(
    # `due_at` is when a pending event may be claimed: after its last failure's delay, and after
    # the lease of whoever holds it. Payloads stand apart: SQLite writes a changed row anew, whole.
    """
    CREATE TABLE IF NOT EXISTS "billing.events" (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stripe_account TEXT NOT NULL,
        type TEXT NOT NULL, api_version TEXT NOT NULL, created INTEGER NOT NULL,
        object_type TEXT NOT NULL, object_id TEXT NOT NULL, received_at INTEGER NOT NULL,
        state TEXT NOT NULL, decision TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL DEFAULT 0, owner TEXT,
        size INTEGER NOT NULL, effects TEXT NOT NULL DEFAULT '[]'
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.event_payloads" (
        seq INTEGER PRIMARY KEY, payload BLOB NOT NULL
    )
    """,
    # What is not done: the queue, and the dead ones beside it, since every index of its own is
    # looked at by each webhook.
    """
    DROP INDEX IF EXISTS "billing.events pending"
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.events open"
    ON "billing.events" (state, received_at, seq, due_at, size, stripe_account)
    WHERE state = 'pending' OR state = 'dead'
    """,
    mend=_mend,
)

EVENT_COLUMNS: Final = (
    "id, stripe_account, type, api_version, created, object_type, object_id, received_at, state,"
    " decision"
)
_RECEIVED_AT: Final = 7
"""Where `received_at` stands among EVENT_COLUMNS."""

_APPEND: Final = (
    f'INSERT INTO "billing.events" ({EVENT_COLUMNS}, error, size)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_APPEND_PAYLOAD: Final = 'INSERT INTO "billing.event_payloads" (seq, payload) VALUES (?, ?)'
_WITH_PAYLOAD: Final = 'FROM "billing.events" JOIN "billing.event_payloads" USING (seq)'
# The states are written out, since only so the index of the open ones is chosen.
_DUE: Final = (
    "SELECT seq, size FROM \"billing.events\" WHERE state = 'pending'"
    " AND (due_at <= ? OR due_at > ?) ORDER BY received_at, seq LIMIT ?"
)
_CLAIM: Final = (
    'UPDATE "billing.events" SET owner = ?, due_at = ?'
    " WHERE seq IN (SELECT value FROM json_each(?))"
)
_CLAIMED: Final = (
    f"SELECT {EVENT_COLUMNS}, payload, attempts {_WITH_PAYLOAD}"
    " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
)
_SETTLE: Final = (
    'UPDATE "billing.events" SET state = ?, decision = ?, error = ?, effects = ?,'
    " attempts = attempts + ?, due_at = ?, owner = NULL"
    " WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?"
)
_BACKLOG: Final = "SELECT count(*) FROM \"billing.events\" WHERE state = 'pending'"
_GET: Final = f"SELECT {EVENT_COLUMNS}, payload, error {_WITH_PAYLOAD} WHERE id = ?"


class SqliteInbox:
    """`application.events.inbox.Inbox` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, event: ReceivedEvent) -> bool:
        values = (
            event.id,
            event.stripe_account,
            event.type,
            event.api_version,
            event.created,
            event.object_type,
            event.object_id,
            to_milliseconds(event.received_at),
            event.state.value,
            event.decision,
            event.error,
            len(event.payload),
        )

        def job(connection: sqlite3.Connection) -> bool:
            appended = connection.execute(_APPEND, values)
            if not appended.rowcount:
                return False
            connection.execute(_APPEND_PAYLOAD, (appended.lastrowid, event.payload))
            return True

        return await self._database.write(job)

    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int, max_bytes: int
    ) -> Sequence[ClaimedEvent]:
        now_ms, until_ms = to_milliseconds(now), to_milliseconds(now + lease)
        last_ms = to_milliseconds(now + LONGEST_PAUSE)

        def take(connection: sqlite3.Connection) -> Sequence[int]:
            due = connection.execute(_DUE, (now_ms, last_ms, limit)).fetchall()
            taken = _within(due, max_bytes)
            if taken:
                connection.execute(_CLAIM, (owner, until_ms, to_json(taken).decode()))
            return taken

        taken = await self._database.write(take)
        if not taken:
            return []

        def load(connection: sqlite3.Connection) -> Sequence[ClaimedEvent]:
            found = connection.execute(_CLAIMED, (to_json(taken).decode(),)).fetchall()
            found.sort(key=itemgetter(_RECEIVED_AT))  # by SQL it would copy every payload
            return [ClaimedEvent(event_of(row), row[-1]) for row in found]

        # Payloads are read beside the writer, which others wait for.
        return await self._database.read(load)

    async def settle(self, owner: str, outcomes: Sequence[Settled]) -> int:
        # Most events of a batch end alike: a few statements instead of one an event.
        alike: dict[tuple[object, ...], list[str]] = {}
        for outcome in outcomes:
            told = (
                outcome.state.value,
                outcome.decision,
                outcome.error,
                to_json(outcome.effects).decode(),
                int(outcome.state is EventState.PENDING),
                to_milliseconds(outcome.retry_at) if outcome.retry_at is not None else 0,
            )
            alike.setdefault(told, []).append(outcome.event_id)
        values = [(*told, to_json(ids).decode(), owner) for told, ids in alike.items()]

        def job(connection: sqlite3.Connection) -> int:
            return connection.executemany(_SETTLE, values).rowcount if values else 0

        return await self._database.write(job)

    async def backlog(self) -> int:
        def job(connection: sqlite3.Connection) -> int:
            (count,) = connection.execute(_BACKLOG).fetchone()
            return int(count)

        return await self._database.read(job)

    async def get(self, event_id: str) -> tuple[ReceivedEvent, str] | None:
        def job(connection: sqlite3.Connection) -> tuple[ReceivedEvent, str] | None:
            row = connection.execute(_GET, (event_id,)).fetchone()
            return None if row is None else (event_of(row), row[-1])

        return await self._database.read(job)


def _within(due: Sequence[tuple[int, int]], max_bytes: int) -> Sequence[int]:
    """The first of the events (number, size) that fit into `max_bytes`; at least one."""
    taken: list[int] = []
    size = 0
    for seq, event_size in due:
        size += event_size
        if taken and size > max_bytes:
            break
        taken.append(seq)
    return taken


def event_of(row: Sequence[Any]) -> ReceivedEvent:
    """An event of the port from a row that begins with EVENT_COLUMNS and the payload."""
    return ReceivedEvent(
        id=row[0],
        stripe_account=row[1],
        type=row[2],
        api_version=row[3],
        created=row[4],
        object_type=row[5],
        object_id=row[6],
        received_at=from_milliseconds(row[_RECEIVED_AT]),
        state=EventState(row[8]),
        decision=row[9],
        payload=row[10],
    )
