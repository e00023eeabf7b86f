"""Prices over gRPC, on both stores: made, changed as far as they change, and replaced."""

import asyncio
from typing import Any

import grpc
import pytest

from sandbox.emulator.core.messages import FaultSpec
from tests.support.contract.tenant import Ground, fresh
from tests.support.rooms.catalogue_end_to_end import (
    MONTHLY,
    ask,
    change,
    facts_of,
    fields_of,
    product_with,
    reason,
    refused,
)
from tests.support.servers.service import reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIERS = [
    {"up_to": 10, "unit_amount": 100, "flat_amount": 0},
    {"up_to": 20, "unit_amount_decimal": "50.5"},
    {"flat_amount": 0},
]


async def made(ground: Ground, **price: Any) -> Any:
    product = (await product_with(ground)).product.id
    return await change(ground, "CreatePrice", product=product, price=price)


async def test_each_kind_of_price_is_made_and_reads_as_written(ground: Ground) -> None:
    meter = await ground.world.sdk.v1.billing.meters.create_async(
        {
            "display_name": "Calls", "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
        },
        ground.tenant.options,
    )  # fmt: skip
    once = await made(ground, currency="jpy", unit_amount=0, nickname="Free")
    assert (once.type, once.HasField("unit_amount"), once.unit_amount) == ("one_time", True, 0)
    exact = await made(ground, currency="usd", unit_amount_decimal="0.000000000001")
    assert (exact.HasField("unit_amount"), exact.unit_amount_decimal) == (False, "0.000000000001")
    recurring = {
        "interval": "week",
        "interval_count": 2,
        "usage_type": "metered",
        "meter": meter.id,
    }
    metered = await made(ground, currency="usd", unit_amount=5, recurring=recurring)
    assert (metered.recurring.meter, metered.recurring.interval_count) == (meter.id, 2)
    for mode in ("graduated", "volume"):
        tiered = await made(
            ground, currency="usd", tiers=TIERS, tiers_mode=mode, recurring={"interval": "month"}
        )
        assert (tiered.billing_scheme, tiered.tiers_mode, tiered.tiers_unknown) == (
            "tiered", mode, False,
        )  # fmt: skip
        assert [(one.HasField("up_to"), one.up_to) for one in tiered.tiers] == [
            (True, 10), (True, 20), (False, 0),
        ]  # fmt: skip
        assert tiered.tiers[1].unit_amount_decimal == "50.5"
        assert tiered.tiers[2].HasField("flat_amount")
    package = await made(
        ground, currency="usd", unit_amount=900, transform_quantity={"divide_by": 5, "round": "up"},
        currency_options={"eur": {"unit_amount": 800}}, tax_behavior="exclusive",
    )  # fmt: skip
    assert package.transform_quantity.divide_by == 5
    assert package.currency_options["eur"].unit_amount == 800
    got = await ask(ground, "GetPrice", id=package.id)
    assert got.price == package
    chosen = await made(ground, currency="usd", custom_unit_amount={"minimum": 100, "preset": 500})
    assert chosen.custom_unit_amount.preset == 500


async def test_lists_are_narrowed_and_counted(ground: Ground) -> None:
    product = (await product_with(ground, MONTHLY)).product.id
    for currency, key in (("usd", "a"), ("eur", "b")):
        price = {"currency": currency, "unit_amount": 1, "lookup_key": key}
        await change(ground, "CreatePrice", product=product, price=price)
    (archived,) = (await ask(ground, "ListPrices", lookup_key="b")).prices
    await change(ground, "ArchivePrice", id=archived.id)
    await product_with(ground, MONTHLY)
    for narrowed, count in (
        ({}, 4), ({"product": product}, 3), ({"product": product, "active": True}, 2),
        ({"type": "recurring"}, 2), ({"currency": "eur"}, 1), ({"lookup_key": "a"}, 1),
        ({"product": product, "type": "one_time", "currency": "usd", "active": True}, 1),
    ):  # fmt: skip
        assert len((await ask(ground, "ListPrices", **narrowed)).prices) == count, narrowed
    counts = (await ask(ground, "CountPrices", product=product)).counts
    assert [(one.active, one.type, one.currency, one.count) for one in counts] == [
        (True, "one_time", "usd", 1), (True, "recurring", "usd", 1), (False, "one_time", "eur", 1),
    ]  # fmt: skip
    assert sum(one.count for one in (await ask(ground, "CountPrices")).counts) == 4
    assert fields_of(await refused(ask(ground, "ListPrices", type="x", currency="zzz"))) == [
        "currency", "type",
    ]  # fmt: skip


