"""Invoice payments: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import INVOICE_PAYMENTS
from domain.invoice_payments import InvoicePayment
from domain.money import Money
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _Payment(msgspec.Struct, frozen=True, gc=False):
    """What pays; `type` names which of the fields tells it, the others may be left out."""

    type: str
    payment_intent: Expandable = UNSET
    charge: Expandable = UNSET


@final
class _StatusTransitions(msgspec.Struct, frozen=True, gc=False):
    paid_at: Seconds | UnsetType | None = UNSET


class InvoicePaymentShape(Shape, frozen=True, gc=False, kw_only=True):
    """An invoice payment, as in the API reference, "The Invoice Payment object"."""

    amount_requested: Amount
    currency: str
    amount_paid: Amount | UnsetType | None = UNSET
    invoice: Expandable = UNSET
    status: str | UnsetType = UNSET
    payment: _Payment | UnsetType = UNSET
    is_default: bool | UnsetType | None = UNSET
    status_transitions: _StatusTransitions | UnsetType = UNSET


def to_domain(shape: InvoicePaymentShape) -> tuple[InvoicePayment, frozenset[str]]:
    """The invoice payment, and the names of its fields that were not told."""
    fields, changes = Fields(), shape.status_transitions
    paid = fields("amount_paid", shape.amount_paid, None)
    payment = InvoicePayment(
        id=shape.id,
        created=instant(shape.created),
        invoice=fields("invoice", reference(shape.invoice), None) or "",
        status=fields("status", shape.status, ""),
        amount_requested=Money(shape.amount_requested, shape.currency),
        amount_paid=None if paid is None else Money(paid, shape.currency),
        payment_intent=fields("payment_intent", _paid_by(shape.payment, "payment_intent"), None),
        charge=fields("charge", _paid_by(shape.payment, "charge"), None),
        is_default=fields("is_default", shape.is_default, None),
        paid_at=fields.instant("paid_at", changes and changes.paid_at),
    )
    return payment, fields.unknown


def _paid_by(payment: _Payment | UnsetType, kind: str) -> str | UnsetType | None:
    """The id of what pays, where it is of a kind; None where it is of another."""
    if isinstance(payment, UnsetType):
        return UNSET
    if payment.type != kind:
        return None
    return reference(payment.charge if kind == "charge" else payment.payment_intent)


INVOICE_PAYMENT: Final = Translation(
    INVOICE_PAYMENTS, "/v1/invoice_payments", InvoicePaymentShape, to_domain
)
