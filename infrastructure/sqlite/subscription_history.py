"""Subscription history in SQLite: one row an event, what it showed as JSON."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.subscriptions.history import MAX_CHANGES, SubscriptionHistory
from domain.periods import to_milliseconds
from domain.subscription_history import SubscriptionChange
from infrastructure.documents import check_bounds, to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "billing.subscription_history" (
        stripe_account TEXT NOT NULL, event_id TEXT NOT NULL, subscription TEXT NOT NULL,
        at INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (stripe_account, event_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.subscription_history by subscription"
    ON "billing.subscription_history" (stripe_account, subscription, at, event_id)
    """,
)

_APPEND: Final = (
    'INSERT INTO "billing.subscription_history"'
    " (stripe_account, event_id, subscription, at, document) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (stripe_account, event_id) DO NOTHING"
)
_OF_SUBSCRIPTION: Final = (
    'SELECT document FROM "billing.subscription_history"'
    " WHERE stripe_account = ? AND subscription = ? AND (at, event_id) > (?, ?)"
    " ORDER BY at, event_id LIMIT ?"
)
_FROM_THE_FIRST: Final = (-(2**63), "")

_decode = msgspec.json.Decoder(SubscriptionChange).decode


class SqliteSubscriptionHistory(SubscriptionHistory):
    """`application.subscriptions.history.SubscriptionHistory` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def append(self, changes: Sequence[SubscriptionChange]) -> None:
        if len(changes) > MAX_CHANGES:
            raise ValueError(f"at most {MAX_CHANGES} changes a call")
        rows = [
            (
                change.stripe_account,
                change.event_id,
                change.subscription.id,
                to_milliseconds(change.at),
                to_json(change).decode(),
            )
            for change in changes
        ]
        if rows:
            await self._database.write(
                lambda connection: connection.executemany(_APPEND, rows).close()
            )

    @override
    async def of_subscription(
        self,
        stripe_account: str,
        subscription: str,
        *,
        after: tuple[dt.datetime, str] | None,
        limit: int,
    ) -> Sequence[SubscriptionChange]:
        check_bounds(limit)
        place = _FROM_THE_FIRST if after is None else (to_milliseconds(after[0]), after[1])
        values = (stripe_account, subscription, *place, limit)

        def job(connection: sqlite3.Connection) -> Sequence[SubscriptionChange]:
            return [_decode(found) for (found,) in connection.execute(_OF_SUBSCRIPTION, values)]

        return await self._database.read(job)
