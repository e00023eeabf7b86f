"""Payments that a bank answers after days (docs, "Bank debits"): ACH and SEPA direct debit.

The charge is pending and the intent processing until then; the payment counts to the pending
balance at once. When it fails, before or after it succeeded, a refund object takes it back, whose
transaction's category is `charge_failure` (docs, "Reporting categories"). Which account does what
is Stripe's (docs, "Testing"), from memory.
"""

from typing import Final

from sandbox.emulator import balance_transactions, refunds
from sandbox.emulator.balance_transactions import Fee
from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.params import OneOf
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

ANSWERS_AFTER: Final = 4 * DAY_SECONDS
METHODS: Final = ("sepa_debit", "us_bank_account")

_CURRENCIES: Final = {"sepa_debit": "eur", "us_bank_account": "usd"}

_MESSAGES: Final = {
    "account_closed": "The customer's bank account has been closed.",
    "debit_not_authorized": "The customer has notified their bank that the debit was unauthorized.",
    "insufficient_funds": "The customer's account has insufficient funds to cover this payment.",
    "no_account": "The customer's bank account could not be located.",
}

_FAILING: Final = {
    "us_bank_account": {
        "1113": "account_closed", "1116": "no_account", "2227": "insufficient_funds",
        "3335": "debit_not_authorized",
    },
    "sepa_debit": {"3001": "insufficient_funds"},
}  # fmt: skip
"""By the last four digits."""

ANSWER: Final = {"failure_code": OneOf(values=tuple(_MESSAGES))}
"""What the happenings say in which a bank debit fails."""


def is_bank(method: JsonObject) -> bool:
    """Whether a payment method is a bank account."""
    return method["type"] in METHODS


def check(capture_method: str, method: JsonObject) -> None:
    """ApiError 400 where a bank account would have to be authorized first."""
    if capture_method == "manual" and is_bank(method):
        raise invalid("Bank debits cannot be captured manually.", "capture_method")


def begin(call: Call, intent: JsonObject, method: JsonObject) -> JsonObject:
    """Send a debit to the bank; its answer falls due."""
    check(intent["capture_method"], method)
    kind = method["type"]
    if intent["currency"] != _CURRENCIES[kind]:
        message = f"{kind} takes payments in {_CURRENCIES[kind]} only."
        raise invalid(message, "currency")
    currencies.check_amount(intent["amount"], intent["currency"])
    inner = call.on("charge", {})
    shared = ("amount", "currency", "customer", "description", "metadata", "receipt_email")
    charge = inner.add(
        "charge",
        {
            **{name: intent[name] for name in shared},
            "amount_captured": intent["amount"],
            "billing_details": method["billing_details"],
            "captured": True,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"type": kind, kind: method[kind]},
            "status": "pending",
        },
        call.world.ids.mint("py", 24),
    )
    transaction = balance_transactions.record(
        inner, "payment", charge, charge["amount"], charge_fee=True,
        fields={"available_on": call.now + ANSWERS_AFTER},
    )  # fmt: skip
    inner.change(charge, {"balance_transaction": transaction["id"]})
    inner.emit("charge.pending", charge)
    patch = {"latest_charge": charge["id"], "next_action": None, "status": "processing"}
    call.change(intent, patch)
    call.emit("payment_intent.processing", intent)
    call.later(intent, call.now + ANSWERS_AFTER, _answer)
    return intent


def _answer(call: Call) -> None:
    """What the bank says when its days are over, unless it was told to say something before."""
    intent = call.target()
    if intent["status"] != "processing":
        return
    charge = call.find("charge", intent["latest_charge"], "id")
    kind = charge["payment_method_details"]["type"]
    digits = charge["payment_method_details"][kind]["last4"]
    code = _FAILING[kind].get(digits)
    if code is None:
        succeed(call, intent)
    else:
        _take_back(call.on("charge", {}, charge["id"]), charge, code)


def succeed(call: Call, intent: JsonObject) -> JsonObject:
    """The bank pays."""
    if intent["status"] != "processing":
        raise invalid("Only a payment that is processing is answered by its bank.")
    charge = call.find("charge", intent["latest_charge"], "id")
    call.change(charge, {"paid": True, "status": "succeeded"})
    call.emit("charge.succeeded", charge)
    call.change(intent, {"amount_received": intent["amount"], "status": "succeeded"})
    call.emit("payment_intent.succeeded", intent)
    return intent


def returned(call: Call) -> JsonObject:
    """Happening of a charge: the bank refuses a debit, even days after it was paid."""
    charge = call.target()
    if charge["payment_method_details"]["type"] not in METHODS or charge["status"] == "failed":
        raise invalid("Only a bank debit that has not failed can fail.")
    return _take_back(call, charge, call.params.get("failure_code", "insufficient_funds"))


def _take_back(call: Call, charge: JsonObject, code: str) -> JsonObject:
    refund = refunds.reversed_of(call.on("refund", {}), charge, charge["amount"])
    taken = call.find("balance_transaction", charge["balance_transaction"], "id")
    transaction = balance_transactions.record(
        call, "payment_failure_refund", refund, -charge["amount"],
        fees=(Fee(-taken["fee"], balance_transactions.PROCESSING),),
        fields={"available_on": max(call.now, taken["available_on"])},
    )  # fmt: skip
    call.change(refund, {"balance_transaction": transaction["id"]})
    failure = {
        "failure_balance_transaction": transaction["id"],
        "failure_code": code,
        "failure_message": _MESSAGES[code],
        "paid": False,
        "status": "failed",
    }
    call.change(charge, failure)
    call.emit("charge.failed", charge)
    intent = call.shelf("payment_intent").get(charge["payment_intent"] or "")
    if intent is not None:
        _fail_intent(call, intent, charge)
    return charge


def _fail_intent(call: Call, intent: JsonObject, charge: JsonObject) -> None:
    error = {
        "charge": charge["id"],
        "code": charge["failure_code"],
        "message": charge["failure_message"],
        "type": "invalid_request_error",
    }
    patch = {
        "amount_received": 0,
        "last_payment_error": error,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    call.change(intent, patch)
    call.emit("payment_intent.payment_failed", intent)
