"""Payment notices: a paid invoice is said in the contact's support conversation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from application.happenings import Due, Outcome, all_of
from application.ports.clock import Clock
from application.ports.contacts import ContactDirectory
from application.ports.support import SupportInbox, SystemMessage
from domain.effects import Fact, FactName, payment_notice
from domain.invoices import Invoice
from domain.jobs import Job, job_id

PAYMENT_NOTICE: Final = "support.payment_notice"
"""The kind of the job that tells the support service of a system message."""


class PaymentNotices:
    """Posts a system message for each invoice that was paid, above zero, by a linked customer."""

    def __init__(self, contacts: ContactDirectory, support: SupportInbox, clock: Clock) -> None:
        self._contacts = contacts
        self._support = support
        self._clock = clock

    async def post(self, due: Sequence[Due], outcomes: Mapping[str, Outcome]) -> Mapping[str, Job]:
        """Post what is not there yet; returns the jobs that tell of the messages, by id.

        Idempotent. What could not be posted is noted on its events' outcomes.
        """
        by_id: dict[str, list[Due]] = defaultdict(list)
        for one in due:
            for fact in one.happening.facts:
                if _above_zero(fact):
                    account = one.connection.account
                    by_id[job_id(PAYMENT_NOTICE, account, fact.name, fact.subject)].append(one)
        contacts = await self._linked({id_: ones[0] for id_, ones in by_id.items()})
        results = await all_of(
            {
                id_: partial(self._post, id_, by_id[id_][0], contact)
                for id_, contact in contacts.items()
            }
        )
        for id_, result in results.items():
            said = result if isinstance(result, Exception) else "payment notice"
            for one in by_id[id_]:
                outcomes[one.happening.event_id].note(said)
        return {id_: result for id_, result in results.items() if isinstance(result, Job)}

    async def _linked(self, due: Mapping[str, Due]) -> Mapping[str, str]:
        """The contacts of those whose customer is linked to one, by the same keys."""
        tenants: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for id_, one in due.items():
            customer = _invoice(one).customer
            if customer is not None:
                tenants[one.connection.account, one.connection.stripe_account][id_] = customer
        contacts = {}
        for (account, stripe_account), customers in tenants.items():
            wanted = sorted(set(customers.values()))
            links = await self._contacts.links(account, stripe_account, wanted)
            for id_, customer in customers.items():
                if customer in links:
                    contacts[id_] = links[customer].contact
        return contacts

    async def _post(self, id_: str, one: Due, contact: str) -> Job:
        invoice, account, now = _invoice(one), one.connection.account, self._clock.now()
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


def _above_zero(fact: Fact) -> bool:
    paid = fact.name is FactName.INVOICE_PAID
    return paid and fact.amount is not None and fact.amount.amount > 0


def _invoice(one: Due) -> Invoice:
    if isinstance(one.happening.object, Invoice):
        return one.happening.object
    raise TypeError("only an invoice is paid")
