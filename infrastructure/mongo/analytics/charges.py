"""The analytics port: pipelines over the mirror's columns, answered from one covering index."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from application.analytics.ports import StatusRow, VolumeRow
from application.mirror.nouns import CHARGES
from domain.periods import Span, spans, to_milliseconds
from infrastructure.mongo.core.collection import Document
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.rows import mirror_index

_COVERING: Final = mirror_index(("status", "created", "currency", "amount_captured"))


class MongoAnalytics:
    """Analytics on MongoDB. A bucket is computed from spans: integers only, no time zone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gross_volume(
        self, stripe_account: str, edges: Sequence[dt.datetime], currency: str | None
    ) -> Sequence[VolumeRow]:
        rows = await self._by_bucket(
            _charges(stripe_account, edges, currency, ["succeeded"]),
            edges,
            {"currency": "$currency"},
            {"amount": {"$sum": "$amount_captured"}},
        )
        return [
            VolumeRow(
                bucket=int(row["_id"]["bucket"]),
                currency=row["_id"]["currency"],
                amount=row["amount"],
                count=row["count"],
            )
            for row in rows
        ]

    async def charge_counts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None,
        statuses: Sequence[str],
    ) -> Sequence[StatusRow]:
        rows = await self._by_bucket(
            _charges(stripe_account, edges, currency, statuses),
            edges,
            {"currency": "$currency", "status": "$status"},
            {},
        )
        return [
            StatusRow(
                bucket=int(row["_id"]["bucket"]),
                currency=row["_id"]["currency"],
                status=row["_id"]["status"],
                count=row["count"],
            )
            for row in rows
        ]

    async def _by_bucket(
        self, where: Document, edges: Sequence[dt.datetime], by: Document, sums: Document
    ) -> list[Document]:
        """Groups of charges: bounded by the number of buckets, of currencies and of statuses."""
        return await self._database.collection(CHARGES.collection).aggregate(
            [
                {"$match": where},
                {
                    "$group": {
                        "_id": {"bucket": bucket_of("$created", spans(edges)), **by},
                        "count": {"$sum": 1},
                        **sums,
                    }
                },
            ],
            hint=_COVERING,
        )


def bucket_of(column: str, runs: Sequence[Span]) -> Any:
    """The expression of a row's bucket; `column` must lie within the spans.

    A balanced tree of conditions, since months over twenty years are some two hundred spans.
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
            bucket_of(column, runs[:middle]),
            bucket_of(column, runs[middle:]),
        ]
    }


def _charges(
    stripe_account: str,
    edges: Sequence[dt.datetime],
    currency: str | None,
    statuses: Sequence[str],
) -> Document:
    period = {"$gte": to_milliseconds(edges[0]), "$lt": to_milliseconds(edges[-1])}
    narrowed = {} if currency is None else {"currency": currency}
    return {
        "stripe_account": stripe_account,
        "status": {"$in": list(statuses)},
        "created": period,
        **narrowed,
    }
