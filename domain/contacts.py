"""Contacts of the CRM: how customers at Stripe become and change them."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from domain.customers import Customer
from domain.ids import UTF8, spellings

CONTACT_KEY: Final = "billing_contact"
"""The key of metadata at Stripe that names the contact for whom a customer or invoice was made."""

CONTACT_ID: Final = re.compile(r"[!-~]{1,255}")
"""What the CRM's ids are, and those that we give."""

FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_FIELDS: Final = 50

_RESERVED: Final = re.compile(r"id|account|billing(_.*)?")
_SIMPLE: Final = ("email", "name", "phone", "description", "currency")
_ADDRESS: Final = ("line1", "line2", "city", "state", "postal_code", "country")
_METADATA: Final = "metadata."

SOURCES: Final = (*_SIMPLE, *(f"address.{part}" for part in _ADDRESS))
"""What of a customer a contact's field may be filled from; `metadata.<key>` besides."""

SOURCE_RULE: Final = f"must be one of {', '.join(SOURCES)} or metadata.<key>"


@dataclass(frozen=True, slots=True)
class ContactField:
    """A field that contacts have. `custom`: by the account's own wish, else in every CRM."""

    name: str
    label: str
    custom: bool = False


STANDARD_FIELDS: Final = (
    ContactField("name", "Name"),
    ContactField("first_name", "First name"),
    ContactField("last_name", "Last name"),
    ContactField("email", "Email"),
    ContactField("phone", "Phone"),
    ContactField("company", "Company"),
    ContactField("website", "Website"),
    ContactField("address_line1", "Address line 1"),
    ContactField("address_line2", "Address line 2"),
    ContactField("city", "City"),
    ContactField("state", "State"),
    ContactField("postal_code", "Postal code"),
    ContactField("country", "Country"),
    ContactField("description", "Description"),
)
"""The fields of every contact."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or business in an account's CRM. `fields` are those that Billing reads or writes."""

    id: str
    account: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id or not self.account:
            raise ValueError("id, account: must not be empty")


@dataclass(frozen=True, slots=True)
class ContactSync:
    """How an account wants its customers in its CRM.

    `mapping` names, for a contact's field, the customer's (see SOURCES). `create`: a customer whom
    no contact matches becomes a new contact. `revision` grows by one with each change; 0 stands for
    settings that were never made.
    """

    account: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    create: bool = False
    revision: int = 1

    def __post_init__(self) -> None:
        if not self.account:
            raise ValueError("account: must not be empty")
        if len(self.mapping) > MAX_FIELDS:
            raise ValueError(f"mapping: at most {MAX_FIELDS} fields")
        for name, source in self.mapping.items():
            if not is_writable(name):
                raise ValueError("mapping: fields of letters, digits and _, none of Billing's own")
            if not is_source(source):
                raise ValueError(f"mapping: {SOURCE_RULE}")
        if self.create and not self.mapping:
            raise ValueError("create: needs a mapping, else new contacts would be empty")

    @property
    def etag(self) -> str:
        """Another one for each revision of each account's settings."""
        return hashlib.sha256(f"{self.account}/{self.revision}".encode()).hexdigest()[:16]

    def fields_of(self, customer: Customer) -> dict[str, str]:
        """What the contact's fields are to be. Where the customer has no value there is none.

        So a value that somebody has entered in the CRM is not wiped by one that Stripe never had.
        """
        found = {name: _value(customer, source) for name, source in self.mapping.items()}
        return {name: value for name, value in found.items() if value}


def folded(email: str) -> str:
    """An address as it is looked up: all that `is_same_address` takes for equal are then equal."""
    return email.casefold()


def is_same_address(one: str | None, other: str | None) -> bool:
    """Whether two addresses are one mailbox: equal, but for the case of their letters.

    Folded case (Unicode Standard, section 3.13) takes for equal what are mailboxes of two people:
    `strasse@` and `straße@`, or a `k` and the Kelvin sign.
    """
    if not one or not other or one.isascii() != other.isascii():
        return False
    return one.lower() == other.lower()


def email_forms(email: str | None) -> tuple[str, ...]:
    """How an address is asked for where cases are told apart: as it is, and in lower case."""
    return tuple(dict.fromkeys((email, email.lower()))) if email else ()


def contact_id_for(account: str, stripe_account: str, customer: str) -> str:
    """The id of the contact that a customer becomes: the same for whoever makes it.

    It is the account's own, for the Stripe account may become another's, and its contacts not. And
    it is one customer's: where the last `acct_` stands, the Stripe account begins.
    """
    named = [
        f"stripe{mark}-{account}-{stripe_account}-{text}"
        for mark, text in spellings(customer)
        if "acct_" not in text
    ]
    return next(filter(CONTACT_ID.fullmatch, named), named[-1])


def customer_of(contact: str, account: str, stripe_account: str) -> str | None:
    """The customer that a contact was made of, by `contact_id_for`; None for one of the CRM's own.

    Where the id holds the customer's only as a digest, that stands for it: nobody has such an id.
    """
    for mark, _ in spellings(""):
        prefix = f"stripe{mark}-{account}-{stripe_account}-"
        if contact.startswith(prefix):
            text = contact.removeprefix(prefix)
            return unquote(text) if mark == UTF8 else text
    return None


def is_writable(name: str) -> bool:
    """Whether Billing may write a contact's field of this name."""
    return FIELD.fullmatch(name) is not None and not _RESERVED.fullmatch(name)


def is_source(source: str) -> bool:
    """Whether a contact's field may be filled from it: see SOURCES."""
    key = source.removeprefix(_METADATA)
    return source in SOURCES or (key != source and 0 < len(key) <= 40 and "\0" not in key)


def _value(customer: Customer, source: str) -> str | None:
    if source.startswith(_METADATA):
        return customer.metadata.get(source.removeprefix(_METADATA))
    head, _, part = source.partition(".")
    found = getattr(customer, head)
    if part:
        found = getattr(found, part) if found is not None else None
    return None if found is None else str(found)
