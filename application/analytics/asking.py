"""Asking: a question is checked, and its metrics are read for the period and the one before."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from application.analytics.base_totals import BaseTotals
from application.analytics.ledger import Ledger
from application.analytics.metrics import Metric
from application.analytics.ports import Analytics, FigureRow
from application.analytics.questions import Asked, Compared, Question, checked
from application.analytics.trust import Stands, TrustAnswers, as_of_violations
from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.analytics import Comparison, buckets, growth
from domain.balance_transactions import PENDING
from domain.errors import FieldViolation
from domain.periods import previous, so_far

Figure = Callable[[FigureRow], int]
"""Which of a row's figures is meant."""


def first_sum(row: FigureRow) -> int:
    """The first sum of the metric."""
    return row.sums[0]


def number(row: FigureRow) -> int:
    """How many rows there are."""
    return row.count


@dataclass(frozen=True, slots=True)
class Series:
    """A figure of the period and the one before, and one a bucket, zeros included."""

    total: Comparison
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Figures:
    """The rows of a metric: of the buckets asked for, and of the period before."""

    asked: Asked
    now: Sequence[FigureRow]
    before: Sequence[FigureRow]

    def where(self, keep: Callable[[FigureRow], bool]) -> "Figures":
        """Those of some rows."""
        return replace(
            self,
            now=[row for row in self.now if keep(row)],
            before=[row for row in self.before if keep(row)],
        )

    def of(self, currency: str) -> "Figures":
        """Those in one currency."""
        return self.where(lambda row: row.currency == currency)

    def by(
        self, key: Callable[[FigureRow], str], always: Sequence[str] = ()
    ) -> "dict[str, Figures]":
        """Those of each key: first the keys that are always there, then the others, in order."""
        keys = {key(row) for row in (*self.now, *self.before)}
        return {
            each: self.where(partial(_has, key, each))
            for each in (*always, *sorted(keys - {*always}))
        }

    def joined(self, other: "Figures") -> "Figures":
        """These, and those of another metric."""
        return Figures(self.asked, [*self.now, *other.now], [*self.before, *other.before])

    def mapped(self, change: Callable[[FigureRow], Iterable[FigureRow]]) -> "Figures":
        """Each row as what becomes of it."""
        now = [changed for row in self.now for changed in change(row)]
        return replace(
            self, now=now, before=[changed for row in self.before for changed in change(row)]
        )

    @property
    def codes(self) -> list[str]:
        """The currencies of an answer: those that occur, or the one asked for; in order."""
        return self.asked.codes(self.now, self.before)

    def compared(self, figure: Figure) -> Comparison:
        """The figure of all of the period, of the one before, and of what had passed of that."""
        passed = sum(figure(row) for row in self.before if row.bucket == 0)
        return Comparison(
            sum(map(figure, self.now)),
            sum(map(figure, self.before)),
            None if self.asked.time.so_far is None else passed,
        )

    def series(self, figure: Figure) -> Series:
        """The same, and the figure of each bucket."""
        values = [0] * (len(self.asked.edges) - 1)
        for row in self.now:
            values[row.bucket] += figure(row)
        return Series(self.compared(figure), values)


def _has(key: Callable[[FigureRow], str], value: str, row: FigureRow) -> bool:
    return key(row) == value


