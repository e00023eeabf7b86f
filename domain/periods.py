"""Periods, bucket edges and spans: the one place that knows about daylight saving.

An instant is an aware UTC datetime; a time zone is an IANA name. Databases never compute with time
zones: they sort rows into the edges (or spans) that this module makes.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import pairwise
from math import gcd
from typing import Final
from zoneinfo import ZoneInfo

MAX_BUCKETS: Final = 10_000
"""A series longer than this is refused: 13 months of hours fit."""

MAX_PERIOD: Final = dt.timedelta(days=20 * 366)
"""No caller's period is longer: Stripe's own history is not."""

YEARS: Final = range(1970, 2201)
"""The years that a caller's period may begin and end in."""

ZONE_NAMES: Final = frozenset(
    resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
) - {"Factory"}
"""The names of the IANA's database, aliases among them, but for that of no zone.

They are read as this module is, like code: no call waits for a file. What the zone folder of the
machine holds besides, such as `localtime`, is the machine's own.
"""

_MANY_SPANS: Final = 64
"""From so many on, the cells may be as small as makes one span of them."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_HOUR: Final = dt.timedelta(hours=1)
_DAY: Final = dt.timedelta(days=1)


class Granularity(StrEnum):
    """How wide a bucket is, in the local time of the period's zone. Weeks start on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def to_milliseconds(instant: dt.datetime) -> int:
    """Milliseconds since 1970 in UTC. ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError("an aware datetime is needed")
    return (instant - _EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> dt.datetime:
    """The aware UTC datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. ValueError for anything else, other files of zones included."""
    if name not in ZONE_NAMES:
        raise ValueError("an IANA time zone name is needed, such as America/New_York")
    return ZoneInfo(name)


@dataclass(frozen=True, slots=True)
class Period:
    """The instants from `start` up to, but not including, `end`, seen from a time zone.

    The guards leave room beyond MAX_PERIOD and YEARS for the period before a caller's one.
    """

    start: dt.datetime
    end: dt.datetime
    time_zone: str

    def __post_init__(self) -> None:
        if self.start.tzinfo is not dt.UTC or self.end.tzinfo is not dt.UTC:
            # Python subtracts and compares datetimes of one other zone by their wall clocks.
            raise ValueError("start, end: datetimes in dt.UTC are needed")
        if self.start.year < YEARS[0] - 21 or self.end.year > YEARS[-1]:
            raise ValueError(f"start, end: years from {YEARS[0]} to {YEARS[-1]} are understood")
        if self.start >= self.end:
            raise ValueError("end: must be after start")
        if self.end - self.start > MAX_PERIOD + _DAY:
            raise ValueError(f"end: at most {MAX_PERIOD.days} days after start")
        zone_of(self.time_zone)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return zone_of(self.time_zone)


@dataclass(frozen=True, slots=True)
class Span:
    """A run of `count` buckets of equal width, the first of which has index `first`.

    Times are milliseconds since 1970. A row at `t` inside belongs to the bucket
    `first + (t - start) // width`.
    """

    start: int
    width: int
    count: int
    first: int

    @property
    def end(self) -> int:
        """The instant after the last bucket, in milliseconds."""
        return self.start + self.width * self.count


def edges(period: Period, granularity: Granularity) -> tuple[dt.datetime, ...]:
    """The bucket edges of a period, in UTC; bucket `i` is `[edges[i], edges[i + 1])`.

    The first edge is the period's start and the last its end, so that outer buckets may be cut
    short. ValueError where there were more than MAX_BUCKETS buckets.
    """
    shortest = {
        Granularity.HOUR: _HOUR,
        Granularity.DAY: _DAY,
        Granularity.WEEK: 7 * _DAY,
        Granularity.MONTH: 28 * _DAY,
    }[granularity]
    if (period.end - period.start) / shortest > MAX_BUCKETS:
        raise ValueError(f"granularity: at most {MAX_BUCKETS} buckets fit into a series")
    starts = (
        _hour_starts(period)
        if granularity is Granularity.HOUR
        else _date_starts(period, granularity)
    )
    inner = sorted({start for start in starts if period.start < start < period.end})
    if len(inner) >= MAX_BUCKETS:  # the outer buckets, cut short, count too
        raise ValueError(f"granularity: at most {MAX_BUCKETS} buckets fit into a series")
    return (period.start, *inner, period.end)


def spans(bucket_edges: Sequence[dt.datetime]) -> tuple[Span, ...]:
    """The same buckets, run-length encoded: thirty days with a clock change are three spans."""
    runs: list[Span] = []
    for index, (left, right) in enumerate(pairwise(map(to_milliseconds, bucket_edges))):
        width = right - left
        if runs and runs[-1].width == width:
            last = runs[-1]
            runs[-1] = Span(last.start, width, last.count + 1, last.first)
        else:
            runs.append(Span(left, width, 1, index))
    return tuple(runs)


def cells(bucket_edges: Sequence[dt.datetime]) -> tuple[tuple[Span, ...], tuple[int, ...]]:
    """Spans of cells that make up the buckets, and the bucket of each cell, in their order.

    The cells are the buckets themselves or, where those make fewer spans, stretches of 24 hours and
    what is left of each bucket: the months of a year with two clock changes are eleven spans, their
    days five. Every row goes through the spans, so few of them are worth more cells; where they are
    many, local days cut by UTC days say, one span of the hours that all are made of.
    """
    buckets = spans(bucket_edges)
    days, bucket_of_day = _day_cells(bucket_edges, limit=len(buckets))
    if min(len(days), len(buckets)) > _MANY_SPANS and (grid := _grid(bucket_edges)) is not None:
        return grid
    if len(days) < len(buckets):
        return tuple(days), tuple(bucket_of_day)
    return buckets, tuple(range(len(bucket_edges) - 1))


def _grid(bucket_edges: Sequence[dt.datetime]) -> tuple[tuple[Span], tuple[int, ...]] | None:
    """One span of the widest cells that all buckets are made of; None where they are too many."""
    widths = [right - left for left, right in pairwise(map(to_milliseconds, bucket_edges))]
    width = gcd(*widths)
    count = sum(widths) // width
    if count > MAX_BUCKETS:
        return None
    owners = (bucket for bucket, each in enumerate(widths) for _ in range(each // width))
    return (Span(to_milliseconds(bucket_edges[0]), width, count, 0),), tuple(owners)


def _day_cells(
    bucket_edges: Sequence[dt.datetime], limit: int
) -> tuple[Sequence[Span], Sequence[int]]:
    """The cells of 24 hours, or a part of them that has `limit` spans."""
    day = _DAY // _MILLISECOND
    runs: list[Span] = []
    bucket_of_cell: list[int] = []
    for bucket, (left, right) in enumerate(pairwise(map(to_milliseconds, bucket_edges))):
        days, rest = divmod(right - left, day)
        for start, width, count in ((left, day, days), (right - rest, rest, 1)):
            if not count or not width:
                continue
            if runs and runs[-1].width == width:
                last = runs[-1]
                runs[-1] = Span(last.start, width, last.count + count, last.first)
            elif len(runs) == limit:
                return runs, bucket_of_cell
            else:
                runs.append(Span(start, width, count, len(bucket_of_cell)))
            bucket_of_cell += [bucket] * count
    return runs, bucket_of_cell


def previous(period: Period) -> Period:
    """The period to compare with, which ends where this one starts.

    Whole calendar months are compared with as many calendar months before; a period between local
    midnights with as many local days; any other with one of the same elapsed time.
    """
    zone = period.zone
    first, last = (instant.astimezone(zone).date() for instant in (period.start, period.end))
    if (start_of_date(first, zone), start_of_date(last, zone)) != (period.start, period.end):
        return Period(period.start - (period.end - period.start), period.start, period.time_zone)
    if first.day == last.day == 1:
        months = (last.year - first.year) * 12 + last.month - first.month
        before = _months_before(first, months)
    else:
        before = first - (last - first) + _skipped(first, last, zone)
        before -= _skipped(before, first, zone)
    return Period(start_of_date(before, zone), period.start, period.time_zone)


def so_far(period: Period, before: Period, now: dt.datetime) -> Period | None:
    """As much of the period before as has passed of one that is running; None unless it runs.

    Where both begin at a local midnight: up to the same time of as many local days later, so that
    the 15th, 10:30, is compared with the 15th, 10:30, over a clock change too; else by elapsed
    time. Never longer than the period before: on 30 March all of February has passed.
    """
    if not period.start < now < period.end:
        return None
    zone = period.zone
    first, other = (one.start.astimezone(zone).date() for one in (period, before))
    end = before.start + (now - period.start)
    if (start_of_date(first, zone), start_of_date(other, zone)) == (period.start, before.start):
        local = now.astimezone(zone)
        end = _local_instant(other + (local.date() - first), local.time(), zone)
    end = max(min(end, before.end), before.start)
    return Period(before.start, end, period.time_zone) if end > before.start else None


def _local_instant(date: dt.date, time: dt.time, zone: ZoneInfo) -> dt.datetime:
    """When the local clock shows a time of a date; not before the date's first instant."""
    instant = dt.datetime.combine(date, time, zone).astimezone(dt.UTC)
    return max(instant, start_of_date(date, zone))


