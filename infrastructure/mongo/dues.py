"""What is due of facts, in MongoDB: one document a subject."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from pymongo import DeleteOne, UpdateOne
from typing_extensions import override

from application.facts.ports import Due, Dues, Topic
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds
from infrastructure.mongo.core.collection import (
    ASCENDING,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_DUES: Final = "billing.facts_due"
_BY_TIME: Final = "due_at_stripe_account_topic_subject"
_BY_ACCOUNT: Final = "stripe_account_due_at"

INDEXES: Final[Indexes] = {
    _DUES: [
        index("due_at", "stripe_account", "topic", "subject", name=_BY_TIME),
        index("stripe_account", "due_at", name=_BY_ACCOUNT),
    ],
}


class MongoDues(Dues):
    """Dues on MongoDB. `_id` is `"<Stripe account>/<topic>/<subject>"`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def plan(self, dues: Sequence[Due]) -> None:
        check_bounds(len(dues))
        earliest: dict[str, Due] = {}
        for due in dues:
            standing = earliest.setdefault(_id(due), due)
            if due.due_at < standing.due_at:
                earliest[_id(due)] = due
        planned = [_planned(due) for due in earliest.values()]
        while planned:  # of two that make one document at once, one is refused: it is there now
            _, refused = await self._dues.write(planned)
            planned = [planned[place] for place in sorted(refused)]

    @override
    async def due(self, now: dt.datetime, *, limit: int) -> Sequence[Due]:
        check_bounds(limit)
        found = await self._dues.find(
            {"due_at": {"$lte": to_milliseconds(now)}},
            sort=[
                ("due_at", ASCENDING),
                ("stripe_account", ASCENDING),
                ("topic", ASCENDING),
                ("subject", ASCENDING),
            ],
            limit=limit,
            hint=_BY_TIME,
        )
        return [
            Due(
                document["stripe_account"],
                Topic(document["topic"]),
                document["subject"],
                from_milliseconds(document["due_at"]),
            )
            for document in found
        ]

    @override
    async def move(self, due: Due, to: dt.datetime | None) -> None:
        where = {"_id": _id(due), "due_at": to_milliseconds(due.due_at)}
        if to is None:
            await self._dues.write([DeleteOne(where)])
        else:
            await self._dues.update_one(where, {"$set": {"due_at": to_milliseconds(to)}})

    @override
    async def earliest(self, stripe_account: str) -> dt.datetime | None:
        found = await self._dues.find(
            {"stripe_account": stripe_account},
            sort=[("due_at", ASCENDING)],
            limit=1,
            hint=_BY_ACCOUNT,
        )
        return from_milliseconds(found[0]["due_at"]) if found else None

    @property
    def _dues(self) -> Collection:
        return self._database.collection(_DUES)


def _id(due: Due) -> str:
    return f"{due.stripe_account}/{due.topic}/{due.subject}"


def _planned(due: Due) -> UpdateOne:
    fixed: Document = {
        "stripe_account": due.stripe_account,
        "topic": str(due.topic),
        "subject": due.subject,
    }
    update = {"$setOnInsert": fixed, "$min": {"due_at": to_milliseconds(due.due_at)}}
    return UpdateOne({"_id": _id(due)}, update, upsert=True)
