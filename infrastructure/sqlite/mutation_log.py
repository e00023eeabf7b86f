"""The mutation log in SQLite: one row a mutation, its steps as JSON."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from application.mutations.ports import (
    LONGEST_PAUSE,
    Lease,
    MutationKey,
    MutationRecord,
    MutationState,
    Step,
)
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    # `due_at` is when an open mutation falls to the recovery task: at the end of its lease, or
    # when whoever gave it back said (null: never).
    """
    CREATE TABLE IF NOT EXISTS "billing.mutations" (
        account TEXT NOT NULL, method TEXT NOT NULL, request_id TEXT NOT NULL,
        stripe_account TEXT NOT NULL, payload BLOB NOT NULL, payload_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL, state TEXT NOT NULL, steps BLOB NOT NULL, reply BLOB,
        failure BLOB, owner TEXT, leased_until INTEGER NOT NULL, due_at INTEGER,
        PRIMARY KEY (account, method, request_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.mutations open"
    ON "billing.mutations" (due_at) WHERE state = 'open'
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.mutations done"
    ON "billing.mutations" (created_at) WHERE state = 'done'
    """,
)

_RECORD: Final = (
    "account, method, request_id, stripe_account, payload, payload_hash, created_at, state,"
    " steps, reply, failure"
)
_KEY: Final = "account = ? AND method = ? AND request_id = ?"
# Nobody owns a record that is done or was given back.
_HELD: Final = f"{_KEY} AND owner = ?"
_FIND: Final = f'SELECT {_RECORD}, owner, leased_until FROM "billing.mutations" WHERE {_KEY}'
_BEGIN: Final = (
    f'INSERT INTO "billing.mutations" ({_RECORD}, owner, leased_until, due_at)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TAKE_OVER: Final = (
    f'UPDATE "billing.mutations" SET owner = ?, leased_until = ?, due_at = ? WHERE {_KEY}'
)
_STEPS: Final = f'SELECT steps FROM "billing.mutations" WHERE {_HELD}'
_SAVE_STEPS: Final = (
    f'UPDATE "billing.mutations" SET steps = ?, leased_until = ?, due_at = ? WHERE {_KEY}'
)
_FINISH: Final = (
    "UPDATE \"billing.mutations\" SET state = 'done', reply = ?, failure = ?, owner = NULL"
    f" WHERE {_HELD}"
)
_RELEASE: Final = f'UPDATE "billing.mutations" SET owner = NULL, due_at = ? WHERE {_HELD}'
# The states are written out, since only so the indexes of the open and the done are chosen.
_FIND_OPEN: Final = (
    f"SELECT {_RECORD} FROM \"billing.mutations\" WHERE state = 'open' AND due_at <= ?"
    " ORDER BY due_at LIMIT ?"
)
_FIND_AHEAD: Final = (
    f"SELECT {_RECORD} FROM \"billing.mutations\" WHERE state = 'open' AND due_at > ?"
    " ORDER BY due_at LIMIT ?"
)
_PURGE: Final = (
    'DELETE FROM "billing.mutations" WHERE rowid IN (SELECT rowid FROM "billing.mutations"'
    " WHERE state = 'done' AND created_at < ? ORDER BY created_at LIMIT ?)"
)
_PURGE_GIVEN_BACK: Final = (
    'DELETE FROM "billing.mutations" WHERE rowid IN (SELECT rowid FROM "billing.mutations"'
    " WHERE state = 'open' AND due_at IS NULL AND created_at < ? LIMIT ?)"
)

_decode_steps = msgspec.json.Decoder(dict[str, Step]).decode


class SqliteMutationLog:
    """`application.mutations.ports.MutationLog` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, record: MutationRecord, lease: Lease, *, now: dt.datetime
    ) -> tuple[MutationRecord, bool]:
        until = to_milliseconds(lease.until)
        new = (*_bound(record), lease.owner, until, until)
        return await self._database.write(partial(_begin, record, new, lease.owner, until, now))

    async def save_step(self, key: MutationKey, lease: Lease, step: Step) -> bool:
        until = to_milliseconds(lease.until)

        def job(connection: sqlite3.Connection) -> bool:
            found = connection.execute(_STEPS, (*_key(key), lease.owner)).fetchone()
            if found is None:
                return False
            steps = _decode_steps(found[0]) | {step.name: step}
            connection.execute(_SAVE_STEPS, (to_json(steps), until, until, *_key(key)))
            return True

        return await self._database.write(job)

    async def finish(
        self, key: MutationKey, lease: Lease, *, reply: bytes | None, failure: bytes | None
    ) -> bool:
        return await self._update(_FINISH, (reply, failure, *_key(key), lease.owner))

    async def release(
        self, key: MutationKey, lease: Lease, *, retry_at: dt.datetime | None
    ) -> bool:
        due_at = None if retry_at is None else to_milliseconds(retry_at)
        return await self._update(_RELEASE, (due_at, *_key(key), lease.owner))

    async def find_open(self, *, now: dt.datetime, limit: int) -> Sequence[MutationRecord]:
        now_ms, last_ms = to_milliseconds(now), to_milliseconds(now + LONGEST_PAUSE)

        def job(connection: sqlite3.Connection) -> Sequence[MutationRecord]:
            due = connection.execute(_FIND_OPEN, (now_ms, limit)).fetchall()
            due += connection.execute(_FIND_AHEAD, (last_ms, limit - len(due))).fetchall()
            return [_record(row) for row in due]

        return await self._database.read(job)

    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        oldest = to_milliseconds(before)

        def job(connection: sqlite3.Connection) -> int:
            done = connection.execute(_PURGE, (oldest, limit)).rowcount
            return done + connection.execute(_PURGE_GIVEN_BACK, (oldest, limit - done)).rowcount

        return await self._database.write(job)

    async def _update(self, statement: str, values: Sequence[Any]) -> bool:
        return await self._database.write(
            lambda connection: connection.execute(statement, values).rowcount == 1
        )


def _begin(
    record: MutationRecord,
    new: Sequence[Any],
    owner: str,
    until: int,
    now: dt.datetime,
    connection: sqlite3.Connection,
) -> tuple[MutationRecord, bool]:
    """The writer's half of `begin`. `new` is the row to insert; times in milliseconds."""
    key = _key(record.key)
    found = connection.execute(_FIND, key).fetchone()
    if found is None:
        connection.execute(_BEGIN, new)
        return record, True
    stored = _record(found)
    holder, leased_until = found[-2:]
    runs = to_milliseconds(now) < leased_until <= to_milliseconds(now + LONGEST_PAUSE)
    others = holder is not None and holder != owner and runs
    if stored.state is MutationState.DONE or stored.payload_hash != record.payload_hash or others:
        return stored, False
    connection.execute(_TAKE_OVER, (owner, until, until, *key))
    return stored, True


def _key(key: MutationKey) -> tuple[str, str, str]:
    return key.account, key.method, key.request_id


def _bound(record: MutationRecord) -> tuple[Any, ...]:
    """The values of the columns `_RECORD`."""
    return (
        *_key(record.key),
        record.stripe_account,
        record.payload,
        record.payload_hash,
        to_milliseconds(record.created_at),
        record.state.value,
        to_json(record.steps),
        record.reply,
        record.failure,
    )


def _record(row: Sequence[Any]) -> MutationRecord:
    """A record of the port from a row that begins with the columns `_RECORD`."""
    return MutationRecord(
        MutationKey(*row[:3]),
        stripe_account=row[3],
        payload=row[4],
        payload_hash=row[5],
        created_at=from_milliseconds(row[6]),
        state=MutationState(row[7]),
        steps=_decode_steps(row[8]),
        reply=row[9],
        failure=row[10],
    )
