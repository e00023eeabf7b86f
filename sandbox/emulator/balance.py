"""The balance (API reference, "Balance"): what the balance transactions add up to."""

from typing import Final

from sandbox.emulator import balance_transactions
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.values import JsonObject


def _balance(call: Call) -> JsonObject:
    available, pending = (
        [{"amount": amount, "currency": call.account["default_currency"],
          "source_types": {"card": amount}}]
        for amount in balance_transactions.balance(call)
    )  # fmt: skip
    return {
        "object": "balance",
        "available": available,
        "livemode": call.scope.livemode,
        "pending": pending,
    }


NOUN: Final = Noun(
    object="balance",
    collection="balance",
    prefix="balance",
    fields={},
    actions=(Action("GET", "", {}, _balance),),
)
