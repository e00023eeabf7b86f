"""Subscribers: MRR with what moved it, who came and who went, trials, cohorts, customers."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from application.analytics.asking import Asking
from application.analytics.asking import Series as Figure
from application.analytics.fact_figures import BEFORE, FactFigures, FactSum
from application.analytics.fact_sums import FactSums, sums_of
from application.analytics.questions import Asked, Compared, Question
from application.background.clock import Clock
from application.requests.callers import Caller
from domain.analytics import Comparison
from domain.cohorts import MAX_COHORTS, Cohort, cohorts_of, mean_retention
from domain.errors import FieldViolation, InvalidArgument
from domain.facts import Series
from domain.mrr import CHURN, DISCOUNT, MOVEMENTS, SCHEDULED, UNPRICED
from domain.mrr_steps import INVOLUNTARY, UNKNOWN, VOLUNTARY
from domain.periods import Granularity, Period
from domain.subscriber_figures import (
    Churn,
    Waterfall,
    conversion,
    mrr_churn,
    rate,
    waterfall,
    whole,
)
from domain.trials import OUTCOMES

CAUSES: Final = (VOLUNTARY, INVOLUNTARY, UNKNOWN)
"""Whether who went wished to."""

YEAR: Final = 12
"""How many months ARR has."""


@dataclass(frozen=True, slots=True)
class CurrencyMrr:
    """MRR of a currency in minor units: of the period, and of the one before.

    `waterfall` and `previous` start and end with a level. `before_discounts` and `scheduled` (what
    will be canceled) are levels at the end of the period, `arr` is MRR there times twelve.
    """

    currency: str
    waterfall: Waterfall
    previous: Waterfall
    arr: int
    before_discounts: int
    scheduled: int
    churn: Churn

    def movement(self, kind: str) -> Figure:
        """One kind of movement: in all, and a bucket."""
        amounts = self.waterfall.movements.get(kind, (0,) * len(self.waterfall.levels))
        total = Comparison(self.waterfall.total(kind), self.previous.total(kind))
        return Figure(total, amounts)


@dataclass(frozen=True, slots=True)
class Mrr:
    """MRR by currency. `unpriced` counts what nobody can price at the end, by its cause."""

    time: Compared
    currencies: Sequence[CurrencyMrr]
    unpriced: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Subscribers:
    """How many customers have MRR, over all currencies; `counts` is at the end of each bucket.

    `movements` are how many came less how many went, by kind. `lost` had MRR at the start and
    churned, each once; `churned` are churns by cause, `scheduled` who will be canceled.
    """

    time: Compared
    start: int
    counts: Sequence[int]
    movements: Mapping[str, Figure]
    churned: Mapping[str, Figure]
    lost: int
    previous_lost: int
    previous_start: int
    scheduled: int

    @property
    def end(self) -> int:
        """Who has MRR at the end of the period."""
        return self.counts[-1]

    @property
    def churn_rate(self) -> Fraction | None:
        """lost / those at the start; None where there is none."""
        return rate(self.lost, self.start)

    @property
    def previous_churn_rate(self) -> Fraction | None:
        """The same of the period before."""
        return rate(self.previous_lost, self.previous_start)


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials that ended, by what became of them so far."""

    time: Compared
    outcomes: Mapping[str, Figure]

    @property
    def conversion_rate(self) -> Fraction | None:
        """converted / (converted + not converted); None while none is decided."""
        return conversion({kind: each.total.current for kind, each in self.outcomes.items()})

    @property
    def previous_conversion_rate(self) -> Fraction | None:
        """The same of the period before."""
        return conversion({kind: each.total.previous for kind, each in self.outcomes.items()})


@dataclass(frozen=True, slots=True)
class Customers:
    """New customers, and those who paid for the first time."""

    time: Compared
    created: Figure
    first_payers: Figure


@dataclass(frozen=True, slots=True)
class SubscriberParts:
    """What an overview tells of subscribers."""

    mrr: Mrr
    subscribers: Subscribers
    trials: Trials
    customers: Customers


@dataclass(frozen=True, slots=True)
class Cohorts:
    """The cohorts of the months asked for, and the mean retention after so many months."""

    time: Compared
    cohorts: Sequence[Cohort]
    means: Sequence[Fraction | None]


