"""The balance (API reference, "Balance"): what the balance transactions add up to, in its parts."""

from typing import Final

from sandbox.emulator import balance_transactions
from sandbox.emulator.balance_transactions import BALANCE_TYPES, PAYMENTS, Fee, Parts
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.params import Currency, Hash, Integer, ListOf, OneOf, Text
from sandbox.emulator.core.values import JsonObject

_PREFUNDING: Final = "refund_and_dispute_prefunding"
_CONNECT_RESERVE: Final = "connect_reserved_funds"
SOURCE_TYPES: Final = ("bank_account", "card", "fpx")

_FEE_TYPES: Final = (
    "application_fee", "payment_method_passthrough_fee", "stripe_fee", "tax", "withheld_tax",
)  # fmt: skip

_BOOKING: Final = {
    "amount": Integer(required=True),
    "available_on": Integer(),
    "balance_type": OneOf(values=BALANCE_TYPES),
    "currency": Currency(required=True),
    "description": Text(),
    "fees": ListOf(
        kind=Hash(
            fields={
                "amount": Integer(required=True),
                "description": Text(),
                "type": OneOf(values=_FEE_TYPES, required=True),
            }
        )
    ),
    "reporting_category": Text(),
    "source": Text(),
    "source_type": OneOf(values=SOURCE_TYPES),
    "type": Text(required=True),
}


def _balance(call: Call) -> JsonObject:
    available, pending = balance_transactions.balance(call)
    reserved = _reserved(call)
    shown: JsonObject = {
        "object": "balance",
        "available": _rows(call, available),
        "connect_reserved": _rows(call, reserved) if reserved else [],
        "instant_available": _rows(call, _instant(available)),
        "livemode": call.scope.livemode,
        "pending": _rows(call, pending),
        _PREFUNDING: dict(
            zip(
                ("available", "pending"),
                (_rows(call, part) for part in balance_transactions.balance(call, _PREFUNDING)),
                strict=True,
            )
        ),
    }
    issuing, _ = balance_transactions.balance(call, "issuing")
    return {**shown, "issuing": {"available": _rows(call, issuing)}} if issuing else shown


def _rows(call: Call, parts: Parts) -> list[JsonObject]:
    """A row a currency, the account's own first, which is always there."""
    own: str = call.account["default_currency"]
    others = sorted(parts.keys() - {own})
    return [
        {
            "amount": sum(parts.get(currency, {}).values()),
            "currency": currency,
            "source_types": dict(parts.get(currency, {})) or {"card": 0},
        }
        for currency in (own, *others)
    ]


def _instant(available: Parts) -> Parts:
    """What instant payouts can take: of what is available, whatever is above zero."""
    return {
        currency: {name: max(0, amount) for name, amount in by_type.items()}
        for currency, by_type in available.items()
    }


def _reserved(call: Call) -> Parts:
    """What reserves took out of the payments balance and did not give back."""
    parts: Parts = {}
    for one in balance_transactions.of_balance(call, PAYMENTS):
        if one["reporting_category"] == _CONNECT_RESERVE:
            by_type = parts.setdefault(one["currency"], {})
            by_type[one["source_type"]] = by_type.get(one["source_type"], 0) - one["net"]
    return parts


def _booked(call: Call) -> JsonObject:
    """A transaction of any kind befalls the balance: a fee of Stripe's, a reserve, an unknown."""
    params = call.params
    fees = tuple(
        Fee(one["amount"], one.get("description", ""), one["type"])
        for one in params.get("fees", [])
    )
    fields = {name: value for name, value in params.items() if name != "fees"}
    return call.seen(
        balance_transactions.add(
            call.on("balance_transaction", {}),
            {"available_on": call.now, **fields},
            fees,
        )
    )


NOUN: Final = Noun(
    object="balance",
    collection="balance",
    prefix="balance",
    fields={},
    happenings={"book": Happening(_BOOKING, _booked)},
    actions=(Action("GET", "", {}, _balance),),
)
