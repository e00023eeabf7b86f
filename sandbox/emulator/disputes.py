"""Disputes (API reference, "Disputes"; docs, "How disputes work"): a payment taken back by its
cardholder's bank, or an inquiry before that.

A test card brings one about once its charge has succeeded, the happening `dispute` of a charge at
any time; evidence that says `winning_evidence` or `losing_evidence` settles it, as at Stripe.
"""

from typing import Final

from sandbox.emulator import balance_transactions, cards
from sandbox.emulator.balance_transactions import Fee
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Boolean,
    Hash,
    Integer,
    Metadata,
    OneOf,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject
from sandbox.emulator.core.verbs import act, listed, retrieve

FEE: Final = 1500
"""What a dispute costs, in minor units of its settlement; a won one costs it, too (recorded)."""

_FEE_FOR: Final = "Dispute fee"

EVIDENCE_DAYS: Final = 9

_EVIDENCE: Final = tuple(
    """
    access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
    cancellation_rebuttal customer_communication customer_email_address customer_name
    customer_purchase_ip customer_signature duplicate_charge_documentation
    duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy
    refund_policy_disclosure refund_refusal_explanation service_date service_documentation
    shipping_address shipping_carrier shipping_date shipping_documentation
    shipping_tracking_number uncategorized_file uncategorized_text
    """.split()
)

_UPDATE: Final = {
    "evidence": Hash(fields={name: Text(clearable=True, most=20_000) for name in _EVIDENCE}),
    "metadata": Metadata(),
    "submit": Boolean(),
}

_OPEN: Final = ("needs_response", "under_review")
_INQUIRY: Final = ("warning_needs_response", "warning_under_review")
_VERDICTS: Final = {"winning_evidence": "won", "losing_evidence": "lost"}

OPENING: Final = {
    "amount": Integer(least=1),
    "reason": Text(),
    "status": OneOf(values=("needs_response", "prevented", "warning_needs_response")),
}
"""What the happening `dispute` of a charge can say."""


