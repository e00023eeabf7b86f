"""Invoice payments: which payment pays which invoice."""

import datetime as dt
from dataclasses import dataclass

from domain.money import Money


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """A mirrored invoice payment. Of `payment_intent` and `charge` at most one is there.

    A charge is named only where it has no payment intent; a payment outside Stripe has neither.
    `status` is Stripe's open string (`open`, `paid`, `canceled`); only of `paid` Stripe sends an
    event.
    """

    id: str
    created: dt.datetime
    invoice: str
    status: str
    amount_requested: Money
    amount_paid: Money | None = None
    payment_intent: str | None = None
    charge: str | None = None
    is_default: bool | None = None
    paid_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
