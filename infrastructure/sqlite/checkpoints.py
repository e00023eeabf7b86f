"""Checkpoints in SQLite: one row a Stripe account and task, its state as JSON."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from domain.errors import Conflict, Reason
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.checkpoints" (
        stripe_account TEXT NOT NULL, task TEXT NOT NULL, revision INTEGER NOT NULL,
        state TEXT NOT NULL, saved_at INTEGER NOT NULL, PRIMARY KEY (stripe_account, task)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.checkpoints by time"
    ON "billing.checkpoints" (stripe_account, saved_at)
    """,
)

_COLUMNS: Final = "stripe_account, task, revision, state, saved_at"
_LOAD: Final = f'SELECT {_COLUMNS} FROM "billing.checkpoints" WHERE stripe_account = ? AND task = ?'
_OF: Final = f'SELECT {_COLUMNS} FROM "billing.checkpoints" WHERE stripe_account = ? ORDER BY task'
_ADD: Final = (
    f'INSERT INTO "billing.checkpoints" ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)'
    " ON CONFLICT (stripe_account, task) DO NOTHING"
)
_REPLACE: Final = (
    'UPDATE "billing.checkpoints" SET revision = ?, state = ?, saved_at = ?'
    " WHERE stripe_account = ? AND task = ? AND revision = ?"
)
_FORGET: Final = (
    'DELETE FROM "billing.checkpoints" WHERE (stripe_account, task) IN ('
    'SELECT stripe_account, task FROM "billing.checkpoints"'
    " WHERE stripe_account = ? AND saved_at < ? ORDER BY saved_at LIMIT ?)"
)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SqliteCheckpoints(Checkpoints):
    """`application.background.checkpoints.Checkpoints` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def load(self, stripe_account: str, task: str) -> Checkpoint:
        def job(connection: sqlite3.Connection) -> Checkpoint:
            found = connection.execute(_LOAD, (stripe_account, task)).fetchone()
            return Checkpoint(stripe_account, task, 0) if found is None else _checkpoint(found)

        return await self._database.read(job)

    @override
    async def save(self, checkpoint: Checkpoint, *, now: dt.datetime) -> Checkpoint:
        saved = replace(checkpoint, revision=checkpoint.revision + 1, saved_at=now)
        key = (saved.stripe_account, saved.task)
        told = (saved.revision, to_json(saved.state).decode(), to_milliseconds(now))

        def job(connection: sqlite3.Connection) -> bool:
            if checkpoint.revision == 0:
                return connection.execute(_ADD, (*key, *told)).rowcount == 1
            return connection.execute(_REPLACE, (*told, *key, checkpoint.revision)).rowcount == 1

        if not await self._database.write(job):
            raise Conflict(Reason.REQUEST_IN_FLIGHT, f"{saved.task}: somebody else has taken over")
        return saved

    @override
    async def forget(self, stripe_account: str, *, before: dt.datetime, limit: int) -> int:
        values = (stripe_account, to_milliseconds(before), limit)
        return await self._database.write(
            lambda connection: connection.execute(_FORGET, values).rowcount
        )

    @override
    async def of(self, stripe_account: str) -> Sequence[Checkpoint]:
        def job(connection: sqlite3.Connection) -> Sequence[Checkpoint]:
            return [_checkpoint(row) for row in connection.execute(_OF, (stripe_account,))]

        return await self._database.read(job)


def _checkpoint(row: Sequence[Any]) -> Checkpoint:
    """A checkpoint of the port from a row of `_COLUMNS`."""
    stripe_account, task, revision, state, saved_at = row
    return Checkpoint(stripe_account, task, revision, _decode(state), from_milliseconds(saved_at))
