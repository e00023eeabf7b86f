"""Wallets' settings in MongoDB: one document a wallet, with the balance that was seen last.

Documents of the old module are in the same collection. They lack `revision`, and are never read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.wallet.ports import MAX_ENTRIES, KeptSettings, WalletSettingsStore
from domain.wallets import WalletSettings
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

_SETTINGS: Final = "onebalance"
_SHORT: Final = "short"

INDEXES: Final[Indexes] = {
    _SETTINGS: [index("_id", "short", name=_SHORT, partialFilterExpression={"short": True})],
}

_IS_SHORT: Final[Document] = {
    "short": {"$and": [{"$ne": ["$threshold", None]}, {"$lt": ["$available", "$threshold"]}]}
}


class MongoWalletSettings(WalletSettingsStore):
    """`application.wallet.ports.WalletSettingsStore` on MongoDB. `_id` is the wallet's name.

    `threshold` is null where auto-reload is not armed: then a wallet is never short.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, wallet: str) -> KeptSettings | None:
        document = await self._settings.find_one({"_id": wallet, "revision": {"$gt": 0}})
        return None if document is None else _kept(document)

    @override
    async def put(self, settings: WalletSettings) -> bool:
        auto = settings.auto_reload
        values = {
            "revision": settings.revision,
            "threshold": None if auto is None or auto.off_because else auto.threshold,
            "settings": to_builtins(settings),
        }
        if settings.revision == 1:
            new = {"_id": settings.wallet, "available": 0, "sequence": 0, **values}
            new["short"] = values["threshold"] is not None and values["threshold"] > 0
            try:
                await self._settings.insert_one(new)
            except Duplicate:
                return False
            return True
        literal = {name: {"$literal": value} for name, value in values.items()}
        return await self._settings.update_one(
            {"_id": settings.wallet, "revision": settings.revision - 1},
            [{"$set": literal}, {"$set": _IS_SHORT}],
        )

    @override
    async def see(self, wallet: str, *, available: int, sequence: int) -> None:
        await self._settings.update_one(
            {"_id": wallet, "revision": {"$gt": 0}, "sequence": {"$lt": sequence}},
            [{"$set": {"available": available, "sequence": sequence}}, {"$set": _IS_SHORT}],
        )

    @override
    async def list_short(self, *, after: str, limit: int) -> Sequence[KeptSettings]:
        if not 1 <= limit <= MAX_ENTRIES:
            raise ValueError(f"limit: 1 to {MAX_ENTRIES}")
        found = await self._settings.find(
            {"short": True, "_id": {"$gt": after}},
            sort=[("_id", ASCENDING)],
            limit=limit,
            hint=_SHORT,
        )
        return [_kept(document) for document in found]

    @property
    def _settings(self) -> Collection:
        return self._database.collection(_SETTINGS)


def _kept(document: Mapping[str, Any]) -> KeptSettings:
    settings = msgspec.convert(document["settings"], WalletSettings)
    return KeptSettings(settings, document["available"], document["sequence"])
