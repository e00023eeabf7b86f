"""Remembered figures in MongoDB: one document a bucket. The marks are raised by `day_marks`."""

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pymongo import DeleteMany, UpdateOne
from typing_extensions import override

from application.analytics.remembered_port import (
    MAX_BUCKETS,
    Asked,
    Bucket,
    Mark,
    Remembered,
    RememberedFigures,
)
from domain.errors import Unavailable
from infrastructure.day_marks import rows_from_text, rows_to_text
from infrastructure.mongo.core.collection import BY_ID, Document, Indexes, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.day_marks import MARKS, mark_id
from infrastructure.mongo.deployment import DEPLOYMENT

_FIGURES: Final = "billing.remembered_figures"
_LAST_PLACE: Final = "remembered_figures"

INDEXES: Final[Indexes] = {_FIGURES: [index("place")]}

_AGE: Final = {"$subtract": ["$$NOW", "$raised_at"]}
"""In milliseconds, by the server's clock, which also says when a mark is raised."""


class MongoRememberedFigures(RememberedFigures):
    """RememberedFigures on MongoDB. An `_id` tells what was asked, and the bucket."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def marks(self, stripe_account: str, noun: str, days: range) -> Sequence[Mark]:
        within = {
            "$gte": mark_id((stripe_account, noun, days.start)),
            "$lt": mark_id((stripe_account, noun, days.stop)),
        }
        found = await self._database.collection(MARKS).aggregate(
            [{"$match": {"_id": within}}, {"$project": {"number": 1, "age": _AGE}}], hint=BY_ID
        )
        return [
            Mark(
                document["_id"]["day"],
                document["number"],
                dt.timedelta(milliseconds=document["age"]),
            )
            for document in found
        ]

    @override
    async def recall(self, asked: Asked, buckets: Sequence[Bucket]) -> Sequence[Remembered]:
        found = await self._database.collection(_FIGURES).find(
            {"_id": {"$in": [_id(asked, bucket) for bucket in buckets]}}, limit=MAX_BUCKETS
        )
        return [
            Remembered(
                (document["_id"]["start"], document["_id"]["end"]),
                document["marks"],
                rows_from_text(document["rows"]),
            )
            for document in found
        ]

    @override
    async def keep(self, asked: Asked, entries: Sequence[Remembered], most: int) -> None:
        counted = await self._database.collection(DEPLOYMENT).upsert(
            {"_id": _LAST_PLACE}, {"$inc": {"place": len(entries)}}
        )
        last = counted["place"]
        before = last - len(entries)
        written = [
            UpdateOne(
                {"_id": _id(asked, entry.bucket)},
                {
                    "$set": {
                        "marks": entry.marks,
                        "rows": rows_to_text(entry.rows),
                        "place": before + number,
                    }
                },
                upsert=True,
            )
            for number, entry in enumerate(entries, 1)
        ]
        figures = self._database.collection(_FIGURES)
        await figures.write(written)
        if last > most:
            with suppress(Unavailable):  # the driver sends it once; the next one forgets them
                await figures.write([DeleteMany({"place": {"$lte": last - most}})])


def _id(asked: Asked, bucket: Bucket) -> Document:
    return {
        "stripe_account": asked.stripe_account,
        "metric": asked.digest,
        "currency": asked.currency,
        "start": bucket[0],
        "end": bucket[1],
    }
