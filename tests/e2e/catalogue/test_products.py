"""Products over gRPC, on both stores."""

import asyncio
from typing import Any

import pytest

from tests.support.contract.tenant import Ground
from tests.support.rooms.catalogue_end_to_end import (
    MONTHLY,
    ask,
    change,
    fields_of,
    product_with,
    reason,
    refused,
)
from tests.support.servers.service import ServiceAndEmulator, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL: dict[str, Any] = {
    "id": "gold-plan", "name": "Gold", "description": "All of it", "tax_code": "txcd_10103001",
    "unit_label": "seat", "statement_descriptor": "GOLD PLAN", "url": "https://gold.example",
    "images": ["https://gold.example/1.png"], "marketing_features": ["Fast", "Safe"],
    "metadata": {"tier": "1"},
}  # fmt: skip


def named(product: Any, names: Any) -> dict[str, Any]:
    values = {name: getattr(product, name) for name in names}
    for name in {"images", "marketing_features"} & {*values}:
        values[name] = [*values[name]]
    return {**values, "metadata": dict(product.metadata)}


async def test_a_product_is_made_whole_with_its_prices_and_reads_as_written(
    ground: Ground,
) -> None:
    yearly = {**MONTHLY, "unit_amount": 9_000, "recurring": {"interval": "year"}}
    made = await change(
        ground, "CreateProduct", product=FULL,
        prices=[{**MONTHLY, "lookup_key": "gold"}, {**yearly, "make_default": True}],
    )  # fmt: skip
    assert named(made.product, FULL) == FULL
    month, year = (each.price for each in made.prices)
    assert (month.lookup_key, month.recurring.interval, month.unit_amount) == ("gold", "month", 900)
    assert made.product.default_price == year.id
    got = await ask(ground, "GetProduct", id="gold-plan")
    assert got.product == made.product
    assert {each.price.id for each in got.prices} == {month.id, year.id}
    assert not got.more_prices
    listed = await ask(ground, "ListProducts", active=True)
    assert [each.product for each in listed.products] == [made.product]
    assert {each.price.id for each in listed.products[0].prices} == {month.id, year.id}
    assert not (await ask(ground, "ListProducts", active=False)).products
    assert reason_of(await refused(change(ground, "CreateProduct", product=FULL))) == (
        "ALREADY_EXISTS"
    )


async def test_everything_wrong_with_a_product_is_told_at_once(ground: Ground) -> None:
    product = {
        "description": "d" * 5_001, "images": ["ftp://x"] * 9, "unit_label": "much too long",
        "statement_descriptor": "1234", "url": "gold.example", "default_price": "price_1",
        "marketing_features": ["f" * 81], "active": True,
    }  # fmt: skip
    prices = [
        {"currency": "xxx", "unit_amount": -1, "make_default": True},
        {"unit_amount": 1, "unit_amount_decimal": "1.5"},
        {"currency": "kwd", "unit_amount": 1_005, "lookup_key": "same"},
        {"currency": "usd", "lookup_key": "same", "make_default": True},
    ]
    error = await refused(
        ground.call("CatalogService.CreateProduct", {"product": product, "prices": prices})
    )
    assert reason_of(error) == "INVALID_FIELDS"
    assert {*fields_of(error)} >= {
        "request_id", "product.name", "product.description", "product.images",
        "product.unit_label", "product.statement_descriptor", "product.url",
        "product.default_price", "product.active", "product.marketing_features[0]",
    }  # fmt: skip


async def test_everything_wrong_with_prices_is_told_at_once(ground: Ground) -> None:
    prices = [
        {"currency": "xxx", "unit_amount": -1, "make_default": True},
        {"unit_amount": 1, "unit_amount_decimal": "1.5"},
        {"currency": "kwd", "unit_amount": 1_005, "lookup_key": "same"},
        {"currency": "usd", "lookup_key": "same", "make_default": True},
    ]
    error = await refused(change(ground, "CreateProduct", product={"name": "a"}, prices=prices))
    assert fields_of(error) == sorted({
        "prices[0].currency", "prices[0].unit_amount", "prices[1].currency",
        "prices[1].unit_amount_decimal", "prices[2].unit_amount", "prices[3].unit_amount",
        "prices[3].lookup_key", "prices[3].make_default",
    })  # fmt: skip


