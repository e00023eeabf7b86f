"""Revenue by product: what a captured charge was for, in parts that add up to it; and disputes.

Docs: docs/metrics.md, "Revenue by product". Amounts are whole minor units, posted times SCALE.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from domain.evidence import ChargeEvidence, DisputeEvidence
from domain.facts import SCALE, Series, Statement
from domain.invoices import Invoice

PRODUCT: Final = "product"
NO_PRODUCT: Final = "no_product"
TAX: Final = "tax"
UNATTRIBUTED: Final = "unattributed"
KINDS: Final = (PRODUCT, NO_PRODUCT, TAX, UNATTRIBUTED)
"""The rows of a charge. `product` names which; a line without one is `no_product`."""

PENDING: Final = "pending"
"""The row of what has no transaction yet: it is posted nowhere, whoever answers adds it."""

CAPTURED: Final = "captured"
REFUNDED: Final = "refunded"

WON: Final = "won"
LOST: Final = "lost"
UNDATED: Final = "undated"

Row = tuple[str, str]
"""A kind, and the product of one that has some."""


def statements_of_charge(evidence: ChargeEvidence) -> tuple[Statement, ...]:
    """What should stand of a charge: its rows at its settlement, then those of its refunds.

    Cause `captured` or `refunded`. Nothing until the charge is settled.
    """
    charge, invoice = evidence.charge, evidence.invoice
    if evidence.settled_at is None or charge.status != "succeeded":
        return ()
    if charge.amount_captured.amount <= 0:
        return ()
    shares = shares_of(charge.amount_captured.amount, invoice)
    at = [(evidence.settled_at, CAPTURED, shares)]
    given_back, back = dict.fromkeys(shares, 0), 0
    refunds = [each for each in evidence.refunded if each[0].status not in ("failed", "canceled")]
    for refund, first in sorted(refunds, key=lambda each: (each[1], each[0].id)):
        # All refunds so far are shared, less those before: what is refunded whole leaves nothing.
        back += refund.amount.amount
        so_far = parted(back, shares)
        rows = {row: given_back[row] - amount for row, amount in so_far.items()}
        at.append((first, REFUNDED, rows))
        given_back = so_far
    return tuple(
        Statement(
            Series.REVENUE_LINE, charge.id, when, kind, charge.amount.currency, amount * SCALE,
            cause=cause, customer=charge.customer or "", product=product,
            source=invoice.id if invoice is not None else "",
        )
        for when, cause, rows in at
        for (kind, product), amount in rows.items()
        if amount
    )  # fmt: skip


def statements_of_dispute(evidence: DisputeEvidence) -> tuple[Statement, ...]:
    """What should stand of a dispute that is won or lost, at its closing.

    Its closing is the closed event, else the reversal; without either it is `undated`, told at its
    own beginning, with what became of it as the cause.
    """
    dispute = evidence.dispute
    if dispute.status not in (WON, LOST):
        return ()
    at = evidence.closed_at or evidence.reversed_at
    return (
        Statement(
            Series.DISPUTE_CLOSED, dispute.id, at or dispute.created,
            UNDATED if at is None else dispute.status, dispute.amount.currency,
            dispute.amount.amount * SCALE, 1, dispute.status, source=dispute.charge or "",
        ),
    )  # fmt: skip


def shares_of(captured: int, invoice: Invoice | None) -> dict[Row, int]:
    """The rows of an amount that was captured, in minor units; they sum to it."""
    weights = {} if invoice is None else _weights(invoice)
    total = sum(weights.values())
    if invoice is None or total <= 0 or invoice.total.amount <= 0:
        return {(UNATTRIBUTED, ""): captured}
    shares = parted(min(captured, invoice.total.amount), weights)
    if captured > invoice.total.amount:
        shares[UNATTRIBUTED, ""] = captured - invoice.total.amount
    return shares


def parted(amount: int, weights: Mapping[Row, int]) -> dict[Row, int]:
    """An amount by weights of either sign, whose sum is above zero; the parts sum to it.

    Rounded down each; what then lacks goes to the largest remainders, the lesser row first.
    """
    total = sum(weights.values())
    parts = {row: amount * weight // total for row, weight in weights.items()}
    lacking = amount - sum(parts.values())
    by_remainder = sorted(weights, key=lambda row: (-(amount * weights[row] % total), row))
    for row in by_remainder[:lacking]:
        parts[row] += 1
    return parts


def _weights(invoice: Invoice) -> dict[Row, int]:
    weights: dict[Row, int] = {}
    for row, amount in _rows(invoice):
        weights[row] = weights.get(row, 0) + amount
    return {row: amount for row, amount in sorted(weights.items()) if amount}


def _rows(invoice: Invoice) -> Iterator[tuple[Row, int]]:
    """Each line net of its discounts, and what of it is tax, on top of it or within."""
    for line in invoice.lines:
        off = sum(discount.amount.amount for discount in line.discounts)
        within = sum(tax.amount.amount for tax in line.taxes if tax.behavior == "inclusive")
        row = (PRODUCT, line.product) if line.product else (NO_PRODUCT, "")
        yield row, line.amount.amount - off - within
        yield (TAX, ""), sum(tax.amount.amount for tax in line.taxes)


def sums(statements: Sequence[Statement], cause: str = CAPTURED) -> dict[tuple[str, Row], int]:
    """What statements of charges add up to, in minor units, by currency and row."""
    found: dict[tuple[str, Row], int] = {}
    for each in statements:
        if each.cause == cause:
            key = each.currency, (each.kind, each.product)
            found[key] = found.get(key, 0) + each.amount // SCALE
    return found
