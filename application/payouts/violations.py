"""What is wrong with what callers ask of payouts."""

from collections.abc import Iterator
from typing import Final

from application.payouts.commands import ListPayouts, ListPayoutTransactions
from application.requests.paging import page_size_violations
from application.requests.violations import id_violations, span_violations, text_violations
from domain.errors import FieldViolation
from domain.money import CURRENCIES

STATUSES: Final = ("pending", "in_transit", "paid", "failed", "canceled")
"""API reference, "The Payout object", `status`."""

_MAX_CATEGORY: Final = 100


def list_violations(query: ListPayouts) -> Iterator[FieldViolation]:
    """Of a list of payouts."""
    yield from page_size_violations(query.page_size)
    for position, status in enumerate(query.statuses[: len(STATUSES) + 1]):
        if status not in STATUSES:
            yield FieldViolation(f"statuses[{position}]", f"one of {', '.join(STATUSES)}")
    if len(query.statuses) > len(STATUSES):
        yield FieldViolation("statuses", f"at most {len(STATUSES)}")
    if query.currency and query.currency not in CURRENCIES:
        yield FieldViolation("currency", "one that Stripe knows, lower-case, such as eur")
    yield from span_violations(query.arrival_after, query.arrival_before, "arrival")
    yield from span_violations(query.created_after, query.created_before)


def transactions_violations(query: ListPayoutTransactions) -> Iterator[FieldViolation]:
    """Of a list of what a payout holds."""
    yield from payout_violations(query.payout)
    yield from page_size_violations(query.page_size)
    yield from text_violations(query.reporting_category, "reporting_category", _MAX_CATEGORY)


def payout_violations(payout: str) -> Iterator[FieldViolation]:
    """Of the id of a payout."""
    yield from id_violations(payout, "id", "po_1OaFDbEcg9tTZuTgNYmX0PKB")
