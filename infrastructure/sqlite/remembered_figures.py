"""Remembered figures in SQLite: one row a bucket, and one row a day's mark."""

import datetime as dt
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Final

from typing_extensions import override

from application.analytics.remembered_port import (
    Asked,
    Bucket,
    Mark,
    Remembered,
    RememberedFigures,
)
from infrastructure.day_marks import Marked, rows_from_text, rows_to_text
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.day_marks" (
        stripe_account TEXT NOT NULL, noun TEXT NOT NULL, day INTEGER NOT NULL,
        number INTEGER NOT NULL, raised_at INTEGER NOT NULL,
        PRIMARY KEY (stripe_account, noun, day)
    ) WITHOUT ROWID
    """,
    # The row that is kept last has the greatest place, also where it replaces another.
    """
    CREATE TABLE IF NOT EXISTS "billing.remembered_figures" (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        stripe_account TEXT NOT NULL, metric TEXT NOT NULL, currency TEXT NOT NULL,
        start INTEGER NOT NULL, stop INTEGER NOT NULL,
        marks INTEGER NOT NULL, rows TEXT NOT NULL,
        UNIQUE (stripe_account, metric, currency, start, stop)
    )
    """,
)

_RAISE: Final = (
    'INSERT INTO "billing.day_marks" (stripe_account, noun, day, number, raised_at)'
    " VALUES (?, ?, ?, 1, ?) ON CONFLICT (stripe_account, noun, day)"
    " DO UPDATE SET number = number + 1, raised_at = excluded.raised_at"
)
_MARKS: Final = (
    'SELECT day, number, raised_at FROM "billing.day_marks"'
    " WHERE stripe_account = ? AND noun = ? AND day >= ? AND day < ?"
)
_RECALL: Final = (
    "SELECT kept.start, kept.stop, kept.marks, kept.rows FROM json_each(?) AS bucket"
    ' CROSS JOIN "billing.remembered_figures" AS kept'
    " WHERE kept.stripe_account = ? AND kept.metric = ? AND kept.currency = ?"
    " AND kept.start = json_extract(bucket.value, '$[0]')"
    " AND kept.stop = json_extract(bucket.value, '$[1]')"
)
_KEEP: Final = (
    'INSERT OR REPLACE INTO "billing.remembered_figures"'
    " (stripe_account, metric, currency, start, stop, marks, rows) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FORGET: Final = 'DELETE FROM "billing.remembered_figures" WHERE place <= last_insert_rowid() - ?'


def raise_marks(connection: sqlite3.Connection, marks: Iterable[Marked]) -> None:
    """Raise each mark once, in the transaction that writes the rows: so both are seen at once."""
    now = _now()
    for mark in marks:
        connection.execute(_RAISE, (*mark, now))


class SqliteRememberedFigures(RememberedFigures):
    """`application.analytics.remembered_port.RememberedFigures` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def marks(self, stripe_account: str, noun: str, days: range) -> Sequence[Mark]:
        values = (stripe_account, noun, days.start, days.stop)

        def job(connection: sqlite3.Connection) -> Sequence[Mark]:
            found = connection.execute(_MARKS, values).fetchall()
            now = _now()
            return [
                Mark(day, number, dt.timedelta(milliseconds=now - raised_at))
                for day, number, raised_at in found
            ]

        return await self._database.read(job)

    @override
    async def recall(self, asked: Asked, buckets: Sequence[Bucket]) -> Sequence[Remembered]:
        wanted = to_json(buckets).decode()
        values = (wanted, asked.stripe_account, asked.digest, asked.currency)

        def job(connection: sqlite3.Connection) -> Sequence[Remembered]:
            return [
                Remembered((start, end), marks, rows_from_text(rows))
                for start, end, marks, rows in connection.execute(_RECALL, values)
            ]

        return await self._database.read(job)

    @override
    async def keep(self, asked: Asked, entries: Sequence[Remembered], most: int) -> None:
        rows = [
            (asked.stripe_account, asked.digest, asked.currency, *entry.bucket, entry.marks,
             rows_to_text(entry.rows))
            for entry in entries
        ]  # fmt: skip

        def job(connection: sqlite3.Connection) -> None:
            for row in rows:
                connection.execute(_KEEP, row)
            if rows:
                connection.execute(_FORGET, (most,))

        await self._database.write(job)


def _now() -> int:
    return time.time_ns() // 1_000_000
