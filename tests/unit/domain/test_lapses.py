"""Lapses: what becomes of something sold, by how its buyer and its seller pay."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing_cycles import Interval
from domain.invoices import Invoice
from domain.lapses import (
    BuyersSide,
    SellersSide,
    Verdict,
    Why,
    buyers_side,
    paid_until,
    unpaid_since,
    verdict,
)
from domain.money import Money
from domain.store_subscriptions import Standing, StoreSubscription
from domain.subscriptions import Subscription
from tests.support.rooms.store import NOON, subscription

SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
SECOND_PERIOD = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
THIRD_PERIOD = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)
PAID, GOOD = BuyersSide(), SellersSide()
SOLD = subscription()


def invoice(status: str = "open", reason: str = "subscription_cycle", **other: Any) -> Invoice:
    due, nothing = Money(500, "usd"), Money(0, "usd")
    left = nothing if status == "paid" else due
    made = Invoice(
        "in_1", SECOND_PERIOD, "usd", status, due, due, nothing, left, billing_reason=reason
    )
    return replace(made, **other)


def at_stripe(status: str = "active", **other: Any) -> Subscription:
    return replace(Subscription("sub_1", NOON, "cus_1", status), **other)


def judged(
    now: dt.datetime, buyer: BuyersSide = PAID, seller: SellersSide = GOOD,
    sold: StoreSubscription = SOLD, *, returned: bool = False,
) -> Verdict:  # fmt: skip
    return verdict(sold, buyer, seller, now, returned=returned)


# --- what is unpaid -------------------------------------------------------------------------------


def test_the_invoice_of_the_subscription_itself_counts_for_nothing() -> None:
    now = SECOND_PERIOD + 9 * DAY
    assert unpaid_since([invoice(reason="subscription_create")], now) is None
    assert unpaid_since([invoice()], now) == SECOND_PERIOD


@pytest.mark.parametrize(
    ("status", "counts"),
    [("open", True), ("uncollectible", True), ("draft", True), ("paid", False), ("void", False)],
)
def test_what_is_voided_is_forgiven_and_what_is_held_back_is_not(
    status: str, *, counts: bool
) -> None:
    since = unpaid_since([invoice(status)], SECOND_PERIOD + DAY)
    assert since == (SECOND_PERIOD if counts else None)


def test_a_draft_has_a_day() -> None:
    draft = invoice("draft")
    assert unpaid_since([draft], SECOND_PERIOD + DAY - HOUR) is None
    assert unpaid_since([draft], SECOND_PERIOD + DAY) == SECOND_PERIOD


def test_the_earliest_counts_from_when_it_was_due() -> None:
    later = invoice(due_date=THIRD_PERIOD)
    finalized = invoice(finalized_at=SECOND_PERIOD + HOUR)
    assert unpaid_since([later, finalized], THIRD_PERIOD) == SECOND_PERIOD + HOUR
    assert unpaid_since([later], THIRD_PERIOD) == THIRD_PERIOD
    assert unpaid_since([invoice(amount_remaining=Money(0, "usd"))], THIRD_PERIOD) is None


def test_how_the_buyer_stands() -> None:
    now = SECOND_PERIOD
    assert buyers_side(at_stripe(), [], now) == PAID
    planned = at_stripe(cancel_at=THIRD_PERIOD)
    assert buyers_side(planned, [], now) == BuyersSide(ends_by=THIRD_PERIOD)
    ended = at_stripe("canceled", ended_at=NOON + DAY, cancel_at=NOON + DAY)
    assert buyers_side(ended, [], now) == BuyersSide(runs=False, ended_at=NOON + DAY)
    for status in ("paused", "unpaid"):
        assert not buyers_side(at_stripe(status), [], now).runs
    assert buyers_side(at_stripe("past_due"), [invoice()], now).unpaid_since == SECOND_PERIOD
    assert buyers_side(at_stripe("past_due"), [], now).runs


# --- the buyer ------------------------------------------------------------------------------------


def test_who_pays_has_it() -> None:
    assert judged(NOON + 40 * DAY) == Verdict(Standing.ACTIVE)


def test_past_due_it_is_suspended_after_seven_days_and_ends_after_thirty() -> None:
    owes, since = BuyersSide(unpaid_since=SECOND_PERIOD), SECOND_PERIOD
    assert judged(since, owes) == Verdict(Standing.ACTIVE, look_at=since + 7 * DAY)
    suspended = Verdict(Standing.SUSPENDED, Why.PAST_DUE, look_at=since + 30 * DAY)
    assert judged(since + 7 * DAY - HOUR, owes).standing is Standing.ACTIVE
    assert judged(since + 7 * DAY, owes) == suspended
    assert judged(since + 30 * DAY - HOUR, owes) == suspended
    ended = Verdict(Standing.ENDED, Why.PAST_DUE, since + 30 * DAY)
    assert judged(since + 30 * DAY, owes) == ended
    assert judged(since + 40 * DAY, owes) == ended, "whenever it is looked at"
    # Paid in between, it is in service again.
    assert judged(since + 8 * DAY, sold=SOLD.suspended(since + 7 * DAY)).standing is Standing.ACTIVE


def test_what_ended_at_stripe_ends_with_the_period_that_was_paid_for() -> None:
    ended = BuyersSide(runs=False, ended_at=NOON + DAY)
    until = judged(NOON + 2 * DAY, ended)
    assert (until.standing, until.ends_at) == (Standing.ACTIVE, SECOND_PERIOD)
    assert until.look_at == SECOND_PERIOD
    over = Verdict(Standing.ENDED, Why.RENEWAL_ENDED, SECOND_PERIOD)
    assert judged(SECOND_PERIOD, ended) == over
    assert judged(SECOND_PERIOD + DAY, ended) == over
    # What was decided stays so, whatever Stripe shows later.
    assert judged(SECOND_PERIOD, sold=SOLD.ending(SECOND_PERIOD, NOON)) == over


def test_what_ended_and_was_not_paid_ends_at_once() -> None:
    ended = BuyersSide(False, SECOND_PERIOD + 3 * DAY, SECOND_PERIOD)
    now = SECOND_PERIOD + 3 * DAY
    assert judged(now, ended) == Verdict(Standing.ENDED, Why.PAST_DUE, now)


@pytest.mark.parametrize("late", [dt.timedelta(), dt.timedelta(seconds=40), HOUR - SECOND])
def test_an_end_at_a_periods_end_is_that_end(late: dt.timedelta) -> None:
    assert paid_until(SOLD, SECOND_PERIOD + late) == SECOND_PERIOD
    assert paid_until(SOLD, SECOND_PERIOD + HOUR) == THIRD_PERIOD
    assert paid_until(SOLD, NOON) == SECOND_PERIOD


def test_what_is_planned_at_stripe_is_looked_at_and_decides_nothing() -> None:
    planned = judged(NOON, BuyersSide(ends_by=SECOND_PERIOD))
    assert planned == Verdict(Standing.ACTIVE, look_at=SECOND_PERIOD)


def test_a_refused_renewal_ends_with_its_period() -> None:
    bare = replace(SOLD, renewal=None).ending(SECOND_PERIOD, NOON)
    assert judged(NOON + DAY, sold=bare).standing is Standing.ACTIVE
    over = Verdict(Standing.ENDED, Why.RENEWAL_REFUSED, SECOND_PERIOD)
    assert judged(SECOND_PERIOD, sold=bare) == over


def test_what_is_free_has_no_renewal_and_goes_on() -> None:
    free = replace(SOLD, renewal=None, amount=Money(0, "usd"))
    assert judged(NOON + 400 * DAY, sold=free) == Verdict(Standing.ACTIVE)


def test_a_sale_that_was_given_back_ends_at_once() -> None:
    assert judged(NOON + DAY, returned=True) == Verdict(Standing.ENDED, Why.REFUNDED)


# --- the seller -----------------------------------------------------------------------------------


def test_a_wallet_may_be_short_for_three_days() -> None:
    short = SellersSide(short_since=NOON)
    first = judged(NOON + DAY, seller=short)
    assert first == Verdict(Standing.ACTIVE, look_at=NOON + 3 * DAY)
    lapsed = judged(NOON + 3 * DAY, seller=short)
    assert (lapsed.standing, lapsed.why) == (Standing.SUSPENDED, Why.SELLER_LAPSED)
    assert not lapsed.collects
    assert lapsed.look_at == SECOND_PERIOD, "then the buyer has paid for nothing"
    assert judged(SECOND_PERIOD, seller=short).why == Why.SELLER_LAPSED
    suspended = SOLD.suspended(NOON + 3 * DAY, Why.SELLER_LAPSED)
    over = Verdict(Standing.ENDED, Why.SELLER_LAPSED, SECOND_PERIOD)
    assert judged(SECOND_PERIOD, seller=short, sold=suspended) == over


def test_a_lapse_of_a_year_lasts_thirty_days() -> None:
    year = replace(SOLD, interval=Interval.YEAR).suspended(NOON + DAY, Why.SELLER_LAPSED)
    ended = SellersSide(subscribed=False)
    assert judged(NOON + 31 * DAY - HOUR, seller=ended, sold=year).standing is Standing.SUSPENDED
    assert judged(NOON + 31 * DAY, seller=ended, sold=year).standing is Standing.ENDED


def test_a_lapse_counts_from_its_own_beginning() -> None:
    """Not from that of another reason, for which it was suspended before."""
    long_ago = SOLD.suspended(NOON, Why.SELLER_DISCONNECTED)
    now = THIRD_PERIOD + DAY
    lapsed = judged(now, seller=SellersSide(subscribed=False), sold=long_ago)
    assert (lapsed.standing, lapsed.why) == (Standing.SUSPENDED, Why.SELLER_LAPSED)


def test_a_seller_that_pays_again_has_it_in_service_again() -> None:
    suspended = SOLD.suspended(NOON + 3 * DAY, Why.SELLER_LAPSED)
    assert judged(NOON + 5 * DAY, sold=suspended) == Verdict(Standing.ACTIVE)


def test_nothing_is_known_without_a_connection() -> None:
    away = judged(NOON + DAY, seller=SellersSide(connected=False))
    assert (away.standing, away.why) == (Standing.SUSPENDED, Why.SELLER_DISCONNECTED)
    assert away.collects, "nobody could pause it"


# --- whatever comes -------------------------------------------------------------------------------

instants = st.integers(-40, 400).map(lambda days: NOON + days * DAY)
maybe = st.none() | instants
buyers = st.builds(BuyersSide, st.booleans(), maybe, maybe, maybe)
sellers = st.builds(SellersSide, st.booleans(), st.booleans(), maybe)


@given(instants, buyers, sellers, st.booleans())
def test_an_ended_one_stays_ended(
    now: dt.datetime, buyer: BuyersSide, seller: SellersSide, returned: bool
) -> None:
    over = SOLD.ended(NOON, Why.PAST_DUE)
    found = verdict(over, buyer, seller, now, returned=returned)
    assert found == Verdict(Standing.ENDED, Why.PAST_DUE)


@given(instants, buyers, sellers)
def test_it_is_looked_at_before_the_verdict_changes(
    now: dt.datetime, buyer: BuyersSide, seller: SellersSide
) -> None:
    """With nothing else new, the verdict is the same until `look_at`."""
    first = judged(now, buyer, seller)
    sold = SOLD if first.ends_at is None else SOLD.ending(first.ends_at, now)
    if first.standing is Standing.SUSPENDED:
        sold = sold.suspended(now, first.why)
    if first.standing is Standing.ENDED:
        sold = sold.ended(now, first.why)
    first = judged(now, buyer, seller, sold)
    until = first.look_at or now + 500 * DAY
    for moment in (now + (until - now) / 2, until - SECOND):
        later = judged(max(now, moment), buyer, seller, sold)
        assert (later.standing, later.why, later.ends_at) == (
            first.standing, first.why, first.ends_at,
        )  # fmt: skip


@given(instants, buyers, sellers)
def test_it_ends_for_a_cause_only(now: dt.datetime, buyer: BuyersSide, seller: SellersSide) -> None:
    found = judged(now, buyer, seller)
    owes = buyer.unpaid_since is not None and now >= buyer.unpaid_since + 7 * DAY
    if found.standing is not Standing.ACTIVE:
        assert owes or not buyer.runs or seller.lapsed(now) or not seller.connected
        assert found.why
