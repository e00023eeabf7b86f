"""What revenue questions have in common: growth from the period before, and series."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a period and of the one before. Amounts are minor units of one currency.

    `previous_so_far` is there while the period runs: the figure of as much of the one before as has
    passed of this one, so that like is compared with like.
    """

    current: int
    previous: int
    previous_so_far: int | None = None

    @property
    def growth(self) -> Fraction | None:
        """From the whole period before; None where that is zero."""
        return growth(self.current, self.previous)

    @property
    def growth_so_far(self) -> Fraction | None:
        """From the same stretch of the period before; None where that is zero or not there."""
        return None if self.previous_so_far is None else growth(self.current, self.previous_so_far)


def growth(now: int, before: int) -> Fraction | None:
    """(now - before) / |before|: above zero where the figure rose, also from a negative one."""
    return Fraction(now - before, abs(before)) if before else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch `[start, end)` of a series; `partial` while it has not ended."""

    start: dt.datetime
    end: dt.datetime
    partial: bool


def buckets(edges: Sequence[dt.datetime], now: dt.datetime) -> list[Bucket]:
    """The buckets between edges, as seen at an instant."""
    return [Bucket(start, end, end > now) for start, end in pairwise(edges)]
