"""Customers of an account's Stripe connection."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from application.callers import Caller
from application.connections import Connections
from application.mutations import Mutations, Steps, request_id_violations
from application.paging import DEFAULT_PAGE_SIZE, Page, PageTokens, page_size_violations, scope_of
from application.ports.mirror import CUSTOMERS, NEWEST_FIRST, Filter, Mirror
from application.ports.stripe import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from domain.customers import Address, Customer
from domain.errors import FieldViolation, InvalidArgument, NotFound
from domain.periods import to_milliseconds

CHANGEABLE: Final = ("email", "name", "phone", "description", "address", "metadata")
"""The fields that an update mask may name."""

_LIMITS: Final = {"email": 512, "name": 256, "phone": 20, "description": 5_000}
_ADDRESS_LIMIT: Final = 500
_MAX_METADATA_KEYS: Final = 49  # Stripe allows 50; one is ours
_RESERVED: Final = "billing_"
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")


@dataclass(frozen=True, slots=True)
class ListCustomers:
    """A page of the customers; times bound `created`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    email: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """New values of a customer, of which `mask` names those that count (empty: all that are set).

    In `values`, None and empty both stand for no value.
    """

    id: str
    values: CustomerFields
    mask: tuple[str, ...] = ()


class Customers:
    """Lists, gets, creates, updates and deletes customers.

    `found` is what reading the caller's input found wrong already; it is refused with the rest.
    """

    def __init__(
        self,
        mirror: Mirror,
        connections: Connections,
        page_tokens: PageTokens,
        mutations: Mutations,
        gateway: CustomerGateway,
    ) -> None:
        self._mirror = mirror
        self._connections = connections
        self._page_tokens = page_tokens
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
        self, caller: Caller, query: ListCustomers, found: Sequence[FieldViolation] = ()
    ) -> Page[Customer]:
        """A page of customers in the mirror, newest first."""
        _refuse(chain(found, _list_violations(query)))
        connection = await self._connections.of(caller)
        where = _filter(query)
        scope = scope_of(CUSTOMERS, connection.stripe_account, where, NEWEST_FIRST)
        page = await self._mirror.list(
            CUSTOMERS,
            connection.stripe_account,
            where,
            order=NEWEST_FIRST,
            after=self._page_tokens.read(query.page_token, scope),
            limit=query.page_size or DEFAULT_PAGE_SIZE,
        )
        customers = [row.snapshot.object for row in page.rows if row.snapshot]
        return Page(
            [customer for customer in customers if customer],
            self._page_tokens.write(scope, page.next),
        )

    async def get(self, caller: Caller, customer_id: str) -> Customer:
        """A customer in the mirror. NotFound for an unknown or a deleted one."""
        _refuse(_id_violations(customer_id, "id"))
        connection = await self._connections.of(caller)
        rows = await self._mirror.fetch(CUSTOMERS, connection.stripe_account, [customer_id])
        row = rows.get(customer_id)
        if row is None or row.snapshot is None or row.snapshot.object is None:
            raise NotFound("customer", customer_id)
        return row.snapshot.object

    async def create(
        self,
        caller: Caller,
        request_id: str,
        fields: CustomerFields,
        found: Sequence[FieldViolation] = (),
    ) -> Customer:
        """Create a customer at Stripe."""
        _refuse(chain(found, request_id_violations(request_id), _fields_violations(fields)))
        return await self._create.run(caller, request_id, fields)

    async def update(self, caller: Caller, request_id: str, command: UpdateCustomer) -> Customer:
        """Change the named fields of a customer at Stripe."""
        _refuse(chain(request_id_violations(request_id), _update_violations(command)))
        return await self._update.run(caller, request_id, _change(command))

    async def delete(self, caller: Caller, request_id: str, customer_id: str) -> None:
        """Delete a customer at Stripe for good. Finding it deleted already is success."""
        _refuse(chain(request_id_violations(request_id), _id_violations(customer_id, "id")))
        await self._delete.run(caller, request_id, CustomerDeletion(customer_id))

    async def _create_steps(self, steps: Steps, fields: CustomerFields) -> Customer:
        created = await steps.call(
            "create", CUSTOMERS, fields, self._gateway.create, self._gateway.find_created
        )
        return _found(created.object, created.id)

    async def _update_steps(self, steps: Steps, change: CustomerChange) -> Customer:
        updated = await steps.call(
            "update", CUSTOMERS, change, self._gateway.update, self._gateway.find_updated
        )
        return _found(updated.object, change.id)

    async def _delete_steps(self, steps: Steps, deletion: CustomerDeletion) -> CustomerDeletion:
        await steps.call(
            "delete", CUSTOMERS, deletion, self._gateway.delete, self._gateway.find_deleted
        )
        return deletion


