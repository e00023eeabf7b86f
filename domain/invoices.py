"""Invoices and their lines."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.money import Money, charge_step, largest_charge
from domain.subscriptions import Subscription

STATUSES: Final = ("draft", "open", "paid", "void", "uncollectible")
"""The statuses that Stripe gives an invoice so far."""

_INVOICED: Final = ("active", "past_due", "trialing", "unpaid")
"""The statuses of a subscription whose next period brings an invoice."""

MAX_LINES: Final = 250
"""How many lines an invoice takes ("Invoices" in Stripe's documentation)."""


@dataclass(frozen=True, slots=True)
class LineDiscount:
    """What a discount takes off a line: above zero where it makes the line cheaper."""

    discount: str
    amount: Money


@dataclass(frozen=True, slots=True)
class LineTax:
    """A tax on a line: within its amount (`inclusive`) or on top of it (`exclusive`)."""

    amount: Money
    behavior: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line. `amount` may be negative (a proration, a credit); no discount is taken off it.

    `quantity` is cut to whole units; `quantity_decimal` is Stripe's exact decimal as text.
    `discounts` and `taxes` are those of this line, also from what the whole invoice has.
    """

    id: str
    amount: Money
    description: str | None = None
    quantity: int | None = None
    quantity_decimal: str | None = None
    price: str | None = None
    product: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    proration: bool = False
    period_start: dt.datetime | None = None
    period_end: dt.datetime | None = None
    unit_amount_decimal: str | None = None
    discounts: tuple[LineDiscount, ...] = ()
    taxes: tuple[LineTax, ...] = ()


@dataclass(frozen=True, slots=True)
class Invoice:
    """A mirrored invoice.

    `status` is Stripe's open string (`draft`, `open`, `paid`, `void`, `uncollectible`).
    `subscription` and `subscription_metadata` are those of its parent, the metadata as it was when
    the invoice was made. `lines` are complete, or unknown. `total` is `subtotal` less discounts and
    with taxes. `hosted_invoice_url` is where its customer pays it once it is finalized.
    `auto_advance` lets Stripe finalize and collect it by itself.
    """

    id: str
    created: dt.datetime
    currency: str
    status: str
    total: Money
    amount_due: Money
    amount_paid: Money
    amount_remaining: Money
    customer: str | None = None
    customer_email: str | None = None
    number: str | None = None
    billing_reason: str | None = None
    collection_method: str | None = None
    subscription: str | None = None
    subscription_metadata: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    due_date: dt.datetime | None = None
    finalized_at: dt.datetime | None = None
    paid_at: dt.datetime | None = None
    voided_at: dt.datetime | None = None
    marked_uncollectible_at: dt.datetime | None = None
    period_start: dt.datetime | None = None
    period_end: dt.datetime | None = None
    hosted_invoice_url: str | None = None
    attempt_count: int | None = None
    lines: tuple[InvoiceLine, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    subtotal: Money | None = None
    total_excluding_tax: Money | None = None
    default_payment_method: str | None = None
    default_source: str | None = None
    auto_advance: bool | None = None
    footer: str | None = None
    next_payment_attempt: dt.datetime | None = None
    invoice_pdf: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        amounts = (self.total, self.amount_due, self.amount_paid, self.amount_remaining)
        if {amount.currency for amount in amounts} != {self.currency}:
            raise ValueError("currency: an invoice has one currency")

    @property
    def counted(self) -> Money:
        """What it counts with among the invoices of its status: what was paid, or what remains."""
        return self.amount_paid if self.status == "paid" else self.amount_remaining


def unit_amount_rule(unit_amount: int, quantity: int, currency: str) -> str:
    """The rule that an amount a unit breaks, in minor units; empty where it breaks none.

    ValueError for an unknown currency.
    """
    step = charge_step(currency)
    if unit_amount % step:
        return f"must be a multiple of {step} in {currency.upper()}"
    return sum_rule(unit_amount * quantity, currency)


def sum_rule(amount: int, currency: str) -> str:
    """The rule that a sum breaks, in minor units; empty where it breaks none.

    ValueError for an unknown currency.
    """
    most = largest_charge(currency)
    if abs(amount) > most:
        return f"is more than Stripe accepts in {currency.upper()}: {most:,} minor units"
    return ""


def next_invoiced(subscriptions: Iterable[Subscription]) -> Subscription | None:
    """The one whose period ends first of those that go on after it; of two the lesser id."""
    ends = [(end, one.id, one) for one in subscriptions if (end := _next_invoice_at(one))]
    return min(ends, key=lambda found: found[:2])[2] if ends else None


def _next_invoice_at(subscription: Subscription) -> dt.datetime | None:
    """The end of the period that ends first, if another one follows on it."""
    periods = [item.current_period_end for item in subscription.items if item.current_period_end]
    if subscription.status not in _INVOICED or subscription.cancel_at_period_end or not periods:
        return None
    end = min(periods)
    over = subscription.cancel_at is not None and subscription.cancel_at <= end
    return None if over else end
