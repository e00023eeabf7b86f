"""What an invoice may hold, and which subscription is invoiced next."""

import datetime as dt
from typing import Any

import pytest

from application.invoices.items import item_violations
from application.invoices.ports import InvoiceItemFields
from domain.invoices import next_invoiced, sum_rule, unit_amount_rule
from domain.money import largest_charge
from domain.subscriptions import Subscription, SubscriptionItem
from tests.support.fakes.stores import NOON

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("currency", "most"),
    [
        ("usd", 99_999_999),
        ("jpy", 99_999_999),
        ("kwd", 99_999_999),
        ("inr", 999_999_999),
        ("cop", 9_999_999_999),
        ("idr", 999_999_999_999),
    ],
)
def test_the_largest_amount_has_as_many_digits_as_stripe_takes(currency: str, most: int) -> None:
    assert largest_charge(currency) == most
    assert sum_rule(most, currency) == sum_rule(-most, currency) == ""
    assert f"{most:,}" in sum_rule(most + 1, currency)
    assert f"{most:,}" in sum_rule(-most - 1, currency)


def test_an_unknown_currency_has_no_largest_amount() -> None:
    with pytest.raises(ValueError, match="unknown currency"):
        largest_charge("xxx")


@pytest.mark.parametrize(
    ("amount", "quantity", "currency", "broken"),
    [
        (1_001, 1, "usd", ""),
        (1_001, 1, "kwd", "multiple of 10"),
        (1_010, 1, "kwd", ""),
        (150, 2, "isk", "multiple of 100"),
        (150, 2, "ugx", "multiple of 100"),
        (200, 1, "isk", ""),
        (-1_005, 1, "bhd", "multiple of 10"),
        (0, 1, "isk", ""),
        (33_333_333, 3, "usd", ""),
        (33_333_334, 3, "usd", "more than Stripe accepts"),
        (-50_000_000, 2, "usd", "more than Stripe accepts"),
        (1, 999_999_999, "inr", ""),
    ],
)
def test_an_amount_a_unit_follows_its_currency_and_the_limit(
    amount: int, quantity: int, currency: str, broken: str
) -> None:
    rule = unit_amount_rule(amount, quantity, currency)
    assert (broken in rule) if broken else rule == ""


def item(**fields: Any) -> InvoiceItemFields:
    return InvoiceItemFields(**{"description": "Work", "unit_amount": 100, **fields})


def fields_of(*items: InvoiceItemFields, currency: str = "usd") -> list[str]:
    return [violation.field for violation in item_violations(items, currency)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (item(unit_amount=None), "items[1]"),
        (item(price="price_1"), "items[1].unit_amount"),
        (item(price="price_1", unit_amount=None, product="prod_1"), "items[1].product"),
        (item(price="price\n", unit_amount=None), "items[1].price"),
        (item(product="x" * 256), "items[1].product"),
        (item(product="prod_1", unit_amount=-1), "items[1].product"),
        (item(description=" "), "items[1].description"),
        (item(description="d" * 5_001), "items[1].description"),
        (item(quantity=0), "items[1].quantity"),
        (item(quantity=1_000_000_000, unit_amount=0), "items[1].quantity"),
        (item(unit_amount=100_000_000), "items[1].unit_amount"),
    ],
)
def test_an_item_that_is_none_is_told_by_its_place(wrong: InvoiceItemFields, field: str) -> None:
    assert fields_of(item(), wrong)[0] == field


@pytest.mark.parametrize(
    "right",
    [
        item(unit_amount=0),
        item(unit_amount=-100, quantity=3),
        item(product="größe/m of a merchant", description=""),
        item(price="Gold plan 12 monthly", unit_amount=None),
        item(price="price_1", unit_amount=None, description="", quantity=999_999_999),
        item(description="d" * 5_000),
    ],
)
def test_an_item_that_is_one(right: InvoiceItemFields) -> None:
    assert fields_of(item(), right) == []


def test_an_invoice_has_1_to_250_items() -> None:
    assert fields_of() == ["items"]
    assert fields_of(*[item()] * 251) == ["items"]
    assert fields_of(*[item()] * 250) == []


def test_all_items_together_keep_the_limit() -> None:
    assert fields_of(item(unit_amount=50_000_000), item(unit_amount=50_000_000)) == ["items"]
    assert fields_of(item(unit_amount=99_999_999), item(unit_amount=-1), item(unit_amount=1)) == []


def test_amounts_of_an_unknown_currency_are_not_looked_at() -> None:
    assert fields_of(item(unit_amount=10**12), currency="xxx") == []


def subscription(id_: str, *ends: int, status: str = "active", **more: Any) -> Subscription:
    items = tuple(
        SubscriptionItem(
            f"si_{end}", "price_1", None, 1, "usd", current_period_end=NOON + DAY * end
        )
        for end in ends
    )
    return Subscription(id_, NOON, "cus_1", status, items=items, **more)


def test_the_subscription_whose_period_ends_first_is_invoiced_next() -> None:
    found = next_invoiced([subscription("a", 9, 5), subscription("b", 30, 4), subscription("c", 6)])
    assert found is not None
    assert found.id == "b"
    tied = next_invoiced([subscription("z", 3), subscription("y", 3)])
    assert tied is not None
    assert tied.id == "y"


@pytest.mark.parametrize(
    "over",
    [
        subscription("a", 1, status="canceled"),
        subscription("a", 1, status="incomplete"),
        subscription("a", 1, status="paused"),
        subscription("a", 1, cancel_at_period_end=True),
        subscription("a", 1, cancel_at=NOON + DAY),
        subscription("a"),
    ],
)
def test_what_does_not_go_on_is_not_invoiced_next(over: Subscription) -> None:
    assert next_invoiced([over]) is None
    other = subscription("b", 30, status="trialing", cancel_at=NOON + 31 * DAY)
    assert next_invoiced([over, other]) == other
