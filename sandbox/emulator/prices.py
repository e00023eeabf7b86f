"""Prices (API reference, "Prices"): one-time and recurring, per unit and tiered."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid, missing_parameter
from sandbox.emulator.core.expansion import linked_as
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Anything,
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
from sandbox.emulator.core.verbs import given, listed, patched, retrieve

_INTERVAL: Final = OneOf(values=("day", "week", "month", "year"), required=True)
_TAX_BEHAVIOR: Final = OneOf(values=("exclusive", "inclusive", "unspecified"))

RECURRING: Final = {
    "interval": _INTERVAL,
    "interval_count": Integer(least=1, most=1095),
    "meter": Text(),
    "trial_period_days": Integer(least=0),
    "usage_type": OneOf(values=("licensed", "metered")),
}

AMOUNTS: Final = {"unit_amount": Integer(least=0), "unit_amount_decimal": DecimalText()}

_TIER: Final = Hash(
    fields={
        "flat_amount": Integer(least=0),
        "flat_amount_decimal": DecimalText(),
        "unit_amount": Integer(least=0),
        "unit_amount_decimal": DecimalText(),
        "up_to": Text(required=True),
    }
)

PRICE_DATA: Final = Hash(
    fields={
        "currency": Currency(required=True),
        "product": Reference(noun="product"),
        "product_data": Hash(fields={"name": Text(required=True), "metadata": Metadata()}),
        "recurring": Hash(fields=RECURRING),
        "tax_behavior": _TAX_BEHAVIOR,
        "unit_amount": Integer(),
        "unit_amount_decimal": DecimalText(),
    }
)
"""A price made in passing, of a subscription's item or an invoice's."""

_UPDATE: Final = {
    "active": Boolean(),
    "currency_options": Anything(),
    "lookup_key": Text(clearable=True, most=200),
    "metadata": Metadata(),
    "nickname": Text(clearable=True),
    "tax_behavior": _TAX_BEHAVIOR,
    "transfer_lookup_key": Boolean(),
}

_CREATE: Final = {
    **_UPDATE,
    **AMOUNTS,
    "billing_scheme": OneOf(values=("per_unit", "tiered")),
    "currency": Currency(required=True),
    "id": Text(most=255),
    "custom_unit_amount": Hash(
        fields={
            "enabled": Boolean(required=True),
            "maximum": Integer(least=0),
            "minimum": Integer(least=0),
            "preset": Integer(least=0),
        }
    ),
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
    "recurring": Hash(fields=RECURRING),
    "tiers": ListOf(kind=_TIER),
    "tiers_mode": OneOf(values=("graduated", "volume")),
    "transform_quantity": Hash(
        fields={
            "divide_by": Integer(required=True, least=1),
            "round": OneOf(values=("down", "up"), required=True),
        }
    ),
}


def new(call: Call) -> JsonObject:
    """A price of the call's parameters, with its event, and its product when that is made, too."""
    params = call.params
    fields = {**given(call), **_amount(params, "unit_amount"), **_tiers(params)}
    if params.get("recurring") is not None:
        fields["recurring"] = {**_RECURRING, **params["recurring"]}
        fields["type"] = "recurring"
    if not {"unit_amount", "custom_unit_amount", "tiers"} & fields.keys():
        raise missing_parameter("unit_amount")
    fields["product"] = _product(call)
    _take_lookup_key(call)
    price = call.add(NOUN, fields, params.get("id", ""))
    call.emit("price.created", price)
    return price


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


def _amount(params: JsonObject, name: str) -> JsonObject:
    """An amount as Stripe shows it twice: whole minor units, null for a fraction, and decimal."""
    whole, exact = params.get(name), params.get(f"{name}_decimal")
    if whole is not None and exact is not None:
        raise invalid(f"You may only specify one of `{name}`, `{name}_decimal`.", name)
    if whole is None and exact is None:
        return {}
    value = Decimal(str(whole) if exact is None else exact)
    integral = value == value.to_integral_value()
    return {name: int(value) if integral else None, f"{name}_decimal": f"{value.normalize():f}"}


