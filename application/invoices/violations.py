"""What callers' input about invoices may be: all violations of a command at once."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from application.invoices.fields import FIELDS, SEND
from application.invoices.items import currency_violations, item_violations
from application.invoices.ports import InvoiceFields, InvoiceItemFields, InvoicePreview, PayInvoice
from application.payment_methods.fields import method_violations
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    optional_id_violations,
)
from application.subscriptions.violations import items_violations
from domain.errors import FieldViolation
from domain.invoices import STATUSES

_DUE: Final = ("days_until_due", "due_time")
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
        yield FieldViolation(
            "subscription", "cannot be combined with customer: a subscription has one customer"
        )
    if not {*STATUSES}.issuperset(statuses):
        yield FieldViolation("statuses", f"only: {', '.join(STATUSES)}")


def new_violations(
    customer: str, currency: str, fields: InvoiceFields, items: Sequence[InvoiceItemFields]
) -> Iterator[FieldViolation]:
    """An invoice to create."""
    yield from id_violations(customer, "invoice.customer", CUSTOMER_ID)
    yield from currency_violations(currency, "invoice.currency")
    yield from _fields_violations(fields)
    if fields.collection_method != SEND:
        yield from _undue_violations(fields)
    elif fields.days_until_due is None and fields.due_date is None:
        yield FieldViolation("invoice.due_time", "is required with send_invoice, or days_until_due")
    yield from item_violations(items, currency)


def change_violations(
    invoice_id: str, values: InvoiceFields, mask: Sequence[str]
) -> Iterator[FieldViolation]:
    """A change of a draft."""
    yield from invoice_id_violations(invoice_id, "invoice.id")
    yield from FIELDS.mask_violations(values, mask)
    yield from _fields_violations(values)
    if values.collection_method not in (None, SEND):
        yield from _undue_violations(values)


def payment_violations(payment: PayInvoice) -> Iterator[FieldViolation]:
    """A payment of an invoice."""
    yield from invoice_id_violations(payment.id, "id")
    yield from method_violations(payment.payment_method, "payment_method")
    if payment.payment_method and payment.paid_out_of_band:
        yield FieldViolation("paid_out_of_band", "excludes payment_method")


def preview_violations(preview: InvoicePreview) -> Iterator[FieldViolation]:
    """A preview."""
    yield from chain(
        optional_id_violations(preview.customer, "customer", CUSTOMER_ID),
        optional_id_violations(preview.subscription, "subscription", _SUBSCRIPTION),
    )
    if not preview.customer and not preview.subscription:
        yield FieldViolation("customer", "is required without a subscription")
    if preview.items and not preview.subscription:
        yield FieldViolation("items", "only with a subscription")
    yield from items_violations(preview.items)


def _fields_violations(fields: InvoiceFields) -> Iterator[FieldViolation]:
    yield from FIELDS.violations(fields)
    if fields.days_until_due is not None and fields.due_date is not None:
        yield FieldViolation("invoice.due_time", "excludes days_until_due")


def _undue_violations(fields: InvoiceFields) -> Iterator[FieldViolation]:
    """What is charged automatically has no time to be paid by."""
    given = FIELDS.given(fields)
    for name in _DUE:
        if name in given:
            yield FieldViolation(f"invoice.{name}", "only with send_invoice")
