"""Disputes: how they are read from Stripe."""

from typing import Final

from msgspec import UNSET, UnsetType

from application.mirror.nouns import CHARGES, DISPUTES
from domain.disputes import Dispute
from domain.money import Money
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Reference,
    Shape,
    Translation,
    instant,
    reference,
)


class DisputeShape(Shape, frozen=True, gc=False, kw_only=True):
    """A dispute, as in the API reference, "The Dispute object".

    Its balance transactions are none, one or two, a plain array.
    """

    amount: Amount
    currency: str
    status: str | UnsetType = UNSET
    charge: Expandable = UNSET
    payment_intent: Expandable = UNSET
    reason: str | UnsetType | None = UNSET
    is_charge_refundable: bool | UnsetType | None = UNSET
    balance_transactions: list[Reference] | UnsetType = UNSET


def to_domain(shape: DisputeShape) -> tuple[Dispute, frozenset[str]]:
    """The dispute, and the names of its fields that were not told."""
    fields = Fields()
    moved = fields("balance_transactions", shape.balance_transactions, [])
    dispute = Dispute(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        status=fields("status", shape.status, ""),
        charge=fields("charge", reference(shape.charge), None),
        payment_intent=fields("payment_intent", reference(shape.payment_intent), None),
        reason=fields("reason", shape.reason, None),
        is_charge_refundable=fields("is_charge_refundable", shape.is_charge_refundable, None),
        balance_transactions=tuple(transaction.id for transaction in moved),
        metadata=fields.metadata(shape.metadata),
    )
    return dispute, fields.unknown


_OF_CHARGE: Final = (CHARGES, "charge")

DISPUTE: Final = Translation(
    DISPUTES,
    "/v1/disputes",
    DisputeShape,
    to_domain,
    # The charge is `disputed` from then on, or may not be any more, and `charge.updated` tells only
    # of other changes. What moves the dispute's own money in between does not touch that.
    concerns={"charge.dispute.created": _OF_CHARGE, "charge.dispute.closed": _OF_CHARGE},
)
