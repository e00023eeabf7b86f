"""The fields of a contact mapping that callers may change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from application.requests.fields import Field, FieldTable, flag, no_limits


@dataclass(frozen=True, slots=True)
class MappingFields:
    """What is written to a mapping. None leaves a part alone, empty clears it."""

    fields: Mapping[str, str] | None = None
    create_contacts: bool | None = None


FIELDS: Final = FieldTable(
    "contact_mapping",
    MappingFields,
    (
        # The limits of `fields` are the account's own: see `violations.mapping_violations`.
        Field("fields", no_limits, {}),
        flag("create_contacts"),
    ),
)
