"""Payouts (API reference, "Payouts"): manual ones by request, automatic ones every midnight of
an account whose schedule is daily. They arrive as the clock moves."""

from typing import Final

from sandbox.emulator import balance_transactions
from sandbox.emulator.core.call import Action, Call, Happening, Noun, World
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Currency,
    Integer,
    Metadata,
    OneOf,
    Span,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject, Scope
from sandbox.emulator.core.verbs import act, listed, retrieve, update

IN_TRANSIT_SECONDS: Final = 3600
ARRIVAL_SECONDS: Final = 2 * DAY_SECONDS

_STATUSES: Final = ("canceled", "failed", "in_transit", "paid", "pending")

_CREATE: Final = {
    "amount": Integer(required=True, least=1),
    "currency": Currency(required=True),
    "description": Text(clearable=True),
    "destination": Text(),
    "metadata": Metadata(),
    "method": OneOf(values=("instant", "standard")),
    "source_type": OneOf(values=("bank_account", "card", "fpx")),
    "statement_descriptor": Text(most=22),
}

_MESSAGES: Final = {
    "account_closed": "The bank account has been closed.",
    "could_not_process": "The bank could not process this payout.",
    "insufficient_funds": "Your Stripe balance has insufficient funds.",
    "no_account": "The bank account could not be located.",
}


def keep_schedule(world: World, account: str) -> None:
    """Begin with an account's automatic payouts at the next midnight, in both modes."""
    for livemode in (False, True):
        _at_midnight(world, Scope(account, livemode))


def _at_midnight(world: World, scope: Scope) -> None:
    midnight = (world.clock.now() // DAY_SECONDS + 1) * DAY_SECONDS
    world.schedule.add(midnight, scope, NOUN.object, "", _daily)


def _daily(call: Call) -> None:
    """Pay out all that became available, unless the schedule is another by now."""
    if call.account["settings"]["payouts"]["schedule"]["interval"] != "daily":
        return
    waiting = [
        transaction
        for transaction in balance_transactions.not_paid_out(call)
        if transaction["available_on"] <= call.now
    ]
    amount = sum(transaction["net"] for transaction in waiting)
    if amount > 0:
        fields = {
            "amount": amount,
            "automatic": True,
            "currency": call.account["default_currency"],
            "description": "STRIPE PAYOUT",
            "reconciliation_status": "in_progress",
        }
        payout = _begin(call, fields)
        for transaction in waiting:
            call.change(transaction, {"payout": payout["id"]})
    _at_midnight(call.world, call.scope)


def _create(call: Call) -> JsonObject:
    params = call.params
    available = balance_transactions.balance(call)[0]
    if params["currency"] != call.account["default_currency"] or params["amount"] > available:
        raise invalid(
            "You have insufficient funds in your Stripe account for this payout.",
            "amount",
            "balance_insufficient",
        )
    shared = ("amount", "currency", "description", "method", "source_type", "statement_descriptor")
    fields = {name: params[name] for name in shared if name in params}
    return _begin(call, {**fields, "metadata": merged_metadata({}, params.get("metadata"))})


def _begin(call: Call, fields: JsonObject) -> JsonObject:
    """A payout on its way: the balance is less by it at once."""
    destination = f"ba_{call.world.ids.text(24)}"
    arrival = call.now + ARRIVAL_SECONDS
    payout = call.add(NOUN, {"arrival_date": arrival, "destination": destination, **fields})
    transaction = balance_transactions.record(
        call, "payout", payout, -payout["amount"], available=True
    )
    if payout["automatic"]:
        call.change(transaction, {"payout": payout["id"]})
    call.change(payout, {"balance_transaction": transaction["id"]})
    call.emit("payout.created", payout)
    call.later(payout, call.now + IN_TRANSIT_SECONDS, _leave)
    call.later(payout, arrival, _arrive)
    return payout


def _leave(call: Call) -> None:
    payout = call.target()
    if payout["status"] != "pending":
        return
    call.change(payout, {"status": "in_transit"}, "payout.updated")
    if payout["automatic"]:
        call.change(payout, {"reconciliation_status": "completed"}, "payout.updated")
        call.emit("payout.reconciliation_completed", payout)


def _arrive(call: Call) -> None:
    payout = call.target()
    if payout["status"] == "in_transit":
        call.change(payout, {"status": "paid"}, "payout.updated")
        call.emit("payout.paid", payout)


def _returned(call: Call, payout: JsonObject, kind: str) -> str:
    """The money is back in the balance."""
    transaction = balance_transactions.record(call, kind, payout, payout["amount"], available=True)
    identifier: str = transaction["id"]
    return identifier


def _cancel(call: Call) -> JsonObject:
    payout = call.target()
    if payout["automatic"] or payout["status"] != "pending":
        raise invalid("Payouts can only be canceled while they are pending and manual.")
    back = _returned(call, payout, "payout_cancel")
    patch = {"failure_balance_transaction": back, "status": "canceled"}
    call.change(payout, patch, "payout.updated")
    call.emit("payout.canceled", payout)
    return payout


def _failed(call: Call) -> JsonObject:
    """The bank refuses it, even days after it was paid."""
    payout = call.target()
    if payout["status"] not in ("in_transit", "paid", "pending"):
        raise invalid(f"A payout that is {payout['status']} cannot fail.")
    code = call.params.get("failure_code", "could_not_process")
    patch = {
        "failure_balance_transaction": _returned(call, payout, "payout_failure"),
        "failure_code": code,
        "failure_message": _MESSAGES[code],
        "status": "failed",
    }
    call.change(payout, patch, "payout.updated")
    call.emit("payout.failed", payout)
    return payout


def _arrives_within(payout: JsonObject, span: tuple[int | None, int | None]) -> bool:
    first, end = span
    arrival: int = payout["arrival_date"]
    return (first is None or arrival >= first) and (end is None or arrival < end)


NOUN: Final = Noun(
    object="payout",
    collection="payouts",
    prefix="po",
    fields={
        "amount": 0,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": 0,
        "automatic": False,
        "balance_transaction": None,
        "currency": "",
        "description": None,
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": None,
        "type": "bank_account",
    },
    indexed=("status",),
    expandable=frozenset({"balance_transaction", "failure_balance_transaction"}),
    sums=("amount",),
    happenings={"fail": Happening({"failure_code": OneOf(values=tuple(_MESSAGES))}, _failed)},
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update({"metadata": Metadata()}),
        listed(
            {
                "arrival_date": Filter(Span(), _arrives_within),
                "destination": Filter(Text()),
                "status": Filter(OneOf(values=_STATUSES)),
            }
        ),
        act("cancel", {}, _cancel),
    ),
)
