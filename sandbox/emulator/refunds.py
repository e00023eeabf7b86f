"""Refunds (API reference, "Refunds")."""

from typing import Final

from sandbox.emulator import balance_transactions, cards
from sandbox.emulator.core import errors
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Boolean,
    Integer,
    Metadata,
    OneOf,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import listed, patched, retrieve

_CREATE: Final = {
    "amount": Integer(least=1),
    "charge": Text(),
    "metadata": Metadata(),
    "payment_intent": Reference(noun="payment_intent"),
    "reason": OneOf(values=("duplicate", "fraudulent", "requested_by_customer")),
    "refund_application_fee": Boolean(),
    "reverse_transfer": Boolean(),
}

_UPDATE: Final = {"metadata": Metadata()}

_CHARGED_BACK: Final = ("lost", "needs_response", "prevented", "under_review")
"""A dispute in such a state has the money; an inquiry leaves it, a won one has returned it."""


def _new(call: Call) -> JsonObject:
    """Refund what is asked for, or all that is left; no fee is returned."""
    charge = _charge(call)
    amount = _amount(call, charge)
    refund = call.add(
        NOUN,
        {
            "amount": amount,
            "charge": charge["id"],
            "currency": charge["currency"],
            "metadata": merged_metadata({}, call.params.get("metadata")),
            "payment_intent": charge["payment_intent"],
            "reason": call.params.get("reason"),
        },
        call.world.ids.mint("re" if cards.of_charge(charge) else "pyr", 24),
    )
    fields = {"description": _description(charge)}
    kind = "refund" if cards.of_charge(charge) else "payment_refund"
    transaction = balance_transactions.record(call, kind, refund, -amount, fields=fields)
    call.change(refund, {"balance_transaction": transaction["id"]})
    refunded = charge["amount_refunded"] + amount
    patch = {"amount_refunded": refunded, "refunded": left_of(call, charge) == 0}
    call.change(charge, patch, "charge.refunded")
    call.emit("refund.created", refund)
    card = cards.of_charge(charge)
    if card is not None and card.refund_fails:
        _fail(call, refund, {"reason": "lost_or_stolen_card"})
    return call.seen(refund)


def reversed_of(call: Call, charge: JsonObject, amount: int) -> JsonObject:
    """The refund object of money that goes back by itself: no event tells of it.

    A partial capture lets go of the rest by one in API versions before 2025-03-31; a payment that
    fails after it was counted is taken back by one.
    """
    return call.add(
        NOUN,
        {
            "amount": amount,
            "charge": charge["id"],
            "currency": charge["currency"],
            "payment_intent": charge["payment_intent"],
            "reverses": True,
        },
        call.world.ids.mint("re" if cards.of_charge(charge) else "pyr", 24),
    )


def left_of(call: Call, charge: JsonObject) -> int:
    """What of a captured charge can still be refunded."""
    made = call.members(charge, "refund", "charge")
    refunded = sum(
        one["amount"] for one in made if not one["reverses"] and one["status"] != "failed"
    )
    left: int = charge["amount_captured"] - refunded
    return left


def _description(charge: JsonObject) -> str:
    about = charge["description"]
    return "REFUND FOR CHARGE" + (f" ({about})" if about else "")


def _charge(call: Call) -> JsonObject:
    """The charge to refund, by itself or by its payment intent."""
    params = call.params
    if "payment_intent" in params:
        intent = call.find("payment_intent", params["payment_intent"], "payment_intent")
        latest = intent["latest_charge"]
        if latest is None or params.get("charge", latest) != latest:
            raise invalid(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                "payment_intent",
            )
        return call.find("charge", latest, "payment_intent")
    if "charge" not in params:
        raise invalid("A refund needs `payment_intent` or `charge`.")
    charge = call.shelf("charge").get(params["charge"])
    if charge is None:
        # As if the path had named it (recorded).
        raise errors.resource_missing("charge", params["charge"], "id", 404)
    return charge


def _amount(call: Call, charge: JsonObject) -> int:
    if charge["refunded"]:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    disputes = call.members(charge, "dispute", "charge")
    if any(dispute["status"] in _CHARGED_BACK for dispute in disputes):
        raise invalid(f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    if not charge["paid"] or not charge["captured"]:
        raise invalid(f"Charge {charge['id']} has nothing that could be refunded.", "charge")
    left = left_of(call, charge)
    amount: int = call.params.get("amount", left)
    if amount > left:
        raise _above(amount, left)
    return amount


def _above(amount: int, left: int) -> ApiError:
    return invalid(
        f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount"
    )


def _update(call: Call) -> JsonObject:
    refund = call.target()
    return call.seen(_changed(call, refund, patched(refund, call.params, _UPDATE)))


def _changed(call: Call, refund: JsonObject, patch: JsonObject) -> JsonObject:
    """Change a refund; both names of the event go out, as at Stripe."""
    before = {name: refund.get(name) for name in patch}
    call.change(refund, patch, "refund.updated")
    if before != patch:
        call.emit("charge.refund.updated", refund, before)
    return refund


def _fail(call: Call, refund: JsonObject, given: JsonObject) -> None:
    """The bank sends the money back: the charge owes it again (docs, "Failed refunds").

    Its transaction may come as an adjustment (docs, "Reporting categories").
    """
    charge = call.find("charge", refund["charge"], "charge")
    kind = "adjustment" if given.get("as_adjustment", False) else "refund_failure"
    fields = {
        "description": f"REFUND FAILURE ({_description(charge)})",
        "reporting_category": "refund_failure",
    }
    transaction = balance_transactions.record(call, kind, refund, refund["amount"], fields=fields)
    patch = {
        "failure_balance_transaction": transaction["id"],
        "failure_reason": given.get("reason", "unknown"),
        "status": "failed",
    }
    _changed(call, refund, patch)
    call.emit("refund.failed", refund)
    refunded = charge["amount_refunded"] - refund["amount"]
    call.change(charge, {"amount_refunded": refunded, "refunded": False}, "charge.updated")


def _befalls(call: Call) -> JsonObject:
    refund = call.target()
    if refund["status"] != "succeeded" or refund["reverses"]:
        raise invalid("Only a succeeded refund can fail.")
    _fail(call, refund, call.params)
    return call.seen(refund)


def _view(refund: JsonObject, _: int) -> JsonObject:
    return {name: value for name, value in refund.items() if name != "reverses"}


_FAILURES: Final = ("declined", "expired_or_canceled_card", "lost_or_stolen_card", "unknown")

NOUN: Final = Noun(
    object="refund",
    collection="refunds",
    prefix="re",
    other_prefixes=("pyr",),
    stamps_mode=False,
    view=_view,
    fields={
        "amount": 0,
        "balance_transaction": None,
        "charge": None,
        "currency": "",
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": None,
        "reason": None,
        "receipt_number": None,
        "reverses": False,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    },
    indexed=("charge", "payment_intent"),
    expandable=frozenset(
        {"balance_transaction", "charge", "failure_balance_transaction", "payment_intent"}
    ),
    sums=("amount",),
    happenings={
        "fail": Happening({"as_adjustment": Boolean(), "reason": OneOf(values=_FAILURES)}, _befalls)
    },
    actions=(
        Action("POST", "", _CREATE, _new),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        listed(
            {
                "charge": Filter(Reference(noun="charge")),
                "payment_intent": Filter(Reference(noun="payment_intent")),
            }
        ),
    ),
)