async def test_a_refused_price_leaves_nothing_that_can_be_sold(ground: Ground) -> None:
    await product_with(ground, {**MONTHLY, "lookup_key": "taken"})
    error = await refused(
        product_with(ground, MONTHLY, {**MONTHLY, "lookup_key": "taken"}, id="second")
    )
    assert reason_of(error) == "LOOKUP_KEY_TAKEN"
    got = await ask(ground, "GetProduct", id="second")
    assert (got.product.active, [each.price.active for each in got.prices]) == (False, [False])
    assert await reason(product_with(ground, {**MONTHLY, "lookup_key": "taken"}, id="third")) == (
        "LOOKUP_KEY_TAKEN"
    )
    assert await reason(ask(ground, "GetProduct", id="third")) == "NOT_FOUND"


async def test_a_mask_changes_and_clears_and_a_default_price_is_the_products_own(
    ground: Ground,
) -> None:
    made = await change(ground, "CreateProduct", product=FULL, prices=[MONTHLY])
    other = await product_with(ground, MONTHLY)
    product = {"id": "gold-plan", "name": "Silver", "default_price": made.prices[0].price.id}
    mask = {"paths": ["name", "images", "url", "default_price", "marketing_features"]}
    changed = await change(ground, "UpdateProduct", product=product, update_mask=mask)
    assert (changed.name, [*changed.images], changed.url) == ("Silver", [], "")
    assert (changed.default_price, [*changed.marketing_features]) == (product["default_price"], [])
    assert changed.description == FULL["description"]
    for foreign in (other.prices[0].price.id, "price_0"):
        error = await refused(
            change(ground, "UpdateProduct", product={"id": "gold-plan", "default_price": foreign})
        )
        assert fields_of(error) == ["product.default_price"]
    cleared = await change(
        ground, "UpdateProduct", product={"id": "gold-plan"},
        update_mask={"paths": ["default_price"]},
    )  # fmt: skip
    assert cleared.default_price == ""
    assert await reason(change(ground, "UpdateProduct", product={"id": "no", "name": "x"})) == (
        "NOT_FOUND"
    )


async def test_products_are_searched_counted_archived_and_put_on_sale_again(
    ground: Ground,
) -> None:
    gold, silver = [
        (await product_with(ground, MONTHLY, name=name)).product.id for name in ("Gold", "Silver")
    ]
    archived = await change(ground, "ArchiveProduct", id=gold)
    assert not archived.active
    counts = await ask(ground, "CountProducts")
    assert (counts.active, counts.archived) == (1, 1)
    found = await ask(ground, "SearchProducts", query="gol")
    assert [each.product.id for each in found.products] == [gold]
    assert [len(each.prices) for each in found.products] == [1]
    for active, ids in ((True, []), (False, [gold])):
        narrowed = await ask(ground, "SearchProducts", query="gol", active=active)
        assert [each.product.id for each in narrowed.products] == ids
    assert (await change(ground, "UnarchiveProduct", id=gold)).active
    assert (await ask(ground, "CountProducts")).active == 2
    page = await ask(ground, "ListProducts", page_size=1)
    following = await ask(ground, "ListProducts", page_size=1, page_token=page.next_page_token)
    back = await ask(ground, "ListProducts", page_size=1, page_token=following.previous_page_token)
    assert {each.product.id for each in (*page.products, *following.products)} == {gold, silver}
    assert back.products == page.products
    whole = await ask(ground, "ListProducts")
    turned = await ask(ground, "ListProducts", oldest_first=True)
    assert [*turned.products] == [*whole.products][::-1]
    wrong = {"page_token": page.next_page_token, "oldest_first": True}
    assert await reason(ask(ground, "ListProducts", page_size=1, **wrong)) == "INVALID_PAGE_TOKEN"
    prices = (await ask(ground, "ListPrices")).prices
    turned = await ask(ground, "ListPrices", oldest_first=True)
    assert [*turned.prices] == [*prices][::-1]
    assert fields_of(await refused(ask(ground, "SearchProducts", query="-"))) == ["query"]
    for method in ("ArchiveProduct", "UnarchiveProduct"):
        assert await reason(change(ground, method, id="nothing")) == "NOT_FOUND"


