"""Tax rates (API reference, "Tax Rates"), and what they add to an amount."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from sandbox.emulator.core.call import Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Boolean, DecimalText, Metadata, Text
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import create, given, listed, retrieve, update

_UPDATE: Final = {
    "active": Boolean(),
    "country": Text(most=2),
    "description": Text(),
    "display_name": Text(),
    "jurisdiction": Text(most=50),
    "metadata": Metadata(),
    "state": Text(),
    "tax_type": Text(),
}

_CREATE: Final = {
    **_UPDATE,
    "display_name": Text(required=True, most=50),
    "inclusive": Boolean(required=True),
    "percentage": DecimalText(required=True),
}


def _new(call: Call) -> JsonObject:
    percentage = Decimal(call.params["percentage"])
    if not 0 <= percentage <= 100:
        raise invalid("`percentage` is between 0 and 100.", "percentage")
    return {**given(call), "percentage": percentage}


def found(call: Call, identifiers: Iterable[str]) -> list[JsonObject]:
    """The rates of these ids, whole, as subscriptions and invoices hold them."""
    return [call.find("tax_rate", one, "default_tax_rates") for one in identifiers]


def taxes(call: Call, rates: Iterable[str], amount: int) -> list[JsonObject]:
    """The tax of each rate on an amount, as an invoice lists it; half up, a rate apart."""
    listing = []
    for identifier in rates:
        rate = call.find("tax_rate", identifier, "default_tax_rates")
        percentage = Decimal(rate["percentage"])
        base = 100 + percentage if rate["inclusive"] else Decimal(100)
        tax = int((amount * percentage / base).quantize(Decimal(1), ROUND_HALF_UP))
        listing.append(
            {
                "amount": tax,
                "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
                "tax_rate_details": {"tax_rate": identifier},
                "taxability_reason": "not_available",
                "taxable_amount": amount - tax if rate["inclusive"] else amount,
                "type": "tax_rate_details",
            }
        )
    return listing


def added(taxes_of: Iterable[JsonObject]) -> int:
    """What exclusive taxes add to a total; inclusive ones are in it."""
    return sum(tax["amount"] for tax in taxes_of if tax["tax_behavior"] == "exclusive")


NOUN: Final = Noun(
    object="tax_rate",
    collection="tax_rates",
    prefix="txr",
    fields={
        "active": True,
        "country": None,
        "description": None,
        "display_name": "",
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "metadata": {},
        "percentage": 0,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    },
    actions=(
        create(_CREATE, _new),
        retrieve(),
        update(_UPDATE),
        listed({"active": Filter(Boolean()), "inclusive": Filter(Boolean())}),
    ),
)
