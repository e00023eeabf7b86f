"""Sums of facts in SQLite: each bucket is one range of the index by time, and no row is read."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from typing_extensions import override

from application.analytics.fact_figures import BEFORE, CohortSums, FactFigures, FactSum
from domain.cohorts import CohortSum
from domain.facts import Series
from domain.mrr import CHURN, MOVEMENTS
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.facts import BEGINNING, BY_BEGINNING, BY_CUSTOMER, BY_TIME

_BEGINNING: Final = -(2**62)
_KINDS: Final = ", ".join(f"'{kind}'" for kind in MOVEMENTS)
_KNOWN: Final = " AND (:known_by IS NULL OR row.known_at <= :known_by)"
_TABLE: Final = f'"billing.facts" AS row INDEXED BY "{BY_TIME}"'
_OF_SERIES: Final = " WHERE row.stripe_account = :stripe_account AND row.series = :series"
_ROWS: Final = f"{_TABLE}{_OF_SERIES}"
_IN_BUCKET: Final = (
    " AND row.at >= json_extract(bucket.value, '$[0]')"
    " AND row.at < json_extract(bucket.value, '$[1]')"
)
_SUMS: Final = (
    "SELECT bucket.key, row.currency, row.kind, row.cause, row.product, sum(row.amount),"
    f" sum(row.count) FROM json_each(:buckets) AS bucket CROSS JOIN {_ROWS}{_IN_BUCKET}{_KNOWN}"
    " GROUP BY bucket.key, row.currency, row.kind, row.cause, row.product"
)
_HIS: Final = (
    f'"billing.facts" AS his INDEXED BY "{BY_CUSTOMER}" WHERE his.stripe_account = :stripe_account'
    f" AND his.customer = row.customer AND his.series = :series AND his.kind IN ({_KINDS})"
    f"{_KNOWN.replace('row.', 'his.')}"
)
_LOST: Final = (
    f"SELECT count(*) FROM (SELECT row.customer FROM {_ROWS} AND row.at >= :start"
    f" AND row.at < :end AND row.kind = '{CHURN}'{_KNOWN} GROUP BY row.customer"
    f" HAVING sum(row.count) < 0 AND (SELECT sum(his.count) FROM {_HIS} AND his.at < :start) > 0)"
)
_BEGUN: Final = (
    f'FROM "billing.facts" AS row INDEXED BY "{BY_BEGINNING}"'
    f" WHERE row.stripe_account = :stripe_account AND {BEGINNING}"
    f" AND row.at >= :start AND row.at < :end{_KNOWN}"
)
_FIRST: Final = (
    'SELECT min(known_at) FROM "billing.facts" INDEXED BY "billing.facts by knowledge"'
    " WHERE stripe_account = :stripe_account AND series = :series"
)


class SqliteFactFigures(FactFigures):
    """`application.analytics.fact_figures.FactFigures` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def sums(
        self,
        stripe_account: str,
        series: Series,
        edges: Sequence[dt.datetime],
        *,
        opening: bool = False,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FactSum]:
        buckets = _buckets(edges)
        if opening:
            buckets = [(_BEGINNING, buckets[0][0]), *buckets]
        shift = BEFORE if opening else 0
        values = _values(stripe_account, series, known_by, buckets=to_json(buckets).decode())
        rows = await self._rows(_SUMS, values)
        return [FactSum(bucket + shift, *rest) for bucket, *rest in rows]

    @override
    async def lost(
        self,
        stripe_account: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        known_by: dt.datetime | None = None,
    ) -> int:
        times = {"start": to_milliseconds(start), "end": to_milliseconds(end)}
        ((count,),) = await self._rows(
            _LOST, _values(stripe_account, Series.MRR, known_by, **times)
        )
        return int(count)

    @override
    async def cohorts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        *,
        known_by: dt.datetime | None = None,
    ) -> CohortSums:
        first, *_, last = instants = [to_milliseconds(edge) for edge in edges]
        values = _values(stripe_account, Series.MRR, known_by, start=first, end=last)
        rows = await self._rows(_cohorts(instants), values)
        return CohortSums(
            {cohort: size for cohort, month, *_, size in rows if month is None},
            [CohortSum(*row) for row in rows if row[1] is not None],
        )

    @override
    async def first_known(self, stripe_account: str, series: Series) -> dt.datetime | None:
        ((first,),) = await self._rows(_FIRST, _values(stripe_account, series, None))
        return None if first is None else from_milliseconds(first)

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        def job(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement, values).fetchall()

        return await self._database.read(job)


def _cohorts(instants: Sequence[int]) -> str:
    """How many there are of each cohort, as a row of their own; then what moved them.

    Who began is read in order of customers, as is what moved them. What was posted wrongly at
    first was taken back at its own instant, so it is in no sum.
    """
    cohort, month = (_bucket_of(column, instants) for column in ("row.at", "his.at"))
    return (
        f"WITH began AS MATERIALIZED (SELECT row.customer AS customer, {cohort} AS cohort {_BEGUN}"
        " GROUP BY row.customer, cohort HAVING sum(row.count) > 0)"
        " SELECT cohort, NULL, '', 0, count(*) FROM began GROUP BY cohort UNION ALL"
        f" SELECT row.cohort, {month} AS month, his.currency, sum(his.amount), sum(his.count)"
        f" FROM began AS row CROSS JOIN {_HIS} AND his.at >= :start AND his.at < :end"
        " GROUP BY row.cohort, month, his.currency"
    )


def _bucket_of(column: str, instants: Sequence[int], first: int = 0) -> str:
    """The expression of a row's bucket: a balanced tree of conditions."""
    if len(instants) == 2:
        return str(first)
    middle = (len(instants) - 1) // 2
    before = _bucket_of(column, instants[: middle + 1], first)
    after = _bucket_of(column, instants[middle:], first + middle)
    return f"CASE WHEN {column} < {instants[middle]} THEN {before} ELSE {after} END"


def _buckets(edges: Sequence[dt.datetime]) -> list[tuple[int, int]]:
    return list(pairwise(map(to_milliseconds, edges)))


def _values(
    stripe_account: str, series: Series, known_by: dt.datetime | None, **further: Any
) -> dict[str, Any]:
    known = None if known_by is None else to_milliseconds(known_by)
    return {
        "stripe_account": stripe_account,
        "series": str(series),
        "known_by": known,
        **further,
    }
