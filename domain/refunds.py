"""Refunds: money given back, whole or in part."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class Refund:
    """A mirrored refund, in the charge's currency.

    `status` is Stripe's open string (`succeeded`, `pending`, `failed`, `requires_action`,
    `canceled`, …); a failed refund has returned to the balance.
    """

    id: str
    created: dt.datetime
    amount: Money
    status: str | None = None
    charge: str | None = None
    payment_intent: str | None = None
    reason: str | None = None
    failure_reason: str | None = None
    balance_transaction: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
