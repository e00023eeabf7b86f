"""What a price may cost: everything that is wrong is told at once, each with its field."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CURRENCIES, charge_step, largest_charge
from domain.price_rules import PriceTerms, options_violations, terms_of, terms_violations
from domain.prices import (
    CurrencyOption,
    CustomUnitAmount,
    Price,
    Recurrence,
    Tier,
    TransformQuantity,
)
from tests.contract.samples import NOON

PLAIN = PriceTerms("usd", 900)
TIERS = (Tier(10, unit_amount=100), Tier(None, flat_amount=0))
TIERED = PriceTerms("usd", tiers=TIERS, tiers_mode="volume")


def wrong(terms: PriceTerms) -> list[str]:
    """The fields that are wrong, in order of their names."""
    return sorted(violation.field for violation in terms_violations(terms, ""))


@pytest.mark.parametrize(
    "terms",
    [
        PLAIN,
        replace(PLAIN, unit_amount=0),
        PriceTerms("jpy", 1),
        PriceTerms("kwd", 1_010),
        PriceTerms("isk", 500),
        PriceTerms("usd", unit_amount_decimal="0.000000000001"),
        PriceTerms("kwd", unit_amount_decimal="1010"),
        TIERED,
        replace(TIERED, tiers=(Tier(None, unit_amount_decimal="0.5", flat_amount=7),)),
        replace(PLAIN, recurring=Recurrence("day", 1_095)),
        replace(PLAIN, recurring=Recurrence("month", 36), trial_period_days=730),
        replace(PLAIN, recurring=Recurrence("year", 3, "metered", "mtr_1")),
        replace(PLAIN, transform_quantity=TransformQuantity(10, "up"), tax_behavior="inclusive"),
        PriceTerms("usd", custom_unit_amount=CustomUnitAmount(100, 900, 500)),
        replace(PLAIN, currency_options={"kwd": CurrencyOption(1_010)}),
    ],
)
def test_what_stripe_takes_is_taken(terms: PriceTerms) -> None:
    assert wrong(terms) == []


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"currency": ""}, ["currency"]),
        ({"currency": "USD"}, ["currency"]),
        ({"unit_amount": -1}, ["unit_amount"]),
        ({"unit_amount": 100_000_000}, ["unit_amount"]),
        ({"unit_amount": None}, ["unit_amount"]),
        ({"unit_amount_decimal": "1"}, ["unit_amount_decimal"]),
        ({"currency": "kwd", "unit_amount": 1_005}, ["unit_amount"]),
        ({"currency": "isk", "unit_amount": 550}, ["unit_amount"]),
        ({"tiers": TIERS, "tiers_mode": "volume"}, ["tiers"]),
        ({"tiers_mode": "volume"}, ["tiers_mode"]),
        ({"custom_unit_amount": CustomUnitAmount()}, ["custom_unit_amount"]),
        ({"tax_behavior": "maybe"}, ["tax_behavior"]),
        ({"transform_quantity": TransformQuantity(0, "even")},
         ["transform_quantity.divide_by", "transform_quantity.round"]),
        ({"recurring": Recurrence("month", 37)}, ["recurring.interval_count"]),
        ({"recurring": Recurrence("week", 0)}, ["recurring.interval_count"]),
        ({"recurring": Recurrence("hour", 1)}, ["recurring.interval"]),
        ({"recurring": Recurrence("month", 1, "metered")}, ["recurring.meter"]),
        ({"recurring": Recurrence("month", 1, "licensed", "mtr_1")}, ["recurring.meter"]),
        ({"recurring": Recurrence("month", 1, "metered", "m\0")}, ["recurring.meter"]),
        ({"recurring": Recurrence("month", 1, "used")}, ["recurring.usage_type"]),
        ({"recurring": Recurrence("month", 1), "trial_period_days": 731},
         ["recurring.trial_period_days"]),
        ({"currency_options": {"usd": CurrencyOption(1)}}, ["currency_options[usd]"]),
        ({"currency_options": {"xxx": CurrencyOption(1)}}, ["currency_options"]),
        ({"currency_options": {"eur": CurrencyOption()}}, ["currency_options[eur].unit_amount"]),
        ({"currency_options": {"kwd": CurrencyOption(1_001)}},
         ["currency_options[kwd].unit_amount"]),
    ],
)  # fmt: skip
def test_each_rule_names_its_field(changes: dict[str, Any], fields: list[str]) -> None:
    assert wrong(replace(PLAIN, **changes)) == fields


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1.0000000000001", "at most 12 decimals"),
        ("-0.5", "must not be negative"),
        ("1e3", "a decimal of minor units, such as 0.5"),
        ("1,5", "a decimal of minor units, such as 0.5"),
        ("٣", "a decimal of minor units, such as 0.5"),
        ("100000000", "at most 99,999,999"),
    ],
)
def test_a_decimal_has_twelve_places_at_most(text: str, rule: str) -> None:
    (violation,) = terms_violations(PriceTerms("usd", unit_amount_decimal=text), "")
    assert (violation.field, violation.rule) == ("unit_amount_decimal", rule)


@pytest.mark.parametrize(
    ("tiers", "fields"),
    [
        ((Tier(10, unit_amount=1),), ["tiers[0].up_to"]),
        ((Tier(None, unit_amount=1), Tier(None, unit_amount=1)), ["tiers[0].up_to"]),
        ((Tier(9, unit_amount=1), Tier(9, unit_amount=1), TIERS[1]), ["tiers[1].up_to"]),
        ((Tier(0, unit_amount=1), TIERS[1]), ["tiers[0].up_to"]),
        ((Tier(1), TIERS[1]), ["tiers[0]"]),
        ((Tier(None, unit_amount=1, unit_amount_decimal="1"),), ["tiers[0].unit_amount_decimal"]),
        ((Tier(None, flat_amount=-1),), ["tiers[0].flat_amount"]),
        ((Tier(None, flat_amount_decimal="x"),), ["tiers[0].flat_amount_decimal"]),
    ],
)
def test_tiers_go_up_to_one_without_an_end(tiers: tuple[Tier, ...], fields: list[str]) -> None:
    assert wrong(replace(TIERED, tiers=tiers)) == fields


def test_everything_wrong_is_told_at_once() -> None:
    terms = PriceTerms(
        "kwd", 5, "1.5", "steps", (Tier(5),), TransformQuantity(0, "up"), None, "no",
        Recurrence("year", 4, "metered"), 0, {"kwd": CurrencyOption(1)},
    )  # fmt: skip
    assert wrong(terms) == [
        "currency_options[kwd]", "currency_options[kwd].tiers",
        "currency_options[kwd].unit_amount", "recurring.interval_count", "recurring.meter",
        "recurring.trial_period_days", "tax_behavior", "tiers", "tiers[0]", "tiers[0].up_to",
        "tiers_mode", "transform_quantity", "transform_quantity.divide_by", "unit_amount",
        "unit_amount_decimal",
    ]  # fmt: skip


def test_options_have_tiers_where_the_price_has_them() -> None:
    option = {"eur": CurrencyOption(1)}
    assert [each.field for each in options_violations("usd", option, "o", tiered=True)] == [
        "o[eur].tiers"
    ]
    assert list(options_violations("", option, "o")) == []
    option = {"eur": CurrencyOption(tiers=TIERS)}
    assert [each.field for each in options_violations("usd", option, "o", tiered=False)] == [
        "o[eur].tiers"
    ]


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(-10, 10**9))
def test_a_whole_amount_is_taken_where_the_currency_has_such(currency: str, amount: int) -> None:
    fits = 0 <= amount <= largest_charge(currency) and amount % charge_step(currency) == 0
    assert (wrong(PriceTerms(currency, amount)) == []) == fits
    text = str(amount)
    assert (wrong(PriceTerms(currency, unit_amount_decimal=text)) == []) == fits


def test_the_terms_of_a_price_say_each_amount_once() -> None:
    price = Price(
        "price_1", NOON, "prod_1", "usd", True, "recurring",
        tiers_mode="volume", billing_scheme="tiered",
        tiers=(Tier(None, 0, "0", 5, "5"),),
        currency_options={
            "usd": CurrencyOption(900, "900"), "eur": CurrencyOption(800, "800", "inclusive"),
        },
    )  # fmt: skip
    terms = terms_of(price)
    assert terms.tiers == (Tier(None, 0, None, 5, None),)
    assert terms.currency_options == {"eur": CurrencyOption(800, None, "inclusive")}
    plain = terms_of(replace(price, tiers=(), unit_amount=900, unit_amount_decimal="900"))
    assert (plain.unit_amount, plain.unit_amount_decimal) == (900, None)
    exact = terms_of(replace(price, unit_amount_decimal="0.5"))
    assert (exact.unit_amount, exact.unit_amount_decimal) == (None, "0.5")
