"""Prices: from Stripe's payload to the domain's price."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.prices import Price, Recurrence
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


def test_every_field_is_read() -> None:
    assert observed(price()) == Snapshot(
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
        ),
    )


def test_a_price_below_a_minor_unit_is_its_decimal_alone() -> None:
    found = read(price(unit_amount=None, unit_amount_decimal="0.000000012"))
    assert (found.unit_amount, found.unit_amount_decimal) == (None, "0.000000012")


def test_a_tiered_price_has_no_unit_amount() -> None:
    tiered = {"billing_scheme": "tiered", "tiers_mode": "graduated"}
    snapshot = observed(price(unit_amount=None, unit_amount_decimal=None, **tiered))
    found = snapshot.object
    assert found is not None
    assert (found.billing_scheme, found.tiers_mode) == ("tiered", "graduated")
    assert (found.unit_amount, found.unit_amount_decimal) == (None, None)
    assert not snapshot.unknown


def test_a_price_by_usage() -> None:
    by_usage = {"interval": "day", "interval_count": 1, "meter": "mtr_1", "usage_type": "metered"}
    assert read(price(recurring=by_usage)).recurring == Recurrence("day", 1, "metered", "mtr_1")


def test_a_price_that_is_paid_once_does_not_recur() -> None:
    snapshot = observed(price(type="one_time", recurring=None))
    assert snapshot.object is not None
    assert snapshot.object.recurring is None
    assert not snapshot.unknown


@pytest.mark.parametrize(
    "absent",
    """
    product active type unit_amount unit_amount_decimal billing_scheme tiers_mode recurring nickname
    lookup_key metadata
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(price(), absent)).unknown == {absent}


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
