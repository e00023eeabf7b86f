"""Bucket edges, spans and the period before, where clocks do what clocks do."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.periods import (
    MAX_BUCKETS,
    MAX_PERIOD,
    ZONE_NAMES,
    Granularity,
    Period,
    cells,
    edges,
    from_milliseconds,
    previous,
    so_far,
    spans,
    start_of_date,
    to_milliseconds,
    zone_of,
)

HOUR, DAY, WEEK, MONTH = Granularity
NEW_YORK, SAO_PAULO, APIA = "America/New_York", "America/Sao_Paulo", "Pacific/Apia"
KWAJALEIN = "Pacific/Kwajalein"
LORD_HOWE, KATHMANDU, GOOSE_BAY = "Australia/Lord_Howe", "Asia/Kathmandu", "America/Goose_Bay"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def local(text: str, zone: str, fold: int = 0) -> dt.datetime:
    wall = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return wall.astimezone(dt.UTC)


def period(start: str, end: str, zone: str) -> Period:
    """A period between two readings of the zone's wall clock."""
    return Period(local(start, zone), local(end, zone), zone)


def hours(of: Period, granularity: Granularity) -> list[float]:
    """How long each bucket is."""
    return [(b - a) / dt.timedelta(hours=1) for a, b in pairwise(edges(of, granularity))]


@pytest.mark.parametrize(
    ("start", "end", "zone", "granularity", "widths"),
    [
        # New York, spring forward and fall back
        ("2026-03-07", "2026-03-10", NEW_YORK, DAY, [24, 23, 24]),
        ("2026-10-31", "2026-11-03", NEW_YORK, DAY, [24, 25, 24]),
        ("2026-03-08T00:00", "2026-03-08T05:00", NEW_YORK, HOUR, [1, 1, 1, 1]),
        ("2026-11-01T00:00", "2026-11-01T03:00", NEW_YORK, HOUR, [1, 1, 1, 1]),
        ("2026-03-01", "2026-04-01", NEW_YORK, MONTH, [31 * 24 - 1]),
        ("2026-11-01", "2026-12-01", NEW_YORK, MONTH, [30 * 24 + 1]),
        # São Paulo: midnight itself is skipped, or happens an hour late
        ("2018-11-03", "2018-11-06", SAO_PAULO, DAY, [24, 23, 24]),
        ("2018-02-16", "2018-02-19", SAO_PAULO, DAY, [24, 25, 24]),
        # Apia: 2011-12-30 never was
        ("2011-12-29", "2012-01-01", APIA, DAY, [24, 24]),
        ("2011-12-01", "2012-01-01", APIA, MONTH, [30 * 24]),
        # Lord Howe: half an hour; no minute 0 is shown between 01:00 and 03:00 or 01:00 and 02:00
        ("2026-10-03", "2026-10-06", LORD_HOWE, DAY, [24, 23.5, 24]),
        ("2026-10-04T00:00", "2026-10-04T04:00", LORD_HOWE, HOUR, [1, 1.5, 1]),
        ("2026-04-05T00:00", "2026-04-05T03:00", LORD_HOWE, HOUR, [1, 1.5, 1]),
        # Kathmandu: 5:45, and 5:30 before 1986
        ("2026-05-01T00:00", "2026-05-01T03:00", KATHMANDU, HOUR, [1, 1, 1]),
        ("1985-12-31", "1986-01-02", KATHMANDU, DAY, [24, 23.75]),
        # Goose Bay: changes at one minute past midnight
        ("2010-11-05", "2010-11-09", GOOSE_BAY, DAY, [24, 24, 25, 24]),
        ("2010-03-13", "2010-03-16", GOOSE_BAY, DAY, [24, 23, 24]),
    ],
)
def test_widths(
    start: str, end: str, zone: str, granularity: Granularity, widths: list[float]
) -> None:
    assert hours(period(start, end, zone), granularity) == widths


def test_a_day_whose_midnight_is_skipped_starts_at_the_change() -> None:
    start = start_of_date(dt.date(2018, 11, 4), zone_of(SAO_PAULO))
    assert start == utc("2018-11-04T03:00")
    assert start.astimezone(zone_of(SAO_PAULO)).hour == 1


