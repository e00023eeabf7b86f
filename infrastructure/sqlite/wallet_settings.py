"""Wallets' settings in SQLite: one row a wallet, with the balance that was seen last."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.wallet.ports import MAX_ENTRIES, KeptSettings, WalletSettingsStore
from domain.wallets import WalletSettings
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "onebalance" (
        wallet TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, threshold INTEGER,
        available INTEGER NOT NULL, sequence INTEGER NOT NULL, document TEXT NOT NULL,
        short INTEGER GENERATED ALWAYS AS (available < threshold) VIRTUAL
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "onebalance short" ON "onebalance" (wallet) WHERE short = 1
    """,
)

_GET: Final = 'SELECT document, available, sequence FROM "onebalance" WHERE wallet = ?'
_ADD: Final = (
    'INSERT INTO "onebalance" (wallet, revision, threshold, available, sequence, document)'
    " VALUES (?, ?, ?, 0, 0, ?) ON CONFLICT (wallet) DO NOTHING"
)
_REPLACE: Final = (
    'UPDATE "onebalance" SET revision = ?, threshold = ?, document = ?'
    " WHERE wallet = ? AND revision = ?"
)
_SEE: Final = (
    'UPDATE "onebalance" SET available = ?, sequence = ? WHERE wallet = ? AND sequence < ?'
)
_SHORT: Final = (
    'SELECT document, available, sequence FROM "onebalance"'
    " WHERE short = 1 AND wallet > ? ORDER BY wallet LIMIT ?"
)

_decode = msgspec.json.Decoder(WalletSettings).decode


class SqliteWalletSettings(WalletSettingsStore):
    """`application.wallet.ports.WalletSettingsStore` on one SQLite file.

    `threshold` is null where auto-reload is not armed: then a wallet is never short.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, wallet: str) -> KeptSettings | None:
        def job(connection: sqlite3.Connection) -> KeptSettings | None:
            found = connection.execute(_GET, (wallet,)).fetchone()
            return None if found is None else _kept(found)

        return await self._database.read(job)

    @override
    async def put(self, settings: WalletSettings) -> bool:
        auto = settings.auto_reload
        threshold = None if auto is None or auto.off_because else auto.threshold
        document = to_json(settings).decode()
        revision, wallet = settings.revision, settings.wallet
        statement, values = _ADD, [wallet, revision, threshold, document]
        if revision > 1:
            statement, values = _REPLACE, [revision, threshold, document, wallet, revision - 1]
        return await self._database.write(
            lambda connection: connection.execute(statement, values).rowcount == 1
        )

    @override
    async def see(self, wallet: str, *, available: int, sequence: int) -> None:
        values = (available, sequence, wallet, sequence)
        await self._database.write(lambda connection: connection.execute(_SEE, values).close())

    @override
    async def list_short(self, *, after: str, limit: int) -> Sequence[KeptSettings]:
        if not 1 <= limit <= MAX_ENTRIES:
            raise ValueError(f"limit: 1 to {MAX_ENTRIES}")

        def job(connection: sqlite3.Connection) -> Sequence[KeptSettings]:
            return [_kept(row) for row in connection.execute(_SHORT, (after, limit))]

        return await self._database.read(job)


def _kept(row: tuple[Any, ...]) -> KeptSettings:
    document, available, sequence = row
    return KeptSettings(_decode(document), available, sequence)
