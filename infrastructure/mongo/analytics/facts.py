"""Sums of facts in MongoDB: pipelines over the index by time; no document is read."""

import asyncio
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from typing_extensions import override

from application.analytics.fact_figures import BEFORE, CohortSums, FactFigures, FactSum
from domain.cohorts import CohortSum
from domain.facts import Series
from domain.mrr import CHURN, MOVEMENTS, NEW, SEAM
from domain.periods import cells, from_milliseconds, to_milliseconds
from infrastructure.mongo.analytics.engine import cell_of
from infrastructure.mongo.core.collection import ASCENDING, Collection, Document
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.facts import BY_CUSTOMER, BY_TIME, FACTS

_BY_KNOWLEDGE: Final = "stripe_account_series_known_at"
_APART: Final = ("currency", "kind", "cause", "product")

_TOGETHER: Final = 10_000
"""Of how many customers it is asked at once what moved them."""

_AT_ONCE: Final = 4
"""How many of these questions are asked at once."""

_BEGINS: Final = [{"kind": NEW}, {"kind": SEAM, "cause": NEW}]

_Place = tuple[int, str, str, str, str]


class MongoFactFigures(FactFigures):
    """FactFigures on MongoDB. Groups are bounded by buckets, currencies, kinds and products."""

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
        first, last = to_milliseconds(edges[0]), to_milliseconds(edges[-1])
        runs, bucket_of_cell = cells(edges)
        within = self._grouped(
            _match(stripe_account, series, {"$gte": first, "$lt": last}, known_by),
            cell_of("$at", runs),
        )
        if not opening:
            return _summed([(bucket_of_cell[int(cell)], group) for cell, group in await within])
        before = self._grouped(
            _match(stripe_account, series, {"$lt": first}, known_by), {"$literal": BEFORE}
        )
        inside, earlier = await asyncio.gather(within, before)
        found = [(bucket_of_cell[int(cell)], group) for cell, group in inside]
        return _summed([*((BEFORE, group) for _, group in earlier), *found])

    @override
    async def lost(
        self,
        stripe_account: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        known_by: dt.datetime | None = None,
    ) -> int:
        opened, ended = to_milliseconds(start), to_milliseconds(end)
        match = _match(stripe_account, Series.MRR, {"$gte": opened, "$lt": ended}, known_by)
        churned = await self._facts.aggregate(
            [
                {"$match": {**match, "kind": CHURN}},
                {"$group": {"_id": "$customer", "count": {"$sum": "$count"}}},
                {"$match": {"count": {"$lt": 0}}},
            ],
            hint=BY_TIME,
        )
        customers = [group["_id"] for group in churned]
        match = _match(stripe_account, Series.MRR, {"$lt": opened}, known_by)
        lost = 0
        for first in range(0, len(customers), _TOGETHER):
            some = {"$in": customers[first : first + _TOGETHER]}
            found = await self._facts.aggregate(
                [
                    {"$match": {**match, "customer": some, "kind": {"$in": list(MOVEMENTS)}}},
                    {"$group": {"_id": "$customer", "count": {"$sum": "$count"}}},
                    {"$match": {"count": {"$gt": 0}}},
                    {"$count": "lost"},
                ],
                hint=BY_CUSTOMER,
            )
            lost += int(found[0]["lost"]) if found else 0
        return lost

    @override
    async def cohorts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        *,
        known_by: dt.datetime | None = None,
    ) -> CohortSums:
        first, last = to_milliseconds(edges[0]), to_milliseconds(edges[-1])
        runs, month_of_cell = cells(edges)
        within = {"$gte": first, "$lt": last}
        match = _match(stripe_account, Series.MRR, within, known_by)
        month = cell_of("$at", runs)
        began = await self._facts.aggregate(
            [
                {"$match": {**match, "$or": _BEGINS}},
                # What was posted wrongly at first was taken back at its own instant.
                {"$group": {"_id": {"of": "$customer", "cell": month}, "n": {"$sum": "$count"}}},
                {"$match": {"n": {"$gt": 0}}},
            ],
            hint=BY_TIME,
        )
        customers: dict[int, list[str]] = defaultdict(list)
        for group in began:
            customers[month_of_cell[int(group["_id"]["cell"])]].append(group["_id"]["of"])
        parts = [
            (cohort, sorted(each)[start : start + _TOGETHER])
            for cohort, each in sorted(customers.items())
            for start in range(0, len(each), _TOGETHER)
        ]
        sums: list[CohortSum] = []
        for place in range(0, len(parts), _AT_ONCE):
            some = parts[place : place + _AT_ONCE]
            moved = await asyncio.gather(*(self._moved(match, month, each) for _, each in some))
            sums += [
                CohortSum(
                    cohort, month_of_cell[int(group["_id"]["cell"])], group["_id"]["currency"],
                    group["amount"], group["count"],
                )
                for (cohort, _), groups in zip(some, moved, strict=True)
                for group in groups
            ]  # fmt: skip
        return CohortSums({cohort: len(each) for cohort, each in customers.items()}, sums)

    async def _moved(
        self, match: Document, month: Any, customers: Sequence[str]
    ) -> Sequence[Document]:
        """What moved some customers, by cell and currency."""
        his = {"customer": {"$in": customers}, "kind": {"$in": list(MOVEMENTS)}}
        place = {"cell": month, "currency": "$currency"}
        sums = {"amount": {"$sum": "$amount"}, "count": {"$sum": "$count"}}
        return await self._facts.aggregate(
            [{"$match": {**match, **his}}, {"$group": {"_id": place, **sums}}], hint=BY_CUSTOMER
        )

    @override
    async def first_known(self, stripe_account: str, series: Series) -> dt.datetime | None:
        found = await self._facts.find(
            {"stripe_account": stripe_account, "series": str(series)},
            sort=[("known_at", ASCENDING)],
            limit=1,
            hint=_BY_KNOWLEDGE,
        )
        return from_milliseconds(found[0]["known_at"]) if found else None

    async def _grouped(self, match: Document, cell: Any) -> list[tuple[Any, Document]]:
        place = {"cell": cell, **{name: f"${name}" for name in _APART}}
        groups = await self._facts.aggregate(
            [
                {"$match": match},
                {
                    "$group": {
                        "_id": place,
                        "amount": {"$sum": "$amount"},
                        "count": {"$sum": "$count"},
                    }
                },
            ],
            hint=BY_TIME,
        )
        return [(group["_id"]["cell"], group) for group in groups]

    @property
    def _facts(self) -> Collection:
        return self._database.collection(FACTS)


def _match(
    stripe_account: str, series: Series, at: Document, known_by: dt.datetime | None
) -> Document:
    known = {} if known_by is None else {"known_at": {"$lte": to_milliseconds(known_by)}}
    return {"stripe_account": stripe_account, "series": str(series), "at": at, **known}


def _summed(groups: Sequence[tuple[int, Document]]) -> Sequence[FactSum]:
    """A row a bucket, of which there may be several cells."""
    amounts, counts = Counter[_Place](), Counter[_Place]()
    for bucket, group in groups:
        currency, kind, cause, product = (group["_id"][name] for name in _APART)
        place = bucket, currency, kind, cause, product
        amounts[place] += group["amount"]
        counts[place] += group["count"]
    return [FactSum(*place, amounts[place], counts[place]) for place in amounts]
