"""Setup intents (API reference, "SetupIntents"): saving a payment method for later."""

from typing import Final

from sandbox.emulator import cards, payment_methods
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import ApiError, invalid, missing_parameter
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Anything, Boolean, ListOf, Metadata, OneOf, Reference, Text
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import act, given, listed, patched, retrieve, update

_COMMON: Final = {
    "allowed_payment_method_types": ListOf(
        kind=OneOf(values=("card", "sepa_debit", "us_bank_account"))
    ),
    "attach_to_self": Boolean(),
    "customer": Reference(noun="customer"),
    "description": Text(clearable=True, most=1000),
    "metadata": Metadata(),
    "payment_method": Text(),
    "payment_method_options": Anything(),
}

_CONFIRM: Final = {
    "mandate_data": Anything(clearable=True),
    "payment_method": Text(),
    "payment_method_options": Anything(),
    "return_url": Text(),
    "use_stripe_sdk": Boolean(),
}

_CREATE: Final = {
    **_COMMON,
    **_CONFIRM,
    "automatic_payment_methods": Anything(),
    "confirm": Boolean(),
    "single_use": Anything(),
    "usage": OneOf(values=("off_session", "on_session")),
}

_REASONS: Final = ("abandoned", "duplicate", "requested_by_customer")
_OPEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


def _create(call: Call) -> JsonObject:
    params = call.params
    fields = {
        name: value
        for name, value in given(call).items()
        if name not in ("automatic_payment_methods", "payment_method")
    }
    fields["payment_method_types"] = params.get("allowed_payment_method_types", ["card"])
    identifier = call.world.ids.mint("seti", 24)
    fields["client_secret"] = f"{identifier}_secret_{call.world.ids.text(25)}"
    intent = call.add(NOUN, fields, identifier)
    _choose(call, intent)
    call.emit("setup_intent.created", intent)
    return _confirmed(call, intent) if params.get("confirm", False) else intent


def _choose(call: Call, intent: JsonObject) -> None:
    """Take the payment method of the request, which then wants its confirmation."""
    named = call.params.get("payment_method")
    if named is not None:
        method = payment_methods.resolved(call, named, "payment_method")
        call.change(intent, {"payment_method": method["id"], "status": "requires_confirmation"})


def _confirmed(call: Call, intent: JsonObject) -> JsonObject:
    if intent["payment_method"] is None:
        raise missing_parameter("payment_method")
    method = call.find("payment_method", intent["payment_method"], "payment_method")
    if method["card"] is not None and cards.of_details(method["card"]).authenticates:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure"}}
        call.change(intent, {"next_action": action, "status": "requires_action"})
        call.emit("setup_intent.requires_action", intent)
        return intent
    return _succeeded(call, intent, method)


def _succeeded(call: Call, intent: JsonObject, method: JsonObject) -> JsonObject:
    """Attach the method; a card that cannot be attached fails the setup."""
    if intent["customer"] is not None:
        try:
            payment_methods.attach(call, method, intent["customer"])
        except ApiError as error:
            raise _failed(call, intent, error) from error
    patch = {"last_setup_error": None, "next_action": None, "status": "succeeded"}
    call.change(intent, patch)
    call.emit("setup_intent.succeeded", intent)
    return intent


def _failed(call: Call, intent: JsonObject, error: ApiError) -> ApiError:
    failure: JsonObject = {
        "code": error.code,
        "message": error.message,
        "type": error.kind,
        **error.more,
    }
    patch = {
        "last_setup_error": failure,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    call.change(intent, patch)
    call.emit("setup_intent.setup_failed", intent)
    error.more["setup_intent"] = intent
    return error


def _require(intent: JsonObject, allowed: tuple[str, ...], verb: str) -> None:
    if intent["status"] not in allowed:
        raise ApiError(
            400,
            f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
            more={"setup_intent": intent},
        )


def _changed(call: Call) -> JsonObject:
    intent = call.target()
    _require(intent, _OPEN, "update")
    _choose(call, intent)
    patch = patched(intent, call.params, _COMMON)
    patch.pop("payment_method", None)
    return patch


def _confirm(call: Call) -> JsonObject:
    intent = call.target()
    _require(intent, _OPEN, "confirm")
    _choose(call, intent)
    return _confirmed(call, intent)


def _cancel(call: Call) -> JsonObject:
    intent = call.target()
    _require(intent, _OPEN, "cancel")
    reason = call.params.get("cancellation_reason")
    call.change(intent, {"cancellation_reason": reason, "next_action": None, "status": "canceled"})
    call.emit("setup_intent.canceled", intent)
    return intent


def _authenticated(call: Call) -> JsonObject:
    """The customer answers the bank's challenge, with or without success."""
    intent = call.target()
    if intent["status"] != "requires_action":
        raise invalid("Only a setup that requires action can be authenticated.")
    if call.params.get("succeeds", True):
        method = call.find("payment_method", intent["payment_method"], "payment_method")
        return _succeeded(call, intent, method)
    message = "The provided PaymentMethod has failed authentication."
    _failed(call, intent, ApiError(402, message, code="setup_intent_authentication_failure"))
    return intent


NOUN: Final = Noun(
    object="setup_intent",
    collection="setup_intents",
    prefix="seti",
    fields={
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": None,
        "customer": None,
        "description": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    },
    indexed=("customer", "payment_method"),
    expandable=frozenset({"customer", "payment_method"}),
    happenings={"authenticate": Happening({"succeeds": Boolean()}, _authenticated)},
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update(_COMMON, _changed, emits=False),
        listed(
            {
                "customer": Filter(Reference(noun="customer")),
                "payment_method": Filter(Text()),
            }
        ),
        act("confirm", _CONFIRM, _confirm),
        act("cancel", {"cancellation_reason": OneOf(values=_REASONS)}, _cancel),
    ),
)
