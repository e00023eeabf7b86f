"""Prices: what Stripe shows of them and when, what can change, what is refused."""

from decimal import Decimal
from typing import Any

import pytest
import stripe

MONTHLY: Any = {"interval": "month"}
FLAT: Any = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "A"}}
BASE: Any = {"currency": "usd", "product_data": {"name": "A"}}
TIERED: Any = {
    **BASE,
    "billing_scheme": "tiered",
    "tiers_mode": "volume",
    "recurring": MONTHLY,
    "tiers": [
        {"up_to": 10, "unit_amount_decimal": Decimal("0.000001")},
        {"up_to": "inf", "unit_amount": 50, "flat_amount": 0},
    ],
}
OPTIONS: Any = {
    "eur": {"unit_amount": 450, "tax_behavior": "inclusive"},
    "jpy": {"unit_amount": 80},
}


def creating(client: stripe.StripeClient) -> Any:
    """Typed loosely: what is sent has to be refused at times."""
    return client.v1.prices.create_async


async def events(client: stripe.StripeClient, kind: str) -> list[stripe.Event]:
    return list((await client.v1.events.list_async({"type": kind})).data)


async def test_tiers_and_currency_options_only_on_demand(client: stripe.StripeClient) -> None:
    prices = client.v1.prices
    expanding: Any = {"expand": ["tiers", "currency_options"]}
    in_euros: Any = {"eur": {"tiers": [{"up_to": "inf", "unit_amount": 1}]}}
    made = await creating(client)({**TIERED, "currency_options": in_euros, **expanding})
    assert made.tiers is not None
    shown = [(tier.up_to, str(tier.unit_amount_decimal), tier.flat_amount) for tier in made.tiers]
    assert shown == [(10, "0.000001", None), (None, "50", 0)]
    assert (made.unit_amount, made.unit_amount_decimal) == (None, None)
    assert made.currency_options is not None
    assert set(made.currency_options.to_dict()) == {"usd", "eur"}
    bare = await prices.retrieve_async(made.id)
    assert "tiers" not in bare
    assert "currency_options" not in bare
    page = await prices.list_async({"expand": ["data.tiers"]})
    assert page.data[0].tiers is not None
    changed = await prices.update_async(made.id, {"nickname": "N", "expand": ["tiers"]})
    assert changed.tiers is not None
    for event in (*await events(client, "price.created"), *await events(client, "price.updated")):
        assert not {"tiers", "currency_options"} & event.data["object"].to_dict().keys()


