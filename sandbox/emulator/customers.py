"""Customers (API reference, "Customers")."""

from typing import Final

from sandbox.emulator import coupons, payment_methods, sources
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
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
from sandbox.emulator.core.verbs import (
    create,
    delete,
    given,
    listed,
    listed_under,
    patched,
    retrieve,
    update,
)
from sandbox.emulator.shapes import ADDRESS, SHIPPING

_COMMON: Final = {
    "address": ADDRESS,
    "balance": Integer(),
    "business_name": Text(clearable=True, most=150),
    "description": Text(clearable=True),
    "email": Email(clearable=True, most=512),
    "individual_name": Text(clearable=True, most=150),
    "invoice_prefix": Text(most=12),
    "invoice_settings": Hash(
        fields={
            "default_payment_method": Reference(noun="payment_method", clearable=True),
            "footer": Text(clearable=True),
        }
    ),
    "metadata": Metadata(),
    "name": Text(clearable=True, most=256),
    "next_invoice_sequence": Integer(least=1),
    "phone": Text(clearable=True, most=20),
    "preferred_locales": ListOf(kind=Text(), clearable=True, cleared=[]),
    "shipping": SHIPPING,
    "source": Text(),
    "tax_exempt": OneOf(values=("none", "exempt", "reverse"), clearable=True, cleared="none"),
}

_CREATE: Final = {**_COMMON, "id": Text(most=255), "payment_method": Text()}
"""Merchants could choose the id of a customer, as they still can that of a plan: a price today."""

_UPDATE: Final = {**_COMMON, "default_source": Text()}


def _new(call: Call) -> JsonObject:
    fields = given(call, _CREATE)
    fields["id"] = call.params.get("id") or call.world.ids.mint("cus", 14)
    fields.setdefault("invoice_prefix", call.world.ids.text(8).upper())
    if "source" in call.params:
        fields["default_source"] = payment_methods.stored_card(
            call, call.params["source"], fields["id"], "source"
        )["id"]
    if "payment_method" in call.params:
        method = payment_methods.resolved(call, call.params["payment_method"], "payment_method")
        payment_methods.attach(call, method, fields["id"])
    return fields


def _changed(call: Call) -> JsonObject:
    patch = patched(call.target(), call.params, _UPDATE)
    if "source" in call.params:
        card = payment_methods.stored_card(call, call.params["source"], call.id, "source")
        patch["default_source"] = card["id"]
    return patch


def _detach_all(call: Call) -> None:
    """A deleted customer's payment methods are detached, so that none names nobody."""
    for method in list(payment_methods.of_customer(call, call.id)):
        payment_methods.detach(call, method)


def _give_discount(call: Call) -> JsonObject:
    """A customer's own discount: no parameter of this API version gives one, the Dashboard does."""
    customer = call.target()
    coupon = call.find("coupon", call.params["coupon"], "coupon")
    given = coupons.given_to(call, coupon, {"customer": customer["id"]})
    had = customer["discount"]
    call.change(customer, {"discount": call.seen(given)})
    call.emit(f"customer.discount.{'created' if had is None else 'updated'}", given)
    return call.seen(customer)


def _delete_discount(call: Call) -> JsonObject:
    """`DELETE /v1/customers/{id}/discount`."""
    customer = call.target()
    had = customer["discount"]
    if had is None:
        raise call.missing(coupons.DISCOUNT, call.id, "id", 404)
    call.change(customer, {"discount": None})
    call.emit("customer.discount.deleted", call.find("discount", had["id"], "discount"))
    return {**had, "deleted": True}


def _view(customer: JsonObject, now: int) -> JsonObject:
    """A discount that has ended is gone; no event says so. From memory: no page tells when."""
    discount = customer["discount"]
    if discount is None or discount["end"] is None or discount["end"] > now:
        return customer
    return {**customer, "discount": None}


NOUN: Final = Noun(
    object="customer",
    collection="customers",
    prefix="cus",
    id_length=14,
    fields={
        "address": None,
        "balance": 0,
        "business_name": None,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    },
    indexed=("email",),
    searchable=frozenset({"created", "email", "name", "phone"}),
    expandable=frozenset({"discount", "invoice_settings.default_payment_method"}),
    happenings={"discount": Happening({"coupon": Text()}, _give_discount)},
    view=_view,
    includes={"default_source": sources.default_of, "sources": sources.listed_for},
    actions=(
        create(_CREATE, _new),
        retrieve(),
        update(_UPDATE, _changed),
        delete(before=_detach_all),
        Action("DELETE", "/{id}/discount", {}, _delete_discount),
        listed({"email": Filter(Text())}),
        searched(),
        listed_under("/{id}/payment_methods", "payment_method", "customer"),
    ),
)
