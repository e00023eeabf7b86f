"""Payment intents: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import PAYMENT_INTENTS
from domain.money import Money
from domain.payment_intents import PaymentIntent
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
class _Error(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt failed; an error without a code leaves that out."""

    code: str | None = None


class PaymentIntentShape(Shape, frozen=True, gc=False, kw_only=True):
    """A payment intent, as in the API reference, "The PaymentIntent object"."""

    amount: Amount
    currency: str
    amount_received: Amount | UnsetType = UNSET
    status: str | UnsetType = UNSET
    customer: Expandable = UNSET
    payment_method: Expandable = UNSET
    latest_charge: Expandable = UNSET
    capture_method: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    canceled_at: Seconds | UnsetType | None = UNSET
    cancellation_reason: str | UnsetType | None = UNSET
    last_payment_error: _Error | UnsetType | None = UNSET


def to_domain(shape: PaymentIntentShape) -> tuple[PaymentIntent, frozenset[str]]:
    """The payment intent, and the names of its fields that were not told."""
    fields, error = Fields(), shape.last_payment_error
    intent = PaymentIntent(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        amount_received=fields.money("amount_received", shape.amount_received, shape.currency),
        status=fields("status", shape.status, ""),
        customer=fields("customer", reference(shape.customer), None),
        payment_method=fields("payment_method", reference(shape.payment_method), None),
        latest_charge=fields("latest_charge", reference(shape.latest_charge), None),
        capture_method=fields("capture_method", shape.capture_method, None),
        description=fields("description", shape.description, None),
        canceled_at=fields.instant("canceled_at", shape.canceled_at),
        cancellation_reason=fields("cancellation_reason", shape.cancellation_reason, None),
        last_error_code=fields("last_error_code", error and error.code, None),
        metadata=fields.metadata(shape.metadata),
    )
    return intent, fields.unknown


PAYMENT_INTENT: Final = Translation(
    PAYMENT_INTENTS, "/v1/payment_intents", PaymentIntentShape, to_domain
)
