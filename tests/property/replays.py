"""A history that is over, delivered again and again, each time to an empty service."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from application.contacts.ports import ContactLink
from application.events.inbox import ReceivedEvent
from application.mirror.stripe import Priority
from domain.connections import Connection, ConnectionKind, Mode
from domain.mirror import LAST
from tests.property.histories import History
from tests.support.expected.happened import FacetKey, Json
from tests.support.expected.outcomes import (
    Outcome,
    changes,
    differences,
    facets,
    facts,
    notices,
    rows,
    unsettled,
)
from tests.support.fakes.effects import memory_stores
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.upkeep import Flows

TENANT: Final = "acme"
TWIN: Final = 2
"""The copy of an event that is none: Stripe made two of one change ("Webhooks", duplicates)."""

Delivery: TypeAlias = tuple[int, int]
"""What is delivered: the number of an event or, behind those, of a page; and which copy it is."""

Order: TypeAlias = Sequence[Sequence[Delivery]]
"""Deliveries in batches: those of one are in the inbox before any of them is projected."""

_MOST_ROUNDS: Final = 20


@dataclass(slots=True)
class Replay:
    """One delivery of a history, on in-memory stores. `flows` has the emulator and the clock."""

    flows: Flows
    history: History
    clock: MovableClock

    async def run(self, order: Order) -> None:
        """Deliver, and let everything come to rest."""
        await self._connect()
        projector = self.flows.projector(effects=self.flows.effects())
        for batch in order:
            for delivery in batch:
                await self._deliver(delivery)
            self.clock.ahead += dt.timedelta(milliseconds=2)  # as it takes a real store to answer
            while await projector.project_batch():
                pass
        for _ in range(_MOST_ROUNDS):
            if not await self.flows.stores.inbox.backlog():
                return
            self.clock.ahead += dt.timedelta(minutes=1)
            await projector.project_batch()
        raise AssertionError("the inbox does not come to rest")

    async def wrong(self, order: Order) -> dict[str, list[tuple[Any, Any, Any]]]:
        """What differs from what should have come of it."""
        events = {self._event(*one).id for batch in order for one in batch if self._is_event(one)}
        stores, account = self.flows.stores, self.history.account
        touched = self.history.touched()
        came: Outcome = {
            "rows": await rows(stores.mirror, account, touched),
            "facts": await facts(stores, TENANT, account),
            "notices": await notices(stores, TENANT, account, self._customers()),
            "facets": self._needed(await facets(stores.mirror, account, touched)),
            "changes": await changes(stores, account, touched.get("subscription", [])),
            "unsettled": await unsettled(stores, events),
        }
        return differences(self._should(events), came)

    def _should(self, events: set[str]) -> Outcome:
        happened, plot, fresh = self.history.happened, self.history.plot, self.history.fresh
        facts_told, facets_told = plot.facts.split(), plot.facets.split()
        told, touched = happened.changes(), self.history.touched()
        return {
            "rows": {
                (noun, id_): fresh[noun].get(id_) for noun, ids in touched.items() for id_ in ids
            },
            "facts": {key: one for key, one in happened.facts().items() if key[0] in facts_told},
            "notices": happened.notices() if "invoice_paid" in facts_told else {},
            "facets": {
                (noun, id_, part): one
                for (noun, id_, part), one in self._needed(
                    {**happened.facets(), **happened.kept()}
                ).items()
                if part in facets_told and id_ in touched.get(noun, ())
            },
            "changes": {
                id_: told[id_.partition(":")[0]] for id_ in events if id_.partition(":")[0] in told
            },
            "unsettled": {},
        }

    def _needed(self, parts: dict[FacetKey, Json]) -> dict[FacetKey, Json]:
        """Without what is kept of a deleted object that was created anew: nobody looks for it.

        A life happens within a second, so any of an object's names may pass for its last one.
        """
        fresh, happened = self.history.fresh, self.history.happened
        told = [event["data"]["object"] for event in happened.events]
        names = {(one["object"], one.get("id"), one.get("name")) for one in told}
        return {
            key: {"named": (*key[:2], one["name"]) in names} if key[2] == LAST else one
            for key, one in parts.items()
            if key[2] != LAST or fresh[key[0]].get(key[1]) is None
        }

    async def _connect(self) -> None:
        """The account is a tenant's, whose paying customers are linked to contacts."""
        now, account = self.flows.clock.now(), self.history.account
        link = Connection(TENANT, account, Mode.TEST, ConnectionKind.OAUTH, now)
        await self.flows.stores.connections.put(link)
        for customer in self._customers():
            contact = ContactLink(TENANT, account, customer, f"of {customer}", now)
            await self.flows.stores.contacts.link(contact)

    def _customers(self) -> list[str]:
        return sorted({customer for customer, _ in self.history.happened.notices().values()})

    async def _deliver(self, delivery: Delivery) -> None:
        if self._is_event(delivery):
            await self.flows.stores.inbox.append(self._event(*delivery))
        else:
            noun, snapshots = self.history.pages[delivery[0] - len(self.history.events)]
            await self.flows.importer.bring(noun, snapshots, Priority.BACKFILL)

    def _is_event(self, delivery: Delivery) -> bool:
        return delivery[0] < len(self.history.events)

    def _event(self, number: int, copy: int) -> ReceivedEvent:
        event = self.history.events[number]
        id_ = f"{event.id}:twin" if copy == TWIN else event.id
        return replace(event, id=id_, received_at=self.flows.clock.now())


def new_replay(history: History, like: Flows, clock: MovableClock) -> Replay:
    """A replay beside the emulator that `like` works with."""
    flows = replace(like, account=history.account, stores=memory_stores(), clock=clock)
    return Replay(flows, history, clock)
