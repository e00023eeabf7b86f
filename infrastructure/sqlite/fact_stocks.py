"""Stocks of facts that are remembered, in SQLite: one row a series and day."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.analytics.fact_figures import BEFORE, FactSum
from application.analytics.remembered_facts import FactStocks, Stock
from domain.facts import Series
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables
from infrastructure.sqlite.facts import BY_KNOWLEDGE

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.fact_stocks" (
        stripe_account TEXT NOT NULL, series TEXT NOT NULL, at INTEGER NOT NULL,
        known_by INTEGER NOT NULL, sums TEXT NOT NULL, PRIMARY KEY (stripe_account, series, at)
    ) WITHOUT ROWID
    """,
)

_RECALL: Final = (
    'SELECT at, known_by, sums FROM "billing.fact_stocks"'
    " WHERE stripe_account = ? AND series = ? AND at <= ? ORDER BY at DESC LIMIT 1"
)
_KEEP: Final = (
    'INSERT INTO "billing.fact_stocks" (stripe_account, series, at, known_by, sums)'
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (stripe_account, series, at) DO UPDATE"
    " SET known_by = excluded.known_by, sums = excluded.sums WHERE excluded.known_by > known_by"
)
_LATE: Final = (
    "SELECT currency, kind, cause, product, sum(amount), sum(count)"
    f' FROM "billing.facts" INDEXED BY "{BY_KNOWLEDGE}" WHERE stripe_account = ? AND series = ?'
    " AND known_at > ? AND known_at <= ? AND at < ? GROUP BY currency, kind, cause, product"
)
_FOREVER: Final = 2**62

_decode = msgspec.json.Decoder(list[FactSum]).decode


class SqliteFactStocks(FactStocks):
    """`application.analytics.remembered_facts.FactStocks` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def recall(self, stripe_account: str, series: Series, at: dt.datetime) -> Stock | None:
        def job(connection: sqlite3.Connection) -> Stock | None:
            values = (stripe_account, series, to_milliseconds(at))
            found = connection.execute(_RECALL, values).fetchone()
            if found is None:
                return None
            began, known_by = map(from_milliseconds, found[:2])
            return Stock(stripe_account, series, began, known_by, _decode(found[2]))

        return await self._database.read(job)

    @override
    async def keep(self, stock: Stock) -> None:
        values = (
            stock.stripe_account,
            stock.series,
            to_milliseconds(stock.at),
            to_milliseconds(stock.known_by),
            to_json(stock.sums).decode(),
        )
        await self._database.write(lambda connection: connection.execute(_KEEP, values).close())

    @override
    async def late(
        self,
        stripe_account: str,
        series: Series,
        *,
        before: dt.datetime,
        known_after: dt.datetime,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FactSum]:
        until = _FOREVER if known_by is None else to_milliseconds(known_by)
        values = (
            stripe_account, series, to_milliseconds(known_after), until, to_milliseconds(before),
        )  # fmt: skip

        def job(connection: sqlite3.Connection) -> Sequence[FactSum]:
            return [FactSum(BEFORE, *row) for row in connection.execute(_LATE, values)]

        return await self._database.read(job)
