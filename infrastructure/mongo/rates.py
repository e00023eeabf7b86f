"""Exchange rates in MongoDB: one document a base currency, currency and day."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from typing_extensions import override

from application.analytics.ports import MAX_RATES, Rates
from domain.rates import Place, Rate
from infrastructure.mongo.core.collection import (
    ASCENDING,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_RATES: Final = "billing.rates"
_BY_CURRENCY: Final = "account_base_currency_date"

INDEXES: Final[Indexes] = {_RATES: [index("account", "base", "currency", "date")]}

_IN_ORDER: Final = [("currency", ASCENDING), ("date", ASCENDING)]
_MOST_FOUND: Final = 1_000_000
"""More than all currencies that Stripe knows have in the longest period that can be asked for."""


class MongoRates(Rates):
    """Rates on MongoDB. `_id` tells base, day, currency and account: so each is written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def standing(self, account: str, base: str, places: Sequence[Place]) -> Sequence[Rate]:
        ids = [_id(account, base, place) for place in places]
        found = await self._rates.find({"_id": {"$in": ids}}, limit=max(1, len(ids)))
        return [_rate(document) for document in found]

    @override
    async def add(self, account: str, base: str, rates: Sequence[Rate]) -> None:
        if rates:
            await self._rates.insert_many([_document(account, base, rate) for rate in rates])

    @override
    async def list(
        self, account: str, base: str, currency: str | None, *, after: Place | None, limit: int
    ) -> Sequence[Rate]:
        if not 1 <= limit <= MAX_RATES:
            raise ValueError(f"limit: 1 to {MAX_RATES}")
        own: Document = {"account": account, "base": base}
        where: Any = own if currency is None else {**own, "currency": currency}
        if after is not None:
            date, last = str(after[0]), after[1]
            rest = {**where, "currency": last, "date": {"$gt": date}}
            later = {**own, "currency": {"$gt": last}}
            where = rest if currency is not None else {"$or": [rest, later]}
        found = await self._rates.find(where, sort=_IN_ORDER, limit=limit, hint=_BY_CURRENCY)
        return [_rate(document) for document in found]

    @override
    async def find(
        self, account: str, base: str, currencies: Sequence[str], first: dt.date, last: dt.date
    ) -> Sequence[Rate]:
        found = await self._rates.find(
            {
                "account": account,
                "base": base,
                "currency": {"$in": list(currencies)},
                "date": {"$gte": str(first), "$lte": str(last)},
            },
            limit=_MOST_FOUND,
            hint=_BY_CURRENCY,
        )
        return [_rate(document) for document in found]

    @property
    def _rates(self) -> Collection:
        return self._database.collection(_RATES)


def _id(account: str, base: str, place: Place) -> str:
    date, currency = place
    return f"{base}/{date}/{currency}/{account}"


def _document(account: str, base: str, rate: Rate) -> Document:
    return {
        "_id": _id(account, base, rate.place),
        "account": account,
        "base": base,
        "currency": rate.currency,
        "date": str(rate.date),
        "rate": rate.rate,
    }


def _rate(document: Document) -> Rate:
    return Rate(dt.date.fromisoformat(document["date"]), document["currency"], document["rate"])
