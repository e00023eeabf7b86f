"""Tying to the bank: whether what Stripe held at two instants differs by the rows in between.

An anchor is a balance that is known apart from the rows: one that Stripe has told, or zero before
an account's first row. Its instant is known as an interval alone, and of a row's the second. So an
anchor does not tell one balance at the beginning of a reckoning but several that it may have been,
its origins; two anchors tie where they have one in common.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeAlias

from domain.balances import SECOND_MS, BalanceReading
from domain.reporting_categories import NetPart, net_part

MAX_TOLD_APART: Final = 6
"""Of so many rows of one second every order is looked at; of more only how far they reach."""

Range: TypeAlias = tuple[int, int]
"""All amounts from the first to the last, in minor units."""

Origins: TypeAlias = tuple[Range, ...]
"""Ranges that do not touch, in order."""


class Verdict(StrEnum):
    """What the anchors on both sides say of a time.

    TIES: they differ by exactly the rows between them. DIFFERS: they do not. UNKNOWN: there is none
    on one of the sides.
    """

    TIES = "ties"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A balance at some instant from `start_ms` to `end_ms`, in Stripe's time.

    `totals` are minor units by currency; what is not there is zero.
    """

    start_ms: int
    end_ms: int
    totals: Mapping[str, int] = field(default_factory=dict)

    @property
    def low_ms(self) -> int:
        """What was created before this instant is in the balance (`BalanceReading`)."""
        return self.start_ms // SECOND_MS * SECOND_MS - SECOND_MS

    @property
    def high_ms(self) -> int:
        """What was created from this instant on is not in it."""
        return self.end_ms + 1

    def total(self, currency: str) -> int:
        """The balance in a currency."""
        return self.totals.get(currency, 0)


BEGINNING: Final = Anchor(0, 0)
"""Before the first row of a history that is fully imported nothing was there."""


def anchor_of(reading: BalanceReading) -> Anchor:
    """A reading as an anchor."""
    totals = {each.currency: each.total for each in reading.currencies}
    return Anchor(reading.start_ms, reading.end_ms, totals)


def origins(total: int, before: int, seconds: Iterable[Sequence[int]]) -> Origins:
    """What the balance may have been at the beginning of a reckoning, as an anchor has it.

    `before` is the sum of the rows from there to the anchor's interval, `seconds` hold the nets of
    the rows of each second of that, in order. The anchor may have any first part of those rows. Of
    one second nobody knows which came first, so any of its rows may be that part.
    """
    ranges, start = [(0, 0)], 0
    for nets in seconds:
        if len(nets) <= MAX_TOLD_APART:
            ranges += [(start + part, start + part) for part in _parts(nets)]
        else:
            below, above = (sum(net for net in nets if (net > 0) is up) for up in (False, True))
            ranges.append((start + below, start + above))
        start += sum(nets)
    return _joined((total - before - high, total - before - low) for low, high in ranges)


def common(one: Origins, other: Origins) -> Origins:
    """What two anchors have in common; empty where they do not tie."""
    both = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return _joined(each for each in both if each[0] <= each[1])


def nearest(left: Origins, right: Origins) -> tuple[int, int]:
    """Where two anchors are nearest: how much more the right one has, and what the left one says.

    How much more is what the rows between them do not explain; 0 where they tie.
    """
    gaps = [_gap(one, other) for one in left for other in right]
    return min(gaps, key=lambda gap: (abs(gap[0]), gap))


@dataclass(frozen=True, slots=True)
class Placed:
    """An anchor, and what it says of the balance at the beginning of the reckoning."""

    anchor: Anchor
    origins: Origins


def follow(before: Placed | None, anchor: Anchor, says: Origins) -> Placed:
    """An anchor after another one: where they tie, it says what both of them say."""
    both = common(before.origins, says) if before is not None else ()
    return Placed(anchor, both or says)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the anchors say of a time; `remainder` is zero unless it DIFFERS.

    `origin` is the balance at the beginning of the reckoning by the left one, or by the right one
    where that is all there is; None without any.
    """

    verdict: Verdict
    remainder: int = 0
    origin: int | None = None


def judge(left: Placed | None, right: Placed | None) -> Judgement:
    """What the nearest anchors on both sides of a time say of it."""
    if left is None or right is None:
        known = right if left is None else left
        return Judgement(Verdict.UNKNOWN, origin=None if known is None else known.origins[0][0])
    both = common(left.origins, right.origins)
    if both:
        return Judgement(Verdict.TIES, origin=both[0][0])
    remainder, origin = nearest(left.origins, right.origins)
    return Judgement(Verdict.DIFFERS, remainder, origin)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest anchors on both sides of a time: None where there is none."""

    left: Anchor | None
    right: Anchor | None


def neighbours(anchors: Sequence[Anchor], edges: Sequence[int]) -> Sequence[Neighbours]:
    """Of each time between two edges (milliseconds, ascending); `anchors` are in order."""
    starts = [anchor.start_ms for anchor in anchors]
    return [
        Neighbours(
            anchors[before - 1] if (before := bisect_right(starts, start)) else None,
            anchors[after] if (after := bisect_left(starts, end)) < len(anchors) else None,
        )
        for start, end in pairwise(edges)
    ]


def moved(groups: Iterable[tuple[str | None, int, int]]) -> Mapping[NetPart, int]:
    """What rows are, by their place in net volume, from (category, amount, fee): they add up to
    what the balance has changed by. The fee of every row is part of the fees.
    """
    parts: Counter[NetPart] = Counter()
    for category, amount, fee in groups:
        parts[net_part(category)] += amount
        parts[NetPart.FEES] -= fee
    return dict(parts)


def _gap(left: Range, right: Range) -> tuple[int, int]:
    """How much more the right one has, and what of the left one is nearest to it."""
    if left[1] < right[0]:
        return right[0] - left[1], left[1]
    if right[1] < left[0]:
        return right[1] - left[0], left[0]
    return 0, max(left[0], right[0])


def _parts(nets: Sequence[int]) -> set[int]:
    """The sums of all choices of some amounts."""
    sums = {0}
    for net in nets:
        sums |= {each + net for each in sums}
    return sums


def _joined(ranges: Iterable[Range]) -> Origins:
    """The same amounts as ranges that do not touch, in order."""
    joined: list[Range] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)
