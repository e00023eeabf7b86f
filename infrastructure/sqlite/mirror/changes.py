"""Changes of kept columns in SQLite: a table beside the rows, written in their transaction."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.mirror.ports import MAX_CHANGES, Change, ChangePlace, Changes, Noun, T
from application.requests.paging import Scalar
from infrastructure.documents import restates, to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.names import quoted
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.changes" (
        noun TEXT NOT NULL, stripe_account TEXT NOT NULL, known_at INTEGER NOT NULL,
        id TEXT NOT NULL, revision INTEGER NOT NULL, first_known_at INTEGER NOT NULL,
        restates INTEGER NOT NULL, before TEXT, after TEXT,
        PRIMARY KEY (noun, stripe_account, known_at, id, revision)
    ) WITHOUT ROWID
    """,
    # Most changes are of times that are open still: a page of restatements steps over none.
    """
    CREATE INDEX IF NOT EXISTS "billing.changes that restate"
    ON "billing.changes" (noun, stripe_account, known_at, id, revision) WHERE restates = 1
    """,
)

Values = Mapping[str, Scalar | None]
Stored = tuple[int | None, Values | None]
NOT_STORED: Final[Stored] = (None, None)

_APPEND: Final = (
    'INSERT INTO "billing.changes"'
    " (noun, stripe_account, known_at, id, revision, first_known_at, restates, before, after)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIND: Final = (
    'SELECT id, revision, first_known_at, known_at, before, after, restates FROM "billing.changes"'
    " WHERE noun = ? AND stripe_account = ?"
)
_IN_ORDER: Final = " ORDER BY known_at {0}, id {0}, revision {0} LIMIT ?"
_LIST: Final = f"{_FIND} AND restates = 1{{0}}{_IN_ORDER.format('DESC')}"
_SINCE: Final = f"{_FIND} AND (known_at, id, revision) > (?, ?, ?){_IN_ORDER.format('ASC')}"

_decode: Final = msgspec.json.Decoder(dict[str, str | int | None]).decode


class ChangeLog:
    """The writer's half: how a noun's kept columns change. False where it keeps none."""

    def __init__(self, noun: Noun[Any]) -> None:
        self._noun = noun
        columns = ", ".join(map(quoted, (str(noun.first_known), *noun.kept)))
        self._kept = (
            f"SELECT object IS NOT NULL, {columns} FROM {quoted(noun.collection)}"
            " WHERE stripe_account = ? AND id = ?"
        )

    def __bool__(self) -> bool:
        return bool(self._noun.kept)

    def of(self, connection: sqlite3.Connection, key: tuple[str, str]) -> Stored:
        """When a stored row was first known, and its kept columns; None where it is not live."""
        found = connection.execute(self._kept, key).fetchone()
        live, first, *values = found or (0, None)
        return first, dict(zip(self._noun.kept, values, strict=True)) if live else None

    def append(
        self,
        connection: sqlite3.Connection,
        key: tuple[str, str],
        revision: int,
        stored: Stored,
        columns: Values | None,
        closing: int | None,
        now: int,
    ) -> None:
        """Keep what the write of a revision changed: of a first one only where it restates."""
        first, before = stored
        after = None if columns is None else {name: columns[name] for name in self._noun.kept}
        told = restates(closing, before, after)
        if before == after or (revision == 1 and not told):
            return
        stripe_account, id_ = key
        texts = (None if it is None else to_json(it).decode() for it in (before, after))
        first = now if first is None else first
        bound = (self._noun.name, stripe_account, now, id_, revision, first, int(told), *texts)
        connection.execute(_APPEND, bound)


class SqliteChanges(Changes):
    """`application.mirror.ports.Changes` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def list(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace | None, limit: int
    ) -> Sequence[Change]:
        check_changes(limit)
        beyond = "" if after is None else " AND (known_at, id, revision) < (?, ?, ?)"
        values = (noun.name, stripe_account, *(after or ()), limit)

        def job(connection: sqlite3.Connection) -> Sequence[Change]:
            return _changes(stripe_account, connection.execute(_LIST.format(beyond), values))

        return await self._database.read(job)

    @override
    async def since(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace, limit: int
    ) -> Sequence[Change]:
        check_changes(limit)
        return await self._database.read(
            lambda connection: changes_since(connection, noun, stripe_account, after, limit)
        )


def changes_since(
    connection: sqlite3.Connection,
    noun: Noun[Any],
    stripe_account: str,
    after: ChangePlace,
    limit: int,
) -> Sequence[Change]:
    """The reader's half of `Changes.since`, for who reads more in the same transaction."""
    values = (noun.name, stripe_account, *after, limit)
    return _changes(stripe_account, connection.execute(_SINCE, values))


def check_changes(limit: int) -> None:
    """ValueError for a page that the port does not allow."""
    if not 1 <= limit <= MAX_CHANGES:
        raise ValueError(f"limit: from 1 to {MAX_CHANGES}")


def _changes(stripe_account: str, rows: Iterable[Sequence[Any]]) -> Sequence[Change]:
    return [
        Change(
            stripe_account, id_, revision, first, known_at,
            None if before is None else _decode(before),
            None if after is None else _decode(after),
            bool(told),
        )
        for id_, revision, first, known_at, before, after, told in rows
    ]  # fmt: skip
