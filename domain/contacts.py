"""Contacts of the CRM: how customers at Stripe become and change them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.customers import Customer

FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_FIELDS: Final = 50

_RESERVED: Final = re.compile(r"id|account|billing(_.*)?")
_SIMPLE: Final = ("email", "name", "phone", "description", "currency")
_ADDRESS: Final = ("line1", "line2", "city", "state", "postal_code", "country")
_METADATA: Final = "metadata."
_MIN_PHONE_DIGITS: Final = 7

SOURCES: Final = (*_SIMPLE, *(f"address.{part}" for part in _ADDRESS))
"""What of a customer a contact's field may be filled from; `metadata.<key>` besides."""


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
    no contact matches becomes a new contact.
    """

    account: str
    mapping: Mapping[str, str]
    create: bool = False

    def __post_init__(self) -> None:
        if not self.account:
            raise ValueError("account: must not be empty")
        if len(self.mapping) > MAX_FIELDS:
            raise ValueError(f"mapping: at most {MAX_FIELDS} fields")
        for name, source in self.mapping.items():
            if not FIELD.fullmatch(name) or _RESERVED.fullmatch(name):
                raise ValueError("mapping: fields of letters, digits and _, none of Billing's own")
            if source not in SOURCES and not _is_metadata(source):
                raise ValueError(f"mapping: sources are {', '.join(SOURCES)} and metadata.<key>")

    def fields_of(self, customer: Customer) -> dict[str, str]:
        """What the contact's fields are to be. Where the customer has no value there is none.

        So a value that somebody has entered in the CRM is not wiped by one that Stripe never had.
        """
        found = {name: _value(customer, source) for name, source in self.mapping.items()}
        return {name: value for name, value in found.items() if value}


def email_forms(email: str | None) -> tuple[str, ...]:
    """How an address may be spelled in the CRM: as it is, and in lower case."""
    return tuple(dict.fromkeys((email, email.lower()))) if email else ()


def phone_forms(phone: str | None) -> tuple[str, ...]:
    """How a number may be spelled in the CRM: as it is, its digits, and those behind a plus.

    Too few digits to be anybody's number have no form.
    """
    digits = "".join(character for character in phone or "" if character in "0123456789")
    if not phone or len(digits) < _MIN_PHONE_DIGITS:
        return ()
    return tuple(dict.fromkeys((phone, digits, f"+{digits}")))


def contact_id_for(stripe_account: str, customer: str) -> str:
    """The id of the contact that a customer becomes: the same for whoever makes it."""
    return f"stripe-{stripe_account}-{customer}"


def _is_metadata(source: str) -> bool:
    return source.startswith(_METADATA) and 0 < len(source) - len(_METADATA) <= 40


def _value(customer: Customer, source: str) -> str | None:
    if source.startswith(_METADATA):
        return customer.metadata.get(source.removeprefix(_METADATA))
    head, _, part = source.partition(".")
    found = getattr(customer, head)
    if part:
        found = getattr(found, part) if found is not None else None
    return None if found is None else str(found)
