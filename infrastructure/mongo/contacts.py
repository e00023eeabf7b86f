"""The contacts port: documents of the CRM, of which Billing reads and fills a few fields."""

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec
from bson import ObjectId
from pymongo import DeleteOne
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
from infrastructure.documents import check_bounds, to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    BY_ID,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_CONTACTS: Final = "crm.contacts"
_CONTACT_FIELDS: Final = "crm.fields"
_CONTACT_LINKS: Final = "billing.contact_links"
_CONTACT_SYNC: Final = "billing.contact_sync"
_CONTACTS_BY_EMAIL: Final = "account_email_any_case"
_CONTACTS_BY_PHONE: Final = "account_phone"
_CONTACTS_BY_ID: Final = "account_id"
_FIELDS_BY_NAME: Final = "account_name"
_LINKS_BY_CONTACT: Final = "account_stripe_account_contact"

_ANY_CASE: Final[Document] = {"locale": "en", "strength": 2}
"""Text is equal whatever the case of its letters (collation of secondary strength)."""

INDEXES: Final[Indexes] = {
    _CONTACTS: [
        index("account", "email", "_id", name=_CONTACTS_BY_EMAIL, collation=_ANY_CASE),
        index("account", "phone", "_id", name=_CONTACTS_BY_PHONE),
        index("account", "_id", name=_CONTACTS_BY_ID),
    ],
    _CONTACT_FIELDS: [index("account", "name", name=_FIELDS_BY_NAME)],
    _CONTACT_LINKS: [
        index("account", "stripe_account", "contact", name=_LINKS_BY_CONTACT, unique=True)
    ],
}

_FILLED: Final = "billing_filled"
_BY_ID: Final = [("_id", ASCENDING)]


class MongoContactDirectory(ContactDirectory):
    """ContactDirectory on MongoDB.

    A contact's fields stand at the top level, where the CRM keeps them; what Billing remembers of
    its last filling stands apart in `billing_filled`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def sync_settings(self, account: str) -> ContactSync | None:
        found = await self._database.collection(_CONTACT_SYNC).find_one({"_id": account})
        return None if found is None else msgspec.convert(found, ContactSync)

    @override
    async def put_sync_settings(self, settings: ContactSync) -> bool:
        collection = self._database.collection(_CONTACT_SYNC)
        document = {"_id": settings.account, **to_builtins(settings)}
        if settings.revision == 1:
            try:
                await collection.insert_one(document)
            except Duplicate:
                return False
            return True
        seen = {"_id": settings.account, "revision": settings.revision - 1}
        return await collection.update_one(seen, {"$set": document})

    @override
    async def custom_fields(self, account: str) -> Sequence[ContactField]:
        found = await self._database.collection(_CONTACT_FIELDS).find(
            {"account": account},
            sort=[("name", ASCENDING)],
            limit=MAX_CUSTOM_FIELDS,
            hint=_FIELDS_BY_NAME,
        )
        # They are the CRM's: one without a name that Billing can write is left out.
        named = [(str(one.get("name", "")), str(one.get("label") or "")) for one in found]
        return [ContactField(n, label or n, True) for n, label in named if is_writable(n)]

    @override
    async def put_field(self, account: str, field: ContactField) -> None:
        key = {"account": account, "name": field.name}
        await self._database.collection(_CONTACT_FIELDS).upsert(
            {"_id": f"{account}/{field.name}"}, {"$set": {**key, "label": field.label}}
        )

    @override
    async def add(self, contact: Contact) -> None:
        document = {**contact.fields, "_id": contact.id, "account": contact.account}
        try:
            await self._contacts.insert_one(document)
        except Duplicate as error:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "the contact is there already", metadata={"id": contact.id}
            ) from error

    @override
    async def list_all(self, account: str, *, after: str, limit: int) -> Sequence[Contact]:
        check_bounds(limit)
        found = await self._contacts.find(
            {"account": account, "_id": {"$gt": after}},
            sort=_BY_ID,
            limit=limit,
            hint=_CONTACTS_BY_ID,
        )
        return [_contact(document) for document in found]

    @override
    async def get(self, account: str, contact: str) -> Contact | None:
        found = await self._contacts.find_one(_keys(account, contact))
        return None if found is None else _contact(found)

    @override
    async def with_email(self, account: str, email: str, *, limit: int) -> Sequence[Contact]:
        check_bounds(limit)
        # The collation is the account's too, which must be equal to the letter.
        exactly = {"account": {"$regex": f"^{re.escape(account)}\\z"}}
        found = await self._contacts.find(
            {"account": account, "email": email, "$and": [exactly]},
            sort=_BY_ID,
            limit=limit,
            hint=_CONTACTS_BY_EMAIL,
            collation=_ANY_CASE,
        )
        # It takes more for equal than the case of letters, such as their width.
        return [
            one for one in _by_id(found) if folded(one.fields.get("email", "")) == folded(email)
        ]

    @override
    async def with_phone(
        self, account: str, spellings: Sequence[str], *, limit: int
    ) -> Sequence[Contact]:
        check_bounds(limit)
        branches = [{"account": account, "phone": one} for one in spellings[:MAX_SPELLINGS]]
        if not branches:
            return []
        found = await self._contacts.find(
            {"$or": branches}, sort=_BY_ID, limit=limit, hint=_CONTACTS_BY_PHONE
        )
        return _by_id(found)

    @override
    async def fill(
        self, account: str, contact: str, fields: Mapping[str, str], version: SourceVersion,
        *, stripe_account: str, create: bool,
    ) -> bool:  # fmt: skip
        key = _keys(account, contact)
        filled = {"stripe_account": stripe_account, **to_builtins(version)}
        change = {"$set": {**fields, _FILLED: filled}}
        where = {**key, **_not_later(stripe_account, version)}
        if await self._contacts.update_one(where, change):
            return True
        if not create:
            return False
        try:
            new = {"_id": contact, "account": account, **change["$set"]}
            await self._contacts.insert_one(new)
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
    async def link_of(self, account: str, stripe_account: str, contact: str) -> ContactLink | None:
        found = await self._links.find_one(
            {"account": account, "stripe_account": stripe_account, "contact": contact}
        )
        return None if found is None else msgspec.convert(found, ContactLink)

    @override
    async def linked(
        self, account: str, stripe_account: str, contacts: Sequence[str]
    ) -> frozenset[str]:
        check_bounds(len(contacts))
        if not contacts:
            return frozenset()
        own = {"account": account, "stripe_account": stripe_account}
        found = await self._links.find(
            {**own, "contact": {"$in": list(contacts)}},
            fields={"_id": 0, "contact": 1},
            limit=len(contacts),
            hint=_LINKS_BY_CONTACT,
        )
        return frozenset(one["contact"] for one in found)

    @override
    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        gone = DeleteOne({"_id": f"{account}/{stripe_account}/{customer}"})
        return (await self._links.write([gone]))[0] == 1

    @property
    def _contacts(self) -> Collection:
        return self._database.collection(_CONTACTS)

    @property
    def _links(self) -> Collection:
        return self._database.collection(_CONTACT_LINKS)


def _key(link: ContactLink) -> str:
    return f"{link.account}/{link.stripe_account}/{link.customer}"


def _keys(account: str, contact: str) -> Document:
    """What a contact is found by: its id is text, or the ObjectId that the CRM's driver made."""
    ids = [contact, ObjectId(contact)] if ObjectId.is_valid(contact) else [contact]
    return {"_id": {"$in": ids}, "account": account}


def _by_id(documents: Sequence[Document]) -> Sequence[Contact]:
    return sorted(map(_contact, documents), key=attrgetter("id"))


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