async def test_what_can_change_changes_and_the_rest_names_the_next_method(ground: Ground) -> None:
    price = await made(ground, **MONTHLY, nickname="Old", lookup_key="gold")
    changed = await change(
        ground, "UpdatePrice",
        price={
            "id": price.id, "nickname": "New", "tax_behavior": "inclusive",
            "currency_options": {"eur": {"unit_amount": 800}}, "metadata": {"a": "1"},
        },
    )  # fmt: skip
    assert (changed.nickname, changed.tax_behavior) == ("New", "inclusive")
    assert changed.currency_options["eur"].unit_amount == 800
    assert (changed.lookup_key, dict(changed.metadata)) == ("gold", {"a": "1"})
    again = {"id": price.id, "tax_behavior": "exclusive"}
    for immutable, mask, told in (
        ({"id": price.id, "unit_amount": 1}, [], "unit_amount"),
        ({"id": price.id}, ["currency", "recurring"], "currency,recurring"),
        (again, [], "tax_behavior"),
    ):  # fmt: skip
        error = await refused(
            change(ground, "UpdatePrice", price=immutable, update_mask={"paths": mask})
        )
        assert (reason_of(error), facts_of(error)["fields"]) == ("PRICE_IMMUTABLE", told)
        assert facts_of(error)["method"] == "CatalogService.ReplacePrice"
    own = {"id": price.id, "currency_options": {"usd": {"unit_amount": 1}}}
    error = await refused(change(ground, "UpdatePrice", price=own))
    assert fields_of(error) == ["price.currency_options[usd]"]
    assert await reason(change(ground, "UpdatePrice", price={"id": "no", "nickname": "x"})) == (
        "NOT_FOUND"
    )


async def test_a_lookup_key_has_one_price_until_it_is_taken(ground: Ground) -> None:
    first = await made(ground, **MONTHLY, lookup_key="gold")
    error = await refused(made(ground, **MONTHLY, lookup_key="gold"))
    assert (reason_of(error), facts_of(error)["id"]) == ("LOOKUP_KEY_TAKEN", first.id)
    second = await made(ground, **MONTHLY, lookup_key="gold", transfer_lookup_key=True)
    update = {"price": {"id": first.id, "lookup_key": "gold"}}
    assert await reason(change(ground, "UpdatePrice", **update)) == "LOOKUP_KEY_TAKEN"
    taken = await change(ground, "UpdatePrice", **update, transfer_lookup_key=True)
    assert taken.lookup_key == "gold"
    there = await ground.stripe(f"/v1/prices/{second.id}")
    assert there["lookup_key"] is None


async def test_a_default_price_is_not_archived_and_another_one_is(ground: Ground) -> None:
    product = await product_with(ground, {**MONTHLY, "make_default": True}, MONTHLY)
    default, other = [each.price.id for each in product.prices]
    error = await refused(change(ground, "ArchivePrice", id=default))
    assert (reason_of(error), facts_of(error)["state"]) == ("WRONG_STATE", "default_price")
    assert not (await change(ground, "ArchivePrice", id=other)).active
    assert (await change(ground, "UnarchivePrice", id=other)).active
    assert await reason(change(ground, "ArchivePrice", id="no")) == "NOT_FOUND"
    assert await reason(change(ground, "UnarchivePrice", id="no")) == "NOT_FOUND"
    assert await reason(ask(ground, "GetPrice", id="no")) == "NOT_FOUND"
    assert await reason(change(ground, "CreatePrice", product="no", price=MONTHLY)) == "NOT_FOUND"


async def test_a_replacement_is_like_the_old_one_and_takes_its_place(ground: Ground) -> None:
    old_terms = {**MONTHLY, "lookup_key": "gold", "nickname": "Gold", "metadata": {"a": "1"}}
    product = await product_with(ground, {**old_terms, "make_default": True})
    old = product.prices[0].price
    customer = await ground.payer()
    await ground.mutate(
        "SubscriptionService.CreateSubscription", customer=customer, items=[{"price": old.id}]
    )
    done = await change(ground, "ReplacePrice", id=old.id, price={"unit_amount": 1_200})
    assert (done.price.unit_amount, done.price.recurring.interval) == (1_200, "month")
    assert (done.price.lookup_key, done.price.nickname) == ("gold", "Gold")
    assert dict(done.price.metadata) == {"a": "1"}
    assert (done.replaced_price.id, done.replaced_price.active) == (old.id, False)
    assert (done.is_default, done.lookup_key_moved, done.subscribers.active) == (True, True, 1)
    got = await ask(ground, "GetProduct", id=product.product.id)
    assert got.product.default_price == done.price.id
    assert await reason(change(ground, "ReplacePrice", id=old.id, price={"unit_amount": 1})) == (
        "WRONG_STATE"
    )
    tiers = {"tiers": TIERS, "tiers_mode": "volume"}
    tiered = await change(ground, "ReplacePrice", id=done.price.id, price=tiers)
    assert (len(tiered.price.tiers), tiered.price.HasField("unit_amount")) == (3, False)
    yearly = await change(
        ground, "ReplacePrice", id=tiered.price.id, price={"recurring": {"interval": "year"}}
    )
    assert (len(yearly.price.tiers), yearly.price.tiers_mode) == (3, "volume")
    assert yearly.price.recurring.interval == "year"


