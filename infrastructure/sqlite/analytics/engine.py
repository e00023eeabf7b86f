"""Metrics as SQL: bucket edges in, sums out, read from a covering index alone.

The buckets come first in the join (CROSS JOIN keeps that order), so each is one range of the
metric's index, behind one value of each column that leads it, and no row is ever read.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from typing_extensions import override

from application.analytics.metrics import Metric
from application.analytics.ports import (
    Analytics,
    Cell,
    FigureRow,
    TopRows,
    check_known_by,
    folded,
    top_rows,
)
from domain.periods import to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.names import quoted
from infrastructure.sqlite.mirror.columns import index_name


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

    @override
    async def top(
        self,
        metric: Metric,
        stripe_account: str,
        period: tuple[dt.datetime, dt.datetime],
        currency: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
    ) -> TopRows:
        statement = _top_statement(metric, beyond=after is not None)
        start, end = map(to_milliseconds, period)
        last_sum, last_value = after or (0, "")
        values = {
            "stripe_account": stripe_account,
            "start": start,
            "end": end,
            "currency": currency,
            "last_sum": last_sum,
            "last_value": last_value,
            "limit": limit + 1,
            **{f"{name}_{number}": value for name, number, value in _fixed(metric, metric.where)},
        }

        def job(connection: sqlite3.Connection) -> TopRows:
            return top_rows(connection.execute(statement, values), limit)

        return await self._database.read(job)


def _top_statement(metric: Metric, *, beyond: bool) -> str:
    (name,) = metric.by
    value, date = _column(name), _column(metric.date)
    total = f"sum({' + '.join(map(_column, metric.sums[0].plus))})"
    conditions = [
        "row.stripe_account = :stripe_account",
        *_fixed_conditions(metric, metric.where),
        f"{date} >= :start",
        f"{date} < :end",
        f"{_column(metric.currency)} = :currency",
        *(f"{_column(column)} > 0" for column in metric.above_zero),
        *([f"{value} IS NOT NULL"] if beyond else ()),
    ]
    behind = f" HAVING {total} < :last_sum OR ({total} = :last_sum AND {value} > :last_value)"
    return (
        f"SELECT {value}, {total} AS total, count(*) FROM {quoted(metric.noun.collection)} AS row"
        f" INDEXED BY {quoted(index_name(metric.noun, metric.index))}"
        f" WHERE {' AND '.join(conditions)} GROUP BY {value}{behind if beyond else ''}"
        f" ORDER BY {value} IS NULL DESC, total DESC, {value} LIMIT :limit"
    )


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
        f" INDEXED BY {quoted(index_name(metric.noun, metric.index))}"
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
    return _fixed(metric, [name for name in metric.where if name not in metric.leading])


def _further_conditions(metric: Metric) -> Iterator[str]:
    return _fixed_conditions(metric, [name for name in metric.where if name not in metric.leading])


def _fixed(metric: Metric, names: Iterable[str]) -> Iterator[tuple[str, int, str]]:
    for name in names:
        for number, value in enumerate(metric.where[name]):
            yield name, number, value


def _fixed_conditions(metric: Metric, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        places = ", ".join(f":{name}_{number}" for number in range(len(metric.where[name])))
        yield f"{_column(name)} IN ({places})"


def _column(name: str) -> str:
    return f"row.{quoted(name)}"
