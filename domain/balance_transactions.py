"""Balance transactions: what moved Stripe's balance, and what it cost."""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from domain.money import Money

PAYOUT: Final = "payout"
"""The facet of a balance transaction that tells which payout it is in: the value `payout`."""

PAYMENTS: Final = "payments"
"""The `balance_type` of what is earned and paid out; others are set apart."""

PENDING: Final = "pending"
"""The status of a transaction until it is available: its fee may change."""

APPLICATION_FEES: Final = ("application_fee",)
TAX_FEES: Final = ("tax", "withheld_tax")
"""The types of fee details that are not Stripe's own fee."""


@dataclass(frozen=True, slots=True)
class FeeDetail:
    """A part of a fee.

    `type` is Stripe's open string: `stripe_fee`, `application_fee`,
    `payment_method_passthrough_fee`, `tax`, `withheld_tax`. `application` is who earned it.
    """

    type: str
    amount: Money
    description: str | None = None
    application: str | None = None


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """A mirrored balance transaction. All amounts are in the settlement currency.

    `source` is the id of what caused it: a charge, a refund, a dispute, a payout. `exchange_rate`
    is Stripe's decimal as text, from the source's currency to this one. It is `pending` until
    `available_on`, and its fee may change until then. `balance_type` is Stripe's open string
    (`payments`, `issuing`, `refund_and_dispute_prefunding`, `risk_reserved`).
    """

    id: str
    created: dt.datetime
    amount: Money
    fee: Money
    net: Money
    type: str
    status: str
    available_on: dt.datetime
    source: str | None = None
    reporting_category: str | None = None
    exchange_rate: str | None = None
    description: str | None = None
    fee_details: tuple[FeeDetail, ...] = ()
    balance_type: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        if {self.fee.currency, self.net.currency} != {self.amount.currency}:
            raise ValueError("amount: a balance transaction has one currency")

    @property
    def application_fee(self) -> int:
        """What of the fee is for applications, in minor units."""
        return self._fee_of(APPLICATION_FEES)

    @property
    def tax_fee(self) -> int:
        """What of the fee is tax, in minor units."""
        return self._fee_of(TAX_FEES)

    def _fee_of(self, types: tuple[str, ...]) -> int:
        return sum(detail.amount.amount for detail in self.fee_details if detail.type in types)
