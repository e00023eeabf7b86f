"""Support conversations in SQLite: a message and its conversation are written by one job."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from typing_extensions import override

from application.support.ports import PostedMessage, SupportInbox, SystemMessage
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "support.conversations" (
        account TEXT NOT NULL, id TEXT NOT NULL, contact TEXT NOT NULL, state TEXT NOT NULL,
        created_at INTEGER NOT NULL, last_message_at INTEGER NOT NULL, PRIMARY KEY (account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "support.conversations by contact"
    ON "support.conversations" (account, contact, state, last_message_at, id)
    """,
    """
    CREATE TABLE IF NOT EXISTS "support.messages" (
        account TEXT NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, contact TEXT NOT NULL,
        author TEXT NOT NULL, text TEXT NOT NULL, created_at INTEGER NOT NULL,
        PRIMARY KEY (account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "support.messages by contact"
    ON "support.messages" (account, contact, created_at, id)
    """,
)

_MESSAGE: Final = "conversation, id, account, contact, text, created_at"
_GET: Final = f'SELECT {_MESSAGE} FROM "support.messages" WHERE account = ? AND id = ?'
_OPEN: Final = (
    "SELECT id FROM \"support.conversations\" WHERE account = ? AND contact = ? AND state = 'open'"
    " ORDER BY last_message_at DESC, id DESC LIMIT 1"
)
_BEGIN: Final = (
    'INSERT INTO "support.conversations"'
    " (account, id, contact, state, created_at, last_message_at) VALUES (?, ?, ?, 'open', ?, ?)"
)
_TOUCH: Final = (
    'UPDATE "support.conversations" SET last_message_at = max(last_message_at, ?)'
    " WHERE account = ? AND id = ?"
)
_ADD: Final = (
    f"INSERT INTO \"support.messages\" ({_MESSAGE}, author) VALUES (?, ?, ?, ?, ?, ?, 'system')"
)
_NEWEST: Final = (
    f'SELECT {_MESSAGE} FROM "support.messages" WHERE account = ? AND contact = ?'
    " ORDER BY created_at DESC, id DESC LIMIT ?"
)


class SqliteSupportInbox(SupportInbox):
    """`application.support.ports.SupportInbox` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def post(self, message: SystemMessage) -> PostedMessage:
        at = to_milliseconds(message.created_at)
        fresh = uuid4().hex

        def job(connection: sqlite3.Connection) -> PostedMessage:
            there = connection.execute(_GET, (message.account, message.id)).fetchone()
            if there is not None:
                return _posted(there)
            found = connection.execute(_OPEN, (message.account, message.contact)).fetchone()
            conversation = fresh if found is None else str(found[0])
            if found is None:
                connection.execute(_BEGIN, (message.account, fresh, message.contact, at, at))
            else:
                connection.execute(_TOUCH, (at, message.account, conversation))
            connection.execute(
                _ADD,
                (conversation, message.id, message.account, message.contact, message.text, at),
            )
            return PostedMessage(conversation, message)

        return await self._database.write(job)

    @override
    async def messages(self, account: str, contact: str, *, limit: int) -> Sequence[PostedMessage]:
        check_bounds(limit)

        def job(connection: sqlite3.Connection) -> Sequence[PostedMessage]:
            return [_posted(row) for row in connection.execute(_NEWEST, (account, contact, limit))]

        return await self._database.read(job)


def _posted(row: Sequence[Any]) -> PostedMessage:
    """A message from the columns `_MESSAGE`."""
    conversation, id_, account, contact, text, created_at = row
    return PostedMessage(
        conversation, SystemMessage(id_, account, contact, text, from_milliseconds(created_at))
    )
