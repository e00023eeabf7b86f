"""What a reload buys, how its payment stands, and what of it is lost."""

import datetime as dt
from dataclasses import replace

import pytest

from domain.disputes import Dispute
from domain.money import CURRENCIES, Money, charge_step, largest_charge, smallest_charge
from domain.rates import Rate
from domain.refunds import Refund
from domain.reloads import (
    Lost,
    ReloadState,
    Shown,
    Wanted,
    again_at,
    amount_rules,
    credit_of,
    differences,
    due_charge,
    lost_of,
    usable_rate,
)
from tests.support.rooms.ledger import NOON

HOUR = dt.timedelta(hours=1)


def refund(amount: int, status: str = "succeeded") -> Refund:
    return Refund("re_1", NOON, Money(amount, "usd"), status)


def dispute(amount: int, status: str, moves: int = 1) -> Dispute:
    transactions = tuple(f"txn_{number}" for number in range(moves))
    return Dispute("dp_1", NOON, Money(amount, "usd"), status, balance_transactions=transactions)


@pytest.mark.parametrize(
    ("amount", "rate", "credit"),
    [
        (Money(1_050, "usd"), "", 1_050),
        (Money(1_050, "eur"), "1.10", 1_155),
        (Money(1, "eur"), "0.5", 0),  # half to even
        (Money(3, "eur"), "0.5", 2),
        (Money(5, "eur"), "0.5", 2),
        (Money(1_000, "jpy"), "0.0067", 670),  # no minor units
        (Money(1_230, "kwd"), "3.25", 400),  # three decimals: 1.230 KWD is 3.9975 USD
    ],
)
def test_credit_is_rounded_half_to_even_once(amount: Money, rate: str, credit: int) -> None:
    assert credit_of(amount, rate, "usd") == credit


def test_a_rate_counts_until_a_day_after_its_own() -> None:
    days = [dt.date(2026, 11, day) for day in (1, 2, 3)]
    rates = [Rate(day, "eur", "1.1") for day in days]
    at = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
    assert usable_rate(rates, at) == rates[1]
    assert usable_rate(rates[:1], at) == rates[0]
    assert usable_rate(rates[2:], at) is None, "it is of tomorrow"
    midnight = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    assert usable_rate(rates[:1], midnight) is None
    assert usable_rate(rates[:1], midnight - dt.timedelta(milliseconds=1)) == rates[0]
    assert usable_rate([], at) is None


def test_every_rule_that_an_amount_breaks_is_told() -> None:
    assert amount_rules(50, "usd") == []
    assert len(amount_rules(49, "usd")) == len(amount_rules(100_000_000, "usd")) == 1
    assert amount_rules(0, "kwd") == ["10 to 99,999,999 minor units of kwd"]
    assert len(amount_rules(1_000_000_001, "kwd")) == 2
    for currency in CURRENCIES:
        least = smallest_charge(currency)
        assert least % charge_step(currency) == 0
        assert amount_rules(least, currency) == []
        assert amount_rules(largest_charge(currency) + 1, currency) != []


def test_what_is_not_as_it_was_asked_for_is_named() -> None:
    usd = Money(500, "usd")
    wanted = Wanted("pi_1", "cus_1", usd, livemode=True)
    shown = Shown("pi_1", "cus_1", usd, usd, livemode=True)
    assert differences(wanted, shown) == []
    assert differences(wanted, replace(shown, received=Money(499, "usd"))) == ["amount_received"]
    assert differences(wanted, replace(shown, livemode=False)) == ["livemode"]
    assert differences(wanted, replace(shown, customer="cus_2", payment_intent="pi_2")) == [
        "payment_intent", "customer",
    ]  # fmt: skip
    yen = Money(500, "jpy")
    assert differences(wanted, replace(shown, amount=yen, received=yen)) == [
        "currency", "amount_received",
    ]  # fmt: skip


def test_states_that_end_it() -> None:
    assert [one for one in ReloadState if one.ended_unpaid] == ["failed", "canceled", "expired"]
    assert [one for one in ReloadState if one.was_paid] == ["paid", "credited"]


@pytest.mark.parametrize(
    ("refunds", "disputes", "lost"),
    [
        ([], [], Lost()),
        ([refund(300), refund(200, "failed"), refund(1, "pending")], [], Lost(300)),
        ([refund(5, "canceled"), refund(7, "requires_action")], [], Lost()),
        ([], [dispute(1_000, "needs_response")], Lost(0, 1_000)),
        ([], [dispute(1_000, "under_review")], Lost(0, 1_000)),
        ([], [dispute(1_000, "needs_response", 0)], Lost()),
        ([], [dispute(1_000, "won", 2)], Lost()),
        ([], [dispute(1_000, "lost")], Lost(1_000)),
        ([], [dispute(1_000, "warning_needs_response", 0)], Lost()),
        ([], [dispute(1_000, "warning_closed", 0), dispute(1_000, "prevented", 0)], Lost()),
        ([], [dispute(1_000, "appeal_under_review", 1)], Lost(0, 1_000)),
        ([], [dispute(1_000, "appeal_under_review", 2)], Lost()),
        ([refund(300)], [dispute(1_000, "needs_response")], Lost(300, 700)),
        ([refund(300)], [dispute(1_000, "lost")], Lost(1_000)),
    ],
)
def test_what_of_a_payment_is_lost(
    refunds: list[Refund], disputes: list[Dispute], lost: Lost
) -> None:
    assert lost_of(1_000, refunds, disputes) == lost


def test_a_wallet_reloads_itself_by_the_smallest_multiple_that_reaches_the_threshold() -> None:
    assert due_charge(500, 500, 1_000) == 0
    assert due_charge(499, 500, 1_000) == 1_000
    assert due_charge(-2_000, 500, 1_000) == 3_000
    assert due_charge(-500, 500, 1_000) == 1_000
    assert due_charge(0, 0, 1_000) == 0


def test_declines_are_tried_again_after_an_hour_a_day_and_three_days() -> None:
    declines = ["insufficient_funds"] * 4
    waits = [again_at(declines[:count], NOON) for count in range(4)]
    assert waits == [NOON, NOON + HOUR, NOON + 24 * HOUR, NOON + 72 * HOUR]
    assert again_at(declines, NOON) is None
    for final in ("authentication_required", "lost_card", "do_not_try_again"):
        assert again_at([final], NOON) is None
