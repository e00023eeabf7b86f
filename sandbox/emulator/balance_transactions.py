"""Balance transactions (API reference, "Balance Transactions"): what a payment does to a balance.

They make no events, as at Stripe: a consumer has to list them.
"""

from typing import Final

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


def fee(amount: int) -> int:
    """2.9 % of an amount in minor units, rounded half up, and 30 minor units."""
    return (amount * 29 + 500) // 1000 + FIXED_FEE


def record(
    call: Call,
    kind: str,
    source: JsonObject,
    amount: int,
    *,
    charge_fee: bool = False,
    flat_fee: int = 0,
    available: bool = False,
    category: str = "",
) -> JsonObject:
    """The balance transaction of `amount` (signed, minor units of the source's currency).

    It is in the account's currency. charge_fee: whether Stripe takes its fee; a refund does not
    return it. flat_fee: another one, in minor units of the account's currency. available: at
    once, instead of in two days. category: its `reporting_category`, where its type is no clue.
    """
    settlement: str = call.account["default_currency"]
    settled, rate = currencies.converted(amount, source["currency"], settlement)
    taken = fee(settled) if charge_fee else flat_fee
    details = {
        "amount": taken,
        "application": None,
        "currency": settlement,
        "description": "Stripe processing fees" if charge_fee else "Dispute fee",
        "type": "stripe_fee",
    }
    return call.add(
        NOUN,
        {
            "amount": settled,
            "available_on": call.now + (0 if available else PENDING_SECONDS),
            "currency": settlement,
            "description": source.get("description"),
            "exchange_rate": None if rate is None else msgspec.Raw(rate.encode()),
            "fee": taken,
            "fee_details": [details] if taken else [],
            "net": settled - taken,
            "reporting_category": category or _CATEGORIES.get(kind, kind),
            "source": source["id"],
            "type": kind,
        },
    )


def not_paid_out(call: Call) -> list[JsonObject]:
    """Those that no automatic payout holds."""
    return list(call.shelf(NOUN).walk(("payout", ""), (None, None), None, None))


def balance(call: Call) -> tuple[int, int]:
    """(available, pending) net, in minor units of the account's currency."""
    available = pending = 0
    for transaction in call.shelf(NOUN):
        if transaction["available_on"] <= call.now:
            available += transaction["net"]
        else:
            pending += transaction["net"]
    return available, pending


_CATEGORIES: Final = {
    "payment": "charge",
    "payment_refund": "refund",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
}


def _list(call: Call) -> JsonObject:
    """Stripe cannot tell what a manual payout holds (API reference, `payout`)."""
    payout = call.shelf("payout").get(call.params.get("payout", ""))
    if payout is not None and not payout["automatic"]:
        raise invalid(
            "Balance transaction history can only be filtered on automatic transfers, not manual.",
            "payout",
        )
    return page(call, NOUN, _FILTERS)


_FILTERS: Final = {
    "source": Filter(Text()),
    "payout": Filter(Text()),
    "type": Filter(Text()),
    "currency": Filter(Currency()),
}


def _view(item: JsonObject, now: int) -> JsonObject:
    """`payout` is the index by which automatic payouts find theirs."""
    shown = {name: value for name, value in item.items() if name != "payout"}
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
        "balance_type": "payments",
        "currency": "",
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": 0,
        "payout": "",
        "reporting_category": "",
        "source": None,
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
