"""Refunds: how they are read from Stripe."""

from typing import Final

from msgspec import UNSET, UnsetType

from application.mirror.nouns import REFUNDS
from domain.money import Money
from domain.refunds import Refund
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Shape,
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
    fields = Fields()
    refund = Refund(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        status=fields("status", shape.status, None),
        charge=fields("charge", reference(shape.charge), None),
        payment_intent=fields("payment_intent", reference(shape.payment_intent), None),
        reason=fields("reason", shape.reason, None),
        failure_reason=shape.failure_reason,
        balance_transaction=fields(
            "balance_transaction", reference(shape.balance_transaction), None
        ),
        metadata=fields.metadata(shape.metadata),
    )
    return refund, fields.unknown


REFUND: Final = Translation(REFUNDS, "/v1/refunds", RefundShape, to_domain)
