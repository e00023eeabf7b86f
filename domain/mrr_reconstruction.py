"""MRR of before the connection: levels that the lines of paid invoices tell, each over its period.

Nobody kept what a subscription was then, but what was billed for it stands in its invoices.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from domain.coupons import ONCE, Coupon
from domain.invoices import Invoice, InvoiceLine
from domain.mrr_levels import COUNTED, NOTHING, Level
from domain.prices import Price
from domain.recurring_prices import METERED, billings_a_month, cost_of
from domain.subscriptions import Subscription

PAID: Final = "paid"

_DAY: Final = dt.timedelta(days=1)
_SECOND: Final = dt.timedelta(seconds=1)
_DAYS_A_MONTH: Final = Fraction(365, 12)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What a line tells of an item: its level a month from `start` up to `end`."""

    item: str
    start: dt.datetime
    end: dt.datetime
    currency: str
    after: Fraction
    before: Fraction
    rank: tuple[object, ...]


def reconstructed(
    subscription: Subscription,
    until: dt.datetime,
    invoices: Iterable[Invoice],
    prices: Mapping[str, Price],
    coupons: Mapping[str, Coupon],
) -> Iterator[tuple[dt.datetime, Level]]:
    """The levels of a subscription before `until`, when it was first observed, each from its start.

    `coupons` are by the id of a discount: what is taken off by another one stays in the level. The
    last level stands beyond its period while the subscription goes on, up to its end.
    """
    stretches = _going_on(
        list(_stretches(subscription.id, invoices, prices, coupons)), subscription, until
    )
    trial = (subscription.trial_start, subscription.trial_end)
    turns = {turn for each in stretches for turn in (each.start, each.end)}
    turns |= {turn for turn in (*trial, subscription.ended_at) if turn is not None}
    before = NOTHING
    for turn in sorted(turn for turn in turns if turn < until):
        ended = subscription.ended_at is not None and turn >= subscription.ended_at
        in_trial = trial[0] is not None and trial[1] is not None and trial[0] <= turn < trial[1]
        level = NOTHING if ended or in_trial else _level(stretches, turn)
        if level != before:
            yield turn, level
        before = level


def _going_on(
    stretches: list[_Stretch], subscription: Subscription, until: dt.datetime
) -> list[_Stretch]:
    """The same, where what is still in the subscription stands on until it ends.

    The next period may not be paid yet: it was past due then, which counts.
    """
    if not (subscription.ended_at is not None or subscription.status in COUNTED):
        return stretches
    end = min(until, subscription.ended_at or until)
    items = {item.id for item in subscription.items} | {item.price for item in subscription.items}
    last: dict[str, int] = {}
    for place, each in enumerate(stretches):
        if each.item not in last or stretches[last[each.item]].rank < each.rank:
            last[each.item] = place
    for item, place in last.items():
        if item in items and stretches[place].end < end:
            stretches[place] = replace(stretches[place], end=end)
    return stretches


def _level(stretches: Sequence[_Stretch], at: dt.datetime) -> Level:
    """The sum over the items, each as the last line that covers the instant tells it."""
    of_item: dict[str, _Stretch] = {}
    for stretch in sorted(stretches, key=lambda each: each.rank):
        if stretch.start <= at < stretch.end:
            of_item[stretch.item] = stretch
    after, before = dict[str, Fraction](), dict[str, Fraction]()
    for stretch in of_item.values():
        code = stretch.currency
        after[code] = after.get(code, Fraction(0)) + stretch.after
        before[code] = before.get(code, Fraction(0)) + stretch.before
    return Level(
        {code: amount for code, amount in after.items() if before[code]},
        {code: amount for code, amount in before.items() if amount},
    )


