"""Attribution: what other objects tell about a charge, a refund, a dispute, a payout.

A balance transaction tells what its source cost and brought; an invoice, by way of its payment,
what a charge was for. Both are facets of the source's row, each with the version of what told it,
so that it does not matter which of the pieces comes first.
"""

from collections.abc import Mapping
from typing import Any, Final

from domain.balance_transactions import PAYMENTS, BalanceTransaction
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.mirror import FOREVER_MS, Facet, Row, Snapshot, Version
from domain.periods import to_milliseconds
from domain.reporting_categories import CATEGORIES, RELEASE, REVERSAL, SETTLEMENT, category_of

RULES: Final = 2
"""Grows where a transaction or a charge tells something else than before: all is derived anew."""

INVOICE: Final = "invoice"
"""The facet of what a charge was for."""

FIRST: Final = "first"
"""The facet of a refund or dispute that tells when it first took money, and in what currency."""

_COUNTED_ONCE: Final = ("refund", "dispute")
"""What counts once, at its first transaction: a dispute that is lost after all has several."""

FACETS: Final = (SETTLEMENT, REVERSAL, RELEASE)
"""The facets that a balance transaction tells."""

SETTLED: Final = ("charge", "refund", "dispute", "payout")
"""The nouns that balance transactions tell about."""


def settlement(told: Snapshot[BalanceTransaction]) -> tuple[str, Facet] | None:
    """The noun and the facet of the row that a balance transaction tells about, if any does.

    Amounts are minor units of the settlement `currency`, `created` and `available_on` milliseconds.
    """
    found = told.object
    if found is None or not found.source or "source" in told.unknown:
        return None
    category = category_of(found.reporting_category, found.type)
    if category is None or not category.noun:
        return None
    values = {
        "balance_transaction": found.id,
        "amount": found.amount.amount,
        "fee": found.fee.amount,
        "net": found.net.amount,
        "currency": found.net.currency,
        "exchange_rate": found.exchange_rate,
        "created": to_milliseconds(found.created),
        "available_on": to_milliseconds(found.available_on),
    }
    facet = Facet(told.stripe_account, found.source, category.facet, values, told.version)
    return category.noun, facet


def first_movement(told: Snapshot[BalanceTransaction]) -> tuple[str, Facet] | None:
    """The noun and facet of the refund or dispute that a transaction took money for, if for one.

    Of several the earliest is to stand, so that is the later version.
    """
    found, place = told.object, settlement(told)
    if found is None or place is None or (found.balance_type or PAYMENTS) != PAYMENTS:
        return None
    if place[0] not in _COUNTED_ONCE or place[1].name != SETTLEMENT:
        return None
    if category_of(found.reporting_category, found.type) is CATEGORIES["charge_failure"]:
        return None  # its source is a refund object, but no refund
    at = to_milliseconds(found.created)
    values = {"at": at, "currency": found.amount.currency, "balance_transaction": found.id}
    version = Version.of_event(FOREVER_MS - at)
    return place[0], Facet(told.stripe_account, place[1].id, FIRST, values, version)


def told_by(told: Snapshot[BalanceTransaction]) -> list[tuple[str, Facet]]:
    """All that a balance transaction tells about other rows: their nouns, and the facets."""
    return [place for place in (settlement(told), first_movement(told)) if place is not None]


def mistaken(
    noun: str, row: Row[Any], told: Mapping[str, Snapshot[BalanceTransaction]]
) -> list[Facet]:
    """What takes back the facets of a row that transactions no longer tell; without values.

    `told` are transactions by id: one that is not among them says nothing.
    """
    facets = []
    for name in FACETS:
        stored = row.derived.get(name)
        teller = told.get(stored.values.get("balance_transaction", "")) if stored else None
        if stored is None or teller is None:
            continue
        place = settlement(teller)
        if place is None or (place[0], place[1].id, place[1].name) != (noun, row.id, name):
            version = stored.version.joined(teller.version)
            facets.append(Facet(row.stripe_account, row.id, name, {}, version))
    return facets


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
