"""Contacts in SQLite: the embedded setting keeps the CRM's contacts itself."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.contacts.ports import (
    MAX_CUSTOM_FIELDS,
    MAX_SPELLINGS,
    ContactDirectory,
    ContactLink,
    SourceVersion,
)
from domain.contacts import Contact, ContactField, ContactSync, folded, is_writable
from domain.errors import AlreadyExists, Reason
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds, to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.row_cache import RowCache
from infrastructure.sqlite.core.tables import Tables

_EMAILS_FOLDED: Final = 3
_FOLD_EMAILS: Final = 'UPDATE "crm.contacts" SET email = folded(email) WHERE email IS NOT NULL'
"""Before that version contacts were found by their addresses as they are spelled."""


def _mend(connection: sqlite3.Connection, version: int) -> None:
    if version < _EMAILS_FOLDED:
        connection.create_function("folded", 1, folded, deterministic=True)
        connection.execute(_FOLD_EMAILS)


TABLES: Final = Tables(
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
    mend=_mend,
)

_SETTINGS: Final = 'SELECT document FROM "billing.contact_sync" WHERE account = ?'
_PUT_SETTINGS: Final = (
    'INSERT INTO "billing.contact_sync" (account, document) VALUES (?, ?)'
    " ON CONFLICT (account) DO UPDATE SET document = excluded.document"
)
_GET: Final = 'SELECT id, account, fields FROM "crm.contacts" WHERE account = ? AND id = ?'
_LIST: Final = (
    'SELECT id, account, fields FROM "crm.contacts" WHERE account = ? AND id > ?'
    " ORDER BY id LIMIT ?"
)
_MATCHING: Final = (
    'SELECT id, account, fields FROM "crm.contacts" WHERE account = ? AND {column} = ?'
    " ORDER BY id LIMIT ?"
)
_WITH_EMAIL: Final = _MATCHING.format(column="email")
_WITH_PHONE: Final = _MATCHING.format(column="phone")
_ADD: Final = (
    'INSERT INTO "crm.contacts" (account, id, fields, email, phone) VALUES (?, ?, ?, ?, ?)'
    " ON CONFLICT (account, id) DO NOTHING"
)
_PUT_FIELD: Final = (
    'INSERT INTO "crm.fields" (account, name, label) VALUES (?, ?, ?)'
    " ON CONFLICT (account, name) DO UPDATE SET label = excluded.label"
)
_CUSTOM_FIELDS: Final = (
    'SELECT name, label FROM "crm.fields" WHERE account = ? ORDER BY name LIMIT ?'
)
_FILLED: Final = (
    'SELECT fields, source, high, low, revision FROM "crm.contacts" WHERE account = ? AND id = ?'
)
_FILL: Final = (
    'INSERT INTO "crm.contacts"'
    " (account, id, fields, email, phone, source, high, low, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, id) DO UPDATE SET"
    " fields = excluded.fields, email = excluded.email, phone = excluded.phone,"
    " source = excluded.source, high = excluded.high, low = excluded.low,"
    " revision = excluded.revision"
)
_LINK_COLUMNS: Final = "account, stripe_account, customer, contact, linked_at"
_KEY: Final = "account = ? AND stripe_account = ? AND customer = ?"
_LINK: Final = (
    f'INSERT INTO "billing.contact_links" ({_LINK_COLUMNS}) VALUES (?, ?, ?, ?, ?)'
    " ON CONFLICT DO NOTHING"
)
_LINKED: Final = f'SELECT {_LINK_COLUMNS} FROM "billing.contact_links" WHERE {_KEY}'
_LINKS: Final = (
    f'SELECT {_LINK_COLUMNS} FROM "billing.contact_links" WHERE account = ? AND stripe_account = ?'
    " AND customer IN (SELECT value FROM json_each(?))"
)
_LINK_OF: Final = (
    f'SELECT {_LINK_COLUMNS} FROM "billing.contact_links"'
    " WHERE account = ? AND stripe_account = ? AND contact = ?"
)
_UNLINK: Final = f'DELETE FROM "billing.contact_links" WHERE {_KEY}'

_REMEMBERED_SECONDS: Final = 2.0
"""How much later one customer's link is seen that another process (`billing contacts`) has made."""

_decode = msgspec.json.Decoder(dict[str, str]).decode
_decode_settings = msgspec.json.Decoder(ContactSync).decode


