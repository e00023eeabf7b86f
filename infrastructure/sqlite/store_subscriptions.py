"""Store subscriptions in SQLite: one row for each checkout of what recurs."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.checkouts.ports import MAX_SUBSCRIPTIONS, StoreSubscriptions
from domain.errors import AlreadyExists, Reason
from domain.periods import to_milliseconds
from domain.store_products import ProductKind
from domain.store_subscriptions import StoreSubscription, StripeSubscription
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "_store.subscriptions" (
        id TEXT PRIMARY KEY, account TEXT NOT NULL, seller TEXT, listing TEXT, due_at INTEGER,
        renewal TEXT, sellers TEXT, revision INTEGER NOT NULL, document TEXT NOT NULL
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS "_store.subscriptions listing"
    ON "_store.subscriptions" (listing) WHERE listing IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "_store.subscriptions account"
    ON "_store.subscriptions" (account, id)
    """,
    """
    CREATE INDEX IF NOT EXISTS "_store.subscriptions seller"
    ON "_store.subscriptions" (seller, id) WHERE seller IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "_store.subscriptions due"
    ON "_store.subscriptions" (due_at, id) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "_store.subscriptions renewal"
    ON "_store.subscriptions" (renewal) WHERE renewal IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS "_store.subscriptions sellers"
    ON "_store.subscriptions" (sellers) WHERE sellers IS NOT NULL
    """,
)

_ADD: Final = (
    'INSERT INTO "_store.subscriptions"'
    " (account, seller, listing, due_at, renewal, sellers, revision, document, id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_PUT: Final = (
    'UPDATE "_store.subscriptions" SET account = ?, seller = ?, listing = ?, due_at = ?,'
    " renewal = ?, sellers = ?, revision = ?, document = ? WHERE id = ? AND revision = ?"
)
_BY_ID: Final = 'SELECT document FROM "_store.subscriptions" WHERE id = ?'
_LIST: Final = (
    'SELECT document FROM "_store.subscriptions" WHERE account = ? AND id > ? ORDER BY id LIMIT ?'
)
_LISTING: Final = 'SELECT 1 FROM "_store.subscriptions" WHERE listing = ?'
_SOLD: Final = (
    'SELECT document FROM "_store.subscriptions" WHERE seller = ? AND id > ? ORDER BY id LIMIT ?'
)
_RENEWAL: Final = 'SELECT document FROM "_store.subscriptions" WHERE renewal = ? LIMIT 1'
_SELLERS: Final = 'SELECT document FROM "_store.subscriptions" WHERE sellers = ? LIMIT 1'
_DUE: Final = (
    'SELECT document FROM "_store.subscriptions" WHERE due_at <= ? AND (due_at, id) > (?, ?)'
    " ORDER BY due_at, id LIMIT ?"
)

_FIRST: Final = -(2**63)

_decode = msgspec.json.Decoder(StoreSubscription).decode


class SqliteStoreSubscriptions(StoreSubscriptions):
    """`application.checkouts.ports.StoreSubscriptions` on one SQLite file.

    `listing` is the account of a listing that stands, `seller` that of what stands: an ended one
    has neither.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, subscription: StoreSubscription) -> StoreSubscription:
        values = _values(subscription)

        def job(connection: sqlite3.Connection) -> StoreSubscription | None:
            try:
                connection.execute(_ADD, values)
            except sqlite3.IntegrityError:
                return _first(connection, _BY_ID, subscription.id)
            return _first(connection, _BY_ID, subscription.id)

        standing = await self._database.write(job)
        if standing is None:
            raise second_listing(subscription)
        return standing

    @override
    async def put(self, subscription: StoreSubscription) -> bool:
        values = (*_values(subscription), subscription.revision - 1)

        def job(connection: sqlite3.Connection) -> bool | None:
            try:
                return connection.execute(_PUT, values).rowcount == 1
            except sqlite3.IntegrityError:
                return None

        done = await self._database.write(job)
        if done is None:
            raise second_listing(subscription)
        return done

    @override
    async def get(self, account: str, subscription: str) -> StoreSubscription | None:
        standing = await self._database.read(
            lambda connection: _first(connection, _BY_ID, subscription)
        )
        return standing if standing is not None and standing.account == account else None

    @override
    async def list(self, account: str, *, after: str, limit: int) -> Sequence[StoreSubscription]:
        return await self._page(_LIST, account, after, limit=limit)

    @override
    async def has_listing(self, account: str) -> bool:
        return await self._database.read(
            lambda connection: connection.execute(_LISTING, (account,)).fetchone() is not None
        )

    @override
    async def list_sold(
        self, account: str, *, after: str, limit: int
    ) -> Sequence[StoreSubscription]:
        return await self._page(_SOLD, account, after, limit=limit)

    @override
    async def find(self, stripe_account: str, subscription: str) -> StoreSubscription | None:
        key = _key(StripeSubscription(stripe_account, subscription))
        return await self._database.read(
            lambda connection: (
                _first(connection, _RENEWAL, key) or _first(connection, _SELLERS, key)
            )
        )

    @override
    async def list_due(
        self, *, now: dt.datetime, after: tuple[dt.datetime, str] | None = None, limit: int
    ) -> Sequence[StoreSubscription]:
        since, id_ = (_FIRST, "") if after is None else (to_milliseconds(after[0]), after[1])
        return await self._page(_DUE, to_milliseconds(now), since, id_, limit=limit)

    async def _page(
        self, statement: str, *values: str | int, limit: int
    ) -> Sequence[StoreSubscription]:
        if not 1 <= limit <= MAX_SUBSCRIPTIONS:
            raise ValueError(f"limit: 1 to {MAX_SUBSCRIPTIONS:,}")
        return await self._database.read(
            lambda connection: [
                _decode(document) for (document,) in connection.execute(statement, (*values, limit))
            ]
        )


def second_listing(subscription: StoreSubscription) -> AlreadyExists:
    """The refusal of a second listing."""
    return AlreadyExists(
        Reason.LISTING_EXISTS,
        "the account has a listing already",
        metadata={"account": subscription.account},
    )


def _values(subscription: StoreSubscription) -> tuple[str | int | None, ...]:
    due = subscription.cost_due_at
    is_listing = subscription.stands and subscription.kind is ProductKind.LISTING
    return (
        subscription.account,
        subscription.seller if subscription.stands else None,
        subscription.account if is_listing else None,
        None if due is None else to_milliseconds(due),
        _key(subscription.renewal),
        _key(subscription.sellers),
        subscription.revision,
        to_json(subscription).decode(),
        subscription.id,
    )


def _key(subscription: StripeSubscription | None) -> str | None:
    return None if subscription is None else f"{subscription.stripe_account}/{subscription.id}"


def _first(
    connection: sqlite3.Connection, statement: str, value: str | None
) -> StoreSubscription | None:
    row = connection.execute(statement, (value,)).fetchone()
    return None if row is None else _decode(row[0])
