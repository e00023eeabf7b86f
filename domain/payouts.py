"""Payouts: what Stripe sends to the bank."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.money import Money

MEMBERSHIP: Final = "membership"
"""The facet of a payout that tells whether its transactions were read, all of them.

Its values: `transactions`, how many they are; `not_understood`, how many of Stripe's list are not;
`read_at`, milliseconds, by our clock.
"""

RECONCILED: Final = "completed"
"""The `reconciliation_status` from which on Stripe tells the transactions of a payout."""


@dataclass(frozen=True, slots=True)
class TraceId:
    """What the bank calls a payout; `status` is `pending`, `supported` or `unsupported`."""

    status: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """A mirrored payout, negative where Stripe takes money back.

    `status` is Stripe's open string (`pending`, `in_transit`, `paid`, `failed`, `canceled`); one
    that was paid may still fail. So it has two dates: `arrival_date`, and when the transaction was
    made that took it back, in the facet REVERSAL of `domain.attribution`.
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
    failure_message: str | None = None
    failure_balance_transaction: str | None = None
    original_payout: str | None = None
    reversed_by: str | None = None
    source_type: str | None = None
    trace_id: TraceId | None = None
    statement_descriptor: str | None = None
    application_fee_amount: Money | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")

    @property
    def tells_transactions(self) -> bool:
        """Whether Stripe tells which transactions are in it: never those of manual ones."""
        return self.automatic and self.reconciliation_status == RECONCILED
