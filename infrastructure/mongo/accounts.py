"""The accounts port: documents of the platform, of which Billing reads a few fields."""

from collections.abc import Sequence
from typing import Final

import msgspec

from domain.accounts import MAX_FLAGS, MAX_WORD, Account
from domain.errors import AlreadyExists, Reason
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import ASCENDING, Collection, Document, Duplicate
from infrastructure.mongo.core.database import Database

_ACCOUNTS: Final = "_accounts"


class MongoAccounts:
    """Accounts on MongoDB. `_id` is the account's id; fields that Billing does not know stay."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: str) -> Account | None:
        found = await self._accounts.find_one({"_id": account})
        return None if found is None else _account(found)

    async def add(self, account: Account) -> None:
        document: Document = to_builtins(account)
        document["_id"] = document.pop("id")
        try:
            await self._accounts.insert_one(document)
        except Duplicate as error:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "the account is there already", metadata={"id": account.id}
            ) from error

    async def list_all(self, *, after: str, limit: int) -> Sequence[Account]:
        found = await self._accounts.find(
            {"_id": {"$gt": after}}, sort=[("_id", ASCENDING)], limit=limit
        )
        return [_account(document) for document in found]

    @property
    def _accounts(self) -> Collection:
        return self._database.collection(_ACCOUNTS)


def _account(document: Document) -> Account:
    """What Billing reads of a document. Words that are none count as not said.

    They are the platform's own: whoever writes a flag in another form stops no account's payments.
    """
    words = {name: _word(document.get(name)) for name in ("owner", "tier")}
    flags = document.get("flags")
    known = map(_word, flags[:MAX_FLAGS]) if isinstance(flags, list) else ()
    read = {**document, **words, "flags": tuple(filter(None, known)), "id": document["_id"]}
    return msgspec.convert(read, Account)


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_WORD else ""
