"""Figures of closed buckets that a store remembers, and the marks that say whether they stand.

A mark is a number of a Stripe account, a noun and a UTC day that only grows. Whoever changes a
counted column of a row (`application.mirror.ports.Counted`) first raises the marks of the days that
the row counted on and will count on; then he writes the row, which nobody sees before. Between the
two there may be less than SETTLED: where it took longer, or where it is not known whether the row
was written, the marks are raised again.

So what was read after a mark had been left alone for SETTLED, and is found under the same mark, is
what is there now.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from application.analytics.ports import FigureRow

SETTLED: Final = dt.timedelta(minutes=1)
"""What was read under a mark that is younger is not remembered: the row may be still to come."""

MAX_BUCKETS: Final = 2_000
"""A question of more buckets is not remembered: so a store reads and keeps no more at once."""

Bucket = tuple[int, int]
"""Its first instant, and the one after its last, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How often a UTC day (counted from 1970) was raised, and how long ago last."""

    day: int
    number: int
    age: dt.timedelta


@dataclass(frozen=True, slots=True)
class Asked:
    """What figures are of: `digest` stands for the metric; an empty currency for all of them."""

    stripe_account: str
    digest: str
    currency: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """The rows of a bucket, each as of bucket 0, and the sum of its days' marks before they were
    read: as marks only grow, it is the same only where each of them is."""

    bucket: Bucket
    marks: int
    rows: Sequence[FigureRow]


class RememberedFigures(Protocol):
    """What one store remembers. Losing any of it costs time, and nothing else.

    All methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def marks(self, stripe_account: str, noun: str, days: range) -> Sequence[Mark]:
        """The marks of a range of days, in no particular order; what never was raised has none.

        The age is by one clock, whichever process asks and whichever raised: below zero where that
        clock was set back.
        """
        ...

    async def recall(self, asked: Asked, buckets: Sequence[Bucket]) -> Sequence[Remembered]:
        """What is remembered of the buckets (at most MAX_BUCKETS), in no particular order."""
        ...

    async def keep(self, asked: Asked, entries: Sequence[Remembered], most: int) -> None:
        """Remember some, at most MAX_BUCKETS, each in the place of what was kept of its bucket.

        Beyond the `most` kept last, over all questions and accounts, the oldest are forgotten.
        """
        ...
