"""Reports in SQLite: one row a report, as JSON."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.upkeep.ports import Report, Reports
from domain.periods import to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.reports" (
        stripe_account TEXT NOT NULL, id TEXT NOT NULL, started_at INTEGER NOT NULL,
        document TEXT NOT NULL, PRIMARY KEY (stripe_account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.reports newest"
    ON "billing.reports" (stripe_account, started_at, id)
    """,
)

_PUT: Final = (
    'INSERT INTO "billing.reports" (stripe_account, id, started_at, document) VALUES (?, ?, ?, ?)'
    " ON CONFLICT (stripe_account, id) DO UPDATE SET"
    " started_at = excluded.started_at, document = excluded.document"
)
_GET: Final = 'SELECT document FROM "billing.reports" WHERE stripe_account = ? AND id = ?'
_NEWEST: Final = 'SELECT document FROM "billing.reports" WHERE stripe_account = ?'
_AFTER: Final = " AND (started_at, id) < (?, ?)"
_IN_ORDER: Final = " ORDER BY started_at DESC, id DESC LIMIT ?"

_decode = msgspec.json.Decoder(Report).decode


class SqliteReports(Reports):
    """`application.upkeep.ports.Reports` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, report: Report) -> None:
        started_at = to_milliseconds(report.started_at)
        values = (report.stripe_account, report.id, started_at, to_json(report).decode())
        await self._database.write(lambda connection: connection.execute(_PUT, values).close())

    @override
    async def get(self, stripe_account: str, report_id: str) -> Report | None:
        def job(connection: sqlite3.Connection) -> Report | None:
            found = connection.execute(_GET, (stripe_account, report_id)).fetchone()
            return None if found is None else _decode(found[0])

        return await self._database.read(job)

    @override
    async def newest(
        self, stripe_account: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Report]:
        statement = f"{_NEWEST}{_AFTER if after else ''}{_IN_ORDER}"
        values = (stripe_account, *(after or ()), limit)

        def job(connection: sqlite3.Connection) -> Sequence[Report]:
            return [_decode(document) for (document,) in connection.execute(statement, values)]

        return await self._database.read(job)
