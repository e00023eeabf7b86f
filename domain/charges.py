"""Charges: each one an attempt to move money."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class Charge:
    """A mirrored charge. All amounts are in the presentment currency.

    `status` is Stripe's open string (`succeeded`, `pending`, `failed`, …). `outcome_type` tells a
    payment that Stripe `blocked` from one that the issuer declined.
    """

    id: str
    created: dt.datetime
    amount: Money
    amount_captured: Money
    amount_refunded: Money
    status: str
    captured: bool
    refunded: bool
    disputed: bool
    customer: str | None = None
    payment_intent: str | None = None
    payment_method: str | None = None
    payment_method_type: str | None = None
    balance_transaction: str | None = None
    description: str | None = None
    failure_code: str | None = None
    outcome_type: str | None = None
    outcome_reason: str | None = None
    risk_level: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        if {self.amount_captured.currency, self.amount_refunded.currency} != {self.amount.currency}:
            raise ValueError("amount: a charge has one currency")
