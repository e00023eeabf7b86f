"""Totals in the base currency: figures of UTC days, converted by the account's own rates."""

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fractions import Fraction

from application.analytics.ports import FigureRow, Rates
from domain.rates import Conversion, Place, converted

_DAY = dt.timedelta(days=1)

Read = Callable[[Sequence[dt.datetime]], Awaitable[Sequence[FigureRow]]]
"""Reads the rows of a figure between edges."""


class BaseTotals:
    """Converts a figure of rows; `base_currency` is empty where none is set."""

    def __init__(self, rates: Rates, base_currency: str) -> None:
        self._rates = rates
        self._base = base_currency

    @property
    def base_currency(self) -> str:
        """What totals are in."""
        return self._base

    async def of(
        self,
        account: str,
        read: Read,
        edges: Sequence[dt.datetime],
        figure: Callable[[FigureRow], int] = lambda row: row.sums[0],
    ) -> Conversion:
        """An amount a bucket, each row's figure by the rate of its UTC day; the amounts add up."""
        cut = _cut_by_day(edges)
        rows = await read(cut)
        return converted(
            _parts(rows, edges, cut, figure), await self._of_days(account, rows, cut), self._base
        )

    async def _of_days(
        self, account: str, rows: Sequence[FigureRow], cut: Sequence[dt.datetime]
    ) -> Mapping[Place, Fraction]:
        """The rates that the rows need."""
        currencies = sorted({row.currency for row in rows} - {self._base})
        if not currencies:
            return {}
        days = [cut[row.bucket].date() for row in rows]
        rates = await self._rates.find(account, self._base, currencies, min(days), max(days))
        return {rate.place: rate.value for rate in rates}


def _cut_by_day(edges: Sequence[dt.datetime]) -> Sequence[dt.datetime]:
    """The edges, and each UTC midnight between the first and the last."""
    midnight = edges[0].replace(hour=0, minute=0, second=0, microsecond=0)
    count = (edges[-1] - midnight) // _DAY
    midnights = (midnight + number * _DAY for number in range(1, count + 1))
    return sorted({*edges, *(each for each in midnights if edges[0] < each < edges[-1])})


def _parts(
    rows: Sequence[FigureRow],
    edges: Sequence[dt.datetime],
    cut: Sequence[dt.datetime],
    figure: Callable[[FigureRow], int],
) -> Sequence[Mapping[Place, int]]:
    """What is to be converted of each bucket."""
    parts: list[dict[Place, int]] = [defaultdict(int) for _ in edges[1:]]
    for row in rows:
        start = cut[row.bucket]
        parts[bisect_right(edges, start) - 1][start.date(), row.currency] += figure(row)
    return parts
