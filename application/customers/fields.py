"""The fields of a customer that callers may change."""

from collections.abc import Iterator
from dataclasses import astuple
from typing import Final

from application.customers.ports import CustomerFields
from application.requests.fields import Field, FieldTable, metadata, text
from application.requests.violations import EMAIL, text_violations
from domain.customers import Address, Customer
from domain.errors import FieldViolation

MAX_EMAIL: Final = 512

_MAX_ADDRESS_LINE: Final = 500


def _email_violations(email: str, path: str) -> Iterator[FieldViolation]:
    if email and not EMAIL.fullmatch(email):
        yield FieldViolation(path, "an address such as name@example.com")


def _address_violations(address: Address, path: str) -> Iterator[FieldViolation]:
    for part in ("line1", "line2", "city", "state", "postal_code"):
        yield from text_violations(getattr(address, part), f"{path}.{part}", _MAX_ADDRESS_LINE)
    country = address.country or ""
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        yield FieldViolation(f"{path}.country", "two letters, ISO 3166-1, such as US")


def _shows_address(customer: Customer, written: Address) -> bool:
    """Whether every part is as written; one that was not written is cleared."""
    return _parts(customer.address or Address()) == _parts(written)


def _parts(address: Address) -> tuple[str, ...]:
    return tuple(part or "" for part in astuple(address))


FIELDS: Final = FieldTable(
    "customer",
    CustomerFields,
    (
        text("email", MAX_EMAIL, _email_violations),
        text("name", 256),
        text("phone", 20),
        text("description", 5_000),
        Field("address", _address_violations, Address(), shows=_shows_address),
        metadata(),
    ),
)
