"""Customers of an account's Stripe connection."""

from collections.abc import Sequence
from itertools import chain

from application.connections.use_cases import Connections
from application.contacts.ports import ContactDirectory
from application.customers.commands import (
    LinkedCustomer,
    ListCustomers,
    SearchCustomers,
    UpdateCustomer,
)
from application.customers.fields import FIELDS
from application.customers.ports import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.customers.violations import (
    _id_violations,
    _list_violations,
    _search_violations,
    _update_violations,
)
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Filter
from application.mirror.reader import MirrorReader, equal_to, within
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.paging import Page
from application.requests.violations import refuse
from domain.connections import Connection
from domain.customers import Customer
from domain.errors import FieldViolation
from domain.search import readings_of


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
        customer = await self._reader.get(CUSTOMERS, connection.stripe_account, customer_id)
        (linked,) = await self._linked(connection, [customer])
        return linked

    async def create(
        self,
        caller: Caller,
        request_id: str,
        fields: CustomerFields,
        violations: Sequence[FieldViolation] = (),
    ) -> LinkedCustomer:
        """Create a customer at Stripe."""
        refuse(chain(violations, request_id_violations(request_id), FIELDS.violations(fields)))
        return LinkedCustomer(await self._create.run(caller, request_id, fields))

    async def update(
        self, caller: Caller, request_id: str, command: UpdateCustomer
    ) -> LinkedCustomer:
        """Change the named fields of a customer at Stripe."""
        refuse(chain(request_id_violations(request_id), _update_violations(command)))
        change = CustomerChange(command.id, FIELDS.masked(command.values, command.mask))
        updated = await self._update.run(caller, request_id, change)
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
            connection.account, connection.stripe_account, [customer.id for customer in customers]
        )
        return [LinkedCustomer(customer, links.get(customer.id)) for customer in customers]

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
