"""Evidence in SQLite: one row an event and first read, what it showed as JSON."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from typing_extensions import override

from application.facts.ports import MAX_EVIDENCE, MAX_ROWS, EvidenceStore
from domain.evidence import Evidence
from domain.periods import to_milliseconds
from infrastructure.documents import check_bounds, to_json
from infrastructure.evidence import kind_of, read_evidence, subject_of
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.evidence" (
        stripe_account TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL,
        kind TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (stripe_account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.evidence by subject"
    ON "billing.evidence" (stripe_account, subject, at, id)
    """,
)

_APPEND: Final = (
    'INSERT INTO "billing.evidence" (stripe_account, id, subject, at, kind, document)'
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (stripe_account, id) DO NOTHING"
)
_OF: Final = (
    'SELECT kind, document FROM "billing.evidence" WHERE stripe_account = ? AND subject = ?'
    " ORDER BY at, id LIMIT ?"
)
_SUBJECTS: Final = (
    'SELECT subject FROM "billing.evidence" INDEXED BY "billing.evidence by subject"'
    " WHERE stripe_account = ? AND subject > ? ORDER BY subject LIMIT ?"
)
_KNOWN: Final = 'SELECT id FROM "billing.evidence" WHERE stripe_account = ? AND id = ?'


class SqliteEvidenceStore(EvidenceStore):
    """`application.facts.ports.EvidenceStore` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def append(self, stripe_account: str, rows: Sequence[Evidence]) -> None:
        check_bounds(len(rows))
        values = [
            (
                stripe_account,
                row.id,
                subject_of(row),
                to_milliseconds(row.at),
                kind_of(row),
                to_json(row).decode(),
            )
            for row in rows
        ]
        if values:
            await self._database.write(
                lambda connection: connection.executemany(_APPEND, values).close()
            )

    @override
    async def of(
        self, stripe_account: str, subjects: Sequence[str]
    ) -> Mapping[str, Sequence[Evidence]]:
        check_bounds(len(subjects))

        def job(connection: sqlite3.Connection) -> Mapping[str, Sequence[Evidence]]:
            rows = {
                subject: [
                    read_evidence(kind, document)
                    for kind, document in connection.execute(
                        _OF, (stripe_account, subject, MAX_EVIDENCE)
                    )
                ]
                for subject in subjects
            }
            return {subject: found for subject, found in rows.items() if found}

        return await self._database.read(job)

    @override
    async def known(self, stripe_account: str, ids: Sequence[str]) -> frozenset[str]:
        check_bounds(len(ids))

        def job(connection: sqlite3.Connection) -> frozenset[str]:
            return frozenset(
                found
                for id_ in ids
                for (found,) in connection.execute(_KNOWN, (stripe_account, id_))
            )

        return await self._database.read(job)

    @override
    async def subjects(self, stripe_account: str, *, after: str = "") -> Sequence[str]:
        def job(connection: sqlite3.Connection) -> Sequence[str]:
            rows = connection.execute(_SUBJECTS, (stripe_account, after, MAX_ROWS))
            return list(dict.fromkeys(subject for (subject,) in rows))

        return await self._database.read(job)
