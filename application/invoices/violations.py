"""What callers' input about invoices may be: all violations of a command at once."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from application.invoices.items import currency_violations, item_violations
from application.invoices.ports import InvoiceFields, InvoiceItemFields, InvoicePreview, PayInvoice
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    mask_violations,
    metadata_violations,
    optional_id_violations,
    text_violations,
)
from application.subscriptions.violations import items_violations
from domain.errors import FieldViolation
from domain.invoices import STATUSES

CHANGEABLE: Final = (
    "collection_method", "days_until_due", "due_time", "description", "footer",
    "default_payment_method", "auto_advance", "metadata",
)  # fmt: skip
"""The fields that an update mask may name."""

FIELD_OF: Final = {"due_time": "due_date"}
"""Our names of fields that callers know by another."""

MAX_DAYS: Final = 3_650

_SEND: Final = "send_invoice"
_COLLECTION: Final = ("charge_automatically", _SEND)
_DUE: Final = ("days_until_due", "due_time")
_LIMITS: Final = {"description": 1_500, "footer": 5_000}
_SUBSCRIPTION: Final = "sub_1MowQVLkdIwHu7ixeRlqHVzs"


def invoice_id_violations(value: str, field: str) -> Iterator[FieldViolation]:
    """The id of an invoice."""
    return id_violations(value, field, "in_1MtHbELkdIwHu7ixl4OzzPMv")


def customer_filter_violations(customer: str) -> Iterator[FieldViolation]:
    """The customer that a list or totals are narrowed to."""
    return optional_id_violations(customer, "customer", CUSTOMER_ID)


def filter_violations(
    customer: str, subscription: str, statuses: Sequence[str]
) -> Iterator[FieldViolation]:
    """What a list is narrowed to, its times apart."""
    yield from customer_filter_violations(customer)
    yield from optional_id_violations(subscription, "subscription", _SUBSCRIPTION)
    if customer and subscription:
        yield FieldViolation("subscription", "excludes customer: it has one alone")
    if not {*STATUSES}.issuperset(statuses):
        yield FieldViolation("statuses", f"only: {', '.join(STATUSES)}")


def new_violations(
    customer: str, currency: str, fields: InvoiceFields, items: Sequence[InvoiceItemFields]
) -> Iterator[FieldViolation]:
    """An invoice to create."""
    yield from id_violations(customer, "invoice.customer", CUSTOMER_ID)
    yield from currency_violations(currency, "invoice.currency")
    yield from _fields_violations(fields)
    if fields.collection_method != _SEND:
        yield from _undue_violations(fields)
    elif fields.days_until_due is None and fields.due_date is None:
        yield FieldViolation("invoice.due_time", "this or days_until_due, with send_invoice")
    yield from item_violations(items, currency)


def change_violations(
    invoice_id: str, values: InvoiceFields, mask: Sequence[str]
) -> Iterator[FieldViolation]:
    """A change of a draft."""
    has_value = any(value_of(values, name) is not None for name in CHANGEABLE)
    yield from invoice_id_violations(invoice_id, "invoice.id")
    yield from mask_violations(mask, CHANGEABLE, has_value=has_value, noun="invoice")
    for name in ("collection_method", *_DUE):
        if name in mask and value_of(values, name) is None:
            yield FieldViolation(f"invoice.{name}", "cannot be cleared")
    yield from _fields_violations(values)
    if values.collection_method not in (None, _SEND):
        yield from _undue_violations(values)


def payment_violations(payment: PayInvoice) -> Iterator[FieldViolation]:
    """A payment of an invoice."""
    yield from invoice_id_violations(payment.id, "id")
    yield from _method_violations(payment.payment_method, "payment_method")
    if payment.payment_method and payment.paid_out_of_band:
        yield FieldViolation("paid_out_of_band", "excludes payment_method")


def preview_violations(preview: InvoicePreview) -> Iterator[FieldViolation]:
    """A preview."""
    yield from chain(
        optional_id_violations(preview.customer, "customer", CUSTOMER_ID),
        optional_id_violations(preview.subscription, "subscription", _SUBSCRIPTION),
    )
    if not preview.customer and not preview.subscription:
        yield FieldViolation("customer", "this or a subscription is required")
    if preview.items and not preview.subscription:
        yield FieldViolation("items", "only with a subscription")
    yield from items_violations(preview.items)


def value_of(fields: InvoiceFields, name: str) -> object:
    """The value of a field by the name that callers know; None where it has none."""
    return getattr(fields, FIELD_OF.get(name, name))


def _fields_violations(fields: InvoiceFields) -> Iterator[FieldViolation]:
    for name, limit in _LIMITS.items():
        yield from text_violations(getattr(fields, name), f"invoice.{name}", limit)
    yield from _method_violations(
        fields.default_payment_method or "", "invoice.default_payment_method"
    )
    yield from metadata_violations(fields.metadata or {}, "invoice.metadata")
    if fields.collection_method not in (None, *_COLLECTION):
        yield FieldViolation("invoice.collection_method", f"one of: {', '.join(_COLLECTION)}")
    if fields.days_until_due is not None and not 0 <= fields.days_until_due <= MAX_DAYS:
        yield FieldViolation("invoice.days_until_due", f"0 to {MAX_DAYS:,}")
    if fields.days_until_due is not None and fields.due_date is not None:
        yield FieldViolation("invoice.due_time", "excludes days_until_due")


def _undue_violations(fields: InvoiceFields) -> Iterator[FieldViolation]:
    """What is charged automatically has no time to be paid by."""
    for name in _DUE:
        if value_of(fields, name) is not None:
            yield FieldViolation(f"invoice.{name}", "only with send_invoice")


def _method_violations(method: str, field: str) -> Iterator[FieldViolation]:
    """A payment method, or a legacy source."""
    return optional_id_violations(method, field, "pm_1MqLiJLkdIwHu7ixUEgbFdYF")
