"""Payments and failures: what became of what customers tried to pay."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from application.analytics.asking import Asking, Figures, Series, number
from application.analytics.metrics import (
    ATTEMPTS,
    FAILURES,
    PAID_SINGLE_CHARGES,
    PAYMENTS,
    SINGLE_CHARGES,
)
from application.analytics.ports import FigureRow
from application.analytics.questions import Asked, Compared, Question
from application.requests.callers import Caller
from domain.attempts import BLOCKED, PaymentOutcome, outcome_of
from domain.errors import FieldViolation

UNKNOWN: Final = "unknown"
"""How a reason or a risk is called that Stripe does not tell."""


@dataclass(frozen=True, slots=True)
class CurrencyPayments:
    """What was paid in one currency; `average` is of a paid payment, None where there is none."""

    currency: str
    paid: Series
    captured: Series

    @property
    def average(self) -> int | None:
        """Minor units of a paid payment, rounded half to even."""
        return _average(self.captured.total.current, self.paid.total.current)

    @property
    def previous_average(self) -> int | None:
        """The same of the period before."""
        return _average(self.captured.total.previous, self.paid.total.previous)


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments by what became of them; each is exactly one of `outcomes`.

    `attempts` are those of the period's payments, whenever they were made; `attempts_made` those
    made in the period.
    """

    time: Compared
    payments: Series
    outcomes: Mapping[PaymentOutcome, Series]
    recovered: Series
    attempts: Series
    attempts_made: Series
    currencies: Sequence[CurrencyPayments]

    @property
    def success_rate(self) -> Fraction | None:
        """paid / (paid + failed); None where there is neither."""
        return self._rate(lambda series: series.total.current)

    @property
    def previous_success_rate(self) -> Fraction | None:
        """The same of the period before."""
        return self._rate(lambda series: series.total.previous)

    def _rate(self, figure: Callable[[Series], int]) -> Fraction | None:
        paid, failed = (
            figure(self.outcomes[outcome])
            for outcome in (PaymentOutcome.PAID, PaymentOutcome.FAILED)
        )
        return Fraction(paid, paid + failed) if paid + failed else None


@dataclass(frozen=True, slots=True)
class Failures:
    """Attempts that were declined, by reason, and blocked; all attempts by risk level.

    Reasons come with the most frequent first, risk levels in order of their names.
    """

    time: Compared
    declined: Series
    blocked: Series
    reasons: Mapping[str, Series]
    risk_levels: Mapping[str, Series]


class PaymentAnalytics:
    """Answers what became of payments."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def payments(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Payments:
        """Payments at their first attempt, by what has become of them since."""
        return await self.payments_of(await self._asking.asked(caller, question, violations))

    async def failures(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Failures:
        """Failed attempts by reason, and attempts by risk."""
        return await self.failures_of(await self._asking.asked(caller, question, violations))

    async def payments_of(self, asked: Asked) -> Payments:
        """Payments of a question that was checked."""
        metrics = (PAYMENTS, SINGLE_CHARGES, PAID_SINGLE_CHARGES, ATTEMPTS)
        of_intents, single, paid, made = await asyncio.gather(
            *(self._asking.figures(asked, metric) for metric in metrics)
        )
        figures = of_intents.joined(single.mapped(_unpaid)).joined(paid.mapped(_paid))
        return Payments(
            asked.time,
            figures.series(number),
            {outcome: _having(figures, outcome).series(number) for outcome in PaymentOutcome},
            figures.where(lambda row: bool(row.group[1])).series(number),
            figures.series(lambda row: row.sums[0]),
            made.series(number),
            [_currency(figures.of(code), code) for code in figures.codes],
        )

    async def failures_of(self, asked: Asked) -> Failures:
        """Failures of a question that was checked."""
        failures, attempts = await asyncio.gather(
            self._asking.figures(asked, FAILURES), self._asking.figures(asked, ATTEMPTS)
        )
        declined = failures.where(lambda row: row.group[0] != BLOCKED)
        reasons = _by(declined, 1)
        return Failures(
            asked.time,
            declined.series(number),
            failures.where(lambda row: row.group[0] == BLOCKED).series(number),
            dict(sorted(reasons.items(), key=lambda each: (-each[1].total.current, each[0]))),
            _by(attempts, 2),
        )


def _unpaid(row: FigureRow) -> Iterator[FigureRow]:
    """Single charges as payments, as if none of them had taken money."""
    outcome = outcome_of(*row.group, paid=False)
    yield replace(row, group=(outcome, False), sums=(row.count, 0))


def _paid(row: FigureRow) -> Iterator[FigureRow]:
    """Those that did: they are paid, and not open, as which `_unpaid` has counted them."""
    yield replace(row, group=(PaymentOutcome.PAID, False), sums=(0, row.sums[0]))
    yield replace(row, group=(PaymentOutcome.OPEN, False), sums=(0, 0), count=-row.count)


def _having(figures: Figures, outcome: PaymentOutcome) -> Figures:
    return figures.where(lambda row: row.group[0] == outcome)


def _currency(figures: Figures, currency: str) -> CurrencyPayments:
    paid = _having(figures, PaymentOutcome.PAID)
    return CurrencyPayments(currency, paid.series(number), paid.series(lambda row: row.sums[1]))


def _by(figures: Figures, place: int) -> dict[str, Series]:
    parts = figures.by(lambda row: row.group[place] or UNKNOWN)
    return {name: part.series(number) for name, part in parts.items()}


def _average(amount: int, count: int) -> int | None:
    return round(Fraction(amount, count)) if count else None
