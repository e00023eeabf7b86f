"""Billing cycles: periods, and where a renewal begins to bill."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing_cycles import LONGEST_PERIOD, Anchor, Cycle, Interval

LAST_OF_JANUARY = dt.datetime(2026, 1, 31, 12, 0, 5, tzinfo=dt.UTC)

cycles = st.builds(
    lambda start, kind, count: Cycle(
        dt.datetime.fromtimestamp(start, dt.UTC), kind, 1 + count % LONGEST_PERIOD[kind]
    ),
    st.integers(946_684_800, 3_786_912_000),  # the years 2000 to 2090, in seconds
    st.sampled_from(Interval),
    st.integers(0, 10_000),
)


def day(cycle: Cycle, number: int) -> tuple[int, int]:
    """Month and day of a boundary."""
    at = cycle.boundary(number)
    return at.month, at.day


def test_a_short_month_changes_the_day_once() -> None:
    cycle = Cycle(LAST_OF_JANUARY, Interval.MONTH)
    assert [day(cycle, number) for number in range(5)] == [
        (1, 31),
        (2, 28),
        (3, 31),
        (4, 30),
        (5, 31),
    ]
    assert cycle.period(1).start == LAST_OF_JANUARY
    assert cycle.period(2).start == cycle.period(1).end


def test_a_leap_day_returns() -> None:
    cycle = Cycle(dt.datetime(2028, 2, 29, tzinfo=dt.UTC), Interval.YEAR)
    assert [day(cycle, number) for number in (1, 4)] == [(2, 28), (2, 29)]


def test_another_zone_counts_in_utc() -> None:
    berlin = dt.timezone(dt.timedelta(hours=2))
    cycle = Cycle(dt.datetime(2026, 6, 1, 1, tzinfo=berlin), Interval.MONTH)
    assert day(cycle, 1) == (6, 30), "it began on the 31st of May"


@given(cycles, st.integers(0, 40))
def test_an_instant_is_in_the_period_that_holds_it(cycle: Cycle, number: int) -> None:
    period = cycle.period(number + 1)
    assert period.start < period.end == cycle.period(number + 2).start
    second = dt.timedelta(seconds=1)
    for instant in (period.start, period.end - second):
        assert cycle.number_at(instant) == period.number
    assert cycle.number_at(cycle.start - second) == 0


@given(cycles, st.integers(0, 30))
def test_a_renewal_bills_at_the_end_of_the_period_that_is_on(cycle: Cycle, number: int) -> None:
    now = cycle.period(number + 1).start
    assert cycle.renewal(now).at == cycle.period(number + 1).end


@pytest.mark.parametrize(
    ("start", "interval", "count", "day_of_month", "month"),
    [
        ((2026, 1, 28), Interval.MONTH, 1, None, None),
        ((2026, 1, 29), Interval.MONTH, 1, 29, None),
        ((2026, 3, 30), Interval.MONTH, 1, 30, None),
        ((2026, 1, 31), Interval.MONTH, 3, 31, 4),
        ((2026, 1, 31), Interval.MONTH, 2, None, None),
        ((2028, 2, 29), Interval.YEAR, 1, 29, 2),
        ((2026, 1, 31), Interval.YEAR, 1, None, None),
        ((2026, 1, 31), Interval.WEEK, 1, None, None),
    ],
)  # fmt: skip
def test_what_stripe_is_told_of_the_day(
    start: tuple[int, int, int], interval: Interval, count: int, day_of_month: int | None,
    month: int | None,
) -> None:  # fmt: skip
    cycle = Cycle(dt.datetime(*start, 9, tzinfo=dt.UTC), interval, count)
    assert cycle.renewal(cycle.start) == Anchor(cycle.boundary(1), day_of_month, month)


@pytest.mark.parametrize(
    ("start", "interval", "count"),
    [
        (LAST_OF_JANUARY.replace(tzinfo=None), Interval.MONTH, 1),
        (LAST_OF_JANUARY.replace(microsecond=1), Interval.MONTH, 1),
        (LAST_OF_JANUARY, Interval.MONTH, 0), (LAST_OF_JANUARY, Interval.MONTH, 13),
        (LAST_OF_JANUARY, Interval.YEAR, 2),
    ],
)  # fmt: skip
def test_what_is_no_cycle(start: dt.datetime, interval: Interval, count: int) -> None:
    with pytest.raises(ValueError, match=r"start|interval_count"):
        Cycle(start, interval, count)


def test_periods_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Cycle(LAST_OF_JANUARY, Interval.MONTH).period(0)
