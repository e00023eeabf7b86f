"""Contacts of the CRM, and which customer at Stripe each of them is."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.contacts import Contact, ContactSync


@dataclass(frozen=True, slots=True)
class ContactLink:
    """The link of a customer at Stripe to a contact: one to one within a connection."""

    account: str
    stripe_account: str
    customer: str
    contact: str
    linked_at: dt.datetime


@dataclass(frozen=True, slots=True, order=True)
class SourceVersion:
    """How new the customer was from whose mirrored row a contact was filled.

    The bounds of the row's version, the later end first, then its revision.
    """

    high: int
    low: int
    revision: int


class ContactDirectory(Protocol):
    """Reads and fills contacts, which belong to the CRM, and keeps their links, which are ours.

    The boundary is here so that the CRM may be a collection in the same database or a service.
    Only the fields named are ever written; others of a contact are left alone. Raises Unavailable
    (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def sync_settings(self, account: str) -> ContactSync | None:
        """How the account wants its customers synced; None: not at all."""
        ...

    async def put_sync_settings(self, settings: ContactSync) -> None:
        """Store an account's settings in place of its earlier ones, durably."""
        ...

    async def get(self, account: str, contact: str) -> Contact | None:
        """A contact with all its text fields, or None."""
        ...

    async def find(
        self, account: str, *, emails: Sequence[str], phones: Sequence[str]
    ) -> Contact | None:
        """The contact with one of the `email`s, else of the `phone`s; of several the lowest id.

        The spellings are compared exactly.
        """
        ...

    async def fill(
        self, account: str, contact: str, fields: Mapping[str, str], version: SourceVersion,
        *, stripe_account: str, create: bool,
    ) -> bool:  # fmt: skip
        """Set fields of a contact, unless it was filled from a later version of that connection's.

        With `create` a contact that is not there is made. Whether it was written. Atomic,
        idempotent and durable.
        """
        ...

    async def link(self, link: ContactLink) -> ContactLink | None:
        """Keep a link, durably; returns the customer's link as it then stands.

        A customer that is linked stays so. None where the contact is linked to another customer of
        the same Stripe account.
        """
        ...

    async def links(
        self, account: str, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, ContactLink]:
        """The links of customers, by customer; those without left out. At most 1,000."""
        ...

    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        """Remove a customer's link, durably. Whether there was one."""
        ...
