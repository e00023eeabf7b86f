"""Payouts (API reference, "Payouts"; docs, "Receive payouts"): manual ones by request, automatic
ones at the midnights that the account's schedule names. They arrive as the clock moves.

An automatic payout takes all that became available of one settlement currency, and goes the other
way where that is below zero. What it held can be listed once it is reconciled.
"""

from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sandbox.emulator import balance_transactions, external_accounts
from sandbox.emulator.balance_transactions import Fee
from sandbox.emulator.core.call import Action, Call, Happening, Noun, World
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.expansion import linked_as
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Currency,
    Integer,
    Metadata,
    OneOf,
    Reference,
    Span,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject, Scope
from sandbox.emulator.core.verbs import act, listed, retrieve, update

IN_TRANSIT_SECONDS: Final = 3600
ARRIVAL_SECONDS: Final = 2 * DAY_SECONDS
INSTANT_SECONDS: Final = 1800
REVERSIBLE_SECONDS: Final = 90 * DAY_SECONDS
"""A payout can be reversed while it was to arrive less than 90 days ago (docs, "Reversals")."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_STATUSES: Final = ("canceled", "failed", "in_transit", "paid", "pending")

_CREATE: Final = {
    "amount": Integer(required=True, least=1),
    "currency": Currency(required=True),
    "description": Text(clearable=True),
    "destination": Reference(noun="bank_account"),
    "metadata": Metadata(),
    "method": OneOf(values=("instant", "standard")),
    "source_type": OneOf(values=("bank_account", "card", "fpx")),
    "statement_descriptor": Text(most=22),
}

_MESSAGES: Final = {
    "account_closed": "The bank account has been closed.",
    "account_frozen": "The bank account has been frozen.",
    "bank_account_restricted": "The bank account has restrictions on either its type or use.",
    "bank_ownership_changed": "The bank account is no longer valid: its branch changed ownership.",
    "could_not_process": "The bank could not process this payout.",
    "debit_not_authorized": "Debit transactions are not approved on the bank account.",
    "declined": "The bank has declined this transfer.",
    "insufficient_funds": "Your Stripe balance has insufficient funds.",
    "invalid_account_number": "The routing number seems correct, but the account number is not.",
    "invalid_currency": "The bank was unable to process this payout because of its currency.",
    "no_account": "The bank account could not be located.",
    "unsupported_card": "The bank no longer supports payouts to this card.",
}
"""The codes are Stripe's (API reference, "Types of payout failures"), the words are from memory."""


def keep_schedule(world: World, account: str) -> None:
    """Begin with an account's automatic payouts at the next midnight, in both modes."""
    for livemode in (False, True):
        _at_midnight(world, Scope(account, livemode))


def keep_monthly_fee(world: World, account: str, amount: int) -> None:
    """Let Stripe take a fee, which nothing is the source of, at the begin of every month."""
    for livemode in (False, True):
        _next_month(world, Scope(account, livemode), amount)


