"""Payouts: what arrived at the bank, what came back, what is on its way."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from application.analytics.asking import Asking, Figures, Series, first_sum, number
from application.analytics.metrics import (
    PAYOUTS_FAILED,
    PAYOUTS_PAID,
    PAYOUTS_RETURNED,
    PAYOUTS_UNDER_WAY,
    Metric,
)
from application.analytics.ports import FigureRow
from application.analytics.questions import Asked, Compared, Question
from application.requests.callers import Caller
from domain.balances import BalanceReading
from domain.errors import FieldViolation
from domain.periods import start_of_date, zone_of

_ALWAYS: Final = tuple(dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (1970, 2500))
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CurrencyPayouts:
    """Payouts in one currency. `under_way` is as it is now, by status, whatever the period."""

    currency: str
    arrived: Series
    arrived_count: Series
    returned: Series
    returned_count: Series
    under_way: Mapping[str, int]

    @property
    def on_its_way(self) -> int:
        """What is on its way now, in minor units."""
        return sum(self.under_way.values())


class LastBalances(Protocol):
    """Tells what Stripe has told of balances. `payouts` keeps it.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def last(self, stripe_account: str) -> BalanceReading | None:
        """The latest reading that is kept of an account."""
        ...


@dataclass(frozen=True, slots=True)
class Payouts:
    """Payouts of a period and the one before, per currency in order of its code.

    `balance` is as Stripe told it last, whatever the period; None where it was never read.
    """

    time: Compared
    currencies: Sequence[CurrencyPayouts]
    balance: BalanceReading | None = None


class PayoutAnalytics:
    """Answers what went to the bank."""

    def __init__(self, asking: Asking, balances: LastBalances) -> None:
        self._asking = asking
        self._balances = balances

    async def payouts(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Payouts:
        """Payouts by the local day that bears their arrival date."""
        return await self.payouts_of(await self._asking.asked(caller, question, violations))

    async def payouts_of(self, asked: Asked) -> Payouts:
        """Payouts of a question that was checked."""
        paid, failed, returned, under_way, balance = await asyncio.gather(
            self._by_date(asked, PAYOUTS_PAID),
            self._by_date(asked, PAYOUTS_FAILED),
            self._asking.figures(asked, PAYOUTS_RETURNED),
            self._asking.analytics.figures(
                PAYOUTS_UNDER_WAY, asked.stripe_account, _ALWAYS, asked.currency or None
            ),
            self._balances.last(asked.stripe_account),
        )
        arrived, returned = paid.joined(failed.where(_had_arrived)), returned.where(_had_arrived)
        return Payouts(
            asked.time,
            [
                CurrencyPayouts(
                    code,
                    arrived.of(code).series(first_sum),
                    arrived.of(code).series(number),
                    returned.of(code).series(first_sum),
                    returned.of(code).series(number),
                    {row.group[0]: row.sums[0] for row in under_way if row.currency == code},
                )
                for code in asked.codes(
                    arrived.now, arrived.before, returned.now, returned.before, under_way
                )
            ],
            balance and _narrowed(balance, asked.currency),
        )

    async def _by_date(self, asked: Asked, metric: Metric) -> Figures:
        """A metric whose date is a day at 00:00 UTC, on the local days that bear these dates."""
        now, before = await asyncio.gather(
            self._over(asked, metric, asked.edges), self._over(asked, metric, asked.edges_before)
        )
        return Figures(asked, now, before)

    async def _over(
        self, asked: Asked, metric: Metric, edges: Sequence[dt.datetime]
    ) -> Sequence[FigureRow]:
        dates = [_first_date(edge, asked.time.period.time_zone) for edge in edges]
        bucket_of = {date: bucket for bucket, date in enumerate(dates)}  # the last of equal ones
        distinct = sorted(bucket_of)
        if len(distinct) == 1:
            return []  # no local day begins within
        rows = await self._asking.analytics.figures(
            metric, asked.stripe_account, distinct, asked.currency or None
        )
        return [replace(row, bucket=bucket_of[distinct[row.bucket]]) for row in rows]


def _narrowed(balance: BalanceReading, currency: str) -> BalanceReading:
    """A reading in one currency, or in all of them (empty), in order of their codes."""
    kept = (each for each in balance.currencies if currency in ("", each.currency))
    return replace(balance, currencies=tuple(sorted(kept, key=lambda each: each.currency)))


def _first_date(edge: dt.datetime, time_zone: str) -> dt.datetime:
    """00:00 UTC of the first date whose local day begins at an instant or later."""
    zone = zone_of(time_zone)
    date = edge.astimezone(zone).date()
    if start_of_date(date, zone) < edge:
        date += _DAY
    return dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)


def _had_arrived(row: FigureRow) -> bool:
    """Whether payouts that failed had arrived before: they came back on that day, or later."""
    arrival_date, returned_at = row.group
    return returned_at is not None and returned_at >= arrival_date
