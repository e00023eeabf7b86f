"""Store subscriptions in MongoDB: one document for each checkout of what recurs.

Documents of the old module are in the same collection. They lack `revision`, and are never read.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.checkouts.ports import MAX_SUBSCRIPTIONS, StoreSubscriptions
from domain.errors import AlreadyExists, Reason
from domain.periods import to_milliseconds
from domain.store_products import ProductKind
from domain.store_subscriptions import StoreSubscription
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_SUBSCRIPTIONS: Final = "_store.subscriptions"
_OURS: Final = {"revision": {"$gt": 0}}
_SOLD: Final = "seller"
_DUE: Final = "due"

INDEXES: Final[Indexes] = {
    _SUBSCRIPTIONS: [
        index("listing", unique=True, partialFilterExpression={"listing": {"$exists": True}}),
        index("account", "_id", partialFilterExpression=_OURS),
        index("sold_by", "_id", name=_SOLD, partialFilterExpression={"sold_by": {"$exists": True}}),
        index("due_at", "_id", name=_DUE, partialFilterExpression={"due_at": {"$exists": True}}),
        index("stripe", partialFilterExpression=_OURS),
    ],
}  # fmt: skip


class MongoStoreSubscriptions(StoreSubscriptions):
    """`application.checkouts.ports.StoreSubscriptions` on MongoDB. `_id` is the checkout's id.

    `listing` is the account of a listing that stands, `sold_by` the seller of what stands: an ended
    one has neither.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, subscription: StoreSubscription) -> StoreSubscription:
        try:
            await self._subscriptions.insert_one(_document(subscription))
        except Duplicate as error:
            standing = await self._by_id(subscription.id)
            if standing is None:
                raise _second_listing(subscription) from error
            return standing
        return subscription

    @override
    async def put(self, subscription: StoreSubscription) -> bool:
        document = _document(subscription)
        where = {"_id": document.pop("_id"), "revision": subscription.revision - 1}
        absent = {name: "" for name in ("listing", "sold_by", "due_at") if name not in document}
        update = {"$set": document, **({"$unset": absent} if absent else {})}
        try:
            return await self._subscriptions.update_one(where, update)
        except Duplicate as error:
            raise _second_listing(subscription) from error

    @override
    async def get(self, account: str, subscription: str) -> StoreSubscription | None:
        standing = await self._by_id(subscription)
        return standing if standing is not None and standing.account == account else None

    @override
    async def list(self, account: str, *, after: str, limit: int) -> Sequence[StoreSubscription]:
        where = {"account": account, "_id": {"$gt": after}, **_OURS}
        return await self._page(where, [("_id", ASCENDING)], "account__id", limit)

    @override
    async def has_listing(self, account: str) -> bool:
        return await self._subscriptions.find_one({"listing": account}) is not None

    @override
    async def list_sold(
        self, account: str, *, after: str, limit: int
    ) -> Sequence[StoreSubscription]:
        where = {"sold_by": account, "_id": {"$gt": after}}
        return await self._page(where, [("_id", ASCENDING)], _SOLD, limit)

    @override
    async def find(self, stripe_account: str, subscription: str) -> StoreSubscription | None:
        where = {"stripe": f"{stripe_account}/{subscription}", **_OURS}
        found = await self._subscriptions.find(where, limit=1, hint="stripe")
        return _subscription(found[0]) if found else None

    @override
    async def list_due(
        self, *, now: dt.datetime, after: tuple[dt.datetime, str] | None = None, limit: int
    ) -> Sequence[StoreSubscription]:
        where: dict[str, Any] = {"due_at": {"$lte": to_milliseconds(now)}}
        if after is not None:
            since = to_milliseconds(after[0])
            where["due_at"]["$gte"] = since
            where["$or"] = [{"due_at": {"$gt": since}}, {"_id": {"$gt": after[1]}}]
        order = [("due_at", ASCENDING), ("_id", ASCENDING)]
        return await self._page(where, order, _DUE, limit)

    async def _page(
        self, where: Mapping[str, Any], order: Sequence[tuple[str, int]], hint: str, limit: int
    ) -> Sequence[StoreSubscription]:
        if not 1 <= limit <= MAX_SUBSCRIPTIONS:
            raise ValueError(f"limit: 1 to {MAX_SUBSCRIPTIONS:,}")
        documents = await self._subscriptions.find(where, sort=order, limit=limit, hint=hint)
        return [_subscription(document) for document in documents]

    async def _by_id(self, subscription: str) -> StoreSubscription | None:
        document = await self._subscriptions.find_one({"_id": subscription, **_OURS})
        return None if document is None else _subscription(document)

    @property
    def _subscriptions(self) -> Collection:
        return self._database.collection(_SUBSCRIPTIONS)


def _second_listing(subscription: StoreSubscription) -> AlreadyExists:
    return AlreadyExists(
        Reason.LISTING_EXISTS,
        "the account has a listing already",
        metadata={"account": subscription.account},
    )


def _document(subscription: StoreSubscription) -> Document:
    known = (each for each in (subscription.renewal, subscription.sellers) if each is not None)
    document: Document = {
        "_id": subscription.id,
        "account": subscription.account,
        "revision": subscription.revision,
        "stripe": [f"{each.stripe_account}/{each.id}" for each in known],
        "subscription": to_builtins(subscription),
    }
    if subscription.stands and subscription.kind is ProductKind.LISTING:
        document["listing"] = subscription.account
    if subscription.stands and subscription.seller is not None:
        document["sold_by"] = subscription.seller
    if (due := subscription.cost_due_at) is not None:
        document["due_at"] = to_milliseconds(due)
    return document


def _subscription(document: Mapping[str, Any]) -> StoreSubscription:
    return msgspec.convert(document["subscription"], StoreSubscription)
