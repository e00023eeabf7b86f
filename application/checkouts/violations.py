"""What is wrong with what callers ask of checkouts, before anything is looked up."""

import re
from collections.abc import Iterator
from typing import Final

from application.checkouts.commands import (
    CheckoutOrder,
    CheckoutRefund,
    CheckoutResolution,
    CheckoutRetry,
)
from application.mutations.mutations import request_id_violations
from application.requests.violations import (
    METHOD_ID,
    id_violations,
    optional_id_violations,
    text_violations,
)
from domain.errors import FieldViolation
from domain.wallets import MAX_AMOUNT

MAX_QUOTE: Final = 128
MAX_REASON: Final = 500
CHECKOUT_ID: Final = re.compile(r"[a-z0-9_]{1,100}")


def order_violations(request_id: str, order: CheckoutOrder) -> Iterator[FieldViolation]:
    """What is wrong with an order, whatever its quote says."""
    yield from request_id_violations(request_id)
    if not order.quote:
        yield FieldViolation("quote", "must be given: PreviewCheckout makes it")
    yield from text_violations(order.quote, "quote", MAX_QUOTE)
    yield from optional_id_violations(order.payment_method, "payment_method", METHOD_ID)


def checkout_violations(request_id: str, checkout: str) -> Iterator[FieldViolation]:
    """What is wrong with an order to a checkout."""
    yield from request_id_violations(request_id)
    yield from checkout_id_violations(checkout)


def retry_violations(request_id: str, retry: CheckoutRetry) -> Iterator[FieldViolation]:
    """What is wrong with another try."""
    yield from checkout_violations(request_id, retry.checkout)
    yield from id_violations(retry.payment_method, "payment_method", METHOD_ID)


def resolution_violations(
    request_id: str, resolution: CheckoutResolution
) -> Iterator[FieldViolation]:
    """What is wrong with a decision."""
    yield from checkout_violations(request_id, resolution.checkout)
    if resolution.resolution is None:
        yield FieldViolation("resolution", "RETRY or CLOSE")
    if not resolution.reason.strip():
        yield FieldViolation("reason", "must be given: it is kept with the checkout")
    yield from text_violations(resolution.reason, "reason", MAX_REASON)


def refund_violations(request_id: str, refund: CheckoutRefund) -> Iterator[FieldViolation]:
    """What is wrong with giving a part back, whatever is left of the sale."""
    yield from checkout_violations(request_id, refund.checkout)
    if not 0 <= refund.amount <= MAX_AMOUNT:
        yield FieldViolation("amount", f"0 to {MAX_AMOUNT:,} minor units; 0: all that is left")
    if not refund.reason.strip():
        yield FieldViolation("reason", "must be given: it is kept with the checkout")
    yield from text_violations(refund.reason, "reason", MAX_REASON)


def checkout_id_violations(checkout: str) -> Iterator[FieldViolation]:
    """What is no id of a checkout."""
    if not CHECKOUT_ID.fullmatch(checkout):
        yield FieldViolation("id", "the id of a checkout, as ExecuteCheckout gave it")
