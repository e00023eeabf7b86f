"""Connections in SQLite; a unique index keeps a Stripe account with one account at a time."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from domain.connections import Connection, Mode
from domain.errors import AlreadyExists, Reason
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.connections" (
        account TEXT NOT NULL, mode TEXT NOT NULL, stripe_account TEXT NOT NULL,
        state TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (account, mode)
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS "billing.connections by stripe_account"
    ON "billing.connections" (stripe_account, mode) WHERE state = 'active'
    """,
)

_GET: Final = 'SELECT document FROM "billing.connections" WHERE account = ? AND mode = ?'
_FIND: Final = (
    'SELECT document FROM "billing.connections"'
    " WHERE stripe_account = ? AND mode = ? AND state = 'active'"
)
_ACTIVE: Final = (
    'SELECT document FROM "billing.connections"'
    " WHERE state = 'active' AND mode = ? AND stripe_account > ? ORDER BY stripe_account LIMIT ?"
)
_PUT: Final = (
    'INSERT INTO "billing.connections" (account, mode, stripe_account, state, document)'
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, mode) DO UPDATE SET"
    " stripe_account = excluded.stripe_account, state = excluded.state,"
    " document = excluded.document"
)
_REVOKE: Final = (
    'UPDATE "billing.connections"'
    " SET state = 'revoked', document = json_set(document, '$.state', 'revoked')"
    " WHERE account = ? AND mode = ? AND stripe_account = ? AND state = 'active'"
    " AND json_extract(document, '$.connected_at') = ?"
)

_SET_MARK: Final = (
    "UPDATE \"billing.connections\" SET document = json_set(document, '$.ending_since', ?1)"
    " WHERE account = ?2 AND mode = ?3 AND stripe_account = ?4 AND state = 'active'"
    " AND json_extract(document, '$.connected_at') = ?5"
)
_MARK: Final = f"{_SET_MARK} AND coalesce(json_extract(document, '$.ending_since'), ?1) = ?1"
_UNMARK: Final = f"{_SET_MARK} AND json_extract(document, '$.ending_since') = ?6"

_decode = msgspec.json.Decoder(Connection).decode


class SqliteConnections:
    """`application.connections.ports.ConnectionRepository` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: str, mode: Mode) -> Connection | None:
        return await self._find(_GET, account, mode)

    async def find_by_stripe_account(self, stripe_account: str, mode: Mode) -> Connection | None:
        return await self._find(_FIND, stripe_account, mode)

    async def put(self, connection: Connection) -> None:
        values = (
            connection.account,
            connection.mode.value,
            connection.stripe_account,
            connection.state.value,
            to_json(connection).decode(),
        )

        def job(sqlite: sqlite3.Connection) -> bool:
            try:
                sqlite.execute(_PUT, values)
            except sqlite3.IntegrityError:
                # It undoes this statement only: the neighbours in the transaction stand.
                return False
            return True

        if not await self._database.write(job):
            raise AlreadyExists(
                Reason.STRIPE_ACCOUNT_TAKEN,
                "another account is connected to this Stripe account; disconnect it there first",
                metadata={"stripe_account": connection.stripe_account},
            )

    async def revoke(self, connection: Connection) -> bool:
        return await self._database.write(
            lambda sqlite: sqlite.execute(_REVOKE, _link(connection)).rowcount == 1
        )

    async def mark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        values = (msgspec.to_builtins(ending_since), *_link(connection))
        return await self._database.write(
            lambda sqlite: sqlite.execute(_MARK, values).rowcount == 1
        )

    async def unmark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        values = (None, *_link(connection), msgspec.to_builtins(ending_since))
        return await self._database.write(
            lambda sqlite: sqlite.execute(_UNMARK, values).rowcount == 1
        )

    async def list_active(self, mode: Mode, *, after: str, limit: int) -> Sequence[Connection]:
        values = (mode.value, after, limit)

        def job(sqlite: sqlite3.Connection) -> Sequence[Connection]:
            return [_decode(document) for (document,) in sqlite.execute(_ACTIVE, values)]

        return await self._database.read(job)

    async def _find(self, statement: str, key: str, mode: Mode) -> Connection | None:
        def job(sqlite: sqlite3.Connection) -> Connection | None:
            found = sqlite.execute(statement, (key, mode.value)).fetchone()
            return None if found is None else _decode(found[0])

        return await self._database.read(job)


def _link(connection: Connection) -> tuple[str, ...]:
    """What tells a link from all others of its account."""
    return (
        connection.account,
        connection.mode.value,
        connection.stripe_account,
        msgspec.to_builtins(connection.connected_at),
    )
