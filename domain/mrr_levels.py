"""Levels of MRR: what a subscription brings a month, as it stands at an instant.

Docs: docs/metrics.md, "MRR". Fractions of minor units a month, by currency: whoever posts them
rounds, once a customer and currency.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from domain.coupons import Discount
from domain.discount_rules import Billing, discounted, is_known
from domain.recurring_prices import METERED, billings_a_month, cost_of
from domain.subscriptions import Subscription, SubscriptionItem

COUNTED: Final = ("active", "past_due")
"""The statuses of a subscription that brings MRR."""

_KNOWN: Final = (
    *COUNTED, "trialing", "incomplete", "incomplete_expired", "unpaid", "paused", "canceled",
)  # fmt: skip

_NOT_COLLECTED: Final = ("void", "mark_uncollectible")
"""Pauses of the collection in which nothing is earned; what is kept as a draft is billed later."""

Monthly = Mapping[str, Fraction]
"""Minor units a month by currency."""

Oddity = tuple[str, str]
"""Why something has no price, and the id of what: `("interval", "si_1")`. Counted apart."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a subscription brings a month: with its discounts, and before them."""

    after: Monthly = field(default_factory=dict)
    before: Monthly = field(default_factory=dict)
    oddities: frozenset[Oddity] = frozenset()

    def __bool__(self) -> bool:
        return any(amount > 0 for amount in self.after.values())


NOTHING: Final = Level()


def is_idle(subscription: Subscription) -> bool:
    """Whether it goes on and brings nothing: paused, its collection too, or in a trial.

    Whether that is a pause depends on whether it has brought something before.
    """
    if subscription.status in ("paused", "trialing"):
        return True
    return subscription.status in COUNTED and subscription.pause_behavior in _NOT_COLLECTED


def level_of(
    subscription: Subscription,
    of_customer: Discount | None,
    known: Mapping[str, Discount],
    at: dt.datetime,
) -> Level:
    """What a subscription brings a month at an instant, in the state that it is in.

    `of_customer` is the discount of the customer himself, `known` all discounts that anybody told
    of, by id. What cannot be priced is named, and brings nothing.
    """
    if subscription.status not in _KNOWN:
        return Level(oddities=frozenset({("status", subscription.id)}))
    if subscription.status not in COUNTED or is_idle(subscription):
        return NOTHING
    billings, oddities = [], set()
    for item in subscription.items:
        billing, why = _billing(item)
        if billing is not None:
            billings.append(billing)
        elif why:
            oddities.add((why, item.id))
    of_item, of_all = discounts_of(subscription, of_customer, known)
    every = [*of_all, *(discount for own in of_item.values() for discount in own)]
    oddities |= {("coupon", discount.id) for discount in every if not is_known(discount)}
    left = discounted(billings, of_item, of_all, at)
    after, before = dict[str, Fraction](), dict[str, Fraction]()
    for billing in billings:
        code = billing.currency
        after[code] = after.get(code, Fraction(0)) + left[billing.item]
        before[code] = before.get(code, Fraction(0)) + billing.monthly
    return Level(after, before, frozenset(oddities))


def discounts_of(
    subscription: Subscription, of_customer: Discount | None, known: Mapping[str, Discount]
) -> tuple[dict[str, Sequence[Discount]], Sequence[Discount]]:
    """The discounts of each item, and those of all: the customer's where there are no others."""

    def told(ids: Sequence[str]) -> Sequence[Discount]:
        return [known.get(id_) or Discount(id_) for id_ in ids]

    of_item = {item.id: told(item.discounts) for item in subscription.items if item.discounts}
    if subscription.discounts or of_item or of_customer is None:
        return of_item, told(subscription.discounts)
    return {}, [known.get(of_customer.id) or of_customer]


def _billing(item: SubscriptionItem) -> tuple[Billing | None, str]:
    """What an item bills, or why nobody knows; neither where it is metered, or bills once."""
    if item.recurring is None or item.recurring.usage_type == METERED:
        return None, ""
    a_month = billings_a_month(item.recurring)
    if a_month is None:
        return None, "interval"
    cost = cost_of(
        1 if item.quantity is None else item.quantity,
        unit_amount=item.unit_amount,
        unit_amount_decimal=item.unit_amount_decimal,
        billing_scheme=item.billing_scheme,
        tiers_mode=item.tiers_mode,
        tiers=item.tiers,
        transform_quantity=item.transform_quantity,
    )
    if cost is None:
        return None, "price"
    return Billing(item.id, item.currency, item.product, cost, a_month), ""
