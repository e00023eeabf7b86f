"""Revenue questions, answered from the mirror."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from application.analytics.base_totals import BaseTotals
from application.analytics.metrics import FAILED_CHARGES, GROSS_VOLUME, SUCCEEDED_CHARGES, Metric
from application.analytics.ports import Analytics, FigureRow
from application.analytics.trust import Trust, TrustAnswers
from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.analytics import Bucket, Comparison, buckets, growth
from domain.errors import FieldViolation, InvalidArgument
from domain.money import CURRENCIES
from domain.periods import (
    MAX_PERIOD,
    YEARS,
    Granularity,
    Period,
    edges,
    previous,
    so_far,
    zone_of,
)

Figure = Callable[[FigureRow], int]
"""Which of a row's figures is meant."""


@dataclass(frozen=True, slots=True)
class Question:
    """What every question has. None and empty stand for what the caller left out."""

    start: dt.datetime | None
    end: dt.datetime | None
    time_zone: str
    granularity: Granularity = Granularity.DAY
    currency: str = ""
    base_total: bool = False


@dataclass(frozen=True, slots=True)
class CurrencyVolume:
    """Gross volume in one currency: `amounts` and `counts` hold a figure a bucket."""

    currency: str
    total: Comparison
    amounts: Sequence[int]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class BaseVolume:
    """Gross volume in the base currency, an amount a bucket.

    Where rates are missing there is no total, and no amounts: `missing` and `previous_missing` name
    the currencies, of the period and of the one before.
    """

    currency: str
    total: int | None
    previous: int | None
    amounts: Sequence[int]
    missing: Sequence[str]
    previous_missing: Sequence[str]

    @property
    def growth(self) -> Fraction | None:
        """From previous to total; None where one is missing, or previous zero."""
        if self.total is None or self.previous is None:
            return None
        return growth(self.total, self.previous)


@dataclass(frozen=True, slots=True)
class Compared:
    """What every answer tells of the time that it is of.

    `so_far` is as much of `previous` as has passed of `period`; None unless that is running.
    `trust` is from before the figures were read.
    """

    period: Period
    previous: Period
    so_far: Period | None
    buckets: Sequence[Bucket]
    trust: Trust


@dataclass(frozen=True, slots=True)
class GrossVolume:
    """Gross volume of a period and the one before, per currency in order of its code."""

    time: Compared
    currencies: Sequence[CurrencyVolume]
    base: BaseVolume | None = None


