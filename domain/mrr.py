"""MRR: what should stand of a customer, from the evidence that there is of him.

Docs: docs/metrics.md, "MRR". The same for any order in which evidence came, and however often.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Final

from domain.evidence import CustomerEvidence
from domain.facts import SCALE, Basis, Series, Statement
from domain.mrr_steps import INVOLUNTARY, UNKNOWN, VOLUNTARY, Step, next_end, steps_of
from domain.trials import trials_of

NEW: Final = "new"
EXPANSION: Final = "expansion"
CONTRACTION: Final = "contraction"
CHURN: Final = "churn"
REACTIVATION: Final = "reactivation"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
SEAM: Final = "seam"

MOVEMENTS: Final = (
    NEW, EXPANSION, CONTRACTION, CHURN, REACTIVATION, PAUSED, RESUMED, SEAM,
)  # fmt: skip
"""The kinds that MRR is the sum of, and subscribers by `count`."""

DISCOUNT: Final = "discount"
"""What discounts take off: MRR before them is MRR and this."""

SCHEDULED: Final = "scheduled_cancellation"
"""MRR of what will be canceled; counts the customers who have some."""

UNPRICED: Final = "unpriced"
"""Counts what nobody can price; its cause says why, its source what it is."""

BEGINNINGS: Final = (NEW, SEAM)
"""The kinds with which a customer comes for the first time: seam where its cause is `new`."""

_Amounts = Mapping[str, int]


def statements_of(evidence: CustomerEvidence, now: dt.datetime) -> tuple[Statement, ...]:
    """All that should stand of a customer at `now`, in order of time.

    Series: mrr, trial, new_customer, first_payment. A discount that ends after `now` stands.
    """
    steps = steps_of(evidence, now)
    statements = [*_of_mrr(evidence.customer, steps), *trials_of(evidence, steps)]
    for series, at in (
        (Series.NEW_CUSTOMER, evidence.created),
        (Series.FIRST_PAYMENT, evidence.first_paid),
    ):
        if at is not None:
            who = evidence.customer
            statements.append(
                Statement(series, who, at, series.value, count=1, customer=who, source=who)
            )
    return tuple(sorted(statements, key=lambda statement: (statement.at, statement.series)))


def due_at(evidence: CustomerEvidence, now: dt.datetime) -> dt.datetime | None:
    """When a customer's facts change next without an event; None: they do not."""
    return next_end(evidence, now)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A customer at an instant: all his subscriptions, and rounded amounts by currency."""

    steps: Mapping[str, Step] = field(default_factory=dict)
    after: _Amounts = field(default_factory=dict)
    before: _Amounts = field(default_factory=dict)
    scheduled: _Amounts = field(default_factory=dict)

    @property
    def subscribes(self) -> bool:
        return any(amount > 0 for amount in self.after.values())

    @property
    def paused(self) -> bool:
        return any(step.paused for step in self.steps.values())

    @property
    def oddities(self) -> set[tuple[str, str]]:
        return {oddity for step in self.steps.values() for oddity in step.level.oddities}

    def with_steps(self, steps: Sequence[Step]) -> "_Standing":
        """The customer after what has changed in one second."""
        now = {**self.steps, **{step.subscription: step for step in steps}}
        going = [step for step in now.values() if step.scheduled]
        return _Standing(
            now,
            _rounded(step.level.after for step in now.values()),
            _rounded(step.level.before for step in now.values()),
            _rounded(step.level.after for step in going),
        )


def _rounded(levels: Iterator[Mapping[str, Fraction]]) -> _Amounts:
    """The sum a currency in 1/10,000 minor unit, rounded once, half to even."""
    sums: dict[str, Fraction] = {}
    for level in levels:
        for code, amount in level.items():
            sums[code] = sums.get(code, Fraction(0)) + amount
    return {code: round(amount * SCALE) for code, amount in sums.items()}


def _of_mrr(customer: str, steps: Sequence[Step]) -> Iterator[Statement]:
    standing, has_subscribed = _Standing(), False
    for (at, _), together in groupby(steps, key=lambda step: (step.at, not step.seam)):
        changed = [
            step
            for step in together
            if step.subscription not in standing.steps
            or standing.steps[step.subscription].level != step.level
            or step.scheduled != standing.steps[step.subscription].scheduled
            or step.paused != standing.steps[step.subscription].paused
        ]
        if not changed:
            continue
        following = standing.with_steps(changed)
        said = _Said(customer, at, changed)
        yield from said.movements(standing, following, first=not has_subscribed)
        yield from said.beside(standing, following)
        has_subscribed = has_subscribed or following.subscribes
        standing = following


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of one second: by whom, when, and why."""

    customer: str
    at: dt.datetime
    changed: Sequence[Step]

    def movements(self, before: _Standing, after: _Standing, *, first: bool) -> Iterator[Statement]:
        """A movement a currency; the first of them bears that a subscriber came or went."""
        deltas = _deltas(before.after, after.after)
        came = after.subscribes - before.subscribes
        for place, (code, amount) in enumerate(sorted(deltas.items())):
            kind = self._kind(before, after, amount, first=first)
            count = came if place == 0 else 0
            begins = first and came > 0
            cause = NEW if kind == SEAM and begins else self._cause(kind, before)
            yield self._statement(kind, code, amount, count, cause)

    def beside(self, before: _Standing, after: _Standing) -> Iterator[Statement]:
        """What stands beside MRR and moves none of it."""
        off_before, off_after = (_off(standing) for standing in (before, after))
        for code, amount in sorted(_deltas(off_before, off_after).items()):
            yield self._statement(DISCOUNT, code, amount)
        count = any(after.scheduled.values()) - any(before.scheduled.values())
        deltas = sorted(_deltas(before.scheduled, after.scheduled).items())
        for place, (code, amount) in enumerate(deltas):
            yield self._statement(SCHEDULED, code, amount, count if place == 0 else 0)
        counts = Counter(after.oddities)
        counts.subtract(before.oddities)
        for (cause, source), change in sorted(counts.items()):
            if change:
                yield self._statement(UNPRICED, "", 0, change, cause, source)

    def _kind(self, before: _Standing, after: _Standing, amount: int, *, first: bool) -> str:
        if any(step.seam for step in self.changed):
            return SEAM
        if before.subscribes and after.subscribes:
            return EXPANSION if amount > 0 else CONTRACTION
        if before.subscribes:
            return PAUSED if after.paused else CHURN
        if first:
            return NEW
        return RESUMED if before.paused else REACTIVATION

    def _cause(self, kind: str, before: _Standing) -> str:
        """Why: what all that changed agrees on; of churn, whether anything of it was not wished."""
        causes = {step.why for step in self.changed}
        if kind == CHURN:
            lost = {
                step.why
                for step in self.changed
                if step.subscription in before.steps and before.steps[step.subscription].level
            }
            return next((why for why in (INVOLUNTARY, UNKNOWN, VOLUNTARY) if why in lost), UNKNOWN)
        return causes.pop() if len(causes) == 1 else ""

    def _statement(
        self, kind: str, currency: str, amount: int, count: int = 0, cause: str = "",
        source: str = "",
    ) -> Statement:  # fmt: skip
        sources = {step.subscription for step in self.changed}
        basis = Basis.OBSERVED
        if kind == SEAM or any(step.basis is Basis.RECONSTRUCTED for step in self.changed):
            basis = Basis.RECONSTRUCTED
        return Statement(
            Series.MRR, self.customer, self.at, kind, currency, amount, count, cause,
            self.customer, source=source or (sources.pop() if len(sources) == 1 else ""),
            basis=basis,
        )  # fmt: skip


def _off(standing: _Standing) -> _Amounts:
    return {code: amount - standing.after.get(code, 0) for code, amount in standing.before.items()}


def _deltas(before: _Amounts, after: _Amounts) -> dict[str, int]:
    deltas = {
        code: after.get(code, 0) - before.get(code, 0) for code in before.keys() | after.keys()
    }
    return {code: amount for code, amount in deltas.items() if amount}
