"""Exchange rates in SQLite: one row a base currency, currency and day."""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from typing_extensions import override

from application.analytics.ports import MAX_RATES, Rates
from domain.rates import Place, Rate
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.rates" (
        account TEXT NOT NULL, base TEXT NOT NULL, currency TEXT NOT NULL, date TEXT NOT NULL,
        rate TEXT NOT NULL, PRIMARY KEY (account, base, currency, date)
    ) WITHOUT ROWID
    """,
)

_ADD: Final = (
    'INSERT INTO "billing.rates" (account, base, currency, date, rate) VALUES (?, ?, ?, ?, ?)'
    " ON CONFLICT DO NOTHING"
)
_GET: Final = (
    'SELECT date, currency, rate FROM "billing.rates"'
    " WHERE account = ? AND base = ? AND currency = ? AND date = ?"
)
_LIST: Final = 'SELECT date, currency, rate FROM "billing.rates" WHERE account = ? AND base = ?'
_OF_CURRENCY: Final = " AND currency = ?"
_IN_ORDER: Final = " ORDER BY currency, date LIMIT ?"
_FIND: Final = _LIST + _OF_CURRENCY + " AND date BETWEEN ? AND ?"


class SqliteRates(Rates):
    """`application.analytics.ports.Rates` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def standing(self, account: str, base: str, places: Sequence[Place]) -> Sequence[Rate]:
        def job(connection: sqlite3.Connection) -> Sequence[Rate]:
            return [
                rate
                for date, currency in places
                for rate in _rates(connection.execute(_GET, (account, base, currency, str(date))))
            ]

        return await self._database.read(job)

    @override
    async def add(self, account: str, base: str, rates: Sequence[Rate]) -> None:
        rows = [(account, base, rate.currency, str(rate.date), rate.rate) for rate in rates]
        await self._database.write(lambda connection: connection.executemany(_ADD, rows).close())

    @override
    async def list(
        self, account: str, base: str, currency: str | None, *, after: Place | None, limit: int
    ) -> Sequence[Rate]:
        if not 1 <= limit <= MAX_RATES:
            raise ValueError(f"limit: 1 to {MAX_RATES}")
        statement, values = _LIST, [account, base]
        if currency is not None:
            statement, values = statement + _OF_CURRENCY, [*values, currency]
        if after is not None:
            statement += " AND (currency, date) > (?, ?)"
            values += [after[1], str(after[0])]

        def job(connection: sqlite3.Connection) -> Sequence[Rate]:
            return _rates(connection.execute(statement + _IN_ORDER, (*values, limit)))

        return await self._database.read(job)

    @override
    async def find(
        self, account: str, base: str, currencies: Sequence[str], first: dt.date, last: dt.date
    ) -> Sequence[Rate]:
        def job(connection: sqlite3.Connection) -> Sequence[Rate]:
            return [
                rate
                for currency in dict.fromkeys(currencies)
                for rate in _rates(
                    connection.execute(_FIND, (account, base, currency, str(first), str(last)))
                )
            ]

        return await self._database.read(job)


def _rates(rows: Iterable[Any]) -> list[Rate]:
    return [Rate(dt.date.fromisoformat(date), currency, rate) for date, currency, rate in rows]
