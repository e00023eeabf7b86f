"""Contact sync: the CRM's contacts follow the account's customers at Stripe."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from application.happenings import Due, Outcome, all_of
from application.ports.clock import Clock
from application.ports.contacts import ContactDirectory, ContactLink, SourceVersion
from application.ports.mirror import CUSTOMERS, Mirror
from domain.connections import Connection
from domain.contacts import Contact, ContactSync, contact_id_for, email_forms, phone_forms
from domain.customers import Customer
from domain.mirror import Row

SYNCED: Final = "contact synced"


@dataclass(frozen=True, slots=True)
class _Filling:
    """What a contact is to show of a customer, and how new that is."""

    connection: Connection
    fields: Mapping[str, str]
    version: SourceVersion


class ContactSyncing:
    """Makes contacts show what the mirror shows of their customers.

    It goes by the mirrored row, not by the event that gave cause: whatever the order of events, the
    contact ends as the row does, and a row that somebody else has read earlier never overwrites it.
    """

    def __init__(self, contacts: ContactDirectory, mirror: Mirror, clock: Clock) -> None:
        self._contacts = contacts
        self._mirror = mirror
        self._clock = clock

    async def sync(self, due: Sequence[Due], outcomes: Mapping[str, Outcome]) -> None:
        """Sync the customers that events are about, each once; notes what came of it.

        Idempotent, and convergent when repeated after a crash between any two steps.
        """
        tenants: dict[str, dict[str, list[Due]]] = defaultdict(lambda: defaultdict(list))
        for one in due:
            if one.happening.told.noun.name == CUSTOMERS.name:
                tenants[one.connection.account][one.happening.told.object_id].append(one)
        for account, customers in tenants.items():
            settings = await self._contacts.sync_settings(account)
            if settings is None or not settings.mapping:
                continue
            connection = next(iter(customers.values()))[0].connection
            rows = await self._mirror.fetch(CUSTOMERS, connection.stripe_account, sorted(customers))
            results = await all_of(
                {id_: partial(self._sync, connection, settings, row) for id_, row in rows.items()}
            )
            for id_, result in results.items():
                for one in customers[id_]:
                    outcomes[one.happening.event_id].note(result)

    async def _sync(self, connection: Connection, settings: ContactSync, row: Row[Customer]) -> str:
        """Sync one customer, linked first where need be; says what was done (empty: nothing)."""
        snapshot = row.snapshot
        if snapshot is None or snapshot.object is None:
            return ""
        customer = snapshot.object
        filling = _Filling(
            connection,
            settings.fields_of(customer),
            SourceVersion(snapshot.version.high, snapshot.version.low, row.revision),
        )
        links = await self._contacts.links(
            connection.account, connection.stripe_account, [customer.id]
        )
        if customer.id in links:
            contact: str | None = links[customer.id].contact
        else:
            contact = await self._link(filling, settings, customer)
        if contact is None or not await self._fill(filling, contact, create=False):
            return ""
        return SYNCED

    async def _link(
        self, filling: _Filling, settings: ContactSync, customer: Customer
    ) -> str | None:
        """The contact that the customer is linked to from now on; None where there is none.

        Matched by mail address, then phone. Where the match is another customer's, and where there
        is none, the customer becomes a contact of its own if the account wants that: made before it
        is linked, so that a linked one that is gone was deleted in the CRM and stays so.
        """
        match = await self._match(settings.account, customer)
        linked = None if match is None else await self._keep_link(filling, customer, match.id)
        if linked is not None or not settings.create:
            return linked
        own = contact_id_for(filling.connection.stripe_account, customer.id)
        await self._fill(filling, own, create=True)
        return await self._keep_link(filling, customer, own)

    async def _keep_link(self, filling: _Filling, customer: Customer, contact: str) -> str | None:
        connection, now = filling.connection, self._clock.now()
        link = ContactLink(connection.account, connection.stripe_account, customer.id, contact, now)
        standing = await self._contacts.link(link)
        return None if standing is None else standing.contact

    async def _fill(self, filling: _Filling, contact: str, *, create: bool) -> bool:
        return await self._contacts.fill(
            filling.connection.account,
            contact,
            filling.fields,
            filling.version,
            stripe_account=filling.connection.stripe_account,
            create=create,
        )

    async def _match(self, account: str, customer: Customer) -> Contact | None:
        emails, phones = email_forms(customer.email), phone_forms(customer.phone)
        if not emails and not phones:
            return None
        return await self._contacts.find(account, emails=emails, phones=phones)
