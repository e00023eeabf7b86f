"""Contacts of the CRM, and which customer at Stripe each of them is."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.contacts import Contact, ContactField, ContactSync

MAX_MATCHES: Final = 50
"""How many contacts of one address, or of one number, are looked at."""

MAX_SPELLINGS: Final = 10
MAX_CUSTOM_FIELDS: Final = 1_000


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

    Where the row's version stands (`Version.place`), the later end first, then its revision.
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

    async def put_sync_settings(self, settings: ContactSync) -> bool:
        """Store settings in place of those of the revision before (1: of none), durably.

        False, and nothing written, where others stand.
        """
        ...

    async def custom_fields(self, account: str) -> Sequence[ContactField]:
        """The fields that the account's CRM has beside the standard ones, by name.

        At most MAX_CUSTOM_FIELDS, and only those whose names Billing can write (`FIELD`).
        """
        ...

    async def put_field(self, account: str, field: ContactField) -> None:
        """Keep a custom field in place of the one of its name, durably."""
        ...

    async def add(self, contact: Contact) -> None:
        """Make a contact, durably. Raises AlreadyExists for an id that the account has."""
        ...

    async def list_all(self, account: str, *, after: str, limit: int) -> Sequence[Contact]:
        """An account's contacts in order of id, from after an id."""
        ...

    async def get(self, account: str, contact: str) -> Contact | None:
        """A contact with all its text fields, or None."""
        ...

    async def with_email(self, account: str, email: str, *, limit: int) -> Sequence[Contact]:
        """Contacts whose `email` is this one but for the case of its letters, by id.

        At most `limit` (1 to MAX_MATCHES), which are then any of them.
        """
        ...

    async def with_phone(
        self, account: str, spellings: Sequence[str], *, limit: int
    ) -> Sequence[Contact]:
        """Contacts whose `phone` is spelled in one of these ways (10 at most), as `with_email`.

        Equal spellings are no proof: the caller compares the numbers.
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

    async def link_of(self, account: str, stripe_account: str, contact: str) -> ContactLink | None:
        """The link of a contact to a customer of a Stripe account, or None."""
        ...

    async def linked(
        self, account: str, stripe_account: str, contacts: Sequence[str]
    ) -> frozenset[str]:
        """Those of the contacts that are linked to a customer. At most 1,000."""
        ...

    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        """Remove a customer's link, durably. Whether there was one."""
        ...
