"""Matching: which contact of the CRM a customer at Stripe is."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from application.background.clock import Clock
from application.contacts.phones import PhoneNumbers
from application.contacts.ports import MAX_MATCHES, ContactDirectory, ContactLink
from application.mirror.nouns import CUSTOMERS, STRIPE_ACCOUNTS
from application.mirror.ports import Mirror
from domain.connections import Connection
from domain.contacts import CONTACT_KEY, Contact, customer_of, is_same_address
from domain.customers import Customer

_MIN_DIGITS: Final = 7
"""What has fewer, its country's code among them, is no number of anybody's."""


class ContactMatching:
    """Finds the contact that a customer is, and links the two.

    The one for whom Billing has made it comes first; then by mail address, whatever the case of its
    letters, then by phone number, however it is written; not where the two have addresses that
    differ, since a number may be shared. Of several contacts the lowest id that is nobody else's
    counts; MAX_MATCHES of one address, and of one number, are looked at.
    """

    def __init__(
        self, contacts: ContactDirectory, mirror: Mirror, phones: PhoneNumbers, clock: Clock
    ) -> None:
        self._contacts = contacts
        self._mirror = mirror
        self._phones = phones
        self._clock = clock

    async def region(self, stripe_account: str) -> str:
        """The country of a Stripe account, where numbers without a country's code belong.

        Empty where the mirror does not know it.
        """
        rows = await self._mirror.fetch(STRIPE_ACCOUNTS, stripe_account, [stripe_account])
        row = rows.get(stripe_account)
        found = row.snapshot.object if row and row.snapshot else None
        return (found.country if found else None) or ""

    async def link(
        self, connection: Connection, customer: Customer, region: str
    ) -> ContactLink | None:
        """Link a customer, who has no link, to the contact that it is; the link as it then stands.

        None where no free contact matches.
        """
        by_phone = partial(self._by_phone, region=region)
        for match in (self._by_name, self._by_email, by_phone):
            matches = await match(connection.account, customer)
            for contact in await self._free(connection, customer, matches):
                standing = await self.keep(connection, customer.id, contact.id)
                if standing is not None:
                    return standing
        return None

    async def keep(self, connection: Connection, customer: str, contact: str) -> ContactLink | None:
        """Link a customer to a contact; see `ContactDirectory.link`."""
        now = self._clock.now()
        return await self._contacts.link(
            ContactLink(connection.account, connection.stripe_account, customer, contact, now)
        )

    async def _by_name(self, account: str, customer: Customer) -> Sequence[Contact]:
        """The contact that its metadata names: others may have the same address."""
        named = customer.metadata.get(CONTACT_KEY, "")
        found = await self._contacts.get(account, named) if named else None
        return [] if found is None else [found]

    async def _by_email(self, account: str, customer: Customer) -> Sequence[Contact]:
        if not customer.email:
            return []
        found = await self._contacts.with_email(account, customer.email, limit=MAX_MATCHES)
        return [one for one in found if is_same_address(one.fields.get("email"), customer.email)]

    async def _by_phone(
        self, account: str, customer: Customer, *, region: str
    ) -> Sequence[Contact]:
        number = self._phones.e164(customer.phone, region)
        if number is None or len(number) <= _MIN_DIGITS:
            return []
        spellings = self._phones.spellings(customer.phone, region)
        found = await self._contacts.with_phone(account, spellings, limit=MAX_MATCHES)
        # Two countries may spell two numbers alike, and two people may share one.
        return [
            one
            for one in found
            if self._phones.e164(one.fields.get("phone"), region) == number
            and not _has_another_address(one, customer)
        ]

    async def _free(
        self, connection: Connection, customer: Customer, matches: Sequence[Contact]
    ) -> Sequence[Contact]:
        """Those that are linked to no customer of the connection, nor about to be.

        A contact is made of a customer before it is linked to it. One that matches in between, of
        the same address maybe, is not to be taken from that customer, who could have no other.
        """
        if not matches:
            return []
        account, stripe_account = connection.account, connection.stripe_account
        linked = await self._contacts.linked(account, stripe_account, [one.id for one in matches])
        made_of = {one.id: customer_of(one.id, account, stripe_account) for one in matches}
        others = sorted({id_ for id_ in made_of.values() if id_ and id_ != customer.id})
        rows = await self._mirror.fetch(CUSTOMERS, stripe_account, others) if others else {}
        theirs = {id_ for id_, row in rows.items() if row.snapshot and not row.snapshot.deleted}
        return [one for one in matches if one.id not in linked and made_of[one.id] not in theirs]


def _has_another_address(contact: Contact, customer: Customer) -> bool:
    address = contact.fields.get("email")
    return bool(address and customer.email) and not is_same_address(address, customer.email)