def _found(customer: Customer | None, customer_id: str) -> Customer:
    if customer is None:
        raise NotFound("customer", customer_id)
    return customer


def _filter(query: ListCustomers) -> Filter:
    low, high = (
        to_milliseconds(instant) if instant else None
        for instant in (query.created_after, query.created_before)
    )
    return Filter(
        equals={"email": query.email} if query.email else {},
        ranges={"created": (low, high)} if (low, high) != (None, None) else {},
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


def _refuse(violations: Iterable[FieldViolation]) -> None:
    if found := list(violations):
        raise InvalidArgument(found)


def _list_violations(query: ListCustomers) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    if len(query.email) > _LIMITS["email"]:
        yield FieldViolation("email", f"at most {_LIMITS['email']} characters")
    after, before = query.created_after, query.created_before
    if after and before and after >= before:
        yield FieldViolation("created_before", "must be after created_after")


def _update_violations(command: UpdateCustomer) -> Iterator[FieldViolation]:
    yield from _id_violations(command.id, "customer.id")
    unknown = [path for path in command.mask if path not in CHANGEABLE]
    if unknown:
        yield FieldViolation("update_mask", f"only these can be named: {', '.join(CHANGEABLE)}")
    elif not command.mask and not any(getattr(command.values, name) for name in CHANGEABLE):
        yield FieldViolation("update_mask", "must name a field, or the customer set one")
    yield from _fields_violations(command.values)


def _id_violations(customer_id: str, field: str) -> Iterator[FieldViolation]:
    if not _ID.fullmatch(customer_id):
        yield FieldViolation(field, "an id of Stripe's is needed, such as cus_NffrFeUfNV2Hib")


def _fields_violations(fields: CustomerFields) -> Iterator[FieldViolation]:
    for name, limit in _LIMITS.items():
        if len(getattr(fields, name) or "") > limit:
            yield FieldViolation(f"customer.{name}", f"at most {limit} characters")
    if fields.email and not _EMAIL.fullmatch(fields.email):
        yield FieldViolation("customer.email", "an address such as name@example.com")
    yield from _address_violations(fields.address or Address())
    yield from _metadata_violations(fields.metadata or {})


def _address_violations(address: Address) -> Iterator[FieldViolation]:
    for part in ("line1", "line2", "city", "state", "postal_code"):
        if len(getattr(address, part) or "") > _ADDRESS_LIMIT:
            yield FieldViolation(f"customer.address.{part}", f"at most {_ADDRESS_LIMIT} characters")
    country = address.country or ""
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        yield FieldViolation("customer.address.country", "two letters, ISO 3166-1, such as US")


def _metadata_violations(metadata: Mapping[str, str]) -> Iterator[FieldViolation]:
    """Stripe's limits ("Metadata" in its documentation), and the prefix that is ours."""
    if len(metadata) > _MAX_METADATA_KEYS:
        yield FieldViolation("customer.metadata", f"at most {_MAX_METADATA_KEYS} keys")
    for key, value in list(metadata.items())[: _MAX_METADATA_KEYS + 1]:
        if not 1 <= len(key) <= 40 or "[" in key or "]" in key:
            yield FieldViolation("customer.metadata", "keys of 1 to 40 characters without [ or ]")
        elif key.startswith(_RESERVED):
            yield FieldViolation("customer.metadata", f"keys must not begin with {_RESERVED}")
        if len(value) > 500:
            yield FieldViolation("customer.metadata", "values of at most 500 characters")
