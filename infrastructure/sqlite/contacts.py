"""Contacts in SQLite: the embedded setting keeps the CRM's contacts itself."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.ports.contacts import ContactDirectory, ContactLink, SourceVersion
from domain.contacts import Contact, ContactSync
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds, to_json
from infrastructure.sqlite.database import Database

_SETTINGS: Final = 'SELECT document FROM "billing.contact_sync" WHERE account = ?'
_PUT_SETTINGS: Final = (
    'INSERT INTO "billing.contact_sync" (account, document) VALUES (?, ?)'
    " ON CONFLICT (account) DO UPDATE SET document = excluded.document"
)
_GET: Final = 'SELECT id, account, fields FROM "crm.contacts" WHERE account = ? AND id = ?'
_FIND: Final = (
    'SELECT id, account, fields FROM "crm.contacts" WHERE account = ? AND {column} = ?'
    " ORDER BY id LIMIT 1"
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
_UNLINK: Final = f'DELETE FROM "billing.contact_links" WHERE {_KEY}'

_decode = msgspec.json.Decoder(dict[str, str]).decode
_decode_settings = msgspec.json.Decoder(ContactSync).decode


class SqliteContactDirectory(ContactDirectory):
    """`application.ports.contacts.ContactDirectory` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def sync_settings(self, account: str) -> ContactSync | None:
        def job(connection: sqlite3.Connection) -> ContactSync | None:
            found = connection.execute(_SETTINGS, (account,)).fetchone()
            return None if found is None else _decode_settings(found[0])

        return await self._database.read(job)

    @override
    async def put_sync_settings(self, settings: ContactSync) -> None:
        values = (settings.account, to_json(settings).decode())
        await self._database.write(
            lambda connection: connection.execute(_PUT_SETTINGS, values).close()
        )

    @override
    async def get(self, account: str, contact: str) -> Contact | None:
        def job(connection: sqlite3.Connection) -> Contact | None:
            return _contact(connection.execute(_GET, (account, contact)).fetchone())

        return await self._database.read(job)

    @override
    async def find(
        self, account: str, *, emails: Sequence[str], phones: Sequence[str]
    ) -> Contact | None:
        def job(connection: sqlite3.Connection) -> Contact | None:
            for column, values in (("email", emails), ("phone", phones)):
                statement = _FIND.format(column=column)
                rows = [connection.execute(statement, (account, one)).fetchone() for one in values]
                if found := [row for row in rows if row is not None]:
                    return _contact(min(found))
            return None

        return await self._database.read(job)

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
                account, contact, to_json(merged).decode(), merged.get("email"),
                merged.get("phone"), stripe_account, version.high, version.low, version.revision,
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

        return await self._database.write(job)

    @override
    async def links(
        self, account: str, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, ContactLink]:
        check_bounds(len(customers))

        def job(connection: sqlite3.Connection) -> Mapping[str, ContactLink]:
            keys = [(account, stripe_account, customer) for customer in customers]
            rows = [connection.execute(_LINKED, key).fetchone() for key in keys]
            return {row[2]: _link(row) for row in rows if row is not None}

        return await self._database.read(job)

    @override
    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        key = (account, stripe_account, customer)
        return await self._database.write(
            lambda connection: connection.execute(_UNLINK, key).rowcount == 1
        )


def _contact(row: Sequence[Any] | None) -> Contact | None:
    return None if row is None else Contact(row[0], row[1], _decode(row[2]))


def _link(row: Sequence[Any]) -> ContactLink:
    """A link from the columns `_LINK_COLUMNS`."""
    return ContactLink(row[0], row[1], row[2], row[3], from_milliseconds(row[4]))
