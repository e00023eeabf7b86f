"""Buyers in SQLite; two unique indexes hold an account and a customer to each other."""

import sqlite3
from typing import Final

import msgspec
from typing_extensions import override

from application.wallet.ports import Buyers
from domain.errors import AlreadyExists, Reason
from domain.wallets import Buyer
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.buyers" (
        account TEXT NOT NULL, stripe_account TEXT NOT NULL, customer TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (account, stripe_account), UNIQUE (stripe_account, customer)
    )
    """,
)

_ADD: Final = (
    'INSERT INTO "billing.buyers" (account, stripe_account, customer, document)'
    " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_GET: Final = 'SELECT document FROM "billing.buyers" WHERE account = ? AND stripe_account = ?'
_FIND: Final = 'SELECT document FROM "billing.buyers" WHERE stripe_account = ? AND customer = ?'

_decode = msgspec.json.Decoder(Buyer).decode


class SqliteBuyers(Buyers):
    """`application.wallet.ports.Buyers` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, buyer: Buyer) -> Buyer:
        key = (buyer.account, buyer.stripe_account)
        values = (*key, buyer.customer, to_json(buyer).decode())

        def job(connection: sqlite3.Connection) -> Buyer | None:
            connection.execute(_ADD, values)
            return _one(connection, _GET, *key)

        standing = await self._database.write(job)
        if standing is None:
            raise AlreadyExists(
                Reason.CUSTOMER_LINKED,
                "another account is this customer there",
                metadata={"customer": buyer.customer},
            )
        return standing

    @override
    async def get(self, account: str, stripe_account: str) -> Buyer | None:
        return await self._database.read(
            lambda connection: _one(connection, _GET, account, stripe_account)
        )

    @override
    async def find(self, stripe_account: str, customer: str) -> Buyer | None:
        return await self._database.read(
            lambda connection: _one(connection, _FIND, stripe_account, customer)
        )


def _one(connection: sqlite3.Connection, statement: str, *values: str) -> Buyer | None:
    found = connection.execute(statement, values).fetchone()
    return None if found is None else _decode(found[0])
