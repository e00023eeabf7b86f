"""Balance transactions: what moved Stripe's balance, and what it cost."""

import datetime as dt
from dataclasses import dataclass

from domain.money import Money


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """A mirrored balance transaction. All amounts are in the settlement currency.

    `source` is the id of what caused it: a charge, a refund, a dispute, a payout. `exchange_rate`
    is Stripe's decimal as text, from the source's currency to this one. It is `pending` until
    `available_on`, and its fee may change until then.
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

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
        if {self.fee.currency, self.net.currency} != {self.amount.currency}:
            raise ValueError("amount: a balance transaction has one currency")
