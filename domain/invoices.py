"""Invoices and their lines."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line. `amount` may be negative (a proration, a credit).

    `quantity` is cut to whole units; `quantity_decimal` is Stripe's exact decimal as text.
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


@dataclass(frozen=True, slots=True)
class Invoice:
    """A mirrored invoice.

    `status` is Stripe's open string (`draft`, `open`, `paid`, `void`, `uncollectible`).
    `subscription` and `subscription_metadata` are those of its parent, the metadata as it was when
    the invoice was made. `lines` are complete, or unknown.
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

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        amounts = (self.total, self.amount_due, self.amount_paid, self.amount_remaining)
        if {amount.currency for amount in amounts} != {self.currency}:
            raise ValueError("currency: an invoice has one currency")