def open_dispute(call: Call, charge: JsonObject, given: JsonObject) -> JsonObject:
    """A dispute of a charge: its events, and its withdrawal of money unless it only inquires.

    A prevented one was settled before it became one: it opens and closes, and moves nothing.
    """
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} is disputed already.")
    status = given.get("status", "needs_response")
    dispute = call.add(
        NOUN,
        {
            "amount": given.get("amount", charge["amount_captured"]),
            "charge": charge["id"],
            "currency": charge["currency"],
            "evidence_details": {
                "due_by": call.now + EVIDENCE_DAYS * DAY_SECONDS,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "is_charge_refundable": status == "warning_needs_response",
            "payment_intent": charge["payment_intent"],
            "payment_method_details": _method_details(charge, status),
            "reason": given.get("reason", "fraudulent"),
            "status": status,
        },
    )
    call.change(charge, {"disputed": True})
    call.emit("charge.dispute.created", dispute)
    if status == "needs_response":
        _withdraw(call, dispute)
    elif status == "prevented":
        call.emit("charge.dispute.closed", dispute)
    return dispute


def _method_details(charge: JsonObject, status: str) -> JsonObject | None:
    """How the card's network sees it; of a bank debit nothing is told."""
    card = charge["payment_method_details"].get("card")
    if card is None:
        return None
    kind = {"needs_response": "chargeback", "prevented": "chargeback"}.get(status, "inquiry")
    details = {
        "brand": card["brand"],
        "case_type": kind,
        "network": card["network"],
        "network_reason_code": "10.4",
    }
    return {"card": details, "type": "card"}


def on_charge_succeeded(call: Call, charge: JsonObject) -> None:
    """Reaction: some test cards dispute what they paid, as soon as the payment is through."""
    card = cards.of_charge(charge)
    if card is None or not card.dispute:
        return
    given = {"reason": card.dispute_reason, "status": card.dispute}

    def befall(job: Call) -> None:
        one = job.target()
        if one["captured"] and not one["disputed"]:
            open_dispute(job.on("dispute", {}), one, given)

    call.later(charge, call.now, befall)


def close(call: Call, dispute: JsonObject, status: str, *, returns_fee: bool = False) -> JsonObject:
    """The verdict; a won dispute's money comes back, and its fee where the country has it so."""
    if status == "won" and dispute["balance_transactions"]:
        fees = (Fee(-FEE, _FEE_FOR),) if returns_fee else ()
        transaction = _adjust(
            call, dispute, dispute["amount"], "dispute_reversal", "Chargeback reversal", fees
        )
        _moved(call, dispute, transaction)
        call.change(dispute, {"status": status}, "charge.dispute.updated")
        call.emit("charge.dispute.funds_reinstated", dispute)
    else:
        call.change(dispute, {"status": status}, "charge.dispute.updated")
    call.emit("charge.dispute.closed", dispute)
    return dispute


def _withdraw(call: Call, dispute: JsonObject) -> None:
    fees = (Fee(FEE, _FEE_FOR),)
    transaction = _adjust(
        call, dispute, -dispute["amount"], "dispute", "Chargeback withdrawal", fees
    )
    _moved(call, dispute, transaction)
    call.emit("charge.dispute.funds_withdrawn", dispute)


def _adjust(
    call: Call, dispute: JsonObject, amount: int, category: str, word: str, fees: tuple[Fee, ...]
) -> JsonObject:
    """Its balance transaction, which is available at once (recorded)."""
    fields = {
        "description": f"{word} for {dispute['charge']}",
        "reporting_category": category,
    }
    return balance_transactions.record(
        call, "adjustment", dispute, amount, fees=fees, available=True, fields=fields
    )


def _moved(call: Call, dispute: JsonObject, transaction: JsonObject) -> None:
    """The dispute shows its balance transactions whole."""
    listing = [*dispute["balance_transactions"], call.seen(transaction)]
    call.change(dispute, {"balance_transactions": listing})


def _update(call: Call) -> JsonObject:
    """Keep evidence; submitted, it is reviewed, and settled if it says how."""
    dispute, params = call.target(), call.params
    inquiry = dispute["status"] in _INQUIRY
    if dispute["status"] not in (*_OPEN, *_INQUIRY):
        raise invalid("This dispute is already closed.", code="dispute_closed")
    evidence = {**dispute["evidence"], **params.get("evidence", {})}
    submitted = params.get("submit", True) and "evidence" in params
    details = dispute["evidence_details"]
    patch: JsonObject = {
        "evidence": evidence,
        "evidence_details": {
            **details,
            "has_evidence": details["has_evidence"] or "evidence" in params,
            "submission_count": details["submission_count"] + int(submitted),
            "submission_method": "manual" if submitted else details["submission_method"],
        },
        "metadata": merged_metadata(dispute["metadata"], params.get("metadata", {})),
    }
    if submitted:
        patch["status"] = "warning_under_review" if inquiry else "under_review"
    call.change(dispute, patch, "charge.dispute.updated")
    verdict = _VERDICTS.get(evidence["uncategorized_text"] or "")
    if submitted and verdict is not None:
        ends = "warning_closed" if inquiry else verdict
        call.later(dispute, call.now, lambda job: close(job, job.target(), ends))
    return dispute


def _close(call: Call) -> JsonObject:
    """The account gives in: an inquiry is closed, a dispute lost."""
    dispute = call.target()
    if dispute["status"] not in (*_OPEN, *_INQUIRY):
        raise invalid("This dispute is already closed.", code="dispute_closed")
    return close(call, dispute, "warning_closed" if dispute["status"] in _INQUIRY else "lost")


def _decided(call: Call) -> JsonObject:
    """The bank decides, whatever the evidence."""
    dispute = call.target()
    if dispute["status"] not in (*_OPEN, *_INQUIRY):
        raise invalid("This dispute is already closed.")
    params = call.params
    return close(call, dispute, params["status"], returns_fee=params.get("returns_fee", False))


def _escalated(call: Call) -> JsonObject:
    """An inquiry becomes a dispute, which takes the money."""
    dispute = call.target()
    if dispute["status"] not in _INQUIRY:
        raise invalid("Only an inquiry can be escalated.")
    patch = {"is_charge_refundable": False, "status": "needs_response"}
    call.change(dispute, patch, "charge.dispute.updated")
    _withdraw(call, dispute)
    return dispute


NOUN: Final = Noun(
    object="dispute",
    collection="disputes",
    prefix="du",
    other_prefixes=("dp",),
    fields={
        "amount": 0,
        "balance_transactions": [],
        "charge": "",
        "currency": "",
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": None,
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": None,
        "payment_method_details": None,
        "reason": "general",
        "status": "needs_response",
    },
    indexed=("charge", "payment_intent"),
    expandable=frozenset({"charge", "payment_intent"}),
    sums=("amount",),
    reactions={
        "charge.captured": on_charge_succeeded,
        "charge.succeeded": on_charge_succeeded,
    },
    happenings={
        "close": Happening(
            {
                "returns_fee": Boolean(),
                "status": OneOf(values=("lost", "warning_closed", "won"), required=True),
            },
            _decided,
        ),
        "escalate": Happening({}, _escalated),
    },
    actions=(
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        listed(
            {
                "charge": Filter(Reference(noun="charge")),
                "payment_intent": Filter(Reference(noun="payment_intent")),
            }
        ),
        act("close", {}, _close),
    ),
)
