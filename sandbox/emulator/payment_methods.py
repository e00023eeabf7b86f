"""Payment methods (API reference, "PaymentMethods"): test cards of every behaviour, and bank
accounts, which can be saved, shown and taken away, but not charged."""

from collections.abc import Iterable
from typing import Final

from sandbox.emulator import cards
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import ApiError, invalid, missing_parameter
from sandbox.emulator.core.listing import Filter
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

_BANKS: Final = ("sepa_debit", "us_bank_account")
_TYPES: Final = ("card", *_BANKS)

_CREATE: Final = {
    "allow_redisplay": _REDISPLAY,
    "billing_details": BILLING_DETAILS,
    "card": Hash(fields={"number": Text(), "cvc": Text(), "token": Text(), **_EXPIRES}),
    "metadata": Metadata(),
    "sepa_debit": Hash(fields={"iban": Text(required=True)}),
    "type": OneOf(values=_TYPES, required=True),
    "us_bank_account": Hash(
        fields={
            "account_holder_type": OneOf(values=("company", "individual")),
            "account_number": Text(required=True),
            "account_type": OneOf(values=("checking", "savings")),
            "routing_number": Text(required=True),
        }
    ),
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


def stored_bank(call: Call, customer: str) -> JsonObject:
    """A legacy bank account: a `ba_…` that payment methods list, too."""
    identifier = call.world.ids.mint("ba", 24)
    details = _us_bank_account({"account_number": "000123456789", "routing_number": "110000000"})
    fields = {"type": "us_bank_account", "us_bank_account": details, "customer": customer}
    return call.add(NOUN, fields, identifier)


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
        if method["was_detached"]:
            raise invalid(
                "This PaymentMethod was previously used without being attached to a Customer or "
                "was detached from a Customer, and may not be used again."
            )
        _refuse_bad_card(method)
        call.change(method, {"customer": customer})
        call.emit("payment_method.attached", method)
    return method


def detach(call: Call, method: JsonObject) -> JsonObject:
    """Untie a method from its customer."""
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer.")
    call.change(method, {"was_detached": True})
    return call.change(method, {"customer": None}, "payment_method.detached")


def _refuse_bad_card(method: JsonObject) -> None:
    """Cards that are declined are declined on attachment, too, but for one made not to be."""
    if method["card"] is None:
        return
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


def _us_bank_account(given: JsonObject) -> JsonObject:
    return {
        "account_holder_type": given.get("account_holder_type", "individual"),
        "account_type": given.get("account_type", "checking"),
        "bank_name": "STRIPE TEST BANK",
        "fingerprint": f"bank{given['account_number'][-12:]}",
        "last4": given["account_number"][-4:],
        "routing_number": given["routing_number"],
    }


def _sepa_debit(given: JsonObject) -> JsonObject:
    return {
        "bank_code": given["iban"][4:12],
        "branch_code": "",
        "country": given["iban"][:2],
        "fingerprint": f"iban{given['iban'][-12:]}",
        "last4": given["iban"][-4:],
    }


def _create(call: Call) -> JsonObject:
    kind = call.params["type"]
    if kind not in call.params:
        raise missing_parameter(kind)
    fields = {
        "allow_redisplay": call.params.get("allow_redisplay", "unspecified"),
        "billing_details": BILLING_DETAILS.merged(
            NO_BILLING_DETAILS, call.params.get("billing_details", {})
        ),
        "metadata": merged_metadata({}, call.params.get("metadata")),
    }
    if kind not in _BANKS:
        return call.seen(_created_card(call, fields))
    read = _sepa_debit if kind == "sepa_debit" else _us_bank_account
    return call.seen(call.add(NOUN, {**fields, "type": kind, kind: read(call.params[kind])}))


def _created_card(call: Call, fields: JsonObject) -> JsonObject:
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
    return _added(call, card, fields, given.get("exp_year", 0), given.get("exp_month", 0))


def _attach(call: Call) -> JsonObject:
    """`pm_card_visa` and its like can be attached: a new method is."""
    return call.seen(attach(call, resolved(call, call.id, "id"), call.params["customer"]))


def _detach(call: Call) -> JsonObject:
    """A customer whose default it was has no default any more."""
    method = call.target()
    owner = call.shelf("customer").get(method["customer"] or "")
    detach(call, method)
    if owner is not None and owner["invoice_settings"]["default_payment_method"] == method["id"]:
        settings = {**owner["invoice_settings"], "default_payment_method": None}
        call.change(owner, {"invoice_settings": settings}, "customer.updated")
    return call.seen(method)


def _view(method: JsonObject, _now: int) -> JsonObject:
    """Of the hashes of all types only that of its own."""
    hidden = {"was_detached", *_TYPES} - {method["type"]}
    return {name: value for name, value in method.items() if name not in hidden}


NOUN: Final = Noun(
    object="payment_method",
    title="PaymentMethod",
    collection="payment_methods",
    prefix="pm",
    other_prefixes=("card", "ba"),
    fields={
        "allow_redisplay": "unspecified",
        "billing_details": NO_BILLING_DETAILS,
        "card": None,
        "customer": None,
        "metadata": {},
        "sepa_debit": None,
        "type": "card",
        "us_bank_account": None,
        "was_detached": False,
    },
    view=_view,
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