class SqliteContactDirectory(ContactDirectory):
    """`application.contacts.ports.ContactDirectory` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: RowCache[tuple[float, Mapping[str, ContactLink]]] = RowCache()

    @override
    async def sync_settings(self, account: str) -> ContactSync | None:
        def job(connection: sqlite3.Connection) -> ContactSync | None:
            found = connection.execute(_SETTINGS, (account,)).fetchone()
            return None if found is None else _decode_settings(found[0])

        return await self._database.read(job)

    @override
    async def put_sync_settings(self, settings: ContactSync) -> bool:
        def job(connection: sqlite3.Connection) -> bool:
            found = connection.execute(_SETTINGS, (settings.account,)).fetchone()
            present = 0 if found is None else _decode_settings(found[0]).revision
            if present != settings.revision - 1:
                return False
            connection.execute(_PUT_SETTINGS, (settings.account, to_json(settings).decode()))
            return True

        return await self._database.write(job)

    @override
    async def custom_fields(self, account: str) -> Sequence[ContactField]:
        def job(connection: sqlite3.Connection) -> Sequence[ContactField]:
            rows = connection.execute(_CUSTOM_FIELDS, (account, MAX_CUSTOM_FIELDS))
            return [ContactField(name, label, True) for name, label in rows if is_writable(name)]

        return await self._database.read(job)

    @override
    async def put_field(self, account: str, field: ContactField) -> None:
        values = (account, field.name, field.label)
        await self._database.write(
            lambda connection: connection.execute(_PUT_FIELD, values).close()
        )

    @override
    async def add(self, contact: Contact) -> None:
        values = (contact.account, contact.id, *_values(contact.fields))
        if not await self._database.write(
            lambda connection: connection.execute(_ADD, values).rowcount == 1
        ):
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "the contact is there already", metadata={"id": contact.id}
            )

    @override
    async def list_all(self, account: str, *, after: str, limit: int) -> Sequence[Contact]:
        return await self._many(_LIST, [(account, after, limit)], limit)

    @override
    async def get(self, account: str, contact: str) -> Contact | None:
        def job(connection: sqlite3.Connection) -> Contact | None:
            found = connection.execute(_GET, (account, contact)).fetchone()
            return None if found is None else _contact(found)

        return await self._database.read(job)

    @override
    async def with_email(self, account: str, email: str, *, limit: int) -> Sequence[Contact]:
        return await self._many(_WITH_EMAIL, [(account, folded(email), limit)], limit)

    @override
    async def with_phone(
        self, account: str, spellings: Sequence[str], *, limit: int
    ) -> Sequence[Contact]:
        forms = dict.fromkeys(spellings[:MAX_SPELLINGS])
        return await self._many(_WITH_PHONE, [(account, one, limit) for one in forms], limit)

    @override
    async def fill(
        self, account: str, contact: str, fields: Mapping[str, str], version: SourceVersion,
        *, stripe_account: str, create: bool,
    ) -> bool:  # fmt: skip
        def job(connection: sqlite3.Connection) -> bool:
            found = connection.execute(_FILLED, (account, contact)).fetchone()
            if found is None and not create:
                return False
            present, source, *bounds = found or ("{}", None)
            if source == stripe_account and SourceVersion(*bounds) > version:
                return False
            merged = {**_decode(present), **fields}
            values = (
                account, contact, *_values(merged), stripe_account, version.high, version.low,
                version.revision,
            )  # fmt: skip
            connection.execute(_FILL, values)
            return True

        return await self._database.write(job)

    @override
    async def link(self, link: ContactLink) -> ContactLink | None:
        key = (link.account, link.stripe_account, link.customer)
        values = (*key, link.contact, to_milliseconds(link.linked_at))

        def job(connection: sqlite3.Connection) -> ContactLink | None:
            connection.execute(_LINK, values)
            found = connection.execute(_LINKED, key).fetchone()
            return None if found is None else _link(found)

        return await self._cache.write([key], self._database.write(job))

    @override
    async def links(
        self, account: str, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, ContactLink]:
        check_bounds(len(customers))
        # Of one customer it is asked again and again, as it is of its row.
        key = (account, stripe_account, customers[0]) if len(customers) == 1 else None
        if key and (kept := self._cache.get(key)) and time.monotonic() < kept[0]:
            return kept[1]
        moment = self._cache.moment

        asked = (account, stripe_account, to_json(customers).decode())

        def job(connection: sqlite3.Connection) -> Mapping[str, ContactLink]:
            return {row[2]: _link(row) for row in connection.execute(_LINKS, asked)}

        found = await self._database.read(job)
        if key:
            self._cache.keep(key, (time.monotonic() + _REMEMBERED_SECONDS, found), moment)
        return found

    @override
    async def link_of(self, account: str, stripe_account: str, contact: str) -> ContactLink | None:
        key = (account, stripe_account, contact)

        def job(connection: sqlite3.Connection) -> ContactLink | None:
            found = connection.execute(_LINK_OF, key).fetchone()
            return None if found is None else _link(found)

        return await self._database.read(job)

    @override
    async def linked(
        self, account: str, stripe_account: str, contacts: Sequence[str]
    ) -> frozenset[str]:
        check_bounds(len(contacts))
        keys = [(account, stripe_account, contact) for contact in contacts]

        def job(connection: sqlite3.Connection) -> frozenset[str]:
            rows = [connection.execute(_LINK_OF, key).fetchone() for key in keys]
            return frozenset(row[3] for row in rows if row is not None)

        return await self._database.read(job)

    @override
    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        key = (account, stripe_account, customer)
        write = self._database.write(
            lambda connection: connection.execute(_UNLINK, key).rowcount == 1
        )
        return await self._cache.write([key], write)

    async def _many(
        self, statement: str, questions: Sequence[tuple[Any, ...]], limit: int
    ) -> Sequence[Contact]:
        """The contacts that a statement gives for all questions together, by id."""
        check_bounds(limit)

        def job(connection: sqlite3.Connection) -> Sequence[Contact]:
            rows = [row for values in questions for row in connection.execute(statement, values)]
            return [_contact(row) for row in sorted(rows)[:limit]]

        return await self._database.read(job)


def _values(fields: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    """A contact's fields as a document, and what it is found by."""
    email = fields.get("email")
    return to_json(fields).decode(), None if email is None else folded(email), fields.get("phone")


def _contact(row: Sequence[Any]) -> Contact:
    return Contact(row[0], row[1], _decode(row[2]))


def _link(row: Sequence[Any]) -> ContactLink:
    """A link from the columns `_LINK_COLUMNS`."""
    return ContactLink(row[0], row[1], row[2], row[3], from_milliseconds(row[4]))
