"""Notes in SQLite: one row a note, as JSON beside what it is found by."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.notes.ports import MAX_NOTES, NoteFilter, NoteRepository
from domain.notes import Note
from domain.periods import to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.notes" (
        account TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, author TEXT NOT NULL,
        created_at INTEGER NOT NULL, revision INTEGER NOT NULL, deleted INTEGER NOT NULL,
        document TEXT NOT NULL, PRIMARY KEY (account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.notes by time"
    ON "billing.notes" (account, created_at, id) WHERE deleted = 0
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.notes by customer"
    ON "billing.notes" (account, customer, created_at, id) WHERE deleted = 0
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.notes by author"
    ON "billing.notes" (account, author, created_at, id) WHERE deleted = 0
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.notes by customer and author"
    ON "billing.notes" (account, customer, author, created_at, id) WHERE deleted = 0
    """,
)

_ADD: Final = (
    'INSERT INTO "billing.notes"'
    " (account, id, customer, author, created_at, revision, deleted, document)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, id) DO NOTHING"
)
_GET: Final = 'SELECT document FROM "billing.notes" WHERE account = ? AND id = ?'
_REPLACE: Final = (
    'UPDATE "billing.notes" SET revision = ?, deleted = ?, document = ?'
    " WHERE account = ? AND id = ? AND revision = ?"
)
_LIST: Final = 'SELECT document FROM "billing.notes" WHERE deleted = 0 AND account = ?'
_IN_ORDER: Final = " ORDER BY created_at DESC, id DESC LIMIT ?"

_decode = msgspec.json.Decoder(Note).decode


class SqliteNotes(NoteRepository):
    """`application.notes.ports.NoteRepository` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, note: Note) -> None:
        values = (
            note.account, note.id, note.customer, note.author, to_milliseconds(note.created_at),
            note.revision, note.deleted, to_json(note).decode(),
        )  # fmt: skip
        await self._database.write(lambda connection: connection.execute(_ADD, values).close())

    @override
    async def get(self, account: str, note_id: str) -> Note | None:
        def job(connection: sqlite3.Connection) -> Note | None:
            found = connection.execute(_GET, (account, note_id)).fetchone()
            return None if found is None else _decode(found[0])

        return await self._database.read(job)

    @override
    async def replace(self, note: Note) -> bool:
        values = (
            note.revision, note.deleted, to_json(note).decode(), note.account, note.id,
            note.revision - 1,
        )  # fmt: skip
        return await self._database.write(
            lambda connection: connection.execute(_REPLACE, values).rowcount == 1
        )

    @override
    async def list(
        self, account: str, where: NoteFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Note]:
        if not 1 <= limit <= MAX_NOTES:
            raise ValueError(f"limit: 1 to {MAX_NOTES}")
        conditions, values = _conditions(where, after)
        statement = "".join((_LIST, *(f" AND {one}" for one in conditions), _IN_ORDER))

        def job(connection: sqlite3.Connection) -> Sequence[Note]:
            rows = connection.execute(statement, (account, *values, limit))
            return [_decode(document) for (document,) in rows]

        return await self._database.read(job)


def _conditions(
    where: NoteFilter, after: tuple[int, str] | None
) -> tuple[Sequence[str], Sequence[str | int]]:
    """What narrows a list, with the values; no two bounds from above, since one would be a scan."""
    conditions: list[str] = []
    values: list[str | int] = []
    for column in ("customer", "author"):
        if (value := getattr(where, column)) is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if where.created_from is not None:
        conditions.append("created_at >= ?")
        values.append(to_milliseconds(where.created_from))
    if after is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values += after
    elif where.created_to is not None:
        conditions.append("created_at < ?")
        values.append(to_milliseconds(where.created_to))
    return conditions, values
