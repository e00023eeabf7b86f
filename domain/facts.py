"""Facts: what happened to customers and to what they paid, posted once and never changed.

A `Statement` is what should stand, as a pure function makes it of a subject's evidence
(`domain/evidence.py`). A `Fact` is a statement as it was posted. Where later evidence asks for
something else, the difference is posted: the facts of a subject, summed by what they state, are
what should stand.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

SCALE: Final = 10_000
"""Amounts of facts are integers of 1/10,000 of a minor unit."""


class Series(StrEnum):
    """What facts are about. The subject of each series is named behind it."""

    MRR = "mrr"  # customer
    NEW_CUSTOMER = "new_customer"  # customer
    FIRST_PAYMENT = "first_payment"  # customer
    TRIAL = "trial"  # customer
    DISPUTE_CLOSED = "dispute_closed"  # dispute
    REVENUE_LINE = "revenue_line"  # charge


class Basis(StrEnum):
    """How a fact is known: seen as it happened, or made of invoices of before the connection."""

    OBSERVED = "observed"
    RECONSTRUCTED = "reconstructed"


@dataclass(frozen=True, slots=True)
class Statement:
    """What should stand of a subject, at an instant of Stripe's time (aware UTC, whole seconds).

    `amount` is signed, in 1/10,000 minor unit of `currency`. `count` is -1, 0 or +1: a subscriber
    who came or went, over all currencies. `kind` is the series' own (`new`, `churn`, …), `cause`
    why (`discount_ended`, …); `source` the object that it follows from. What is not told is empty.
    """

    series: Series
    subject: str
    at: dt.datetime
    kind: str
    currency: str = ""
    amount: int = 0
    count: int = 0
    cause: str = ""
    customer: str = ""
    product: str = ""
    source: str = ""
    basis: Basis = Basis.OBSERVED

    def __post_init__(self) -> None:
        if not self.subject or not self.kind:
            raise ValueError("subject, kind: must not be empty")
        if self.count not in (-1, 0, 1):
            raise ValueError("count: must be -1, 0 or 1")
        if self.amount and not self.currency:
            raise ValueError("currency: must be there for an amount")


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement as it was posted, at `known_at` of our own clock (aware UTC).

    `generation` counts the facts of its series and subject from 1. `restates` is the generation of
    the first fact that stated the same, where this one corrects it; 0 where it says something new.
    `late`: its time was closed when it was posted, so it changed figures that were told as closed.
    """

    statement: Statement
    generation: int
    known_at: dt.datetime
    restates: int = 0
    late: bool = False

    def __post_init__(self) -> None:
        if self.generation < 1 or not 0 <= self.restates < self.generation:
            raise ValueError("generation, restates: must be 1 or more, and an earlier one")


def difference(
    should: Iterable[Statement], stands: Sequence[Fact], known_at: dt.datetime
) -> tuple[Fact, ...]:
    """What is to be posted of one series and subject, so that what stands is what should.

    `stands` are all its facts. The new ones continue their generations, in order of `at`.
    """
    amounts, counts = Counter[_Stated](), Counter[_Stated]()
    of: dict[_Stated, Statement] = {}
    first: dict[_Stated, int] = {}
    for statement in should:
        stated = _stated(statement)
        of.setdefault(stated, statement)
        amounts[stated] += statement.amount
        counts[stated] += statement.count
    for fact in sorted(stands, key=lambda fact: fact.generation):
        stated = _stated(fact.statement)
        of.setdefault(stated, fact.statement)
        amounts[stated] -= fact.statement.amount
        counts[stated] -= fact.statement.count
        first.setdefault(stated, fact.generation)
    generation = max((fact.generation for fact in stands), default=0)
    facts = []
    for stated in sorted(stated for stated in of if amounts[stated] or counts[stated]):
        amount, count = amounts[stated], counts[stated]
        while amount or count:
            step = max(-1, min(1, count))
            generation += 1
            posted = replace(of[stated], amount=amount, count=step)
            facts.append(Fact(posted, generation, known_at, first.get(stated, 0)))
            amount, count = 0, count - step
    return tuple(facts)


def stood(fact: Fact, stands: Iterable[Fact]) -> tuple[int, int] | None:
    """The amount and the count that stand of what a fact states; None: nobody has stated it."""
    same = [each for each in stands if _stated(each.statement) == _stated(fact.statement)]
    if not same:
        return None
    amounts, counts = ([each.statement.amount for each in same],
                       [each.statement.count for each in same])  # fmt: skip
    return sum(amounts), sum(counts)


_Stated = tuple[dt.datetime, str, str, str, str, str, str, str]
"""What is stated, without its figures: what statements that add up have in common."""


def _stated(statement: Statement) -> _Stated:
    return (
        statement.at,
        statement.currency,
        statement.kind,
        statement.cause,
        statement.product,
        statement.source,
        statement.basis,
        statement.customer,
    )
