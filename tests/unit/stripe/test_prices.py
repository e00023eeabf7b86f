"""Prices: from Stripe's payload to the domain's price."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.prices import (
    CurrencyOption,
    CustomUnitAmount,
    Price,
    Recurrence,
    Tier,
    TransformQuantity,
)
from infrastructure.stripe.prices import PRICE
from tests.unit.stripe.billing_samples import price
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Price]:
    return PRICE.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Price:
    found = observed(payload).object
    assert found is not None
    return found


def expanded(**changes: Any) -> dict[str, Any]:
    """A price as a request shows it that has asked for all of it."""
    return price(**{"tiers": None, "currency_options": {}, **changes})


def test_every_field_is_read() -> None:
    told = expanded(
        transform_quantity={"divide_by": 10, "round": "up"},
        custom_unit_amount={"minimum": 5, "maximum": None, "preset": 50},
    )
    assert observed(told) == Snapshot(
        "acct_1",
        "price_1",
        VERSION,
        Price(
            id="price_1",
            created=dt.datetime.fromtimestamp(CREATED, dt.UTC),
            product="prod_1",
            currency="eur",
            active=True,
            type="recurring",
            unit_amount=1_000,
            unit_amount_decimal="1000",
            billing_scheme="per_unit",
            tiers_mode=None,
            recurring=Recurrence("month", 3, "licensed", None),
            nickname="Seat",
            lookup_key="seat",
            metadata={"tier": "gold"},
            transform_quantity=TransformQuantity(10, "up"),
            custom_unit_amount=CustomUnitAmount(5, None, 50),
            tax_behavior="exclusive",
        ),
    )


def test_a_price_below_a_minor_unit_is_its_decimal_alone() -> None:
    found = read(price(unit_amount=None, unit_amount_decimal="0.000000012"))
    assert (found.unit_amount, found.unit_amount_decimal) == (None, "0.000000012")


def test_a_tiered_price_has_no_unit_amount() -> None:
    tiered = {"billing_scheme": "tiered", "tiers_mode": "graduated"}
    snapshot = observed(expanded(unit_amount=None, unit_amount_decimal=None, **tiered))
    found = snapshot.object
    assert found is not None
    assert (found.billing_scheme, found.tiers_mode) == ("tiered", "graduated")
    assert (found.unit_amount, found.unit_amount_decimal) == (None, None)
    assert not snapshot.unknown


def test_a_price_by_usage() -> None:
    by_usage = {"interval": "day", "interval_count": 1, "meter": "mtr_1", "usage_type": "metered"}
    assert read(price(recurring=by_usage)).recurring == Recurrence("day", 1, "metered", "mtr_1")


def test_a_price_that_is_paid_once_does_not_recur() -> None:
    snapshot = observed(expanded(type="one_time", recurring=None))
    assert snapshot.object is not None
    assert snapshot.object.recurring is None
    assert not snapshot.unknown


@pytest.mark.parametrize(
    "absent",
    """
    product active type unit_amount unit_amount_decimal billing_scheme tiers_mode nickname
    lookup_key metadata tiers transform_quantity currency_options custom_unit_amount tax_behavior
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(expanded(), absent)).unknown == {absent}


def test_what_is_shown_only_where_it_is_asked_for_is_unknown_and_not_empty() -> None:
    assert observed(price()).unknown == {"tiers", "currency_options"}
    assert observed(without(expanded(), "recurring")).unknown == {"recurring", "trial_period_days"}
    monthly = {"interval": "month", "interval_count": 1}
    assert observed(expanded(recurring=monthly)).unknown == {"trial_period_days"}
    assert read(price(recurring={**monthly, "trial_period_days": 14})).trial_period_days == 14


def test_tiers_keep_their_decimals_to_the_last_digit() -> None:
    small = "0.000000000001"
    tiers = [
        {"up_to": 10, "flat_amount": 0, "flat_amount_decimal": "0", "unit_amount": None,
         "unit_amount_decimal": small},
        {"up_to": None, "flat_amount": 5, "flat_amount_decimal": "5", "unit_amount": None,
         "unit_amount_decimal": None},
    ]  # fmt: skip
    told = (Tier(10, 0, "0", None, small), Tier(None, 5, "5"))
    options = {
        "usd": {"unit_amount": None, "unit_amount_decimal": "1.5", "tax_behavior": "inclusive",
                "custom_unit_amount": {"minimum": 1}, "tiers": tiers},
        "jpy": {"unit_amount": 7, "unit_amount_decimal": "7", "tax_behavior": "unspecified",
                "custom_unit_amount": None},
    }  # fmt: skip
    found = read(price(billing_scheme="tiered", tiers=tiers, currency_options=options))
    assert found.tiers == told
    assert found.currency_options == {
        "usd": CurrencyOption(None, "1.5", "inclusive", CustomUnitAmount(1), told),
        "jpy": CurrencyOption(7, "7", "unspecified", None, None),
    }


@pytest.mark.parametrize(
    ("scheme", "more", "incomplete"),
    [
        ("tiered", {}, True),
        ("tiered", {"tiers": []}, False),
        ("per_unit", {}, False),
    ],
)
def test_a_tiered_price_whose_tiers_are_not_told_has_to_be_read(
    scheme: str, more: dict[str, Any], incomplete: bool
) -> None:
    assert PRICE.incomplete(observed(price(billing_scheme=scheme, **more))) is incomplete


def test_an_expanded_product_counts_by_its_id() -> None:
    assert read(price(product={"id": "prod_9", "deleted": True})).product == "prod_9"


def test_an_answer_that_says_deleted_is_a_tombstone() -> None:
    snapshot = observed({"id": "price_1", "object": "price", "deleted": True})
    assert snapshot == Snapshot("acct_1", "price_1", VERSION, None)


@pytest.mark.parametrize(
    "nonsense",
    [
        without(price(), "id"),
        without(price(), "currency"),
        price(unit_amount=10.5),
        price(unit_amount_decimal=10.5),
        price(unit_amount_decimal="ten"),
        price(unit_amount_decimal="1e400"),
        price(unit_amount_decimal="NaN"),
        price(recurring={"interval": "month"}),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
