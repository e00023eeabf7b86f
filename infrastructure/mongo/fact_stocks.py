"""Stocks of facts that are remembered, in MongoDB: one document a series and day."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from pymongo import UpdateOne
from typing_extensions import override

from application.analytics.fact_figures import BEFORE, FactSum
from application.analytics.remembered_facts import FactStocks, Stock
from domain.facts import Series
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import DESCENDING, Collection, Document, Indexes, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.facts import BY_KNOWLEDGE, FACTS

_STOCKS: Final = "billing.fact_stocks"
_BY_INSTANT: Final = "stripe_account_series_at"
_APART: Final = ("currency", "kind", "cause", "product")

INDEXES: Final[Indexes] = {_STOCKS: [index("stripe_account", "series", "at", name=_BY_INSTANT)]}


class MongoFactStocks(FactStocks):
    """FactStocks on MongoDB. `_id` is `"<Stripe account>/<series>/<milliseconds>"`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def recall(self, stripe_account: str, series: Series, at: dt.datetime) -> Stock | None:
        found = await self._stocks.find(
            {
                "stripe_account": stripe_account,
                "series": str(series),
                "at": {"$lte": to_milliseconds(at)},
            },
            sort=[("at", DESCENDING)],
            limit=1,
            hint=_BY_INSTANT,
        )
        if not found:
            return None
        began, known_by = (from_milliseconds(found[0][name]) for name in ("at", "known_by"))
        sums = msgspec.convert(found[0]["sums"], list[FactSum])
        return Stock(stripe_account, series, began, known_by, sums)

    @override
    async def keep(self, stock: Stock) -> None:
        document: Document = {
            "stripe_account": stock.stripe_account,
            "series": str(stock.series),
            "at": to_milliseconds(stock.at),
            "known_by": to_milliseconds(stock.known_by),
            "sums": to_builtins(stock.sums),
        }
        newer = {"$gt": [document["known_by"], {"$ifNull": ["$known_by", -1]}]}
        told = {"$mergeObjects": ["$$ROOT", {"$literal": document}]}
        update = [{"$replaceWith": {"$cond": [newer, told, "$$ROOT"]}}]
        id_ = f"{stock.stripe_account}/{stock.series}/{document['at']}"
        await self._stocks.write([UpdateOne({"_id": id_}, update, upsert=True)])

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
        known = {"$gt": to_milliseconds(known_after)}
        if known_by is not None:
            known["$lte"] = to_milliseconds(known_by)
        match = {
            "stripe_account": stripe_account,
            "series": str(series),
            "known_at": known,
            "at": {"$lt": to_milliseconds(before)},
        }
        group = {
            "_id": {name: f"${name}" for name in _APART},
            "amount": {"$sum": "$amount"},
            "count": {"$sum": "$count"},
        }
        facts = self._database.collection(FACTS)
        found = await facts.aggregate([{"$match": match}, {"$group": group}], hint=BY_KNOWLEDGE)
        return [_sum(each) for each in found]

    @property
    def _stocks(self) -> Collection:
        return self._database.collection(_STOCKS)


def _sum(found: Document) -> FactSum:
    currency, kind, cause, product = (found["_id"][name] for name in _APART)
    return FactSum(BEFORE, currency, kind, cause, product, found["amount"], found["count"])
