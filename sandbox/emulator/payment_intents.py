"""Payment intents (API reference, "PaymentIntents"; docs, "How PaymentIntents work")."""

from typing import Final

from sandbox.emulator import bank_debits, cards, charges, payment_methods
from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import ApiError, invalid, missing_parameter
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    Email,
    Hash,
    Integer,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Text,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import act, given, listed, patched, retrieve, update
from sandbox.emulator.older_shapes import older_intent
from sandbox.emulator.shapes import SHIPPING

_CAPTURE_METHOD: Final = OneOf(values=("automatic", "automatic_async", "manual"))
_FUTURE: Final = OneOf(values=("off_session", "on_session"), clearable=True)

_COMMON: Final = {
    "allowed_payment_method_types": ListOf(kind=OneOf(values=("card", *bank_debits.METHODS))),
    "capture_method": _CAPTURE_METHOD,
    "payment_method": Text(clearable=True),
    "payment_method_options": Anything(),
    "receipt_email": Email(clearable=True),
    "setup_future_usage": _FUTURE,
    "shipping": SHIPPING,
}

_FIELDS: Final = {
    "customer": Reference(noun="customer"),
    "description": Text(clearable=True, most=1000),
    "metadata": Metadata(),
    "statement_descriptor": Text(most=22, clearable=True),
    "statement_descriptor_suffix": Text(most=22, clearable=True),
    "transfer_group": Text(),
}

_CONFIRMING: Final = {
    "error_on_requires_action": Boolean(),
    "off_session": Boolean(),
    "return_url": Text(),
    "use_stripe_sdk": Boolean(),
}

_CREATE: Final = {
    **_COMMON,
    **_FIELDS,
    **_CONFIRMING,
    "amount": Integer(required=True, least=1),
    "automatic_payment_methods": Hash(
        fields={
            "allow_redirects": OneOf(values=("always", "never")),
            "enabled": Boolean(required=True),
        }
    ),
    "confirm": Boolean(),
    "confirmation_method": OneOf(values=("automatic", "manual")),
    "currency": Currency(required=True),
}

_UPDATE: Final = {**_COMMON, **_FIELDS, "amount": Integer(least=1), "currency": Currency()}
_CONFIRM: Final = {**_COMMON, **_CONFIRMING}
_CAPTURE: Final = {"amount_to_capture": Integer(least=1), "metadata": Metadata()}

_REASONS: Final = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")

_UNPAID: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE: Final = (*_UNPAID, "requires_capture", "processing")


def _create(call: Call) -> JsonObject:
    params = call.params
    currencies.check_amount(params["amount"], params["currency"])
    fields = given(call, _CREATE)
    fields["id"] = call.world.ids.mint("pi", 24)
    fields["application"] = call.origin.application
    fields["client_secret"] = f"{fields['id']}_secret_{call.world.ids.text(25)}"
    if params.get("payment_method") is not None:
        method = _usable_method(call, params["payment_method"], params.get("customer"))
        bank_debits.check(params.get("capture_method", "automatic_async"), method)
        fields |= {"payment_method": method["id"], "status": "requires_confirmation"}
    elif not params.get("confirm", False) and "off_session" in params:
        raise invalid("off_session can only be passed with confirm=true.", "off_session")
    intent = call.add(NOUN, fields)
    call.emit("payment_intent.created", intent)
    return confirm(call, intent) if params.get("confirm", False) else intent


def requested(call: Call, fields: JsonObject) -> JsonObject:
    """An intent that Stripe makes by itself, for an invoice: it waits for its confirmation."""
    identifier = call.world.ids.mint("pi", 24)
    secret = f"{identifier}_secret_{call.world.ids.text(25)}"
    intent = call.add(NOUN, {**fields, "client_secret": secret}, identifier)
    call.emit("payment_intent.created", intent)
    return intent


def cancel(call: Call, intent: JsonObject, reason: str | None) -> JsonObject:
    """Cancel an intent that was not paid."""
    _require_status(intent, _CANCELABLE, "cancel")
    return _canceled(call, intent, reason, "charge.refunded")


def _usable_method(call: Call, identifier: str, customer: str | None) -> JsonObject:
    """The payment method, unless it belongs to another customer than the payment's."""
    method = payment_methods.resolved(call, identifier, "payment_method")
    owner = method["customer"]
    if owner is not None and owner != customer:
        raise invalid(
            f"The PaymentMethod {method['id']} belongs to the Customer {owner}, "
            "which the PaymentIntent must name as its customer.",
            "payment_method",
        )
    return method