def start_of_date(date: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The first instant, in UTC, at which the local calendar shows `date` (or a later date).

    Where the clock springs over midnight, that is the instant of the change.
    """
    midnight = dt.datetime.combine(date, dt.time(), zone)
    instant = midnight.astimezone(dt.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    return _change_between(instant - _DAY, instant, zone)


def _date_starts(period: Period, granularity: Granularity) -> Iterator[dt.datetime]:
    zone = period.zone
    date = period.start.astimezone(zone).date()
    if granularity is Granularity.WEEK:
        date -= dt.timedelta(days=date.weekday())
    elif granularity is Granularity.MONTH:
        date = date.replace(day=1)
    while (start := start_of_date(date, zone)) < period.end:
        yield start
        if granularity is Granularity.MONTH:
            date = _months_before(date, -1)
        else:
            date += dt.timedelta(days=7 if granularity is Granularity.WEEK else 1)


def _hour_starts(period: Period) -> Iterator[dt.datetime]:
    """Every instant at which the local clock shows minute 0, both folds of an hour apart."""
    for left, right in _even_stretches(period):
        local = left.astimezone(period.zone)
        past = dt.timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        instant = left - past + _HOUR if past else left
        while instant < right:
            yield instant
            instant += _HOUR


def _even_stretches(period: Period) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The period cut, in UTC, wherever the zone's offset changes."""
    left, end = period.start, period.end
    probe = left
    while probe < end:
        ahead = min(probe + 6 * _HOUR, end)
        if _offset(probe, period.zone) != _offset(ahead, period.zone):
            change = _change_between(probe, ahead, period.zone)
            yield left, change
            left = change
        probe = ahead
    if left < end:
        yield left, end


def _change_between(before: dt.datetime, after: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The first whole second with the later of two offsets. `before` must have the earlier one."""
    offset = _offset(before, zone)
    low, high = 0, -(-(after - before) // dt.timedelta(seconds=1))
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + dt.timedelta(seconds=middle), zone) == offset:
            low = middle
        else:
            high = middle
    change = before + dt.timedelta(seconds=high)
    return change.replace(microsecond=0)


def _skipped(first: dt.date, last: dt.date, zone: ZoneInfo) -> dt.timedelta:
    """Whole days that the zone's calendar left out between two dates, as Samoa's did 2011-12-30."""
    elapsed = start_of_date(last, zone) - start_of_date(first, zone)
    return max(0, round(((last - first) - elapsed) / _DAY)) * _DAY


def _offset(instant: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    offset = instant.astimezone(zone).utcoffset()
    if offset is None:  # a ZoneInfo always has one
        raise ValueError("the zone has no offset")
    return offset


def _months_before(first_of_month: dt.date, months: int) -> dt.date:
    index = first_of_month.year * 12 + first_of_month.month - 1 - months
    return dt.date(index // 12, index % 12 + 1, 1)
