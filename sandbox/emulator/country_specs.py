"""Country specs (API reference, "Country Specs"): what accounts of a country may do."""

import re
from typing import Final

from sandbox.emulator.core import errors
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.currencies import PRESENTMENT
from sandbox.emulator.core.values import JsonObject

_COUNTRY: Final = re.compile(r"[A-Z]{2}")

_FEW: Final = {"BR": frozenset({"brl"})}
"""Countries whose accounts take few currencies (from memory)."""

_DEFAULT: Final = {"BR": "brl", "DE": "eur", "FR": "eur", "GB": "gbp", "JP": "jpy"}


def _spec(call: Call) -> JsonObject:
    if not _COUNTRY.fullmatch(call.id):
        raise errors.resource_missing("country_spec", call.id)
    default = _DEFAULT.get(call.id, "usd")
    return {
        "id": call.id,
        "object": "country_spec",
        "default_currency": default,
        "supported_bank_account_currencies": {default: [call.id]},
        "supported_payment_currencies": sorted(_FEW.get(call.id, PRESENTMENT)),
        "supported_payment_methods": ["card", "stripe"],
        "supported_transfer_countries": [call.id],
        "verification_fields": {
            kind: {"additional": [], "minimum": []} for kind in ("company", "individual")
        },
    }


NOUN: Final = Noun(
    object="country_spec",
    collection="country_specs",
    prefix="country_spec",
    fields={},
    actions=(Action("GET", "/{id}", {}, _spec),),
)
