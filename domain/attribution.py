"""Attribution: what other objects tell about a charge, a refund, a dispute, a payout.

A balance transaction tells what its source cost and brought; an invoice, by way of its payment,
what a charge was for. Both are facets of the source's row, each with the version of what told it,
so that it does not matter which of the pieces comes first.
"""

from collections.abc import Mapping
from typing import Any, Final

from domain.balance_transactions import BalanceTransaction
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.mirror import Facet, Snapshot
from domain.periods import to_milliseconds

SETTLEMENT: Final = "settlement"
"""The facet of what a movement of money cost and brought."""

REVERSAL: Final = "reversal"
"""The facet of what its failure or reversal took back."""

INVOICE: Final = "invoice"
"""The facet of what a charge was for."""

_BY_TYPE: Final[Mapping[str, tuple[str, str]]] = {
    "charge": ("charge", SETTLEMENT),
    "payment": ("charge", SETTLEMENT),
    "payment_failure_refund": ("charge", REVERSAL),
    "payment_reversal": ("charge", REVERSAL),
    "refund": ("refund", SETTLEMENT),
    "payment_refund": ("refund", SETTLEMENT),
    "refund_failure": ("refund", REVERSAL),
    "payout": ("payout", SETTLEMENT),
    "payout_cancel": ("payout", REVERSAL),
    "payout_failure": ("payout", REVERSAL),
}
"""The noun and facet that a type tells about (Stripe, "Balance transaction types")."""

_BY_CATEGORY: Final[Mapping[str, tuple[str, str]]] = {
    "dispute": ("dispute", SETTLEMENT),
    "dispute_reversal": ("dispute", REVERSAL),
}
"""The same of an `adjustment`, which only its reporting category tells apart."""


def settlement(told: Snapshot[BalanceTransaction]) -> tuple[str, Facet] | None:
    """The noun and the facet of the row that a balance transaction tells about, if any does.

    Amounts are minor units of the settlement `currency`, `available_on` milliseconds.
    """
    found = told.object
    if found is None or not found.source or "source" in told.unknown:
        return None
    place = _BY_TYPE.get(found.type)
    if found.type == "adjustment":
        place = _BY_CATEGORY.get(found.reporting_category or "")
    if place is None:
        return None
    noun, name = place
    values = {
        "balance_transaction": found.id,
        "amount": found.amount.amount,
        "fee": found.fee.amount,
        "net": found.net.amount,
        "currency": found.net.currency,
        "exchange_rate": found.exchange_rate,
        "available_on": to_milliseconds(found.available_on),
    }
    return noun, Facet(told.stripe_account, found.source, name, values, told.version)


def attribution(
    charge_id: str, payment: Snapshot[InvoicePayment], invoice: Snapshot[Invoice]
) -> Facet | None:
    """What a charge was for: the invoice that it pays, and whose sale that is.

    A field that the invoice's observation does not know is null. The metadata is the subscription's
    as it was when the invoice was made.
    """
    found = invoice.object
    if found is None or payment.object is None:
        return None

    def known(name: str, value: Any) -> Any:
        return None if name in invoice.unknown else value

    products = dict.fromkeys(line.product for line in found.lines if line.product)
    values = {
        "invoice": found.id,
        "subscription": known("subscription", found.subscription),
        "products": known("lines", list(products)),
        "billing_reason": known("billing_reason", found.billing_reason),
        "subscription_metadata": known("subscription_metadata", dict(found.subscription_metadata)),
    }
    version = invoice.version.joined(payment.version)
    return Facet(invoice.stripe_account, charge_id, INVOICE, values, version)