def confirm(call: Call, intent: JsonObject) -> JsonObject:
    """Attempt the payment by the parameters of a creation or confirmation.

    Raises the 402 of a decline when the failed charge and its events stand.
    """
    _require_status(intent, _UNPAID, "confirm")
    if intent["payment_method"] is None:
        raise missing_parameter("payment_method")
    off_session: bool = call.params.get("off_session", False)
    if off_session and intent["setup_future_usage"] is not None:  # from memory
        raise invalid(
            "off_session cannot be true where setup_future_usage is set.", "setup_future_usage"
        )
    if not off_session and not _may_stay(call, intent):
        raise invalid(
            "This PaymentIntent accepts payment methods that may redirect the customer: pass a "
            "`return_url`, or set `automatic_payment_methods[allow_redirects]` to `never`.",
            "return_url",
        )
    method = call.find("payment_method", intent["payment_method"], "payment_method")
    if bank_debits.is_bank(method):
        return bank_debits.begin(call, intent, method)
    card = cards.of_details(method["card"])
    if card.authenticates and not off_session:
        return _await_action(call, intent)
    return _pay(call, intent, method, absent=off_session)


def _may_stay(call: Call, intent: JsonObject) -> bool:
    """Whether the customer need not come back from a redirect."""
    automatic = intent["automatic_payment_methods"]
    stays = automatic is None or not automatic["enabled"]
    never = automatic is not None and automatic.get("allow_redirects") == "never"
    return stays or never or "return_url" in call.params


def _await_action(call: Call, intent: JsonObject) -> JsonObject:
    if call.params.get("error_on_requires_action", False):
        raise ApiError(
            402,
            "This payment required an authentication action to complete.",
            kind="card_error",
            code="authentication_required",
            more={"payment_intent": intent},
        )
    action: JsonObject = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure"}}
    if "return_url" in call.params:
        back = call.params["return_url"]
        url = f"https://hooks.stripe.com/3d_secure_2/{intent['id']}"
        action = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": back, "url": url},
        }
    call.change(intent, {"next_action": action, "status": "requires_action"})
    call.emit("payment_intent.requires_action", intent)
    return intent


def _pay(call: Call, intent: JsonObject, method: JsonObject, *, absent: bool) -> JsonObject:
    """Charge the method; the intent succeeds, awaits its capture, or fails."""
    manual = intent["capture_method"] == "manual"
    asynchronous = intent["capture_method"] == "automatic_async"
    shared = (
        "application", "customer", "description", "metadata", "receipt_email", "shipping",
    )  # fmt: skip
    order = charges.Order(
        amount=intent["amount"],
        currency=intent["currency"],
        method=method,
        capture=not manual,
        settled=not asynchronous,
        absent=absent,
        fields={"payment_intent": intent["id"], **{name: intent[name] for name in shared}},
    )
    charge, decline = charges.attempt(call, order)
    if decline is not None:
        raise _failed(call, intent, method, decline.error(charge, {}))
    patch: JsonObject = {
        "last_payment_error": None, "latest_charge": charge["id"], "next_action": None,
    }  # fmt: skip
    if intent["setup_future_usage"] is not None and intent["customer"] is not None:
        payment_methods.attach(call, method, intent["customer"])
    if manual:
        patch |= {"amount_capturable": intent["amount"], "status": "requires_capture"}
        call.change(intent, patch)
        call.emit("payment_intent.amount_capturable_updated", intent)
        before = charge["payment_method_details"]["card"]["capture_before"]
        call.later(intent, before, _run_out)
    else:
        patch |= {"amount_received": intent["amount"], "status": "succeeded"}
        call.change(intent, patch)
        call.emit("payment_intent.succeeded", intent)
        if asynchronous:
            charges.settle_later(call, charge)
    return intent


