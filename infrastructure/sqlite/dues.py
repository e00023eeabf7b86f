"""What is due of facts, in SQLite: one row a subject."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from application.facts.ports import Due, Dues, Topic
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.facts_due" (
        stripe_account TEXT NOT NULL, topic TEXT NOT NULL, subject TEXT NOT NULL,
        due_at INTEGER NOT NULL, PRIMARY KEY (stripe_account, topic, subject)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.facts_due by time"
    ON "billing.facts_due" (due_at, stripe_account, topic, subject)
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.facts_due by account"
    ON "billing.facts_due" (stripe_account, due_at)
    """,
)

_PLAN: Final = (
    'INSERT INTO "billing.facts_due" (stripe_account, topic, subject, due_at) VALUES (?, ?, ?, ?)'
    " ON CONFLICT (stripe_account, topic, subject)"
    " DO UPDATE SET due_at = min(due_at, excluded.due_at)"
)
_DUE: Final = (
    'SELECT stripe_account, topic, subject, due_at FROM "billing.facts_due" WHERE due_at <= ?'
    " ORDER BY due_at, stripe_account, topic, subject LIMIT ?"
)
_AT: Final = " WHERE stripe_account = ? AND topic = ? AND subject = ? AND due_at = ?"
_MOVE: Final = 'UPDATE "billing.facts_due" SET due_at = ?' + _AT
_FORGET: Final = 'DELETE FROM "billing.facts_due"' + _AT
_EARLIEST: Final = (
    'SELECT due_at FROM "billing.facts_due" WHERE stripe_account = ? ORDER BY due_at LIMIT 1'
)


class SqliteDues(Dues):
    """`application.facts.ports.Dues` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def plan(self, dues: Sequence[Due]) -> None:
        check_bounds(len(dues))
        rows = [_key(due) for due in dues]
        if rows:
            await self._database.write(
                lambda connection: connection.executemany(_PLAN, rows).close()
            )

    @override
    async def due(self, now: dt.datetime, *, limit: int) -> Sequence[Due]:
        check_bounds(limit)

        def job(connection: sqlite3.Connection) -> Sequence[Due]:
            rows = connection.execute(_DUE, (to_milliseconds(now), limit))
            return [
                Due(stripe_account, Topic(topic), subject, from_milliseconds(due_at))
                for stripe_account, topic, subject, due_at in rows
            ]

        return await self._database.read(job)

    @override
    async def move(self, due: Due, to: dt.datetime | None) -> None:
        key = _key(due)
        if to is None:
            await self._database.write(lambda connection: connection.execute(_FORGET, key).close())
            return
        values = (to_milliseconds(to), *key)
        await self._database.write(lambda connection: connection.execute(_MOVE, values).close())

    @override
    async def earliest(self, stripe_account: str) -> dt.datetime | None:
        def job(connection: sqlite3.Connection) -> dt.datetime | None:
            found = connection.execute(_EARLIEST, (stripe_account,)).fetchone()
            return None if found is None else from_milliseconds(found[0])

        return await self._database.read(job)


def _key(due: Due) -> tuple[str, str, str, int]:
    return due.stripe_account, due.topic, due.subject, to_milliseconds(due.due_at)
