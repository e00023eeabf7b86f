"""Remembered stocks of facts: MRR at midnight does not read all that ever happened."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from typing_extensions import override

from application.analytics.fact_figures import BEFORE, CohortSums, FactFigures, FactSum
from application.analytics.trust import SETTLED_AFTER
from application.background.clock import Clock
from domain.errors import RateLimited, Unavailable
from domain.facts import Series

BEGINNING: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Before anything at Stripe: the sums of what was before it are none."""

RENEWED_AFTER: Final = dt.timedelta(hours=1)
"""How much later than a remembered stock facts may be known before it is remembered anew."""

MAX_SUMS: Final = 10_000
"""A stock of more sums is not remembered."""


@dataclass(frozen=True, slots=True)
class Stock:
    """The sums of all facts of a series before `at`, as they were known at `known_by`.

    `sums` are of bucket BEFORE.
    """

    stripe_account: str
    series: Series
    at: dt.datetime
    known_by: dt.datetime
    sums: Sequence[FactSum] = field(default_factory=tuple)


class FactStocks(Protocol):
    """Remembers stocks; losing any of it costs time, and nothing else.

    All methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def recall(self, stripe_account: str, series: Series, at: dt.datetime) -> Stock | None:
        """The latest stock that is remembered, of an instant or of one before it."""
        ...

    async def keep(self, stock: Stock) -> None:
        """Remember a stock, in the place of one of the same instant that was known earlier."""
        ...

    async def late(
        self,
        stripe_account: str,
        series: Series,
        *,
        before: dt.datetime,
        known_after: dt.datetime,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FactSum]:
        """The sums, of bucket BEFORE, of what was true before an instant and known after another.

        The cost follows what was posted since.
        """
        ...


class RememberedFactFigures(FactFigures):
    """Adds up facts from the beginning of time without reading them all again.

    Facts are only added, and each says when it was known. So a remembered sum of what was known by
    an instant stands for ever: to it comes what has happened since its day, and what became known
    of before since then. It is made of the latest before it, so that each day is read once. No mark
    says whether it stands (docs/decisions/0047).
    """

    def __init__(self, figures: FactFigures, stocks: FactStocks, clock: Clock) -> None:
        self._figures = figures
        self._stocks = stocks
        self._clock = clock

    @override
    async def sums(
        self,
        stripe_account: str,
        series: Series,
        edges: Sequence[dt.datetime],
        *,
        opening: bool = False,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FactSum]:
        if not opening:
            return await self._figures.sums(stripe_account, series, edges, known_by=known_by)
        stock = await self._of_day(stripe_account, series, _day(edges[0]), known_by)
        if stock is None:
            return await self._figures.sums(
                stripe_account, series, edges, opening=True, known_by=known_by
            )
        # The first bucket is what lies between the day's beginning and the first edge.
        shifted = stock.at < edges[0]
        late, found = await asyncio.gather(
            self._stocks.late(
                stripe_account,
                series,
                before=stock.at,
                known_after=stock.known_by,
                known_by=known_by,
            ),
            self._figures.sums(
                stripe_account,
                series,
                [stock.at, *edges] if shifted else edges,
                known_by=known_by,
            ),
        )
        since = [replace(each, bucket=each.bucket - 1) for each in found] if shifted else found
        return summed([*stock.sums, *late, *since])

    @override
    async def lost(
        self,
        stripe_account: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        known_by: dt.datetime | None = None,
    ) -> int:
        return await self._figures.lost(stripe_account, start, end, known_by=known_by)

    @override
    async def cohorts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        *,
        known_by: dt.datetime | None = None,
    ) -> CohortSums:
        return await self._figures.cohorts(stripe_account, edges, known_by=known_by)

    @override
    async def first_known(self, stripe_account: str, series: Series) -> dt.datetime | None:
        return await self._figures.first_known(stripe_account, series)

    async def _of_day(
        self,
        stripe_account: str,
        series: Series,
        day: dt.datetime,
        known_by: dt.datetime | None,
    ) -> Stock | None:
        """A stock of the day's beginning, or of one before; None where none is of use."""
        settled = self._clock.now() - SETTLED_AFTER
        if not BEGINNING < day <= settled:
            return None
        recalled = await self._stocks.recall(stripe_account, series, day)
        if known_by is not None:  # what is remembered may have been known later
            return recalled if recalled is not None and recalled.known_by <= known_by else None
        fresh = recalled is not None and settled - recalled.known_by < RENEWED_AFTER
        if recalled is not None and recalled.at == day and fresh:
            return recalled
        stock = await self._renewed(stripe_account, series, day, recalled, settled)
        if len(stock.sums) <= MAX_SUMS:
            with suppress(Unavailable, RateLimited):
                await self._stocks.keep(stock)
        return stock

    async def _renewed(
        self,
        stripe_account: str,
        series: Series,
        day: dt.datetime,
        recalled: Stock | None,
        settled: dt.datetime,
    ) -> Stock:
        """The stock of a day's beginning, as it was known when that was settled."""
        base = recalled or Stock(stripe_account, series, BEGINNING, BEGINNING)
        sums = list(base.sums)
        if recalled is not None:
            sums += await self._stocks.late(
                stripe_account,
                series,
                before=base.at,
                known_after=base.known_by,
                known_by=settled,
            )
        if base.at < day:
            since = await self._figures.sums(
                stripe_account, series, [base.at, day], known_by=settled
            )
            sums += [replace(each, bucket=BEFORE) for each in since]
        kept = [each for each in summed(sums) if each.amount or each.count]
        return Stock(stripe_account, series, day, settled, kept)


def summed(sums: Iterable[FactSum]) -> Sequence[FactSum]:
    """The sums with those together that are of one bucket, currency, kind, cause and product."""
    amounts, counts = Counter[_Place](), Counter[_Place]()
    for each in sums:
        place = each.bucket, each.currency, each.kind, each.cause, each.product
        amounts[place] += each.amount
        counts[place] += each.count
    return [FactSum(*place, amounts[place], counts[place]) for place in amounts]


_Place = tuple[int, str, str, str, str]


def _day(instant: dt.datetime) -> dt.datetime:
    """The beginning of an instant's UTC day."""
    utc = instant.astimezone(dt.UTC)
    return utc.replace(hour=0, minute=0, second=0, microsecond=0)
