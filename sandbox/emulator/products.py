"""Products (API reference, "Products")."""

from typing import Final

from sandbox.emulator import prices
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Hash,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Text,
    Url,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import delete, given, listed, patched, retrieve, update

_COMMON: Final = {
    "active": Boolean(),
    "description": Text(clearable=True),
    "images": ListOf(kind=Url(most=2048), most=8, clearable=True, cleared=[]),
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
    "url": Url(clearable=True),
}

_CREATE: Final = {
    **_COMMON,
    "default_price_data": prices.DEFAULT_PRICE_DATA,
    "id": Text(most=255),
    "name": Text(required=True),
    "type": OneOf(values=("good", "service")),
}

_UPDATE: Final = {
    **_COMMON,
    "default_price": Reference(noun="price", clearable=True),
    "name": Text(),
}

_UNPRINTABLE: Final = frozenset("<>\\'\"")


def _create(call: Call) -> JsonObject:
    """The product's event comes first, with its default price, then the price's (recorded)."""
    _check(call.params)
    fields = {**given(call), "updated": call.now}
    product = call.add(NOUN, fields, call.params.get("id", ""))
    data = call.params.get("default_price_data")
    if data is None:
        call.emit("product.created", product)
        return product
    inner = call.on("price", {**data, "product": product["id"]})
    try:
        price = prices.made(inner)
    except ApiError as error:
        call.shelf(NOUN).remove(product["id"], None)
        if error.param is not None:
            error.param = _within_data(error.param)
        raise
    call.change(product, {"default_price": price["id"]})
    call.emit("product.created", product)
    inner.emit("price.created", price)
    return product


def _within_data(param: str) -> str:
    head, bracket, rest = param.partition("[")
    return f"default_price_data[{head}]{bracket}{rest}"


def _check(params: JsonObject) -> None:
    """A card statement shows letters and few signs (API reference, `statement_descriptor`)."""
    text: str = params.get("statement_descriptor", "a")
    if _UNPRINTABLE & set(text) or not any(sign.isalpha() for sign in text):
        raise invalid(
            "The statement descriptor must contain at least one letter, and none of <>\\'\".",
            "statement_descriptor",
        )


def _changed(call: Call) -> JsonObject:
    product = call.target()
    _check(call.params)
    _check_default(call)
    patch = patched(product, call.params, _UPDATE)
    told = any(product[name] != value for name, value in patch.items())
    return {**patch, "updated": call.now} if told else patch


def _check_default(call: Call) -> None:
    """The default price is the product's own, and can be sold by (from memory)."""
    default = call.params.get("default_price")
    if default is None:
        return
    price = call.find("price", default, "default_price")
    if price["product"] != call.id:
        raise invalid("The default price belongs to another product.", "default_price")
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise invalid(message, "default_price")


def _refuse_priced(call: Call) -> None:
    """The event of a deletion shows the product archived (recorded)."""
    product = call.target()
    if next(call.members(product, "price", "product"), None) is not None:
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    call.change(product, {"active": False})


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
        delete(tombstone=False, before=_refuse_priced),
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
