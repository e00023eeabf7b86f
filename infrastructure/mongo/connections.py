"""The connections port: one document an account and mode."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from domain.connections import Connection, ConnectionState, Mode
from domain.errors import AlreadyExists, Reason
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

_CONNECTIONS: Final = "billing.connections"

INDEXES: Final[Indexes] = {
    _CONNECTIONS: [
        index("stripe_account", "mode", unique=True, partialFilterExpression={"state": "active"}),
    ],
}


class MongoConnections:
    """ConnectionRepository on MongoDB.

    `_id` holds an account to one connection a mode; a unique index over the active ones holds a
    Stripe account and mode to one account. The collection is small and stays unsharded, since that
    index is on other fields than `_id`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: str, mode: Mode) -> Connection | None:
        return _connection(await self._connections.find_one({"_id": _key(account, mode)}))

    async def find_by_stripe_account(self, stripe_account: str, mode: Mode) -> Connection | None:
        active = {"stripe_account": stripe_account, "mode": mode, "state": ConnectionState.ACTIVE}
        return _connection(await self._connections.find_one(active))

    async def put(self, connection: Connection) -> None:
        key = _key(connection.account, connection.mode)
        try:
            await self._connections.replace_one({"_id": key}, to_builtins(connection))
        except Duplicate as error:
            # Of the active connections: two upserts of one `_id` at once the server settles itself.
            raise AlreadyExists(
                Reason.STRIPE_ACCOUNT_TAKEN,
                "another account is connected to this Stripe account; disconnect it there first",
                metadata={"stripe_account": connection.stripe_account},
            ) from error

    async def revoke(self, connection: Connection) -> bool:
        change = {"$set": {"state": ConnectionState.REVOKED}}
        return await self._connections.update_one(_active_link(connection), change)

    async def mark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        where = _active_link(connection) | {"ending_since": {"$in": [None, ending_since]}}
        return await self._connections.update_one(where, {"$set": {"ending_since": ending_since}})

    async def unmark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        where = _active_link(connection) | {"ending_since": ending_since}
        return await self._connections.update_one(where, {"$set": {"ending_since": None}})

    async def list_active(self, mode: Mode, *, after: str, limit: int) -> Sequence[Connection]:
        found = await self._connections.find(
            {"state": ConnectionState.ACTIVE, "mode": mode, "stripe_account": {"$gt": after}},
            sort=[("stripe_account", ASCENDING)],
            limit=limit,
        )
        return [msgspec.convert(document, Connection) for document in found]

    @property
    def _connections(self) -> Collection:
        return self._database.collection(_CONNECTIONS)


def _key(account: str, mode: Mode) -> str:
    return f"{account}/{mode}"


def _active_link(connection: Connection) -> Document:
    """What finds this very link while it is active."""
    return {
        "_id": _key(connection.account, connection.mode),
        "stripe_account": connection.stripe_account,
        "connected_at": connection.connected_at,
        "state": ConnectionState.ACTIVE,
    }


def _connection(document: Document | None) -> Connection | None:
    return None if document is None else msgspec.convert(document, Connection)
