"""The subscription history port: one document an event."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.subscriptions.history import MAX_CHANGES, SubscriptionHistory
from domain.subscription_history import SubscriptionChange
from infrastructure.documents import check_bounds, to_builtins
from infrastructure.mongo.core.collection import ASCENDING, Collection, Document, Indexes, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.keys import restored, storable

_CHANGES: Final = "billing.subscription_history"
_BY_SUBSCRIPTION: Final = "stripe_account_subscription_at_event"

INDEXES: Final[Indexes] = {
    _CHANGES: [
        index("stripe_account", "subscription.id", "at", "event_id", name=_BY_SUBSCRIPTION),
    ],
}


class MongoSubscriptionHistory(SubscriptionHistory):
    """SubscriptionHistory on MongoDB. `_id` is `"<Stripe account>/<event>"`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def append(self, changes: Sequence[SubscriptionChange]) -> None:
        if len(changes) > MAX_CHANGES:
            raise ValueError(f"at most {MAX_CHANGES} changes a call")
        if changes:
            await self._changes.insert_many(
                [
                    {
                        "_id": f"{change.stripe_account}/{change.event_id}",
                        **storable(to_builtins(change)),
                    }
                    for change in changes
                ]
            )

    @override
    async def of_subscription(
        self,
        stripe_account: str,
        subscription: str,
        *,
        after: tuple[dt.datetime, str] | None,
        limit: int,
    ) -> Sequence[SubscriptionChange]:
        check_bounds(limit)
        key = {"stripe_account": stripe_account, "subscription.id": subscription}
        where: Document = key
        if after is not None:
            at, event_id = after
            tied = {**key, "at": at, "event_id": {"$gt": event_id}}
            where = {"$or": [{**key, "at": {"$gt": at}}, tied]}
        found = await self._changes.find(
            where,
            sort=[("at", ASCENDING), ("event_id", ASCENDING)],
            limit=limit,
            hint=_BY_SUBSCRIPTION,
        )
        return [msgspec.convert(restored(document), SubscriptionChange) for document in found]

    @property
    def _changes(self) -> Collection:
        return self._database.collection(_CHANGES)