def test_a_skipped_date_starts_where_the_next_does() -> None:
    zone = zone_of(APIA)
    assert start_of_date(dt.date(2011, 12, 30), zone) == start_of_date(dt.date(2011, 12, 31), zone)


def test_a_midnight_that_happens_twice_counts_the_first_time() -> None:
    start = start_of_date(dt.date(2010, 11, 7), zone_of(GOOSE_BAY))
    assert start == local("2010-11-07", GOOSE_BAY, fold=0)
    assert start < local("2010-11-07", GOOSE_BAY, fold=1)


def test_hours_of_both_folds_are_apart() -> None:
    found = edges(period("2026-11-01T00:00", "2026-11-01T03:00", NEW_YORK), HOUR)
    assert found[1:4] == (
        local("2026-11-01T01:00", NEW_YORK, fold=0),
        local("2026-11-01T01:00", NEW_YORK, fold=1),
        local("2026-11-01T02:00", NEW_YORK),
    )


def test_weeks_start_on_monday_and_outer_buckets_are_cut_short() -> None:
    found = edges(period("2026-07-01T15:30", "2026-07-15T08:00", "Europe/Berlin"), WEEK)
    assert found == (
        local("2026-07-01T15:30", "Europe/Berlin"),
        local("2026-07-06", "Europe/Berlin"),
        local("2026-07-13", "Europe/Berlin"),
        local("2026-07-15T08:00", "Europe/Berlin"),
    )


def test_a_period_within_one_bucket_is_that_bucket() -> None:
    one = period("2026-07-01T15:30", "2026-07-01T15:45", "Europe/Berlin")
    for granularity in Granularity:
        assert edges(one, granularity) == (one.start, one.end)


def test_thirty_days_with_a_clock_change_are_three_spans() -> None:
    found = spans(edges(period("2026-03-01", "2026-03-31", NEW_YORK), DAY))
    assert [(span.first, span.count) for span in found] == [(0, 7), (7, 1), (8, 22)]


@pytest.mark.parametrize(
    ("start", "end", "zone", "before"),
    [
        ("2026-03-01", "2026-04-01", NEW_YORK, "2026-02-01"),  # a month: the month before
        ("2026-01-01", "2026-04-01", NEW_YORK, "2025-10-01"),
        ("2024-01-01", "2025-01-01", NEW_YORK, "2023-01-01"),
        ("2026-03-08", "2026-03-09", NEW_YORK, "2026-03-07"),  # 23 hours: the day before
        ("2026-03-02", "2026-03-12", NEW_YORK, "2026-02-20"),
        ("2026-03-01", "2026-03-31", NEW_YORK, "2026-01-30"),
        ("2012-01-01", "2012-01-03", APIA, "2011-12-29"),  # the day that never was is no day
        ("2011-12-31", "2012-01-02", APIA, "2011-12-28"),
        ("1970-01-01", "1970-07-01", KWAJALEIN, "1969-07-01"),
        ("1970-01-02", "1970-07-01", KWAJALEIN, "1969-07-06"),  # a day that was twice is one
        ("1993-08-23", "1993-08-25", KWAJALEIN, "1993-08-20"),
        ("2026-03-09T00:00", "2026-03-09T12:00", NEW_YORK, "2026-03-08T12:00"),  # elapsed time
        ("2026-03-08T06:00", "2026-03-09T06:00", NEW_YORK, "2026-03-07T05:00"),
    ],
)
def test_the_period_before(start: str, end: str, zone: str, before: str) -> None:
    of = period(start, end, zone)
    assert previous(of) == Period(local(before, zone), of.start, zone)


def test_the_earliest_and_the_longest_period_have_one_before() -> None:
    earliest = Period(utc("1970-01-01"), utc("1970-01-01") + MAX_PERIOD, "UTC")
    assert previous(earliest).end == earliest.start
    # 7,320 days with one more change to summer time than the 7,320 days before
    longest = period("2005-10-31", "2025-11-15", NEW_YORK)
    assert longest.end - longest.start == MAX_PERIOD
    assert previous(longest).end - previous(longest).start > MAX_PERIOD


