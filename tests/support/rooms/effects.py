"""An account's events, projected with their effects on a store of their own, for unit tests."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any, Final, cast

from typing_extensions import override

from application.connections.platform import Platform
from application.contacts.ports import ContactLink, SourceVersion
from application.effects.effect import Effect, Follower
from application.effects.effects import Effects
from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import EventReader, Hint, Irrelevant, Observed
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import CUSTOMERS, INVOICES, SUBSCRIPTIONS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.projection.projector import Projector
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import Contact, ContactSync
from domain.customers import Customer
from domain.invoices import Invoice
from domain.mirror import MirroredObject, Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from domain.subscriptions import Subscription
from tests.support.fakes.stores import NOON, FakeClock, FakeStripeAccounts
from tests.support.rooms.effects_as_wired import effects_on
from tests.support.servers.stores import Stores

STRIPE: Final = "acct_1"
LINKED: Final = ContactLink("acme", STRIPE, "cus_1", "ada", NOON)
CONNECTION: Final = Connection("acme", STRIPE, Mode.TEST, ConnectionKind.OAUTH, NOON)
SECOND: Final = dt.timedelta(seconds=1)


def invoice(id_: str = "in_1", amount: int = 123_450, customer: str | None = "cus_1") -> Invoice:
    paid, nothing = Money(amount, "usd"), Money(0, "usd")
    return Invoice(id_, NOON, "usd", "paid", paid, paid, paid, nothing, customer, number="A-1")


def customer(id_: str = "cus_1", **fields: Any) -> Customer:
    return Customer(id_, NOON, **fields)


class Events(EventReader):
    """Says of each event what `says` holds for it."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}

    @override
    def read(
        self, event: ReceivedEvent, stripe_account: str
    ) -> Observed[MirroredObject] | Hint[MirroredObject] | Irrelevant:
        said = self.says[event.id]
        if isinstance(said, Hint):
            return said
        noun = {Invoice: INVOICES, Customer: CUSTOMERS, Subscription: SUBSCRIPTIONS}[type(said)]
        version = Version.of_event(event.created, known_at_ms=to_milliseconds(event.received_at))
        snapshot = Snapshot(stripe_account, said.id, version, said)
        return Observed(cast("Noun[MirroredObject]", noun), cast("Any", snapshot))


class Objects(ObjectReader):
    """Stripe shows one object."""

    def __init__(self) -> None:
        self.shows: Any = None

    @override
    async def read(
        self,
        noun: Noun[Any],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[Any]:
        now = to_milliseconds(NOON) + 60_000
        version = Version.of_read(date_ms=now, duration_ms=5, sent_at_ms=now)
        return Snapshot(stripe_account, object_id, version, self.shows)


class ProjectorWithEffects:
    """A projector with effects, on a store of its own; ports can be made to break.

    `more_followers` and `more_effects` come behind the service's own.
    """

    def __init__(self, stores: Stores) -> None:
        self.stores, self.clock = stores, FakeClock(NOON + 60 * SECOND)
        self.events, self.objects, self.queued = Events(), Objects(), asyncio.Event()
        self.more_followers: list[Follower] = []
        self.more_effects: list[Effect] = []

    def effects(self, **broken: Any) -> Effects:
        return effects_on(
            replace(self.stores, **broken), self.events, self.clock, self.queued,
            max_age=dt.timedelta(days=2), more_followers=self.more_followers,
            more_effects=self.more_effects,
        )  # fmt: skip

    async def project(self, *, owner: str = "one", **broken: Any) -> None:
        stores = replace(self.stores, **broken)
        platform = Platform(stores.deployment, FakeStripeAccounts(), Mode.TEST)
        projector = Projector(
            stores.inbox, MirrorWriter(stores.mirror), Enrichment(stores.mirror), self.events,
            self.objects, platform, self.clock, asyncio.Event(), owner, self.effects(**broken),
        )  # fmt: skip
        while await projector.project_batch():
            pass

    async def receive(
        self, id_: str, type_: str, said: Any, *, at: dt.datetime = NOON, account: str = STRIPE
    ) -> None:
        self.events.says[id_] = said
        about = said.object_id if isinstance(said, Hint) else said.id
        await self.stores.inbox.append(
            ReceivedEvent(
                id_, account, type_, "", to_milliseconds(at), type_.partition(".")[0], about,
                b"{}", self.clock.now(),
            )
        )  # fmt: skip

    async def connect(self, connection: Connection = CONNECTION) -> None:
        await self.stores.connections.put(connection)

    async def link(self) -> None:
        version = SourceVersion(0, 0, 0)
        await self.stores.contacts.fill(
            "acme", "ada", {"name": "Ada"}, version, stripe_account="crm", create=True
        )
        await self.stores.contacts.link(LINKED)

    async def messages(self, contact: str = "ada") -> list[str]:
        found = await self.stores.support.messages("acme", contact, limit=100)
        return [one.message.text for one in found]

    async def jobs(self) -> list[str]:
        """The kinds of all jobs, published ones and billing events, sorted."""
        claimed = await self.stores.outbox.claim(
            "test", now=self.clock.now(), lease=dt.timedelta(), limit=100
        )
        watched = await self.stores.outbox.watch("acme", after=0, limit=100)
        return sorted([one.job.kind for one in claimed] + [one.job.kind for one in watched])

    async def became(self, id_: str) -> tuple[EventState, str, tuple[str, ...]]:
        found = await self.stores.event_log.record(id_)
        assert found is not None
        return found.state, found.decision, found.effects


PAID: Final = ("invoice.paid", "invoice.payment_succeeded")
NOTICE: Final = "Payment received: 1,234.50 USD for invoice A-1."
BOTH: Final = ["events.invoice_paid", "support.payment_notice"]


MAPPING: Final = {"name": "name", "email": "email", "tier": "metadata.tier"}


async def sync(desk: ProjectorWithEffects, *, create: bool = True) -> None:
    await desk.connect()
    await desk.stores.contacts.put_sync_settings(ContactSync("acme", MAPPING, create))


async def contact_of(desk: ProjectorWithEffects, customer_id: str = "cus_1") -> Contact | None:
    links = await desk.stores.contacts.links("acme", STRIPE, [customer_id])
    if customer_id not in links:
        return None
    return await desk.stores.contacts.get("acme", links[customer_id].contact)
