"""The projector: takes events from the inbox and makes the mirror show what they tell."""

import asyncio
import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from application.background.clock import Clock
from application.background.loops import Loop
from application.connections.deauthorization import Deauthorizing
from application.connections.platform import Platform
from application.effects.effects import Effects
from application.effects.happenings import Outcome, ProjectedEvent
from application.events.inbox import ClaimedEvent, EventState, Inbox, Settled
from application.events.readings import (
    Deauthorized,
    EventReader,
    Hint,
    Irrelevant,
    Observed,
    Reading,
)
from application.mirror.enrichment import Enrichment
from application.mirror.ports import Noun
from application.mirror.rereader import Concerning, Rereader, in_words
from application.mirror.stripe import Concern, ObjectReader
from application.mirror.writer import MirrorWriter, ObjectKey
from application.projection.retries import dead, failed
from domain.back_off import BackOff
from domain.errors import BillingError, Unavailable
from domain.mirror import Decision, Snapshot, Version
from domain.oddities import is_hopeless
from domain.periods import to_milliseconds

BATCH: Final = 500
BATCH_BYTES: Final = 16 * 1024 * 1024
LEASE: Final = dt.timedelta(seconds=60)
POLL_SECONDS: Final = 1.0
_AFTER_FAILURE: Final = BackOff(2 * POLL_SECONDS, 2 * POLL_SECONDS)
LINGER_SECONDS: Final = 0.05
LINGERS: Final = 20
"""While events keep arriving, they are let gather for up to LINGERS times LINGER_SECONDS.

A batch costs little more than an event, and in a burst the answers to Stripe go first.
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Item:
    """A claimed event, whose Stripe account is known, and what it says."""

    claimed: ClaimedEvent
    stripe_account: str
    reading: Reading | Exception

    @property
    def key(self) -> ObjectKey:
        """The object that it is about."""
        match self.reading:
            case Observed(_, snapshot):
                return self.stripe_account, snapshot.id
            case Hint(_, object_id):
                return self.stripe_account, object_id
            case _:
                return self.stripe_account, self.claimed.event.object_id

    @property
    def concerns(self) -> Sequence[Concern]:
        """The other objects that it changed."""
        return self.reading.concerns if isinstance(self.reading, Observed | Hint) else ()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Claimed events: those that were read, and what became of those that cannot be yet."""

    size: int
    items: Sequence[_Item]
    outcomes: list[Settled]


