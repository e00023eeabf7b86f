"""The store's stamp in SQLite: a few named values."""

import sqlite3
from typing import Final

from domain.connections import Mode
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.deployment" (name TEXT PRIMARY KEY, value TEXT NOT NULL)
    """,
)

_GET: Final = 'SELECT value FROM "billing.deployment" WHERE name = ?'
_ADD: Final = (
    'INSERT INTO "billing.deployment" (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING'
)
_PUT: Final = (
    'INSERT INTO "billing.deployment" (name, value) VALUES (?, ?)'
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
# Another value each time: SQLite writes no page that would stay the same.
_COUNT: Final = (
    'INSERT INTO "billing.deployment" (name, value) VALUES (?, 1)'
    " ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)
_MODE: Final = "mode"
_PLATFORM_ACCOUNT: Final = "platform_account"
_CHECKS: Final = "checks"


class SqliteDeployment:
    """`application.connections.deployment.Deployment` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stamp(self, mode: Mode) -> Mode:
        def job(connection: sqlite3.Connection) -> Mode:
            connection.execute(_ADD, (_MODE, mode.value))
            return Mode(connection.execute(_GET, (_MODE,)).fetchone()[0])

        return await self._database.write(job)

    async def platform_account(self) -> str | None:
        def job(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(_GET, (_PLATFORM_ACCOUNT,)).fetchone()
            return None if found is None else str(found[0])

        return await self._database.read(job)

    async def keep_platform_account(self, stripe_account: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(_PUT, (_PLATFORM_ACCOUNT, stripe_account)).close()
        )

    async def check(self) -> None:
        await self._database.write(
            lambda connection: connection.execute(_COUNT, (_CHECKS,)).close()
        )
        await self._database.read(
            lambda connection: connection.execute(_GET, (_CHECKS,)).fetchone()
        )
