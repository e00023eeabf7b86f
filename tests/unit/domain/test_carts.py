"""Carts: what is wrong with an item, all at once; and what a store may sell."""

from dataclasses import replace
from typing import Any

import pytest

from domain.accounts import Account
from domain.carts import Cart, CartItem, Circumstances, purchase_violations
from domain.errors import Reason
from domain.money import Money
from domain.phone_numbers import NumberKind, NumberPrice, NumberTier
from domain.store_products import Offer, StorePrice, StoreProduct
from tests.support.rooms.store import (
    ADD_ON,
    GERMAN,
    LILY,
    LISTING,
    MAIN,
    NOON,
    NUMBER,
    OFFERS,
    PLAN,
    item,
)


def reasons(wanted: CartItem, known: Circumstances) -> set[Reason | str]:
    """The reason of each violation, or its field where it has none."""
    return {one.reason or one.field for one in purchase_violations(wanted, known)}


def known(offer: Offer | None, buyer: Account = LILY, **other: Any) -> Circumstances:
    return Circumstances(buyer, other.pop("seller", buyer.parent), offer, **other)


@pytest.mark.parametrize("offer", OFFERS)
def test_nothing_is_wrong(offer: Offer) -> None:
    total = Money(50, "usd")
    assert reasons(item(offer), known(offer, total=total)) == set()
    most = item(offer, offer.product.most)
    assert reasons(most, known(offer, total=Money(0, "usd"), has_method=False)) == set()


@pytest.mark.parametrize(
    ("wanted", "circumstances", "reason"),
    [
        (item(ADD_ON, 0), known(ADD_ON), "QUANTITY_OUT_OF_RANGE"),
        (item(ADD_ON, 11), known(ADD_ON), "QUANTITY_OUT_OF_RANGE"),
        (item(ADD_ON), known(None), "ITEM_UNKNOWN"),
        (CartItem("", 1), known(None), "ITEM_UNKNOWN"),
        (item(ADD_ON), known(Offer(replace(ADD_ON.product, active=False), ADD_ON.price)),
         "ITEM_INACTIVE"),
        (item(ADD_ON), known(Offer(ADD_ON.product, replace(ADD_ON.price, active=False))),
         "ITEM_INACTIVE"),
        (item(ADD_ON), known(Offer(replace(ADD_ON.product, accounts=("rose",)), ADD_ON.price)),
         "ITEM_NOT_OFFERED"),
        (item(ADD_ON), known(Offer(replace(ADD_ON.product, tiers=("basic",)), ADD_ON.price)),
         "ITEM_NOT_OFFERED"),
        (item(ADD_ON), known(ADD_ON, seller="globex"), "NOT_SUB_ACCOUNT"),
        (item(ADD_ON), known(ADD_ON, MAIN, seller="globex"), "NOT_SUB_ACCOUNT"),
        (item(ADD_ON), known(ADD_ON, has_method=False), "NO_PAYMENT_METHOD"),
        (item(ADD_ON), known(ADD_ON, takes_currency=False), "CURRENCY_NOT_TAKEN"),
        (item(ADD_ON), known(ADD_ON, total=Money(49, "usd")), "AMOUNT_TOO_SMALL"),
        (item(ADD_ON), known(ADD_ON, total=Money(10**8, "usd")), "AMOUNT_TOO_LARGE"),
        (item(LISTING), known(LISTING, replace(LILY, flags=())), "LISTING_NOT_ELIGIBLE"),
        (item(LISTING), known(LISTING, has_listing=True), "LISTING_EXISTS"),
        (CartItem("price_number", 1, "", "local"), known(NUMBER), "item.country"),
        (CartItem("price_number", 1, "DE"), known(NUMBER), "item.number_kind"),
        (CartItem("price_number", 1, "de", "local"), known(NUMBER), "item.country"),
        (CartItem("price_number", 1, "DE", "fax"), known(NUMBER), "item.number_kind"),
        (CartItem("price_add_on", 1, "DE"), known(ADD_ON), "item.country"),
    ],
)  # fmt: skip
def test_each_rule_has_its_own_reason(
    wanted: CartItem, circumstances: Circumstances, reason: str
) -> None:
    assert reasons(wanted, circumstances) == {reason}


