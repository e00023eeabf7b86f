"""The tables of the embedded store, made or mended at start.

The mirror's tables, columns and indexes follow the declarations in `application.ports.mirror`, so
a changed declaration changes them here too. There is no ANALYZE: without statistics a query has
the same plan on every deployment, which is the plan that the tests have proved.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from application.ports.mirror import Noun
from domain.contacts import folded
from domain.errors import FailedPrecondition, Reason
from infrastructure.sqlite.columns import columns_of, prepare_mirror, refill, transaction
from infrastructure.sqlite.names import quoted

VERSION: Final = 3
"""Grows when a table that no declaration describes changes."""

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS "billing.deployment" (name TEXT PRIMARY KEY, value TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS "_accounts" (id TEXT PRIMARY KEY, document TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.connections" (
        account TEXT NOT NULL, mode TEXT NOT NULL, stripe_account TEXT NOT NULL,
        state TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (account, mode)
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS "billing.connections by stripe_account"
    ON "billing.connections" (stripe_account, mode) WHERE state = 'active'
    """,
    # `due_at` is when a pending event may be claimed: after its last failure's delay, and after
    # the lease of whoever holds it. Payloads stand apart: SQLite writes a changed row anew, whole.
    """
    CREATE TABLE IF NOT EXISTS "billing.events" (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stripe_account TEXT NOT NULL,
        type TEXT NOT NULL, api_version TEXT NOT NULL, created INTEGER NOT NULL,
        object_type TEXT NOT NULL, object_id TEXT NOT NULL, received_at INTEGER NOT NULL,
        state TEXT NOT NULL, decision TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL DEFAULT 0, owner TEXT,
        size INTEGER NOT NULL, effects TEXT NOT NULL DEFAULT '[]'
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.event_payloads" (
        seq INTEGER PRIMARY KEY, payload BLOB NOT NULL
    )
    """,
    # What is not done: the queue, and the dead ones beside it, since every index of its own is
    # looked at by each webhook.
    """
    DROP INDEX IF EXISTS "billing.events pending"
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.events open"
    ON "billing.events" (state, received_at, seq, due_at, size, stripe_account)
    WHERE state = 'pending' OR state = 'dead'
    """,
    # A webhook pays for an index by the pages that it dirties. One in the order of receipt only
    # grows at its end, so it may be wide: accounts and types are looked for in it without reading
    # rows. One in any other order costs about 8 % of an event: one more by account was too much.
    """
    CREATE INDEX IF NOT EXISTS "billing.events by receipt"
    ON "billing.events" (received_at, stripe_account, type)
    """,
    # Stripe's ids grow with time, so that new objects share a page, which those of accounts do not.
    """
    CREATE INDEX IF NOT EXISTS "billing.events by object" ON "billing.events" (object_id)
    """,
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
    """
    CREATE TABLE IF NOT EXISTS "billing.checkpoints" (
        stripe_account TEXT NOT NULL, task TEXT NOT NULL, revision INTEGER NOT NULL,
        state TEXT NOT NULL, saved_at INTEGER NOT NULL, PRIMARY KEY (stripe_account, task)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.checkpoints by time"
    ON "billing.checkpoints" (stripe_account, saved_at)
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.reports" (
        stripe_account TEXT NOT NULL, id TEXT NOT NULL, started_at INTEGER NOT NULL,
        document TEXT NOT NULL, PRIMARY KEY (stripe_account, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "billing.reports newest"
    ON "billing.reports" (stripe_account, started_at, id)
    """,
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
    """
    CREATE TABLE IF NOT EXISTS "billing.parked_events" (
        stripe_account TEXT NOT NULL, event_id TEXT NOT NULL, parked_at INTEGER NOT NULL,
        PRIMARY KEY (stripe_account, event_id)
    )
    """,
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
    # `source` is the Stripe account from which a contact was filled last; the next three are how
    # new its customer was. `email` is case-folded.
    """
    CREATE TABLE IF NOT EXISTS "crm.contacts" (
        account TEXT NOT NULL, id TEXT NOT NULL, fields TEXT NOT NULL, email TEXT, phone TEXT,
        source TEXT, high INTEGER, low INTEGER, revision INTEGER, PRIMARY KEY (account, id)
    )
    """,
    # Of the fields that the account's contacts have, those that not every contact has.
    """
    CREATE TABLE IF NOT EXISTS "crm.fields" (
        account TEXT NOT NULL, name TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (account, name)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS "crm.contacts by email" ON "crm.contacts" (account, email, id)
    """,
    """
    CREATE INDEX IF NOT EXISTS "crm.contacts by phone" ON "crm.contacts" (account, phone, id)
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.contact_links" (
        account TEXT NOT NULL, stripe_account TEXT NOT NULL, customer TEXT NOT NULL,
        contact TEXT NOT NULL, linked_at INTEGER NOT NULL,
        PRIMARY KEY (account, stripe_account, customer), UNIQUE (account, stripe_account, contact)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS "billing.contact_sync" (
        account TEXT PRIMARY KEY, document TEXT NOT NULL
    )
    """,
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

_EMAILS_FOLDED: Final = 3
_FOLD_EMAILS: Final = 'UPDATE "crm.contacts" SET email = folded(email) WHERE email IS NOT NULL'
"""Before that version contacts were found by their addresses as they are spelled."""

_ADDED_COLUMNS: Final = (("billing.events", "effects", "TEXT NOT NULL DEFAULT '[]'"),)
"""Columns that tables made by an earlier version lack: table, name, definition."""


def prepare(connection: sqlite3.Connection, nouns: Sequence[Noun[Any]]) -> None:
    """Make what is missing, in one transaction; then fill what it lacks, a thousand rows in each.

    Idempotent; where it was interrupted it goes on. Raises FailedPrecondition where a newer release
    has written the file.
    """
    with transaction(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise FailedPrecondition(
                Reason.STORE_UNAVAILABLE,
                f"the store has schema version {found}, this release knows {VERSION}; "
                "use the release that wrote it or a later one",
                subject="store",
            )
        for statement in _TABLES:
            connection.execute(statement)
        for table, column, definition in _ADDED_COLUMNS:
            if column not in columns_of(connection, table):
                connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {column} {definition}")
        if found < _EMAILS_FOLDED:
            connection.create_function("folded", 1, folded, deterministic=True)
            connection.execute(_FOLD_EMAILS)
        unfilled = [noun for noun in nouns if not prepare_mirror(connection, noun)]
        connection.execute(f"PRAGMA user_version = {VERSION}")
    for noun in unfilled:
        refill(connection, noun)
