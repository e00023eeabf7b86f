"""Store subscriptions: what falls due when, and how they end."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from domain.money import Money
from domain.store_products import ProductKind
from domain.store_subscriptions import Standing, StripeSubscription
from tests.support.rooms.store import NOON, subscription

LATER = NOON + dt.timedelta(days=3)
MARCH = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)


def test_the_cost_of_each_period_falls_due_at_its_start_under_its_own_key() -> None:
    first = subscription()
    assert first.cost_due_at == dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
    assert first.cost_key == "renewal/co_1/2"
    second = first.with_cost_posted(LATER)
    assert (second.cost_due_at, second.cost_key) == (MARCH, "renewal/co_1/3")
    assert (second.revision, second.updated_at) == (2, LATER)


def test_nothing_falls_due_at_its_end_or_later() -> None:
    second = subscription().with_cost_posted(LATER)
    assert second.ending(MARCH + dt.timedelta(seconds=1), LATER).cost_due_at == MARCH
    assert second.ending(MARCH, LATER).cost_due_at is None
    assert second.ended(LATER).cost_due_at is None
    late = second.ended(MARCH + dt.timedelta(seconds=1))
    assert late.cost_due_at == MARCH, "it stood when the period began"
    assert replace(second, cost=Money(0, "eur")).cost_due_at is None
    assert second.suspended(LATER).cost_due_at == MARCH, "suspended is not ended"


def test_the_earliest_end_stands() -> None:
    ending = subscription().ending(MARCH, NOON).ending(MARCH + dt.timedelta(days=1), LATER)
    assert ending.ends_at == MARCH
    assert ending.ending(MARCH, LATER) is ending
    assert ending.ending(LATER, LATER).ends_at == LATER
    over = ending.ended(LATER)
    assert (over.standing, over.ends_at) == (Standing.ENDED, LATER)
    assert over.ended(MARCH) is over
    assert over.suspended(MARCH) is over
    assert over.resumed(MARCH) is over
    assert not over.stands


def test_it_is_suspended_and_resumed() -> None:
    suspended = subscription().suspended(LATER, "PAST_DUE")
    assert (suspended.standing, suspended.suspended_at) == (Standing.SUSPENDED, LATER)
    assert suspended.why == "PAST_DUE"
    assert suspended.suspended(MARCH, "PAST_DUE") is suspended
    other = suspended.suspended(MARCH, "SELLER_LAPSED")
    assert (other.suspended_at, other.why) == (MARCH, "SELLER_LAPSED")
    active = suspended.resumed(MARCH)
    assert (active.standing, active.suspended_at, active.revision) == (Standing.ACTIVE, None, 3)
    assert active.resumed(MARCH) is active
    assert active.why == ""


def test_it_is_as_stripe_shows_it_now() -> None:
    unpaid = subscription().shown(LATER, past_due_since=NOON, ends_by=None)
    assert (unpaid.past_due_since, unpaid.revision) == (NOON, 2)
    assert unpaid.shown(MARCH, past_due_since=NOON, ends_by=None) is unpaid
    assert unpaid.shown(MARCH, past_due_since=None, ends_by=None).past_due_since is None


def test_nothing_falls_due_where_stripe_ends_it_and_again_where_that_is_taken_back() -> None:
    second = subscription().with_cost_posted(LATER)
    ending = second.shown(LATER, past_due_since=None, ends_by=MARCH)
    assert ending.cost_due_at is None
    later = ending.shown(LATER, past_due_since=None, ends_by=MARCH + dt.timedelta(seconds=1))
    assert later.cost_due_at == MARCH
    assert ending.shown(MARCH, past_due_since=None, ends_by=None).cost_due_at == MARCH


def test_what_is_known_of_stripe_stays() -> None:
    renewal, sellers = (StripeSubscription("acct_1", name) for name in ("sub_1", "sub_2"))
    bare = replace(subscription(), renewal=None)
    known = bare.with_stripe(LATER, renewal=renewal).with_stripe(LATER, sellers=sellers)
    assert (known.renewal, known.sellers) == (renewal, sellers)


@pytest.mark.parametrize(
    "changes",
    [{"id": ""}, {"account": "-"}, {"seller": "-"}, {"kind": ProductKind.ONE_OFF}, {"quantity": 0},
     {"amount": Money(-1, "usd")}, {"posted": 0}, {"revision": 0}, {"interval_count": 0}],
)  # fmt: skip
def test_what_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each names its field
        replace(subscription(), **changes)
    with pytest.raises(ValueError, match="id"):
        StripeSubscription("", "sub_1")
