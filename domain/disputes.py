"""Disputes: a payment that its payer contests at the bank."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class Dispute:
    """A mirrored dispute, in the charge's currency.

    `status` is Stripe's open string: `warning_*` are inquiries, `prevented` never was one, `won`
    and `lost` end it. `balance_transactions` are the ids of what it moved.
    """

    id: str
    created: dt.datetime
    amount: Money
    status: str
    charge: str | None = None
    payment_intent: str | None = None
    reason: str | None = None
    is_charge_refundable: bool | None = None
    balance_transactions: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
