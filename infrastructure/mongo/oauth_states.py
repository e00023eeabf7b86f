"""OAuth's states in MongoDB: one document a state, `_id` its digest."""

import datetime as dt
from typing import Final

from pymongo import DeleteOne
from typing_extensions import override

from application.connecting.ports import STATES_KEPT, OauthStates
from domain.oauth import Binding, OauthState
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import Collection, Document, Indexes, index
from infrastructure.mongo.core.database import Database

_STATES: Final = "billing.oauth_states"
_OPEN: Final = "open"
_PURGED: Final = 100

INDEXES: Final[Indexes] = {
    _STATES: [
        index("expires_at"),
        index("account", "used_by", "expires_at", name=_OPEN),
    ],
}


class MongoOauthStates(OauthStates):
    """OauthStates on MongoDB. One conditional update of one document uses a state up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, state: OauthState, *, now: dt.datetime) -> None:
        await self._states.insert_one(
            {
                "_id": state.digest, **_binding(state.binding), "subject": state.subject,
                "expires_at": state.expires_at, "used_by": state.used_by,
            }
        )  # fmt: skip
        ended = await self._states.find(
            {"expires_at": {"$lte": now - STATES_KEPT}}, fields={"_id": 1}, limit=_PURGED
        )
        if ended:
            await self._states.write([DeleteOne({"_id": state["_id"]}) for state in ended])

    @override
    async def count(self, account: str, *, now: dt.datetime, limit: int) -> int:
        where = {"account": account, "used_by": "", "expires_at": {"$gt": now}}
        return await self._states.count(where, hint=_OPEN, limit=limit)

    @override
    async def use(self, binding: Binding, digest: str, *, by: str, now: dt.datetime) -> bool:
        unused = {"used_by": "", "expires_at": {"$gt": now}}
        where = {"_id": digest, **_binding(binding), "$or": [{"used_by": by}, unused]}
        return await self._states.update_one(where, {"$set": {"used_by": by}})

    @property
    def _states(self) -> Collection:
        return self._database.collection(_STATES)


def _binding(binding: Binding) -> Document:
    document: Document = to_builtins(binding)
    return document
