"""What is wrong with a command about customers, all of it at once."""

from collections.abc import Iterator
from typing import Final

from application.customers.commands import ListCustomers, SearchCustomers, UpdateCustomer
from application.customers.ports import CustomerFields
from application.requests.paging import page_size_violations
from application.requests.violations import (
    CUSTOMER_ID,
    EMAIL,
    id_violations,
    mask_violations,
    metadata_violations,
    span_violations,
    text_violations,
)
from domain.customers import Address
from domain.errors import FieldViolation
from domain.search import readings_of

CHANGEABLE: Final = ("email", "name", "phone", "description", "address", "metadata")
"""The fields that an update mask may name."""


_LIMITS: Final = {"email": 512, "name": 256, "phone": 20, "description": 5_000}
_ADDRESS_LIMIT: Final = 500


_QUERY_LIMIT: Final = 512


def _list_violations(query: ListCustomers) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from text_violations(query.email, "email", _LIMITS["email"])
    yield from span_violations(query.created_after, query.created_before)


def _search_violations(query: SearchCustomers) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    if not readings_of(query.query[:_QUERY_LIMIT]):
        yield FieldViolation("query", "at least one letter or digit")
    yield from text_violations(query.query, "query", _QUERY_LIMIT)


def _update_violations(command: UpdateCustomer) -> Iterator[FieldViolation]:
    has_value = any(getattr(command.values, name) for name in CHANGEABLE)
    yield from _id_violations(command.id, "customer.id")
    yield from mask_violations(command.mask, CHANGEABLE, has_value=has_value, noun="customer")
    yield from _fields_violations(command.values)


def _id_violations(customer_id: str, field: str) -> Iterator[FieldViolation]:
    return id_violations(customer_id, field, CUSTOMER_ID)


def _fields_violations(fields: CustomerFields) -> Iterator[FieldViolation]:
    for name, limit in _LIMITS.items():
        yield from text_violations(getattr(fields, name), f"customer.{name}", limit)
    if fields.email and not EMAIL.fullmatch(fields.email):
        yield FieldViolation("customer.email", "an address such as name@example.com")
    yield from _address_violations(fields.address or Address())
    yield from metadata_violations(fields.metadata or {}, "customer.metadata")


def _address_violations(address: Address) -> Iterator[FieldViolation]:
    for part in ("line1", "line2", "city", "state", "postal_code"):
        yield from text_violations(
            getattr(address, part), f"customer.address.{part}", _ADDRESS_LIMIT
        )
    country = address.country or ""
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        yield FieldViolation("customer.address.country", "two letters, ISO 3166-1, such as US")