def _next_month(world: World, scope: Scope, amount: int) -> None:
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    days = monthrange(now.year, now.month)[1] - now.day + 1
    first = (world.clock.now() // DAY_SECONDS + days) * DAY_SECONDS
    world.schedule.add(first, scope, NOUN.object, "", lambda call: _monthly_fee(call, amount))


def _monthly_fee(call: Call, amount: int) -> None:
    """Only where there is a business: a mode without a transaction is not charged."""
    if len(call.shelf("balance_transaction")):
        ended = datetime.fromtimestamp(call.now - 1, UTC)
        fields = {"description": f"Billing - Usage Fee ({ended:%Y-%m})"}
        balance_transactions.record(
            call, "stripe_fee", None, -amount, currency=call.account["default_currency"],
            available=True, fields=fields,
        )  # fmt: skip
    _next_month(call.world, call.scope, amount)


def _at_midnight(world: World, scope: Scope) -> None:
    midnight = (world.clock.now() // DAY_SECONDS + 1) * DAY_SECONDS
    world.schedule.add(midnight, scope, NOUN.object, "", _midnight)


def _midnight(call: Call) -> None:
    """Pay out where the schedule has it so; it ends when the account pays out by itself."""
    schedule = call.account["settings"]["payouts"]["schedule"]
    if schedule["interval"] == "manual":
        return
    if _falls_on(schedule, datetime.fromtimestamp(call.now, UTC)):
        _pay_out_all(call)
    _at_midnight(call.world, call.scope)


def _falls_on(schedule: JsonObject, day: datetime) -> bool:
    """An anchor after the month's end falls on its last day (API reference, `monthly_anchor`)."""
    if schedule["interval"] == "weekly":
        return bool(WEEKDAYS[day.weekday()] == schedule["weekly_anchor"])
    if schedule["interval"] == "monthly":
        last = monthrange(day.year, day.month)[1]
        return bool(day.day == min(schedule["monthly_anchor"], last))
    return True


def _pay_out_all(call: Call) -> None:
    """A payout a currency and source type of all that is available."""
    waiting: dict[tuple[str, str], list[JsonObject]] = {}
    for one in balance_transactions.not_paid_out(call):
        if one["available_on"] <= call.now:
            waiting.setdefault((one["currency"], one["source_type"]), []).append(one)
    for (currency, source_type), transactions in sorted(waiting.items()):
        amount = sum(one["net"] for one in transactions)
        if amount:
            _pay_out(call, amount, currency, source_type, transactions)


def _pay_out(
    call: Call,
    amount: int,
    currency: str,
    source_type: str,
    transactions: Iterable[JsonObject],
) -> None:
    fields = {
        "amount": amount,
        "automatic": True,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "reconciliation_status": "in_progress",
        "source_type": source_type,
    }
    payout = _begin(call, fields)
    for one in transactions:
        call.change(one, {"payout": payout["id"]})


def _create(call: Call) -> JsonObject:
    params = call.params
    currency = params["currency"]
    instant = params.get("method") == "instant"
    fee = _instant_fee(params["amount"]) if instant else 0
    available, _ = balance_transactions.balance(call)
    held = available.get(currency, {}).get(params.get("source_type", "card"), 0)
    if params["amount"] + fee > held:
        raise invalid(
            "You have insufficient funds in your Stripe account for this payout.",
            "amount",
            "balance_insufficient",
        )
    shared = (
        "amount", "currency", "description", "destination", "method", "source_type",
        "statement_descriptor",
    )  # fmt: skip
    fields = {name: params[name] for name in shared if name in params}
    fields["metadata"] = merged_metadata({}, params.get("metadata"))
    return _begin(call, fields, INSTANT_SECONDS if instant else ARRIVAL_SECONDS, fee)


def _instant_fee(amount: int) -> int:
    """1 %, at least 50 minor units (from memory)."""
    return max(50, (amount + 50) // 100)


def _begin(
    call: Call, fields: JsonObject, seconds: int = ARRIVAL_SECONDS, fee: int = 0
) -> JsonObject:
    """A payout on its way: the balance is less by it at once."""
    arrival = call.now + seconds
    destination = external_accounts.of_currency(call, fields["currency"])["id"]
    payout = call.add(NOUN, {"arrival_date": arrival, "destination": destination, **fields})
    transaction = balance_transactions.record(
        call, "payout", payout, -payout["amount"], available=True,
        fees=(Fee(fee, "Instant payout fee"),), fields={"source_type": payout["source_type"]},
    )  # fmt: skip
    if payout["automatic"]:
        call.change(transaction, {"payout": payout["id"]})
    call.change(payout, {"balance_transaction": transaction["id"]})
    call.emit("payout.created", payout)
    call.later(payout, call.now + min(seconds // 2, IN_TRANSIT_SECONDS), _leave)
    call.later(payout, arrival, _arrive)
    return payout


def _leave(call: Call) -> None:
    payout = call.target()
    if payout["status"] != "pending":
        return
    call.change(payout, {"status": "in_transit"}, "payout.updated")
    if payout["automatic"]:
        _reconcile(call, payout)


def _reconcile(call: Call, payout: JsonObject) -> None:
    call.change(payout, {"reconciliation_status": "completed"}, "payout.updated")
    call.emit("payout.reconciliation_completed", payout)


def _reconciled(call: Call) -> JsonObject:
    """Happening: Stripe has found out what a payout holds, or says so once more."""
    payout = call.target()
    if not payout["automatic"]:
        raise invalid("Only an automatic payout is reconciled.")
    _reconcile(call, payout)
    return payout


def _arrive(call: Call) -> None:
    payout = call.target()
    if payout["status"] == "in_transit":
        trace: JsonObject = {"status": "supported", "value": call.world.ids.text(15)}
        call.change(payout, {"status": "paid", "trace_id": trace}, "payout.updated")
        call.emit("payout.paid", payout)


def _returned(call: Call, payout: JsonObject, kind: str) -> str:
    """The money is back in the balance, of instant ones the fee, too."""
    taken = call.find("balance_transaction", payout["balance_transaction"], "id")["fee"]
    transaction = balance_transactions.record(
        call, kind, payout, payout["amount"], available=True,
        fees=(Fee(-taken, "Instant payout fee"),), fields={"source_type": payout["source_type"]},
    )  # fmt: skip
    identifier: str = transaction["id"]
    return identifier


def _require_status(payout: JsonObject, status: str, verb: str) -> None:
    if payout["status"] != status:
        raise invalid(
            f"This payout could not be {verb} because it has a status of {payout['status']}. "
            f"Only a payout with one of the following statuses may be {verb}: {status}."
        )


def _reverse(call: Call) -> JsonObject:
    """Fetch a payout back from its bank (docs, "Payout reversals"): a payout the other way."""
    payout = call.target()
    _require_status(payout, "paid", "reversed")
    if payout["reversed_by"] is not None or payout["amount"] < 0:
        raise invalid("This payout was reversed, or is a debit itself.")
    if payout["method"] == "instant" or payout["arrival_date"] + REVERSIBLE_SECONDS < call.now:
        raise _irreversible()
    fields = {
        "amount": -payout["amount"],
        "currency": payout["currency"],
        "destination": payout["destination"],
        "metadata": merged_metadata({}, call.params.get("metadata")),
        "original_payout": payout["id"],
        "source_type": payout["source_type"],
    }
    reversal = call.add(NOUN, {"arrival_date": call.now + ARRIVAL_SECONDS, **fields})
    call.change(payout, {"reversed_by": reversal["id"]}, "payout.updated")
    transaction = balance_transactions.record(
        call, "payout", reversal, payout["amount"], fields={"source_type": payout["source_type"]}
    )
    call.change(reversal, {"balance_transaction": transaction["id"]})
    call.emit("payout.created", reversal)
    call.later(reversal, call.now + IN_TRANSIT_SECONDS, _leave)
    call.later(reversal, reversal["arrival_date"], _arrive)
    return reversal


def _irreversible() -> ApiError:
    return invalid("Instant payouts, and those of more than 90 days ago, cannot be reversed.")


def _cancel(call: Call) -> JsonObject:
    payout = call.target()
    if payout["automatic"]:
        raise invalid("Automatic payouts cannot be canceled.")
    _require_status(payout, "pending", "canceled")
    return _canceled(call, payout)


def _canceled(call: Call, payout: JsonObject) -> JsonObject:
    patch = {
        "failure_balance_transaction": _returned(call, payout, "payout_cancel"),
        "status": "canceled",
        "trace_id": _UNTRACED,
    }
    call.change(payout, patch, "payout.updated")
    call.emit("payout.canceled", payout)
    return payout


def _failed(call: Call) -> JsonObject:
    """The bank refuses it, even days after it was paid; a reversal on its way has no more use."""
    payout = call.target()
    if payout["status"] not in ("in_transit", "paid", "pending"):
        raise invalid(f"A payout that is {payout['status']} cannot fail.")
    code = call.params.get("failure_code", "could_not_process")
    patch = {
        "failure_balance_transaction": _returned(call, payout, "payout_failure"),
        "failure_code": code,
        "failure_message": _MESSAGES[code],
        "status": "failed",
        "trace_id": _UNTRACED,
    }
    call.change(payout, patch, "payout.updated")
    call.emit("payout.failed", payout)
    reversal = call.shelf(NOUN).get(payout["reversed_by"] or "")
    if reversal is not None and reversal["status"] == "pending":
        _canceled(call, reversal)
    return payout


def _arrives_within(payout: JsonObject, span: tuple[int | None, int | None]) -> bool:
    first, end = span
    arrival: int = payout["arrival_date"]
    return (first is None or arrival >= first) and (end is None or arrival < end)


_UNTRACED: Final[JsonObject] = {"status": "unsupported", "value": None}

NOUN: Final = Noun(
    object="payout",
    collection="payouts",
    prefix="po",
    id_param="payout",
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
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    },
    indexed=("status",),
    expandable=frozenset(
        {"balance_transaction", "failure_balance_transaction", "original_payout", "reversed_by"}
    ),
    includes={"destination": linked_as("bank_account", "destination")},
    sums=("amount",),
    happenings={
        "fail": Happening({"failure_code": OneOf(values=tuple(_MESSAGES))}, _failed),
        "reconcile": Happening({}, _reconciled),
    },
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
        act("reverse", {"metadata": Metadata()}, _reverse),
    ),
)
