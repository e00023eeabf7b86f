"""MongoDB's indexes: those declared, no more is needed, and starting again changes nothing.

Which index serves which query is proved for both stores in `test_plans.py`.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import pymongo
import pytest

from application.mirror.nouns import CHARGES, NOUNS
from application.mirror.ports import Column, Noun
from domain.charges import Charge
from infrastructure.documents import index_keys
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.preparation import declared_indexes, prepare
from tests.contract.test_mongo_failures import DAY_OF_WORK
from tests.support.servers.stores import mongo_stores

Client = pymongo.MongoClient[dict[str, Any]]

NO_SCANS: Final = "notablescan"


@pytest.fixture
def name() -> str:
    return f"billing_test_{uuid4().hex}"


@pytest.fixture
def client(mongo_url: str, name: str) -> Iterator[Client]:
    with Client(mongo_url, serverSelectionTimeoutMS=5_000) as found:
        yield found
        found.drop_database(name)


@pytest.fixture
def _no_scans(client: Client) -> Iterator[None]:
    """The server refuses whatever would read a collection without an index."""
    client.admin.command({"setParameter": 1, NO_SCANS: True})
    yield
    client.admin.command({"setParameter": 1, NO_SCANS: False})


@pytest.mark.usefixtures("_no_scans")
async def test_a_whole_day_of_work_scans_nothing(mongo_url: str, name: str, client: Client) -> None:
    async with mongo_stores(mongo_url, name) as stores:
        with pytest.raises(pymongo.errors.OperationFailure, match=NO_SCANS):
            list(client[name]["billing.events"].find({"type": "charge.succeeded"}))
        for step, done in DAY_OF_WORK.items():
            assert await done(stores), step


async def test_every_index_is_declared_and_a_declared_tuple_of_columns_has_one(
    mongo_url: str, name: str, client: Client
) -> None:
    databases = [Database(mongo_url, name, prepare) for _ in range(4)]
    await asyncio.gather(*(database.start() for database in databases))
    await databases[0].start()  # a second start of an open one
    for database in databases:
        await database.close()

    found = {
        collection: {
            index: tuple(field for field, _ in about["key"])
            for index, about in client[name][collection].index_information().items()
        }
        for collection in client[name].list_collection_names()
    }
    for noun in NOUNS:
        wanted = {index_keys(columns) for columns in noun.indexes} | {("_id",)}
        if noun.search is not None:
            wanted.add(("stripe_account", "terms", "created", "id"))
        if noun.kept:
            wanted.add(("stripe_account", "changed_at"))
        assert set(found[noun.collection].values()) == wanted
    declared = {
        collection: {"_id_", *(index.document["name"] for index in indexes)}
        for collection, indexes in declared_indexes(NOUNS).items()
    }
    declared["billing.deployment"] = {"_id_"}  # made by its first document
    assert {collection: set(indexes) for collection, indexes in found.items()} == declared


async def test_only_what_carries_an_invariant_is_unique_beside_the_ids(
    mongo_url: str, name: str, client: Client
) -> None:
    database = Database(mongo_url, name, prepare)
    await database.start()
    await database.close()
    unique = {
        (collection, index)
        for collection in client[name].list_collection_names()
        for index, about in client[name][collection].index_information().items()
        if about.get("unique")
    }
    assert unique == {
        ("_store.subscriptions", "listing"),
        ("billing.buyers", "stripe_account_customer"),
        ("billing.connections", "stripe_account_mode"),
        ("billing.contact_links", "account_stripe_account_contact"),
        ("billing.facts", "stripe_account_series_subject_generation"),
        ("billing.processes", "account_kind_request_id"),
        ("billing.processes", "claims"),
        ("billing.processes", "watches"),
        ("onebalance-usage_logs", "wallet_key"),
        ("onebalance-usage_logs", "wallet_sequence"),
        ("queues", "position"),
        ("support.conversations", "begun_by_billing"),
    }


def test_a_column_cannot_take_the_name_of_a_field_of_the_row() -> None:
    noun = Noun("thing", Charge, "things", (Column("version", "object.status"),), (), ())
    with pytest.raises(ValueError, match="version"):
        declared_indexes([CHARGES, noun])
