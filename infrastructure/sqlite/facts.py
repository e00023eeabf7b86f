"""Facts in SQLite: one row a generation, clustered by subject."""

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from application.analytics.fact_rows import FactPlace, FactRows
from application.facts.ports import FactStore
from domain.facts import Basis, Fact, Series, Statement
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds, to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

BY_TIME: Final = "billing.facts by series and time"
BY_KNOWLEDGE: Final = "billing.facts by knowledge"
BY_CUSTOMER: Final = "billing.facts by customer, what moved him"
BY_BEGINNING: Final = "billing.facts by beginning"
BEGINNING: Final = "series = 'mrr' AND (kind = 'new' OR (kind = 'seam' AND cause = 'new'))"
"""Which rows tell that a customer came for the first time; a partial index needs it literally."""

_LATE: Final = "billing.facts that were late"

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.facts" (
        stripe_account TEXT NOT NULL, series TEXT NOT NULL, subject TEXT NOT NULL,
        generation INTEGER NOT NULL, at INTEGER NOT NULL, known_at INTEGER NOT NULL,
        currency TEXT NOT NULL, amount INTEGER NOT NULL, count INTEGER NOT NULL, kind TEXT NOT NULL,
        cause TEXT NOT NULL, customer TEXT NOT NULL, product TEXT NOT NULL, source TEXT NOT NULL,
        basis TEXT NOT NULL, restates INTEGER NOT NULL, late INTEGER NOT NULL,
        PRIMARY KEY (stripe_account, series, subject, generation)
    ) WITHOUT ROWID
    """,
    # Covers figures: no row is read for them.
    f"""
    CREATE INDEX IF NOT EXISTS "{BY_TIME}" ON "billing.facts" (
        stripe_account, series, at, currency, kind, cause, product, basis, amount, count, customer,
        known_at
    )
    """,
    # Covers who is lost, and what moved the customers of a cohort.
    f"""
    CREATE INDEX IF NOT EXISTS "{BY_CUSTOMER}" ON "billing.facts" (
        stripe_account, customer, at, series, kind, currency, amount, count, known_at
    )
    """,
    f"""
    CREATE INDEX IF NOT EXISTS "{BY_BEGINNING}"
    ON "billing.facts" (stripe_account, at, customer, count, known_at) WHERE {BEGINNING}
    """,
    f"""
    CREATE INDEX IF NOT EXISTS "{_LATE}"
    ON "billing.facts" (stripe_account, series, known_at, subject, generation) WHERE late = 1
    """,
    f"""
    CREATE INDEX IF NOT EXISTS "{BY_KNOWLEDGE}"
    ON "billing.facts" (stripe_account, series, known_at)
    """,
)

_COLUMNS: Final = (
    "series, subject, generation, at, known_at, currency, amount, count, kind, cause, customer,"
    " product, source, basis, restates, late"
)
_POST: Final = (
    f'INSERT INTO "billing.facts" (stripe_account, {_COLUMNS})'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (stripe_account, series, subject, generation) DO NOTHING"
)
_STANDING: Final = (
    f'SELECT {_COLUMNS} FROM "billing.facts" WHERE stripe_account = ? AND series = ?'
    " AND subject = ? ORDER BY generation"
)


_BEGINNING_OF_TIME: Final = (2**62, "", 0)
_RESTATED: Final = (
    f'SELECT {_COLUMNS} FROM "billing.facts" INDEXED BY "{_LATE}" WHERE stripe_account = ?'
    " AND series = ? AND late = 1 AND (known_at, subject, generation) < (?, ?, ?)"
    " ORDER BY known_at DESC, subject DESC, generation DESC LIMIT ?"
)
_WITHIN: Final = (
    f'SELECT {_COLUMNS} FROM "billing.facts" INDEXED BY "{BY_TIME}" WHERE stripe_account = ?'
    " AND series = ? AND at >= ? AND at < ? AND known_at <= ? AND (? = '' OR currency = ?)"
    " AND (? OR kind IN (SELECT value FROM json_each(?)))"
    " AND (at, subject, generation) < (?, ?, ?)"
    " ORDER BY at DESC, subject DESC, generation DESC LIMIT ?"
)


class SqliteFactStore(FactStore, FactRows):
    """FactStore, and FactRows of analytics, on one SQLite file, which one process serves from."""

    shared = False

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def standing(
        self, stripe_account: str, series: Sequence[Series], subjects: Sequence[str]
    ) -> Mapping[tuple[Series, str], Sequence[Fact]]:
        check_bounds(len(subjects))

        def job(connection: sqlite3.Connection) -> Mapping[tuple[Series, str], Sequence[Fact]]:
            found = {
                (each, subject): [
                    _fact(row)
                    for row in connection.execute(_STANDING, (stripe_account, each, subject))
                ]
                for each in series
                for subject in subjects
            }
            return {key: facts for key, facts in found.items() if facts}

        return await self._database.read(job)

    @override
    async def post(self, stripe_account: str, facts: Sequence[Fact]) -> int:
        check_bounds(len(facts))
        rows = [(stripe_account, *_values(fact)) for fact in facts]

        def job(connection: sqlite3.Connection) -> int:
            for number, row in enumerate(rows):
                if connection.execute(_POST, row).rowcount == 0:
                    return number
            return len(rows)

        return await self._database.write(job) if rows else 0

    @override
    async def restated(
        self, stripe_account: str, series: Series, *, after: FactPlace | None, limit: int
    ) -> Sequence[Fact]:
        place = after or _BEGINNING_OF_TIME
        return await self._read(_RESTATED, (stripe_account, series, *place, limit))

    @override
    async def within(
        self,
        stripe_account: str,
        series: Series,
        start: dt.datetime,
        end: dt.datetime,
        *,
        currency: str,
        kinds: Sequence[str],
        known_by: dt.datetime,
        after: FactPlace | None,
        limit: int,
    ) -> Sequence[Fact]:
        first, last, known = map(to_milliseconds, (start, end, known_by))
        values = (
            stripe_account, series, first, last, known, currency, currency, not kinds,
            to_json(list(kinds)).decode(), *(after or _BEGINNING_OF_TIME), limit,
        )  # fmt: skip
        return await self._read(_WITHIN, values)

    async def _read(self, statement: str, values: tuple[Any, ...]) -> Sequence[Fact]:
        def job(connection: sqlite3.Connection) -> Sequence[Fact]:
            return [_fact(row) for row in connection.execute(statement, values)]

        return await self._database.read(job)


def _values(fact: Fact) -> tuple[Any, ...]:
    said = fact.statement
    return (
        said.series, said.subject, fact.generation, to_milliseconds(said.at),
        to_milliseconds(fact.known_at), said.currency, said.amount, said.count, said.kind,
        said.cause, said.customer, said.product, said.source, said.basis, fact.restates,
        fact.late,
    )  # fmt: skip


def _fact(row: Sequence[Any]) -> Fact:
    (series, subject, generation, at, known_at, currency, amount, count, kind, cause, customer,
     product, source, basis, restates, late) = row  # fmt: skip
    said = Statement(
        Series(series), subject, from_milliseconds(at), kind, currency, amount, count, cause,
        customer, product, source, Basis(basis),
    )  # fmt: skip
    return Fact(said, generation, from_milliseconds(known_at), restates, bool(late))
