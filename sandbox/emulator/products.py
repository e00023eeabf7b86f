"""Products (API reference, "Products")."""

from typing import Final

from sandbox.emulator import prices
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    Hash,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Text,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import delete, given, listed, patched, retrieve, update

_COMMON: Final = {
    "active": Boolean(),
    "description": Text(clearable=True),
    "images": ListOf(kind=Text(), most=8, clearable=True, cleared=[]),
    "marketing_features": ListOf(
        kind=Hash(fields={"name": Text(required=True, most=80)}),
        most=15,
        clearable=True,
        cleared=[],
    ),
    "metadata": Metadata(),
    "package_dimensions": Anything(clearable=True),
    "shippable": Boolean(),
    "statement_descriptor": Text(most=22),
    "tax_code": Text(clearable=True),
    "tax_details": Anything(clearable=True),
    "unit_label": Text(clearable=True),
    "url": Text(clearable=True),
}

_CREATE: Final = {
    **_COMMON,
    "default_price_data": Hash(
        fields={
            **prices.AMOUNTS,
            "currency": Currency(required=True),
            "currency_options": Anything(),
            "metadata": Metadata(),
            "recurring": Hash(fields=prices.RECURRING),
            "tax_behavior": OneOf(values=("exclusive", "inclusive", "unspecified")),
        }
    ),
    "id": Text(most=255),
    "name": Text(required=True),
    "type": OneOf(values=("good", "service")),
}

_UPDATE: Final = {**_COMMON, "default_price": Reference(noun="price"), "name": Text()}


def _create(call: Call) -> JsonObject:
    fields = {**given(call), "updated": call.now}
    product = call.add(NOUN, fields, call.params.get("id", ""))
    data = call.params.get("default_price_data")
    call.emit("product.created", product)
    if data is not None:
        price = prices.new(call.on("price", {**data, "product": product["id"]}))
        call.change(product, {"default_price": price["id"]}, "product.updated")
    return product


def _changed(call: Call) -> JsonObject:
    product = call.target()
    default = call.params.get("default_price")
    if default is not None and call.find("price", default, "default_price")["product"] != call.id:
        raise invalid("The default price belongs to another product.", "default_price")
    return {**patched(product, call.params, _UPDATE), "updated": call.now}


def _refuse_priced(call: Call) -> None:
    product = call.target()
    if next(call.members(product, "price", "product"), None) is not None:
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices."
        )


def _is_one_of(product: JsonObject, identifiers: list[str]) -> bool:
    return product["id"] in identifiers


NOUN: Final = Noun(
    object="product",
    collection="products",
    prefix="prod",
    id_length=14,
    fields={
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "name": "",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 0,
        "url": None,
    },
    expandable=frozenset({"default_price"}),
    searchable=frozenset({"active", "description", "name", "shippable", "url"}),
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update(_UPDATE, _changed),
        delete(before=_refuse_priced),
        listed(
            {
                "active": Filter(Boolean()),
                "ids": Filter(ListOf(kind=Text()), _is_one_of),
                "shippable": Filter(Boolean()),
                "type": Filter(OneOf(values=("good", "service"))),
                "url": Filter(Text()),
            }
        ),
        searched(),
    ),
)
