"""A projector at its desk: in-memory stores, and a Stripe that says what it shall."""

import asyncio
from typing import Any, cast

from typing_extensions import override

from application.connections.deauthorization import Deauthorizing
from application.connections.platform import Platform
from application.effects.effects import Effects
from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import (
    Deauthorized,
    EventReader,
    Hint,
    Irrelevant,
    Observed,
    Reading,
)
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.projection.projector import Projector
from domain.connections import Mode
from domain.customers import Customer
from domain.mirror import MirroredObject, Snapshot, Version
from domain.periods import from_milliseconds, to_milliseconds
from tests.support.fakes.logs import FakeInbox
from tests.support.fakes.stores import FakeClock, FakeDeployment, FakeMirror, FakeStripeAccounts

CREATED = 1_000
NOUN = cast("Noun[MirroredObject]", CUSTOMERS)


class Events(EventReader):
    """Reads payloads such as `name`, or what `says` holds for an event's id."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}

    @override
    def read(self, event: ReceivedEvent, stripe_account: str) -> Reading:
        said = self.says.get(event.id)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Deauthorized | Hint | Irrelevant | Observed):
            return said
        found = customer(event.object_id, event.payload.decode())
        known_at_ms = to_milliseconds(event.received_at)
        version = Version.of_event(event.created, known_at_ms=known_at_ms)
        return Observed(
            NOUN, cast("Any", Snapshot(stripe_account, event.object_id, version, found))
        )


class Objects(ObjectReader):
    """What Stripe shows when it is asked; an exception is raised."""

    def __init__(self, clock: FakeClock) -> None:
        self.shows: dict[str, Any] = {}
        self.reads: list[tuple[str, str, int | None, Priority]] = []
        self._clock = clock

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
        self.reads.append((stripe_account, object_id, not_before_ms, priority))
        shown = self.shows[object_id]
        if isinstance(shown, Exception):
            raise shown
        self._clock.advance(milliseconds=5)
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=2_000_000, duration_ms=5, sent_at_ms=now_ms - 4)
        return Snapshot(stripe_account, object_id, version, customer(object_id, shown))


def customer(id_: str, name: str) -> Customer:
    return Customer(id_, from_milliseconds(CREATED), name=name)


class ProjectorOnFakes:
    """A projector and what it works with."""

    def __init__(self) -> None:
        self.clock, self.inbox, self.mirror = FakeClock(), FakeInbox(), FakeMirror()
        self.events, self.objects = Events(), Objects(self.clock)
        self.stripe = FakeStripeAccounts()
        self.arrived = asyncio.Event()
        self.projector = self.another("projector")

    def another(
        self,
        owner: str,
        *,
        effects: Effects | None = None,
        deauthorizing: Deauthorizing | None = None,
    ) -> Projector:
        platform = Platform(FakeDeployment(), self.stripe, Mode.TEST)
        return Projector(
            self.inbox, MirrorWriter(self.mirror), Enrichment(self.mirror), self.events,
            self.objects, platform, self.clock, self.arrived, owner, effects, deauthorizing,
        )  # fmt: skip

    async def receive(
        self,
        id_: str,
        at: int,
        name: str = "a",
        *,
        about: str = "cus_1",
        account: str = "acct_1",
        says: Any = None,
    ) -> None:
        """An event of a second about a customer."""
        event = ReceivedEvent(
            id_, account, "customer.updated", "", at * 1_000, "customer", about, name.encode(),
            self.clock.now(),
        )  # fmt: skip
        self.events.says[id_] = says
        await self.inbox.append(event)
        self.clock.advance(milliseconds=1)

    def became(self, id_: str) -> tuple[EventState, str]:
        event = self.inbox.events[id_].event
        return event.state, event.decision

    def shown(self, about: str = "cus_1", account: str = "acct_1") -> str | None:
        row = self.mirror.rows.get(("customer", account, about))
        return row.snapshot.object.name if row and row.snapshot and row.snapshot.object else None
