"""Which customer at Stripe a contact of the CRM is: found or else made, one at a time a contact."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.background.leases import Leases, pause
from application.contacts.matching import ContactMatching
from application.contacts.phones import PhoneNumbers
from application.contacts.ports import ContactDirectory, ContactLink
from application.customers.lookup import CustomerLookup
from application.customers.ports import CustomerFields, CustomerGateway
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Mirror
from application.mutations.failures import is_definite
from application.mutations.steps import Steps, shown
from application.mutations.stripe import REQUEST_TAG
from application.payment_links.payer import Payer, payer_of
from domain.contacts import CONTACT_KEY, is_same_address
from domain.customers import Customer
from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
)
from domain.search import digits_of, readings_of

CREATE: Final = "create_customer"
"""The step that makes the customer."""

WAIT_SECONDS: Final = 10.0
"""How long a request waits for another one that settles the same contact."""

_MOST_FOUND: Final = 100


@dataclass(frozen=True, slots=True)
class SettledCustomer:
    """The live customer that a contact is linked to. `created`: by this very mutation."""

    id: str
    created: bool


class CustomerOfContact:
    """Settles which customer a contact is.

    A customer is sought by the contact's link, then by address in the mirror and at Stripe; by
    number in the mirror only for a contact without an address, since a number may be shared, and
    the bill would be another one's. Each is read at Stripe before it is taken. One that is linked
    to another contact is not taken, nor one without an address, to which Stripe issues no invoices.
    """

    def __init__(
        self,
        contacts: ContactDirectory,
        matching: ContactMatching,
        mirror: Mirror,
        lookup: CustomerLookup,
        gateway: CustomerGateway,
        phones: PhoneNumbers,
        leases: Leases,
        clock: Clock,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._contacts = contacts
        self._matching = matching
        self._mirror = mirror
        self._lookup = lookup
        self._gateway = gateway
        self._phones = phones
        self._leases = leases
        self._clock = clock
        self._wait_seconds = wait_seconds

    async def settle(self, steps: Steps, contact_id: str) -> SettledCustomer:
        """The contact's customer, linked to it from now on.

        Run again after a crash or a lost answer, it goes on where it was. Raises NotFound for a
        contact that is not the account's, InvalidArgument where neither contact nor customer has an
        address, Conflict (REQUEST_IN_FLIGHT) where another request has been at it for too long.
        """
        contact = await self._contacts.get(steps.account, contact_id)
        if contact is None:
            raise NotFound("contact", contact_id)
        payer = payer_of(contact, await self._contacts.sync_settings(steps.account))
        loop = asyncio.get_running_loop()
        end, tries = loop.time() + self._wait_seconds, 0
        while True:
            customer = await self._linked(steps, contact_id)
            customer = customer or await self._settle_alone(steps, contact_id, payer)
            if customer is not None:
                break
            if loop.time() > end:
                raise _in_flight()
            await pause(tries)
            tries += 1
        if not customer.email:
            raise _no_email()
        # By its tag, not by the step: a later run finds it linked already.
        return SettledCustomer(customer.id, customer.metadata.get(REQUEST_TAG) == steps.tag(CREATE))

    async def _settle_alone(self, steps: Steps, contact: str, payer: Payer) -> Customer | None:
        """Find or make the customer under the lease; None where somebody else has that.

        It is kept while nobody knows whether Stripe has made one: only this mutation, carried on,
        can tell, and another one would make a second.
        """
        lease = _lease(steps, contact)
        try:
            if not await self._leases.take(steps.stripe_account, *lease):
                return None
            customer = await self._find_or_create(steps, contact, payer)
        except BaseException as error:
            settled = isinstance(error, BillingError) and is_definite(error)
            if settled or not steps.was_sent(CREATE):
                await self._leases.release(steps.stripe_account, *lease)
            raise
        await self._leases.release(steps.stripe_account, *lease)
        return customer

    async def _find_or_create(self, steps: Steps, contact: str, payer: Payer) -> Customer:
        linked = await self._linked(steps, contact)  # somebody may have come first
        if linked is not None:
            return linked
        if not steps.was_sent(CREATE):
            async for found in self._candidates(steps, payer):
                standing = await self._link(steps, found.id, contact)
                if standing is not None and standing.contact == contact:
                    return found
            linked = await self._linked(steps, contact)  # an event may have linked it meanwhile
            if linked is not None:
                return linked
            if payer.email is None:
                raise _no_email()
        return await self._create(steps, contact, payer)

    async def _create(self, steps: Steps, contact: str, payer: Payer) -> Customer:
        fields = CustomerFields(
            payer.email, payer.name, payer.phone, metadata={CONTACT_KEY: contact}
        )
        made = await steps.call(
            CREATE, CUSTOMERS, fields, self._gateway.create, self._gateway.find_created
        )
        customer = shown(CUSTOMERS, made)
        standing = await self._link(steps, made.id, contact)
        if standing is not None and standing.contact == contact:
            return customer
        if standing is not None:
            raise AlreadyExists(
                Reason.CUSTOMER_LINKED,
                "somebody has linked the new customer to another contact",
                metadata={"contact": standing.contact},
            )
        linked = await self._linked(steps, contact)
        if linked is None:
            raise _in_flight()
        return linked

    async def _linked(self, steps: Steps, contact: str) -> Customer | None:
        """The live customer that the contact is linked to; the link to a deleted one is undone."""
        link = await self._contacts.link_of(steps.account, steps.stripe_account, contact)
        if link is None:
            return None
        customer = await _live(steps, link.customer)
        if customer is None:
            await self._contacts.unlink(steps.account, steps.stripe_account, link.customer)
        return customer

    async def _link(self, steps: Steps, customer: str, contact: str) -> ContactLink | None:
        link = ContactLink(
            steps.account, steps.stripe_account, customer, contact, self._clock.now()
        )
        return await self._contacts.link(link)

    async def _candidates(self, steps: Steps, payer: Payer) -> AsyncIterator[Customer]:
        """Customers that the payer may be, live, with an address and nobody else's; best first."""
        for found in await self._free(steps, await self._mirrored_by_email(steps, payer)):
            customer = await _live(steps, found.id)
            if customer is not None and payer.has_email_of(customer):
                yield customer
        for form in payer.email_forms:
            listed = await self._lookup.by_email(steps.stripe_account, form)
            for customer in await self._free(steps, listed):
                if payer.has_email_of(customer):
                    yield customer
        if payer.email is None:
            for customer in await self._by_phone(steps, payer):
                yield customer

    async def _by_phone(self, steps: Steps, payer: Payer) -> Sequence[Customer]:
        """Those of the payer's number, if all have one address; else nobody knows whose it is."""
        region = await self._matching.region(steps.stripe_account)
        found = []
        for one in await self._free(steps, await self._mirrored_by_phone(steps, payer, region)):
            customer = await _live(steps, one.id)
            same = customer is not None and payer.has_phone_of(customer, self._phones, region)
            if customer is not None and same and customer.email:
                found.append(customer)
        same_address = all(is_same_address(one.email, found[0].email) for one in found)
        return found if same_address else []

    async def _mirrored_by_email(self, steps: Steps, payer: Payer) -> Sequence[Customer]:
        readings = readings_of(payer.email or "")
        return [one for one in await self._search(steps, readings) if payer.has_email_of(one)]

    async def _mirrored_by_phone(
        self, steps: Steps, payer: Payer, region: str
    ) -> Sequence[Customer]:
        forms = self._phones.spellings(payer.phone, region)
        numbers = dict.fromkeys(digits_of(form) for form in forms)
        found = [one for number in numbers for one in await self._search(steps, [[number]])]
        same = [one for one in found if payer.has_phone_of(one, self._phones, region)]
        return list({one.id: one for one in same}.values())

    async def _search(self, steps: Steps, readings: Sequence[Sequence[str]]) -> Sequence[Customer]:
        """Customers of the mirror by the beginnings of words, newest first."""
        if not readings:
            return []
        page = await self._mirror.search(
            CUSTOMERS, steps.stripe_account, readings, after=None, limit=_MOST_FOUND
        )
        found = [row.snapshot.object for row in page.rows if row.snapshot]
        return [one for one in found if one is not None]

    async def _free(self, steps: Steps, customers: Sequence[Customer]) -> Sequence[Customer]:
        """Those that are linked to no contact yet."""
        links = await self._contacts.links(
            steps.account, steps.stripe_account, [one.id for one in customers]
        )
        return [one for one in customers if one.id not in links]


async def _live(steps: Steps, customer: str) -> Customer | None:
    """The customer as Stripe has it; None for one that is deleted, or that there never was."""
    try:
        return await steps.standing(CUSTOMERS, customer)
    except NotFound:
        return None


def _lease(steps: Steps, contact: str) -> tuple[str, str]:
    """The lease's name, and who takes it: the mutation, in whichever run."""
    return f"contact/{steps.account}/{contact}", steps.tag(CREATE)


def _in_flight() -> Conflict:
    return Conflict(
        Reason.REQUEST_IN_FLIGHT,
        "another request is looking for the contact's customer; call again",
    )


def _no_email() -> InvalidArgument:
    rule = "must have an email address, or its customer must: Stripe issues no invoice without one"
    return InvalidArgument([FieldViolation("contact", rule)])
