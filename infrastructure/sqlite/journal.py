"""The journal in SQLite: one row an entry; what follows is decided inside the writer's job."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from application.wallet.ports import MAX_ENTRIES, Journal
from domain.ledger import decide
from domain.ledger_commands import Command, followed_by, keys_of
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Appended, Outcome, References
from domain.wallets import Wallet
from infrastructure.documents import to_json
from infrastructure.gathering import Gathering
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "onebalance-usage_logs" (
        wallet TEXT NOT NULL, sequence INTEGER NOT NULL, key TEXT NOT NULL, reference TEXT NOT NULL,
        document TEXT NOT NULL, UNIQUE (wallet, sequence), UNIQUE (wallet, key)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "onebalance-usage_logs by reference"
    ON "onebalance-usage_logs" (wallet, reference, sequence) WHERE reference <> ''
    """,
)

_APPEND: Final = (
    'INSERT INTO "onebalance-usage_logs" (wallet, sequence, key, reference, document)'
    " VALUES (?, ?, ?, ?, ?)"
)
_OF_WALLET: Final = 'SELECT document FROM "onebalance-usage_logs" WHERE wallet = ?'
_HEAD: Final = _OF_WALLET + " ORDER BY sequence DESC LIMIT 1"
_BY_KEY: Final = _OF_WALLET + " AND key = ?"
_FOLLOWER: Final = (
    _OF_WALLET + " AND reference = ? AND reference <> '' AND sequence < ?"
    " ORDER BY sequence DESC LIMIT 1"
)
_OLDEST_FIRST: Final = _OF_WALLET + " AND sequence > ? ORDER BY sequence LIMIT ?"
_NEWEST_FIRST: Final = _OF_WALLET + " AND sequence < ? ORDER BY sequence DESC LIMIT ?"
_LAST: Final = 2**63 - 1

_MAX_WRITERS: Final = 256
"""How many wallets' batches wait for the writer at once: they share its commits."""

_decode = msgspec.json.Decoder(Entry).decode


class SqliteJournal(Journal):
    """`application.wallet.ports.Journal` on one SQLite file.

    There is one writer, so there are no races. What waits for a wallet is one job of it, and the
    head is read once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering = Gathering(self._append, _MAX_WRITERS)

    @override
    async def append(self, wallet: Wallet, commands: Sequence[Command]) -> Sequence[Outcome]:
        return await self._gathering.append(wallet, commands)

    async def _append(self, wallet: Wallet, batch: Sequence[Command]) -> Sequence[Outcome]:
        return await self._database.write(partial(_append, wallet, batch))

    @override
    async def head(self, wallet: str) -> Entry | None:
        return await self._database.read(lambda connection: _one(connection, _HEAD, wallet))

    @override
    async def by_keys(self, wallet: str, keys: Sequence[str]) -> Mapping[str, Entry]:
        _check_limit(len(keys))
        return await self._database.read(lambda connection: _by_keys(connection, wallet, keys))

    @override
    async def last_follower(
        self, wallet: str, reference: str, *, before: int | None = None
    ) -> Entry | None:
        values = (wallet, reference, _LAST if before is None else before)
        return await self._database.read(lambda connection: _one(connection, _FOLLOWER, *values))

    @override
    async def list(
        self, wallet: str, *, after: int | None = None, newest_first: bool = False, limit: int
    ) -> Sequence[Entry]:
        _check_limit(limit)
        statement = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        start = after if after is not None else _LAST if newest_first else 0

        def job(connection: sqlite3.Connection) -> Sequence[Entry]:
            rows = connection.execute(statement, (wallet, start, limit))
            return [_decode(document) for (document,) in rows]

        return await self._database.read(job)


def _append(
    wallet: Wallet, commands: Sequence[Command], connection: sqlite3.Connection
) -> Sequence[Outcome]:
    name = wallet.name
    head = _one(connection, _HEAD, name)
    entries = _by_keys(connection, name, [key for each in commands for key in keys_of(each)])
    last = {
        reference: follower
        for reference in filter(None, map(followed_by, commands))
        if (follower := _one(connection, _FOLLOWER, name, reference, _LAST)) is not None
    }
    outcomes = decide(wallet, head, References(entries, last), commands)
    for outcome in outcomes:
        if isinstance(outcome, Appended):
            entry = outcome.entry
            document = to_json(entry).decode()
            values = (name, entry.sequence, entry.key, entry.reference, document)
            connection.execute(_APPEND, values)
    return outcomes


def _one(connection: sqlite3.Connection, statement: str, *values: str | int) -> Entry | None:
    found = connection.execute(statement, values).fetchone()
    return None if found is None else _decode(found[0])


def _by_keys(
    connection: sqlite3.Connection, wallet: str, keys: Sequence[str]
) -> Mapping[str, Entry]:
    return {
        key: entry for key in keys if (entry := _one(connection, _BY_KEY, wallet, key)) is not None
    }


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_ENTRIES:
        raise ValueError(f"limit: 1 to {MAX_ENTRIES}")