def test_everything_is_told_at_once() -> None:
    offer = Offer(replace(LISTING.product, active=False, accounts=("rose",)), LISTING.price)
    circumstances = known(
        offer, replace(LILY, flags=()), seller="globex", total=Money(1, "usd"),
        takes_currency=False, has_method=False, has_listing=True,
    )  # fmt: skip
    assert reasons(item(offer, 2), circumstances) == {
        "NOT_SUB_ACCOUNT", "ITEM_INACTIVE", "QUANTITY_OUT_OF_RANGE", "ITEM_NOT_OFFERED",
        "CURRENCY_NOT_TAKEN", "LISTING_NOT_ELIGIBLE", "LISTING_EXISTS", "AMOUNT_TOO_SMALL",
        "NO_PAYMENT_METHOD",
    }  # fmt: skip


def test_one_thing_has_one_key_whatever_its_quantity() -> None:
    two, three = item(NUMBER, 2), item(NUMBER, 3)
    assert two.key == three.key
    assert two.digest != three.digest
    assert len({item(offer).key for offer in OFFERS}) == len(OFFERS)
    assert replace(two, country="FR").key != two.key


@pytest.mark.parametrize(
    ("product", "price"),
    [
        (ADD_ON.product, LISTING.price),
        (ADD_ON.product, replace(LISTING.price, product="prod_add_on")),
        (ADD_ON.product, replace(ADD_ON.price, unit_amount=None)),
        (NUMBER.product, replace(NUMBER.price, unit_amount=1)),
        (NUMBER.product, replace(NUMBER.price, interval=None)),
        (PLAN.product, replace(PLAN.price, stripe_price="")),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_no_offer(product: StoreProduct, price: StorePrice) -> None:
    with pytest.raises(ValueError, match=r"price|interval|unit_amount"):
        Offer(product, price)


@pytest.mark.parametrize(
    "changes",
    [{"id": ""}, {"name": ""}, {"service": "A"}, {"most": 0}, {"most": 1_001}, {"setup": True},
     {"accounts": ("a",) * 1_001}],
)  # fmt: skip
def test_what_is_no_product(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each names its field
        replace(ADD_ON.product, **changes)
    with pytest.raises(ValueError, match="most"):
        replace(LISTING.product, most=2)


@pytest.mark.parametrize(
    "changes",
    [{"id": ""}, {"currency": "xxx"}, {"unit_amount": -1}, {"unit_amount": 10**8},
     {"interval_count": 2}, {"stripe_price": "\n"}],
)  # fmt: skip
def test_what_is_no_price(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each names its field
        replace(ADD_ON.price, **changes)


@pytest.mark.parametrize(
    ("currency", "country", "tiers"),
    [
        ("xxx", "DE", GERMAN.tiers), ("usd", "d", GERMAN.tiers), ("usd", "DE", ()),
        ("usd", "DE", (NumberTier(1, "1"),)),
        ("usd", "DE", (NumberTier(None, "1"), NumberTier(None, "1"))),
        ("usd", "DE", (NumberTier(2, "1"), NumberTier(2, "1"), NumberTier(None, "1"))),
    ],
)  # fmt: skip
def test_what_is_no_price_of_numbers(
    currency: str, country: str, tiers: tuple[NumberTier, ...]
) -> None:
    with pytest.raises(ValueError, match=r"currency|country|tiers"):
        NumberPrice(country, NumberKind.LOCAL, currency, tiers)


def test_what_is_no_tier_and_no_cart() -> None:
    for up_to, price in ((0, "1"), (1, "-1")):
        with pytest.raises(ValueError, match=r"up_to|price"):
            NumberTier(up_to, price)
    with pytest.raises(ValueError, match="quantity"):
        GERMAN.price_of(0)
    for changes in ({"id": ""}, {"account": "-"}, {"revision": 0}):
        values: dict[str, Any] = {"id": "cart_1", "account": "lily", "revision": 1, **changes}
        with pytest.raises(ValueError, match=r"id|account|revision"):
            Cart(item=item(ADD_ON), updated_at=NOON, **values)
