"""Refunds and disputes: what goes back, by the date of each movement."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from application.analytics.asking import (
    Asking,
    Figures,
    Series,
    first_sum,
    number,
    stands_of,
)
from application.analytics.fact_figures import FactFigures
from application.analytics.fact_sums import sums_of
from application.analytics.metrics import (
    DISPUTES_MOVED,
    DISPUTES_OPENED,
    REFUNDS_MADE,
    REFUNDS_MOVED,
    SETTLEMENT_GROSS,
    SUCCEEDED_CHARGES,
    Metric,
)
from application.analytics.ports import FigureRow
from application.analytics.questions import Asked, Compared, Question
from application.analytics.trust import BucketTrust, CurrencyTrust, Stands
from application.requests.callers import Caller
from domain.analytics import Comparison
from domain.errors import FieldViolation
from domain.facts import Series as Facts
from domain.revenue_lines import LOST, UNDATED, WON
from domain.subscriber_figures import win_rate

CLOSINGS: Final = (WON, LOST, UNDATED)


def rate(part: int, whole: int) -> Fraction | None:
    """part / whole; None where that is zero."""
    return Fraction(part, whole) if whole else None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What went back in one settlement currency: `taken` less `returned` is `amount`.

    Of refunds those are what was refunded, and what failed refunds gave back; of disputes what was
    withdrawn and what was reinstated. `count` are those that took money for the first time. `gross`
    is what settled in the same period, which the rate is of. Of the past nobody knows `count`, nor
    `provisional`. `stands` says of each bucket whether its amount still moves.
    """

    currency: str
    amount: Series
    taken: Series
    returned: Series
    count: Series | None
    gross: Comparison
    provisional: int | None
    stands: Sequence[BucketTrust] = ()

    @property
    def rate(self) -> Fraction | None:
        """amount / gross; None where that is zero."""
        return rate(self.amount.total.current, self.gross.current)

    @property
    def previous_rate(self) -> Fraction | None:
        """The same of the period before."""
        return rate(self.amount.total.previous, self.gross.previous)


@dataclass(frozen=True, slots=True)
class Refunds:
    """Refunds of a period and the one before, per settlement currency in order of its code.

    `trusts` tell how much of the amount is provisional, and was restated.
    """

    time: Compared
    currencies: Sequence[TakenBack]
    trusts: Sequence[CurrencyTrust] = ()


@dataclass(frozen=True, slots=True)
class Disputes:
    """Disputes likewise; `statuses` says how those counted in the period stand now.

    `closings` are those that were closed in the period, by what became of them, over all currencies
    and, of the past, as it was known then (docs/metrics.md, "Disputes").

    `succeeded` are the charges that took money, of those that settled in these currencies. Of the
    past nobody knows these three.
    """

    time: Compared
    currencies: Sequence[TakenBack]
    count: Series | None
    statuses: Mapping[str, int]
    succeeded: Comparison | None
    trusts: Sequence[CurrencyTrust] = ()
    closings: Mapping[str, Series] = field(default_factory=dict)

    @property
    def win_rate(self) -> Fraction | None:
        """won / (won + lost) by closing; None where none was closed."""
        return win_rate({kind: each.total.current for kind, each in self.closings.items()})

    @property
    def previous_win_rate(self) -> Fraction | None:
        """The same of the period before."""
        return win_rate({kind: each.total.previous for kind, each in self.closings.items()})

    @property
    def count_rate(self) -> Fraction | None:
        """disputes / charges that succeeded; None where there is none of these."""
        if self.count is None or self.succeeded is None:
            return None
        return rate(self.count.total.current, self.succeeded.current)

    @property
    def previous_count_rate(self) -> Fraction | None:
        """The same of the period before."""
        if self.count is None or self.succeeded is None:
            return None
        return rate(self.count.total.previous, self.succeeded.previous)


class ReturnAnalytics:
    """Answers what goes back to customers, and to their banks."""

    def __init__(self, asking: Asking, facts: FactFigures) -> None:
        self._asking = asking
        self._facts = facts

    async def refunds(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Refunds:
        """What was refunded, less what came back of refunds that failed."""
        return await self.refunds_of(await self._asking.asked(caller, question, violations))

    async def disputes(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Disputes:
        """What disputes withdrew, less what was reinstated."""
        return await self.disputes_of(await self._asking.asked(caller, question, violations))

    async def refunds_of(self, asked: Asked) -> Refunds:
        """Refunds of a question that was checked."""
        (moved, stands, gross), made = await asyncio.gather(
            self._moved(asked, REFUNDS_MOVED), self._of_now(asked, REFUNDS_MADE)
        )
        parts = _taken_back(moved, made, gross, "refund", stands)
        return Refunds(asked.time, parts, stands.currencies)

    async def disputes_of(self, asked: Asked) -> Disputes:
        """Disputes of a question that was checked."""
        (moved, stands, gross), opened, succeeded, closings = await asyncio.gather(
            self._moved(asked, DISPUTES_MOVED),
            self._of_now(asked, DISPUTES_OPENED),
            # By the currency that they settled in: a dispute is in that, too.
            self._of_now(_whole(asked), SUCCEEDED_CHARGES),
            self._closings(asked),
        )
        return Disputes(
            asked.time,
            _taken_back(moved, opened, gross, "dispute", stands),
            None if opened is None else opened.series(number),
            {} if opened is None else _statuses(opened),
            None if succeeded is None else succeeded.where(_settled_in(asked)).compared(number),
            stands.currencies,
            closings,
        )

    async def _closings(self, asked: Asked) -> Mapping[str, Series]:
        sums = await sums_of(self._facts, asked, Facts.DISPUTE_CLOSED)
        return {kind: sums.of(kind).figure for kind in CLOSINGS}

    async def _of_now(self, asked: Asked, metric: Metric) -> Figures | None:
        """A metric whose rows keep no changes; None of the past, which nobody knows."""
        return None if asked.as_of is not None else await self._asking.figures(asked, metric)

    async def _moved(self, asked: Asked, metric: Metric) -> tuple[Figures, Stands, Figures]:
        """What moved, how that stands, and what the rate is of."""
        moved, gross, restated = await asyncio.gather(
            self._asking.figures(asked, metric),
            self._asking.figures(asked, SETTLEMENT_GROSS),
            self._asking.restated(asked, metric),
        )
        return moved, stands_of(moved, restated, _given, metric.by.index("status")), gross


def _statuses(opened: Figures) -> Mapping[str, int]:
    """How disputes stand now."""
    return {
        status: sum(row.count for row in opened.now if row.group[0] == status)
        for status in sorted({row.group[0] for row in opened.now} | {WON, LOST})
    }


def _whole(asked: Asked) -> Asked:
    return replace(asked, currency="")


def _settled_in(asked: Asked) -> Callable[[FigureRow], bool]:
    return lambda row: asked.currency in ("", row.group[0])


def _taken_back(
    moved: Figures, made: Figures | None, gross: Figures, category: str, stands: Stands
) -> Sequence[TakenBack]:
    return [
        TakenBack(
            code,
            moved.of(code).series(_given),
            moved.of(code).where(lambda row: row.group[0] == category).series(_given),
            moved.of(code).where(lambda row: row.group[0] != category).series(first_sum),
            None if made is None else made.of(code).series(number),
            gross.of(code).compared(first_sum),
            stands.provisional(code),
            stands.buckets(code),
        )
        for code in (moved if made is None else moved.joined(made)).codes
    ]


def _given(row: FigureRow) -> int:
    """What a movement gives away: it lowers the balance."""
    return -row.sums[0]
