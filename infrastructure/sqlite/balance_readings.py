"""Readings of balances in SQLite: one row an account and hour."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.payouts.ports import BalanceReadings
from domain.balances import HOUR_MS, BalanceReading
from infrastructure.documents import check_bounds, to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.balance_readings" (
        stripe_account TEXT NOT NULL, hour INTEGER NOT NULL, start_ms INTEGER NOT NULL,
        reading TEXT NOT NULL, PRIMARY KEY (stripe_account, hour)
    ) WITHOUT ROWID
    """,
)

_KEEP: Final = (
    'INSERT INTO "billing.balance_readings" (stripe_account, hour, start_ms, reading)'
    " VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " start_ms = excluded.start_ms, reading = excluded.reading"
    " WHERE excluded.start_ms > start_ms"
)
_LAST: Final = (
    'SELECT reading FROM "billing.balance_readings" WHERE stripe_account = ?'
    " ORDER BY hour DESC LIMIT 1"
)
_BETWEEN: Final = (
    'SELECT reading FROM "billing.balance_readings"'
    " WHERE stripe_account = ? AND hour BETWEEN ? AND ? AND start_ms >= ? AND start_ms < ?"
    " ORDER BY hour LIMIT ?"
)
_BEFORE: Final = (
    'SELECT reading FROM "billing.balance_readings"'
    " WHERE stripe_account = ? AND hour <= ? AND start_ms < ? ORDER BY hour DESC LIMIT ?"
)

_decode: Final = msgspec.json.Decoder(BalanceReading).decode


class SqliteBalanceReadings(BalanceReadings):
    """`application.payouts.ports.BalanceReadings` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def last(self, stripe_account: str) -> BalanceReading | None:
        def job(connection: sqlite3.Connection) -> BalanceReading | None:
            row = connection.execute(_LAST, (stripe_account,)).fetchone()
            return None if row is None else _decode(row[0])

        return await self._database.read(job)

    @override
    async def keep(self, stripe_account: str, reading: BalanceReading) -> None:
        values = (
            stripe_account,
            reading.hour,
            reading.start_ms,
            to_json(reading).decode(),
        )
        await self._database.write(lambda connection: connection.execute(_KEEP, values).close())

    @override
    async def between(
        self, stripe_account: str, start_ms: int, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        check_bounds(limit)
        first, last = start_ms // HOUR_MS, end_ms // HOUR_MS
        values = (stripe_account, first, last, start_ms, end_ms, limit)

        def job(connection: sqlite3.Connection) -> Sequence[BalanceReading]:
            found = connection.execute(_BETWEEN, values)
            return [_decode(text) for (text,) in found]

        return await self._database.read(job)

    @override
    async def before(
        self, stripe_account: str, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        check_bounds(limit)
        values = (stripe_account, end_ms // HOUR_MS, end_ms, limit)

        def job(connection: sqlite3.Connection) -> Sequence[BalanceReading]:
            return [_decode(text) for (text,) in connection.execute(_BEFORE, values)]

        return await self._database.read(job)
