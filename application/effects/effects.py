"""Effects: what follows from an event beyond the mirror.

Every distinct event comes through here, also one too old for its row, after the mirror was written
and before the event is settled. So a crash in between repeats effects; their ids, which name the
business fact, make that harmless.
"""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from application.background.clock import Clock
from application.background.loops import Loop
from application.connections.ports import ConnectionRepository
from application.effects.effect import Effect, Follower
from application.effects.happenings import DueEvent, EventWithFacts, Outcome, ProjectedEvent
from application.effects.waiting import WaitingEvent, WaitingEvents
from application.events.inbox import Inbox, ReceivedEvent
from application.events.readings import Deauthorized, EventReader, Hint, Irrelevant, Observed
from application.mirror.ports import Mirror
from domain.connections import Connection, Mode
from domain.effects import DEFAULT_MAX_AGE, Fact, effects_since, facts_of
from domain.errors import BillingError
from domain.mirror import Snapshot
from domain.periods import to_milliseconds

DRAIN_BATCH: Final = 100
DRAIN_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)

_Tenants = Mapping[str, Connection | None]
"""The connections of Stripe accounts; None where no account is connected."""


class Effects:
    """Lets the followers and the effects that are registered do what follows from events.

    All of it is durable when `after` returns. Facts from before their connection, or older than
    `max_age`, have no effects. Backfill, reconcile and rebuild never come here.
    """

    def __init__(
        self,
        *,
        followers: Sequence[Follower],
        effects: Sequence[Effect],
        inbox: Inbox,
        events: EventReader,
        mirror: Mirror,
        connections: ConnectionRepository,
        waiting: WaitingEvents,
        clock: Clock,
        mode: Mode,
        max_age: dt.timedelta = DEFAULT_MAX_AGE,
    ) -> None:
        """`followers` and `effects` come in the order given, all followers before the effects."""
        self._followers = tuple(followers)
        self._effects = tuple(effects)
        self._inbox = inbox
        self._events = events
        self._mirror = mirror
        self._connections = connections
        self._waiting = waiting
        self._clock = clock
        self._mode = mode
        self._max_age = max_age
        self.loop: Final = Loop("the drain of waiting effects", self.drain_all, DRAIN_SECONDS)

    async def after(self, events: Sequence[ProjectedEvent]) -> Mapping[str, Outcome]:
        """Do what follows from events, at most 1,000; returns what, by event id.

        An event with an error has to come again; the others are done. Raises Unavailable or
        RateLimited where the store does not take it: then all have to come again.
        """
        outcomes = {event.received.id: Outcome() for event in events}
        with_facts = await self._with_facts(events, outcomes)
        for follower in self._followers:
            await follower.after(with_facts, outcomes)
        effective = _effective(with_facts, outcomes)
        tenants = {
            account: await self._connections.find_by_stripe_account(account, self._mode)
            for account in sorted({event.projected.stripe_account for event in effective})
        }
        await self._act(effective, tenants, outcomes)
        await self._let_wait(
            [event for event in effective if tenants[event.projected.stripe_account] is None],
            outcomes,
        )
        return outcomes

    async def drain(self, stripe_account: str) -> int:
        """Run the effects that waited for this Stripe account's connection; returns how many.

        For whoever connects an account, after the connection is stored. Repeatable.
        """
        connection = await self._connections.find_by_stripe_account(stripe_account, self._mode)
        if connection is None:
            return 0
        drained, after = 0, ""
        while waiting := await self._waiting.of(stripe_account, after=after, limit=DRAIN_BATCH):
            after = waiting[-1].event_id
            done = await self._resume(connection, [one.event_id for one in waiting])
            await self._waiting.remove(stripe_account, done)
            drained += len(done)
        return drained

    async def drain_all(self) -> int:
        """Drain every Stripe account that has a connection by now; returns how many events.

        It finds what a process has left that died between connecting and draining. Events that have
        waited for longer than `max_age` would have no effects any more and are forgotten.
        """
        drained, stripe_account = 0, ""
        while found := await self._waiting.next_stripe_account(after=stripe_account):
            stripe_account = found
            drained += await self.drain(found)
            await self._forget_old(found)
        return drained

    async def _with_facts(
        self, events: Sequence[ProjectedEvent], outcomes: Mapping[str, Outcome]
    ) -> list[EventWithFacts]:
        """The events with their objects and facts; notes what cannot be read for facts."""
        rows = await self._rows(event for event in events if event.snapshot is None)
        with_facts = []
        for event in events:
            key = event.noun.name, event.stripe_account, event.object_id
            snapshot = event.snapshot or rows.get(key)
            if snapshot is None or snapshot.object is None:
                with_facts.append(EventWithFacts(event, None, frozenset(), ()))
                continue
            facts: tuple[Fact, ...] = ()
            try:
                # A row has those of other events.
                befores = event.snapshot.befores if event.snapshot else ()
                facts = facts_of(event.received.type, snapshot.object, befores)
            except Exception as error:  # noqa: BLE001 - a poisoned event holds up no other
                outcomes[event.received.id].note(error)
            with_facts.append(EventWithFacts(event, snapshot.object, snapshot.unknown, facts))
        return with_facts

    async def _rows(
        self, events: Iterable[ProjectedEvent]
    ) -> dict[tuple[str, str, str], Snapshot[Any]]:
        """What the mirror shows of the events' objects, by noun, Stripe account and id."""
        wanted: dict[tuple[str, str], list[ProjectedEvent]] = defaultdict(list)
        for event in events:
            wanted[event.noun.name, event.stripe_account].append(event)
        snapshots = {}
        for (name, stripe_account), alike in wanted.items():
            ids = sorted({event.object_id for event in alike})
            rows = await self._mirror.fetch(alike[0].noun, stripe_account, ids)
            for row in rows.values():
                if row.snapshot is not None:
                    snapshots[name, stripe_account, row.id] = row.snapshot
        return snapshots

    async def _act(
        self, events: Sequence[EventWithFacts], tenants: _Tenants, outcomes: Mapping[str, Outcome]
    ) -> None:
        """Let the effects have what is due, in the order of billing events."""
        now, due = self._clock.now(), []
        since_ms = {
            stripe_account: to_milliseconds(
                effects_since(connected_at=one.connected_at, now=now, max_age=self._max_age)
            )
            for stripe_account, one in tenants.items()
            if one is not None
        }
        for event in events:
            connection = tenants[event.projected.stripe_account]
            if connection is None:
                continue
            since = since_ms[connection.stripe_account]
            if event.projected.received.created >= since:
                due.append(DueEvent(connection, event, since))
            else:
                outcomes[event.id].note("too old for effects")
        due.sort(key=lambda due_event: due_event.event.projected.received.created)
        for effect in self._effects:
            await effect.after(due, outcomes)

    async def _let_wait(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        if not events:
            return
        now = self._clock.now()
        await self._waiting.add(
            [WaitingEvent(event.id, event.projected.stripe_account, now) for event in events]
        )
        for event in events:
            outcomes[event.id].note("effects wait for a connection")
        # A connection made before these were added has drained too early to see them.
        for stripe_account in sorted({event.projected.stripe_account for event in events}):
            await self.drain(stripe_account)

    async def _resume(self, connection: Connection, event_ids: Sequence[str]) -> list[str]:
        """Run the effects of waiting events; returns the ids of those that need not wait longer."""
        stripe_account = connection.stripe_account
        events = []
        for event_id in event_ids:
            received = await self._inbox.get(event_id)
            event = None if received is None else self._read(received[0], stripe_account)
            if event is not None:
                events.append(event)
        outcomes = await self._resumed(connection, events)
        failed = {event_id for event_id, outcome in outcomes.items() if outcome.error is not None}
        if failed:
            _log.error("waiting effects failed", extra={"count": len(failed)})
        return [event_id for event_id in event_ids if event_id not in failed]

    async def _resumed(
        self, connection: Connection, events: Sequence[ProjectedEvent]
    ) -> Mapping[str, Outcome]:
        """What followed from waiting events; where all together fail, from each apart."""
        outcomes = {event.received.id: Outcome() for event in events}
        try:
            effective = _effective(await self._with_facts(events, outcomes), outcomes)
            await self._act(effective, {connection.stripe_account: connection}, outcomes)
        except BillingError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, other events go on
            if len(events) == 1:
                return {events[0].received.id: Outcome(error=error)}
            apart = [await self._resumed(connection, [event]) for event in events]
            return {id_: outcome for each in apart for id_, outcome in each.items()}
        return outcomes

    def _read(self, received: ReceivedEvent, stripe_account: str) -> ProjectedEvent | None:
        try:
            reading = self._events.read(received, stripe_account)
        except ValueError:
            return None  # it was read when it was added: this release reads it no more
        match reading:
            case Observed(noun, snapshot):
                return ProjectedEvent(received, stripe_account, noun, snapshot.id, snapshot)
            case Hint(noun, object_id):
                return ProjectedEvent(received, stripe_account, noun, object_id, None)
            case Deauthorized() | Irrelevant():
                return None

    async def _forget_old(self, stripe_account: str) -> None:
        before, after = self._clock.now() - self._max_age, ""
        while waiting := await self._waiting.of(stripe_account, after=after, limit=DRAIN_BATCH):
            after = waiting[-1].event_id
            old = [one.event_id for one in waiting if one.since < before]
            await self._waiting.remove(stripe_account, old)


def _effective(
    events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
) -> list[EventWithFacts]:
    """Those that may have effects; one that failed already comes again first."""
    return [event for event in events if event.effective and outcomes[event.id].error is None]
