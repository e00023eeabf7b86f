"""Refunds: how they are read from Stripe."""

from typing import Final

from msgspec import UNSET, UnsetType

from application.ports.nouns import REFUNDS
from domain.money import Money
from domain.refunds import Refund
from infrastructure.stripe.shapes import (
    Amount,
    Expandable,
    Shape,
    Told,
    Translation,
    instant,
    reference,
)


class RefundShape(Shape, frozen=True, gc=False, kw_only=True):
    """A refund, as in the API reference, "The Refund object".

    One that has not failed leaves out why it did, in an event as in a read.
    """

    amount: Amount
    currency: str
    status: str | UnsetType | None = UNSET
    charge: Expandable = UNSET
    payment_intent: Expandable = UNSET
    reason: str | UnsetType | None = UNSET
    failure_reason: str | None = None
    balance_transaction: Expandable = UNSET


def to_domain(shape: RefundShape) -> tuple[Refund, frozenset[str]]:
    """The refund, and the names of its fields that were not told."""
    told = Told()
    refund = Refund(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        status=told("status", shape.status, None),
        charge=told("charge", reference(shape.charge), None),
        payment_intent=told("payment_intent", reference(shape.payment_intent), None),
        reason=told("reason", shape.reason, None),
        failure_reason=shape.failure_reason,
        balance_transaction=told("balance_transaction", reference(shape.balance_transaction), None),
        metadata=told.metadata(shape.metadata),
    )
    return refund, told.unknown


REFUND: Final = Translation(REFUNDS, "/v1/refunds", RefundShape, to_domain)
