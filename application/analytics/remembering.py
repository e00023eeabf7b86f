"""Closed buckets of metrics are remembered: a year costs a year once."""

import asyncio
import datetime as dt
import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import accumulate, groupby, pairwise
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.analytics.metrics import Metric
from application.analytics.ports import Analytics, FigureRow, TopRows
from application.analytics.remembered_port import (
    MAX_BUCKETS,
    SETTLED,
    Asked,
    Bucket,
    Mark,
    Remembered,
    RememberedFigures,
)
from application.background.clock import Clock
from domain.errors import RateLimited, Unavailable
from domain.periods import to_milliseconds

MAX_ROWS: Final = 1_000
"""A bucket of more rows is not remembered."""

_MOST_RUNS: Final = 4
"""What is missing is asked for in at most so many questions, else in one over all of it."""

_FORM: Final = 1
"""Grows where an engine answers the same declaration otherwise: then nothing of before is used."""

_DAY: Final = 86_400_000

Rows = Mapping[int, Sequence[FigureRow]]
"""The rows of each bucket, by its place in the question."""


class RememberedAnalytics(Analytics):
    """Analytics that reads from the rows only what it does not remember.

    Each answer is one that `analytics` could have given at a moment of the call. `most` is how many
    buckets the store remembers, over all questions; zero: none. How figures were known in the past,
    and the few greatest of many values, are always read.
    """

    def __init__(
        self, analytics: Analytics, remembered: RememberedFigures, clock: Clock, most: int
    ) -> None:
        self._analytics = analytics
        self._remembered = remembered
        self._clock = clock
        self._most = most

    @override
    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        if known_by is not None:
            return await self._analytics.figures(
                metric, stripe_account, edges, currency, known_by=known_by
            )
        read = partial(self._analytics.figures, metric, stripe_account, currency=currency)
        buckets = list(pairwise(map(to_milliseconds, edges)))
        if not self._most or len(buckets) > MAX_BUCKETS or not is_guarded(metric):
            return await read(edges)
        now = to_milliseconds(self._clock.now())
        asked = Asked(stripe_account, digest_of(metric), currency or "")
        ask_marks = partial(self._marks, metric, stripe_account, buckets)
        marks, entries = await asyncio.gather(ask_marks(), self._remembered.recall(asked, buckets))
        known = {each.bucket: each.rows for each in entries if each.marks == marks.of(each.bucket)}
        runs = _runs(buckets, known)
        answers = await asyncio.gather(*(read(edges[run.start : run.stop + 1]) for run in runs))
        if runs and len(runs[0]) < len(buckets):
            changed = marks.changed_until(await ask_marks())
            if not _of_one_moment(runs, buckets, changed):
                return await read(edges)
        rows = _by_place(runs, answers)
        closed = [place for run in runs for place in run if buckets[place][1] <= now]
        await self._keep(asked, [(buckets[place], rows[place]) for place in closed], marks)
        return [*_all_rows(buckets, known, rows)]

    @override
    async def top(
        self,
        metric: Metric,
        stripe_account: str,
        period: tuple[dt.datetime, dt.datetime],
        currency: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
    ) -> TopRows:
        return await self._analytics.top(
            metric, stripe_account, period, currency, after=after, limit=limit
        )

    async def _marks(
        self, metric: Metric, stripe_account: str, buckets: Sequence[Bucket]
    ) -> "_Marks":
        days = _days((buckets[0][0], buckets[-1][1]))
        return _Marks(days, await self._remembered.marks(stripe_account, metric.noun.name, days))

    async def _keep(
        self, asked: Asked, read: Sequence[tuple[Bucket, Sequence[FigureRow]]], marks: "_Marks"
    ) -> None:
        """Remember what was read after the marks. The answer is there, whatever becomes of this."""
        entries = [
            Remembered(bucket, marks.of(bucket), rows)
            for bucket, rows in read
            if marks.settled(bucket) and len(rows) <= MAX_ROWS
        ]
        with suppress(Unavailable, RateLimited):
            if entries:
                await self._remembered.keep(asked, entries, self._most)


