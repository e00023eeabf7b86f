"""Cohorts: the customers whose first MRR was in a month, and what became of them since.

A customer's cohort is told by all of his history: no range that is asked for changes it.
"""

import datetime as dt
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from domain.facts import Fact, Series
from domain.mrr import MOVEMENTS
from domain.subscriber_figures import whole

MAX_COHORTS: Final = 60
"""How many months of cohorts are told at once."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cohort at the end of a month: its subscribers, and their MRR in minor units by currency.

    `partial` while the month runs: as it stands now.
    """

    subscribers: int
    mrr: Mapping[str, int]
    partial: bool


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those who began in a month. The first cell is the end of that month."""

    start: dt.datetime
    size: int
    cells: tuple[Cell, ...]

    def retention(self, months: int) -> Fraction | None:
        """The part that subscribes `months` after the first; None: nobody began, or not yet."""
        if not self.size or months >= len(self.cells):
            return None
        return Fraction(self.cells[months].subscribers, self.size)


@dataclass(frozen=True, slots=True)
class CohortSum:
    """What moved the customers of a cohort in a month, by currency, as facts add up to."""

    cohort: int
    month: int
    currency: str
    amount: int
    count: int


@dataclass(frozen=True, slots=True)
class _Customer:
    """What moved a customer, by time: instants, how often he came less went, MRR by currency."""

    first: dt.datetime
    at: Sequence[dt.datetime]
    counts: Sequence[int]
    amounts: Sequence[Mapping[str, int]]

    def standing(self, instant: dt.datetime) -> tuple[int, Mapping[str, int]]:
        """Whether he subscribes just before an instant, and his MRR in 1/10,000 minor unit."""
        place = bisect_right(self.at, instant - dt.timedelta(microseconds=1))
        return (self.counts[place - 1], self.amounts[place - 1]) if place else (0, {})


def cohorts(facts: Iterable[Fact], edges: Sequence[dt.datetime], now: dt.datetime) -> list[Cohort]:
    """The cohorts of the months between edges, each up to the last edge, or the month of `now`."""
    customers = _customers(facts)
    found = []
    for month, start in enumerate(edges[:-1]):
        own = [each for each in customers if start <= each.first < edges[month + 1]]
        cells = []
        for begin, end in zip(edges[month:-1], edges[month + 1 :], strict=True):
            if begin <= now:
                cells.append(_cell(own, min(end, now + dt.timedelta(microseconds=1)), end > now))
        found.append(Cohort(start, len(own), tuple(cells)))
    return found


def cohorts_of(
    sizes: Mapping[int, int],
    sums: Iterable[CohortSum],
    edges: Sequence[dt.datetime],
    now: dt.datetime,
) -> list[Cohort]:
    """The same as `cohorts`, from sums of the months between edges, by their numbers."""
    counts, amounts = Counter[tuple[int, int]](), dict[tuple[int, int], Counter[str]]()
    for each in sums:
        counts[each.cohort, each.month] += each.count
        amounts.setdefault((each.cohort, each.month), Counter())[each.currency] += each.amount
    found = []
    for cohort, start in enumerate(edges[:-1]):
        cells, subscribers, mrr = list[Cell](), 0, Counter[str]()
        for month in range(cohort, len(edges) - 1):
            if edges[month] > now:
                break
            subscribers += counts[cohort, month]
            mrr.update(amounts.get((cohort, month), {}))
            rounded = {code: whole(amount) for code, amount in sorted(mrr.items())}
            cells.append(Cell(subscribers, rounded, edges[month + 1] > now))
        found.append(Cohort(start, sizes.get(cohort, 0), tuple(cells)))
    return found


def mean_retention(found: Sequence[Cohort], months: int) -> Fraction | None:
    """The mean over cohorts, of months that have ended; empty cohorts are in none, lost ones are.

    Each cohort weighs the same. None where no cohort has come so far.
    """
    parts = [
        part
        for cohort in found
        if (part := cohort.retention(months)) is not None and not cohort.cells[months].partial
    ]
    return sum(parts, Fraction(0)) / len(parts) if parts else None


def _cell(own: Sequence[_Customer], end: dt.datetime, partial: bool) -> Cell:
    subscribers, mrr = 0, Counter[str]()
    for customer in own:
        count, amounts = customer.standing(end)
        subscribers += count
        mrr.update(amounts)
    return Cell(subscribers, {code: whole(sum_) for code, sum_ in sorted(mrr.items())}, partial)


def _customers(facts: Iterable[Fact]) -> list[_Customer]:
    """Every customer who ever had MRR. What was restated is netted at its instant first."""
    counts: dict[str, Counter[dt.datetime]] = {}
    amounts: dict[str, dict[dt.datetime, Counter[str]]] = {}
    for fact in facts:
        stated = fact.statement
        if stated.series is Series.MRR and stated.kind in MOVEMENTS:
            counts.setdefault(stated.subject, Counter())[stated.at] += stated.count
            at = amounts.setdefault(stated.subject, {}).setdefault(stated.at, Counter())
            at[stated.currency] += stated.amount
    return [
        customer
        for subject, by_instant in counts.items()
        if (customer := _customer(by_instant, amounts[subject])) is not None
    ]


def _customer(
    counts: Mapping[dt.datetime, int], amounts: Mapping[dt.datetime, Mapping[str, int]]
) -> _Customer | None:
    at = sorted(counts)
    count, first, sums = 0, None, Counter[str]()
    running, levels = [], []
    for instant in at:
        count += counts[instant]
        sums.update(amounts[instant])
        if count > 0 and first is None:
            first = instant
        running.append(count)
        levels.append(dict(sums))
    return None if first is None else _Customer(first, at, running, levels)
