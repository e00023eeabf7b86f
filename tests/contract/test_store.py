"""The promises of `application.checkouts.ports`: what is sold, carts, and what recurs."""

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from application.checkouts.ports import MAX_OFFERS, MAX_SUBSCRIPTIONS, StoreCatalogue
from domain.carts import Cart
from domain.errors import AlreadyExists, Reason
from domain.money import Money
from domain.store_products import Offer, ProductKind
from domain.store_subscriptions import StoreSubscription, StripeSubscription
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.mongo.store_catalogue import MongoStoreCatalogue
from infrastructure.mongo.store_subscriptions import MongoStoreSubscriptions
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.sqlite.store_catalogue import SqliteStoreCatalogue
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import SECOND
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.rooms.store import ADD_ON, LISTING, NOON, OFFERS, cart, item, subscription
from tests.support.servers.stores import Opener, Stores

DAY = dt.timedelta(days=1)
FEBRUARY = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
HOUSE = ProductKind.LISTING


async def keep(catalogue: StoreCatalogue, *offers: Offer) -> None:
    for offer in offers:
        await catalogue.put_product(offer.product)
        await catalogue.put_price(offer.price)


async def test_offers_are_kept_as_they_are(stores: Stores) -> None:
    catalogue = stores.store_catalogue
    assert await catalogue.get("price_add_on") is None
    await keep(catalogue, *OFFERS)
    for offer in OFFERS:
        assert await catalogue.get(offer.price.id) == offer
    assert await catalogue.get("prod_add_on") is None
    dearer = Offer(replace(ADD_ON.product, active=False), replace(ADD_ON.price, unit_amount=9))
    await keep(catalogue, dearer)
    assert await catalogue.get("price_add_on") == dearer


async def test_offers_are_listed_in_order_of_prices(stores: Stores) -> None:
    catalogue = stores.store_catalogue
    await keep(catalogue, *OFFERS)
    listed: list[str] = []
    pages, after = 0, ""
    while pages == 0 or after:
        page = await catalogue.list(after=after, limit=3)
        listed += [offer.price.id for offer in page.offers]
        after, pages = page.after, pages + 1
    assert (listed, pages) == (sorted(offer.price.id for offer in OFFERS), 2)
    whole = await catalogue.list(after="", limit=len(OFFERS))
    assert (len(whole.offers), whole.after) == (len(OFFERS), "")
    for limit in (0, MAX_OFFERS + 1):
        with pytest.raises(ValueError, match="limit"):
            await catalogue.list(after="", limit=limit)


async def test_a_price_without_its_product_is_sold_to_nobody(stores: Stores) -> None:
    catalogue = stores.store_catalogue
    await keep(catalogue, ADD_ON)
    await catalogue.put_price(replace(LISTING.price, id="price_alone"))
    await catalogue.put_price(replace(LISTING.price, id="price_odd", product="prod_add_on"))
    page = await catalogue.list(after="", limit=9)
    assert list(page.offers) == [ADD_ON]
    assert await catalogue.get("price_alone") is await catalogue.get("price_odd") is None
    assert (await catalogue.list(after="price_add_on", limit=1)).after == "price_alone"


