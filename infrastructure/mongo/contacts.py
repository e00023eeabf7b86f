"""The contacts port: documents of the CRM, of which Billing reads and fills a few fields."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from pymongo import DeleteOne
from typing_extensions import override

from application.ports.contacts import ContactDirectory, ContactLink, SourceVersion
from domain.contacts import Contact, ContactSync
from infrastructure.documents import check_bounds, to_builtins
from infrastructure.mongo.database import ASCENDING, Collection, Database, Document, Duplicate
from infrastructure.mongo.indexes import (
    BY_ID,
    CONTACT_LINKS,
    CONTACT_SYNC,
    CONTACTS,
    CONTACTS_BY_EMAIL,
    CONTACTS_BY_PHONE,
)

_FILLED: Final = "billing_filled"
_MAX_FORMS: Final = 10


class MongoContactDirectory(ContactDirectory):
    """ContactDirectory on MongoDB.

    A contact's fields stand at the top level, where the CRM keeps them; what Billing remembers of
    its last filling stands apart in `billing_filled`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def sync_settings(self, account: str) -> ContactSync | None:
        found = await self._database.collection(CONTACT_SYNC).find_one({"_id": account})
        return None if found is None else msgspec.convert(found, ContactSync)

    @override
    async def put_sync_settings(self, settings: ContactSync) -> None:
        await self._database.collection(CONTACT_SYNC).replace_one(
            {"_id": settings.account}, to_builtins(settings)
        )

    @override
    async def get(self, account: str, contact: str) -> Contact | None:
        found = await self._contacts.find_one({"_id": contact, "account": account})
        return None if found is None else _contact(found)

    @override
    async def find(
        self, account: str, *, emails: Sequence[str], phones: Sequence[str]
    ) -> Contact | None:
        for field, values, index in (
            ("email", emails, CONTACTS_BY_EMAIL),
            ("phone", phones, CONTACTS_BY_PHONE),
        ):
            branches = [{"account": account, field: one} for one in values[:_MAX_FORMS]]
            found = branches and await self._contacts.find(
                {"$or": branches}, sort=[("_id", ASCENDING)], limit=1, hint=index
            )
            if found:
                return _contact(found[0])
        return None

    @override
    async def fill(
        self, account: str, contact: str, fields: Mapping[str, str], version: SourceVersion,
        *, stripe_account: str, create: bool,
    ) -> bool:  # fmt: skip
        key: Document = {"_id": contact, "account": account}
        filled = {"stripe_account": stripe_account, **to_builtins(version)}
        change = {"$set": {**fields, _FILLED: filled}}
        where = {**key, **_not_later(stripe_account, version)}
        if await self._contacts.update_one(where, change):
            return True
        if not create:
            return False
        try:
            await self._contacts.insert_one({**key, **change["$set"]})
        except Duplicate:
            # It is there: from a later version, or another account's, or only just made.
            return await self._contacts.update_one(where, change)
        return True

    @override
    async def link(self, link: ContactLink) -> ContactLink | None:
        try:
            await self._links.insert_one({"_id": _key(link), **to_builtins(link)})
        except Duplicate:
            found = await self._links.find_one({"_id": _key(link)})
            return None if found is None else msgspec.convert(found, ContactLink)
        return link

    @override
    async def links(
        self, account: str, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, ContactLink]:
        check_bounds(len(customers))
        if not customers:
            return {}
        ids = [f"{account}/{stripe_account}/{customer}" for customer in customers]
        found = await self._links.find({"_id": {"$in": ids}}, limit=len(ids), hint=BY_ID)
        links = [msgspec.convert(document, ContactLink) for document in found]
        return {link.customer: link for link in links}

    @override
    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        gone = DeleteOne({"_id": f"{account}/{stripe_account}/{customer}"})
        return (await self._links.write([gone]))[0] == 1

    @property
    def _contacts(self) -> Collection:
        return self._database.collection(CONTACTS)

    @property
    def _links(self) -> Collection:
        return self._database.collection(CONTACT_LINKS)


def _key(link: ContactLink) -> str:
    return f"{link.account}/{link.stripe_account}/{link.customer}"


def _not_later(stripe_account: str, version: SourceVersion) -> Document:
    """Contacts that this connection has not filled from a later version: (high, low, revision)."""
    high, low, revision = (f"{_FILLED}.{name}" for name in ("high", "low", "revision"))
    return {
        "$or": [
            {f"{_FILLED}.stripe_account": {"$ne": stripe_account}},
            {high: {"$lt": version.high}},
            {high: version.high, low: {"$lt": version.low}},
            {high: version.high, low: version.low, revision: {"$lte": version.revision}},
        ]
    }


def _contact(document: Document) -> Contact:
    fields = {
        name: value
        for name, value in document.items()
        if isinstance(value, str) and name not in ("_id", "account")
    }
    return Contact(str(document["_id"]), document["account"], fields)
