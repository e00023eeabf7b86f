"""What figures of subscribers need of a store: sums of facts, read from a covering index."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.cohorts import CohortSum
from domain.facts import Series

BEFORE: Final = -1
"""The bucket of all that was before the first edge."""


@dataclass(frozen=True, slots=True)
class FactSum:
    """What facts of one bucket, currency, kind, cause and product add up to.

    `amount` is in 1/10,000 minor unit of the currency.
    """

    bucket: int
    currency: str
    kind: str
    cause: str
    product: str
    amount: int
    count: int


@dataclass(frozen=True, slots=True)
class CohortSums:
    """How many customers each cohort has, and what moved them, a bucket; cohorts are buckets."""

    sizes: Mapping[int, int]
    sums: Sequence[CohortSum]


class FactFigures(Protocol):
    """Adds up the facts of a Stripe account, by Stripe's time.

    `edges` are ascending instants, at least two; bucket `i` is `[edges[i], edges[i + 1])`. Facts
    count as they stand, or, with `known_by`, as they stood at that instant of our clock. All
    methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def sums(
        self,
        stripe_account: str,
        series: Series,
        edges: Sequence[dt.datetime],
        *,
        opening: bool = False,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FactSum]:
        """The sums of a series, in no particular order; where there is no fact there is no row.

        `opening` adds those of all that was before the first edge, in bucket BEFORE. Sums that are
        zero may be there or not.
        """
        ...

    async def lost(
        self,
        stripe_account: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        known_by: dt.datetime | None = None,
    ) -> int:
        """How many customers had MRR at `start` and churned before `end`, each once."""
        ...

    async def cohorts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        *,
        known_by: dt.datetime | None = None,
    ) -> CohortSums:
        """The cohorts of customers whose first MRR ever was in a bucket, and their sums by bucket.

        That is the movement `new`, once in a life, or a seam whose cause is that
        (`domain.mrr.BEGINNINGS`): what was before the first edge is not read.

        `edges` are those of months, of at most `domain.cohorts.MAX_COHORTS` buckets.
        """
        ...

    async def first_known(self, stripe_account: str, series: Series) -> dt.datetime | None:
        """When the first fact of a series was posted; None where there is none."""
        ...
