"""Payment methods (API reference, "PaymentMethods"); cards only, test cards of every behaviour."""

from collections.abc import Iterable
from typing import Final

from sandbox.emulator import cards
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.nouns import Action, Noun
from sandbox.emulator.core.params import (
    Hash,
    Integer,
    Metadata,
    OneOf,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import act, listed, retrieve, update
from sandbox.emulator.shapes import BILLING_DETAILS, NO_BILLING_DETAILS

_REDISPLAY: Final = OneOf(values=("always", "limited", "unspecified"))
_EXPIRES: Final = {"exp_month": Integer(least=1, most=12), "exp_year": Integer(least=1970)}

_CREATE: Final = {
    "allow_redisplay": _REDISPLAY,
    "billing_details": BILLING_DETAILS,
    "card": Hash(
        required=True, fields={"number": Text(), "cvc": Text(), "token": Text(), **_EXPIRES}
    ),
    "metadata": Metadata(),
    "type": OneOf(values=("card",), required=True),
}

_UPDATE: Final = {
    "allow_redisplay": _REDISPLAY,
    "billing_details": BILLING_DETAILS,
    "card": Hash(fields=_EXPIRES),
    "metadata": Metadata(),
}


def resolved(call: Call, identifier: str, param: str) -> JsonObject:
    """The payment method of an id; each use of a test id such as `pm_card_visa` makes a new one."""
    card = cards.of_magic_id(identifier) if identifier.startswith("pm_card_") else None
    return call.find("payment_method", identifier, param) if card is None else _added(call, card)


def stored_card(call: Call, token: str, customer: str | None, param: str) -> JsonObject:
    """The legacy card of a `tok_…`: a `card_…` that payment methods list, too."""
    card = cards.of_magic_id(token)
    if card is None or not token.startswith("tok_"):
        raise call.missing(NOUN, token, param, 400)
    identifier = call.world.ids.mint("card", 24)
    return _added(call, card, {"id": identifier, "customer": customer})


def of_customer(call: Call, customer: str) -> Iterable[JsonObject]:
    """The methods that are attached to a customer."""
    return call.shelf(NOUN).walk(("customer", customer), (None, None), None, None)


def attach(call: Call, method: JsonObject, customer: str) -> JsonObject:
    """Tie a method to a customer, for good; ApiError 400 when it has another."""
    if method["customer"] not in (None, customer):
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_already_attached",
        )
    if method["customer"] is None:
        _refuse_bad_card(method)
        call.change(method, {"customer": customer})
        call.emit("payment_method.attached", method)
    return method


def detach(call: Call, method: JsonObject) -> JsonObject:
    """Untie a method from its customer."""
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer.")
    return call.change(method, {"customer": None}, "payment_method.detached")


def _refuse_bad_card(method: JsonObject) -> None:
    """Cards that are declined are declined on attachment, too, but for one made not to be."""
    card = cards.of_details(method["card"])
    if card.code is not None and not card.blocked and card.name != "chargeCustomerFail":
        more = {} if card.decline_code is None else {"decline_code": card.decline_code}
        raise ApiError(402, card.message, kind="card_error", code=card.code, more=more)


def _added(
    call: Call,
    card: cards.TestCard,
    fields: JsonObject | None = None,
    year: int = 0,
    month: int = 0,
) -> JsonObject:
    details = card.details(month or 12, year or 2034)
    return call.add(NOUN, {"card": details, **(fields or {})})


def _create(call: Call) -> JsonObject:
    given = call.params["card"]
    card = cards.of_number(given.get("number", "")) or cards.of_magic_id(given.get("token", ""))
    if card is None:
        raise ApiError(
            402,
            "Your card number is incorrect.",
            kind="card_error",
            code="incorrect_number",
            param="card[number]",
        )
    fields = {
        "allow_redisplay": call.params.get("allow_redisplay", "unspecified"),
        "billing_details": {**NO_BILLING_DETAILS, **call.params.get("billing_details", {})},
        "metadata": merged_metadata({}, call.params.get("metadata")),
    }
    return _added(call, card, fields, given.get("exp_year", 0), given.get("exp_month", 0))


def _attach(call: Call) -> JsonObject:
    """`pm_card_visa` and its like can be attached: a new method is."""
    return attach(call, resolved(call, call.id, "id"), call.params["customer"])


def _detach(call: Call) -> JsonObject:
    return detach(call, call.target())


NOUN: Final = Noun(
    object="payment_method",
    title="PaymentMethod",
    collection="payment_methods",
    prefix="pm",
    other_prefixes=("card",),
    fields={
        "allow_redisplay": "unspecified",
        "billing_details": NO_BILLING_DETAILS,
        "card": None,
        "customer": None,
        "metadata": {},
        "type": "card",
    },
    indexed=("customer",),
    expandable=frozenset({"customer"}),
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update(_UPDATE),
        listed(
            {
                "customer": Filter(Reference(noun="customer")),
                "type": Filter(Text()),
                "allow_redisplay": Filter(_REDISPLAY),
            },
            created=False,
        ),
        act("attach", {"customer": Reference(noun="customer", required=True)}, _attach),
        act("detach", {}, _detach),
    ),
)