async def test_without_prices_it_is_deleted_and_again_is_success(ground: Ground) -> None:
    made = await product_with(ground)
    for _ in range(2):
        done = await change(ground, "DeleteProduct", id=made.product.id)
        assert (done.outcome, done.reason) == (1, "")
    assert await reason(ask(ground, "GetProduct", id=made.product.id)) == "NOT_FOUND"
    named_ = await ask(ground, "BatchGetProducts", ids=[made.product.id, "never"])
    assert [(each.id, each.last_name) for each in named_.deleted] == [
        (made.product.id, "Seat"), ("never", ""),
    ]  # fmt: skip
    assert await reason(change(ground, "DeleteProduct", id="never")) == "NOT_FOUND"


async def test_with_prices_it_is_archived_the_default_price_cleared_first(ground: Ground) -> None:
    made = await product_with(ground, MONTHLY, {**MONTHLY, "make_default": True})
    done = await change(ground, "DeleteProduct", id=made.product.id)
    assert (done.outcome, "no product that has prices" in done.reason) == (2, True)
    assert done.cleared_default_price == made.product.default_price
    assert {*done.archived_prices} == {each.price.id for each in made.prices}
    got = await ask(ground, "GetProduct", id=made.product.id)
    assert (got.product.active, got.product.default_price) == (False, "")
    assert not any(each.price.active for each in got.prices)
    there = await ground.stripe(f"/v1/products/{made.product.id}")
    assert (there["active"], there["default_price"]) == (False, None)
    again = await change(ground, "DeleteProduct", id=made.product.id)
    assert (again.outcome, [*again.archived_prices]) == (2, [])


async def test_subscribers_are_counted_by_status_and_once_a_product(ground: Ground) -> None:
    made = await product_with(ground, MONTHLY, {**MONTHLY, "unit_amount": 100})
    first, second = [each.price.id for each in made.prices]
    customer = await ground.payer()
    items = [{"price": first}, {"price": second}]
    for more in ({"items": items}, {"items": items[:1]}, {"items": items[:1], "trial_days": 7}):
        await ground.mutate("SubscriptionService.CreateSubscription", customer=customer, **more)
    got = await ask(ground, "GetProduct", id=made.product.id)
    counts = {
        each.price.id: (each.subscribers.active, each.subscribers.trialing) for each in got.prices
    }
    assert counts == {first: (2, 1), second: (1, 0)}
    assert (got.subscribers.active, got.subscribers.trialing, got.subscribers.more) == (2, 1, False)
    (listed,) = (await ask(ground, "ListProducts")).products
    assert listed.subscribers == got.subscribers
    one = await ask(ground, "GetPrice", id=first)
    assert (one.subscribers.active, one.subscribers.trialing) == (2, 1)


async def test_names_that_the_mirror_lacks_are_read_once_however_many_ask(
    here: ServiceAndEmulator,
) -> None:
    ground = Ground(here, await here.tenant())
    # Products of a test's own, whose events come to nobody.
    await here.emulator.control.pause()
    try:
        ids = [
            (await here.sdk.v1.products.create_async({"name": f"P{n}"}, ground.tenant.options)).id
            for n in range(60)
        ]
        before = (await here.emulator.control.stats()).routes.get("GET /v1/products", 0)
        replies = await asyncio.gather(
            *(ask(ground, "BatchGetProducts", ids=ids) for _ in range(100))
        )
        after = (await here.emulator.control.stats()).routes["GET /v1/products"]
    finally:
        await here.emulator.control.resume()
    assert after - before == 1
    assert all([each.id for each in reply.products] == ids for reply in replies)
    other = Ground(here, await here.tenant())
    foreign = await ask(other, "BatchGetProducts", ids=ids[:2])
    assert [each.id for each in foreign.deleted] == ids[:2]
