"""Metrics as SQL: bucket edges in, sums out, read from a covering index alone.

The buckets come first in the join (CROSS JOIN keeps that order), so each is one range of the
metric's index, behind one value of each column that leads it, and no row is ever read.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from typing_extensions import override

from application.analytics.metrics import Metric
from application.analytics.ports import Analytics, Cell, FigureRow, check_known_by, folded
from domain.periods import to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.names import quoted


class SqliteAnalytics(Analytics):
    """`application.analytics.ports.Analytics` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        check_known_by(metric, known_by)
        statement = _statement(metric, narrowed=currency is not None, known_by=known_by is not None)
        values = {
            "buckets": to_json(list(pairwise(map(to_milliseconds, edges)))).decode(),
            "stripe_account": stripe_account,
            "currency": currency,
            "known_by": None if known_by is None else to_milliseconds(known_by),
            **{f"{name}_{number}": value for name, number, value in _further(metric)},
        }

        def job(connection: sqlite3.Connection) -> Sequence[FigureRow]:
            return folded(metric, _cells(metric, connection, statement, values))

        return await self._database.read(job)


def _statement(metric: Metric, *, narrowed: bool, known_by: bool) -> str:
    """The question for one value of each leading column."""
    date = _column(metric.date)
    columns = ["bucket.key", _column(metric.currency), *map(_column, metric.by)]
    sums = [f"coalesce(sum({_column(name)}), 0)" for name in metric.columns]
    conditions = [
        "row.stripe_account = :stripe_account",
        *(f"{_column(name)} = :leading_{name}" for name in metric.leading),
        f"{date} >= json_extract(bucket.value, '$[0]')",
        f"{date} < json_extract(bucket.value, '$[1]')",
        *_further_conditions(metric),
        *(f"{_column(name)} > 0" for name in metric.above_zero),
        *([f"{_column(metric.currency)} = :currency"] if narrowed else ()),
        *([f"{_column(str(metric.known_at))} <= :known_by"] if known_by else ()),
    ]
    return (
        f"SELECT {', '.join((*columns, *sums, 'count(*)'))}"
        f" FROM json_each(:buckets) AS bucket CROSS JOIN {quoted(metric.noun.collection)} AS row"
        f" WHERE {' AND '.join(conditions)} GROUP BY {', '.join(columns)}"
    )


def _cells(
    metric: Metric, connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]
) -> Iterator[Cell]:
    """What the statement answers for each combination of values of the leading columns."""
    groups = 2 + len(metric.by)
    for leading in product(*(dict.fromkeys(metric.where[name]) for name in metric.leading)):
        of_leading = zip(metric.leading, leading, strict=True)
        asked = {**values, **{f"leading_{name}": value for name, value in of_leading}}
        for row in connection.execute(statement, asked):
            bucket, currency = row[:2]
            sums = dict(zip(metric.columns, row[groups:-1], strict=True))
            yield bucket, currency, tuple(row[2:groups]), sums, row[-1]


def _further(metric: Metric) -> Iterator[tuple[str, int, str]]:
    """The values of fixed columns that come behind the date in the index."""
    for name, allowed in metric.where.items():
        if name not in metric.leading:
            for number, value in enumerate(allowed):
                yield name, number, value


def _further_conditions(metric: Metric) -> Iterator[str]:
    for name, allowed in metric.where.items():
        if name not in metric.leading:
            places = ", ".join(f":{name}_{number}" for number in range(len(allowed)))
            yield f"{_column(name)} IN ({places})"


def _column(name: str) -> str:
    return f"row.{quoted(name)}"
