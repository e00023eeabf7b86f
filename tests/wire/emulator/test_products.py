"""Products: what they hold, their default price, what is refused."""

from typing import Any

import pytest
import stripe

FULL: Any = {
    "name": "Seat",
    "images": [f"https://example.test/{number}.png" for number in range(8)],
    "marketing_features": [{"name": "Fast"}],
    "statement_descriptor": "SEAT",
    "tax_code": "txcd_10103000",
    "unit_label": "seat",
    "url": "https://example.test/seat",
}


async def test_all_that_a_product_holds(client: stripe.StripeClient) -> None:
    product = (await client.v1.products.create_async(FULL)).to_dict(recursive=True)
    assert FULL.items() <= product.items()
    assert product["type"] == "service"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"images": [*FULL["images"], "https://example.test/9.png"]}, "images", None),
        ({"images": ["logo.png"]}, "images[0]", "url_invalid"),
        ({"url": "nowhere"}, "url", "url_invalid"),
        ({"statement_descriptor": "1234"}, "statement_descriptor", None),
        ({"statement_descriptor": "SEAT <1>"}, "statement_descriptor", None),
        ({"name": ""}, "name", "parameter_invalid_empty"),
        ({"default_price_data": {"unit_amount": 5}}, "default_price_data[currency]",
         "parameter_missing"),
        ({"default_price_data": {"currency": "usd", "unit_amount": -5}},
         "default_price_data[unit_amount]", "parameter_invalid_integer"),
        ({"default_price_data": {"currency": "isk", "unit_amount": 5}},
         "default_price_data[unit_amount]", "parameter_invalid_integer"),
    ],
)  # fmt: skip
async def test_what_is_refused(
    client: stripe.StripeClient, fields: Any, param: str, code: str | None
) -> None:
    fields = {"name": "Seat", **fields}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async(fields)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert (await client.v1.products.list_async()).data == []


async def test_a_default_price_is_the_products_own_and_active(client: stripe.StripeClient) -> None:
    products: Any = client.v1.products
    prices: Any = client.v1.prices
    data: Any = {"currency": "usd", "unit_amount": 5}
    product = await products.create_async({"name": "A", "default_price_data": data})
    other = await prices.create_async({**data, "product_data": {"name": "B"}})
    first = str(product.default_price)
    second = await prices.create_async({**data, "product": product.id, "active": False})
    for wrong in (other.id, second.id):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await products.update_async(product.id, {"default_price": wrong})
        assert refused.value.param == "default_price"
    with pytest.raises(stripe.InvalidRequestError, match="default price of its product"):
        await prices.update_async(first, {"active": False})
    cleared = await products.update_async(product.id, {"default_price": ""})
    assert cleared.default_price is None
    assert not (await prices.update_async(first, {"active": False})).active
    event = (await client.v1.events.list_async({"type": "product.updated"})).data[0]
    assert event.data["previous_attributes"]["default_price"] == first


async def test_products_are_listed_by_ids_activity_and_creation(
    client: stripe.StripeClient,
) -> None:
    made = [(await client.v1.products.create_async({"name": name})).id for name in "ABC"]
    await client.v1.products.update_async(made[1], {"active": False})
    listing = client.v1.products.list_async
    by_ids = await listing({"ids": [made[0], made[1], "prod_unknown"]})
    assert [one.id for one in by_ids.data] == [made[1], made[0]]
    active = await listing({"ids": made, "active": True})
    assert [one.id for one in active.data] == [made[2], made[0]]
    assert (await listing({"created": {"gt": by_ids.data[0].created + 5}})).data == []