def _tiers(params: JsonObject) -> JsonObject:
    tiers: list[JsonObject] | None = params.get("tiers")
    if tiers is None:
        return {}
    if params.get("billing_scheme") != "tiered" or "tiers_mode" not in params:
        raise invalid("Tiers need `billing_scheme=tiered` and a `tiers_mode`.", "tiers")
    read: list[JsonObject] = []
    least = 0
    for place, tier in enumerate(tiers):
        last = place == len(tiers) - 1
        up_to: str = tier["up_to"]
        if (up_to == "inf") != last or (not last and not up_to.isdecimal()):
            raise invalid("The last tier, and no other, ends at `inf`.", f"tiers[{place}][up_to]")
        if not last and int(up_to) <= least:
            raise invalid("Tiers ascend.", f"tiers[{place}][up_to]")
        least = least if last else int(up_to)
        read.append(
            {**_TIER_FIELDS, **_amount(tier, "flat_amount"), **_amount(tier, "unit_amount"),
             "up_to": None if last else least}
        )  # fmt: skip
    return {"tiers": read}


def _product(call: Call) -> str:
    params = call.params
    if params.get("product") is not None:
        product: str = call.find("product", params["product"], "product")["id"]
        return product
    if params.get("product_data") is None:
        raise missing_parameter("product")
    data = dict(params["product_data"])
    inner = call.on("product", data)
    made = inner.add("product", {**given(inner), "updated": call.now}, data.get("id", ""))
    inner.emit("product.created", made)
    identifier: str = made["id"]
    return identifier


def _take_lookup_key(call: Call, own: str = "") -> None:
    """A lookup key belongs to one price; `transfer_lookup_key` takes it from the other."""
    key = call.params.get("lookup_key")
    if key is None:
        return
    for other in list(call.shelf(NOUN).walk(("lookup_key", key), (None, None), None, None)):
        if other["id"] == own:
            continue
        if not call.params.get("transfer_lookup_key", False):
            raise invalid(f"A price ({other['id']}) already uses that lookup key.", "lookup_key")
        call.change(other, {"lookup_key": None}, "price.updated")


def _update(call: Call) -> JsonObject:
    price = call.target()
    _take_lookup_key(call, price["id"])
    call.change(price, patched(price, call.params, _UPDATE), "price.updated")
    return call.seen(price)


def _recurs_as(price: JsonObject, wanted: JsonObject) -> bool:
    recurring = price["recurring"]
    return recurring is not None and wanted.items() <= recurring.items()


def _has_key(price: JsonObject, keys: list[str]) -> bool:
    return price["lookup_key"] in keys


def _view(price: JsonObject, _: int) -> JsonObject:
    """Tiers are absent unless expanded."""
    return {name: value for name, value in price.items() if name != "tiers"}


def _shown_tiers(call: Call, price: JsonObject) -> Any:
    return call.find("price", price["id"], "expand").get("tiers")


_RECURRING: Final[JsonObject] = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}

_TIER_FIELDS: Final = {
    "flat_amount": None, "flat_amount_decimal": None,
    "unit_amount": None, "unit_amount_decimal": None, "up_to": None,
}  # fmt: skip

NOUN: Final = Noun(
    object="price",
    collection="prices",
    prefix="price",
    fields={
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "",
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": "",
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
    view=_view,
    indexed=("product", "lookup_key"),
    includes={"product": linked_as("product", "product"), "tiers": _shown_tiers},
    searchable=frozenset({"active", "currency", "lookup_key", "product", "type"}),
    actions=(
        Action("POST", "", _CREATE, lambda call: call.seen(new(call))),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        listed(
            {
                "active": Filter(Boolean()),
                "currency": Filter(Currency()),
                "lookup_keys": Filter(ListOf(kind=Text(), most=10), _has_key),
                "product": Filter(Text()),
                "recurring": Filter(
                    Hash(
                        fields={
                            "interval": OneOf(values=_INTERVAL.values),
                            "meter": Text(),
                            "usage_type": RECURRING["usage_type"],
                        }
                    ),
                    _recurs_as,
                ),
                "type": Filter(OneOf(values=("one_time", "recurring"))),
            }
        ),
        searched(),
    ),
)
