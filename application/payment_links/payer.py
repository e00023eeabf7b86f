"""Payers: what Stripe is told of a contact of the CRM, and by what it is found there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.contacts.phones import PhoneNumbers
from application.requests.violations import EMAIL
from domain.contacts import Contact, ContactSync, email_forms, is_same_address
from domain.customers import Customer

_MAX_EMAIL_CHARACTERS: Final = 512
_MAX_NAME_CHARACTERS: Final = 256
_MAX_PHONE_CHARACTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Payer:
    """A contact as a customer. None: the CRM has nothing there that Stripe would take."""

    email: str | None
    name: str | None
    phone: str | None

    @property
    def email_forms(self) -> Sequence[str]:
        """How Stripe is asked for the address, which tells upper and lower case apart."""
        return email_forms(self.email)

    def has_email_of(self, customer: Customer) -> bool:
        """Whether the customer has this address, whatever the case of its letters."""
        return is_same_address(customer.email, self.email)

    def has_phone_of(self, customer: Customer, phones: PhoneNumbers, region: str) -> bool:
        """Whether the customer has this number, however it is written."""
        number = phones.e164(self.phone, region)
        return number is not None and phones.e164(customer.phone, region) == number


def payer_of(contact: Contact, sync: ContactSync | None) -> Payer:
    """The payer that a contact is.

    Its values stand in the fields that the account's customers are synced to, else in those that
    bear a customer's names.
    """
    email, name, phone = (_value(contact, sync, source) for source in ("email", "name", "phone"))
    takes_email = EMAIL.fullmatch(email) and len(email) <= _MAX_EMAIL_CHARACTERS
    return Payer(
        email=email if takes_email else None,
        name=name[:_MAX_NAME_CHARACTERS] or None,
        phone=phone if 0 < len(phone) <= _MAX_PHONE_CHARACTERS else None,
    )


def _value(contact: Contact, sync: ContactSync | None, source: str) -> str:
    synced = [name for name, one in (sync.mapping if sync else {}).items() if one == source]
    values = (contact.fields.get(name, "").strip() for name in (*synced, source))
    return next((value for value in values if value), "")