def test_a_series_holds_ten_thousand_buckets_and_not_one_more() -> None:
    start = utc("2026-01-01")
    full = Period(start, start + MAX_BUCKETS * dt.timedelta(hours=1), "UTC")
    assert len(edges(full, HOUR)) == MAX_BUCKETS + 1
    half_hour = dt.timedelta(minutes=30)
    for off in (
        Period(full.start, full.end + half_hour, "UTC"),
        Period(full.start + half_hour, full.end + half_hour, "UTC"),  # cut short at both ends
    ):
        with pytest.raises(ValueError, match="at most 10000 buckets"):
            edges(off, HOUR)


@pytest.mark.parametrize(
    ("start", "end", "zone", "rule"),
    [
        (utc("2026-01-01"), utc("2026-01-01"), "UTC", "after start"),
        (utc("2026-01-02"), utc("2026-01-01"), "UTC", "after start"),
        (utc("2026-01-01"), utc("2026-01-01") + MAX_PERIOD * 2, "UTC", "at most"),
        (utc("1900-01-01"), utc("1900-01-02"), "UTC", "years"),
        (utc("2201-01-01"), utc("2201-01-02"), "UTC", "years"),
        (dt.datetime(2026, 1, 1), utc("2026-01-02"), "UTC", "UTC"),  # noqa: DTZ001 - the point
        (utc("2026-01-01").astimezone(ZoneInfo("Asia/Tokyo")), utc("2026-01-02"), "UTC", "UTC"),
        *((utc("2026-01-01"), utc("2026-01-02"), name, "IANA") for name in (
            "", "Mars/Olympus", "../UTC", "/etc/passwd", "america/new_york", "UTC\0", "America",
            "localtime", "Factory", "posixrules", "posix/UTC", "right/UTC", "tzdata.zi",
        )),
    ],
)  # fmt: skip
def test_periods_that_are_none(start: dt.datetime, end: dt.datetime, zone: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Period(start, end, zone)


@pytest.mark.parametrize("name", ["Asia/Tokyo", "US/Eastern", "Asia/Calcutta", "EST5EDT", "Zulu"])
def test_aliases_are_names_too(name: str) -> None:
    assert zone_of(name).key == name


def test_every_name_has_its_zone() -> None:
    assert len(ZONE_NAMES) > 590
    assert all(zone_of(name).key == name for name in ZONE_NAMES)


def test_milliseconds_need_an_aware_datetime() -> None:
    with pytest.raises(ValueError, match="aware"):
        to_milliseconds(dt.datetime(2026, 1, 1))  # noqa: DTZ001 - the point


@given(st.integers(-(10**13), 10**13))
def test_milliseconds_and_back(milliseconds: int) -> None:
    assert to_milliseconds(from_milliseconds(milliseconds)) == milliseconds


# Half of the cases are of zones, and half near times, at which something unusual happened.
HARD_ZONES = [
    APIA, GOOSE_BAY, KATHMANDU, KWAJALEIN, LORD_HOWE, SAO_PAULO, "Africa/Cairo", "Africa/Monrovia",
    "America/St_Johns", "Antarctica/Troll", "Asia/Gaza", "Pacific/Fakaofo", "Pacific/Kiritimati",
]  # fmt: skip
ZONES = st.one_of(st.sampled_from(HARD_ZONES), st.sampled_from(sorted(ZONE_NAMES)))
HARD_TIMES = [utc(f"{day}-01") for day in ("1970-01", "1993-08", "1994-12", "2010-11", "2011-12")]
INSTANTS = st.one_of(
    st.integers(0, int(utc("2040-01-01").timestamp()) * 1000).map(from_milliseconds),
    st.builds(
        lambda start, seconds: start + dt.timedelta(seconds=seconds),
        st.sampled_from(HARD_TIMES),
        st.integers(0, 40 * 86_400),
    ),
)
LENGTHS = {HOUR: 30, DAY: 400, WEEK: 1_000, MONTH: 2_000}


@st.composite
def periods(draw: st.DrawFn) -> tuple[Period, Granularity]:
    """Any period of any zone; half of them between local midnights."""
    zone, start, granularity = draw(ZONES), draw(INSTANTS), draw(st.sampled_from(Granularity))
    length = draw(st.integers(1, LENGTHS[granularity] * 86_400_000))
    end = start + dt.timedelta(milliseconds=length)
    if draw(st.booleans()):
        place = zone_of(zone)
        first, last = (at.astimezone(place).date() for at in (start, end))
        start = start_of_date(first, place)
        end = start_of_date(max(last, first + dt.timedelta(days=2)), place)
    return Period(start, end, zone), granularity


@settings(max_examples=1_500, deadline=None, database=None)
@given(periods())
def test_edges_of_any_zone(case: tuple[Period, Granularity]) -> None:
    of, granularity = case
    found = edges(of, granularity)
    assert found[0] == of.start
    assert found[-1] == of.end
    assert all(left < right for left, right in pairwise(found))
    for edge in found[1:-1]:
        _assert_bucket_starts(edge.astimezone(of.zone), of, granularity)
    _assert_spans_reproduce(found)


def _assert_bucket_starts(edge: dt.datetime, of: Period, granularity: Granularity) -> None:
    """An inner edge is where the local clock shows the start, or the first instant after a gap."""
    shown = edge.replace(tzinfo=None)
    just_before = (edge.astimezone(dt.UTC) - dt.timedelta(seconds=1)).astimezone(of.zone)
    if granularity is HOUR:
        assert (shown.minute, shown.second, shown.microsecond) == (0, 0, 0)
        return
    if shown.time() != dt.time():
        assert just_before.utcoffset() != edge.utcoffset()
        assert just_before.date() < shown.date()
        return
    skipped = (shown.date() - just_before.date()).days > 1
    assert granularity is not WEEK or shown.weekday() == 0 or skipped
    assert granularity is not MONTH or shown.day == 1 or skipped


def _assert_spans_reproduce(found: tuple[dt.datetime, ...]) -> None:
    runs = spans(found)
    starts = [run.start + n * run.width for run in runs for n in range(run.count)]
    assert [*starts, runs[-1].end] == [to_milliseconds(edge) for edge in found]
    assert [run.first for run in runs] == [
        sum(earlier.count for earlier in runs[:n]) for n in range(len(runs))
    ]


@settings(max_examples=1_500, deadline=None, database=None)
@given(periods())
def test_the_period_before_of_any_zone(case: tuple[Period, Granularity]) -> None:
    of, _ = case
    before = previous(of)
    assert before.end == of.start
    assert before.start < before.end
    first, last = (at.astimezone(of.zone).date() for at in (of.start, of.end))
    if (start_of_date(first, of.zone), start_of_date(last, of.zone)) != (of.start, of.end):
        assert before.end - before.start == of.end - of.start
        return
    earlier = before.start.astimezone(of.zone).date()
    assert before.start == start_of_date(earlier, of.zone)
    if first.day == last.day == 1:
        assert earlier.day == 1 or earlier.month == 1  # Kiritimati's 1995 began on January 2
    else:
        assert len(edges(before, DAY)) == len(edges(of, DAY))


@pytest.mark.parametrize(
    ("start", "end", "now", "until", "zone"),
    [
        # The 15th, 10:30, of the month before; of a shorter one all; of a longer one not all.
        ("2026-07-01", "2026-08-01", "2026-07-15T10:30", "2026-06-15T10:30", NEW_YORK),
        ("2026-03-01", "2026-04-01", "2026-03-30T01:00", "2026-03-01", NEW_YORK),
        ("2026-02-01", "2026-03-01", "2026-02-28T23:00", "2026-01-28T23:00", NEW_YORK),
        # Over a clock change the local time counts, not what has passed.
        ("2026-03-08", "2026-03-09", "2026-03-08T12:00", "2026-03-07T12:00", NEW_YORK),
        ("2026-11-01", "2026-11-02", "2026-11-01T12:00", "2026-10-31T12:00", NEW_YORK),
        ("2026-03-09", "2026-03-10", "2026-03-09T02:30", "2026-03-08T03:30", NEW_YORK),
        ("2026-10-04", "2026-10-05", "2026-10-04T12:00", "2026-10-03T12:00", LORD_HOWE),
        ("2026-07-06", "2026-07-13", "2026-07-08T00:00", "2026-07-01T00:00", KATHMANDU),
        # Not between midnights: what has passed.
        ("2026-03-08T01:00", "2026-03-08T05:00", "2026-03-08T04:00", "2026-03-08T00:00", NEW_YORK),
    ],
)
def test_as_much_of_the_period_before(
    start: str, end: str, now: str, until: str, zone: str
) -> None:
    of = period(start, end, zone)
    before = previous(of)
    found = so_far(of, before, local(now, zone))
    assert found == Period(before.start, local(until, zone), zone)
    for outside in (of.start, of.end, of.end + dt.timedelta(days=1)):
        assert so_far(of, before, outside) is None


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from([NEW_YORK, LORD_HOWE, KATHMANDU, APIA, SAO_PAULO, "UTC"]),
    first=st.dates(dt.date(2007, 1, 1), dt.date(2026, 1, 1)),
    days=st.integers(1, 800),
    share=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_so_far_lies_in_the_period_before_and_grows(
    zone: str, first: dt.date, days: int, share: float
) -> None:
    start = start_of_date(first, ZoneInfo(zone))
    end = start_of_date(first + dt.timedelta(days=days), ZoneInfo(zone))
    if start >= end:
        return
    of = Period(start, end, zone)
    before = previous(of)
    now = start + (end - start) * share
    ends = [
        before.start if found is None else found.end
        for at in (now, now + dt.timedelta(hours=26))
        if (found := so_far(of, before, at)) is not None or at < end
    ]
    assert all(before.start <= at <= before.end for at in ends)
    assert ends == sorted(ends)


def _bucket_of(instant: int, bucket_edges: list[int]) -> int:
    return sum(edge <= instant for edge in bucket_edges) - 1


@settings(max_examples=100, deadline=None)
@given(
    zone=st.sampled_from([NEW_YORK, LORD_HOWE, KATHMANDU, APIA, "US/Eastern"]),
    second=st.integers(0, 18 * 365 * 86_400),
    days=st.integers(1, 1_500),
    granularity=st.sampled_from([DAY, WEEK, MONTH]),
)
def test_every_instant_is_in_the_cell_of_its_bucket(
    zone: str, second: int, days: int, granularity: Granularity
) -> None:
    start = utc("2008-01-01") + dt.timedelta(seconds=second)
    bucket_edges = edges(Period(start, start + dt.timedelta(days=days), zone), granularity)
    runs, bucket_of_cell = cells(bucket_edges)
    assert len(runs) <= len(spans(bucket_edges))
    assert len(bucket_of_cell) == sum(run.count for run in runs)
    as_numbers = [to_milliseconds(edge) for edge in bucket_edges]
    assert [runs[0].start, *(run.end for run in runs)] == [
        *(run.start for run in runs), as_numbers[-1],
    ]  # fmt: skip
    for run in runs:
        for instant in (run.start, run.start + run.width - 1, run.end - 1):
            cell = run.first + (instant - run.start) // run.width
            assert bucket_of_cell[cell] == _bucket_of(instant, as_numbers)


def test_local_days_cut_by_utc_days_are_one_span_of_hours() -> None:
    year = period("2026-01-01", "2027-01-01", NEW_YORK)
    midnights = {year.start.replace(hour=0) + dt.timedelta(days=n + 1) for n in range(365)}
    cut = sorted({*edges(year, DAY), *midnights})
    assert len(spans(cut)) > 700
    ((run,), bucket_of_cell) = cells(cut)
    assert (run.width, run.count) == (3_600_000, 8_760)
    for cell in range(0, run.count, 7):
        instant = from_milliseconds(run.start + cell * run.width)
        assert cut[bucket_of_cell[cell]] <= instant < cut[bucket_of_cell[cell] + 1]


def test_the_months_of_a_year_are_as_few_spans_as_its_days() -> None:
    year = period("2026-01-01", "2027-01-01", NEW_YORK)
    assert len(spans(edges(year, DAY))) == 5
    assert len(spans(edges(year, MONTH))) == 11
    assert len(cells(edges(year, MONTH))[0]) == 5
