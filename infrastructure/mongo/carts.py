"""Carts in MongoDB: one document an account, whose id is its `_id`.

Documents of the old module are in the same collection. They lack `revision`, and are never read.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pymongo import DeleteOne
from typing_extensions import override

from application.checkouts.ports import Carts
from domain.carts import Cart, CartItem
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import Collection
from infrastructure.mongo.core.database import Database

_CARTS: Final = "_store.cart"


class MongoCarts(Carts):
    """`application.checkouts.ports.Carts` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, account: str, item: CartItem, *, new_id: str, at: dt.datetime) -> Cart:
        values = {"item": to_builtins(item), "updated_at": at}
        document = await self._carts.upsert(
            {"_id": account},
            {"$set": values, "$setOnInsert": {"id": new_id}, "$inc": {"revision": 1}},
        )
        return _cart(document)

    @override
    async def get(self, account: str) -> Cart | None:
        document = await self._carts.find_one({"_id": account, "revision": {"$gt": 0}})
        return None if document is None else _cart(document)

    @override
    async def remove(self, cart: Cart) -> bool:
        where = {"_id": cart.account, "id": cart.id, "revision": cart.revision}
        removed, _ = await self._carts.write([DeleteOne(where)])
        return removed == 1

    @property
    def _carts(self) -> Collection:
        return self._database.collection(_CARTS)


def _cart(document: Mapping[str, Any]) -> Cart:
    item = msgspec.convert(document["item"], CartItem)
    return Cart(document["id"], document["_id"], item, document["updated_at"], document["revision"])
