"""Subscriptions and their items."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.coupons import Discount
from domain.prices import Recurrence, Tier, TransformQuantity

ENDED: Final = ("canceled", "incomplete_expired")
"""The statuses that nothing leads out of."""


@dataclass(frozen=True, slots=True)
class SubscriptionItem:
    """What is subscribed to, and its current period. Prices have different periods at Stripe.

    `tiers` (None: not told) are those of a price whose `billing_scheme` is tiered. `discounts` are
    ids of what is off this item alone.
    """

    id: str
    price: str
    product: str | None
    quantity: int | None
    currency: str
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    recurring: Recurrence | None = None
    current_period_start: dt.datetime | None = None
    current_period_end: dt.datetime | None = None
    billing_scheme: str | None = None
    tiers_mode: str | None = None
    tiers: tuple[Tier, ...] | None = None
    transform_quantity: TransformQuantity | None = None
    discounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A mirrored subscription.

    `status` is Stripe's open string (`trialing`, `active`, `past_due`, `paused`, `unpaid`,
    `incomplete`, `incomplete_expired`, `canceled`); `canceled` and `incomplete_expired` end it. A
    `customer.subscription.deleted` event is its cancellation, not a deletion. `items` are complete,
    or unknown. `pause_behavior` is set while the collection of payments is paused, which is no
    status; `pause_resumes_at` where the pause ends by itself. `discounts` are ids, in order;
    `discount_details` what was told of them and of the items' discounts: a read tells them, an
    event does not, so that some may be of before and some missing. `cancellation_reason` is
    Stripe's open string (`cancellation_requested`, `payment_failed`, `payment_disputed`),
    `cancellation_feedback` the customer's choice of a reason. `billing_mode`: classic or flexible.
    """

    id: str
    created: dt.datetime
    customer: str
    status: str
    currency: str | None = None
    items: tuple[SubscriptionItem, ...] = ()
    cancel_at_period_end: bool = False
    cancel_at: dt.datetime | None = None
    canceled_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    start_date: dt.datetime | None = None
    trial_start: dt.datetime | None = None
    trial_end: dt.datetime | None = None
    pause_behavior: str | None = None
    collection_method: str | None = None
    default_payment_method: str | None = None
    latest_invoice: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    pause_resumes_at: dt.datetime | None = None
    default_source: str | None = None
    days_until_due: int | None = None
    discounts: tuple[str, ...] = ()
    discount_details: tuple[Discount, ...] = ()
    cancellation_reason: str | None = None
    cancellation_feedback: str | None = None
    billing_mode: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.status in ENDED
