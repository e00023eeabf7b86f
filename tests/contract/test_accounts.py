"""The promises of `application.accounts.ports`."""

import asyncio
from uuid import uuid4

import pytest

from domain.accounts import Account
from domain.errors import AlreadyExists, Reason
from infrastructure.mongo.accounts import MongoAccounts
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.preparation import prepare
from sandbox.servers.mongod import drop_mongo_database
from tests.support.servers.stores import Opener, Stores

MAIN = Account("acme", "Acme Größe GmbH", "eur")
SUB = Account(
    "acme-berlin", "Acme Berlin", "eur", "acme", owner="u_1", tier="pro", flags=("listings", "b")
)


async def test_an_account_is_kept_as_it_is(stores: Stores) -> None:
    await stores.accounts.add(MAIN)
    await stores.accounts.add(SUB)
    assert await stores.accounts.get("acme") == MAIN
    assert await stores.accounts.get("acme-berlin") == SUB
    assert await stores.accounts.get("Acme") is None


async def test_a_taken_id_is_refused_and_changes_nothing(stores: Stores) -> None:
    await stores.accounts.add(MAIN)
    with pytest.raises(AlreadyExists) as refused:
        await stores.accounts.add(Account("acme", "Another", "usd"))
    assert refused.value.reason is Reason.ALREADY_EXISTS
    assert await stores.accounts.get("acme") == MAIN


async def test_of_many_that_add_an_id_at_once_one_does(stores: Stores) -> None:
    answers = await asyncio.gather(
        *(stores.accounts.add(Account("acme", f"Number {n}", "usd")) for n in range(20)),
        return_exceptions=True,
    )
    assert answers.count(None) == 1
    assert all(answer is None or isinstance(answer, AlreadyExists) for answer in answers)
    kept = await stores.accounts.get("acme")
    assert kept is not None
    assert kept.name == f"Number {answers.index(None)}"


async def test_pages_follow_the_order_of_ids(stores: Stores) -> None:
    ids = ["b", "B", "a1", "a-1", "a_1", "a10", "a2", "9"]
    for id_ in ids:
        await stores.accounts.add(Account(id_, id_, "usd"))
    listed: list[str] = []
    after = ""
    while page := await stores.accounts.list_all(after=after, limit=3):
        assert len(page) <= 3
        listed += [account.id for account in page]
        after = listed[-1]
    assert listed == sorted(ids)


async def test_accounts_survive_reopening(opener: Opener) -> None:
    async with opener() as first:
        await first.accounts.add(SUB)
    async with opener() as second:
        assert await second.accounts.list_all(after="", limit=10) == [SUB]


async def test_words_that_are_none_stop_no_account(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    words = {"owner": 7, "tier": "x" * 65, "flags": ["listings", 1, "", "y" * 65]}
    others = ({"flags": {"listings": True}}, {"flags": None, "owner": None})
    database = Database(mongo_url, name, prepare)
    try:
        await database.start()
        for number, more in enumerate((words, *others)):
            document = {"_id": f"a{number}", "name": "A", "currency": "usd", "plan": 1, **more}
            await database.collection("_accounts").insert_one(document)
        found = await MongoAccounts(database).list_all(after="", limit=10)
        assert [account.flags for account in found] == [("listings",), (), ()]
        assert {(account.owner, account.tier) for account in found} == {("", "")}
        await database.close()
    finally:
        drop_mongo_database(mongo_url, name)
