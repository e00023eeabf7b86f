"""The outbox in SQLite: small indexes of the pending jobs and of the billing events are its queues.

There is one writer, so positions are given in the order of commits and none appears late.
"""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.jobs.outbox import (
    LONGEST_PAUSE,
    MAX_JOBS,
    ClaimedJob,
    FailedJob,
    Outbox,
    OutboxCounts,
    WatchedJob,
)
from domain.jobs import Job
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    # `position` orders billing events: there is one writer, so it grows with the commits.
    """
    CREATE TABLE IF NOT EXISTS "queues" (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        account TEXT NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL,
        owner TEXT, error TEXT NOT NULL DEFAULT '', published_at INTEGER
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "queues pending"
    ON "queues" (state, due_at, position) WHERE state = 'pending'
    """,
    """
    CREATE INDEX IF NOT EXISTS "queues watched by account"
    ON "queues" (state, account, position) WHERE state = 'watched'
    """,
    """
    CREATE INDEX IF NOT EXISTS "queues watched"
    ON "queues" (state, position, created_at) WHERE state = 'watched'
    """,
    """
    CREATE INDEX IF NOT EXISTS "queues published"
    ON "queues" (state, published_at) WHERE state = 'published'
    """,
)

_JOB: Final = "id, kind, account, created_at, payload"
_APPEND: Final = (
    f'INSERT INTO "queues" ({_JOB}, state, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)'
    " ON CONFLICT (id) DO NOTHING"
)
# The states are written out, since only so the partial indexes are chosen.
_DUE: Final = (
    "SELECT position FROM \"queues\" WHERE state = 'pending' AND due_at <= ?"
    " ORDER BY due_at, position LIMIT ?"
)
_AHEAD: Final = (
    "SELECT position FROM \"queues\" WHERE state = 'pending' AND due_at > ?"
    " ORDER BY due_at, position LIMIT ?"
)
_CLAIM: Final = 'UPDATE "queues" SET owner = ?, due_at = ? WHERE position = ?'
_CLAIMED: Final = f'SELECT {_JOB}, attempts FROM "queues" WHERE position = ?'
_HELD: Final = "WHERE id = ? AND owner = ? AND state = 'pending'"
_PUBLISHED: Final = (
    f"UPDATE \"queues\" SET state = 'published', published_at = ?, error = '', owner = NULL {_HELD}"
)
_RELEASE: Final = (
    f'UPDATE "queues" SET attempts = attempts + 1, error = ?, due_at = ?, owner = NULL {_HELD}'
)
_PENDING: Final = "SELECT count(*) FROM \"queues\" WHERE state = 'pending'"
_OLDEST: Final = (
    "SELECT created_at FROM \"queues\" WHERE state = 'pending' ORDER BY due_at, position LIMIT 1"
)
_WATCH: Final = (
    f"SELECT {_JOB}, position FROM \"queues\" WHERE state = 'watched' AND account = ?"
    " AND position > ? ORDER BY position LIMIT ?"
)
_FIRST: Final = "SELECT position FROM \"queues\" WHERE state = 'watched' ORDER BY position LIMIT 1"
_LAST: Final = (
    "SELECT position FROM \"queues\" WHERE state = 'watched' ORDER BY position DESC LIMIT 1"
)
_OLD_JOBS: Final = (
    "SELECT position FROM \"queues\" WHERE state = 'published' AND published_at < ?"
    " ORDER BY published_at LIMIT ?"
)
_OLD_EVENTS: Final = (
    "SELECT position, created_at FROM \"queues\" WHERE state = 'watched' AND position < ?"
    " ORDER BY position LIMIT ?"
)
_DELETE: Final = 'DELETE FROM "queues" WHERE position = ?'

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SqliteOutbox(Outbox):
    """`application.jobs.outbox.Outbox` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def append(self, jobs: Sequence[Job]) -> None:
        _check(len(jobs))
        rows = [_row(job) for job in jobs]
        if rows:
            await self._database.write(
                lambda connection: connection.executemany(_APPEND, rows).close()
            )

    @override
    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int
    ) -> Sequence[ClaimedJob]:
        _check(limit)
        now_ms, until_ms = to_milliseconds(now), to_milliseconds(now + lease)
        last_ms = to_milliseconds(now + LONGEST_PAUSE)

        def take(connection: sqlite3.Connection) -> Sequence[ClaimedJob]:
            due = connection.execute(_DUE, (now_ms, limit)).fetchall()
            due += connection.execute(_AHEAD, (last_ms, limit - len(due))).fetchall()
            connection.executemany(_CLAIM, [(owner, until_ms, position) for (position,) in due])
            found = [connection.execute(_CLAIMED, key).fetchone() for key in due]
            return [ClaimedJob(_job(row), row[-1]) for row in found]

        return await self._database.write(take)

    @override
    async def mark_published(self, owner: str, ids: Sequence[str], *, now: dt.datetime) -> int:
        now_ms = to_milliseconds(now)
        return await self._end(_PUBLISHED, [(now_ms, id_, owner) for id_ in ids])

    @override
    async def release(self, owner: str, failures: Sequence[FailedJob]) -> int:
        rows = [
            (failed.error, to_milliseconds(failed.retry_at), failed.job_id, owner)
            for failed in failures
        ]
        return await self._end(_RELEASE, rows)

    async def _end(self, statement: str, rows: Sequence[tuple[object, ...]]) -> int:
        _check(len(rows))
        if not rows:
            return 0
        return await self._database.write(
            lambda connection: connection.executemany(statement, rows).rowcount
        )

    @override
    async def counts(self) -> OutboxCounts:
        def job(connection: sqlite3.Connection) -> OutboxCounts:
            (pending,) = connection.execute(_PENDING).fetchone()
            oldest = connection.execute(_OLDEST).fetchone()
            return OutboxCounts(pending, None if oldest is None else from_milliseconds(oldest[0]))

        return await self._database.read(job)

    @override
    async def watch(self, account: str, *, after: int, limit: int) -> Sequence[WatchedJob]:
        _check(limit)

        def job(connection: sqlite3.Connection) -> Sequence[WatchedJob]:
            rows = connection.execute(_WATCH, (account, after, limit))
            return [WatchedJob(row[-1], _job(row)) for row in rows]

        return await self._database.read(job)

    @override
    async def bounds(self) -> tuple[int, int]:
        def job(connection: sqlite3.Connection) -> tuple[int, int]:
            first, last = (connection.execute(one).fetchone() for one in (_FIRST, _LAST))
            return (first[0], last[0]) if first is not None else (0, 0)

        return await self._database.read(job)

    @override
    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        _check(limit)
        before_ms = to_milliseconds(before)

        def job(connection: sqlite3.Connection) -> int:
            old = connection.execute(_OLD_JOBS, (before_ms, limit)).fetchall()
            last = connection.execute(_LAST).fetchone()
            for position, created_at in connection.execute(_OLD_EVENTS, (*(last or (0,)), limit)):
                if created_at >= before_ms:
                    break
                old.append((position,))
            connection.executemany(_DELETE, old)
            return len(old)

        return await self._database.write(job)


def _check(count: int) -> None:
    if count > MAX_JOBS:
        raise ValueError(f"at most {MAX_JOBS} jobs a call")


def _row(job: Job) -> tuple[object, ...]:
    """The values that `_APPEND` binds."""
    created_at = to_milliseconds(job.created_at)
    payload = to_json(job.payload).decode()
    state = "watched" if job.watched else "pending"
    return job.id, job.kind, job.account, created_at, payload, state, created_at


def _job(row: Sequence[Any]) -> Job:
    """A job from a row that begins with the columns `_JOB`."""
    return Job(row[0], row[1], row[2], from_milliseconds(row[3]), _decode(row[4]))
