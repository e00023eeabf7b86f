"""What the contacts of each store are, beside the promises that both keep."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from bson import ObjectId

from application.contacts.ports import ContactLink, SourceVersion
from domain.contacts import Contact
from tests.contract.samples import NOON, OURS
from tests.support.servers.stores import mongo_stores, sqlite_stores

Client = pymongo.MongoClient[dict[str, Any]]


@pytest.fixture
def name() -> str:
    return f"billing_test_{uuid4().hex}"


@pytest.fixture
def client(mongo_url: str, name: str) -> Iterator[Client]:
    with Client(mongo_url, serverSelectionTimeoutMS=5_000) as found:
        yield found
        found.drop_database(name)


async def test_addresses_of_an_earlier_release_are_folded_once(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    made = Contact("ada", "acme", {"email": "Ada@X.Test"})
    async with sqlite_stores(path) as stores:
        await stores.contacts.add(made)
        await stores.contacts.add(Contact("none", "acme"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE \"crm.contacts\" SET email = 'Ada@X.Test' WHERE id = 'ada'")
        database.execute("PRAGMA user_version = 2")
    database.close()
    async with sqlite_stores(path) as stores:
        assert await stores.contacts.with_email("acme", "ada@x.test", limit=5) == [made]


async def test_a_contact_whose_id_the_crms_driver_made(
    mongo_url: str, name: str, client: Client
) -> None:
    id_ = ObjectId()
    document = {
        "_id": id_, "account": "acme", "email": "Ada@x.test", "phone": "+4930123", "tags": ["a"],
    }  # fmt: skip
    async with mongo_stores(mongo_url, name) as stores:
        client[name]["crm.contacts"].insert_one(document)
        contacts = stores.contacts
        wanted = Contact(str(id_), "acme", {"email": "Ada@x.test", "phone": "+4930123"})
        assert await contacts.with_email("acme", "ada@X.test", limit=5) == [wanted]
        assert await contacts.with_phone("acme", ["+4930123"], limit=5) == [wanted]
        assert await contacts.get("acme", str(id_)) == wanted
        assert await contacts.get("other", str(id_)) is None
        link = ContactLink("acme", OURS, "cus_1", str(id_), NOON)
        assert await contacts.link(link) == link
        assert await contacts.linked("acme", OURS, [str(id_)]) == {str(id_)}
        for create in (False, True):
            assert await contacts.fill(
                "acme", str(id_), {"name": "Ada"}, SourceVersion(1, 1, 1),
                stripe_account=OURS, create=create,
            )  # fmt: skip
        (found,) = client[name]["crm.contacts"].find()
        assert (found["_id"], found["name"], found["tags"]) == (id_, "Ada", ["a"])


async def test_documents_that_are_odd_hold_up_no_search(
    mongo_url: str, name: str, client: Client
) -> None:
    async with mongo_stores(mongo_url, name) as stores:
        client[name]["crm.contacts"].insert_many(
            [
                {"_id": "list", "account": "acme", "email": ["a@x.test"], "phone": ["1"]},
                {"_id": "none", "account": "acme", "email": None},
                {"_id": "ada", "account": "acme", "email": "A@x.test"},
            ]
        )
        found = await stores.contacts.with_email("acme", "a@x.test", limit=5)
        assert [one.id for one in found] == ["ada"]
        client[name]["crm.fields"].insert_many(
            [{"account": "acme"}, {"account": "acme", "name": 5}, {"account": "acme", "name": "a"}]
        )
        fields = await stores.contacts.custom_fields("acme")
        assert [(one.name, one.label) for one in fields] == [("a", "a")]
