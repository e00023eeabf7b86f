"""What revenue questions have in common: comparison with the period before, and series."""

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
    """A figure of a period and of the one before. Amounts are minor units of one currency."""

    current: int
    previous: int

    @property
    def growth(self) -> Fraction | None:
        """(current - previous) / previous; None where previous is zero."""
        if self.previous == 0:
            return None
        return Fraction(self.current - self.previous, self.previous)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch `[start, end)` of a series; `partial` while it has not ended."""

    start: dt.datetime
    end: dt.datetime
    partial: bool


def buckets(edges: Sequence[dt.datetime], now: dt.datetime) -> list[Bucket]:
    """The buckets between edges, as seen at an instant."""
    return [Bucket(start, end, end > now) for start, end in pairwise(edges)]
