"""Figures of subscribers: MRR with what moved it, churn, trials, from sums of facts.

Sums are integers of 1/10,000 minor unit; a figure is rounded once to whole minor units, half to
even, and parts that are shown beside their sum are rounded so that they add up to it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from domain.facts import SCALE, Fact, Series
from domain.mrr import (
    CHURN,
    CONTRACTION,
    EXPANSION,
    MOVEMENTS,
    REACTIVATION,
)
from domain.revenue_lines import LOST, WON
from domain.trials import CONVERTED, NOT_CONVERTED


@dataclass(frozen=True, slots=True)
class Waterfall:
    """MRR of one currency in minor units: `start`, then at the end of each bucket.

    `movements` are by kind, an amount a bucket; all of a bucket add up to the change of its level.
    """

    start: int
    levels: tuple[int, ...]
    movements: Mapping[str, tuple[int, ...]]

    @property
    def end(self) -> int:
        """MRR at the end of the last bucket."""
        return self.levels[-1] if self.levels else self.start

    def total(self, kind: str) -> int:
        """What a kind of movement made of the whole period."""
        return sum(self.movements.get(kind, ()))


@dataclass(frozen=True, slots=True)
class Churn:
    """MRR that went, as parts of MRR at the start; None where there was none."""

    gross: Fraction | None
    net: Fraction | None


def waterfall(opening: int, moved: Sequence[Mapping[str, int]]) -> Waterfall:
    """MRR from its level at the start and each bucket's sums by kind, in 1/10,000 minor unit."""
    kinds = sorted({kind for sums in moved for kind in sums}, key=_place)
    level, levels = opening, []
    parts: dict[str, list[int]] = {kind: [] for kind in kinds}
    for sums in moved:
        before, level = level, level + sum(sums.values())
        change = whole(level) - whole(before)
        shown = apportioned([sums.get(kind, 0) for kind in kinds], change)
        for kind, amount in zip(kinds, shown, strict=True):
            parts[kind].append(amount)
        levels.append(whole(level))
    return Waterfall(
        whole(opening), tuple(levels), {kind: tuple(amounts) for kind, amounts in parts.items()}
    )


def whole(amount: int) -> int:
    """Minor units of an amount in 1/10,000 of them, half to even."""
    return round(Fraction(amount, SCALE))


def apportioned(amounts: Sequence[int], total: int) -> list[int]:
    """Amounts in 1/10,000 minor unit as minor units that add up to `total`.

    Rounded down each; what then lacks goes to the largest remainders, what is too much comes off
    the smallest, the earlier part first. What is zero stays zero.
    """
    parts = [amount // SCALE for amount in amounts]
    lacking = total - sum(parts)
    moved = [place for place, amount in enumerate(amounts) if amount]
    step = 1 if lacking > 0 else -1
    order = sorted(moved, key=lambda place: (-step * (amounts[place] % SCALE), place))
    for number in range(abs(lacking) if order else 0):
        parts[order[number % len(order)]] += step
    return parts


def rate(part: int, whole_: int) -> Fraction | None:
    """A part of what is above zero; None of nothing."""
    return Fraction(part, whole_) if whole_ > 0 else None


def mrr_churn(opening: int, moved: Mapping[str, int]) -> Churn:
    """Gross: churn and contraction. Net: less expansion and reactivation. Exact sums go in."""
    lost = -moved.get(CHURN, 0) - moved.get(CONTRACTION, 0)
    regained = moved.get(EXPANSION, 0) + moved.get(REACTIVATION, 0)
    return Churn(rate(lost, opening), rate(lost - regained, opening))


def conversion(outcomes: Mapping[str, int]) -> Fraction | None:
    """Of the trials that are decided, how many converted."""
    return rate(
        outcomes.get(CONVERTED, 0), outcomes.get(CONVERTED, 0) + outcomes.get(NOT_CONVERTED, 0)
    )


def win_rate(closings: Mapping[str, int]) -> Fraction | None:
    """Of the disputes that were closed, how many were won."""
    return rate(closings.get(WON, 0), closings.get(WON, 0) + closings.get(LOST, 0))


def lost_in(facts: Iterable[Fact], start: dt.datetime, end: dt.datetime) -> set[str]:
    """The customers with MRR at `start` who churned before `end`, also those who came back."""
    opening, churned = Counter[str](), Counter[str]()
    for fact in facts:
        stated = fact.statement
        if stated.series is not Series.MRR or stated.kind not in MOVEMENTS:
            continue
        if stated.at < start:
            opening[stated.subject] += stated.count
        elif stated.at < end and stated.kind == CHURN:
            churned[stated.subject] -= stated.count
    return {who for who, count in churned.items() if count > 0 and opening[who] > 0}


def known_by(facts: Iterable[Fact], as_of: dt.datetime) -> list[Fact]:
    """The facts that stood at an instant of our own clock."""
    return [fact for fact in facts if fact.known_at <= as_of]


_PLACES: Final = {kind: place for place, kind in enumerate(MOVEMENTS)}


def _place(kind: str) -> tuple[int, str]:
    """Movements in the order in which they are told; what is not known, after them."""
    return _PLACES.get(kind, len(_PLACES)), kind
