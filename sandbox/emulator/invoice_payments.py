"""Invoice payments (API reference, "Invoice Payments"): what ties an invoice to its payment."""

from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.listing import Filter, page, parameters
from sandbox.emulator.core.params import Hash, OneOf, Reference, Text
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import retrieve

_PAYMENT: Final = Hash(
    fields={
        "payment_intent": Text(),
        "payment_record": Text(),
        "type": OneOf(values=("payment_intent", "payment_record"), required=True),
    }
)


def request(call: Call, invoice: JsonObject, intent: JsonObject) -> JsonObject:
    """The open payment of an invoice through an intent; Stripe tells nobody of it yet."""
    return call.add(
        NOUN,
        {
            "amount_requested": invoice["amount_due"],
            "currency": invoice["currency"],
            "intent": intent["id"],
            "invoice": invoice["id"],
            "is_default": True,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        },
    )


def of_invoice(call: Call, invoice: JsonObject) -> JsonObject | None:
    """The payment of an invoice that is not canceled."""
    for payment in call.members(invoice, NOUN.object, "invoice"):
        if payment["status"] != "canceled":
            return payment
    return None


def of_intent(call: Call, intent: JsonObject) -> JsonObject | None:
    """The invoice payment that an intent serves; most serve none."""
    return next(call.members(intent, NOUN.object, "intent"), None)


def settle(call: Call, payment: JsonObject) -> None:
    """The money came: `invoice_payment.paid`."""
    patch = {
        "amount_paid": payment["amount_requested"],
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": call.now},
    }
    call.emit("invoice_payment.paid", call.change(payment, patch))


def cancel(call: Call, payment: JsonObject) -> None:
    """The invoice wants it no longer."""
    patch = {
        "status": "canceled",
        "status_transitions": {"canceled_at": call.now, "paid_at": None},
    }
    call.change(payment, patch)


def _list(call: Call) -> JsonObject:
    """Payments by their invoice, or by the intent (no payment record is ever made here)."""
    payment = call.params.pop("payment", None)
    if payment is not None:
        call.params["intent"] = payment.get("payment_intent", "")
    return page(call, NOUN, {**_FILTERS, "intent": Filter(Text())})


_FILTERS: Final = {
    "invoice": Filter(Reference(noun="invoice")),
    "status": Filter(OneOf(values=("canceled", "open", "paid"))),
}


def _view(payment: JsonObject, _: int) -> JsonObject:
    """`intent` is the index by which an intent finds its invoice."""
    return {name: value for name, value in payment.items() if name != "intent"}


NOUN: Final = Noun(
    object="invoice_payment",
    collection="invoice_payments",
    prefix="inpay",
    fields={
        "amount_paid": None,
        "amount_requested": 0,
        "currency": "",
        "intent": None,
        "invoice": "",
        "is_default": False,
        "payment": None,
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    },
    view=_view,
    indexed=("invoice", "intent"),
    expandable=frozenset({"invoice", "payment.payment_intent"}),
    sums=("amount_requested",),
    actions=(
        retrieve(),
        Action("GET", "", {**parameters(_FILTERS, created=True), "payment": _PAYMENT}, _list),
    ),
)