class Projector:
    """Projects batches of events, an object's events together, a noun's rows written in bulk.

    Any number of projectors may run, in any number of processes. An event that cannot be projected
    is tried again later, unless it is not understood, and in the end set aside as dead; it never
    holds up other objects.
    """

    def __init__(
        self,
        inbox: Inbox,
        writer: MirrorWriter,
        enrichment: Enrichment,
        events: EventReader,
        objects: ObjectReader,
        platform: Platform,
        clock: Clock,
        arrived: asyncio.Event,
        owner: str,
        effects: Effects | None = None,
        deauthorizing: Deauthorizing | None = None,
    ) -> None:
        """The last two are None for a mirror that nothing follows from, such as a rebuilt one."""
        self._inbox = inbox
        self._rereader = Rereader(writer, enrichment, objects)
        self._events = events
        self._platform = platform
        self._clock = clock
        self._arrived = arrived
        self._owner = owner
        self._effects = effects
        self._deauthorizing = deauthorizing
        # Looks for retries, and for others' arrivals, as often as it polls. One that is cut leaves
        # its events leased: nobody projects them for a while.
        self.loop: Final = Loop(
            "projection",
            self._project_all,
            POLL_SECONDS,
            wake=arrived,
            gather=self._linger,
            back_off=_AFTER_FAILURE,
            at_end=self._leave_ahead,
        )
        self._ahead: asyncio.Task[_Batch] | None = None

    def _has_more_to_do(self) -> bool:
        """Whether it is not stopped, or has claimed ahead: left, that batch would wait for long."""
        return self._ahead is not None or not self.loop.stopping

    async def project_batch(self) -> int:
        """Claim and project one batch; returns how many events it held.

        Behind a full one, the next is claimed and decoded while this one is projected. So there
        are two batches in hand at most, and the second is begun well within its lease, or else
        projected twice, which changes nothing. Raises Unavailable (STORE_UNAVAILABLE): the batch is
        then due again after its lease.
        """
        ahead, self._ahead = self._ahead, None
        batch = await (ahead or self._take())
        if batch.size >= BATCH and not self.loop.stopping:
            self._ahead = asyncio.create_task(self._take())
        if batch.size:
            await self._inbox.settle(self._owner, await self._project(batch))
        return batch.size

    async def _take(self) -> _Batch:
        """Claim a batch, and read what its events say."""
        claimed = await self._inbox.claim(
            self._owner, now=self._clock.now(), lease=LEASE, limit=BATCH, max_bytes=BATCH_BYTES
        )
        outcomes: list[Settled] = []
        items = await self._read(claimed, outcomes) if claimed else ()
        return _Batch(len(claimed), items, outcomes)

    async def _project_all(self) -> None:
        """Project whatever has arrived, batch by batch."""
        while self._has_more_to_do() and (count := await self.project_batch()):
            if count < BATCH:  # else there is more: no event waits behind a burst
                await self._linger()

    async def _leave_ahead(self) -> None:
        """Cut what is claimed ahead: the loop was cut, or could not project it."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def _linger(self) -> None:
        """Let arrivals gather for as long as there are any, within bounds."""
        for _ in range(LINGERS):
            if self.loop.stopping or not self._arrived.is_set():
                return
            self._arrived.clear()
            await asyncio.sleep(LINGER_SECONDS)

    async def _project(self, batch: _Batch) -> list[Settled]:
        outcomes = batch.outcomes
        by_noun: dict[str, list[_Item]] = defaultdict(list)
        for item in batch.items:
            match item.reading:
                case Irrelevant(why):
                    outcomes.append(_settled(item, EventState.IGNORED, why))
                case Deauthorized(created_ms):
                    outcomes.append(await self._deauthorize(item, created_ms))
                case Exception() as error:  # the same bytes are read no better later
                    outcomes.append(dead(item.claimed, "not understood", error))
                case Observed(noun) | Hint(noun):
                    by_noun[noun.name].append(item)
        for items in by_noun.values():
            outcomes += await self._project_noun(items)
        mirrored = [one for items in by_noun.values() for one in items]
        outcomes = await self._read_concerned(mirrored, outcomes)
        return await self._follow(mirrored, outcomes)

    async def _deauthorize(self, item: _Item, created_ms: int) -> Settled:
        if self._deauthorizing is None:
            return _settled(item, EventState.IGNORED, "no connection is kept here")
        try:
            decision = await self._deauthorizing.handle(item.stripe_account, created_ms)
        except Exception as error:  # noqa: BLE001 - whatever it is, other events go on
            return self._failed(item.claimed, error)
        return _settled(item, EventState.PROCESSED, decision)

    async def _read_concerned(
        self, items: Sequence[_Item], outcomes: list[Settled]
    ) -> list[Settled]:
        """Read what events changed beyond their own objects, which are in the mirror now.

        An event for which that fails comes again.
        """
        concerned = {item.claimed.event.id: item for item in items if item.concerns}
        if not concerned:
            return outcomes
        done = [one.event_id for one in outcomes if one.state is EventState.PROCESSED]
        results = await self._rereader.read_concerned(
            [_concerning(concerned[event_id]) for event_id in done if event_id in concerned]
        )
        return [
            self._concluded(concerned[one.event_id].claimed, one, results[one.event_id])
            if one.event_id in results
            else one
            for one in outcomes
        ]

    def _concluded(
        self, claimed: ClaimedEvent, settled: Settled, result: str | Exception
    ) -> Settled:
        if isinstance(result, Exception):
            return self._failed(claimed, result)
        return replace(settled, decision=f"{settled.decision}; {result}")

    async def _follow(self, items: Sequence[_Item], outcomes: list[Settled]) -> list[Settled]:
        """Let follow what follows from the events that are in the mirror now.

        Also from those too old for their row. Only then may they be settled as processed.
        """
        if self._effects is None:
            return outcomes
        done = {one.event_id for one in outcomes if one.state is EventState.PROCESSED}
        mirrored = {item.claimed.event.id: item for item in items if item.claimed.event.id in done}
        followed = await self._run_effects(self._effects, list(mirrored.values()))
        return [
            self._followed(mirrored[one.event_id].claimed, one, followed[one.event_id])
            if one.event_id in followed
            else one
            for one in outcomes
        ]

    async def _run_effects(self, effects: Effects, items: Sequence[_Item]) -> Mapping[str, Outcome]:
        """What followed, by event id; where running all together fails, from each event apart."""
        try:
            return await effects.after([_projected(item) for item in items])
        except BillingError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, other events go on
            if len(items) == 1:
                _log.exception("effects failed")
                return {items[0].claimed.event.id: Outcome(error=error)}
            apart = [await self._run_effects(effects, [item]) for item in items]
            return {id_: outcome for each in apart for id_, outcome in each.items()}

    def _followed(self, claimed: ClaimedEvent, settled: Settled, outcome: Outcome) -> Settled:
        if outcome.error is not None:
            return self._failed(claimed, outcome.error)
        return replace(settled, effects=tuple(outcome.words)) if outcome.words else settled

    async def _read(
        self, claimed: Sequence[ClaimedEvent], outcomes: list[Settled]
    ) -> Sequence[_Item]:
        """What the events say. Those whose Stripe account cannot be told yet are left for later."""
        platform = ""
        if any(not item.event.stripe_account for item in claimed):
            try:
                platform = await self._platform.stripe_account()
            except BillingError as error:
                orphans = [item for item in claimed if not item.event.stripe_account]
                outcomes += [self._failed(item, error) for item in orphans]
                claimed = [item for item in claimed if item.event.stripe_account]
        return await asyncio.to_thread(self._decode, claimed, platform)

    def _decode(self, claimed: Sequence[ClaimedEvent], platform: str) -> list[_Item]:
        """Decode payloads; in a worker thread, since that is where the time goes."""
        items = []
        for claim in claimed:
            stripe_account = claim.event.stripe_account or platform
            reading: Reading | Exception
            try:
                reading = self._events.read(claim.event, stripe_account)
            except Exception as error:  # noqa: BLE001 - a poisoned event holds up no other
                reading = error
            items.append(_Item(claim, stripe_account, reading))
        return items

    async def _project_noun(self, items: Sequence[_Item]) -> list[Settled]:
        """Project events of one noun together; where that fails, each object's apart."""
        try:
            return await self._project_together(items)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, other objects go on
            objects = _by_object(items)
            if len(objects) == 1:
                _log.exception("an object cannot be projected")
                return [self._failed(item.claimed, error) for item in items]
            return [
                outcome for one in objects.values() for outcome in await self._project_noun(one)
            ]

    async def _project_together(self, items: Sequence[_Item]) -> list[Settled]:
        noun = _noun(items[0])
        observed = sorted(
            (item for item in items if not _why_read(item)),
            key=lambda item: item.claimed.event.created,
            reverse=True,  # what is older than the newest then needs no more to be settled
        )
        verdicts = await self._rereader.observe(noun, [_snapshot(item) for item in observed])
        outcomes = []
        unsettled = [(item, why) for item in items if (why := _why_read(item))]
        for item, verdict in zip(observed, verdicts, strict=True):
            if verdict.decision is Decision.REREAD:
                unsettled.append((item, verdict.why))
            else:
                outcomes.append(_settled(item, EventState.PROCESSED, in_words(verdict)))
        return outcomes + await self._reread(noun, unsettled)

    async def _reread(
        self, noun: Noun[Any], unsettled: Sequence[tuple[_Item, str]]
    ) -> list[Settled]:
        """Read each unsettled object once, and let what Stripe says now stand."""
        objects = _by_object(item for item, _ in unsettled)
        results = await self._rereader.read(
            noun,
            {key: max(one.claimed.event.created for one in own) for key, own in objects.items()},
        )
        outcomes = []
        for item, why in unsettled:
            result = results[item.key]
            if isinstance(result, BillingError) and is_hopeless(result):
                outcomes.append(dead(item.claimed, f"not understood ({why})", result))
            elif isinstance(result, Exception):
                outcomes.append(self._failed(item.claimed, result))
            else:
                words = f"re-read ({why}): {in_words(result)}"
                outcomes.append(_settled(item, EventState.PROCESSED, words))
        return outcomes

    def _failed(self, claimed: ClaimedEvent, error: Exception) -> Settled:
        return failed(claimed, error, self._clock.now())


