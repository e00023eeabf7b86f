"""MRR of before the connection: what the lines of paid invoices tell of it."""

import datetime as dt
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from domain.coupons import Coupon
from domain.invoices import Invoice, LineDiscount, LineTax
from domain.money import Money
from domain.mrr_reconstruction import reconstructed
from domain.prices import Price, Recurrence
from domain.subscriptions import Subscription
from tests.unit.domain.evidence_samples import (
    YEAR,
    canceled,
    coupon,
    day,
    item,
    line,
    moved,
    of,
    paid,
    seen,
    subscription,
    told,
)

LATE = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)


def levels(
    *invoices: Invoice, found: Subscription | None = None, until: dt.datetime = LATE,
    prices: dict[str, Price] | None = None, coupons: dict[str, Coupon] | None = None,
) -> list[tuple[dt.datetime, Any]]:  # fmt: skip
    told = reconstructed(
        found or subscription(status="unpaid"), until, invoices, prices or {}, coupons or {}
    )
    return [(at, level.after.get("usd", 0)) for at, level in told]


@pytest.mark.parametrize(
    ("end", "monthly"),
    [
        (day(2), 1_200),
        (day(4), 400),
        (dt.datetime(2027, 1, 1, tzinfo=dt.UTC), 100),
        (day(1, 8), 5_200),
        (day(1, 11), Fraction(1_200 * 365, 120)),
        (day(1, 1, 12), Fraction(1_200 * 365 * 2, 12)),
    ],
)
def test_a_line_is_a_level_over_its_period(end: dt.datetime, monthly: Fraction) -> None:
    found = levels(
        paid(day(1), line(1_200, day(1), end)), until=dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
    )
    assert found == [(day(1), monthly), (end, 0)]


def test_the_last_of_a_month_is_a_month_later_too() -> None:
    (first, *_) = levels(paid(day(1, 31), line(1_200, day(1, 31), day(2, 28))))
    assert first == (day(1, 31), 1_200)


def test_a_price_says_how_often_it_is_billed() -> None:
    yearly = Price("price_y", day(1), "prod_1", "usd", True, "recurring", 1_200, recurring=YEAR)
    odd = line(1_200, day(1), day(1, 20), price="price_y")
    assert levels(paid(day(1), odd), prices={"price_y": yearly})[0] == (day(1), 100)


@pytest.mark.parametrize(
    "price",
    [
        Price("p", day(1), "prod_1", "usd", True, "one_time", 900),
        Price(
            "p", day(1), "prod_1", "usd", True, "recurring", 900,
            recurring=Recurrence("month", 1, "metered"),
        ),
    ],
)  # fmt: skip
def test_what_was_billed_once_or_by_usage_is_no_level(price: Price) -> None:
    assert levels(paid(day(1), line(900, day(1), day(2), price="p")), prices={"p": price}) == []
    assert levels(paid(day(1), line(900, day(1), day(1)))) == []
    unpaid = replace(paid(day(1), line(900, day(1), day(2))), status="open")
    assert levels(unpaid) == []


def test_an_upgrade_midway_is_the_new_level_from_its_start() -> None:
    yearly = Price("price_y", day(1), "prod_1", "usd", True, "recurring", 24_000, recurring=YEAR)
    left = line(-500, day(2, 15), day(3), "il_left", proration=True)
    new = line(
        12_345, day(2, 15), dt.datetime(2027, 1, 1, tzinfo=dt.UTC), "il_new",
        proration=True, price="price_y", quantity=1,
    )  # fmt: skip
    invoices = (
        paid(day(1), line(1_000, day(1), day(2))),
        paid(day(2), line(1_000, day(2), day(3), "il_2")),
        paid(day(2, 15), left, new),
    )
    assert levels(*invoices, prices={"price_y": yearly}) == [
        (day(1), 1_000),
        (day(2, 15), 2_000),
        (dt.datetime(2027, 1, 1, tzinfo=dt.UTC), 0),
    ]


