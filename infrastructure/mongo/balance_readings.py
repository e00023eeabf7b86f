"""Readings of balances in MongoDB: one document an account and hour."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from typing_extensions import override

from application.payouts.ports import BalanceReadings
from domain.balances import HOUR_MS, BalanceReading
from infrastructure.documents import check_bounds, to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    DESCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.keys import restored, storable

_READINGS: Final = "billing.balance_readings"
_BY_HOUR: Final = "stripe_account_hour"

INDEXES: Final[Indexes] = {_READINGS: [index("stripe_account", "hour")]}


class MongoBalanceReadings(BalanceReadings):
    """BalanceReadings on MongoDB. `_id` is `"<Stripe account>/<hour>"`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def last(self, stripe_account: str) -> BalanceReading | None:
        found = await self._readings.find(
            {"stripe_account": stripe_account}, sort=[("hour", DESCENDING)], limit=1, hint=_BY_HOUR
        )
        return _reading(found[0]) if found else None

    @override
    async def keep(self, stripe_account: str, reading: BalanceReading) -> None:
        id_ = f"{stripe_account}/{reading.hour}"
        document = {
            "_id": id_,
            "stripe_account": stripe_account,
            "hour": reading.hour,
            **storable(to_builtins(reading)),
        }
        earlier = {"_id": id_, "start_ms": {"$lt": reading.start_ms}}
        with suppress(Duplicate):  # a later one of the hour is there
            await self._readings.replace_one(earlier, document)

    @override
    async def between(
        self, stripe_account: str, start_ms: int, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        check_bounds(limit)
        found = await self._readings.find(
            {
                "stripe_account": stripe_account,
                "hour": {"$gte": start_ms // HOUR_MS, "$lte": end_ms // HOUR_MS},
                "start_ms": {"$gte": start_ms, "$lt": end_ms},
            },
            sort=[("hour", ASCENDING)],
            limit=limit,
            hint=_BY_HOUR,
        )
        return [_reading(document) for document in found]

    @override
    async def before(
        self, stripe_account: str, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        check_bounds(limit)
        found = await self._readings.find(
            {
                "stripe_account": stripe_account,
                "hour": {"$lte": end_ms // HOUR_MS},
                "start_ms": {"$lt": end_ms},
            },
            sort=[("hour", DESCENDING)],
            limit=limit,
            hint=_BY_HOUR,
        )
        return [_reading(document) for document in found]

    @property
    def _readings(self) -> Collection:
        return self._database.collection(_READINGS)


def _reading(document: Document) -> BalanceReading:
    return msgspec.convert(restored(document), BalanceReading)
