"""Processes that make payment links, on fakes of the stores, of Stripe and of the shortener."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

from typing_extensions import override

from application.background.leases import Leases
from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.contacts.ports import ContactLink
from application.customers.lookup import CustomerLookup
from application.invoices.ports import (
    InvoiceAction,
    InvoiceGateway,
    InvoiceItemFields,
    NewInvoice,
    NewInvoiceLines,
)
from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import RETRY_UNKNOWN, Mutations
from application.mutations.steps import LEASE
from application.mutations.stripe import REQUEST_TAG, Call
from application.payment_links.customer_of_contact import CustomerOfContact
from application.payment_links.short_links import NoShortLink, ShortLinks
from application.payment_links.use_cases import NewPaymentLink, PaymentLinks
from domain.connections import Mode
from domain.contacts import Contact
from domain.customers import Customer
from domain.errors import BillingError
from domain.invoices import Invoice
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payment_links import PaymentLink
from domain.periods import to_milliseconds
from infrastructure.phones import NumberingPlans
from tests.support.fakes.customers import FakeCustomerGateway
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.lists import FakeCheckpoints
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
    no_pause,
)
from tests.support.rooms.contacts import matching
from tests.support.rooms.mutations import CALLER, CONNECTION

STRIPE: Final = CONNECTION.stripe_account
ADA: Final = {"name": "Ada", "email": "Ada@x.test", "phone": "+14155552671"}
WANTED: Final = NewPaymentLink(
    "ada", "usd", (InvoiceItemFields("Work", quantity=2, unit_amount=1_250),)
)
OPEN_URL: Final = "https://pay.example/"


def link(customer: str, contact: str) -> ContactLink:
    """A link that somebody else has made."""
    return ContactLink("acme", STRIPE, customer, contact, NOON)


class FakeInvoices(InvoiceGateway):
    """The part of the gateway that payment links need; a key is carried out once.

    What `refusals` holds for a method is raised in turn, with nothing done.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.pause: Pause = no_pause
        self.invoices: dict[str, Invoice] = {}
        self.created: list[NewInvoice] = []
        self.deleted: list[str] = []
        self.refusals: dict[str, list[BillingError]] = {}
        self._clock = clock
        self._kept: dict[str, str] = {}

    @override
    async def create(self, call: Call, params: NewInvoice) -> Snapshot[Invoice]:
        def make() -> str:
            self.created.append(params)
            zero = Money(0, params.currency)
            id_ = f"in_{len(self.created)}"
            self.invoices[id_] = Invoice(
                id_, NOON, params.currency, "draft", zero, zero, zero, zero,
                customer=params.customer, metadata={**(params.fields.metadata or {})},
            )  # fmt: skip
            return id_

        return await self._send("create", call, make)

    @override
    async def add_lines(self, call: Call, params: NewInvoiceLines) -> Snapshot[Invoice]:
        def make() -> str:
            total = sum((item.unit_amount or 0) * item.quantity for item in params.items)
            due = Money(total, params.currency)
            invoice = self.invoices[params.invoice]
            self.invoices[params.invoice] = replace(invoice, total=due, amount_due=due)
            return params.invoice

        return await self._send("add_lines", call, make)

    @override
    async def finalize(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        def make() -> str:
            invoice = self.invoices[params.id]
            assert invoice.status == "draft"
            self.invoices[params.id] = replace(
                invoice, status="open", hosted_invoice_url=f"{OPEN_URL}{params.id}"
            )
            return params.id

        return await self._send("finalize", call, make)

    @override
    async def delete(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        def make() -> str:
            assert self.invoices.pop(params.id).status == "draft"
            self.deleted.append(params.id)
            return params.id

        return await self._send("delete", call, make)

    async def _send(self, name: str, call: Call, make: Any) -> Snapshot[Invoice]:
        await self.pause(f"stripe.{name}")
        if self.refusals.get(name):
            raise self.refusals[name].pop(0)
        if call.idempotency_key not in self._kept:
            self._kept[call.idempotency_key] = make()
        await self.pause(f"stripe.{name}")
        id_ = self._kept[call.idempotency_key]
        self._clock.advance(milliseconds=6)
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms - 5)
        return Snapshot(call.stripe_account, id_, version, self.invoices.get(id_))


class FakeLookup(CustomerLookup):
    """Lists the customers of the fake gateway; `asked` tells what for."""

    def __init__(self, stripe: FakeCustomerGateway) -> None:
        self.pause: Pause = no_pause
        self.asked: list[str] = []
        self._stripe = stripe

    @override
    async def by_email(self, stripe_account: str, email: str) -> list[Customer]:
        await self.pause("stripe.list")
        self.asked.append(email)
        found = [one for one in self._stripe.customers.values() if one.email == email]
        return sorted(found, key=lambda one: (one.created, one.id), reverse=True)


class FakeShortLinks(ShortLinks):
    """Counts up, as long as it is `up`."""

    def __init__(self) -> None:
        self.up = True
        self.asked: list[str] = []

    @override
    async def shorten(self, url: str) -> str:
        if not self.up:
            raise NoShortLink("down")
        self.asked.append(url)
        return f"https://s.example/{len(self.asked)}"


class PaymentLinksOnFakes:
    """What all processes share: the stores, Stripe, the shortener and the time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = FakeMutationLog()
        self.mirror = FakeMirror()
        self.contacts = FakeContacts()
        self.checkpoints = FakeCheckpoints()
        self.stripe = FakeCustomerGateway(self.clock)
        self.invoices = FakeInvoices(self.clock)
        self.lookup = FakeLookup(self.stripe)
        self.objects = FakeObjects(self.clock, lambda id_: self.stripe.customers.get(id_))
        self.short_links = FakeShortLinks()
        self.contact()

    def pause(self, pause: Pause) -> None:
        """Pause at every step of the stores and of Stripe."""
        for one in (
            self.log, self.mirror, self.contacts, self.checkpoints, self.stripe, self.invoices,
            self.lookup, self.objects,
        ):  # fmt: skip
            one.pause = pause

    def contact(self, contact: str = "ada", **fields: str) -> None:
        """A contact in the CRM."""
        self.contacts.contacts["acme", contact] = Contact(contact, "acme", fields or ADA)

    async def customer(
        self, id_: str, *, mirrored: bool = True, alive: bool = True, age: int = 0, **fields: Any
    ) -> Customer:
        """A customer at Stripe, some days old, and in the mirror."""
        made = Customer(id_, NOON - dt.timedelta(days=age), metadata={REQUEST_TAG: ""}, **fields)
        if alive:
            self.stripe.customers[id_] = made
        if mirrored:
            told = Snapshot(STRIPE, id_, Version.of_event(1), made)
            await MirrorWriter(self.mirror).observe(CUSTOMERS, [told])
        return made

    def linked(self, contact: str = "ada") -> str | None:
        """The customer that a contact is linked to."""
        links = self.contacts.linked_to.values()
        return next((link.customer for link in links if link.contact == contact), None)

    def process(self, *, wait_seconds: float = 10.0) -> "Process":
        """One more process of the service."""
        return Process(self, wait_seconds)

    async def settle(self) -> int:
        """What the recovery of another process does once everything is due."""
        self.clock.instant += max(LEASE, RETRY_UNKNOWN)
        return await self.process().mutations.recover()


class Process:
    """One process of the service."""

    def __init__(self, desk: PaymentLinksOnFakes, wait_seconds: float) -> None:
        connections = Connections(
            FakeConnections(CONNECTION), FakeStripeAccounts(), desk.mirror, desk.clock, Mode.TEST
        )
        self.mutations = Mutations(
            desk.log, connections, MirrorWriter(desk.mirror), desk.clock, Tasks(), desk.objects
        )
        customers = CustomerOfContact(
            desk.contacts,
            matching(desk.contacts, desk.mirror, desk.clock),
            desk.mirror,
            desk.lookup,
            desk.stripe,
            NumberingPlans(),
            Leases(desk.checkpoints, desk.clock),
            desk.clock,
            wait_seconds=wait_seconds,
        )
        self.payment_links = PaymentLinks(
            self.mutations, customers, desk.invoices, desk.short_links
        )

    async def create(self, request_id: str = "one", wanted: NewPaymentLink = WANTED) -> PaymentLink:
        """Make a payment link."""
        return await self.payment_links.create(CALLER, request_id, wanted)
