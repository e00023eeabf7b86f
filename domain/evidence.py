"""Evidence: what facts follow from. It is kept, append-only, as it was when it came.

`domain/mrr.py` (series mrr, trial, new_customer, first_payment) and `domain/revenue_lines.py`
(series revenue_line, dispute_closed) hold the functions from the evidence of a subject to the
statements that should stand. They are pure, and the same for any order in which evidence came.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from domain.charges import Charge
from domain.coupons import Coupon, Discount
from domain.disputes import Dispute
from domain.invoices import Invoice
from domain.prices import Price
from domain.refunds import Refund
from domain.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionEvidence:
    """What a subscription was at `at` of Stripe's time: as an event told, or a first read.

    `id` is the event's, or `read:` and the subscription's; a first read has no `event_type`, and
    what it shows was true at `at` and maybe before. `known_at` is ours. `subscription` has what it
    takes to price it: items with their tiers and quantity transform, and in `discount_details` the
    discounts of itself and of its items, with their coupons as far as they are known. `unknown`
    names its fields that were not told. `as_read`: the event's payload was no help, and this is
    what a read showed after `at`.
    """

    id: str
    at: dt.datetime
    known_at: dt.datetime
    subscription: Subscription
    event_type: str = ""
    unknown: frozenset[str] = frozenset()
    as_read: bool = False

    @property
    def is_first_read(self) -> bool:
        """Whether no event told it."""
        return not self.event_type


@dataclass(frozen=True, slots=True)
class DiscountEvidence:
    """Which discount a customer himself had at `at` of Stripe's time; None: none.

    `id` and `event_type` are as of a subscription's evidence. `created` is the customer's own,
    which outlives his deletion; None: not told.
    """

    id: str
    at: dt.datetime
    known_at: dt.datetime
    customer: str
    discount: Discount | None
    event_type: str = ""
    created: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ClosingEvidence:
    """That a dispute was closed at `at` of Stripe's time, as its event told."""

    id: str
    at: dt.datetime
    known_at: dt.datetime
    dispute: str
    event_type: str = ""


Evidence: TypeAlias = SubscriptionEvidence | DiscountEvidence | ClosingEvidence
"""A row of evidence."""


@dataclass(frozen=True, slots=True)
class CustomerEvidence:
    """All that is known of a customer, for the facts whose subject he is.

    `created` is his own, `first_paid` when the first charge of his that took money counts; None:
    not known, or never. `invoices` are the paid ones, with their lines. `prices` (of the lines) and
    `coupons` (by the id of a discount) are as far as they are known. All tuples are in order of
    time, then id.
    """

    customer: str
    created: dt.datetime | None = None
    first_paid: dt.datetime | None = None
    subscriptions: tuple[SubscriptionEvidence, ...] = ()
    discounts: tuple[DiscountEvidence, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    coupons: Mapping[str, Coupon] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChargeEvidence:
    """A charge with what it paid for, for the revenue by product.

    `settled_at` is the `created` of its balance transaction: until that is known nothing is posted.
    `refunded` are refunds of it, each with the instant of its first transaction.
    """

    charge: Charge
    settled_at: dt.datetime | None = None
    invoice: Invoice | None = None
    refunded: tuple[tuple[Refund, dt.datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class DisputeEvidence:
    """A dispute, when its closed event was, and the `created` of its reversal; None: not known."""

    dispute: Dispute
    closed_at: dt.datetime | None = None
    reversed_at: dt.datetime | None = None
