"""Customers at Stripe: what is written to them, and the port that writes it."""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from application.mutations.stripe import Call
from domain.customers import Address, Customer
from domain.mirror import Snapshot


@dataclass(frozen=True, slots=True)
class CustomerFields:
    """What is written to a customer at Stripe. None leaves a field alone, empty clears it.

    `metadata` is merged key by key; an empty value removes its key.
    """

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    address: Address | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """A change of one customer."""

    id: str
    fields: CustomerFields


@dataclass(frozen=True, slots=True)
class CustomerDeletion:
    """The deletion of one customer."""

    id: str


class CustomerGateway(Protocol):
    """Customers at Stripe. Each `…` is a `Send`, each `find_…` its `Find`."""

    async def create(self, call: Call, params: CustomerFields) -> Snapshot[Customer]:
        """Create a customer."""
        ...

    async def find_created(
        self, call: Call, params: CustomerFields, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        """The customer that bears the call's tag."""
        ...

    async def update(self, call: Call, params: CustomerChange) -> Snapshot[Customer]:
        """Change a customer. A deleted one is NotFound."""
        ...

    async def find_updated(
        self, call: Call, params: CustomerChange, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        """The customer, if it shows every field as the change asked for."""
        ...

    async def delete(self, call: Call, params: CustomerDeletion) -> Snapshot[Customer]:
        """Delete a customer; a tombstone. Finding it deleted already is success."""
        ...

    async def find_deleted(
        self, call: Call, params: CustomerDeletion, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        """The tombstone, if the customer is gone."""
        ...
