"""What discounts take off what a subscription bills: exact, in their order, never below zero."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from domain.coupons import FOREVER, ONCE, REPEATING, Coupon, Discount


@dataclass(frozen=True, slots=True)
class Billing:
    """What an item bills at a time, in minor units, and how many times a month it does."""

    item: str
    currency: str
    product: str | None
    amount: Fraction
    a_month: Fraction

    @property
    def monthly(self) -> Fraction:
        """What it bills a month."""
        return self.amount * self.a_month


def lasts(discount: Discount, at: dt.datetime) -> bool:
    """Whether a discount is off every billing at an instant: one that is off once never is."""
    coupon = discount.coupon
    if coupon is None or coupon.duration == ONCE:
        return False
    return discount.end is None or at < discount.end


def is_known(discount: Discount) -> bool:
    """Whether this release knows what a discount takes off, and for how long."""
    coupon = discount.coupon
    return coupon is not None and coupon.duration in (FOREVER, REPEATING, ONCE)


def discounted(
    billings: Sequence[Billing],
    of_item: Mapping[str, Sequence[Discount]],
    of_all: Sequence[Discount],
    at: dt.datetime,
) -> dict[str, Fraction]:
    """What is left a month of each item: first less its own discounts, then less those of all.

    A part is taken off what is left. An amount is taken off each billing of the items that are
    billed most often among those that the coupon is good for: where the others are billed, these
    are, too. No billing falls below zero, and what is left over of an amount is lost.
    """
    left = {billing.item: billing.amount for billing in billings}
    for billing in billings:
        for discount in of_item.get(billing.item, ()):
            _take_off(left, [billing], discount, at)
    for discount in of_all:
        _take_off(left, billings, discount, at)
    return {billing.item: left[billing.item] * billing.a_month for billing in billings}


def ends_of(discounts: Iterable[Discount]) -> set[dt.datetime]:
    """When discounts end by themselves."""
    return {d.end for d in discounts if d.end is not None and d.coupon is not None}


def _take_off(
    left: dict[str, Fraction], billings: Sequence[Billing], discount: Discount, at: dt.datetime
) -> None:
    coupon = discount.coupon
    if coupon is None or not is_known(discount) or not lasts(discount, at):
        return
    good = [b for b in billings if not coupon.applies_to or b.product in coupon.applies_to]
    if coupon.percent_off is not None:
        keeps = 1 - min(Fraction(1), Fraction(coupon.percent_off) / 100)
        for billing in good:
            left[billing.item] *= keeps
        return
    for currency in sorted({billing.currency for billing in good}):
        _take_amount_off(left, [b for b in good if b.currency == currency], coupon, currency)


def _take_amount_off(
    left: dict[str, Fraction], good: Sequence[Billing], coupon: Coupon, currency: str
) -> None:
    amount = amount_off(coupon, currency)
    most_often = max(billing.a_month for billing in good)
    each_time = [billing for billing in good if billing.a_month == most_often]
    total = sum((left[billing.item] for billing in each_time), Fraction(0))
    if amount and total > 0:
        keeps = 1 - min(Fraction(1), Fraction(amount) / total)
        for billing in each_time:
            left[billing.item] *= keeps


def amount_off(coupon: Coupon, currency: str) -> int:
    """What a coupon takes off in a currency, in minor units; nothing in one that it has not."""
    if coupon.currency == currency:
        return coupon.amount_off or 0
    return coupon.currency_options.get(currency, 0)