async def test_everything_wrong_with_a_replacement_is_told_at_once(ground: Ground) -> None:
    old = await made(ground, **MONTHLY)
    wrong = {
        "currency": "kwd", "recurring": {"interval": "year", "interval_count": 4},
        "lookup_key": "x", "make_default": True,
    }  # fmt: skip
    error = await refused(change(ground, "ReplacePrice", id=old.id, price=wrong))
    assert fields_of(error) == [
        "price.lookup_key", "price.make_default", "price.recurring.interval_count",
        "price.unit_amount",
    ]  # fmt: skip
    error = await refused(change(ground, "ReplacePrice", id=old.id, price={}))
    assert fields_of(error) == ["replace_mask"]
    assert await reason(change(ground, "ReplacePrice", id="no", price={"unit_amount": 1})) == (
        "NOT_FOUND"
    )


@pytest.mark.parametrize("lost", ["/v1/prices", "/v1/products/{id}", "/v1/prices/{id}"])
async def test_whichever_answer_is_lost_one_price_follows(ground: Ground, lost: str) -> None:
    terms = {**MONTHLY, "lookup_key": "gold", "make_default": True}
    product = await product_with(ground, terms)
    old = product.prices[0].price.id
    request = {"id": old, "price": {"unit_amount": 1_200}, "request_id": fresh()}
    fault = FaultSpec(
        kind="drop_after", method="POST", route=lost, count=3,
        account=ground.tenant.stripe_account,
    )  # fmt: skip
    await ground.world.emulator.control.add_fault(fault)
    assert await reason(ground.call("CatalogService.ReplacePrice", request)) == "OUTCOME_UNKNOWN"
    done = await ground.call("CatalogService.ReplacePrice", request)
    prices = (await ground.stripe("/v1/prices"))["data"]
    assert {one["id"]: (one["active"], one["lookup_key"]) for one in prices} == {
        old: (False, None), done.price.id: (True, "gold"),
    }  # fmt: skip
    there = await ground.stripe(f"/v1/products/{product.product.id}")
    assert there["default_price"] == done.price.id
    mirrored = (await ask(ground, "ListPrices", lookup_key="gold")).prices
    assert [one.id for one in mirrored if one.active] == [done.price.id]


async def test_two_replacements_at_once_are_one(ground: Ground) -> None:
    product = await product_with(ground, {**MONTHLY, "lookup_key": "gold", "make_default": True})
    old = product.prices[0].price.id
    outcomes = await asyncio.gather(
        *(change(ground, "ReplacePrice", id=old, price={"unit_amount": n}) for n in range(4)),
        return_exceptions=True,
    )
    refusals = [reason_of(one) for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert refusals == ["WRONG_STATE"] * 3
    assert len((await ground.stripe("/v1/prices"))["data"]) == 2


async def test_a_default_that_stripe_refuses_leaves_all_as_it_was(ground: Ground) -> None:
    product = await product_with(ground, {**MONTHLY, "lookup_key": "gold", "make_default": True})
    old, id_ = product.prices[0].price.id, product.product.id
    for method, fields in (
        ("ReplacePrice", {"id": old, "price": {"unit_amount": 1}}),
        ("CreatePrice", {"product": id_, "price": {**MONTHLY, "make_default": True}}),
    ):
        fault = FaultSpec(
            kind="fail", status=400, method="POST", route="/v1/products/{id}",
            account=ground.tenant.stripe_account,
        )  # fmt: skip
        await ground.world.emulator.control.add_fault(fault)
        await refused(change(ground, method, **fields))
        (there,) = (await ground.stripe("/v1/prices", active="true"))["data"]
        assert (there["id"], there["lookup_key"]) == (old, "gold")
        assert (await ground.stripe(f"/v1/products/{id_}"))["default_price"] == old
