"""Invoices and their lines: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import INVOICES
from domain.invoices import Invoice, InvoiceLine, LineDiscount, LineTax
from domain.money import Money
from infrastructure.stripe.core.shapes import (
    Amount,
    DecimalText,
    Expandable,
    Fields,
    Identifier,
    Metadata,
    NestedList,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _Period(msgspec.Struct, frozen=True, gc=False):
    start: Seconds
    end: Seconds


@final
class _PriceDetails(msgspec.Struct, frozen=True, gc=False):
    price: Expandable = None
    product: Expandable = None


@final
class _Pricing(msgspec.Struct, frozen=True, gc=False):
    price_details: _PriceDetails | None = None
    unit_amount_decimal: DecimalText | None = None


@final
class _ItemDetails(msgspec.Struct, frozen=True, gc=False):
    subscription: Expandable = None
    subscription_item: Expandable = None
    proration: bool = False


@final
class _LineParent(msgspec.Struct, frozen=True, gc=False):
    """What made a line; `type` names which of the details tells it."""

    type: str
    invoice_item_details: _ItemDetails | None = None
    subscription_item_details: _ItemDetails | None = None


@final
class _DiscountAmount(msgspec.Struct, frozen=True, gc=False):
    amount: Amount
    discount: Expandable = None


@final
class _Tax(msgspec.Struct, frozen=True, gc=False):
    amount: Amount
    tax_behavior: str = "exclusive"


@final
class LineShape(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A line, as in the API reference, "The Invoice Line Item object"."""

    id: Identifier
    amount: Amount
    currency: str
    description: str | None = None
    quantity: Amount | None = None
    quantity_decimal: DecimalText | None = None
    metadata: Metadata = UNSET
    pricing: _Pricing | None = None
    parent: _LineParent | None = None
    period: _Period | None = None
    discount_amounts: list[_DiscountAmount] | None = None
    taxes: list[_Tax] | None = None


@final
class _SubscriptionDetails(msgspec.Struct, frozen=True, gc=False):
    subscription: Expandable = UNSET
    metadata: Metadata = UNSET


@final
class _Parent(msgspec.Struct, frozen=True, gc=False):
    """What made an invoice; none for one made by hand."""

    type: str
    subscription_details: _SubscriptionDetails | UnsetType | None = UNSET


@final
class _StatusTransitions(msgspec.Struct, frozen=True, gc=False):
    finalized_at: Seconds | UnsetType | None = UNSET
    paid_at: Seconds | UnsetType | None = UNSET
    voided_at: Seconds | UnsetType | None = UNSET
    marked_uncollectible_at: Seconds | UnsetType | None = UNSET


class InvoiceShape(Shape, frozen=True, gc=False, kw_only=True):
    """An invoice, as in the API reference, "The Invoice object"."""

    currency: str
    status: str | UnsetType | None = UNSET
    subtotal: Amount | UnsetType | None = UNSET
    total_excluding_tax: Amount | UnsetType | None = UNSET
    total: Amount | UnsetType = UNSET
    amount_due: Amount | UnsetType = UNSET
    amount_paid: Amount | UnsetType = UNSET
    amount_remaining: Amount | UnsetType = UNSET
    customer: Expandable = UNSET
    customer_email: str | UnsetType | None = UNSET
    number: str | UnsetType | None = UNSET
    billing_reason: str | UnsetType | None = UNSET
    collection_method: str | UnsetType | None = UNSET
    parent: _Parent | UnsetType | None = UNSET
    default_payment_method: Expandable = UNSET
    default_source: Expandable = UNSET
    auto_advance: bool | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    footer: str | UnsetType | None = UNSET
    due_date: Seconds | UnsetType | None = UNSET
    status_transitions: _StatusTransitions | UnsetType = UNSET
    period_start: Seconds | UnsetType | None = UNSET
    period_end: Seconds | UnsetType | None = UNSET
    hosted_invoice_url: str | UnsetType | None = UNSET
    invoice_pdf: str | UnsetType | None = UNSET
    next_payment_attempt: Seconds | UnsetType | None = UNSET
    attempt_count: Amount | UnsetType | None = UNSET
    lines: NestedList[LineShape] | UnsetType = UNSET


