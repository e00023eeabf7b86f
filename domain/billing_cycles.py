"""Billing cycles: the periods that follow one another from an instant, as Stripe counts them.

Everything is counted in UTC and in whole seconds. Months and years keep the day of the first start;
where a month is too short for it, its last day stands in, and later months return to the day (docs,
"Billing cycle"). So the 31st of January is followed by the 28th of February and the 31st of March.
"""

import datetime as dt
from calendar import monthrange
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_CLAMPED_FROM: Final = 29
"""Every month has the days before this one."""

_MONTHS_A_YEAR: Final = 12


class Interval(StrEnum):
    """What the length of a period is a multiple of, in Stripe's words."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


LONGEST_PERIOD: Final = {
    Interval.DAY: 365,
    Interval.WEEK: 52,
    Interval.MONTH: _MONTHS_A_YEAR,
    Interval.YEAR: 1,
}
"""How many intervals make a year, the longest period that is sold: an anchor that is told by month
and day names the next such day, which must not lie before the period's end."""

_FIXED: Final = {Interval.DAY: dt.timedelta(days=1), Interval.WEEK: dt.timedelta(weeks=1)}
_MONTHS: Final = {Interval.MONTH: 1, Interval.YEAR: _MONTHS_A_YEAR}


@dataclass(frozen=True, slots=True)
class Period:
    """`[start, end)`; `number` counts from 1."""

    number: int
    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a renewal begins to bill: `at`, the first instant that the paid period does not hold.

    `day_of_month` is None where `at` says it all (Stripe's `billing_cycle_anchor`). Else Stripe is
    told the day and the time of day (`billing_cycle_anchor_config`), so that shorter months do not
    change the day for good; `month` is given where the next such day might lie before `at`.
    """

    at: dt.datetime
    day_of_month: int | None = None
    month: int | None = None


@dataclass(frozen=True, slots=True)
class Cycle:
    """Periods of `interval_count` times `interval` from `start`, aware and of whole seconds.

    ValueError for a naive start, one with a fraction of a second, or a period above LONGEST_PERIOD.
    """

    start: dt.datetime
    interval: Interval
    interval_count: int = 1

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.start.microsecond:
            raise ValueError("start: an aware instant of whole seconds is needed")
        if not 1 <= self.interval_count <= LONGEST_PERIOD[self.interval]:
            raise ValueError(f"interval_count: 1 to {LONGEST_PERIOD[self.interval]}")

    def boundary(self, number: int) -> dt.datetime:
        """Where period `number` ends, and the next one starts; 0 is the start of the first."""
        origin = self.start.astimezone(dt.UTC)
        if self.interval in _FIXED:
            return origin + _FIXED[self.interval] * self.interval_count * number
        return _later(origin, _MONTHS[self.interval] * self.interval_count * number)

    def period(self, number: int) -> Period:
        """A period by its number, from 1."""
        if number < 1:
            raise ValueError("number: from 1")
        return Period(number, self.boundary(number - 1), self.boundary(number))

    def number_at(self, instant: dt.datetime) -> int:
        """The number of the period that holds an instant; 0 before the first."""
        if instant < self.start:
            return 0
        if self.interval in _FIXED:
            return (instant - self.start) // (_FIXED[self.interval] * self.interval_count) + 1
        at, origin = instant.astimezone(dt.UTC), self.start.astimezone(dt.UTC)
        months = (at.year - origin.year) * _MONTHS_A_YEAR + at.month - origin.month
        number = months // (_MONTHS[self.interval] * self.interval_count)
        # The month alone may count one period too many: its boundary is still to come.
        return number + 1 if self.boundary(number) <= instant else number

    def renewal(self, now: dt.datetime) -> Anchor:
        """Where a renewal that is made now begins to bill: at the end of the period that is on.

        Monthly periods that began on the 29th or later tell Stripe the day. Others tell it only
        where the instant would lose it, and then with its month.
        """
        at = self.boundary(max(1, self.number_at(now)))
        day = self.start.astimezone(dt.UTC).day
        if self.interval is Interval.MONTH and self.interval_count == 1:
            return Anchor(at, day if day >= _CLAMPED_FROM else None)
        if self.interval in _MONTHS and at.day != day:
            return Anchor(at, day, at.month)
        return Anchor(at)


def _later(origin: dt.datetime, months: int) -> dt.datetime:
    year, month = divmod(origin.year * _MONTHS_A_YEAR + origin.month - 1 + months, _MONTHS_A_YEAR)
    day = min(origin.day, monthrange(year, month + 1)[1])
    return origin.replace(year=year, month=month + 1, day=day)
