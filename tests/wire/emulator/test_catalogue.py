"""Products, prices, coupons and tax rates."""

from decimal import Decimal
from typing import Any

import pytest
import stripe

from sandbox.emulator import prices
from sandbox.emulator.control_client import ControlClient


async def types(client: stripe.StripeClient) -> list[str]:
    found: list[str] = [event.type for event in (await client.v1.events.list_async()).data]
    return found[::-1]


async def test_a_product_with_its_default_price(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async(
        {
            "name": "Plan",
            "id": "setup_fee",
            "marketing_features": [{"name": "Fast"}],
            "default_price_data": {
                "currency": "usd",
                "unit_amount": 500,
                "recurring": {"interval": "year"},
            },
            "expand": ["default_price"],
        }
    )
    assert product.id == "setup_fee"
    assert isinstance(product.default_price, stripe.Price)
    assert product.default_price.recurring is not None
    assert product.default_price.recurring.interval == "year"
    assert await types(client) == ["product.created", "price.created"]
    first = (await client.v1.events.list_async({"type": "product.created"})).data[0]
    assert first.data["object"]["default_price"] == product.default_price.id
    page = await client.v1.prices.list_async({"product": product.id, "expand": ["data.product"]})
    assert isinstance(page.data[0].product, stripe.Product)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async({"name": "Other", "id": "setup_fee"})
    assert refused.value.code == "resource_already_exists"


async def test_only_a_product_without_prices_can_be_deleted(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"name": "A", "id": "again"})
    await client.v1.products.delete_async(product.id)
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await client.v1.products.retrieve_async(product.id)
    assert (gone.value.http_status, gone.value.param) == (404, "id")
    told = (await client.v1.events.list_async({"type": "product.deleted"})).data[0]
    assert told.data["object"]["active"] is False
    await client.v1.products.create_async({"name": "B", "id": "again"})
    assert (await client.v1.products.retrieve_async("again")).name == "B"
    await client.v1.prices.create_async({"currency": "usd", "unit_amount": 1, "product": "again"})
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.products.delete_async("again")
    archived = await client.v1.products.update_async("again", {"active": False})
    assert archived.updated >= archived.created
    listed = await client.v1.products.list_async({"active": False})
    assert [one.id for one in listed.data] == ["again"]


async def test_products_are_searched(client: stripe.StripeClient, control: ControlClient) -> None:
    await client.v1.products.create_async({"name": "Phone number"})
    await client.v1.products.create_async({"name": "Listing"})
    await control.advance_clock(60)
    found = await client.v1.products.search_async({"query": 'name~"phone"'})
    assert [one.name for one in found.data] == ["Phone number"]


async def test_a_price_is_archived_but_never_repriced(client: stripe.StripeClient) -> None:
    price = await client.v1.prices.create_async(
        {"currency": "usd", "unit_amount_decimal": Decimal("12.5"), "product_data": {"name": "A"}}
    )
    assert (price.type, price.unit_amount, str(price.unit_amount_decimal)) == (
        "one_time", None, "12.5",
    )  # fmt: skip
    changed: Any = {"unit_amount": 2}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.prices.update_async(price.id, changed)
    assert refused.value.code == "parameter_unknown"
    await client.v1.prices.update_async(price.id, {"active": False, "nickname": "Old"})
    listed = await client.v1.prices.list_async({"active": True})
    assert listed.data == []


async def test_a_lookup_key_moves_only_when_asked(client: stripe.StripeClient) -> None:
    create = client.v1.prices.create_async
    keyed: Any = {
        "currency": "usd",
        "lookup_key": "plan",
        "product_data": {"name": "A"},
        "unit_amount": 5,
    }
    first = await create(keyed)
    with pytest.raises(stripe.InvalidRequestError):
        await create(keyed)
    taking: Any = {**keyed, "transfer_lookup_key": True}
    second = await create(taking)
    listed = await client.v1.prices.list_async({"lookup_keys": ["plan"]})
    assert [one.id for one in listed.data] == [second.id]
    assert (await client.v1.prices.retrieve_async(first.id)).lookup_key is None


