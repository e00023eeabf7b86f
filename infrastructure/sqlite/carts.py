"""Carts in SQLite: one row an account."""

import datetime as dt
import sqlite3
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.checkouts.ports import Carts
from domain.carts import Cart, CartItem
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "_store.cart" (
        account TEXT PRIMARY KEY, id TEXT NOT NULL, item TEXT NOT NULL,
        updated_at INTEGER NOT NULL, revision INTEGER NOT NULL
    )
    """,
)

_COLUMNS: Final = "id, account, item, updated_at, revision"
_PUT: Final = (
    f'INSERT INTO "_store.cart" ({_COLUMNS}) VALUES (?, ?, ?, ?, 1)'
    " ON CONFLICT (account) DO UPDATE SET item = excluded.item, updated_at = excluded.updated_at,"
    f" revision = revision + 1 RETURNING {_COLUMNS}"
)
_GET: Final = f'SELECT {_COLUMNS} FROM "_store.cart" WHERE account = ?'
_REMOVE: Final = 'DELETE FROM "_store.cart" WHERE account = ? AND id = ? AND revision = ?'

_decode = msgspec.json.Decoder(CartItem).decode


class SqliteCarts(Carts):
    """`application.checkouts.ports.Carts` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, account: str, item: CartItem, *, new_id: str, at: dt.datetime) -> Cart:
        values = (new_id, account, to_json(item).decode(), to_milliseconds(at))
        return await self._database.write(
            lambda connection: _cart(connection.execute(_PUT, values).fetchone())
        )

    @override
    async def get(self, account: str) -> Cart | None:
        def job(connection: sqlite3.Connection) -> Cart | None:
            row = connection.execute(_GET, (account,)).fetchone()
            return None if row is None else _cart(row)

        return await self._database.read(job)

    @override
    async def remove(self, cart: Cart) -> bool:
        values = (cart.account, cart.id, cart.revision)
        return await self._database.write(
            lambda connection: connection.execute(_REMOVE, values).rowcount == 1
        )


def _cart(row: tuple[Any, ...]) -> Cart:
    id_, account, item, updated_at, revision = row
    return Cart(id_, account, _decode(item), from_milliseconds(updated_at), revision)
