"""What a price is made of: amounts, tiers, a recurrence, the same in other currencies.

Refusals whose words were seen in recordings of Stripe's answers carry those words; the others, and
the order in which rules are checked, are from memory of its documentation (API reference, "Create
a price").
"""

from decimal import Decimal
from typing import Final

from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.params import (
    Boolean,
    ByKey,
    Currency,
    DecimalText,
    Hash,
    Integer,
    ListOf,
    OneOf,
    Reference,
    Text,
)
from sandbox.emulator.core.values import JsonObject

INTERVALS: Final = ("day", "week", "month", "year")
TAX_BEHAVIOR: Final = OneOf(values=("exclusive", "inclusive", "unspecified"))
USAGE_TYPE: Final = OneOf(values=("licensed", "metered"))

_LONGEST: Final = {
    "day": ("daily", 1095), "week": ("weekly", 156), "month": ("monthly", 36), "year": ("yearly", 3)
}  # fmt: skip
"""Three years (API reference, "Prices", `interval_count`)."""

RECURRING: Final = {
    "interval": OneOf(values=INTERVALS, required=True),
    "interval_count": Integer(least=1),
}
"""How a price made in passing recurs."""

USED: Final = {
    **RECURRING,
    "meter": Reference(noun="billing.meter"),
    "trial_period_days": Integer(least=0),
    "usage_type": USAGE_TYPE,
}
"""How a price recurs that is made by itself."""

AMOUNTS: Final = {"unit_amount": Integer(least=0), "unit_amount_decimal": DecimalText(least=0)}

CUSTOM: Final = Hash(
    fields={
        "enabled": Boolean(required=True),
        "maximum": Integer(least=0),
        "minimum": Integer(least=0),
        "preset": Integer(least=0),
    }
)

TIERS: Final = ListOf(
    kind=Hash(
        fields={
            "flat_amount": Integer(least=0),
            "flat_amount_decimal": DecimalText(least=0),
            "unit_amount": Integer(least=0),
            "unit_amount_decimal": DecimalText(least=0),
            "up_to": Text(required=True),
        }
    )
)

_OPTION: Final = Hash(
    fields={
        **AMOUNTS, "custom_unit_amount": CUSTOM, "tax_behavior": TAX_BEHAVIOR, "tiers": TIERS
    }
)  # fmt: skip

CURRENCY_OPTIONS: Final = ByKey(key=Currency(), kind=_OPTION)

TRANSFORM: Final = Hash(
    fields={
        "divide_by": Integer(required=True, least=1),
        "round": OneOf(values=("down", "up"), required=True),
    }
)

_TIER_FIELDS: Final = {
    "flat_amount": None, "flat_amount_decimal": None,
    "unit_amount": None, "unit_amount_decimal": None, "up_to": None,
}  # fmt: skip

_RECURRENCE: Final[JsonObject] = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}


def priced(params: JsonObject) -> JsonObject:
    """The fields of a price that say what it costs; ApiError 400 when they do not fit."""
    fields = {
        **amount(params, "unit_amount", params["currency"]),
        **custom(params),
        **tiers(params),
    }
    if params.get("billing_scheme") == "tiered":
        if params.get("recurring") is None:
            message = "Prices with `type=one_time` are not supported with tiered billing."
            raise invalid(message, "interval")
        if "tiers" not in fields:
            raise invalid("Prices with `billing_scheme=tiered` need `tiers`.", "tiers")
        if "unit_amount" in fields:
            raise invalid(
                "You may only specify one of these parameters: unit_amount, tiers.", "unit_amount"
            )
        if params.get("transform_quantity") is not None:
            raise invalid("`transform_quantity` cannot be combined with `tiers`.",
                          "transform_quantity")  # fmt: skip
    elif not {"unit_amount", "custom_unit_amount"} & fields.keys():
        raise invalid(
            "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set."
        )
    return fields


def amount(params: JsonObject, name: str, currency: str, within: str = "") -> JsonObject:
    """An amount as Stripe shows it twice: whole minor units, null for a fraction, and decimal."""
    whole, exact = params.get(name), params.get(f"{name}_decimal")
    if whole is not None and exact is not None:
        raise _only_one(name, f"{name}_decimal", within)
    if whole is None and exact is None:
        return {}
    value = Decimal(str(whole) if exact is None else exact)
    integral = value == value.to_integral_value()
    if integral:
        currencies.check_price(int(value), currency, _inside(within, name))
    return {name: int(value) if integral else None, f"{name}_decimal": f"{value.normalize():f}"}


