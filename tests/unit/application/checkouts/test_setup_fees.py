"""The set-up fee: the default price of a product of the platform's."""

from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from application.catalogue.hydration import Hydration
from application.checkouts.setup_fees import SetupFees
from application.connections.platform import Platform
from domain.errors import Reason, Unavailable
from domain.mirror import Row, Snapshot, Version
from domain.money import Money
from domain.prices import CurrencyOption, Price, Recurrence
from domain.products import Product
from tests.support.rooms.store import NOON

PRICE = Price(
    "price_setup", NOON, "prod_setup", "usd", active=True, type="one_time", unit_amount=500,
    currency_options={"eur": CurrencyOption(460), "gbp": CurrencyOption(None, "4.5")},
)  # fmt: skip
PRODUCT = Product("prod_setup", NOON, "Set-up", active=True, default_price="price_setup")


def row(object_: Any) -> Any:
    version = Version.of_read(date_ms=1_000, duration_ms=1, sent_at_ms=999)
    name = object_.id if object_ is not None else "gone"
    return Row("acct_platform", name, 1, Snapshot("acct_platform", name, version, object_))


def fees(product: Product | None, price: Price | None, named: str = "prod_setup") -> SetupFees:
    platform = create_autospec(Platform, instance=True)
    platform.stripe_account.return_value = "acct_platform"
    hydration = create_autospec(Hydration, instance=True)
    hydration.products.return_value = {"prod_setup": row(product)}
    hydration.price.return_value = row(price)
    return SetupFees(platform, hydration, named)


async def test_the_fee_is_that_of_the_default_price_in_the_currency() -> None:
    made = fees(PRODUCT, PRICE)
    assert await made.fee("usd") == Money(500, "usd")
    assert await made.fee("eur") == Money(460, "eur")
    free = fees(PRODUCT, replace(PRICE, unit_amount=0))
    assert await free.fee("usd") == Money(0, "usd")


@pytest.mark.parametrize(
    ("product", "price", "named", "currency"),
    [
        (PRODUCT, PRICE, "", "usd"),
        (PRODUCT, PRICE, "prod_setup", "jpy"),
        (PRODUCT, PRICE, "prod_setup", "gbp"),
        (None, PRICE, "prod_setup", "usd"),
        (replace(PRODUCT, default_price=None), PRICE, "prod_setup", "usd"),
        (PRODUCT, None, "prod_setup", "usd"),
        (PRODUCT, replace(PRICE, active=False), "prod_setup", "usd"),
        (PRODUCT, replace(PRICE, unit_amount=None), "prod_setup", "usd"),
        (PRODUCT, replace(PRICE, unit_amount=-1), "prod_setup", "usd"),
        (PRODUCT, replace(PRICE, billing_scheme="tiered"), "prod_setup", "usd"),
        (PRODUCT, replace(PRICE, type="recurring", recurring=Recurrence("month", 1)),
         "prod_setup", "usd"),
    ],
)  # fmt: skip
async def test_without_a_fee_there_is_no_price(
    product: Product | None, price: Price | None, named: str, currency: str
) -> None:
    with pytest.raises(Unavailable) as caught:
        await fees(product, price, named).fee(currency)
    assert caught.value.reason is Reason.PRICE_UNAVAILABLE