async def test_tiers_are_shown_on_demand(client: stripe.StripeClient) -> None:
    price = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "product_data": {"name": "A"},
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "recurring": {"interval": "month"},
            "tiers": [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}],
        }
    )
    assert "tiers" not in price
    seen = await client.v1.prices.retrieve_async(price.id, {"expand": ["tiers"]})
    assert seen.tiers is not None
    assert [tier.up_to for tier in seen.tiers] == [10, None]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.prices.create_async(
            {
                "currency": "usd",
                "product_data": {"name": "A"},
                "billing_scheme": "tiered",
                "tiers_mode": "volume",
                "tiers": [{"up_to": 10, "unit_amount": 100}],
            }
        )


@pytest.mark.parametrize(
    ("mode", "quantity", "amount"),
    [
        ("graduated", 0, 0),
        ("graduated", 10, 1000),
        ("graduated", 12, 1000 + 2 * 50 + 7),
        ("volume", 10, 1000),
        ("volume", 12, 12 * 50 + 7),
    ],
)
def test_tiered_amounts(mode: str, quantity: int, amount: int) -> None:
    tiers = [
        {"up_to": 10, "unit_amount_decimal": "100", "flat_amount_decimal": None},
        {"up_to": None, "unit_amount_decimal": "50", "flat_amount_decimal": "7"},
    ]
    price = {
        "billing_scheme": "tiered",
        "tiers": tiers,
        "tiers_mode": mode,
        "transform_quantity": None,
    }
    assert prices.amount_of(price, quantity) == amount


def test_fractions_round_half_up_on_the_whole() -> None:
    price = {
        "billing_scheme": "per_unit",
        "transform_quantity": None,
        "unit_amount_decimal": "0.5",
    }
    assert [prices.amount_of(price, quantity) for quantity in (1, 2, 3)] == [1, 1, 2]
    packed = {**price, "transform_quantity": {"divide_by": 10, "round": "up"}}
    assert prices.amount_of({**packed, "unit_amount_decimal": "9"}, 11) == 18


async def test_coupons(client: stripe.StripeClient) -> None:
    coupon = await client.v1.coupons.create_async(
        {"id": "HALF", "percent_off": 50, "duration": "forever", "max_redemptions": 1}
    )
    assert (coupon.id, coupon.percent_off, coupon.valid) == ("HALF", 50, True)
    customer = await client.v1.customers.create_async({})
    draft = await client.v1.invoices.create_async(
        {"customer": customer.id, "discounts": [{"coupon": "HALF"}], "expand": ["discounts"]}
    )
    discount = draft.discounts[0]
    assert isinstance(discount, stripe.Discount)
    assert discount.source.coupon == "HALF"
    assert not (await client.v1.coupons.retrieve_async("HALF")).valid
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.create_async(
            {"customer": customer.id, "discounts": [{"coupon": "HALF"}]}
        )
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.coupons.create_async({"duration": "once"})
    await client.v1.coupons.delete_async("HALF")
    assert (await types(client))[-1] == "coupon.deleted"


async def test_inclusive_tax_is_part_of_the_total(client: stripe.StripeClient) -> None:
    rate = await client.v1.tax_rates.create_async(
        {"display_name": "MwSt", "inclusive": True, "percentage": 19}
    )
    customer = await client.v1.customers.create_async({})
    draft = await client.v1.invoices.create_async(
        {"customer": customer.id, "default_tax_rates": [rate.id]}
    )
    await client.v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": draft.id, "amount": 1190, "currency": "usd"}
    )
    seen = await client.v1.invoices.retrieve_async(draft.id)
    assert (seen.total, seen.total_excluding_tax) == (1190, 1000)
    assert seen.total_taxes is not None
    assert seen.total_taxes[0].tax_behavior == "inclusive"