@dataclass(frozen=True, slots=True)
class BaseVolume:
    """A figure in the base currency, an amount a bucket.

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


class Asking:
    """What all questions have in common."""

    def __init__(
        self,
        analytics: Analytics,
        connections: Connections,
        clock: Clock,
        base_totals: BaseTotals,
        trust: TrustAnswers,
        ledger: Ledger,
    ) -> None:
        self.analytics = analytics
        self._connections = connections
        self._clock = clock
        self._base_totals = base_totals
        self._trust = trust
        self._ledger = ledger

    async def asked(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Asked:
        """A question as it is answered; `violations` are refused with its own, all at once.

        What was known at an instant is answered as it was then: of a period that was running, too.
        Raises InvalidArgument, and FailedPrecondition without a usable connection.
        """
        wrong = [*violations, *self._of_base(question), *self._of_past(question)]
        period, bucket_edges = checked(question, wrong)
        connection = await self._connections.of(caller)
        as_of = question.as_of
        seen, before = as_of or self._clock.now(), previous(period)
        trust = await self._trust.of(connection.stripe_account, period.time_zone, as_of=as_of)
        passed = so_far(period, before, seen)
        time = Compared(period, before, passed, buckets(bucket_edges, seen), trust)
        return Asked(
            caller.account,
            connection.stripe_account,
            question.currency,
            question.base_total,
            bucket_edges,
            time,
        )

    async def figures(self, asked: Asked, metric: Metric) -> Figures:
        """A metric over the buckets asked for, and over the period before; read once a question."""
        place = (metric.name, asked.currency)
        if place not in asked.reads:
            asked.reads[place] = asyncio.gather(
                self._over(asked, metric, asked.edges),
                self._over(asked, metric, asked.edges_before),
            )
        now, before = await asked.reads[place]
        return Figures(asked, now, before)

    async def restated(self, asked: Asked, metric: Metric) -> Sequence[FigureRow]:
        """By how much restatements have changed a metric of the ledger, in each bucket."""
        past, currency = metric.past, asked.currency or None
        rows = await self._ledger.restated(
            past, asked.stripe_account, asked.edges, currency, as_of=asked.as_of
        )
        return _of_past(metric, past, rows)

    async def base_volume(
        self, asked: Asked, metric: Metric, figure: Figure = first_sum
    ) -> BaseVolume | None:
        """A figure in the base currency; None where it was not asked for."""
        if not asked.base_total:
            return None
        before = (asked.time.previous.start, asked.time.previous.end)
        now, then = await asyncio.gather(
            *(
                self._base_totals.of(
                    asked.account, partial(self._over, asked, metric), over, figure
                )
                for over in (asked.edges, before)
            )
        )
        return BaseVolume(
            self._base_totals.base_currency, now.total, then.total, now.amounts or (), now.missing,
            then.missing,
        )  # fmt: skip

    def _of_base(self, question: Question) -> Iterator[FieldViolation]:
        if question.base_total and not self._base_totals.base_currency:
            rule = "this deployment has no base currency; BASE_CURRENCY sets it"
            yield FieldViolation("base_total", rule)

    def _of_past(self, question: Question) -> Iterator[FieldViolation]:
        if question.as_of is not None:
            yield from as_of_violations(question.as_of, self._clock.now())

    async def _over(
        self, asked: Asked, metric: Metric, edges: Sequence[dt.datetime]
    ) -> Sequence[FigureRow]:
        currency = asked.currency or None
        if asked.as_of is None:
            return await self.analytics.figures(metric, asked.stripe_account, edges, currency)
        past = metric.past
        rows = await self._ledger.figures(
            past, asked.stripe_account, edges, currency, as_of=asked.as_of
        )
        return _of_past(metric, past, rows)


def stands_of(
    figures: Figures, restated: Sequence[FigureRow], figure: Figure, status: int
) -> Stands:
    """How a figure of the ledger stands; `status` is the place of that column in its groups.

    Of the past nobody knows what was pending: that is not kept.
    """
    asked, told = figures.asked, partial(_alone, figure)
    pending = None
    if asked.as_of is None:
        pending = [told(row) for row in figures.now if row.group[status] == PENDING]
    return Stands(
        asked.time.trust,
        asked.edges[1:],
        [*map(told, figures.now)],
        pending,
        [*map(told, restated)],
    )


def _alone(figure: Figure, row: FigureRow) -> FigureRow:
    return replace(row, sums=(figure(row),))


def _of_past(metric: Metric, past: Metric, rows: Sequence[FigureRow]) -> Sequence[FigureRow]:
    """Rows of `Metric.past` as those of the metric; what the past does not tell is None."""
    if past.by == metric.by:
        return rows
    place = {name: number for number, name in enumerate(past.by)}
    return [
        replace(row, group=tuple(row.group[place[n]] if n in place else None for n in metric.by))
        for row in rows
    ]
