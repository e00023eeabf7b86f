"""Payment methods and legacy sources at Stripe: not mirrored, so read there and changed there."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.mutations.stripe import Call
from domain.customers import Customer
from domain.mirror import Snapshot
from domain.payment_methods import PaymentMethod, SetupIntent


@dataclass(frozen=True, slots=True)
class MethodPlace:
    """How far the two lists were read: `sources` tells which one, `after` the last object seen."""

    sources: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True)
class MethodPage:
    """Payment methods, then sources; `next` is None at the end of both."""

    items: Sequence[PaymentMethod]
    next: MethodPlace | None


@dataclass(frozen=True, slots=True)
class CustomersMethod:
    """One payment method or legacy source and one customer: what is attached, detached or made the
    default.
    """

    customer: str
    id: str


@dataclass(frozen=True, slots=True)
class NewSetupIntent:
    """A setup intent to create. Without types, the account's own settings decide."""

    customer: str
    payment_method_types: tuple[str, ...] = ()
    usage: str = ""


class PaymentMethodGateway(Protocol):
    """Payment methods at Stripe. Each change is a `Send`, each `find_…` its `Find`."""

    async def page(
        self, stripe_account: str, customer: str, place: MethodPlace, limit: int
    ) -> MethodPage:
        """At most `limit` (1 to 100) entries from a place on, newest first within each list.

        Each is there once, in one or two requests. InvalidArgument (INVALID_PAGE_TOKEN) where the
        place is gone, NotFound for an unknown customer.
        """
        ...

    async def default_of(self, stripe_account: str, customer: str) -> str:
        """The id of what the customer's invoices are charged to first; empty: nothing.

        NotFound for an unknown or deleted customer.
        """
        ...

    async def read(self, stripe_account: str, method: CustomersMethod) -> PaymentMethod:
        """A payment method or source of a customer; NotFound where he has none of that id."""
        ...

    async def attach(self, call: Call, params: CustomersMethod) -> PaymentMethod:
        """Attach a payment method. Finding it attached to this very customer is success.

        NotFound for an unknown customer or method, WrongState for another customer's,
        PaymentDeclined where the bank refuses it.
        """
        ...

    async def find_attached(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> PaymentMethod | None:
        """The payment method, if it is the customer's."""
        ...

    async def detach(self, call: Call, params: CustomersMethod) -> CustomersMethod:
        """Detach a payment method, delete a source.

        Finding it gone is success: whoever asks has seen it there.
        """
        ...

    async def find_detached(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> CustomersMethod | None:
        """The same, if the customer has it no more."""
        ...

    async def set_default(self, call: Call, params: CustomersMethod) -> Snapshot[Customer]:
        """Charge the customer's invoices to it. NotFound where he does not have it."""
        ...

    async def find_default(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        """The customer, if it is the default."""
        ...

    async def create_setup(self, call: Call, params: NewSetupIntent) -> SetupIntent:
        """Create a setup intent. NotFound for an unknown customer."""
        ...

    async def find_setup(
        self, call: Call, params: NewSetupIntent, sent_at: dt.datetime
    ) -> SetupIntent | None:
        """The customer's setup intent that bears the call's tag."""
        ...

    async def read_setup(self, stripe_account: str, setup_intent: str) -> tuple[SetupIntent, str]:
        """A setup intent as it is now, and its client secret, which is to be kept nowhere."""
        ...
