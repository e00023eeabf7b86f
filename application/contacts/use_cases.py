"""Contact links: which contact of the CRM each customer is, and how contacts are filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.connections.use_cases import Connections
from application.contacts.fields import FIELDS, MappingFields
from application.contacts.ports import ContactDirectory, ContactLink
from application.contacts.violations import contact_id_violations, mapping_violations
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from application.mirror.reader import MirrorReader
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import CUSTOMER_ID, id_violations, refuse
from domain.contacts import STANDARD_FIELDS, ContactField, ContactSync
from domain.customers import Customer
from domain.errors import AlreadyExists, Conflict, FieldViolation, InvalidArgument, NotFound, Reason
from domain.mirror import Row
from domain.periods import to_milliseconds

MAX_SCANNED: Final = 1_000
"""How many customers one page of unlinked ones looks at."""

_BLOCK: Final = 200
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """A customer and a contact."""

    customer: str
    contact: str


@dataclass(frozen=True, slots=True)
class Unlinking:
    """The end of a customer's link."""

    customer: str


@dataclass(frozen=True, slots=True)
class MappingChange:
    """A change of an account's mapping; None leaves a part alone. Empty `etag`: whatever it has."""

    fields: Mapping[str, str] | None
    create: bool | None
    etag: str


class ContactLinks:
    """Links customers to contacts one by one, and keeps how an account's contacts are filled."""

    def __init__(
        self,
        contacts: ContactDirectory,
        mirror: Mirror,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        page_tokens: PageTokens,
    ) -> None:
        self._contacts = contacts
        self._mirror = mirror
        self._reader = reader
        self._connections = connections
        self._page_tokens = page_tokens
        self._link = mutations.method(
            "ContactLinkService.LinkContact", Pair, ContactLink, self._link_steps
        )
        self._unlink = mutations.method(
            "ContactLinkService.UnlinkContact", Unlinking, Unlinking, self._unlink_steps
        )
        self._update_mapping = mutations.method(
            "ContactLinkService.UpdateContactMapping",
            MappingChange,
            ContactSync,
            self._update_mapping_steps,
            connected=False,
        )

    async def link(
        self, caller: Caller, request_id: str, customer: str, contact: str
    ) -> ContactLink:
        """Link a customer to a contact; both must exist. Finding them linked is success.

        Raises NotFound, AlreadyExists (CUSTOMER_LINKED, CONTACT_LINKED).
        """
        refuse(
            chain(
                request_id_violations(request_id),
                id_violations(customer, "customer", CUSTOMER_ID),
                contact_id_violations(contact, "contact"),
            )
        )
        return await self._link.run(caller, request_id, Pair(customer, contact))

    async def unlink(self, caller: Caller, request_id: str, customer: str) -> None:
        """Remove a customer's link; finding none is success. NotFound for an unknown customer."""
        customer_violations = id_violations(customer, "customer", CUSTOMER_ID)
        refuse(chain(request_id_violations(request_id), customer_violations))
        await self._unlink.run(caller, request_id, Unlinking(customer))

    async def get(self, caller: Caller, *, customer: str = "", contact: str = "") -> ContactLink:
        """The link of a customer or of a contact, whichever is given. NotFound without one."""
        refuse(
            id_violations(customer, "customer", CUSTOMER_ID)
            if customer or not contact
            else contact_id_violations(contact, "contact")
        )
        stripe_account = (await self._connections.of(caller)).stripe_account
        if customer:
            links = await self._contacts.links(caller.account, stripe_account, [customer])
            link = links.get(customer)
        else:
            link = await self._contacts.link_of(caller.account, stripe_account, contact)
        if link is None:
            raise NotFound("contact link", customer or contact)
        return link

    async def list_unlinked(
        self, caller: Caller, *, page_size: int, page_token: str
    ) -> Page[Customer]:
        """A page of the mirror's customers that have no link, newest first.

        It looks at MAX_SCANNED customers at most, so it may be short, or empty, before the last.
        """
        refuse(page_size_violations(page_size))
        stripe_account = (await self._connections.of(caller)).stripe_account
        scope = digest("unlinked customers", caller.account, stripe_account)
        size = page_size or DEFAULT_PAGE_SIZE
        unlinked: list[Customer] = []
        place, scanned = self._page_tokens.read(page_token, scope), 0
        while scanned < MAX_SCANNED:
            page = await self._mirror.list(
                CUSTOMERS, stripe_account, Filter(), order=NEWEST_FIRST, after=place, limit=_BLOCK
            )
            customers = _customers(page.rows)
            links = await self._contacts.links(
                caller.account, stripe_account, [customer.id for customer in customers]
            )
            for customer in customers:
                if len(unlinked) == size:
                    return Page(unlinked, self._page_tokens.write(scope, place))
                if customer.id not in links:
                    unlinked.append(customer)
                place = Position(to_milliseconds(customer.created), customer.id)
            scanned += len(customers)
            if page.next is None:
                return Page(unlinked, "")
            place = page.next
        return Page(unlinked, self._page_tokens.write(scope, place))

    async def fields(self, caller: Caller) -> Sequence[ContactField]:
        """The fields that the account's contacts have: the standard ones, then its own by name."""
        standard = {field.name for field in STANDARD_FIELDS}
        custom = await self._contacts.custom_fields(caller.account)
        return [*STANDARD_FIELDS, *(field for field in custom if field.name not in standard)]

    async def mapping(self, caller: Caller) -> ContactSync:
        """How the account's contacts are filled; an empty mapping where it was never said."""
        return await self._settings(caller.account)

    async def update_mapping(
        self,
        caller: Caller,
        request_id: str,
        change: MappingChange,
        mask: Sequence[str],
    ) -> ContactSync:
        """Change the parts of the mapping that `mask` names (empty: all that are set).

        Raises InvalidArgument that names each bad entry, Conflict (ETAG_MISMATCH). Finding it as it
        is to be is success.
        """
        values = MappingFields(change.fields or None, change.create or None)
        known = {field.name for field in await self.fields(caller)}
        refuse(
            chain(
                request_id_violations(request_id),
                FIELDS.mask_violations(values, mask),
                mapping_violations(change.fields or {}, known),
            )
        )
        written = FIELDS.masked(values, mask)
        change = MappingChange(written.fields, written.create_contacts, change.etag)
        return await self._update_mapping.run(caller, request_id, change)

    async def _link_steps(self, steps: Steps, pair: Pair) -> ContactLink:
        of = (steps.account, steps.stripe_account)
        standing = (await self._contacts.links(*of, [pair.customer])).get(pair.customer)
        if standing is None:
            await self._reader.get(CUSTOMERS, steps.stripe_account, pair.customer)
            if await self._contacts.get(steps.account, pair.contact) is None:
                raise NotFound("contact", pair.contact)
            wanted = ContactLink(*of, pair.customer, pair.contact, steps.started_at)
            standing = await self._contacts.link(wanted)
        if standing is None:
            raise await self._contact_linked(steps, pair)
        if standing.contact != pair.contact:
            raise AlreadyExists(
                Reason.CUSTOMER_LINKED,
                "the customer is linked to another contact; unlink it first",
                metadata={"customer": pair.customer, "contact": standing.contact},
            )
        return standing

    async def _contact_linked(self, steps: Steps, pair: Pair) -> AlreadyExists | Conflict:
        other = await self._contacts.link_of(steps.account, steps.stripe_account, pair.contact)
        if other is None or other.customer == pair.customer:
            return Conflict(
                Reason.REQUEST_IN_FLIGHT, "other calls are changing the link; call again"
            )
        return AlreadyExists(
            Reason.CONTACT_LINKED,
            "the contact is linked to another customer; unlink that first",
            metadata={"contact": pair.contact, "customer": other.customer},
        )

    async def _unlink_steps(self, steps: Steps, unlinking: Unlinking) -> Unlinking:
        of = (steps.account, steps.stripe_account)
        if not await self._contacts.unlink(*of, unlinking.customer):
            ids = [unlinking.customer]
            if not await self._mirror.fetch(CUSTOMERS, steps.stripe_account, ids):
                raise NotFound("customer", unlinking.customer)
        return unlinking

    async def _update_mapping_steps(self, steps: Steps, change: MappingChange) -> ContactSync:
        for _ in range(_TRIES):
            present = await self._settings(steps.account)
            wanted = _changed(present, change)
            if (wanted.mapping, wanted.create) == (present.mapping, present.create):
                return present  # also where an earlier run has done it
            if change.etag not in ("", present.etag):
                raise Conflict(
                    Reason.ETAG_MISMATCH, "somebody changed the mapping since; read it again"
                )
            if await self._contacts.put_sync_settings(wanted):
                return wanted
        raise Conflict(Reason.REQUEST_IN_FLIGHT, "other calls keep changing it; call again")

    async def _settings(self, account: str) -> ContactSync:
        settings = await self._contacts.sync_settings(account)
        return ContactSync(account, revision=0) if settings is None else settings


def _changed(present: ContactSync, change: MappingChange) -> ContactSync:
    """The next revision of the settings. Raises InvalidArgument for what they cannot be."""
    mapping = present.mapping if change.fields is None else change.fields
    create = present.create if change.create is None else change.create
    if create and not mapping:
        rule = "needs a mapping of at least one field: new contacts would be empty"
        raise InvalidArgument([FieldViolation("contact_mapping.fields", rule)])
    return ContactSync(present.account, mapping, create, present.revision + 1)


def _customers(rows: Sequence[Row[Customer]]) -> Sequence[Customer]:
    customers = [row.snapshot.object for row in rows if row.snapshot]
    return [customer for customer in customers if customer is not None]
