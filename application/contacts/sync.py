"""Contact sync: the CRM's contacts follow the account's customers at Stripe."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from typing_extensions import override

from application.contacts.matching import ContactMatching
from application.contacts.ports import ContactDirectory, ContactLink, SourceVersion
from application.effects.effect import Effect
from application.effects.happenings import DueEvent, Outcome, all_of
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Mirror
from domain.connections import Connection
from domain.contacts import ContactSync, contact_id_for
from domain.customers import Customer
from domain.mirror import Row

SYNCED: Final = "contact synced"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What all rows of a connection are synced by. `region`: see `ContactMatching.region`."""

    connection: Connection
    settings: ContactSync
    region: str


@dataclass(frozen=True, slots=True)
class Synced:
    """What came of syncing a row: its link (None: no contact), and whether that was filled."""

    link: ContactLink | None = None
    filled: bool = False


class ContactSyncing(Effect):
    """Makes contacts show what the mirror shows of their customers.

    It comes before the effects that go by a customer's contact. It goes by the mirrored row, not by
    the event that gave cause: whatever the order of events, the contact ends as the row does, and a
    row that somebody else has read earlier never overwrites it.
    """

    def __init__(
        self, contacts: ContactDirectory, mirror: Mirror, matching: ContactMatching
    ) -> None:
        self._contacts = contacts
        self._mirror = mirror
        self._matching = matching

    @override
    async def after(self, due: Sequence[DueEvent], outcomes: Mapping[str, Outcome]) -> None:
        tenants: dict[str, dict[str, list[DueEvent]]] = defaultdict(lambda: defaultdict(list))
        for due_event in due:
            projected = due_event.event.projected
            if projected.noun.name == CUSTOMERS.name:
                tenants[due_event.connection.account][projected.object_id].append(due_event)
        for account, customers in tenants.items():
            settings = await self._contacts.sync_settings(account)
            if settings is None or not settings.mapping:
                continue
            connection = next(iter(customers.values()))[0].connection
            region = await self._matching.region(connection.stripe_account)
            wishes = Wishes(connection, settings, region)
            rows = await self._mirror.fetch(CUSTOMERS, connection.stripe_account, sorted(customers))
            results = await all_of(
                {id_: partial(self._sync, wishes, row) for id_, row in rows.items()}
            )
            for id_, result in results.items():
                for due_event in customers[id_]:
                    outcomes[due_event.event.id].note(result)

    async def sync_row(
        self, wishes: Wishes, row: Row[Customer], link: ContactLink | None
    ) -> Synced:
        """Sync one customer, linked first where `link` is None. Idempotent.

        A contact is filled with what the settings map; where they map nothing it is linked alone.
        """
        snapshot = row.snapshot
        if snapshot is None or snapshot.object is None:
            return Synced()
        customer = snapshot.object
        version = SourceVersion(*snapshot.version.place(), row.revision)
        if link is None:
            link = await self._link(wishes, customer, version)
        if link is None or not wishes.settings.mapping:
            return Synced(link)
        filled = await self._fill(wishes, customer, version, link.contact, create=False)
        return Synced(link, filled)

    async def _sync(self, wishes: Wishes, row: Row[Customer]) -> str:
        """Sync one customer; says what was done (empty: nothing)."""
        connection = wishes.connection
        links = await self._contacts.links(connection.account, connection.stripe_account, [row.id])
        synced = await self.sync_row(wishes, row, links.get(row.id))
        return SYNCED if synced.filled else ""

    async def _link(
        self, wishes: Wishes, customer: Customer, version: SourceVersion
    ) -> ContactLink | None:
        """The customer's link from now on; None where there is no contact for it.

        Where no free contact matches, the customer becomes a contact of its own if the account
        wants that: made before it is linked, so that a linked one that is gone was deleted in the
        CRM and stays so.
        """
        linked = await self._matching.link(wishes.connection, customer, wishes.region)
        if linked is not None or not wishes.settings.create:
            return linked
        connection = wishes.connection
        own = contact_id_for(connection.account, connection.stripe_account, customer.id)
        await self._fill(wishes, customer, version, own, create=True)
        return await self._matching.keep(wishes.connection, customer.id, own)

    async def _fill(
        self, wishes: Wishes, customer: Customer, version: SourceVersion, contact: str,
        *, create: bool,
    ) -> bool:  # fmt: skip
        return await self._contacts.fill(
            wishes.connection.account,
            contact,
            wishes.settings.fields_of(customer),
            version,
            stripe_account=wishes.connection.stripe_account,
            create=create,
        )
