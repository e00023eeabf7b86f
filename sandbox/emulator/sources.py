"""The legacy cards and bank accounts of a customer (API reference, "Cards", "Bank Accounts"), under
`/v1/customers/{id}/sources`.

They are payment methods whose ids begin with `card_` or `ba_`; here they are seen in their older
shape.
"""

from itertools import islice
from typing import Final
from urllib.parse import quote

from sandbox.emulator import payment_methods
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import resource_missing
from sandbox.emulator.core.params import Boolean, Integer, Metadata, OneOf, Text, merged_metadata
from sandbox.emulator.core.values import JsonObject

_BRANDS: Final = {
    "amex": "American Express", "diners": "Diners Club", "discover": "Discover", "jcb": "JCB",
    "mastercard": "MasterCard", "unionpay": "UnionPay", "visa": "Visa",
}  # fmt: skip

_ADDRESS: Final = {
    "address_city": "city", "address_country": "country", "address_line1": "line1",
    "address_line2": "line2", "address_state": "state", "address_zip": "postal_code",
}  # fmt: skip

_CREATE: Final = {
    "metadata": Metadata(), "source": Text(required=True), "validate": Boolean(),
}  # fmt: skip

_LIST: Final = {
    "ending_before": Text(),
    "limit": Integer(least=1, most=100),
    "object": OneOf(values=("bank_account", "card")),
    "starting_after": Text(),
}


_PREFIXES: Final = {"bank_account": ("ba_",), "card": ("card_",)}
_ALL_PREFIXES: Final = ("ba_", "card_")


def shown(method: JsonObject) -> JsonObject:
    """A payment method as a card or a bank account."""
    return _as_card(method) if method["type"] == "card" else _as_bank_account(method)


def _as_bank_account(method: JsonObject) -> JsonObject:
    bank = method["us_bank_account"]
    shared = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4",
              "routing_number")  # fmt: skip
    return {
        **{name: bank[name] for name in shared},
        "id": method["id"],
        "object": "bank_account",
        "account_holder_name": method["billing_details"]["name"],
        "country": "US",
        "currency": "usd",
        "customer": method["customer"],
        "metadata": method["metadata"],
        "status": "verified",
    }


def _as_card(method: JsonObject) -> JsonObject:
    card, details = method["card"], method["billing_details"]
    address = details["address"] or {}
    return {
        **{name: address.get(part) for name, part in _ADDRESS.items()},
        "id": method["id"],
        "object": "card",
        "address_line1_check": None,
        "address_zip_check": None,
        "allow_redisplay": method["allow_redisplay"],
        "brand": _BRANDS[card["brand"]],
        "country": card["country"],
        "customer": method["customer"],
        "cvc_check": card["checks"]["cvc_check"],
        "dynamic_last4": None,
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "last4": card["last4"],
        "metadata": method["metadata"],
        "name": details["name"],
        "regulated_status": card["regulated_status"],
        "tokenization_method": None,
    }


def default_of(call: Call, customer: JsonObject) -> JsonObject | None:
    """What `default_source` expands to."""
    identifier = customer["default_source"]
    method = None if identifier is None else call.shelf("payment_method").get(identifier)
    return None if method is None else shown(method)


def listed_for(call: Call, customer: JsonObject) -> JsonObject:
    """What a customer's `sources` expands to."""
    inner = call.on("payment_method", {}, customer["id"])
    inner.path = f"/v1/customers/{quote(customer['id'], safe='')}/sources"
    return _page(inner)


def _of(call: Call) -> JsonObject:
    """The source that the path names, which must be this customer's."""
    method = call.shelf("payment_method").get(call.child)
    legacy = call.child.startswith(_ALL_PREFIXES)
    if method is None or method["customer"] != call.id or not legacy:
        raise resource_missing("source", call.child)
    return method


def _create(call: Call) -> JsonObject:
    """A first source becomes the default. `btok_us_verified` is a bank account."""
    customer = call.find("customer", call.id, "customer")
    token = call.params["source"]
    if token == "btok_us_verified":
        method = payment_methods.stored_bank(call, customer["id"])
    else:
        method = payment_methods.stored_card(call, token, customer["id"], "source")
    call.change(method, {"metadata": merged_metadata({}, call.params.get("metadata"))})
    call.world.events.emit(call.scope, "customer.source.created", shown(method), None, call.origin)
    if customer["default_source"] is None:
        call.change(customer, {"default_source": method["id"]}, "customer.updated")
    return shown(method)


def _page(call: Call) -> JsonObject:
    """Newest first."""
    limit = call.params.get("limit", 10)
    shelf = call.shelf("payment_method")
    edges = {name: call.params.get(name) for name in ("starting_after", "ending_before")}
    for name, identifier in edges.items():
        if identifier is not None:
            call.find("payment_method", identifier, name)
    after, before = (None if one is None else shelf.key(one) for one in edges.values())
    walk = shelf.walk(("customer", call.id), (None, None), after, before)
    prefixes = _PREFIXES.get(call.params.get("object", ""), _ALL_PREFIXES)
    found = list(islice((one for one in walk if one["id"].startswith(prefixes)), limit + 1))
    data = [shown(one) for one in found[:limit]]
    if before is not None:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": call.path}


def _list(call: Call) -> JsonObject:
    call.find("customer", call.id, "customer")
    return _page(call)


def _retrieve(call: Call) -> JsonObject:
    return shown(_of(call))


def _delete(call: Call) -> JsonObject:
    """Gone for good; the next source, if any, is the default."""
    method = _of(call)
    customer = call.find("customer", call.id, "customer")
    source = shown(method)
    call.change(method, {"customer": None, "was_detached": True})
    call.world.events.emit(call.scope, "customer.source.deleted", source, None, call.origin)
    if customer["default_source"] == method["id"]:
        left = listed_for(call, customer)["data"]
        patch = {"default_source": left[0]["id"] if left else None}
        call.change(customer, patch, "customer.updated")
    return {"id": source["id"], "object": source["object"], "deleted": True}


NOUN: Final = Noun(
    object="card",
    title="source",
    collection="customers/sources",
    prefix="source",
    fields={},
    actions=(
        Action("POST", "/v1/customers/{id}/sources", _CREATE, _create),
        Action("GET", "/v1/customers/{id}/sources", _LIST, _list),
        Action("GET", "/v1/customers/{id}/sources/{child}", {}, _retrieve),
        Action("DELETE", "/v1/customers/{id}/sources/{child}", {}, _delete),
    ),
)
