"""Metrics as pipelines over the mirror's columns, answered from one covering index."""

import datetime as dt
from collections.abc import Iterator, Sequence
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
from domain.periods import Span, cells, to_milliseconds
from infrastructure.mongo.core.collection import Document
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.rows import mirror_index


class MongoAnalytics(Analytics):
    """Analytics on MongoDB. A bucket is computed from spans: integers only, no time zone."""

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
        match = _match(metric, stripe_account, edges, currency)
        if known_by is not None:
            match[str(metric.known_at)] = {"$lte": to_milliseconds(known_by)}
        runs, bucket_of_cell = cells(edges)
        groups = await self._database.collection(metric.noun.collection).aggregate(
            [
                {"$match": match},
                {"$group": _group(metric, runs)},
            ],
            hint=mirror_index(metric.index),
        )
        return folded(metric, _cells(metric, groups, bucket_of_cell))

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
        (name,) = metric.by
        sums = [f"${column}" for column in metric.sums[0].plus]
        group = {"_id": f"${name}", "sum": {"$sum": {"$add": sums}}, "count": {"$sum": 1}}
        found = await self._database.collection(metric.noun.collection).aggregate(
            [
                {"$match": _match(metric, stripe_account, period, currency)},
                {"$group": group},
                *([] if after is None else [{"$match": _behind(*after)}]),
                {"$addFields": {"named": {"$ne": ["$_id", None]}}},
                {"$sort": {"named": 1, "sum": -1, "_id": 1}},
                {"$limit": limit + 1},
            ],
            hint=mirror_index(metric.index),
        )
        return top_rows(((row["_id"], row["sum"], row["count"]) for row in found), limit)


def _behind(last_sum: int, last_value: str) -> Document:
    """What comes after a value, of those that have one."""
    return {
        "_id": {"$ne": None},
        "$or": [{"sum": {"$lt": last_sum}}, {"sum": last_sum, "_id": {"$gt": last_value}}],
    }


def cell_of(column: str, runs: Sequence[Span]) -> Any:
    """The expression of a row's cell; `column` must lie within the spans.

    A balanced tree of conditions: the server walks it for every row, so it is to be low.
    """
    if len(runs) == 1:
        (run,) = runs
        if run.count == 1:
            return {"$literal": run.first}
        index = {"$floor": {"$divide": [{"$subtract": [column, run.start]}, run.width]}}
        return {"$add": [run.first, index]}
    middle = len(runs) // 2
    return {
        "$cond": [
            {"$lt": [column, runs[middle].start]},
            cell_of(column, runs[:middle]),
            cell_of(column, runs[middle:]),
        ]
    }


def _match(
    metric: Metric, stripe_account: str, edges: Sequence[dt.datetime], currency: str | None
) -> Document:
    conditions: Document = {
        "stripe_account": stripe_account,
        **{name: {"$in": list(allowed)} for name, allowed in metric.where.items()},
        metric.date: {"$gte": to_milliseconds(edges[0]), "$lt": to_milliseconds(edges[-1])},
        **{name: {"$gt": 0} for name in metric.above_zero},
    }
    if currency is not None:  # which the metric may narrow, too
        narrowed = {*metric.where.get(metric.currency, (currency,))} & {currency}
        conditions[metric.currency] = {"$in": sorted(narrowed)}
    return conditions


def _group(metric: Metric, runs: Sequence[Span]) -> Document:
    """Groups: bounded by the number of cells, of currencies and of what is kept apart."""
    kept_apart = {f"by_{number}": f"${name}" for number, name in enumerate(metric.by)}
    cell = cell_of(f"${metric.date}", runs)
    return {
        "_id": {"cell": cell, "currency": f"${metric.currency}", **kept_apart},
        "count": {"$sum": 1},
        **{f"sum_{number}": {"$sum": f"${name}"} for number, name in enumerate(metric.columns)},
    }


def _cells(
    metric: Metric, groups: Sequence[Document], bucket_of_cell: Sequence[int]
) -> Iterator[Cell]:
    for group in groups:
        place = group["_id"]
        kept_apart = tuple(place[f"by_{number}"] for number in range(len(metric.by)))
        sums = {name: group[f"sum_{number}"] for number, name in enumerate(metric.columns)}
        bucket = bucket_of_cell[int(place["cell"])]
        yield bucket, place["currency"], kept_apart, sums, group["count"]
