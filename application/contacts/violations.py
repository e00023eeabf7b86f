"""What callers may say of contacts and of how they are filled."""

from collections.abc import Collection, Iterator, Mapping

from domain.contacts import CONTACT_ID, MAX_FIELDS, SOURCE_RULE, is_source
from domain.errors import FieldViolation


def contact_id_violations(value: str, field: str) -> Iterator[FieldViolation]:
    """An id of a contact, which the CRM gives."""
    if not CONTACT_ID.fullmatch(value):
        yield FieldViolation(field, "1 to 255 printable ASCII characters without spaces")


def mapping_violations(
    mapping: Mapping[str, str], known: Collection[str]
) -> Iterator[FieldViolation]:
    """A mapping of contacts' fields, of which `known` exist; each bad entry is named."""
    path = "contact_mapping.fields"
    if len(mapping) > MAX_FIELDS:
        yield FieldViolation(path, f"at most {MAX_FIELDS} entries")
    for name, source in list(mapping.items())[: MAX_FIELDS + 1]:
        if name not in known:
            rule = "must be a field of the account's contacts; ListContactFields lists them"
            yield FieldViolation(f"{path}.{name}", rule)
        if not is_source(source):
            yield FieldViolation(f"{path}.{name}", SOURCE_RULE)
