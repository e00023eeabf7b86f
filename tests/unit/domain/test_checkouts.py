"""Checkouts: what Stripe's words come to, and until when a payment may be captured."""

import datetime as dt
from dataclasses import replace

from domain.checkouts import (
    CheckoutState,
    Sale,
    capture_by,
    differences,
)
from domain.money import Money

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SALE = Sale("pi_1", "cus_1", Money(3_000, "usd"), livemode=False)


def test_a_payment_is_captured_an_hour_before_the_bank_lets_go_and_within_a_day() -> None:
    assert capture_by(NOON, None) == NOON + 24 * HOUR
    assert capture_by(NOON, NOON + 7 * 24 * HOUR) == NOON + 24 * HOUR
    assert capture_by(NOON, NOON + 25 * HOUR) == NOON + 24 * HOUR
    assert capture_by(NOON, NOON + 3 * HOUR) == NOON + 2 * HOUR


def test_what_is_shown_otherwise_is_named() -> None:
    assert list(differences(SALE, SALE)) == []
    other = replace(SALE, amount=Money(3_000, "eur"), customer="cus_2")
    assert list(differences(SALE, other)) == ["customer", "amount"]
    assert list(differences(SALE, replace(SALE, livemode=True))) == ["livemode"]
    assert list(differences(SALE, replace(SALE, payment_intent="pi_2"))) == ["payment_intent"]


def test_a_checkout_may_be_canceled_until_it_is_captured() -> None:
    assert {state for state in CheckoutState if state.may_be_canceled} == {
        CheckoutState.PRICED, CheckoutState.HELD, CheckoutState.AWAITING_CUSTOMER,
        CheckoutState.PAYING, CheckoutState.AUTHORISED, CheckoutState.SUBSCRIBED,
    }  # fmt: skip
