"""Questions about revenue, answered by the database from the mirror."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """The captured amount, in minor units, and number of charges of a bucket and currency."""

    bucket: int
    currency: str
    amount: int
    count: int


@dataclass(frozen=True, slots=True)
class StatusRow:
    """How many charges of a status and currency were created in a bucket."""

    bucket: int
    currency: str
    status: str
    count: int


class Analytics(Protocol):
    """One method a question. All take the same bucket edges and give plain rows.

    `edges` are ascending instants (`domain.periods.edges`), at least two and at most 10,001; bucket
    `i` is `[edges[i], edges[i + 1])`. Rows come in no particular order; a bucket, currency or
    status without any charge has no row. `currency` None means all. The cost follows the period
    asked for, not the history. Raises Unavailable (STORE_UNAVAILABLE) when the store does not
    answer.
    """

    async def gross_volume(
        self, stripe_account: str, edges: Sequence[dt.datetime], currency: str | None
    ) -> Sequence[VolumeRow]:
        """Sums of `amount_captured` over charges that succeeded, by creation time."""
        ...

    async def charge_counts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None,
        statuses: Sequence[str],
    ) -> Sequence[StatusRow]:
        """Numbers of charges in the given statuses, by creation time."""
        ...
