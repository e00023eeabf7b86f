"""Charges (API reference, "Charges"): made by payment intents, or directly from a legacy source."""

from dataclasses import dataclass, field
from typing import Final

from sandbox.emulator import (
    balance_transactions,
    bank_debits,
    cards,
    disputes,
    payment_methods,
    refunds,
)
from sandbox.emulator.balance_transactions import Fee
from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import ApiError, invalid, missing_parameter
from sandbox.emulator.core.listing import Filter, page
from sandbox.emulator.core.params import (
    Boolean,
    Currency,
    Email,
    Hash,
    Integer,
    Metadata,
    OneOf,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject
from sandbox.emulator.core.verbs import act, listed, listed_under, retrieve, update
from sandbox.emulator.older_shapes import older_charge
from sandbox.emulator.shapes import NO_BILLING_DETAILS, SHIPPING

_SUFFIX: Final = Text(most=22, clearable=True)

_CREATE: Final = {
    "amount": Integer(required=True, least=1),
    "capture": Boolean(),
    "currency": Currency(required=True),
    "customer": Reference(noun="customer"),
    "description": Text(clearable=True),
    "metadata": Metadata(),
    "receipt_email": Email(clearable=True),
    "shipping": SHIPPING,
    "source": Text(),
    "statement_descriptor": _SUFFIX,
    "statement_descriptor_suffix": _SUFFIX,
    "transfer_group": Text(),
}

_UPDATE: Final = {
    "customer": Reference(noun="customer"),
    "description": Text(clearable=True),
    "fraud_details": Hash(fields={"user_report": OneOf(values=("fraudulent", "safe"))}),
    "metadata": Metadata(),
    "receipt_email": Email(clearable=True),
    "shipping": SHIPPING,
    "transfer_group": Text(),
}

_CAPTURE: Final = {
    "amount": Integer(least=1),
    "receipt_email": Email(),
    "statement_descriptor": _SUFFIX,
    "statement_descriptor_suffix": _SUFFIX,
}


_HELD: Final = 7 * DAY_SECONDS
_HELD_ABSENT: Final = 4 * DAY_SECONDS + 18 * 3600


@dataclass(frozen=True, slots=True)
class Order:
    """A payment to attempt.

    settled: whether its balance transaction stands at once; with asynchronous capture it follows.
    absent: the customer is not there to authenticate, so a card that wants it declines.
    fields: others of the charge.
    """

    amount: int
    currency: str
    method: JsonObject
    capture: bool = True
    settled: bool = True
    absent: bool = False
    fields: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a charge failed."""

    code: str
    decline_code: str | None
    message: str

    def error(self, charge: JsonObject, more: JsonObject) -> ApiError:
        """402 `card_error`."""
        details: JsonObject = {"charge": charge["id"], **more}
        if self.decline_code is not None:
            details["decline_code"] = self.decline_code
        return ApiError(402, self.message, kind="card_error", code=self.code, more=details)


def attempt(call: Call, order: Order) -> tuple[JsonObject, Decline | None]:
    """Charge a card: the charge, succeeded or failed, with its event, and the decline if any."""
    currencies.check_amount(order.amount, order.currency)
    card = cards.of_details(order.method["card"])
    decline = _decline(card, absent=order.absent)
    succeeded = decline is None
    captured = succeeded and order.capture
    charge = call.add(
        NOUN,
        {
            "amount": order.amount,
            "amount_captured": order.amount if captured else 0,
            "billing_details": order.method["billing_details"],
            "captured": captured,
            "currency": order.currency,
            "failure_code": None if decline is None else decline.code,
            "failure_message": None if decline is None else decline.message,
            "outcome": _outcome(card, decline),
            "paid": succeeded,
            "payment_method": order.method["id"],
            "payment_method_details": {
                "card": _card_details(order, captured=captured)
                | ({} if captured or not succeeded else {"capture_before": _until(call, order)}),
                "type": "card",
            },
            "status": "succeeded" if succeeded else "failed",
            **order.fields,
        },
    )
    if succeeded:
        receipt = f"https://pay.stripe.com/receipts/payment/{charge['id']}"
        call.change(charge, {"receipt_url": receipt})
    if captured and order.settled:
        transaction = settle(call, charge, charge["amount_captured"])
        call.change(charge, {"balance_transaction": transaction["id"]})
    call.emit("charge.succeeded" if succeeded else "charge.failed", charge)
    return charge, decline


def refusal(method: JsonObject, *, absent: bool) -> ApiError | None:
    """The 402 that charging a method would end in, without a charge."""
    decline = _decline(cards.of_details(method["card"]), absent=absent)
    if decline is None:
        return None
    more = {} if decline.decline_code is None else {"decline_code": decline.decline_code}
    return ApiError(402, decline.message, kind="card_error", code=decline.code, more=more)


def authenticates(method: JsonObject) -> bool:
    """Whether a bank wants the customer's presence."""
    return cards.of_details(method["card"]).authenticates


def settle_later(call: Call, charge: JsonObject) -> None:
    """What asynchronous capture does after the answer: the balance transaction, `charge.updated`
    (docs, "Asynchronous capture")."""
    wait = call.world.settles_after_seconds
    if wait:
        call.later(charge, call.now + wait, lambda job: _settled(job, job.target()))
    else:
        _settled(call, charge)


def _settled(call: Call, charge: JsonObject) -> None:
    transaction = settle(call, charge, charge["amount_captured"])
    call.change(charge, {"balance_transaction": transaction["id"]}, "charge.updated")


def capture(call: Call, charge: JsonObject, amount: int | None, *, settled: bool = True) -> None:
    """Capture an authorized charge, whole or in part, and let go of the rest.

    The rest was a refund before 2025-03-31, and is none since (changelog, "Basil").
    """
    if charge["captured"]:
        raise invalid(
            f"Charge {charge['id']} has already been captured.", code="charge_already_captured"
        )
    if charge["refunded"] or not charge["paid"]:
        raise invalid(f"Charge {charge['id']} cannot be captured.")
    taken = charge["amount"] if amount is None else amount
    if taken > charge["amount"]:
        raise invalid(
            "The amount to capture is greater than what was authorized.",
            "amount",
            "amount_too_large",
        )
    currencies.check_amount(taken, charge["currency"])
    rest = charge["amount"] - taken
    older = call.world.releases_by_refund and rest > 0
    patch: JsonObject = {"amount_captured": taken, "captured": True}
    if older:
        patch["amount_refunded"] = rest
    if settled:
        whole = charge["amount"] if older else taken
        patch["balance_transaction"] = settle(call, charge, whole)["id"]
    call.change(charge, patch, "charge.captured")
    if older and settled:
        _reverse_rest(call, charge, rest)


def release(call: Call, charge: JsonObject, event: str) -> None:
    """Let go of an authorization that will not be captured; only an expiry tells of the charge."""
    if call.world.releases_by_refund:
        call.change(charge, {"amount_refunded": charge["amount"], "refunded": True}, event)
    elif event == "charge.expired":
        call.emit(event, charge)


def _reverse_rest(call: Call, charge: JsonObject, rest: int) -> None:
    """What was not captured leaves the balance again, and its part of the fee comes back."""
    inner = call.on("refund", {})
    refund = refunds.reversed_of(inner, charge, rest)
    settled = call.find("balance_transaction", charge["balance_transaction"], "id")
    kept = balance_transactions.fee(
        settled["amount"] * charge["amount_captured"] // charge["amount"]
    )
    fees = (Fee(kept - settled["fee"], balance_transactions.PROCESSING),)
    fields = {"reporting_category": "partial_capture_reversal"}
    transaction = balance_transactions.record(
        inner, "refund", refund, -rest, fees=fees, fields=fields
    )
    inner.change(refund, {"balance_transaction": transaction["id"]})
    call.emit("charge.refunded", charge)


def settle(call: Call, charge: JsonObject, amount: int) -> JsonObject:
    """The balance transaction of a payment: cards' are charges, all others are payments."""
    card = cards.of_charge(charge)
    return balance_transactions.record(
        call,
        "payment" if card is None else "charge",
        charge,
        amount,
        charge_fee=True,
        available=card is not None and card.available,
    )


def _decline(card: cards.TestCard, *, absent: bool) -> Decline | None:
    if card.code is not None:
        return Decline(card.code, card.decline_code, card.message)
    if card.authenticates and absent:
        code = "authentication_required"
        return Decline(
            code, code, "Your card was declined. This transaction requires authentication."
        )
    return None


def _outcome(card: cards.TestCard, decline: Decline | None) -> JsonObject:
    outcome: JsonObject = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": card.risk,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if card.blocked:
        outcome |= {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
        }
    elif decline is not None:
        outcome |= {
            "network_status": "declined_by_network",
            "reason": decline.decline_code,
            "seller_message": f"The bank returned the decline code `{decline.decline_code}`.",
            "type": "issuer_declined",
        }
    return outcome


def _until(call: Call, order: Order) -> int:
    """When an authorization is to be captured at the latest: after seven days, that of a Visa
    without its customer after four days and eighteen hours (docs, "Place a hold on a payment
    method")."""
    held = _HELD_ABSENT if order.absent and order.method["card"]["brand"] == "visa" else _HELD
    return call.now + held


def _card_details(order: Order, *, captured: bool) -> JsonObject:
    """The `payment_method_details.card` of a payment."""
    card = order.method["card"]
    kept = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")
    return {
        **{name: card[name] for name in kept},
        "amount_authorized": None if captured else order.amount,
        "authorization_code": None,
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "network": card["brand"],
        "regulated_status": card["regulated_status"],
        "three_d_secure": None,
        "wallet": None,
    }


def _new(call: Call) -> JsonObject:
    """A direct charge; the error of a declined one is raised when the charge stands."""
    params = call.params
    method = _source(call)
    shared = ("customer", "description", "receipt_email", "shipping", "statement_descriptor")
    fields = {name: params[name] for name in shared if name in params}
    if fields.get("shipping") is not None:
        fields["shipping"] = SHIPPING.merged(None, fields["shipping"])
    fields["metadata"] = merged_metadata({}, params.get("metadata"))
    fields["transfer_group"] = params.get("transfer_group")
    order = Order(
        amount=params["amount"],
        currency=params["currency"],
        method=method,
        capture=params.get("capture", True),
        absent=True,
        fields=fields,
    )
    charge, decline = attempt(call, order)
    if decline is not None:
        raise decline.error(charge, {})
    return charge


def _source(call: Call) -> JsonObject:
    """The card of a direct charge: its `source`, else the customer's default source."""
    source, customer = call.params.get("source"), call.params.get("customer")
    if source is None and customer is not None:
        source = call.find("customer", customer, "customer")["default_source"]
        if source is None:
            raise ApiError(
                402,
                "Cannot charge a customer that has no active card",
                kind="card_error",
                code="missing",
                param="card",
            )
    if source is None:
        raise missing_parameter("source")
    if source.startswith("tok_"):
        return payment_methods.stored_card(call, source, None, "source")
    return call.find("payment_method", source, "source")


def _capture(call: Call) -> JsonObject:
    charge = call.target()
    if charge["payment_intent"] is not None:
        raise invalid("A charge of a PaymentIntent is captured through the PaymentIntent.")
    capture(call, charge, call.params.get("amount"))
    return charge


def _disputed(call: Call) -> JsonObject:
    charge = call.target()
    if not charge["captured"]:
        raise invalid("Only a captured charge can be disputed.")
    return disputes.open_dispute(call, charge, call.params)


def _refunds(call: Call, charge: JsonObject) -> JsonObject:
    """The `refunds` list, which is absent unless expanded."""
    inner = call.on("refund", {"charge": charge["id"]})
    inner.path = f"/v1/charges/{charge['id']}/refunds"
    return page(inner, inner.noun, {"charge": Filter(Text())})


NOUN: Final = Noun(
    object="charge",
    collection="charges",
    prefix="ch",
    other_prefixes=("py",),
    fields={
        "amount": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": NO_BILLING_DETAILS,
        "calculated_statement_descriptor": "EMULATOR",
        "captured": False,
        "currency": "",
        "customer": None,
        "description": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "metadata": {},
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": None,
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    },
    indexed=("customer", "payment_intent"),
    expandable=frozenset(
        {"balance_transaction", "customer", "failure_balance_transaction", "payment_intent"}
    ),
    includes={"refunds": _refunds},
    older=older_charge,
    happenings={
        "dispute": Happening(disputes.OPENING, _disputed),
        "fail": Happening(bank_debits.ANSWER, bank_debits.returned),
    },
    searchable=frozenset(
        {"amount", "created", "currency", "customer", "disputed", "refunded", "status"}
    ),
    sums=("amount", "amount_captured", "amount_refunded"),
    actions=(
        Action("POST", "", _CREATE, _new),
        retrieve(),
        update(_UPDATE),
        listed(
            {
                "customer": Filter(Reference(noun="customer")),
                "payment_intent": Filter(Reference(noun="payment_intent")),
                "transfer_group": Filter(Text()),
            }
        ),
        searched(),
        act("capture", _CAPTURE, _capture),
        listed_under("/{id}/refunds", "refund", "charge"),
    ),
)
