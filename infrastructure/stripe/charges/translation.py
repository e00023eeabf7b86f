"""Charges: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import CHARGES
from domain.charges import Charge
from domain.money import Money
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _MethodDetails(msgspec.Struct, frozen=True, gc=False):
    type: str | UnsetType | None = UNSET


@final
class _Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of an attempt; a risk that nobody evaluated is left out, here as in a read."""

    type: str | UnsetType | None = UNSET
    reason: str | UnsetType | None = UNSET
    risk_level: str | None = None


class ChargeShape(Shape, frozen=True, gc=False, kw_only=True):
    """A charge, as in the API reference, "The Charge object"."""

    amount: Amount
    currency: str
    amount_captured: Amount | UnsetType = UNSET
    amount_refunded: Amount | UnsetType = UNSET
    status: str | UnsetType = UNSET
    captured: bool | UnsetType = UNSET
    refunded: bool | UnsetType = UNSET
    disputed: bool | UnsetType = UNSET
    customer: Expandable = UNSET
    payment_intent: Expandable = UNSET
    payment_method: Expandable = UNSET
    payment_method_details: _MethodDetails | UnsetType | None = UNSET
    balance_transaction: Expandable = UNSET
    description: str | UnsetType | None = UNSET
    failure_code: str | UnsetType | None = UNSET
    outcome: _Outcome | UnsetType | None = UNSET


def to_domain(shape: ChargeShape) -> tuple[Charge, frozenset[str]]:
    """The charge, and the names of its fields that were not told."""
    fields = Fields()
    details, outcome = shape.payment_method_details, shape.outcome
    charge = Charge(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        amount_captured=fields.money("amount_captured", shape.amount_captured, shape.currency),
        amount_refunded=fields.money("amount_refunded", shape.amount_refunded, shape.currency),
        status=fields("status", shape.status, ""),
        captured=fields("captured", shape.captured, False),
        refunded=fields("refunded", shape.refunded, False),
        disputed=fields("disputed", shape.disputed, False),
        customer=fields("customer", reference(shape.customer), None),
        payment_intent=fields("payment_intent", reference(shape.payment_intent), None),
        payment_method=fields("payment_method", reference(shape.payment_method), None),
        payment_method_type=fields("payment_method_type", details and details.type, None),
        balance_transaction=fields(
            "balance_transaction", reference(shape.balance_transaction), None
        ),
        description=fields("description", shape.description, None),
        failure_code=fields("failure_code", shape.failure_code, None),
        outcome_type=fields("outcome_type", outcome and outcome.type, None),
        outcome_reason=fields("outcome_reason", outcome and outcome.reason, None),
        risk_level=fields("risk_level", outcome and outcome.risk_level, None),
        metadata=fields.metadata(shape.metadata),
    )
    return charge, fields.unknown


CHARGE: Final = Translation(CHARGES, "/v1/charges", ChargeShape, to_domain)
