"""What callers ask of customers."""

import datetime as dt
from dataclasses import dataclass

from application.contacts.ports import ContactLink
from application.customers.ports import (
    CustomerFields,
)
from domain.customers import Customer


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
