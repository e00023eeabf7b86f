"""Hashes that several nouns take."""

from typing import Final

from sandbox.emulator.core.params import Email, Hash, Text

ADDRESS_FIELDS: Final = ("city", "country", "line1", "line2", "postal_code", "state")

ADDRESS: Final = Hash(
    clearable=True,
    replaces=True,
    fields={name: Text(clearable=True) for name in ADDRESS_FIELDS},
)

SHIPPING: Final = Hash(
    clearable=True,
    replaces=True,
    fields={
        "address": Hash(required=True, replaces=True, fields=ADDRESS.fields),
        "name": Text(required=True),
        "carrier": Text(),
        "phone": Text(clearable=True),
        "tracking_number": Text(),
    },
)

BILLING_DETAILS: Final = Hash(
    fields={
        "address": ADDRESS,
        "email": Email(clearable=True),
        "name": Text(clearable=True),
        "phone": Text(clearable=True),
    },
)

NO_ADDRESS: Final = dict.fromkeys(ADDRESS_FIELDS)
NO_BILLING_DETAILS: Final = {
    "address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None,
}  # fmt: skip
