"""Questions about revenue, answered by the database from the mirror."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from application.analytics.metrics import Metric
from domain.rates import Place, Rate

MAX_RATES: Final = 1_000
"""How many rates a call writes or reads at most."""


@dataclass(frozen=True, slots=True)
class FigureRow:
    """The figures of a bucket, currency and group.

    `group` holds a value for each column of the metric's `by`, `sums` one for each of its sums, in
    minor units; `count` is how many rows make them up.
    """

    bucket: int
    currency: str
    group: tuple[Any, ...]
    sums: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class TopRow:
    """A value of a column, with the first sum of a metric over its rows, and how many they are."""

    value: str
    sum: int
    count: int


@dataclass(frozen=True, slots=True)
class TopRows:
    """The greatest first. `without` are the rows in which the column has no value, if any."""

    rows: Sequence[TopRow]
    without: TopRow | None = None


class Analytics(Protocol):
    """One method for all metrics that are sums and counts over the rows of one noun.

    And one for the few greatest of the many values of a column.
    """

    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        """The figures of a metric, at most one row a bucket, currency and group.

        `edges` are ascending instants (`domain.periods.edges`), at least two; bucket `i` is
        `[edges[i], edges[i + 1])`. Rows come in no particular order; where nothing counts there is
        no row. `currency` None means all. Read from the metric's covering index: the cost follows
        the period asked for, not the history, and hardly the number of buckets.

        `known_by` leaves out rows that were first known after an instant of our clock; the others
        are as they are now. ValueError where the metric's index does not tell (`Metric.known_at`).

        Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...

    async def top(
        self,
        metric: Metric,
        stripe_account: str,
        period: tuple[dt.datetime, dt.datetime],
        currency: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
    ) -> TopRows:
        """The values of the metric's one column of `by` with the greatest first sums.

        In order of the sum, falling, then of the value; from behind a sum and value, at most
        `limit` (1 to 1,000). `without` is told only where `after` is None. The first sum has plain
        columns alone. Read from the metric's covering index; the cost follows the period.

        Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...


def top_rows(found: Iterable[tuple[Any, int, int]], limit: int) -> TopRows:
    """The rows that a store gives, that without a value first, which counts as none of them."""
    rows = [TopRow(value or "", sum_, count) for value, sum_, count in found]
    if rows and not rows[0].value:
        return TopRows(rows[1 : limit + 1], rows[0])
    return TopRows(rows[:limit])


Cell = tuple[int, str, tuple[Any, ...], Mapping[str, int], int]
"""A part of a row's figures: bucket, currency, group, sums of the metric's columns, count."""


def folded(metric: Metric, cells: Iterable[Cell]) -> Sequence[FigureRow]:
    """The rows of cells, of which a store may give several for a bucket, currency and group."""
    totals: dict[tuple[int, str, tuple[Any, ...]], Counter[str]] = defaultdict(Counter)
    counts: Counter[tuple[int, str, tuple[Any, ...]]] = Counter()
    for bucket, currency, group, sums, count in cells:
        totals[bucket, currency, group].update(sums)
        counts[bucket, currency, group] += count
    return [FigureRow(*key, metric.sums_of(totals[key]), count) for key, count in counts.items()]


def check_known_by(metric: Metric, known_by: dt.datetime | None) -> None:
    """ValueError where a metric's index does not tell when its rows were first known."""
    if known_by is not None and metric.known_at is None:
        raise ValueError(f"{metric.name}: its index does not tell when rows were first known")


class Rates(Protocol):
    """The exchange rates that an account has imported: one a base currency, day and currency.

    A rate is written once and never changes. All methods raise Unavailable (STORE_UNAVAILABLE) when
    the store does not answer; what was written is durable.
    """

    async def standing(self, account: str, base: str, places: Sequence[Place]) -> Sequence[Rate]:
        """The rates that there are of some places, at most MAX_RATES, in no particular order."""
        ...

    async def add(self, account: str, base: str, rates: Sequence[Rate]) -> None:
        """Write those whose place has no rate yet; the others stay as they are.

        At most MAX_RATES, no place twice. Of two that write one place at once, one succeeds.
        """
        ...

    async def list(
        self, account: str, base: str, currency: str | None, *, after: Place | None, limit: int
    ) -> Sequence[Rate]:
        """In order of currency and day, from after a place, at most `limit` (1 to MAX_RATES)."""
        ...

    async def find(
        self, account: str, base: str, currencies: Sequence[str], first: dt.date, last: dt.date
    ) -> Sequence[Rate]:
        """All rates of some currencies from a day to another, both included."""
        ...
