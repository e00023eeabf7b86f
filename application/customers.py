"""Customers of an account's Stripe connection."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from application.callers import Caller
from application.connections import Connections
from application.mirror_reader import MirrorReader, equal_to, within
from application.mutation_steps import Steps, shown
from application.mutations import Mutations, request_id_violations
from application.paging import Page, page_size_violations
from application.ports.contacts import ContactDirectory, ContactLink
from application.ports.customers import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.ports.mirror import Filter
from application.ports.nouns import CUSTOMERS
from application.violations import (
    CUSTOMER_ID,
    EMAIL,
    id_violations,
    mask_violations,
    metadata_violations,
    refuse,
    span_violations,
    text_violations,
)
from domain.connections import Connection
from domain.customers import Address, Customer
from domain.errors import FieldViolation
from domain.search import readings_of

CHANGEABLE: Final = ("email", "name", "phone", "description", "address", "metadata")
"""The fields that an update mask may name."""

_LIMITS: Final = {"email": 512, "name": 256, "phone": 20, "description": 5_000}
_ADDRESS_LIMIT: Final = 500
_QUERY_LIMIT: Final = 512


@dataclass(frozen=True, slots=True)
class ListCustomers:
    """A page of the customers; times bound `created`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    email: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchCustomers:
    """A page of the customers that a query finds: see `domain.search`."""

    query: str
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class LinkedCustomer:
    """A customer, and its link to a contact of the CRM where it has one."""

    customer: Customer
    link: ContactLink | None = None


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """New values of a customer, of which `mask` names those that count (empty: all that are set).

    In `values`, None and empty both stand for no value.
    """

    id: str
    values: CustomerFields
    mask: tuple[str, ...] = ()


class Customers:
    """Lists, searches, gets, creates, updates and deletes customers.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        gateway: CustomerGateway,
        contacts: ContactDirectory,
    ) -> None:
        self._reader = reader
        self._contacts = contacts
        self._connections = connections
        self._gateway = gateway
        self._create = mutations.method(
            "CustomerService.CreateCustomer", CustomerFields, Customer, self._create_steps
        )
        self._update = mutations.method(
            "CustomerService.UpdateCustomer", CustomerChange, Customer, self._update_steps
        )
        self._delete = mutations.method(
            "CustomerService.DeleteCustomer", CustomerDeletion, CustomerDeletion, self._delete_steps
        )

    async def list(
        self, caller: Caller, query: ListCustomers, violations: Sequence[FieldViolation] = ()
    ) -> Page[LinkedCustomer]:
        """A page of customers in the mirror, newest first."""
        refuse(chain(violations, _list_violations(query)))
        connection = await self._connections.of(caller)
        page = await self._reader.list(
            CUSTOMERS,
            connection.stripe_account,
            _filter(query),
            page_size=query.page_size,
            page_token=query.page_token,
        )
        return Page(await self._linked(connection, page.items), page.next_page_token)

    async def search(self, caller: Caller, query: SearchCustomers) -> Page[LinkedCustomer]:
        """A page of the customers in the mirror that a query finds, newest first."""
        refuse(_search_violations(query))
        connection = await self._connections.of(caller)
        page = await self._reader.search(
            CUSTOMERS,
            connection.stripe_account,
            readings_of(query.query),
            page_size=query.page_size,
            page_token=query.page_token,
        )
        return Page(await self._linked(connection, page.items), page.next_page_token)

    async def get(self, caller: Caller, customer_id: str) -> LinkedCustomer:
        """A customer in the mirror. NotFound for an unknown or a deleted one."""
        refuse(_id_violations(customer_id, "id"))
        connection = await self._connections.of(caller)
        found = await self._reader.get(CUSTOMERS, connection.stripe_account, customer_id)
        (linked,) = await self._linked(connection, [found])
        return linked

    async def create(
        self,
        caller: Caller,
        request_id: str,
        fields: CustomerFields,
        violations: Sequence[FieldViolation] = (),
    ) -> LinkedCustomer:
        """Create a customer at Stripe."""
        refuse(chain(violations, request_id_violations(request_id), _fields_violations(fields)))
        return LinkedCustomer(await self._create.run(caller, request_id, fields))

    async def update(
        self, caller: Caller, request_id: str, command: UpdateCustomer
    ) -> LinkedCustomer:
        """Change the named fields of a customer at Stripe."""
        refuse(chain(request_id_violations(request_id), _update_violations(command)))
        updated = await self._update.run(caller, request_id, _change(command))
        (linked,) = await self._linked(await self._connections.of(caller), [updated])
        return linked

    async def delete(self, caller: Caller, request_id: str, customer_id: str) -> None:
        """Delete a customer at Stripe for good. Finding it deleted already is success."""
        refuse(chain(request_id_violations(request_id), _id_violations(customer_id, "id")))
        await self._delete.run(caller, request_id, CustomerDeletion(customer_id))

    async def _linked(
        self, connection: Connection, customers: Sequence[Customer]
    ) -> Sequence[LinkedCustomer]:
        """The customers with their links, all looked up at once."""
        if not customers:
            return []
        links = await self._contacts.links(
            connection.account, connection.stripe_account, [one.id for one in customers]
        )
        return [LinkedCustomer(one, links.get(one.id)) for one in customers]

    async def _create_steps(self, steps: Steps, fields: CustomerFields) -> Customer:
        created = await steps.call(
            "create", CUSTOMERS, fields, self._gateway.create, self._gateway.find_created
        )
        return shown(CUSTOMERS, created)

    async def _update_steps(self, steps: Steps, change: CustomerChange) -> Customer:
        updated = await steps.call(
            "update", CUSTOMERS, change, self._gateway.update, self._gateway.find_updated
        )
        return shown(CUSTOMERS, updated)

    async def _delete_steps(self, steps: Steps, deletion: CustomerDeletion) -> CustomerDeletion:
        await steps.call(
            "delete", CUSTOMERS, deletion, self._gateway.delete, self._gateway.find_deleted
        )
        return deletion


def _filter(query: ListCustomers) -> Filter:
    return Filter(
        equals=equal_to(email=query.email),
        ranges=within("created", query.created_after, query.created_before),
    )


def _change(command: UpdateCustomer) -> CustomerChange:
    """The change as Stripe is to be told it: None leaves alone, empty clears."""
    empty: Mapping[str, Any] = {
        "email": "", "name": "", "phone": "", "description": "",
        "address": Address(), "metadata": {},
    }  # fmt: skip
    mask = command.mask or tuple(n for n in CHANGEABLE if getattr(command.values, n))
    named = {name: getattr(command.values, name) or empty[name] for name in mask}
    return CustomerChange(command.id, replace(CustomerFields(), **named))


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