class SubscriberAnalytics:
    """Answers from facts: what happened to subscribers, whatever has become of them since."""

    def __init__(self, asking: Asking, facts: FactFigures, clock: Clock) -> None:
        self._asking = asking
        self._facts = facts
        self._clock = clock

    async def mrr(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Mrr:
        """MRR at the start and the end of the period, and what moved it."""
        asked = await self._asked(caller, question, violations, Series.MRR)
        return self._mrr_of(await self._sums(asked, Series.MRR))

    async def parts_of(self, asked: Asked) -> SubscriberParts:
        """All of a question that was checked, but for cohorts; what moved MRR is read once."""
        (mrr, trials), (created, paid), lost = await asyncio.gather(
            asyncio.gather(*(self._sums(asked, each) for each in (Series.MRR, Series.TRIAL))),
            asyncio.gather(
                self._sums(asked, Series.NEW_CUSTOMER), self._sums(asked, Series.FIRST_PAYMENT)
            ),
            self._both_lost(asked),
        )
        return SubscriberParts(
            self._mrr_of(mrr),
            self._subscribers_of(mrr, *lost),
            _trials_of(trials),
            Customers(asked.time, created.figure, paid.figure),
        )

    def _mrr_of(self, sums: FactSums) -> Mrr:
        asked = sums.asked
        codes = {row.currency for row in (*sums.now, *sums.before) if row.currency}
        if asked.currency:
            codes = {asked.currency}
        unpriced = Counter[str]()
        for row in sums.of(UNPRICED).now:
            unpriced[row.cause] += row.count
        return Mrr(
            asked.time, [_of_currency(sums, code) for code in sorted(codes)], +unpriced
        )  # fmt: skip

    async def subscribers(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Subscribers:
        """Who has MRR, who came and who went. A currency narrows nothing here."""
        asked = await self._asked(caller, question, violations, Series.MRR)
        sums, lost = await asyncio.gather(self._sums(asked, Series.MRR), self._both_lost(asked))
        return self._subscribers_of(sums, *lost)

    def _subscribers_of(self, sums: FactSums, lost: int, previous_lost: int) -> Subscribers:
        asked = sums.asked
        moved, churned = sums.moved, sums.of(CHURN)
        start = _opening(moved.now)
        counts = [start + come for come in _running(moved.figure.values)]
        return Subscribers(
            asked.time, start, counts,
            {kind: moved.of(kind).figure for kind in MOVEMENTS},
            {cause: churned.where(_because(cause)).figure for cause in CAUSES},
            lost, previous_lost, _opening(moved.before),
            sum(row.count for row in sums.of(SCHEDULED).now),
        )  # fmt: skip

    async def trials(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Trials:
        """Trials by their end."""
        asked = await self._asked(caller, question, violations, Series.TRIAL)
        return _trials_of(await self._sums(asked, Series.TRIAL))

    async def customers(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Customers:
        """New customers, and first-time payers, apart."""
        asked = await self._asked(caller, question, violations, Series.NEW_CUSTOMER)
        created, paid = await asyncio.gather(
            self._sums(asked, Series.NEW_CUSTOMER), self._sums(asked, Series.FIRST_PAYMENT)
        )
        return Customers(asked.time, created.figure, paid.figure)

    async def cohorts(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Cohorts:
        """The cohorts that began in the months of the period, up to its end."""
        by_month = replace(question, granularity=Granularity.MONTH)
        asked = await self._asked(
            caller, by_month, [*violations, *_too_many_months(question)], Series.MRR
        )
        found = await self._facts.cohorts(asked.stripe_account, asked.edges, known_by=asked.as_of)
        seen = asked.as_of or self._clock.now()
        cohorts = cohorts_of(found.sizes, found.sums, asked.edges, seen)
        means = [mean_retention(cohorts, months) for months in range(len(asked.edges) - 1)]
        return Cohorts(asked.time, cohorts, means)

    async def _asked(
        self,
        caller: Caller,
        question: Question,
        violations: Sequence[FieldViolation],
        series: Series,
    ) -> Asked:
        """A question that was checked. InvalidArgument for an instant before the first fact."""
        asked = await self._asking.asked(caller, question, violations)
        if asked.as_of is not None:
            first = await self._facts.first_known(asked.stripe_account, series)
            if first is not None and asked.as_of < first:
                rule = f"not before the first fact was known: {first:%Y-%m-%dT%H:%M:%SZ}"
                raise InvalidArgument([FieldViolation("as_of", rule)])
        return asked

    async def _both_lost(self, asked: Asked) -> tuple[int, int]:
        now, before = await asyncio.gather(
            self._lost(asked, asked.time.period), self._lost(asked, asked.time.previous)
        )
        return now, before

    async def _lost(self, asked: Asked, period: Period) -> int:
        return await self._facts.lost(
            asked.stripe_account, period.start, period.end, known_by=asked.as_of
        )

    async def _sums(self, asked: Asked, series: Series) -> FactSums:
        return await sums_of(self._facts, asked, series, opening=series is Series.MRR)


def _trials_of(sums: FactSums) -> Trials:
    return Trials(sums.asked.time, {kind: sums.of(kind).figure for kind in OUTCOMES})


def _of_currency(sums: FactSums, code: str) -> CurrencyMrr:
    own = sums.where(lambda row: row.currency == code)
    moved = own.moved
    found = _waterfall(moved.now, len(sums.asked.edges) - 1)
    exact = Counter[str]()
    for row in moved.now:
        if row.bucket != BEFORE:
            exact[row.kind] += row.amount
    level = sum(row.amount for row in moved.now)
    opening = level - sum(exact.values())
    off = sum(row.amount for row in own.of(DISCOUNT).now)
    return CurrencyMrr(
        code, found, _waterfall(moved.before, len(sums.asked.edges_before) - 1),
        whole(YEAR * level), whole(level + off),
        whole(sum(row.amount for row in own.of(SCHEDULED).now)), mrr_churn(opening, exact),
    )  # fmt: skip


def _waterfall(rows: Sequence[FactSum], buckets: int) -> Waterfall:
    opening = sum(row.amount for row in rows if row.bucket == BEFORE)
    moved: list[Counter[str]] = [Counter() for _ in range(buckets)]
    for row in rows:
        if row.bucket != BEFORE:
            moved[row.bucket][row.kind] += row.amount
    return waterfall(opening, moved)


def _opening(rows: Sequence[FactSum]) -> int:
    return sum(row.count for row in rows if row.bucket == BEFORE)


def _running(values: Sequence[int]) -> Iterator[int]:
    total = 0
    for value in values:
        total += value
        yield total


def _because(cause: str) -> Callable[[FactSum], bool]:
    return lambda row: row.cause == cause


def _too_many_months(question: Question) -> Iterator[FieldViolation]:
    start, end = question.start, question.end
    if start is None or end is None:
        return
    longest = dt.timedelta(days=31 * MAX_COHORTS)
    months = (end.year - start.year) * 12 + end.month - start.month
    if end - start > longest or months > MAX_COHORTS:
        yield FieldViolation("period.end_time", f"at most {MAX_COHORTS} months after start_time")