def custom(params: JsonObject) -> JsonObject:
    """The bounds of an amount that the customer chooses; `enabled` is not shown (recorded)."""
    given = params.get("custom_unit_amount")
    if given is None:
        return {}
    if not given["enabled"]:
        raise invalid("Omit `custom_unit_amount` instead.", "custom_unit_amount[enabled]")
    if params.get("recurring") is not None:
        raise invalid("Recurring prices cannot have a custom amount.", "custom_unit_amount")
    bounds = {name: given.get(name) for name in ("maximum", "minimum", "preset")}
    known = [bounds[name] for name in ("minimum", "preset", "maximum") if bounds[name] is not None]
    if known != sorted(known):
        raise invalid(
            "`preset` is not below `minimum` and not above `maximum`.", "custom_unit_amount[preset]"
        )
    return {"custom_unit_amount": bounds}


def tiers(params: JsonObject) -> JsonObject:
    """The tiers of a price that has some, with their mode."""
    given: list[JsonObject] | None = params.get("tiers")
    if given is None:
        return {}
    if params.get("billing_scheme") != "tiered":
        raise invalid("Tiers need `billing_scheme=tiered`.", "tiers")
    if "tiers_mode" not in params:
        raise invalid("Prices with `billing_scheme=tiered` need a `tiers_mode`.", "tiers_mode")
    return {"tiers": read_tiers(given, params["currency"], "tiers")}


def read_tiers(given: list[JsonObject], currency: str, name: str) -> list[JsonObject]:
    """Tiers as they are kept; they ascend, the last one has no end, each costs something or 0."""
    if not given or given[-1]["up_to"] != "inf":
        raise invalid("The last tier, and no other, ends at `inf`.", name)
    read: list[JsonObject] = []
    least = 0
    for place, tier in enumerate(given):
        where = f"{name}[{place}]"
        last = place == len(given) - 1
        up_to: str = tier["up_to"]
        if not last and not up_to.isdecimal():
            raise invalid("The last tier, and no other, ends at `inf`.", f"{where}[up_to]")
        if not last and int(up_to) <= least:
            raise invalid("Tiers ascend.", f"{where}[up_to]")
        least = least if last else int(up_to)
        amounts = {
            **amount(tier, "flat_amount", currency, where),
            **amount(tier, "unit_amount", currency, where),
        }
        if not amounts:
            raise invalid("A tier has a `unit_amount`, a `flat_amount`, or both.", where)
        read.append({**_TIER_FIELDS, **amounts, "up_to": None if last else least})
    return read


def recurrence(call: Call) -> JsonObject:
    """`recurring` and `type`; three years at most; what is metered has a meter that is active."""
    given = call.params.get("recurring")
    if given is None:
        return {}
    found: JsonObject = {**_RECURRENCE, **given}
    spelt, most = _LONGEST[found["interval"]]
    if found["interval_count"] > most:
        raise invalid(
            f"The interval_count for {spelt} prices can't be greater than {most}",
            "recurring[interval_count]",
        )
    metered = found["usage_type"] == "metered"
    if metered and found["meter"] is None:
        raise invalid(
            "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by "
            "meters."
        )
    if found["meter"] is not None:
        meter = call.find("billing.meter", found["meter"], "recurring[meter]")
        if not metered:
            raise invalid("Only a metered price has a meter.", "recurring[meter]")
        if meter["status"] != "active":
            raise invalid(f"The meter {meter['id']} is not active.", "recurring[meter]")
    return {"recurring": found, "type": "recurring"}


def options(params: JsonObject, price: JsonObject) -> JsonObject:
    """The price in other currencies as it is kept: every given one read and checked.

    price: its currency and billing scheme.
    """
    read: JsonObject = {}
    for currency, given in (params.get("currency_options") or {}).items():
        where = f"currency_options[{currency}]"
        if currency == price["currency"]:
            raise invalid(
                "You are specifying an update to a currency option that matches the top-level "
                "currency for this price. Please remove this currency option and update the "
                "top-level params instead.",
                where,
            )
        read[currency] = _option(given, currency, price, where)
    return read


def shown_option(price: JsonObject) -> JsonObject:
    """The price's own currency among its options, which show it, too."""
    shared = ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")
    tiered = {"tiers": price["tiers"]} if price.get("tiers") else {}
    return {**{name: price[name] for name in shared}, **tiered}


def _option(given: JsonObject, currency: str, price: JsonObject, where: str) -> JsonObject:
    option: JsonObject = {
        "custom_unit_amount": None, "unit_amount": None, "unit_amount_decimal": None,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        **amount(given, "unit_amount", currency, where),
        **custom(given),
    }  # fmt: skip
    if price.get("billing_scheme") == "tiered":
        if given.get("tiers") is None:
            raise invalid("A tiered price has tiers in each currency.", where)
        option["tiers"] = read_tiers(given["tiers"], currency, f"{where}[tiers]")
    elif "tiers" in given:
        raise invalid("Tiers need `billing_scheme=tiered`.", f"{where}[tiers]")
    elif option["unit_amount_decimal"] is None and option["custom_unit_amount"] is None:
        raise invalid("A currency option has an amount.", where)
    return option


def _only_one(first: str, second: str, within: str) -> ApiError:
    return invalid(
        f"You may only specify one of these parameters: {first}, {second}.", _inside(within, first)
    )


def _inside(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name
