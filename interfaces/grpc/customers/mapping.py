"""Customers."""

import dataclasses
from typing import Final

from billing_client.v1 import customer_service_pb2 as pb

from application.contacts.ports import ContactLink
from application.customers.commands import (
    LinkedCustomer,
    ListCustomers,
    SearchCustomers,
    UpdateCustomer,
)
from application.customers.ports import CustomerFields
from application.requests.paging import Page
from domain.customers import Address, Customer
from domain.errors import FieldViolation
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_NOT_FOR_CREATION: Final = (
    "id", "create_time", "currency", "delinquent", "default_payment_method", "default_source",
    "contact", "contact_link_time",
)  # fmt: skip
_ADDRESS_PARTS: Final = tuple(part.name for part in dataclasses.fields(Address))


def linked_message(linked: LinkedCustomer) -> pb.Customer:
    """A customer with the contact that it is linked to."""
    return customer_message(linked.customer, linked.link)


def customer_message(customer: Customer, link: ContactLink | None = None) -> pb.Customer:
    """A customer and its link, without what is Billing's own."""
    return pb.Customer(
        id=customer.id,
        create_time=timestamp_message(customer.created),
        email=customer.email or "",
        name=customer.name or "",
        phone=customer.phone or "",
        description=customer.description or "",
        address=_address_message(customer.address) if customer.address else None,
        currency=customer.currency or "",
        delinquent=bool(customer.delinquent),
        default_payment_method=customer.default_payment_method or "",
        default_source=customer.default_source or "",
        metadata=callers_own(customer.metadata),
        contact=link.contact if link else "",
        contact_link_time=timestamp_message(link.linked_at) if link else None,
    )


def page_message(page: Page[LinkedCustomer]) -> pb.ListCustomersResponse:
    """A page of customers."""
    return pb.ListCustomersResponse(
        customers=map(linked_message, page.items), next_page_token=page.next_page_token
    )


def found_message(page: Page[LinkedCustomer]) -> pb.SearchCustomersResponse:
    """A page of the customers that were found."""
    return pb.SearchCustomersResponse(
        customers=map(linked_message, page.items), next_page_token=page.next_page_token
    )


def read_search(request: pb.SearchCustomersRequest) -> SearchCustomers:
    """What to search for."""
    return SearchCustomers(request.query, request.page_size, request.page_token)


def read_list(request: pb.ListCustomersRequest, violations: list[FieldViolation]) -> ListCustomers:
    """What to list."""
    return ListCustomers(
        page_size=request.page_size,
        page_token=request.page_token,
        email=request.email,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_create(
    request: pb.CreateCustomerRequest, violations: list[FieldViolation]
) -> CustomerFields:
    """What to create."""
    if not request.HasField("customer"):
        violations.append(FieldViolation("customer", "is required"))
    given = {field.name for field, _ in request.customer.ListFields()}
    violations += [
        FieldViolation(f"customer.{name}", "must be empty: a caller cannot set it")
        for name in _NOT_FOR_CREATION
        if name in given
    ]
    return _fields(request.customer)


def read_update(request: pb.UpdateCustomerRequest) -> UpdateCustomer:
    """What to change; paths of the mask as they were written."""
    return UpdateCustomer(
        request.customer.id, _fields(request.customer), tuple(request.update_mask.paths)
    )


def _fields(customer: pb.Customer) -> CustomerFields:
    return CustomerFields(
        email=customer.email or None,
        name=customer.name or None,
        phone=customer.phone or None,
        description=customer.description or None,
        address=_address(customer.address),
        metadata=dict(customer.metadata) or None,
    )


def _address(address: pb.Address) -> Address | None:
    """An address; None where every part is empty."""
    parts = {name: getattr(address, name) or None for name in _ADDRESS_PARTS}
    return Address(**parts) if any(parts.values()) else None


def _address_message(address: Address) -> pb.Address:
    return pb.Address(**{name: getattr(address, name) or "" for name in _ADDRESS_PARTS})