def is_guarded(metric: Metric) -> bool:
    """Whether each change of the metric's figures raises a mark, as the noun declares it."""
    counted = metric.noun.counted
    if counted is None or metric.date not in counted.dates:
        return False
    # What is set once, with the first snapshot, changes nothing that is counted.
    unchanging = {"id", metric.noun.first_known}
    return {*metric.index} - unchanging <= {*counted.names}


def digest_of(metric: Metric) -> str:
    """What stands for a declaration: another one where anything that it reads is another."""
    declared = {each.name: getattr(metric, each.name) for each in fields(metric)}
    noun = declared.pop("noun")
    del declared["doc"]
    declared["columns"] = [each for each in noun.columns if each.name in metric.index]
    declared["noun"], declared["form"] = noun.name, _FORM
    told = msgspec.json.encode(_plain(declared), order="deterministic")
    return hashlib.sha256(told).hexdigest()


def _plain(value: Any) -> Any:
    """A declaration's part as plain data. TypeError for what has no content to compare."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"{type(value).__name__}: a metric is declared of plain data")


class _Marks:
    """The marks of a range of days, as they were at one moment."""

    def __init__(self, days: range, marks: Sequence[Mark]) -> None:
        numbers = {mark.day: mark.number for mark in marks}
        self._days = days
        self.numbers: Final = [numbers.get(day, 0) for day in days]
        self._sums = [0, *accumulate(self.numbers)]
        self._young = sorted(mark.day for mark in marks if mark.age < SETTLED)

    def of(self, bucket: Bucket) -> int:
        """The sum of a bucket's."""
        days = _days(bucket)
        return self._sums[days.stop - self._days.start] - self._sums[days.start - self._days.start]

    def settled(self, bucket: Bucket) -> bool:
        """Whether each of a bucket's has been left alone for long enough."""
        days = _days(bucket)
        return bisect_left(self._young, days.start) == bisect_left(self._young, days.stop)

    def changed_until(self, later: "_Marks") -> Sequence[int]:
        """The days that were raised meanwhile."""
        numbers = zip(self._days, self.numbers, later.numbers, strict=True)
        return [day for day, before, after in numbers if before != after]


def _days(bucket: Bucket) -> range:
    """The UTC days that a bucket has a part of."""
    start, end = bucket
    return range(start // _DAY, max(start, end - 1) // _DAY + 1)


def _runs(buckets: Sequence[Bucket], known: Mapping[Bucket, object]) -> Sequence[range]:
    """The buckets that are not known, as ranges of places: a few, or one over all of them."""
    missing = [place for place, bucket in enumerate(buckets) if bucket not in known]
    runs = []
    for _, group in groupby(enumerate(missing), lambda each: each[1] - each[0]):
        places = [place for _, place in group]
        runs.append(range(places[0], places[-1] + 1))
    return runs if len(runs) <= _MOST_RUNS else [range(runs[0].start, runs[-1].stop)]


def _of_one_moment(
    runs: Sequence[range], buckets: Sequence[Bucket], changed: Sequence[int]
) -> bool:
    """Whether what was remembered, and what was read one after another, is of one moment.

    It is where the rows written meanwhile are all of buckets that were read at once: the rest is
    the same at that moment. A row that moved from one bucket to another changed days of both.
    """
    if not changed:
        return True
    touched = {place for place, bucket in enumerate(buckets) if _has_one_of(_days(bucket), changed)}
    return any(touched <= {*run} for run in runs)


def _has_one_of(days: range, changed: Sequence[int]) -> bool:
    return bisect_left(changed, days.start) < bisect_left(changed, days.stop)


def _by_place(runs: Sequence[range], answers: Sequence[Sequence[FigureRow]]) -> Rows:
    """The rows that were read, by the place of their bucket in the whole question."""
    rows: dict[int, list[FigureRow]] = defaultdict(list)
    for run, answer in zip(runs, answers, strict=True):
        for row in answer:
            rows[run.start + row.bucket].append(row)
        for place in run:
            rows[place]  # nothing counts in it: that is known, too
    return rows


def _all_rows(
    buckets: Sequence[Bucket], known: Mapping[Bucket, Sequence[FigureRow]], read: Rows
) -> Iterator[FigureRow]:
    """The answer: of each bucket what was read, else what is remembered."""
    for place, bucket in enumerate(buckets):
        for row in read[place] if place in read else known[bucket]:
            yield FigureRow(place, row.currency, row.group, row.sums, row.count)
