"""What the items of a new invoice may be: all violations at once."""

from collections.abc import Iterator, Sequence
from typing import Final

from application.invoices.ports import InvoiceItemFields
from application.requests.violations import (
    PRICE_ID,
    PRODUCT_ID,
    optional_id_violations,
    text_violations,
)
from domain.errors import FieldViolation
from domain.invoices import MAX_LINES, sum_rule, unit_amount_rule
from domain.money import CURRENCIES

MAX_QUANTITY: Final = 999_999_999
MAX_DESCRIPTION: Final = 5_000
"""Stripe's longest text of a line, and of a product's name (API reference, "Invoice Items")."""


def currency_violations(currency: str, field: str) -> Iterator[FieldViolation]:
    """The currency of an invoice."""
    if currency not in CURRENCIES:
        rule = "a currency that Stripe knows, lower-case ISO 4217, such as usd"
        yield FieldViolation(field, rule)


def item_violations(
    items: Sequence[InvoiceItemFields], currency: str, field: str = "items"
) -> Iterator[FieldViolation]:
    """The items of an invoice in `currency`; without a known one no amount is looked at."""
    if not 1 <= len(items) <= MAX_LINES:
        yield FieldViolation(field, f"1 to {MAX_LINES} items")
        return
    for place, item in enumerate(items):
        yield from _one_violations(item, currency, f"{field}[{place}]")
    total = sum((item.unit_amount or 0) * item.quantity for item in items)
    if currency in CURRENCIES and (rule := sum_rule(total, currency)):
        yield FieldViolation(field, rule)


def _one_violations(item: InvoiceItemFields, currency: str, field: str) -> Iterator[FieldViolation]:
    yield from text_violations(item.description, f"{field}.description", MAX_DESCRIPTION)
    if not 1 <= item.quantity <= MAX_QUANTITY:
        yield FieldViolation(f"{field}.quantity", f"1 to {MAX_QUANTITY:,}")
    yield from optional_id_violations(item.price, f"{field}.price", PRICE_ID)
    yield from optional_id_violations(item.product, f"{field}.product", PRODUCT_ID)
    if item.price:
        yield from _priced_violations(item, field)
    else:
        yield from _unpriced_violations(item, currency, field)


def _priced_violations(item: InvoiceItemFields, field: str) -> Iterator[FieldViolation]:
    if item.unit_amount is not None:
        yield FieldViolation(f"{field}.unit_amount", "excludes price")
    if item.product:
        yield FieldViolation(f"{field}.product", "cannot be combined with price")


def _unpriced_violations(
    item: InvoiceItemFields, currency: str, field: str
) -> Iterator[FieldViolation]:
    if item.unit_amount is None:
        yield FieldViolation(field, "needs a price or a unit_amount")
    elif currency in CURRENCIES and (
        rule := unit_amount_rule(item.unit_amount, item.quantity, currency)
    ):
        yield FieldViolation(f"{field}.unit_amount", rule)
    if item.product and (item.unit_amount or 0) < 0:
        yield FieldViolation(
            f"{field}.product", "must be empty for a credit (an amount below zero)"
        )
    if not item.product and not item.description.strip():
        yield FieldViolation(f"{field}.description", "is required without a price and a product")
