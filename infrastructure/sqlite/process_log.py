"""The process log in SQLite: one row a process, its progress and its steps as JSON."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.mutations.ports import Lease, Step
from application.processes.ports import (
    LONGEST_LEASE,
    Change,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
    Progress,
    Watch,
    by_age,
)
from domain.errors import AlreadyExists, Reason
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables, columns_of

_OPEN: Final = "open INTEGER NOT NULL DEFAULT 1"
_RESTS: Final = "json_extract(CAST(progress AS TEXT), '$.course') IN ('completed', 'taken_back')"


def _mend(connection: sqlite3.Connection, _: int) -> None:
    """Files of before lack the column that its index is on."""
    if "open" not in columns_of(connection, "billing.processes"):
        connection.execute(f'ALTER TABLE "billing.processes" ADD COLUMN {_OPEN}')
        connection.execute(f'UPDATE "billing.processes" SET open = 0 WHERE {_RESTS}')
    connection.execute(
        'CREATE INDEX IF NOT EXISTS "billing.processes open"'
        ' ON "billing.processes" (stripe_account) WHERE open'
    )


TABLES: Final = Tables(
    # `due_at` is when a process falls to the loop: at the end of its lease, or when whoever gave it
    # back said (null: once it is woken). `put_off_at` is by which clock that was said.
    f"""
    CREATE TABLE IF NOT EXISTS "billing.processes" (
        id TEXT NOT NULL PRIMARY KEY,
        account TEXT NOT NULL, kind TEXT NOT NULL, request_id TEXT NOT NULL,
        stripe_account TEXT NOT NULL, payload_hash TEXT NOT NULL, frozen BLOB NOT NULL,
        created_at INTEGER NOT NULL, progress BLOB NOT NULL, steps BLOB NOT NULL,
        wakes INTEGER NOT NULL, owner TEXT, leased_until INTEGER NOT NULL, due_at INTEGER,
        put_off_at INTEGER NOT NULL, attention_at INTEGER, {_OPEN},
        UNIQUE (account, kind, request_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.processes due"
    ON "billing.processes" (due_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.processes put off"
    ON "billing.processes" (put_off_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.processes held"
    ON "billing.processes" (owner) WHERE owner IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.processes attention"
    ON "billing.processes" (attention_at) WHERE attention_at IS NOT NULL
    """,
    # An object belongs to one process.
    """
    CREATE TABLE IF NOT EXISTS "billing.process_watches" (
        stripe_account TEXT NOT NULL, object_id TEXT NOT NULL, process TEXT NOT NULL,
        PRIMARY KEY (stripe_account, object_id)
    ) WITHOUT ROWID
    """,
    # A claim belongs to one process that does not rest.
    """
    CREATE TABLE IF NOT EXISTS "billing.process_claims" (
        claim TEXT NOT NULL PRIMARY KEY, process TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.process_claims of"
    ON "billing.process_claims" (process)
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.processes of"
    ON "billing.processes" (account, kind, created_at, id)
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.process_watches of"
    ON "billing.process_watches" (process)
    """,
    mend=_mend,
)

_RECORD: Final = (
    "id, account, kind, request_id, stripe_account, payload_hash, frozen, created_at, progress,"
    " steps, wakes"
)
_FIND: Final = f'SELECT {_RECORD}, owner, leased_until FROM "billing.processes" WHERE '
_BY_ID: Final = f"{_FIND} id = ?"
_BY_KEY: Final = f"{_FIND} account = ? AND kind = ? AND request_id = ?"
_INSERT: Final = (
    f'INSERT INTO "billing.processes" ({_RECORD}, owner, leased_until, due_at, put_off_at)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LEASE: Final = (
    'UPDATE "billing.processes" SET owner = ?1, leased_until = ?2, due_at = ?2, put_off_at = ?2'
    " WHERE id = ?3"
)
_HELD: Final = 'SELECT steps FROM "billing.processes" WHERE id = ? AND owner = ?'
_STEPS: Final = 'UPDATE "billing.processes" SET steps = ? WHERE id = ?'
_PROGRESS: Final = (
    'UPDATE "billing.processes" SET progress = ?, open = ?, attention_at = ? WHERE id = ?'
)
_WATCH: Final = 'INSERT OR IGNORE INTO "billing.process_watches" VALUES (?, ?, ?)'
_WATCHED_BY: Final = (
    'SELECT process FROM "billing.process_watches" WHERE stripe_account = ? AND object_id = ?'
)
_WATCHES: Final = (
    'SELECT stripe_account, object_id FROM "billing.process_watches" WHERE process = ?'
    " ORDER BY stripe_account, object_id"
)
_CLAIM: Final = 'INSERT INTO "billing.process_claims" VALUES (?, ?)'
_CLAIMED_BY: Final = 'SELECT process FROM "billing.process_claims" WHERE claim = ?'
_CLAIMS: Final = 'SELECT claim FROM "billing.process_claims" WHERE process = ? ORDER BY claim'
_GIVE_UP: Final = 'DELETE FROM "billing.process_claims" WHERE process = ?'
_RELEASE: Final = (
    'UPDATE "billing.processes" SET owner = NULL, put_off_at = ?1,'
    " due_at = CASE WHEN wakes > ?2 THEN ?1 ELSE ?3 END WHERE id = ?4"
)
_WATCHING: Final = (
    "SELECT DISTINCT watched.process FROM json_each(?) AS asked"
    ' CROSS JOIN "billing.process_watches" AS watched'
    " ON watched.stripe_account = asked.value ->> 0 AND watched.object_id = asked.value ->> 1"
)
_WAKE: Final = (
    'UPDATE "billing.processes" SET wakes = wakes + 1, due_at = CASE'
    " WHEN owner IS NULL AND (due_at IS NULL OR due_at > ?1) THEN ?1 ELSE due_at END WHERE id = ?2"
)
_FIND_DUE: Final = (
    'SELECT id FROM "billing.processes" WHERE due_at IS NOT NULL AND due_at <= ?'
    " ORDER BY due_at LIMIT ?"
)
_FIND_AHEAD: Final = (
    'SELECT id FROM "billing.processes" WHERE due_at IS NOT NULL AND due_at > ? AND put_off_at > ?'
    " ORDER BY put_off_at LIMIT ?"
)
_LIST: Final = (
    f"{_FIND} account = ? AND kind = ? AND (created_at, id) < (?, ?)"
    " ORDER BY created_at DESC, id DESC LIMIT ?"
)
_FIND_OPEN: Final = f"{_FIND} stripe_account = ? AND open LIMIT ?"
_FIND_OPEN_WATCHING: Final = (
    f'{_FIND} id IN (SELECT process FROM "billing.process_watches" WHERE stripe_account = ?)'
    " AND open LIMIT ?"
)
_FIND_ATTENTION: Final = f"{_FIND} attention_at IS NOT NULL ORDER BY attention_at LIMIT ?"

_LAST_MS: Final = 2**63 - 1

_decode_steps = msgspec.json.Decoder(dict[str, Step]).decode
_decode_progress = msgspec.json.Decoder(Progress).decode


class SqliteProcessLog(ProcessLog):
    """`application.processes.ports.ProcessLog` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def begin(self, record: ProcessRecord, lease: Lease) -> tuple[ProcessRecord, bool]:
        until = to_milliseconds(lease.until)

        def job(connection: sqlite3.Connection) -> tuple[ProcessRecord, bool]:
            found = connection.execute(_BY_KEY, _key(record.key)).fetchone()
            if found is not None:
                return _record(connection, found), False
            _claim(connection, record)
            connection.execute(_INSERT, (*_bound(record), lease.owner, until, until, until))
            return record, True

        return await self._database.write(job)

    @override
    async def take(
        self, process_id: str, lease: Lease, *, now: dt.datetime
    ) -> tuple[ProcessRecord, bool] | None:
        now_ms, ahead_ms = to_milliseconds(now), to_milliseconds(now + LONGEST_LEASE)

        def job(connection: sqlite3.Connection) -> tuple[ProcessRecord, bool] | None:
            found = connection.execute(_BY_ID, (process_id,)).fetchone()
            if found is None:
                return None
            owner, leased_until = found[-2:]
            others = owner not in (None, lease.owner) and now_ms < leased_until <= ahead_ms
            if not others:
                _lease(connection, process_id, lease)
            return _record(connection, found), not others

        return await self._database.write(job)

    @override
    async def renew(self, process_id: str, lease: Lease) -> bool:
        return await self.write(process_id, lease, Change())

    @override
    async def write(self, process_id: str, lease: Lease, change: Change) -> bool:
        def job(connection: sqlite3.Connection) -> bool:
            if not _change(connection, process_id, lease, change):
                return False
            _lease(connection, process_id, lease)
            return True

        return await self._database.write(job)

    @override
    async def release(
        self, process_id: str, lease: Lease, change: Change, *,
        due_at: dt.datetime | None, wakes: int, now: dt.datetime,
    ) -> bool:  # fmt: skip
        now_ms = to_milliseconds(now)
        due_ms = None if due_at is None else to_milliseconds(due_at)

        def job(connection: sqlite3.Connection) -> bool:
            if not _change(connection, process_id, lease, change):
                return False
            connection.execute(_RELEASE, (now_ms, wakes, due_ms, process_id))
            return True

        return await self._database.write(job)

    @override
    async def wake(self, objects: Sequence[Watch], *, now: dt.datetime) -> int:
        asked = to_json([(watch.stripe_account, watch.object_id) for watch in objects]).decode()
        found = await self._database.read(
            lambda connection: connection.execute(_WATCHING, (asked,)).fetchall()
        )
        if not found:
            return 0
        woken = [(to_milliseconds(now), process_id) for (process_id,) in found]
        await self._database.write(lambda connection: connection.executemany(_WAKE, woken))
        return len(woken)

    @override
    async def get(self, process_id: str) -> ProcessRecord | None:
        return await self._find(_BY_ID, (process_id,))

    @override
    async def find(self, key: ProcessKey) -> ProcessRecord | None:
        return await self._find(_BY_KEY, _key(key))

    @override
    async def list(
        self, account: str, kind: str, *, after: tuple[dt.datetime, str] | None, limit: int
    ) -> Sequence[ProcessRecord]:
        place = (_LAST_MS, "") if after is None else (to_milliseconds(after[0]), after[1])

        def job(connection: sqlite3.Connection) -> Sequence[ProcessRecord]:
            found = connection.execute(_LIST, (account, kind, *place, limit)).fetchall()
            return [_record(connection, row) for row in found]

        return await self._database.read(job)

    @override
    async def find_due(self, *, now: dt.datetime, limit: int) -> Sequence[str]:
        now_ms, ahead_ms = to_milliseconds(now), to_milliseconds(now + LONGEST_LEASE)

        def job(connection: sqlite3.Connection) -> Sequence[str]:
            due = connection.execute(_FIND_DUE, (now_ms, limit)).fetchall()
            rest = (now_ms, ahead_ms, limit - len(due))
            return [row[0] for row in due + connection.execute(_FIND_AHEAD, rest).fetchall()]

        return await self._database.read(job)

    @override
    async def find_open(self, stripe_account: str, *, limit: int) -> Sequence[ProcessRecord]:
        def job(connection: sqlite3.Connection) -> Sequence[ProcessRecord]:
            rows: dict[str, Sequence[Any]] = {}
            for statement in (_FIND_OPEN, _FIND_OPEN_WATCHING):
                found = connection.execute(statement, (stripe_account, limit))
                rows |= {row[0]: row for row in found}
            records = [_record(connection, row) for row in rows.values()]
            return sorted(records, key=by_age)[:limit]

        return await self._database.read(job)

    @override
    async def find_attention(self, *, limit: int) -> Sequence[ProcessRecord]:
        def job(connection: sqlite3.Connection) -> Sequence[ProcessRecord]:
            found = connection.execute(_FIND_ATTENTION, (limit,)).fetchall()
            return [_record(connection, row) for row in found]

        return await self._database.read(job)

    async def _find(self, statement: str, values: Sequence[str]) -> ProcessRecord | None:
        def job(connection: sqlite3.Connection) -> ProcessRecord | None:
            found = connection.execute(statement, values).fetchone()
            return None if found is None else _record(connection, found)

        return await self._database.read(job)


def _claim(connection: sqlite3.Connection, record: ProcessRecord) -> None:
    """Take all claims of a new process. Raises AlreadyExists before any is taken."""
    for claim in record.claims:
        found = connection.execute(_CLAIMED_BY, (claim,)).fetchone()
        if found is not None:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "another process is open", metadata={"process": found[0]}
            )
    connection.executemany(_CLAIM, [(claim, record.id) for claim in record.claims])


def _lease(connection: sqlite3.Connection, process_id: str, lease: Lease) -> None:
    connection.execute(_LEASE, (lease.owner, to_milliseconds(lease.until), process_id))


def _change(connection: sqlite3.Connection, process_id: str, lease: Lease, change: Change) -> bool:
    """Make a change for whoever holds the lease; whether he does."""
    held = connection.execute(_HELD, (process_id, lease.owner)).fetchone()
    if held is None:
        return False
    for watch in change.watches:  # looked at first: a refused change changes nothing
        watched = (watch.stripe_account, watch.object_id)
        found = connection.execute(_WATCHED_BY, watched).fetchone()
        if found is not None and found[0] != process_id:
            raise _watched_elsewhere()
    for watch in change.watches:
        connection.execute(_WATCH, (watch.stripe_account, watch.object_id, process_id))
    if change.step is not None:
        steps = _decode_steps(held[0]) | {change.step.name: change.step}
        connection.execute(_STEPS, (to_json(steps), process_id))
    if change.progress is not None:
        rests = change.progress.course.rests
        attention = _attention_ms(change.progress)
        connection.execute(_PROGRESS, (to_json(change.progress), not rests, attention, process_id))
        if rests:
            connection.execute(_GIVE_UP, (process_id,))
    return True


def _watched_elsewhere() -> AlreadyExists:
    return AlreadyExists(Reason.ALREADY_EXISTS, "another process watches this object")


def _attention_ms(progress: Progress) -> int | None:
    return to_milliseconds(progress.history[-1].at) if progress.attention else None


def _key(key: ProcessKey) -> tuple[str, str, str]:
    return key.account, key.kind, key.request_id


def _bound(record: ProcessRecord) -> tuple[Any, ...]:
    """The values of the columns `_RECORD`."""
    return (
        record.id,
        *_key(record.key),
        record.stripe_account,
        record.payload_hash,
        record.frozen,
        to_milliseconds(record.created_at),
        to_json(record.progress),
        to_json(record.steps),
        record.wakes,
    )


def _record(connection: sqlite3.Connection, row: Sequence[Any]) -> ProcessRecord:
    """A record of the port from a row that begins with the columns `_RECORD`."""
    return ProcessRecord(
        id=row[0],
        key=ProcessKey(*row[1:4]),
        stripe_account=row[4],
        payload_hash=row[5],
        frozen=row[6],
        created_at=from_milliseconds(row[7]),
        progress=_decode_progress(row[8]),
        steps=_decode_steps(row[9]),
        wakes=row[10],
        watches=tuple(Watch(*watch) for watch in connection.execute(_WATCHES, (row[0],))),
        claims=tuple(claim for (claim,) in connection.execute(_CLAIMS, (row[0],))),
    )
