"""Balance transactions (API reference, "Balance Transactions"): what a payment does to a balance.

They make no events, as at Stripe: a consumer has to list them. What the account's payments balance
holds is their sum, at any instant.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter, page, parameters
from sandbox.emulator.core.params import Currency, Text
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject
from sandbox.emulator.core.verbs import retrieve

PENDING_SECONDS: Final = 2 * DAY_SECONDS
FIXED_FEE: Final = 30
PAYMENTS: Final = "payments"
BALANCE_TYPES: Final = (PAYMENTS, "issuing", "refund_and_dispute_prefunding", "risk_reserved")

PROCESSING: Final = "Stripe processing fees"


def fee(amount: int) -> int:
    """2.9 % of an amount in minor units, rounded half up, and 30 minor units."""
    return (amount * 29 + 500) // 1000 + FIXED_FEE


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee: its amount (signed, minor units of the transaction's currency), what for, its type."""

    amount: int
    description: str
    type: str = "stripe_fee"

    def detail(self, currency: str) -> JsonObject:
        """As it stands in `fee_details`."""
        return {
            "amount": self.amount,
            "application": None,
            "currency": currency,
            "description": self.description,
            "type": self.type,
        }


def record(
    call: Call,
    kind: str,
    source: JsonObject | None,
    amount: int,
    *,
    currency: str = "",
    charge_fee: bool = False,
    fees: tuple[Fee, ...] = (),
    available: bool = False,
    fields: JsonObject | None = None,
) -> JsonObject:
    """The balance transaction of `amount` (signed, minor units of the source's currency).

    It is in a currency that the account settles in. currency: instead of a source's. charge_fee:
    whether Stripe takes its fee of what is settled; a refund does not return it. fees: other ones.
    available: at once, instead of in two days. fields: others of the transaction.
    """
    given: str = currency or ("" if source is None else source["currency"])
    settlement = call.world.accounts.settlement(call.scope.account, given)
    rates = call.world.exchange_rates
    settled, rate = currencies.converted(amount, given, settlement, rates)
    taken = (Fee(fee(settled), PROCESSING),) if charge_fee else fees
    return add(
        call,
        {
            "amount": settled,
            "available_on": call.now + (0 if available else PENDING_SECONDS),
            "currency": settlement,
            "description": None if source is None else source.get("description"),
            "exchange_rate": None if rate is None else msgspec.Raw(rate.encode()),
            "source": None if source is None else source["id"],
            "type": kind,
            **(fields or {}),
        },
        taken,
    )


def add(call: Call, fields: JsonObject, fees: tuple[Fee, ...]) -> JsonObject:
    """A transaction of these fields: its fee, its net, its category follow from them."""
    taken = sum(one.amount for one in fees)
    kind = fields["type"]
    return call.add(
        NOUN,
        {
            "fee": taken,
            "fee_details": [one.detail(fields["currency"]) for one in fees if one.amount],
            "net": fields["amount"] - taken,
            "reporting_category": _CATEGORIES.get(kind, kind),
            **fields,
        },
    )


def not_paid_out(call: Call) -> list[JsonObject]:
    """Those of the payments balance that no automatic payout holds."""
    waiting = call.shelf(NOUN).walk(("payout", ""), (None, None), None, None)
    return [one for one in waiting if one["balance_type"] == PAYMENTS]


Parts: TypeAlias = dict[str, dict[str, int]]
"""Net by currency, then by source type, in minor units."""


def balance(call: Call, balance_type: str = PAYMENTS) -> tuple[Parts, Parts]:
    """(available, pending) of one of the account's balances."""
    available: Parts = defaultdict(lambda: defaultdict(int))
    pending: Parts = defaultdict(lambda: defaultdict(int))
    for one in of_balance(call, balance_type):
        part = available if one["available_on"] <= call.now else pending
        part[one["currency"]][one["source_type"]] += one["net"]
    return available, pending


def of_balance(call: Call, balance_type: str) -> Iterator[JsonObject]:
    """The transactions of one of the account's balances."""
    return (one for one in call.shelf(NOUN) if one["balance_type"] == balance_type)


_CATEGORIES: Final = {
    "payment": "charge",
    "payment_failure_refund": "charge_failure",
    "payment_refund": "refund",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "stripe_fee": "fee",
}
"""Where it is not the type (docs, "Reporting categories")."""


def _list(call: Call) -> JsonObject:
    """Stripe cannot tell what a manual payout holds; of a dispute it finds none (recorded)."""
    params = call.params
    if call.shelf("dispute").get(params.get("source", "")) is not None:
        return {"object": "list", "data": [], "has_more": False, "url": call.path}
    if "payout" not in params:
        return page(call, NOUN, _FILTERS)
    payout = call.find("payout", params["payout"], "payout")
    if not payout["automatic"]:
        raise invalid(
            "Balance transaction history can only be filtered on automatic transfers, not manual.",
            "payout",
        )
    if payout["reconciliation_status"] == "completed":
        return page(call, NOUN, _FILTERS)
    # From memory: until the payout is reconciled the list is answered, but is not whole.
    return page(call, NOUN, {**_FILTERS, "payout": Filter(Text(), _is_its_own)})


def _is_its_own(transaction: JsonObject, payout: str) -> bool:
    return bool(transaction["source"] == payout and transaction["payout"] == payout)


_FILTERS: Final = {
    "source": Filter(Text()),
    "payout": Filter(Text()),
    "type": Filter(Text()),
    "currency": Filter(Currency()),
}

_HIDDEN: Final = frozenset({"payout", "source_type"})


def _view(item: JsonObject, now: int) -> JsonObject:
    """`payout` is the index by which automatic payouts find theirs."""
    shown = {name: value for name, value in item.items() if name not in _HIDDEN}
    return {**shown, "status": "available" if item["available_on"] <= now else "pending"}


NOUN: Final = Noun(
    object="balance_transaction",
    collection="balance_transactions",
    prefix="txn",
    stamps_mode=False,
    title="balance transaction",
    fields={
        "amount": 0,
        "available_on": 0,
        "balance_type": PAYMENTS,
        "currency": "",
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": 0,
        "payout": "",
        "reporting_category": "",
        "source": None,
        "source_type": "card",
        "status": "pending",
        "type": "",
    },
    view=_view,
    indexed=("source", "payout"),
    expandable=frozenset({"source"}),
    sums=("amount", "fee", "net"),
    actions=(
        retrieve(),
        Action("GET", "", parameters(_FILTERS, created=True), _list),
    ),
)