def _by_object(items: Iterable[_Item]) -> dict[ObjectKey, list[_Item]]:
    objects: dict[ObjectKey, list[_Item]] = defaultdict(list)
    for item in items:
        objects[item.key].append(item)
    return objects


def _noun(item: _Item) -> Noun[Any]:
    if isinstance(item.reading, Observed | Hint):
        return item.reading.noun
    raise TypeError("the event is about no noun")


def _snapshot(item: _Item) -> Snapshot[Any]:
    if isinstance(item.reading, Observed):
        return item.reading.snapshot
    raise TypeError("the event tells no state")


def _projected(item: _Item) -> ProjectedEvent:
    stripe_account, object_id = item.key
    snapshot = item.reading.snapshot if isinstance(item.reading, Observed) else None
    return ProjectedEvent(item.claimed.event, stripe_account, _noun(item), object_id, snapshot)


def _why_read(item: _Item) -> str:
    """Why the payload does not tell the object's state; empty where it does."""
    match item.reading:
        case Hint():
            return "payload is not used"
        case Observed(incomplete=True):
            return "payload is cut short"
        case _:
            return ""


def _concerning(item: _Item) -> Concerning:
    event = item.claimed.event
    version = Version.of_event(event.created, known_at_ms=to_milliseconds(event.received_at))
    return Concerning(event.id, item.stripe_account, version, item.concerns)


def _settled(item: _Item, state: EventState, decision: str) -> Settled:
    return Settled(item.claimed.event.id, state, decision)
