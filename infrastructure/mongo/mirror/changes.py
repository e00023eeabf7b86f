"""Changes of kept columns in MongoDB: they stand in the row itself, so that one write has both."""

from collections.abc import Sequence
from typing import Any, Final

from typing_extensions import override

from application.mirror.ports import MAX_CHANGES, Change, ChangePlace, Changes, Noun, T
from infrastructure.mongo.core.collection import ASCENDING, DESCENDING, Document, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.rows import CHANGED_AT, CHANGES

_BY_CHANGE: Final = "stripe_account_changed_at"

CHANGED: Final = index(
    *("stripe_account", CHANGED_AT),
    name=_BY_CHANGE,
    # Hardly a row is ever changed: the others cost the index nothing.
    partialFilterExpression={CHANGED_AT: {"$gt": 0}},
)
"""The index of the rows with changes, by the last one."""

_ORDER: Final = ("known_at", "id", "revision")


class MongoChanges(Changes):
    """Changes on MongoDB. A page looks at the rows that were changed at or after its end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def list(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace | None, limit: int
    ) -> Sequence[Change]:
        beyond = {} if after is None else _beyond(after, "$lt")
        where = {f"{CHANGES}.restates": True, **beyond}
        return await self._find(noun, stripe_account, 1, where, DESCENDING, limit)

    @override
    async def since(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace, limit: int
    ) -> Sequence[Change]:
        since, where = max(after[0], 1), _beyond(after, "$gt")
        return await self._find(noun, stripe_account, since, where, ASCENDING, limit)

    async def _find(
        self,
        noun: Noun[Any],
        stripe_account: str,
        since: int,
        where: Document,
        direction: int,
        limit: int,
    ) -> Sequence[Change]:
        if not 1 <= limit <= MAX_CHANGES:
            raise ValueError(f"limit: from 1 to {MAX_CHANGES}")
        found = await self._database.collection(noun.collection).aggregate(
            [
                {"$match": {"stripe_account": stripe_account, CHANGED_AT: {"$gte": since}}},
                {"$project": {"_id": 0, "id": 1, CHANGES: 1}},
                {"$unwind": f"${CHANGES}"},
                {"$match": where},
                {"$sort": {_path(name): direction for name in _ORDER}},
                {"$limit": limit},
            ],
            hint=_BY_CHANGE,
        )
        return [_change(stripe_account, document) for document in found]


def _beyond(place: ChangePlace, side: str) -> Document:
    known_at, id_, revision = place
    tied = {_path("known_at"): known_at}
    return {
        "$or": [
            {_path("known_at"): {side: known_at}},
            {**tied, "id": {side: id_}},
            {**tied, "id": id_, _path("revision"): {side: revision}},
        ]
    }


def _path(name: str) -> str:
    return name if name == "id" else f"{CHANGES}.{name}"


def _change(stripe_account: str, document: Document) -> Change:
    kept = document[CHANGES]
    return Change(
        stripe_account,
        document["id"],
        kept["revision"],
        kept["first_known_at"],
        kept["known_at"],
        kept["before"],
        kept["after"],
        kept["restates"],
    )