def _failed(call: Call, intent: JsonObject, method: JsonObject, error: ApiError) -> ApiError:
    """Set an intent back to wanting a method; the error to raise, with the intent in it."""
    error.more["payment_method"] = call.seen(method)
    failure: JsonObject = {
        "code": error.code,
        "message": error.message,
        "type": error.kind,
        **error.more,
    }
    patch: JsonObject = {
        "last_payment_error": failure,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    if "charge" in error.more:
        patch["latest_charge"] = error.more["charge"]
    call.change(intent, patch)
    call.emit("payment_intent.payment_failed", intent)
    error.more["payment_intent"] = intent
    return error


def _require_status(intent: JsonObject, allowed: tuple[str, ...], verb: str) -> None:
    if intent["status"] not in allowed:
        raise ApiError(
            400,
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            more={"payment_intent": intent},
        )


def _changed(call: Call) -> JsonObject:
    """The patch of an update or confirmation; a new method makes the intent confirmable."""
    intent, params = call.target(), call.params
    if {"amount", "currency", "payment_method"} & params.keys():
        _require_status(intent, _UNPAID, "update")
    patch = patched(intent, params, {**_UPDATE, **_CONFIRM})
    if {"amount", "currency"} & patch.keys():
        changed = {**intent, **patch}
        currencies.check_amount(changed["amount"], changed["currency"])
    if patch.get("payment_method") is not None:
        customer = patch.get("customer", intent["customer"])
        method = _usable_method(call, patch["payment_method"], customer)
        patch |= {"payment_method": method["id"], "status": "requires_confirmation"}
    elif "payment_method" in patch:
        patch["status"] = "requires_payment_method"
    return patch


def _confirm(call: Call) -> JsonObject:
    _require_status(call.target(), _UNPAID, "confirm")
    return confirm(call, call.change(call.target(), _changed(call)))


def _capture(call: Call) -> JsonObject:
    intent = call.target()
    _require_status(intent, ("requires_capture",), "capture")
    charge = call.find("charge", intent["latest_charge"], "id")
    charges.capture(call, charge, call.params.get("amount_to_capture"))
    patch = patched(intent, call.params, _CAPTURE)
    patch |= {
        "amount_capturable": 0,
        "amount_received": charge["amount_captured"],
        "status": "succeeded",
    }
    call.change(intent, patch)
    call.emit("payment_intent.succeeded", intent)
    return intent


def _cancel(call: Call) -> JsonObject:
    return cancel(call, call.target(), call.params.get("cancellation_reason"))


def _canceled(call: Call, intent: JsonObject, reason: str | None, charge_event: str) -> JsonObject:
    if intent["status"] == "requires_capture":
        charge = call.find("charge", intent["latest_charge"], "id")
        charges.release(call, charge, charge_event)
    patch = {
        "amount_capturable": 0,
        "canceled_at": call.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    call.change(intent, patch)
    call.emit("payment_intent.canceled", intent)
    return intent


def _authenticated(call: Call) -> JsonObject:
    """The customer answers the bank's challenge, with or without success."""
    intent = call.target()
    _require_status(intent, ("requires_action",), "authenticate")
    method = call.find("payment_method", intent["payment_method"], "payment_method")
    if call.params.get("succeeds", True):
        return _pay(call, intent, method, absent=False)
    message = "The provided PaymentMethod has failed authentication."
    code = "payment_intent_authentication_failure"
    _failed(call, intent, method, ApiError(402, message, code=code))
    return intent


def _run_out(call: Call) -> None:
    """The time to capture is over."""
    if call.target()["status"] == "requires_capture":
        _expired(call)


def _expired(call: Call) -> JsonObject:
    """An authorization runs out before it is captured: `automatic` before 2025-03-31."""
    intent = call.target()
    _require_status(intent, ("requires_capture",), "expire")
    reason = "automatic" if call.world.releases_by_refund else "expired"
    return _canceled(call, intent, reason, "charge.expired")


def _bank_pays(call: Call) -> JsonObject:
    """The bank answers a debit before its days are over."""
    return bank_debits.succeed(call, call.target())


NOUN: Final = Noun(
    object="payment_intent",
    collection="payment_intents",
    prefix="pi",
    fields={
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": None,
        "confirmation_method": "automatic",
        "currency": "",
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    },
    indexed=("customer",),
    expandable=frozenset({"customer", "latest_charge", "payment_method"}),
    searchable=frozenset({"amount", "created", "currency", "customer", "status"}),
    older=older_intent,
    sums=("amount", "amount_received"),
    happenings={
        "authenticate": Happening({"succeeds": Boolean()}, _authenticated),
        "bank_pays": Happening({}, _bank_pays),
        "expire": Happening({}, _expired),
    },
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update(_UPDATE, _changed, emits=False),
        listed({"customer": Filter(Reference(noun="customer"))}),
        searched(),
        act("confirm", _CONFIRM, _confirm),
        act("capture", _CAPTURE, _capture),
        act("cancel", {"cancellation_reason": OneOf(values=_REASONS)}, _cancel),
    ),
)
