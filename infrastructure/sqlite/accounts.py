"""Accounts in SQLite: the embedded setting keeps them itself."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from domain.accounts import Account
from domain.errors import AlreadyExists, Reason
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "_accounts" (id TEXT PRIMARY KEY, document TEXT NOT NULL)
    """,
)

_GET: Final = 'SELECT document FROM "_accounts" WHERE id = ?'
_ADD: Final = 'INSERT INTO "_accounts" (id, document) VALUES (?, ?) ON CONFLICT (id) DO NOTHING'
_LIST: Final = 'SELECT document FROM "_accounts" WHERE id > ? ORDER BY id LIMIT ?'

_decode = msgspec.json.Decoder(Account).decode


class SqliteAccounts:
    """`application.accounts.ports.Accounts` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: str) -> Account | None:
        def job(connection: sqlite3.Connection) -> Account | None:
            found = connection.execute(_GET, (account,)).fetchone()
            return None if found is None else _decode(found[0])

        return await self._database.read(job)

    async def add(self, account: Account) -> None:
        values = (account.id, to_json(account).decode())
        added = await self._database.write(
            lambda connection: connection.execute(_ADD, values).rowcount == 1
        )
        if not added:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "the account is there already", metadata={"id": account.id}
            )

    async def list_all(self, *, after: str, limit: int) -> Sequence[Account]:
        return await self._database.read(
            lambda connection: [
                _decode(document) for (document,) in connection.execute(_LIST, (after, limit))
            ]
        )
