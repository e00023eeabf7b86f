"""OAuth's states in SQLite: one row a state, by its digest."""

import datetime as dt
import sqlite3
from typing import Final

from typing_extensions import override

from application.connecting.ports import STATES_KEPT, OauthStates
from domain.oauth import Binding, OauthState
from domain.periods import to_milliseconds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.oauth_states" (
        digest TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, session_digest TEXT NOT NULL,
        redirect_uri TEXT NOT NULL, mode TEXT NOT NULL, subject TEXT NOT NULL,
        expires_at INTEGER NOT NULL, used_by TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.oauth_states by end"
    ON "billing.oauth_states" (expires_at)
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.oauth_states open"
    ON "billing.oauth_states" (account, expires_at) WHERE used_by = ''
    """,
)

_PURGED: Final = 100

_ADD: Final = 'INSERT INTO "billing.oauth_states" VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
_PURGE: Final = (
    'DELETE FROM "billing.oauth_states" WHERE digest IN'
    ' (SELECT digest FROM "billing.oauth_states" WHERE expires_at <= ? LIMIT ?)'
)
_COUNT: Final = (
    'SELECT count(*) FROM (SELECT 1 FROM "billing.oauth_states"'
    " WHERE account = ? AND used_by = '' AND expires_at > ? LIMIT ?)"
)
_USE: Final = (
    'UPDATE "billing.oauth_states" SET used_by = ?1 WHERE digest = ?2 AND account = ?3'
    " AND session_digest = ?4 AND redirect_uri = ?5 AND mode = ?6"
    " AND (used_by = ?1 OR (used_by = '' AND expires_at > ?7))"
)


class SqliteOauthStates(OauthStates):
    """`application.connecting.ports.OauthStates` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, state: OauthState, *, now: dt.datetime) -> None:
        values = (
            state.digest, *_binding(state.binding), state.subject,
            to_milliseconds(state.expires_at), state.used_by,
        )  # fmt: skip
        ended = to_milliseconds(now - STATES_KEPT)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(_ADD, values)
            connection.execute(_PURGE, (ended, _PURGED))

        await self._database.write(job)

    @override
    async def count(self, account: str, *, now: dt.datetime, limit: int) -> int:
        def job(connection: sqlite3.Connection) -> int:
            found = connection.execute(_COUNT, (account, to_milliseconds(now), limit)).fetchone()
            return int(found[0])

        return await self._database.read(job)

    @override
    async def use(self, binding: Binding, digest: str, *, by: str, now: dt.datetime) -> bool:
        values = (by, digest, *_binding(binding), to_milliseconds(now))
        return await self._database.write(
            lambda connection: connection.execute(_USE, values).rowcount == 1
        )


def _binding(binding: Binding) -> tuple[str, str, str, str]:
    return binding.account, binding.session_digest, binding.redirect_uri, binding.mode.value