async def test_currency_options_change_untold(client: stripe.StripeClient) -> None:
    prices: Any = client.v1.prices
    made = await creating(client)({**FLAT, "currency_options": OPTIONS})
    changing: Any = {"currency_options": {"eur": {"unit_amount": 460}}}
    seen = await prices.update_async(made.id, {**changing, "expand": ["currency_options"]})
    assert seen.currency_options is not None
    shown = seen.currency_options.to_dict(recursive=True)
    assert {name: one["unit_amount"] for name, one in shown.items()} == {
        "usd": 500, "eur": 460, "jpy": 80,
    }  # fmt: skip
    told = (await events(client, "price.updated"))[0]
    assert told.data["previous_attributes"].to_dict() == {}
    own: Any = {"currency_options": {"usd": {"unit_amount": 1}}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await prices.update_async(made.id, own)
    assert refused.value.param == "currency_options[usd]"
    clearing: Any = {"currency_options": "", "expand": ["currency_options"]}
    assert (await prices.update_async(made.id, clearing)).currency_options is None


async def test_other_kinds_of_amounts(client: stripe.StripeClient) -> None:
    create = creating(client)
    chosen = await create({**BASE, "custom_unit_amount": {"enabled": True, "minimum": 50}})
    assert chosen.custom_unit_amount is not None
    assert chosen.custom_unit_amount.to_dict() == {
        "maximum": None, "minimum": 50, "preset": None,
    }  # fmt: skip
    assert chosen.unit_amount is None
    packed = await create(
        {**FLAT, "transform_quantity": {"divide_by": 12, "round": "up"}, "nickname": "Dozen"}
    )
    assert packed.transform_quantity is not None
    assert packed.transform_quantity.to_dict() == {"divide_by": 12, "round": "up"}
    exact = await create({**BASE, "unit_amount_decimal": Decimal("0.123456789012")})
    assert (exact.unit_amount, str(exact.unit_amount_decimal)) == (None, "0.123456789012")
    assert (await create({**BASE, "unit_amount": 0})).unit_amount == 0


async def test_a_metered_price_needs_an_active_meter(client: stripe.StripeClient) -> None:
    create, meters = creating(client), client.v1.billing.meters
    meter = await meters.create_async(
        {
            "display_name": "Calls",
            "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
        }
    )
    assert (meter.object, meter.status) == ("billing.meter", "active")
    metered: Any = {"interval": "month", "usage_type": "metered"}
    with pytest.raises(stripe.InvalidRequestError, match="must be backed by meters"):
        await create({**FLAT, "recurring": metered})
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await create({**FLAT, "recurring": {**metered, "meter": "mtr_unknown"}})
    assert (unknown.value.param, unknown.value.code) == ("recurring[meter]", "resource_missing")
    with pytest.raises(stripe.InvalidRequestError):
        await create({**FLAT, "recurring": {**MONTHLY, "meter": meter.id}})
    price = await create(
        {**FLAT, "recurring": {**metered, "meter": meter.id, "trial_period_days": 7}}
    )
    assert price.recurring is not None
    assert price.recurring.to_dict() == {
        "interval": "month", "interval_count": 1, "meter": meter.id, "trial_period_days": 7,
        "usage_type": "metered",
    }  # fmt: skip
    listed = await client.v1.prices.list_async({"recurring": {"meter": meter.id}})
    assert [one.id for one in listed.data] == [price.id]
    renamed = await meters.update_async(meter.id, {"display_name": "API calls"})
    assert renamed.display_name == "API calls"
    await meters.deactivate_async(meter.id)
    with pytest.raises(stripe.InvalidRequestError):
        await create({**FLAT, "recurring": {**metered, "meter": meter.id}})
    assert (await meters.list_async({"status": "active"})).data == []
    assert (await meters.reactivate_async(meter.id)).status_transitions.deactivated_at is None
    told = await client.v1.events.list_async({"type": "billing.meter.*"})
    assert [event.type for event in told.data][::-1] == [
        "billing.meter.created", "billing.meter.updated", "billing.meter.deactivated",
        "billing.meter.reactivated",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, None, None),
        ({"unit_amount": 1, "unit_amount_decimal": Decimal(1)}, "unit_amount", None),
        ({"unit_amount": -1}, "unit_amount", "parameter_invalid_integer"),
        ({"unit_amount_decimal": Decimal(-1)}, "unit_amount_decimal", None),
        ({"unit_amount_decimal": Decimal("0.1234567890123")}, "unit_amount_decimal", None),
        ({"currency": "xxx", "unit_amount": 1}, "currency", None),
        ({"currency": "kwd", "unit_amount": 1}, "unit_amount", "parameter_invalid_integer"),
        ({"unit_amount": 1, "product": "prod_unknown"}, "product", "resource_missing"),
        ({"unit_amount": 1, "recurring": {"interval": "week", "interval_count": 157}},
         "recurring[interval_count]", None),
        ({"unit_amount": 1, "recurring": {"interval_count": 2}}, "recurring[interval]",
         "parameter_missing"),
        ({"custom_unit_amount": {"enabled": True}, "recurring": MONTHLY}, "custom_unit_amount",
         None),
        ({**TIERED, "recurring": None}, "interval", None),
        ({**TIERED, "tiers_mode": None}, "tiers_mode", None),
        ({**TIERED, "tiers": None}, "tiers", None),
        ({**TIERED, "billing_scheme": None, "unit_amount": 1}, "tiers", None),
        ({**TIERED, "unit_amount": 1}, "unit_amount", None),
        ({**TIERED, "tiers": TIERED["tiers"][:1]}, "tiers", None),
        ({**TIERED, "tiers": [{"up_to": "inf"}]}, "tiers[0]", None),
        ({**TIERED, "tiers": [TIERED["tiers"][0], *TIERED["tiers"]]}, "tiers[1][up_to]", None),
        ({**TIERED, "tiers": [{"up_to": "inf", "unit_amount": -1}]}, "tiers[0][unit_amount]",
         "parameter_invalid_integer"),
        ({**TIERED, "transform_quantity": {"divide_by": 2, "round": "up"}}, "transform_quantity",
         None),
        ({"unit_amount": 1, "currency_options": {"eur": {"tax_behavior": "inclusive"}}},
         "currency_options[eur]", None),
    ],
)  # fmt: skip
async def test_what_is_refused(
    client: stripe.StripeClient, fields: Any, param: str | None, code: str | None
) -> None:
    given: Any = {**BASE, **fields}
    if "product" in given:
        del given["product_data"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await creating(client)({name: value for name, value in given.items() if value is not None})
    assert (refused.value.param, refused.value.code) == (param, code)
    assert (await client.v1.prices.list_async()).data == []


async def test_a_price_has_one_product(client: stripe.StripeClient) -> None:
    create = creating(client)
    product = await client.v1.products.create_async({"name": "A"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await create({**FLAT, "product": product.id})
    assert refused.value.param == "product"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await create({"currency": "usd", "unit_amount": 5})
    assert refused.value.param is None
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.prices.list_async({"product": "prod_unknown"})
    assert refused.value.code == "resource_missing"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.prices.retrieve_async("price_unknown")
    assert (refused.value.http_status, refused.value.param) == (404, "price")


@pytest.mark.parametrize(
    "change",
    [
        {"unit_amount": 2},
        {"unit_amount_decimal": Decimal(2)},
        {"currency": "eur"},
        {"recurring": {"interval": "year"}},
        {"tiers": [{"up_to": "inf", "unit_amount": 1}]},
    ],
)
async def test_what_a_price_costs_never_changes(client: stripe.StripeClient, change: Any) -> None:
    price = await creating(client)(FLAT)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.prices.update_async(price.id, change)
    assert (refused.value.param, refused.value.code) == (next(iter(change)), "parameter_unknown")


async def test_a_tax_behavior_is_said_once(client: stripe.StripeClient) -> None:
    update = client.v1.prices.update_async
    price = await creating(client)(FLAT)
    assert (await update(price.id, {"tax_behavior": "inclusive"})).tax_behavior == "inclusive"
    await update(price.id, {"tax_behavior": "inclusive", "metadata": {"a": "b"}})
    for other in ("exclusive", "unspecified"):
        changing: Any = {"tax_behavior": other}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await update(price.id, changing)
        assert refused.value.param == "tax_behavior"


async def test_an_archived_price_keeps_its_lookup_key_until_it_is_taken(
    client: stripe.StripeClient,
) -> None:
    first = await creating(client)({**FLAT, "lookup_key": "plan", "active": False})
    second = await creating(client)(FLAT)
    update = client.v1.prices.update_async
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await update(second.id, {"lookup_key": "plan"})
    assert refused.value.param == "lookup_key"
    await update(second.id, {"lookup_key": "plan", "transfer_lookup_key": True})
    assert (await client.v1.prices.retrieve_async(first.id)).lookup_key is None
    told = await events(client, "price.updated")
    assert [event.data["object"]["id"] for event in told] == [second.id, first.id]