def test_a_proration_of_an_unknown_price_is_its_rate_a_month() -> None:
    new = line(1_000, day(1, 1), day(1, 11), proration=True)
    assert levels(paid(day(1), new))[0] == (day(1), Fraction(1_000 * 365, 120))


def test_an_item_that_was_credited_away_ends() -> None:
    invoices = (
        paid(
            day(1),
            line(1_000, day(1), day(2)),
            line(500, day(1), day(2), "il_b", subscription_item="si_b"),
        ),
        paid(
            day(1, 15),
            line(-250, day(1, 15), day(2), "il_c", proration=True, subscription_item="si_b"),
        ),
    )
    assert levels(*invoices) == [(day(1), 1_500), (day(1, 15), 1_000), (day(2), 0)]


def test_discounts_are_off_where_their_coupon_is_known_and_tax_is_out() -> None:
    full = line(
        1_200, day(1), day(2),
        discounts=(LineDiscount("di_1", Money(100, "usd")), LineDiscount("di_2", Money(60, "usd"))),
        taxes=(LineTax(Money(200, "usd"), "inclusive"), LineTax(Money(90, "usd"), "exclusive")),
    )  # fmt: skip
    invoice = paid(day(1), full)
    assert levels(invoice)[0] == (day(1), 1_000)
    forever, once = coupon("forever"), coupon("once")
    assert levels(invoice, coupons={"di_1": forever})[0] == (day(1), 900)
    assert levels(invoice, coupons={"di_1": forever, "di_2": once})[0] == (day(1), 900)


def test_trial_and_end_come_from_the_subscription() -> None:
    over = canceled(subscription(trial_start=day(1), trial_end=day(2)), day(3, 15))
    evidence = of(
        seen(day(6), over, "read"),
        invoices=(
            paid(day(1), line(0, day(1), day(2))),
            paid(day(2), line(1_000, day(2), day(3), "il_2")),
            paid(day(3), line(1_000, day(3), day(4), "il_3")),
        ),
    )
    assert moved(evidence) == [("02-01", "new", 1_000, 1), ("03-15", "churn", -1_000, -1)]
    assert [s.cause for s in told(evidence)] == ["", "voluntary"]


def test_what_was_not_paid_yet_at_the_connection_was_past_due() -> None:
    evidence = of(
        seen(day(2, 1, 1), subscription(status="past_due"), "read"),
        invoices=(paid(day(1), line(1_000, day(1), day(2))),),
    )
    assert moved(evidence) == [("01-01", "new", 1_000, 1)]
    dunned = of(
        seen(day(6), canceled(subscription(), day(2, 20), "payment_failed"), "read"),
        invoices=(paid(day(1), line(1_000, day(1), day(2))),),
    )
    assert moved(dunned)[1:] == [("02-20", "churn", -1_000, -1)]


def test_a_period_that_was_never_paid_is_a_gap() -> None:
    evidence = of(
        seen(day(4, 15), subscription(), "read"),
        invoices=(
            paid(day(1), line(1_000, day(1), day(2))),
            paid(day(3), line(1_000, day(3), day(4), "il_3")),
        ),
    )
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "churn", "reactivation"]


def test_invoices_of_what_was_observed_from_its_beginning_tell_nothing() -> None:
    born = seen(day(2), subscription(created=day(2)), "created")
    invoice = paid(day(2), line(9_999, day(1), day(3)))
    assert moved(of(born, invoices=(invoice,))) == [("02-01", "new", 1_000, 1)]
    assert moved(of(invoices=(invoice,))) == []


def test_items_of_other_periods_stand_on() -> None:
    two = subscription(item(), item(12_000, YEAR, "si_y"))
    yearly = line(
        12_000, day(1), dt.datetime(2027, 1, 1, tzinfo=dt.UTC), "il_y", subscription_item="si_y"
    )
    evidence = of(
        seen(day(2, 1, 1), two, "read"),
        invoices=(paid(day(1), line(1_000, day(1), day(2)), yearly),),
    )
    assert moved(evidence) == [("01-01", "new", 2_000, 1)]
