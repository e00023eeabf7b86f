"""Waiting events in SQLite, in a table that bears their former name."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from application.effects.waiting import WaitingEvent, WaitingEvents
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.parked_events" (
        stripe_account TEXT NOT NULL, event_id TEXT NOT NULL, parked_at INTEGER NOT NULL,
        PRIMARY KEY (stripe_account, event_id)
    )
    """,
)

_ADD: Final = (
    'INSERT INTO "billing.parked_events" (stripe_account, event_id, parked_at) VALUES (?, ?, ?)'
    " ON CONFLICT (stripe_account, event_id) DO NOTHING"
)
_OF: Final = (
    'SELECT event_id, stripe_account, parked_at FROM "billing.parked_events"'
    " WHERE stripe_account = ? AND event_id > ? ORDER BY event_id LIMIT ?"
)
_REMOVE: Final = 'DELETE FROM "billing.parked_events" WHERE stripe_account = ? AND event_id = ?'
_NEXT: Final = (
    'SELECT stripe_account FROM "billing.parked_events" WHERE stripe_account > ?'
    " ORDER BY stripe_account LIMIT 1"
)
_COUNT: Final = 'SELECT count(*) FROM "billing.parked_events"'


class SqliteWaitingEvents(WaitingEvents):
    """`application.effects.waiting.WaitingEvents` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, events: Sequence[WaitingEvent]) -> None:
        check_bounds(len(events))
        await self._change(
            _ADD,
            [(one.stripe_account, one.event_id, to_milliseconds(one.since)) for one in events],
        )

    @override
    async def of(self, stripe_account: str, *, after: str, limit: int) -> Sequence[WaitingEvent]:
        check_bounds(limit)

        def job(connection: sqlite3.Connection) -> Sequence[WaitingEvent]:
            rows = connection.execute(_OF, (stripe_account, after, limit))
            return [WaitingEvent(row[0], row[1], from_milliseconds(row[2])) for row in rows]

        return await self._database.read(job)

    @override
    async def remove(self, stripe_account: str, event_ids: Sequence[str]) -> None:
        check_bounds(len(event_ids))
        await self._change(_REMOVE, [(stripe_account, event_id) for event_id in event_ids])

    @override
    async def next_stripe_account(self, *, after: str) -> str | None:
        def job(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(_NEXT, (after,)).fetchone()
            return None if found is None else str(found[0])

        return await self._database.read(job)

    @override
    async def count(self) -> int:
        def job(connection: sqlite3.Connection) -> int:
            (count,) = connection.execute(_COUNT).fetchone()
            return int(count)

        return await self._database.read(job)

    async def _change(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            await self._database.write(
                lambda connection: connection.executemany(statement, rows).close()
            )
