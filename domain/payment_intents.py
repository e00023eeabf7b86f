"""Payment intents: a payment from its first attempt to its end."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


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