def _stretches(
    subscription: str,
    invoices: Iterable[Invoice],
    prices: Mapping[str, Price],
    coupons: Mapping[str, Coupon],
) -> Iterator[_Stretch]:
    for invoice in invoices:
        if invoice.status != PAID:
            continue
        for line in invoice.lines:
            if (line.subscription or invoice.subscription) != subscription:
                continue
            price = prices.get(line.price) if line.price else None
            if line.period_start is None or line.period_end is None or _never_recurs(price):
                continue
            if line.period_start >= line.period_end:
                continue  # something that was billed once
            yield _stretch(invoice, line, line.period_start, line.period_end, price, coupons)


def _never_recurs(price: Price | None) -> bool:
    """Whether it is known to be billed once, or by what was used."""
    return price is not None and (
        price.recurring is None or price.recurring.usage_type == METERED
    )  # fmt: skip


def _stretch(
    invoice: Invoice,
    line: InvoiceLine,
    start: dt.datetime,
    end: dt.datetime,
    price: Price | None,
    coupons: Mapping[str, Coupon],
) -> _Stretch:
    """A charge is the level from its start; the credit of what was left of an old one ends that."""
    amount = line.amount.amount
    if line.proration and amount < 0:
        before = after = Fraction(0)
    else:
        before = _monthly(line, start, end, price) * (1 - _share(_taxes(line), amount))
        after = before * (1 - _share(_off(line, coupons), amount - _taxes(line)))
    rank = (start, not (line.proration and amount < 0), line.proration, invoice.created, line.id)
    item = line.subscription_item or line.price or ""
    return _Stretch(item, start, end, line.amount.currency, after, before, rank)


def _share(part: int, whole: int) -> Fraction:
    return min(Fraction(1), Fraction(part, whole)) if part > 0 and whole > 0 else Fraction(0)


def _taxes(line: InvoiceLine) -> int:
    """The taxes within the amount."""
    return sum(tax.amount.amount for tax in line.taxes if tax.behavior == "inclusive")


def _off(line: InvoiceLine, coupons: Mapping[str, Coupon]) -> int:
    """What is off every billing: neither what is off once nor what nobody knows the coupon of."""
    known = [(each, coupons.get(each.discount)) for each in line.discounts]
    return sum(
        each.amount.amount
        for each, coupon in known
        if coupon is not None and coupon.duration != ONCE
    )


def _monthly(
    line: InvoiceLine, start: dt.datetime, end: dt.datetime, price: Price | None
) -> Fraction:
    """What a line's amount is a month, by the price's interval, else by the line's own period."""
    a_month = None
    if price is not None and price.recurring is not None:
        a_month = billings_a_month(price.recurring)
    if not line.proration:
        return line.amount.amount * (a_month or _a_month(start, end))
    if price is not None and a_month is not None and price.currency == line.amount.currency:
        cost = cost_of(
            1 if line.quantity is None else line.quantity,
            unit_amount=price.unit_amount,
            unit_amount_decimal=price.unit_amount_decimal,
            billing_scheme=price.billing_scheme,
            tiers_mode=price.tiers_mode,
            tiers=price.tiers,
            transform_quantity=price.transform_quantity,
        )
        if cost is not None:
            return cost * a_month
    return line.amount.amount * _DAYS_A_MONTH * Fraction(_DAY // _SECOND, (end - start) // _SECOND)


def _a_month(start: dt.datetime, end: dt.datetime) -> Fraction:
    """How many such periods a month has: of calendar months, of weeks, of days, else of seconds."""
    months = (end.year - start.year) * 12 + end.month - start.month
    if months > 0 and _months_after(start, months) == end:
        return Fraction(1, months)
    days, rest = divmod(end - start, _DAY)
    if rest:
        return _DAYS_A_MONTH * Fraction(_DAY // _SECOND, (end - start) // _SECOND)
    return Fraction(52, 12) / (days // 7) if days % 7 == 0 else _DAYS_A_MONTH / days


def _months_after(start: dt.datetime, months: int) -> dt.datetime:
    """The same day, months later, or the last of a month that is too short for it."""
    month = start.month - 1 + months
    first = start.replace(year=start.year + month // 12, month=month % 12 + 1, day=1)
    last = (first.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY
    return first.replace(day=min(start.day, last.day))
