"""Hashes that several nouns take."""

from typing import Final

from sandbox.emulator.core.params import Email, Hash, Text

ADDRESS_FIELDS: Final = ("city", "country", "line1", "line2", "postal_code", "state")

ADDRESS: Final = Hash(
    clearable=True,
    whole=True,
    fields={name: Text(clearable=True) for name in ADDRESS_FIELDS},
)

SHIPPING: Final = Hash(
    clearable=True,
    whole=True,
    fields={
        "address": Hash(required=True, whole=True, fields=ADDRESS.fields),
        "name": Text(required=True),
        "carrier": Text(),
        "phone": Text(clearable=True),
        "tracking_number": Text(),
    },
)

NO_ADDRESS: Final = dict.fromkeys(ADDRESS_FIELDS)

BILLING_DETAILS: Final = Hash(
    fields={
        "address": Hash(clearable=True, cleared=NO_ADDRESS, whole=True, fields=ADDRESS.fields),
        "email": Email(clearable=True),
        "name": Text(clearable=True),
        "phone": Text(clearable=True),
    },
)

NO_BILLING_DETAILS: Final = {
    "address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None,
}  # fmt: skip
