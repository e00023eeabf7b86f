"""Prices (API reference, "Prices"): one-time and recurring, per unit and tiered."""

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.emulator import price_parts as parts
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid, missing_parameter
from sandbox.emulator.core.expansion import linked_as
from sandbox.emulator.core.listing import Filter, page, parameters
from sandbox.emulator.core.params import (
    Boolean,
    Currency,
    DecimalText,
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
from sandbox.emulator.core.verbs import given, patched, retrieve

PRICE_DATA: Final = Hash(
    fields={
        "currency": Currency(required=True),
        "product": Reference(noun="product"),
        "product_data": Hash(fields={"name": Text(required=True), "metadata": Metadata()}),
        "recurring": Hash(fields=parts.RECURRING),
        "tax_behavior": parts.TAX_BEHAVIOR,
        "unit_amount": Integer(),
        "unit_amount_decimal": DecimalText(),
    }
)
"""A price made in passing, of a subscription's item or an invoice's."""

DEFAULT_PRICE_DATA: Final = Hash(
    fields={
        **parts.AMOUNTS,
        "currency": Currency(required=True),
        "currency_options": parts.CURRENCY_OPTIONS,
        "custom_unit_amount": parts.CUSTOM,
        "metadata": Metadata(),
        "recurring": Hash(fields=parts.RECURRING),
        "tax_behavior": parts.TAX_BEHAVIOR,
    }
)
"""A price made with its product."""

_UPDATE: Final = {
    "active": Boolean(),
    "currency_options": replace(parts.CURRENCY_OPTIONS, clearable=True),
    "lookup_key": Text(clearable=True, most=200),
    "metadata": Metadata(),
    "nickname": Text(clearable=True),
    "tax_behavior": parts.TAX_BEHAVIOR,
    "transfer_lookup_key": Boolean(),
}

_CREATE: Final = {
    **_UPDATE,
    **parts.AMOUNTS,
    "billing_scheme": OneOf(values=("per_unit", "tiered")),
    "currency": Currency(required=True),
    "currency_options": parts.CURRENCY_OPTIONS,
    "custom_unit_amount": parts.CUSTOM,
    "id": Text(most=255),
    "product": Reference(noun="product"),
    "product_data": Hash(
        fields={
            "active": Boolean(),
            "id": Text(),
            "metadata": Metadata(),
            "name": Text(required=True),
            "statement_descriptor": Text(most=22),
            "tax_code": Text(),
            "unit_label": Text(),
        }
    ),
    "recurring": Hash(fields=parts.USED),
    "tiers": parts.TIERS,
    "tiers_mode": OneOf(values=("graduated", "volume")),
    "transform_quantity": parts.TRANSFORM,
}
"""`id` is the emulator's own: prices made as plans may have one of their owner's."""


def new(call: Call) -> JsonObject:
    """A price of the call's parameters, with its event, and its product when that is made, too."""
    price = made(call)
    call.emit("price.created", price)
    return price


def made(call: Call) -> JsonObject:
    """The same without the price's event, which may have to follow another."""
    params = call.params
    fields = {**given(call), **parts.recurrence(call), **parts.priced(params)}
    fields["currency_options"] = parts.options(params, params)
    fields["product"] = _product(call)
    _take_lookup_key(call)
    return call.add(NOUN, fields, params.get("id", ""))


def chosen(call: Call, item: JsonObject, param: str) -> JsonObject:
    """The price that an item names, or the one that it describes by `price_data`."""
    if item.get("price") is not None:
        return call.find("price", item["price"], f"{param}[price]")
    if item.get("price_data") is None:
        raise missing_parameter(f"{param}[price]")
    return new(call.on("price", {**item["price_data"], "active": False}))


def amount_of(price: JsonObject, quantity: int) -> int:
    """What a quantity costs, in minor units, rounded half up once, on the whole."""
    transform = price["transform_quantity"]
    if transform is not None:
        whole, rest = divmod(quantity, transform["divide_by"])
        quantity = whole + (1 if rest and transform["round"] == "up" else 0)
    if price["billing_scheme"] == "tiered":
        return _rounded(_tiered(price, quantity))
    return _rounded(Decimal(price["unit_amount_decimal"] or 0) * quantity)


def _tiered(price: JsonObject, quantity: int) -> Decimal:
    """Graduated: each tier prices its own units; volume: the tier reached prices all."""
    total, below = Decimal(0), 0
    for tier in price["tiers"]:
        last = tier["up_to"] is None or quantity <= tier["up_to"]
        graduated = price["tiers_mode"] == "graduated"
        units = quantity if last else tier["up_to"]
        if graduated or last:
            units -= below if graduated else 0
            total += Decimal(tier["flat_amount_decimal"] or 0)
            total += Decimal(tier["unit_amount_decimal"] or 0) * units
        if last:
            break
        below = tier["up_to"]
    return total


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def _product(call: Call) -> str:
    params = call.params
    if params.get("product") is not None:
        if params.get("product_data") is not None:
            raise invalid(
                "You may only specify one of these parameters: product, product_data.", "product"
            )
        product: str = call.find("product", params["product"], "product")["id"]
        return product
    if params.get("product_data") is None:
        raise invalid("You must specify either `product` or `product_data` when creating a price.")
    data = dict(params["product_data"])
    inner = call.on("product", data)
    made = inner.add("product", {**given(inner), "updated": call.now}, data.get("id", ""))
    inner.emit("product.created", made)
    identifier: str = made["id"]
    return identifier


def _take_lookup_key(call: Call, own: str = "") -> None:
    """A lookup key belongs to one price, an archived one too; `transfer_lookup_key` takes it."""
    key = call.params.get("lookup_key")
    if key is None:
        return
    for other in list(call.shelf(NOUN).walk(("lookup_key", key), (None, None), None, None)):
        if other["id"] == own:
            continue
        if not call.params.get("transfer_lookup_key", False):
            raise invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
        call.change(other, {"lookup_key": None}, "price.updated")


def _update(call: Call) -> JsonObject:
    price, params = call.target(), call.params
    _refuse_update(call, price)
    patch = patched(price, params, _UPDATE)
    options = parts.options(params, price)
    patch.pop("currency_options", None)
    untold = "currency_options" in params
    _take_lookup_key(call, price["id"])
    if untold:
        kept = price["currency_options"] if params["currency_options"] is not None else {}
        call.change(price, {"currency_options": {**kept, **options}})
    told = any(price[name] != value for name, value in patch.items())
    call.change(price, patch, "price.updated")
    if untold and not told:
        # From memory: an event tells that something changed, and cannot tell options.
        call.emit("price.updated", price, {})
    return call.seen(price)


def _refuse_update(call: Call, price: JsonObject) -> None:
    """What a price can no longer become: its tax behaviour is final once said."""
    stored, wanted = price["tax_behavior"], call.params.get("tax_behavior", price["tax_behavior"])
    if stored not in ("unspecified", wanted):
        raise invalid(
            f"The `tax_behavior` of a price cannot be changed once it is {stored}.", "tax_behavior"
        )
    product = call.find("product", price["product"], "product")
    if call.params.get("active") is False and product["default_price"] == price["id"]:
        raise invalid(
            "This price cannot be archived because it is the default price of its product."
        )


def _recurs_as(price: JsonObject, wanted: JsonObject) -> bool:
    recurring = price["recurring"]
    return recurring is not None and wanted.items() <= recurring.items()


def _has_key(price: JsonObject, keys: list[str]) -> bool:
    return price["lookup_key"] in keys


def _view(price: JsonObject, _: int) -> JsonObject:
    """Tiers and currency options are absent unless expanded: in events they never are shown."""
    return {name: value for name, value in price.items() if name not in _HIDDEN}


def _shown_tiers(call: Call, price: JsonObject) -> Any:
    return call.find("price", price["id"], "expand")["tiers"]


def _shown_options(call: Call, price: JsonObject) -> JsonObject | None:
    """Null for a price in one currency; else its own is among them (from memory)."""
    stored = call.find("price", price["id"], "expand")
    options: JsonObject = stored["currency_options"]
    return {stored["currency"]: parts.shown_option(stored), **options} if options else None


def _list(call: Call) -> JsonObject:
    if "product" in call.params:
        call.find("product", call.params["product"], "product")
    return page(call, NOUN, _FILTERS)


_HIDDEN: Final = frozenset({"currency_options", "tiers"})

_FILTERS: Final = {
    "active": Filter(Boolean()),
    "currency": Filter(Currency()),
    "lookup_keys": Filter(ListOf(kind=Text(), most=10), _has_key),
    "product": Filter(Text()),
    "recurring": Filter(
        Hash(
            fields={
                "interval": OneOf(values=parts.INTERVALS),
                "meter": Text(),
                "usage_type": parts.USAGE_TYPE,
            }
        ),
        _recurs_as,
    ),
    "type": Filter(OneOf(values=("one_time", "recurring"))),
}

NOUN: Final = Noun(
    object="price",
    collection="prices",
    prefix="price",
    id_param="price",
    fields={
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "",
        "currency_options": {},
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": "",
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers": None,
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
    view=_view,
    indexed=("product", "lookup_key"),
    includes={
        "currency_options": _shown_options,
        "product": linked_as("product", "product"),
        "tiers": _shown_tiers,
    },
    searchable=frozenset({"active", "currency", "lookup_key", "product", "type"}),
    actions=(
        Action("POST", "", _CREATE, lambda call: call.seen(new(call))),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        Action("GET", "", parameters(_FILTERS, created=True), _list),
        searched(),
    ),
)
