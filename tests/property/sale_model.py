"""Who owes whom for what was sold: an independent model, a day at a time.

It knows the rules of docs/checkout.md, and nothing of the code: it counts periods, invoices and
shares by itself, in its own way.
"""

import calendar
import datetime as dt
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

HOUR: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)


def month_later(start: dt.datetime, months: int) -> dt.datetime:
    """The same day so many months later, or the last one of a shorter month."""
    year, month = start.year, start.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return start.replace(
        year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1])
    )


@dataclass
class ModelSale:
    """A sale: `price` and `cost` of the first period, and of each that follows."""

    start: dt.datetime
    price: int
    cost: int
    recurs: bool
    card_good: bool = True
    planned_end: bool = False
    stripe_ended: dt.datetime | None = None
    paused: bool = False
    suspended: dt.datetime | None = None
    lapsed_since: dt.datetime | None = None
    ended: dt.datetime | None = None
    ends_at: dt.datetime | None = None
    periods: int = 1
    bought_periods: int = 1
    unpaid: list[dt.datetime] = field(default_factory=list)
    renewals_paid: int = 0
    costs: int = 0
    refunded: int = 0
    cost_base: int = 0
    jobs: list[str] = field(default_factory=list)

    @property
    def cost_back(self) -> int:
        """What of the first cost came back: its share of the parts that gave it back."""
        return round(Fraction(self.cost * self.cost_base, self.price)) if self.price else 0

    def boundary(self, number: int) -> dt.datetime:
        """Where a period ends."""
        return month_later(self.start, number)


@dataclass
class Model:
    """The seller's wallet and its sales."""

    granted: int = 0
    spent: int = 0
    short_since: dt.datetime | None = None
    sales: list[ModelSale] = field(default_factory=list)

    @property
    def wallet(self) -> int:
        """What is available to the seller."""
        sales = sum(sale.cost + sale.costs - sale.cost_back for sale in self.sales)
        return self.granted - self.spent - sales

    @property
    def paid(self) -> int:
        """What the buyer has paid in all, and what was given back is not taken off."""
        return sum(sale.price * (1 + sale.renewals_paid) for sale in self.sales)

    @property
    def refunded(self) -> int:
        """What was given back."""
        return sum(sale.refunded for sale in self.sales)

    def saw(self, now: dt.datetime) -> None:
        """The wallet's balance has changed."""
        if self.wallet >= 0:
            self.short_since = None
        elif self.short_since is None:
            self.short_since = now

    def day(self, now: dt.datetime) -> None:
        """A day has passed: first what Stripe did, then what people hear, then the costs."""
        for sale in self.sales:
            if sale.recurs:
                self._bill(sale, now)
        for sale in self.sales:
            if sale.recurs:
                self.look(sale, now)
        for sale in self.sales:
            if sale.recurs:
                self._cost(sale, now)
        self.saw(now)

    def _bill(self, sale: ModelSale, now: dt.datetime) -> None:
        """Stripe renews what runs there, or ends what was planned to end."""
        while sale.stripe_ended is None and sale.boundary(sale.bought_periods) <= now:
            begins = sale.boundary(sale.bought_periods)
            if sale.planned_end:
                sale.stripe_ended = begins
                return
            sale.bought_periods += 1
            if sale.paused:
                continue  # forgiven
            if sale.card_good:
                sale.renewals_paid += 1
            else:
                sale.unpaid.append(begins + HOUR)

    def look(self, sale: ModelSale, now: dt.datetime) -> None:
        """What becomes of it, by who has paid."""
        if sale.ended is not None:
            return
        lapsed = self.short_since is not None and now >= self.short_since + 3 * DAY
        if sale.price and sale.refunded >= sale.price:
            self._end(sale, now)
            return
        if sale.stripe_ended is not None and sale.ends_at is None:
            # What was paid for is given: until the first period's end that is not before it.
            number = 1
            while sale.boundary(number) + HOUR <= sale.stripe_ended:
                number += 1
            sale.ends_at = now if sale.unpaid else sale.boundary(number)
        ends = [] if sale.ends_at is None else [sale.ends_at]
        if sale.unpaid:
            ends.append(min(sale.unpaid) + 30 * DAY)
        if lapsed:
            since = sale.lapsed_since or now
            number = 1
            while sale.boundary(number) <= since:
                number += 1
            ends.append(min(since + 30 * DAY, sale.boundary(number)))
        if ends and min(ends) <= now:
            self._end(sale, min(ends))
            return
        past_due = bool(sale.unpaid) and now >= min(sale.unpaid) + 7 * DAY
        sale.lapsed_since = (sale.lapsed_since or now) if lapsed else None
        if (lapsed or past_due) and sale.suspended is None:
            sale.suspended = now
            sale.jobs.append("suspend")
        elif not (lapsed or past_due) and sale.suspended is not None:
            sale.suspended = None
            sale.jobs.append("resume")
        if sale.stripe_ended is None:
            sale.paused = lapsed

    def _end(self, sale: ModelSale, end: dt.datetime) -> None:
        sale.ended = end if sale.ends_at is None else min(sale.ends_at, end)
        sale.stripe_ended = sale.stripe_ended or end
        sale.jobs.append("deprovision")

    def _cost(self, sale: ModelSale, now: dt.datetime) -> None:
        """Each period that began while it stood is owed, whatever the buyer has paid."""
        while True:
            begins = sale.boundary(sale.periods)
            end = sale.ended or sale.ends_at
            if begins > now or (end is not None and begins >= end):
                return
            if sale.planned_end and sale.stripe_ended is None:
                return  # it ends there, unless that is taken back
            sale.periods += 1
            sale.costs += sale.cost
