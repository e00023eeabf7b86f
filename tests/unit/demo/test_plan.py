"""The plan: repeatable, in opening hours, and possible at every step."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from sandbox.demo.plan import (
    BLOCKED_CARD,
    DECLINED_CARDS,
    HABITS,
    PLANS,
    SPAN_SECONDS,
    SUBSCRIBERS,
    Cancel,
    Change,
    GiveBack,
    Leave,
    Occurrence,
    Pay,
    SignUp,
    Subscribe,
    Switch,
    plan,
)
from sandbox.demo.world import Business

NEW_YORK = Business("Office", "a1", "acct_1", "US", "usd", "America/New_York", "t1")
TOKYO = Business("Paper", "a2", "acct_2", "JP", "jpy", "Asia/Tokyo", "t2")
BOTH = (NEW_YORK, TOKYO)

# After a clock change back, after one forward, and in a stretch without any.
ENDS = [
    int(datetime(2026, 11, 22, 15, 30, tzinfo=UTC).timestamp()),
    int(datetime(2027, 4, 2, 3, 59, 59, tzinfo=UTC).timestamp()),
    int(datetime(2028, 2, 29, 0, 0, tzinfo=UTC).timestamp()),
]


@pytest.fixture(params=ENDS, ids=["autumn", "spring", "leap-day"])
def end(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def occurrences(end: int) -> list[Occurrence]:
    return plan(BOTH, end, seed=1)


def test_a_seed_repeats_its_plan_and_another_does_not(end: int) -> None:
    assert plan(BOTH, end, seed=7) == plan(BOTH, end, seed=7)
    assert plan(BOTH, end, seed=7) != plan(BOTH, end, seed=8)


def test_a_business_is_not_changed_by_the_others(end: int) -> None:
    both = [found for found in plan(BOTH, end, seed=7) if found.business is TOKYO]
    assert plan([TOKYO], end, seed=7) == both


def test_it_fills_ninety_days_in_order(occurrences: list[Occurrence], end: int) -> None:
    instants = [occurrence.at for occurrence in occurrences]
    assert instants == sorted(instants)
    assert end - SPAN_SECONDS <= instants[0] < end - SPAN_SECONDS + 2 * 86_400
    assert end - 2 * 86_400 < instants[-1] < end
    assert len(instants) > 700


def test_two_happenings_of_a_business_never_share_a_second(occurrences: list[Occurrence]) -> None:
    for business in BOTH:
        own = [found.at for found in occurrences if found.business is business]
        assert all(earlier < later for earlier, later in pairwise(own))


def test_everything_happens_in_local_opening_hours(occurrences: list[Occurrence]) -> None:
    for occurrence in occurrences:
        business = occurrence.business
        local = datetime.fromtimestamp(occurrence.at, ZoneInfo(business.time_zone))
        hours = HABITS[business.currency].hours(local.date())
        assert hours.opens <= local.hour < hours.closes, (business.name, local)


def test_the_week_has_its_shape(occurrences: list[Occurrence]) -> None:
    def a_day(business: Business, *, weekend: bool) -> float:
        days = Counter(
            day
            for found in occurrences
            if found.business is business
            for day in [datetime.fromtimestamp(found.at, ZoneInfo(business.time_zone)).date()]
            if (day.weekday() >= 5) is weekend
        )
        return days.total() / len(days)

    assert a_day(NEW_YORK, weekend=False) > 1.5 * a_day(NEW_YORK, weekend=True)
    assert a_day(TOKYO, weekend=True) > 1.3 * a_day(TOKYO, weekend=False)


def test_business_grows(occurrences: list[Occurrence], end: int) -> None:
    third = SPAN_SECONDS // 3
    first = sum(found.at < end - 2 * third for found in occurrences)
    last = sum(found.at >= end - third for found in occurrences)
    assert last > 1.15 * first


def test_every_step_is_possible_when_its_turn_comes(occurrences: list[Occurrence]) -> None:
    alive: dict[str, set[int]] = {business.account: set() for business in BOTH}
    gone: set[tuple[str, int]] = set()
    left: dict[tuple[str, int], int] = {}
    subscribed: set[tuple[str, int]] = set()
    for occurrence in occurrences:
        account, action = occurrence.business.account, occurrence.action
        match action:
            case SignUp():
                assert action.customer not in alive[account]
                assert (account, action.customer) not in gone
                alive[account].add(action.customer)
            case Change():
                assert action.customer in alive[account]
                assert action.steps
            case Leave():
                alive[account].remove(action.customer)
                gone.add((account, action.customer))
            case Pay():
                assert action.customer is None or action.customer in alive[account]
                assert (account, action.payment) not in left
                assert action.amount % HABITS[occurrence.business.currency].step == 0
                left[account, action.payment] = action.amount if action.succeeds else 0
            case Subscribe():
                assert action.customer in alive[account]
                assert (account, action.subscription) not in subscribed
                subscribed.add((account, action.subscription))
            case Switch():
                assert (account, action.subscription) in subscribed
                assert action.plan < len(PLANS)
            case Cancel():
                subscribed.remove((account, action.subscription))
            case GiveBack():
                rest = left[account, action.payment]
                amount = rest if action.amount is None else action.amount
                assert 0 < amount <= rest
                left[account, action.payment] = rest - amount


def test_everything_that_the_demo_promises_occurs(occurrences: list[Occurrence]) -> None:
    for business in BOTH:
        actions = [found.action for found in occurrences if found.business is business]
        cards = Counter(action.card for action in actions if isinstance(action, Pay))
        assert all(cards[card] for card in DECLINED_CARDS)
        assert cards[BLOCKED_CARD]
        assert any(isinstance(action, Pay) and action.customer is None for action in actions)
        refunds = [action for action in actions if isinstance(action, GiveBack)]
        assert any(refund.amount is None for refund in refunds)
        assert any(refund.amount is not None for refund in refunds)
        assert any(isinstance(action, Change) and len(action.steps) > 1 for action in actions)
        assert any(isinstance(action, Leave) for action in actions)
        begun = [action for action in actions if isinstance(action, Subscribe)]
        assert len(begun) >= SUBSCRIBERS
        assert any(action.coupon for action in begun)
        assert any(action.trial_days for action in begun)
        for kind in (Switch, Cancel):
            assert any(isinstance(action, kind) for action in actions)


def test_a_currency_without_habits_is_refused() -> None:
    stranger = Business("Bank", "a3", "acct_3", "CH", "chf", "Europe/Zurich", "t3")
    with pytest.raises(ValueError, match="chf"):
        plan([stranger], ENDS[0], seed=1)
