"""Buyers in MongoDB: `_id` and a unique index hold an account and a customer to each other."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.wallet.ports import Buyers
from domain.errors import AlreadyExists, Reason
from domain.wallets import Buyer
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import Collection, Duplicate, Indexes, index
from infrastructure.mongo.core.database import Database

_BUYERS: Final = "billing.buyers"

INDEXES: Final[Indexes] = {_BUYERS: [index("stripe_account", "customer", unique=True)]}


class MongoBuyers(Buyers):
    """`application.wallet.ports.Buyers` on MongoDB. `_id` tells the account and where it buys.

    The collection is small and stays unsharded, since its index is on other fields than `_id`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, buyer: Buyer) -> Buyer:
        document = to_builtins(buyer) | {"_id": _id(buyer.account, buyer.stripe_account)}
        try:
            await self._buyers.insert_one(document)
        except Duplicate as error:
            standing = await self.get(buyer.account, buyer.stripe_account)
            if standing is None:
                raise AlreadyExists(
                    Reason.CUSTOMER_LINKED,
                    "another account is this customer there",
                    metadata={"customer": buyer.customer},
                ) from error
            return standing
        return buyer

    @override
    async def get(self, account: str, stripe_account: str) -> Buyer | None:
        return _buyer(await self._buyers.find_one({"_id": _id(account, stripe_account)}))

    @override
    async def find(self, stripe_account: str, customer: str) -> Buyer | None:
        where = {"stripe_account": stripe_account, "customer": customer}
        return _buyer(await self._buyers.find_one(where))

    @property
    def _buyers(self) -> Collection:
        return self._database.collection(_BUYERS)


def _id(account: str, stripe_account: str) -> str:
    return f"{account}/{stripe_account}"


def _buyer(document: Mapping[str, Any] | None) -> Buyer | None:
    return None if document is None else msgspec.convert(document, Buyer)