@dataclass(frozen=True, slots=True)
class ChargeCounts:
    """Numbers of charges of a period and the one before; the series hold a figure a bucket."""

    time: Compared
    succeeded: Comparison
    failed: Comparison
    succeeded_series: Sequence[int]
    failed_series: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was checked: of whom, over which edges, compared with which stretch."""

    stripe_account: str
    currency: str
    edges: Sequence[dt.datetime]
    time: Compared

    @property
    def edges_before(self) -> Sequence[dt.datetime]:
        """The period before, parted where as much of it has passed as of a running period."""
        parted = self.time.so_far
        middle = [] if parted is None or parted.end == self.time.previous.end else [parted.end]
        return (self.time.previous.start, *middle, self.time.previous.end)


@dataclass(frozen=True, slots=True)
class _Figures:
    """The rows of a metric: of the buckets asked for, and of the period before."""

    now: Sequence[FigureRow]
    before: Sequence[FigureRow]


class RevenueAnalytics:
    """Answers the questions of one connection.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        analytics: Analytics,
        connections: Connections,
        clock: Clock,
        base_totals: BaseTotals,
        trust: TrustAnswers,
    ) -> None:
        self._analytics = analytics
        self._connections = connections
        self._clock = clock
        self._base_totals = base_totals
        self._trust = trust

    async def gross_volume(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> GrossVolume:
        """What was captured of charges."""
        asked = await self._asked(caller, question, violations)
        figures = await self._figures(asked, GROSS_VOLUME)
        codes = {row.currency for row in (*figures.now, *figures.before)}
        codes |= {question.currency} if question.currency else set()
        volumes = [_volume(asked, figures, code) for code in sorted(codes)]
        return GrossVolume(asked.time, volumes, await self._base_volume(caller, question, asked))

    async def charge_counts(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> ChargeCounts:
        """How many charges succeeded and failed: attempts, not payments."""
        asked = await self._asked(caller, question, violations)
        succeeded, failed = await asyncio.gather(
            self._figures(asked, SUCCEEDED_CHARGES), self._figures(asked, FAILED_CHARGES)
        )
        return ChargeCounts(
            asked.time,
            _counted(asked, succeeded),
            _counted(asked, failed),
            _series(asked, succeeded.now, _count),
            _series(asked, failed.now, _count),
        )

    async def _asked(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation]
    ) -> _Asked:
        period, bucket_edges = _checked(question, [*violations, *self._of_base(question)])
        connection = await self._connections.of(caller)
        now, before = self._clock.now(), previous(period)
        trust = await self._trust.of(connection.stripe_account, period.time_zone)
        passed = so_far(period, before, now)
        time = Compared(period, before, passed, buckets(bucket_edges, now), trust)
        return _Asked(connection.stripe_account, question.currency, bucket_edges, time)

    def _of_base(self, question: Question) -> Iterator[FieldViolation]:
        if question.base_total and not self._base_totals.base_currency:
            rule = "this deployment has no base currency; BASE_CURRENCY sets it"
            yield FieldViolation("base_total", rule)

    async def _base_volume(
        self, caller: Caller, question: Question, asked: _Asked
    ) -> BaseVolume | None:
        if not question.base_total:
            return None
        before = (asked.time.previous.start, asked.time.previous.end)
        now, then = await asyncio.gather(
            *(
                self._base_totals.of(
                    caller.account, asked.stripe_account, GROSS_VOLUME, over, asked.currency or None
                )
                for over in (asked.edges, before)
            )
        )
        return BaseVolume(
            self._base_totals.base_currency, now.total, then.total, now.amounts or (), now.missing,
            then.missing,
        )  # fmt: skip

    async def _figures(self, asked: _Asked, metric: Metric) -> _Figures:
        account, currency = asked.stripe_account, asked.currency or None
        return _Figures(
            *await asyncio.gather(
                self._analytics.figures(metric, account, asked.edges, currency),
                self._analytics.figures(metric, account, asked.edges_before, currency),
            )
        )


def _checked(
    question: Question, violations: Sequence[FieldViolation]
) -> tuple[Period, Sequence[dt.datetime]]:
    """The period and its bucket edges, or InvalidArgument with every violation at once."""
    all_violations = [*violations]
    named = {violation.field for violation in violations}
    start, end = question.start, question.end
    for name, instant in (("start_time", start), ("end_time", end)):
        if instant is None:
            if f"period.{name}" not in named:
                all_violations.append(FieldViolation(f"period.{name}", "is required"))
        elif instant.year not in YEARS:
            all_violations.append(
                FieldViolation(f"period.{name}", f"years from {YEARS[0]} to {YEARS[-1]}")
            )
    if start is not None and end is not None:
        if end <= start:
            all_violations.append(FieldViolation("period.end_time", "must be after start_time"))
        elif end - start > MAX_PERIOD:
            rule = f"at most {MAX_PERIOD.days} days after start_time"
            all_violations.append(FieldViolation("period.end_time", rule))
    try:
        zone_of(question.time_zone)
    except ValueError as error:
        all_violations.append(FieldViolation("period.time_zone", str(error)))
    if question.currency and question.currency not in CURRENCIES:
        rule = "a currency that Stripe knows, lower-case ISO 4217, such as usd"
        all_violations.append(FieldViolation("currency", rule))
    if all_violations or start is None or end is None:
        raise InvalidArgument(all_violations)
    period = Period(start, end, question.time_zone)
    try:
        return period, edges(period, question.granularity)
    except ValueError as error:
        rule = str(error).removeprefix("granularity: ")
        raise InvalidArgument([FieldViolation("granularity", rule)]) from None


def _volume(asked: _Asked, figures: _Figures, currency: str) -> CurrencyVolume:
    now, before = (
        [row for row in rows if row.currency == currency] for rows in (figures.now, figures.before)
    )
    return CurrencyVolume(
        currency,
        _compared(asked, now, before, _amount),
        _series(asked, now, _amount),
        _series(asked, now, _count),
    )


def _counted(asked: _Asked, figures: _Figures) -> Comparison:
    return _compared(asked, figures.now, figures.before, _count)


def _compared(
    asked: _Asked, now: Sequence[FigureRow], before: Sequence[FigureRow], figure: Figure
) -> Comparison:
    """The figure of all of the period, of all of the one before, and of what had passed of that."""
    passed = sum(figure(row) for row in before if row.bucket == 0)
    return Comparison(
        sum(map(figure, now)),
        sum(map(figure, before)),
        None if asked.time.so_far is None else passed,
    )


def _series(asked: _Asked, rows: Sequence[FigureRow], figure: Figure) -> Sequence[int]:
    """A figure a bucket, zeros included."""
    series = [0] * (len(asked.edges) - 1)
    for row in rows:
        series[row.bucket] += figure(row)
    return series


def _amount(row: FigureRow) -> int:
    return row.sums[0]


def _count(row: FigureRow) -> int:
    return row.count
