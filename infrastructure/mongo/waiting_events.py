"""The waiting events port: one document an event, `_id` the event's id.

The collection and its `parked_at` bear a former name.
"""

from collections.abc import Sequence
from typing import Final

from pymongo import DeleteOne
from typing_extensions import override

from application.effects.waiting import WaitingEvent, WaitingEvents
from infrastructure.documents import check_bounds
from infrastructure.mongo.core.collection import ASCENDING, Collection, Indexes, index
from infrastructure.mongo.core.database import Database

_WAITING: Final = "billing.parked_events"
_BY_ACCOUNT: Final = "stripe_account_event"

INDEXES: Final[Indexes] = {_WAITING: [index("stripe_account", "_id", name=_BY_ACCOUNT)]}


class MongoWaitingEvents(WaitingEvents):
    """WaitingEvents on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, events: Sequence[WaitingEvent]) -> None:
        check_bounds(len(events))
        if events:
            await self._events.insert_many(
                [
                    {
                        "_id": event.event_id,
                        "stripe_account": event.stripe_account,
                        "parked_at": event.since,
                    }
                    for event in events
                ]
            )

    @override
    async def of(self, stripe_account: str, *, after: str, limit: int) -> Sequence[WaitingEvent]:
        check_bounds(limit)
        found = await self._events.find(
            {"stripe_account": stripe_account, "_id": {"$gt": after}},
            sort=[("_id", ASCENDING)],
            limit=limit,
            hint=_BY_ACCOUNT,
        )
        return [
            WaitingEvent(document["_id"], document["stripe_account"], document["parked_at"])
            for document in found
        ]

    @override
    async def remove(self, stripe_account: str, event_ids: Sequence[str]) -> None:
        check_bounds(len(event_ids))
        if event_ids:
            await self._events.write(
                [DeleteOne({"_id": id_, "stripe_account": stripe_account}) for id_ in event_ids]
            )

    @override
    async def next_stripe_account(self, *, after: str) -> str | None:
        found = await self._events.find(
            {"stripe_account": {"$gt": after}},
            fields={"stripe_account": 1},
            sort=[("stripe_account", ASCENDING)],
            limit=1,
            hint=_BY_ACCOUNT,
        )
        return str(found[0]["stripe_account"]) if found else None

    @override
    async def count(self) -> int:
        return await self._events.count({}, hint=_BY_ACCOUNT)

    @property
    def _events(self) -> Collection:
        return self._database.collection(_WAITING)
