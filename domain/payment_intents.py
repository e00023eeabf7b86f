"""Payment intents: a payment from its first attempt to its end."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.money import Money


class PaymentStanding(StrEnum):
    """What the status of a payment intent comes to."""

    ASKS = "asks"
    """The payer has to confirm, or to give another payment method."""

    PENDING = "pending"
    """The bank takes its time."""

    AUTHORISED = "authorised"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    ODD = "odd"
    """None that is known: people have to look."""


_STANDINGS: Final = {
    "requires_payment_method": PaymentStanding.ASKS,
    "requires_confirmation": PaymentStanding.ASKS,
    "requires_action": PaymentStanding.ASKS,
    "processing": PaymentStanding.PENDING,
    "requires_capture": PaymentStanding.AUTHORISED,
    "succeeded": PaymentStanding.SUCCEEDED,
    "canceled": PaymentStanding.CANCELED,
}


def standing_of(status: str) -> PaymentStanding:
    """What a status of Stripe's comes to (docs, "How PaymentIntents work")."""
    return _STANDINGS.get(status, PaymentStanding.ODD)


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """A mirrored payment intent.

    `status` is Stripe's open string; `succeeded` and `canceled` end it.
    """

    id: str
    created: dt.datetime
    amount: Money
    amount_received: Money
    status: str
    customer: str | None = None
    payment_method: str | None = None
    latest_charge: str | None = None
    capture_method: str | None = None
    description: str | None = None
    canceled_at: dt.datetime | None = None
    cancellation_reason: str | None = None
    last_error_code: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        if self.amount_received.currency != self.amount.currency:
            raise ValueError("amount: a payment intent has one currency")
