"""Coupons and discounts: from Stripe's payload to the domain's."""

import datetime as dt
from typing import Any

import pytest

from domain.coupons import Coupon, Discount
from domain.mirror import Snapshot, Version
from infrastructure.stripe.coupons import COUPON, discount_of
from tests.unit.stripe.billing_samples import coupon, discount
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Coupon]:
    return COUPON.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Coupon:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(coupon()) == Snapshot(
        "acct_1",
        "COUPON",
        VERSION,
        Coupon(
            id="COUPON",
            created=at(0),
            duration="repeating",
            duration_in_months=3,
            percent_off="33.33",
            applies_to=("prod_1",),
            name="A third off",
            metadata={"campaign": "7"},
        ),
    )


@pytest.mark.parametrize(("told", "kept"), [(25, "25"), (25.5, "25.5"), (100, "100")])
def test_a_percentage_stays_a_decimal(told: float, kept: str) -> None:
    assert read(coupon(percent_off=told)).percent_off == kept


def test_an_amount_off_may_be_of_several_currencies() -> None:
    found = read(
        coupon(
            percent_off=None,
            amount_off=500,
            currency="usd",
            currency_options={"eur": {"amount_off": 450}},
        )
    )
    assert (found.amount_off, found.currency) == (500, "usd")
    assert found.currency_options == {"eur": 450}


@pytest.mark.parametrize("absent", ["applies_to", "currency_options"])
def test_what_only_a_read_tells_is_read(absent: str) -> None:
    snapshot = observed(without(coupon(), absent))
    assert snapshot.unknown == {absent}
    assert COUPON.incomplete(snapshot)


def test_an_event_tells_a_discount() -> None:
    payload = encoded({"data": {"object": discount(subscription=None)}})
    assert discount_of(payload) == Discount(
        "di_1", "COUPON", start=at(1), end=at(20), customer="cus_1"
    )
