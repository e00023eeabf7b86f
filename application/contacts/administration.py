"""Keeping contacts where no CRM does: for operators, in the embedded setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.accounts.ports import Accounts
from application.connections.ports import ConnectionRepository
from application.contacts.ports import ContactDirectory
from application.contacts.violations import contact_id_violations
from application.requests.violations import EMAIL, refuse
from domain.connections import Mode
from domain.contacts import FIELD, Contact, ContactField, is_writable
from domain.errors import FieldViolation, NotFound

PAGE: Final = 100
MAX_VALUE_CHARACTERS: Final = 512


@dataclass(frozen=True, slots=True)
class KnownContact:
    """A contact, and the customer that it is linked to ("": none)."""

    contact: Contact
    customer: str


class ContactAdministration:
    """Adds, lists and shows contacts. All methods raise NotFound for an unknown account."""

    def __init__(
        self,
        contacts: ContactDirectory,
        accounts: Accounts,
        connections: ConnectionRepository,
        mode: Mode,
    ) -> None:
        self._contacts = contacts
        self._accounts = accounts
        self._connections = connections
        self._mode = mode

    async def add(
        self, account: str, contact_id: str, fields: Mapping[str, str]
    ) -> Sequence[KnownContact]:
        """Add a contact; fields without a value are left out.

        One that is there with the same fields is left as it is. Raises InvalidArgument,
        AlreadyExists (the id with other fields).
        """
        await self._check(account)
        given = {name: value for name, value in fields.items() if value}
        refuse(chain(contact_id_violations(contact_id, "contact"), _violations(given)))
        contact = Contact(contact_id, account, given)
        if await self._contacts.get(account, contact_id) != contact:
            await self._contacts.add(contact)
        return await self.show(account, contact_id)

    async def add_field(self, account: str, name: str, label: str) -> Sequence[ContactField]:
        """Add a field of the account's own, or name it anew; all of those then."""
        await self._check(account)
        if not is_writable(name):
            refuse([FieldViolation("name", f"as {FIELD.pattern}, and none of Billing's own")])
        await self._contacts.put_field(account, ContactField(name, label or name, custom=True))
        return await self._contacts.custom_fields(account)

    async def list(self, account: str, *, after: str = "") -> Sequence[KnownContact]:
        """A hundred contacts from after an id."""
        await self._check(account)
        found = await self._contacts.list_all(account, after=after, limit=PAGE)
        return [await self._known(one) for one in found]

    async def show(self, account: str, contact_id: str) -> Sequence[KnownContact]:
        """One contact. NotFound where there is none."""
        await self._check(account)
        found = await self._contacts.get(account, contact_id)
        if found is None:
            raise NotFound("contact", contact_id)
        return [await self._known(found)]

    async def _known(self, contact: Contact) -> KnownContact:
        connection = await self._connections.get(contact.account, self._mode)
        if connection is None:
            return KnownContact(contact, "")
        link = await self._contacts.link_of(contact.account, connection.stripe_account, contact.id)
        return KnownContact(contact, link.customer if link else "")

    async def _check(self, account: str) -> None:
        if await self._accounts.get(account) is None:
            raise NotFound("account", account)


def _violations(fields: Mapping[str, str]) -> Sequence[FieldViolation]:
    rule = f"at most {MAX_VALUE_CHARACTERS} characters"
    violations = [
        FieldViolation(name, rule)
        for name, value in fields.items()
        if len(value) > MAX_VALUE_CHARACTERS
    ]
    if "email" in fields and not EMAIL.fullmatch(fields["email"]):
        violations.append(FieldViolation("email", "an address such as name@example.com"))
    return violations