def to_domain(shape: InvoiceShape) -> tuple[Invoice, frozenset[str]]:
    """The invoice, and the names of its fields that were not told."""
    fields, currency = Fields(), shape.currency
    details, changes = _subscription_details(shape), shape.status_transitions
    subscription = details and reference(details.subscription)
    invoice = Invoice(
        id=shape.id,
        created=instant(shape.created),
        currency=currency,
        status=fields("status", shape.status, None) or "",
        subtotal=_money(fields("subtotal", shape.subtotal, None), currency),
        total_excluding_tax=_money(
            fields("total_excluding_tax", shape.total_excluding_tax, None), currency
        ),
        total=fields.money("total", shape.total, currency),
        amount_due=fields.money("amount_due", shape.amount_due, currency),
        amount_paid=fields.money("amount_paid", shape.amount_paid, currency),
        amount_remaining=fields.money("amount_remaining", shape.amount_remaining, currency),
        customer=fields("customer", reference(shape.customer), None),
        customer_email=fields("customer_email", shape.customer_email, None),
        number=fields("number", shape.number, None),
        billing_reason=fields("billing_reason", shape.billing_reason, None),
        collection_method=fields("collection_method", shape.collection_method, None),
        subscription=fields("subscription", subscription, None),
        subscription_metadata=fields.metadata(
            details and details.metadata, "subscription_metadata"
        ),
        default_payment_method=fields(
            "default_payment_method", reference(shape.default_payment_method), None
        ),
        default_source=fields("default_source", reference(shape.default_source), None),
        auto_advance=fields("auto_advance", shape.auto_advance, None),
        description=fields("description", shape.description, None),
        footer=fields("footer", shape.footer, None),
        due_date=fields.instant("due_date", shape.due_date),
        finalized_at=fields.instant("finalized_at", changes and changes.finalized_at),
        paid_at=fields.instant("paid_at", changes and changes.paid_at),
        voided_at=fields.instant("voided_at", changes and changes.voided_at),
        marked_uncollectible_at=fields.instant(
            "marked_uncollectible_at", changes and changes.marked_uncollectible_at
        ),
        period_start=fields.instant("period_start", shape.period_start),
        period_end=fields.instant("period_end", shape.period_end),
        hosted_invoice_url=fields("hosted_invoice_url", shape.hosted_invoice_url, None),
        invoice_pdf=fields("invoice_pdf", shape.invoice_pdf, None),
        next_payment_attempt=fields.instant("next_payment_attempt", shape.next_payment_attempt),
        attempt_count=fields("attempt_count", shape.attempt_count, None),
        lines=fields.whole("lines", shape.lines, _line),
        metadata=fields.metadata(shape.metadata),
    )
    return invoice, fields.unknown


def _money(amount: int | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)


def _subscription_details(shape: InvoiceShape) -> _SubscriptionDetails | UnsetType | None:
    """What the invoice's parent tells of a subscription; None where the parent is no such."""
    parent = shape.parent
    if not parent:
        return parent
    return parent.subscription_details if parent.type == "subscription_details" else None


def _line(shape: LineShape) -> InvoiceLine:
    made_by = _item_details(shape.parent) or _ItemDetails()
    price = (shape.pricing and shape.pricing.price_details) or _PriceDetails()
    period, currency = shape.period, shape.currency
    return InvoiceLine(
        id=shape.id,
        amount=Money(shape.amount, shape.currency),
        description=shape.description,
        quantity=shape.quantity,
        quantity_decimal=shape.quantity_decimal,
        price=reference(price.price) or None,
        product=reference(price.product) or None,
        subscription=reference(made_by.subscription) or None,
        subscription_item=reference(made_by.subscription_item) or None,
        proration=made_by.proration,
        period_start=period and instant(period.start),
        period_end=period and instant(period.end),
        unit_amount_decimal=shape.pricing and shape.pricing.unit_amount_decimal,
        discounts=tuple(
            LineDiscount(reference(each.discount) or "", Money(each.amount, currency))
            for each in shape.discount_amounts or ()
        ),
        taxes=tuple(
            LineTax(Money(each.amount, currency), each.tax_behavior) for each in shape.taxes or ()
        ),
    )


def _item_details(parent: _LineParent | None) -> _ItemDetails | None:
    match parent:
        case _LineParent(type="subscription_item_details"):
            return parent.subscription_item_details
        case _LineParent(type="invoice_item_details"):
            return parent.invoice_item_details
        case _:
            return None


INVOICE: Final = Translation(
    INVOICES,
    "/v1/invoices",
    InvoiceShape,
    to_domain,
    deleted_by=frozenset({"invoice.deleted"}),  # only a draft can be
    previewed_by=frozenset({"invoice.upcoming"}),
    lists={"lines": LineShape},
)