BAD: tuple[dict[str, Any], ...] = (
    {"name": "x"},
    {"kind": "ship", "name": "x"},
    {"kind": "one_off", "name": 7},
    {"kind": "one_off", "name": ""},
    {"kind": ["one_off"], "name": "secret"},
)


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_one_bad_document_stops_no_other(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    if kind == "sqlite":
        file = SqliteDatabase(request.getfixturevalue("tmp_path") / "b.db", prepare_sqlite)
        await file.start()
        await in_file(file, SqliteStoreCatalogue(file))
        await file.close()
    else:
        url, name = request.getfixturevalue("mongo_url"), f"billing_test_{uuid4().hex}"
        database = MongoDatabase(url, name, prepare_mongo)
        try:
            await database.start()
            await in_database(database, MongoStoreCatalogue(database))
            await database.close()
        finally:
            drop_mongo_database(url, name)
    assert "is no StoreProduct" in caplog.text
    assert "secret" not in caplog.text


async def in_file(file: SqliteDatabase, catalogue: SqliteStoreCatalogue) -> None:
    for number, bad in enumerate(BAD):
        row = (f"bad{number}", json.dumps({"id": f"bad{number}", **bad}))
        await file.write(
            lambda connection, row=row: connection.execute(  # type: ignore[misc]
                'INSERT INTO "_store.products" VALUES (?, ?)', row
            ).close()
        )
    await around(catalogue)


async def in_database(database: MongoDatabase, catalogue: MongoStoreCatalogue) -> None:
    for number, bad in enumerate(BAD):
        await database.collection("_store.products").insert_one({"_id": f"bad{number}", **bad})
    await around(catalogue)


async def around(catalogue: StoreCatalogue) -> None:
    for number in range(len(BAD)):
        await catalogue.put_price(replace(ADD_ON.price, id=f"p{number}", product=f"bad{number}"))
    await keep(catalogue, ADD_ON)
    assert list((await catalogue.list(after="", limit=9)).offers) == [ADD_ON]
    assert await catalogue.get("p0") is None


async def test_a_cart_keeps_its_id_and_grows_its_revision(stores: Stores) -> None:
    carts = stores.carts
    assert await carts.get("lily") is None
    first = await carts.put("lily", item(ADD_ON), new_id="cart_lily", at=NOON)
    assert first == await carts.get("lily") == cart()
    second = await carts.put("lily", item(LISTING), new_id="cart_x", at=NOON + SECOND)
    assert second == Cart("cart_lily", "lily", item(LISTING), NOON + SECOND, 2)
    assert await carts.get("rose") is None
    assert not await carts.remove(first), "its item was put again"
    assert not await carts.remove(replace(second, account="rose"))
    assert await carts.get("lily") == second
    assert await carts.remove(second)
    assert not await carts.remove(second)
    assert (await carts.put("lily", item(ADD_ON), new_id="cart_y", at=NOON)).id == "cart_y"


async def test_of_many_that_fill_a_cart_at_once_each_has_its_revision(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        put = [
            (one, other)[number % 2].carts.put(
                "lily", item(ADD_ON, number), new_id=f"cart_{number}", at=NOON
            )
            for number in range(16)
        ]
        carts = await asyncio.gather(*put)
        assert sorted(cart.revision for cart in carts) == list(range(1, 17))
        assert len({cart.id for cart in carts}) == 1
        assert await one.carts.get("lily") == max(carts, key=lambda cart: cart.revision)


def ids(subscriptions: Sequence[StoreSubscription]) -> list[str]:
    return [each.id for each in subscriptions]


async def test_a_subscription_is_kept_once_and_by_revision(stores: Stores) -> None:
    kept = stores.store_subscriptions
    first = subscription()
    assert await kept.get("lily", "co_1") is None
    assert await kept.add(first) == first
    assert await kept.add(replace(first, quantity=9)) == first
    assert await kept.get("lily", "co_1") == first
    assert await kept.get("rose", "co_1") is None
    second = first.with_cost_posted(NOON + SECOND)
    assert not await kept.put(replace(second, revision=3))
    assert await kept.put(second)
    assert not await kept.put(second)
    assert not await kept.put(subscription("co_2"))
    assert await kept.get("lily", "co_1") == second


async def test_of_two_that_change_one_revision_one_succeeds(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        first = await one.store_subscriptions.add(subscription())
        done = await asyncio.gather(
            *(
                (one, other)[number % 2].store_subscriptions.put(
                    first.with_cost_posted(NOON + number * SECOND)
                )
                for number in range(8)
            )
        )
        assert sum(done) == 1


async def test_an_account_has_one_listing_that_stands(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        answers = await asyncio.gather(
            *(
                (one, other)[number % 2].store_subscriptions.add(
                    subscription(f"co_{number}", kind=HOUSE)
                )
                for number in range(8)
            ),
            return_exceptions=True,
        )
        (standing,) = (each for each in answers if isinstance(each, StoreSubscription))
        refusals = [each for each in answers if isinstance(each, AlreadyExists)]
        assert len(refusals) == 7
        assert {refusal.reason for refusal in refusals} == {Reason.LISTING_EXISTS}
        kept = one.store_subscriptions
        assert await kept.add(standing) == standing
        assert await kept.has_listing("lily")
        assert not await kept.has_listing("rose")
        await kept.add(subscription("co_rose", "rose", HOUSE))
        await kept.add(subscription("co_number"))
        assert await kept.put(standing.ended(NOON))
        assert not await kept.has_listing("lily")
        await kept.add(subscription("co_next", kind=HOUSE))
        again = replace(standing, revision=3)
        with pytest.raises(AlreadyExists):
            await kept.put(again)


async def test_lists_of_buyers_and_sellers(stores: Stores) -> None:
    kept = stores.store_subscriptions
    for id_ in ("b", "B", "a", "c"):
        await kept.add(subscription(id_))
    await kept.add(subscription("rose", "rose"))
    platform = replace(subscription("own", "acme"), seller=None)
    await kept.add(platform)
    assert ids(await kept.list("lily", after="", limit=9)) == ["B", "a", "b", "c"]
    assert ids(await kept.list("lily", after="a", limit=1)) == ["b"]
    assert ids(await kept.list("acme", after="", limit=9)) == ["own"]
    assert ids(await kept.list_sold("acme", after="", limit=9)) == ["B", "a", "b", "c", "rose"]
    await kept.put(subscription("b").ended(NOON))
    assert ids(await kept.list_sold("acme", after="a", limit=9)) == ["c", "rose"]
    assert ids(await kept.list("lily", after="a", limit=9)) == ["b", "c"]
    for limit in (0, MAX_SUBSCRIPTIONS + 1):
        with pytest.raises(ValueError, match="limit"):
            await kept.list_due(now=NOON, limit=limit)


async def test_what_is_due_comes_longest_first_and_goes_with_the_end(stores: Stores) -> None:
    kept = stores.store_subscriptions
    for days, id_ in ((2, "c"), (0, "a"), (1, "b")):
        await kept.add(replace(subscription(id_), start=NOON - days * DAY))
    await kept.add(replace(subscription("free"), cost=Money(0, "eur")))
    assert await kept.list_due(now=FEBRUARY - 3 * DAY, limit=9) == []
    assert ids(await kept.list_due(now=FEBRUARY, limit=9)) == ["a", "b", "c"]
    assert ids(await kept.list_due(now=FEBRUARY, limit=2)) == ["a", "b"]
    assert ids(await kept.list_due(now=FEBRUARY, after=(FEBRUARY, "a"), limit=9)) == ["b", "c"]
    assert await kept.list_due(now=FEBRUARY, after=(FEBRUARY, "c"), limit=9) == []
    before = (FEBRUARY - DAY, "z")
    assert ids(await kept.list_due(now=FEBRUARY, after=before, limit=1)) == ["a"]
    due = (await kept.list_due(now=FEBRUARY, limit=1))[0]
    assert await kept.put(due.with_cost_posted(FEBRUARY))
    assert ids(await kept.list_due(now=FEBRUARY, limit=9)) == ["b", "c"]
    last = await kept.get("lily", "b")
    assert last is not None
    assert await kept.put(last.ending(FEBRUARY - DAY, NOON))
    assert ids(await kept.list_due(now=FEBRUARY, limit=9)) == ["c"]


async def test_who_comes_from_stripe_finds_it_by_either_side(stores: Stores) -> None:
    kept = stores.store_subscriptions
    bare = replace(subscription(), renewal=None)
    await kept.add(bare)
    assert await kept.find("acct_acme", "sub_1") is None
    renewal = StripeSubscription("acct_acme", "sub_1")
    sellers = StripeSubscription("acct_platform", "sub_2")
    known = bare.with_stripe(NOON, renewal=renewal, sellers=sellers)
    assert await kept.put(known)
    for side in (renewal, sellers):
        assert await kept.find(side.stripe_account, side.id) == known
    assert await kept.find("acct_platform", "sub_1") is None


async def test_what_the_old_module_left_is_never_read(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    database = MongoDatabase(mongo_url, name, prepare_mongo)
    try:
        await database.start()
        for number in range(2):
            old = {"_id": f"co_{number}", "account": "lily", "stripe": "x/y", "plan": 1}
            await database.collection("_store.subscriptions").insert_one(old)
        kept = MongoStoreSubscriptions(database)
        assert await kept.get("lily", "co_1") is None
        assert await kept.list("lily", after="", limit=9) == []
        assert await kept.find("x", "y") is None
        assert not await kept.has_listing("lily")
        await database.close()
    finally:
        drop_mongo_database(mongo_url, name)


async def test_plans(stores: Stores) -> None:
    await keep(stores.store_catalogue, *OFFERS)
    first = await stores.carts.put("lily", item(ADD_ON), new_id="c", at=NOON)
    kept = stores.store_subscriptions
    listing = await kept.add(subscription(kind=HOUSE))
    await assert_ordered(stores, partial(stores.store_catalogue.list, after="a", limit=5))
    await assert_ordered(stores, partial(kept.list, "lily", after="a", limit=5))
    await assert_ordered(stores, partial(kept.list_sold, "acme", after="a", limit=5))
    await assert_ordered(stores, partial(kept.list_due, now=FEBRUARY, limit=5))
    behind = (FEBRUARY - DAY, "a")
    await assert_ordered(stores, partial(kept.list_due, now=FEBRUARY, after=behind, limit=5))
    await plans_of(stores, partial(stores.store_catalogue.get, "price_add_on"))
    await plans_of(stores, partial(stores.carts.get, "lily"))
    await plans_of(stores, partial(stores.carts.remove, first))
    await plans_of(stores, partial(kept.get, "lily", "co_1"))
    await plans_of(stores, partial(kept.find, "acct_acme", "sub_1"))
    await plans_of(stores, partial(kept.has_listing, "lily"))
    await plans_of(stores, partial(kept.put, listing.suspended(NOON)))
