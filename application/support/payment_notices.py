"""Payment notices: a paid invoice is said in the contact's support conversation."""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from typing_extensions import override

from application.background.clock import Clock
from application.contacts.ports import ContactDirectory, ContactLink
from application.effects.effect import Effect
from application.effects.happenings import DueEvent, Outcome, all_of
from application.jobs.outbox import Outbox, append_all
from application.mirror.nouns import CUSTOMERS, INVOICES
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from application.support.ports import SupportInbox, SystemMessage
from domain.connections import Connection
from domain.effects import Fact, FactName, payment_notice
from domain.invoices import Invoice
from domain.jobs import Job, job_id
from domain.periods import to_milliseconds

PAYMENT_NOTICE: Final = "support.payment_notice"
"""The kind of the job that tells the support service of a system message."""

MAX_MISSED: Final = 100
"""How many of a customer's paid invoices are looked through when he is linked."""

LATE: Final = dt.timedelta(minutes=10)
"""How long after its payment an invoice may still have found no link: clocks, work under way."""

_PAID: Final = "paid"
_Customer = tuple[str, str, str]
"""Account, Stripe account and customer: whose link is asked for."""


@dataclass(slots=True)
class _Owed:
    """A notice that is due, and the events that say so."""

    connection: Connection
    invoice: Invoice
    events: list[str] = field(default_factory=list)

    @property
    def customer(self) -> _Customer:
        return self.connection.account, self.connection.stripe_account, self.invoice.customer or ""


class PaymentNotices(Effect):
    """Posts a system message for each invoice that was paid, above zero, by a linked customer.

    The payment and the link may be told in either order. So an event of a customer, too, gives
    cause to look: for what he had paid before he was linked. Each message has a job that tells the
    support service of it; `queued` is set when there are any to publish.
    """

    def __init__(
        self,
        contacts: ContactDirectory,
        support: SupportInbox,
        mirror: Mirror,
        outbox: Outbox,
        clock: Clock,
        queued: asyncio.Event,
    ) -> None:
        self._contacts = contacts
        self._support = support
        self._mirror = mirror
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    @override
    async def after(self, due: Sequence[DueEvent], outcomes: Mapping[str, Outcome]) -> None:
        owed: dict[str, _Owed] = {}
        for due_event in due:
            if any(map(_above_zero, due_event.event.facts)):
                _owe(owed, due_event.connection, _invoice(due_event), due_event.event.id)
        links = await self._links(owed, due)
        for due_event in due:
            link = links.get(_customer_of(due_event))
            if link is not None:
                for invoice in await self._paid_before(link, due_event.since_ms):
                    _owe(owed, due_event.connection, invoice, due_event.event.id)
        results = await all_of(
            {
                id_: partial(self._post, id_, one, links[one.customer].contact)
                for id_, one in owed.items()
                if one.customer in links
            }
        )
        for id_, result in results.items():
            for event_id in owed[id_].events:
                outcomes[event_id].note(
                    result if isinstance(result, Exception) else "payment notice"
                )
        jobs = [result for result in results.values() if isinstance(result, Job)]
        if jobs:
            await append_all(self._outbox, jobs)
            self._queued.set()

    async def _links(
        self, owed: Mapping[str, _Owed], due: Sequence[DueEvent]
    ) -> Mapping[_Customer, ContactLink]:
        """The links of those who paid, and of those whom events are about."""
        wanted = {one.customer for one in owed.values()} | set(map(_customer_of, due))
        tenants: dict[tuple[str, str], list[str]] = defaultdict(list)
        for account, stripe_account, customer in sorted(wanted):
            if customer:
                tenants[account, stripe_account].append(customer)
        return {
            (*tenant, customer): link
            for tenant, customers in tenants.items()
            for customer, link in (await self._contacts.links(*tenant, customers)).items()
        }

    async def _paid_before(self, link: ContactLink, since_ms: int) -> Sequence[Invoice]:
        """What a customer had paid when he was linked, as far as it has effects still."""
        until_ms = to_milliseconds(link.linked_at + LATE)
        if until_ms <= since_ms:
            return []
        page = await self._mirror.list(
            INVOICES,
            link.stripe_account,
            Filter(equals={"customer": link.customer, "status": _PAID}),
            order=NEWEST_FIRST,
            after=None,
            limit=MAX_MISSED,
        )
        invoices = [
            row.snapshot.object for row in page.rows if row.snapshot and row.snapshot.object
        ]
        return [
            invoice
            for invoice in invoices
            if invoice.paid_at is not None
            and since_ms <= to_milliseconds(invoice.paid_at) < until_ms
            and invoice.amount_paid.amount > 0
        ]

    async def _post(self, id_: str, one: _Owed, contact: str) -> Job:
        invoice, account, now = one.invoice, one.connection.account, self._clock.now()
        message = SystemMessage(id_, account, contact, payment_notice(invoice), now)
        posted = await self._support.post(message)
        payload = {
            "conversation": posted.conversation,
            "message": id_,
            "contact": posted.message.contact,
            "invoice": invoice.id,
            "customer": invoice.customer,
            "amount": invoice.amount_paid.amount,
            "currency": invoice.amount_paid.currency,
        }
        return Job(id_, PAYMENT_NOTICE, account, now, payload)


def _owe(owed: dict[str, _Owed], connection: Connection, invoice: Invoice, event_id: str) -> None:
    id_ = job_id(PAYMENT_NOTICE, connection.account, FactName.INVOICE_PAID, invoice.id)
    owed.setdefault(id_, _Owed(connection, invoice)).events.append(event_id)


def _customer_of(due_event: DueEvent) -> _Customer:
    """The customer that an event is about; none of another noun's."""
    event = due_event.event.projected
    about = event.object_id if event.noun.name == CUSTOMERS.name else ""
    return due_event.connection.account, due_event.connection.stripe_account, about


def _above_zero(fact: Fact) -> bool:
    paid = fact.name is FactName.INVOICE_PAID
    return paid and fact.amount is not None and fact.amount.amount > 0


def _invoice(due_event: DueEvent) -> Invoice:
    if isinstance(due_event.event.object, Invoice):
        return due_event.event.object
    raise TypeError("only an invoice is paid")
