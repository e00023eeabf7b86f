"""What is wrong with a command about customers, all of it at once."""

from collections.abc import Iterator
from typing import Final

from application.customers.commands import ListCustomers, SearchCustomers, UpdateCustomer
from application.customers.fields import FIELDS, MAX_EMAIL
from application.requests.paging import page_size_violations
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    span_violations,
    text_violations,
)
from domain.errors import FieldViolation
from domain.search import readings_of

_QUERY_LIMIT: Final = 512


def _list_violations(query: ListCustomers) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from text_violations(query.email, "email", MAX_EMAIL)
    yield from span_violations(query.created_after, query.created_before)


def _search_violations(query: SearchCustomers) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    if not readings_of(query.query[:_QUERY_LIMIT]):
        yield FieldViolation("query", "at least one letter or digit")
    yield from text_violations(query.query, "query", _QUERY_LIMIT)


def _update_violations(command: UpdateCustomer) -> Iterator[FieldViolation]:
    yield from _id_violations(command.id, "customer.id")
    yield from FIELDS.mask_violations(command.values, command.mask)
    yield from FIELDS.violations(command.values)


def _id_violations(customer_id: str, field: str) -> Iterator[FieldViolation]:
    return id_violations(customer_id, field, CUSTOMER_ID)
