"""Payouts: what Stripe sends to the bank."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class Payout:
    """A mirrored payout, negative where Stripe takes money back.

    `status` is Stripe's open string (`pending`, `in_transit`, `paid`, `failed`, `canceled`); one
    that was paid may still fail.
    """

    id: str
    created: dt.datetime
    amount: Money
    status: str
    arrival_date: dt.datetime
    automatic: bool
    type: str | None = None
    method: str | None = None
    destination: str | None = None
    balance_transaction: str | None = None
    failure_code: str | None = None
    reconciliation_status: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
