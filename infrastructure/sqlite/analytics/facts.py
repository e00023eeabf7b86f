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
from infrastructure.sqlite.facts import BY_TIME

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
_LOST: Final = (
    f"SELECT count(*) FROM (SELECT row.customer FROM {_ROWS} AND row.at < :end"
    f" AND row.kind IN ({_KINDS}){_KNOWN} GROUP BY row.customer"
    " HAVING sum(CASE WHEN row.at < :start THEN row.count ELSE 0 END) > 0"
    f" AND sum(CASE WHEN row.at >= :start AND row.kind = '{CHURN}' THEN row.count ELSE 0 END) < 0)"
)
_COHORTS: Final = (
    "WITH bucket AS MATERIALIZED (SELECT key, json_extract(value, '$[0]') AS start,"
    " json_extract(value, '$[1]') AS after FROM json_each(:buckets)),"
    f" moved AS (SELECT row.customer, row.at, sum(row.count) AS came FROM {_ROWS}"
    f" AND row.at < :end AND row.count != 0 AND row.kind IN ({_KINDS}){_KNOWN}"
    " GROUP BY row.customer, row.at),"
    " first AS (SELECT customer, min(at) AS at FROM moved WHERE came > 0 GROUP BY customer),"
    " began AS MATERIALIZED (SELECT customer, (SELECT key FROM bucket WHERE start <= first.at"
    " AND first.at < after) AS cohort FROM first WHERE first.at >= :start)"
    # How many there are, as a row of their own; then what moved them.
    " SELECT cohort, NULL, '', 0, count(*) FROM began GROUP BY cohort UNION ALL"
    " SELECT began.cohort, bucket.key, row.currency, sum(row.amount), sum(row.count)"
    f" FROM bucket CROSS JOIN {_TABLE} CROSS JOIN began{_OF_SERIES}"
    " AND row.at >= bucket.start AND row.at < bucket.after"
    f" AND row.kind IN ({_KINDS}){_KNOWN} AND began.customer = row.customer"
    " GROUP BY began.cohort, bucket.key, row.currency"
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
        first, last = to_milliseconds(edges[0]), to_milliseconds(edges[-1])
        values = _values(
            stripe_account, Series.MRR, known_by,
            buckets=to_json(_buckets(edges)).decode(), start=first, end=last,
        )  # fmt: skip
        rows = await self._rows(_COHORTS, values)
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
