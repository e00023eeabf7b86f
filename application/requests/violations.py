"""What callers' input may be: the rules that commands of several nouns share.

Each function gives the violations of one value; a command's own function chains them, and `refuse`
tells all of them at once, before anything is done.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from domain.errors import FieldViolation, InvalidArgument
from domain.ids import ID_RULE, is_object_id

RESERVED: Final = "billing_"
"""Keys of metadata that begin so are Billing's own."""

MAX_METADATA_KEYS: Final = 49
"""Stripe allows 50; one is ours."""

EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")

CUSTOMER_ID: Final = "cus_NffrFeUfNV2Hib"
"""What the id of a customer looks like, where Stripe made it."""

METHOD_ID: Final = "pm_1MqLiJLkdIwHu7ixUEgbFdYF"
PRICE_ID: Final = "price_1MoBy5LkdIwHu7ixZhnattbh"
PRODUCT_ID: Final = "prod_NWjs8kKbJWmuuc"

NUL: Final = "\0"
"""No text of a caller's holds it: MongoDB has no such keys, and HTTP, queues and C cut there."""

_NOT_IN_KEYS: Final = frozenset("[]\0")
_MAX_KEY_CHARACTERS: Final = 40
_MAX_VALUE_CHARACTERS: Final = 500


def refuse(violations: Iterable[FieldViolation]) -> None:
    """Raise InvalidArgument with all violations, if there are any."""
    if all_violations := list(violations):
        raise InvalidArgument(all_violations)


def id_violations(value: str, field: str, example: str) -> Iterator[FieldViolation]:
    """An id of an object at Stripe, such as `example`."""
    if not is_object_id(value):
        yield FieldViolation(field, f"must be an id at Stripe, such as {example}: {ID_RULE}")


def optional_id_violations(value: str, field: str, example: str) -> Iterator[FieldViolation]:
    """The same, or empty."""
    if value:
        yield from id_violations(value, field, example)


def text_violations(value: str | None, field: str, most: int) -> Iterator[FieldViolation]:
    """A text of at most so many characters, none of them NUL."""
    if value and len(value) > most:
        yield FieldViolation(field, f"at most {most:,} characters")
    if value and NUL in value:
        yield FieldViolation(field, "no NUL character")


def span_violations(
    after: dt.datetime | None, before: dt.datetime | None, name: str = "created"
) -> Iterator[FieldViolation]:
    """The bounds `<name>_after` and `<name>_before` of a list."""
    if after and before and after >= before:
        yield FieldViolation(f"{name}_before", f"must be after {name}_after")


def mask_violations(
    mask: Sequence[str], changeable: Sequence[str], *, has_value: bool, noun: str
) -> Iterator[FieldViolation]:
    """An update mask; without one, the `noun` must have a value for some changeable field."""
    if not {*changeable}.issuperset(mask):
        yield FieldViolation("update_mask", f"may name only: {', '.join(changeable)}")
    elif not mask and not has_value:
        yield FieldViolation("update_mask", f"must name a field, or the {noun} must have a value")


def metadata_violations(metadata: Mapping[str, str], field: str) -> Iterator[FieldViolation]:
    """Stripe's limits ("Metadata" in its documentation), and the prefix that is ours."""
    if len(metadata) > MAX_METADATA_KEYS:
        yield FieldViolation(field, f"at most {MAX_METADATA_KEYS} keys")
    for key, value in list(metadata.items())[: MAX_METADATA_KEYS + 1]:
        if not 1 <= len(key) <= _MAX_KEY_CHARACTERS or not _NOT_IN_KEYS.isdisjoint(key):
            rule = f"keys of 1 to {_MAX_KEY_CHARACTERS} characters without [, ] or NUL"
            yield FieldViolation(field, rule)
        elif key.startswith(RESERVED):
            yield FieldViolation(field, f"keys must not begin with {RESERVED}")
        if len(value) > _MAX_VALUE_CHARACTERS or NUL in value:
            rule = f"values of at most {_MAX_VALUE_CHARACTERS} characters without NUL"
            yield FieldViolation(field, rule)
