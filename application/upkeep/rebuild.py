"""Rebuild: the mirror of an account is made anew beside the old one, and put in its place.

See docs/decisions/0004-a-rebuild-is-a-second-store.md.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.events.inbox import ReceivedEvent
from application.events.lists import EventHistory
from application.events.readings import EventReader, Observed
from application.mirror.importer import Importer
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun, T
from application.mirror.stripe import Priority
from application.requests.paging import Position
from application.upkeep.backfill import Backfill, Progress
from application.upkeep.ports import Report
from application.upkeep.reconciliation import Compared, Reconciliation
from domain.errors import FailedPrecondition, Reason
from domain.mirror import Snapshot, Version
from domain.oddities import Oddities
from domain.operations import OperationProgress
from domain.periods import to_milliseconds

TASK: Final = "rebuild"
_EVENTS: Final = 500
_ROWS: Final = 500
_SECOND_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """Where a rebuild stands. `phase` is `read`, `replay` or `swap`; `done` counts its objects,
    events or rows; `report` is there at the end, and only then. `within` is where its backfill, or
    its comparison, stands; `oddities` are not understood, in whatever phase.
    """

    stripe_account: str
    phase: str
    done: int
    report: Report | None = None
    within: Progress | Compared | None = None
    oddities: Oddities = field(default_factory=Oddities)

    @property
    def report_id(self) -> str:
        """The id of its report, at the end; before, nothing."""
        return self.report.id if self.report else ""

    def of_operation(self) -> OperationProgress:
        """The same as an operation tells it."""
        match self.within:
            case Progress():
                return self.within.of_operation()
            case Compared():
                return self.within.of_operation(self.phase)
            case None:
                return OperationProgress(phase=self.phase, read=self.done, oddities=self.oddities)


class MirrorLister(ObjectLister):
    """Lists a mirror as Stripe lists objects, so that one mirror can be compared with another."""

    def __init__(self, mirror: Mirror, clock: Clock) -> None:
        self._mirror = mirror
        self._clock = clock

    @override
    async def page(
        self,
        noun: Noun[T],
        stripe_account: str,
        place: Place,
        *,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        after = None
        if place.after and place.before_ms is not None:
            after = Position(place.before_ms - _SECOND_MS, place.after)
        where = Filter(ranges={"created": (since_ms, place.before_ms)})
        page = await self._mirror.list(
            noun, stripe_account, where, order=NEWEST_FIRST, after=after, limit=_ROWS
        )
        following = None
        if page.next is not None:
            following = Place(int(page.next.value) + _SECOND_MS, page.next.id)
        snapshots = [row.snapshot for row in page.rows if row.snapshot is not None]
        now = to_milliseconds(self._clock.now())
        # Rows that were made since the newest one was read are not looked for in this mirror.
        version = snapshots[0].version if snapshots else Version(now, now)
        return Page(snapshots, version, following)


class ShadowFilling:
    """Reads everything anew into an empty store, replays the inbox over it, and swaps.

    The swap compares row by row and replaces what is wrong in the live mirror through its one rule:
    a webhook that comes meanwhile stands, no reader ever sees an empty mirror, and a row is given
    up only where Stripe says that there is no such object. Resumable at every step; without
    effects. `backfill`, `importer` and `checkpoints` are those of the second store; `swap` is a
    reconciliation of the live mirror whose lister is a MirrorLister of the second one.
    """

    def __init__(
        self,
        backfill: Backfill,
        importer: Importer,
        checkpoints: Checkpoints,
        swap: Reconciliation,
        history: EventHistory,
        events: EventReader,
        clock: Clock,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._backfill = backfill
        self._importer = importer
        self._checkpoints = checkpoints
        self._swap = swap
        self._history = history
        self._events = events
        self._clock = clock
        self._retries = retries or Retries()

    async def run(
        self, stripe_account: str, *, ours: bool = False
    ) -> AsyncGenerator[RebuildProgress, None]:
        """Start, or go on with an unfinished rebuild, to the end. Close it (`aclosing`).

        `ours`: it is the platform's own account, whose events name none. Raises as `Backfill.run`
        does, and FailedPrecondition where the second store holds a rebuild that is over already.
        """
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        if checkpoint.state.get("swapped"):
            raise FailedPrecondition(
                Reason.ALREADY_EXISTS,
                "the second store holds a finished rebuild; discard it first",
                subject="store",
            )
        odd = Oddities()
        async with aclosing(self._backfill.run(stripe_account)) as pages:
            async for progress in pages:
                odd = progress.oddities
                yield RebuildProgress(
                    stripe_account, "read", progress.read, within=progress, oddities=odd
                )
        replay = self._replay(stripe_account, checkpoint, source="" if ours else stripe_account)
        async with aclosing(replay) as batches:
            async for checkpoint in batches:
                replayed = checkpoint.state["replayed"]
                yield RebuildProgress(stripe_account, "replay", replayed, oddities=odd)
        async with aclosing(self._swap.run(stripe_account, repair=True, oddities=odd)) as steps:
            async for step in steps:
                if step.report is not None:
                    await self._save(checkpoint, swapped=True)
                yield RebuildProgress(
                    stripe_account, "swap", step.compared, step.report, step, step.oddities
                )

    async def _replay(
        self, stripe_account: str, checkpoint: Checkpoint, *, source: str
    ) -> AsyncGenerator[Checkpoint, None]:
        """Bring what the inbox's events tell into the second store; the checkpoint after each."""
        while True:
            after = str(checkpoint.state.get("after", ""))
            events = await self._history.of_account(source, after=after, limit=_EVENTS)
            await self._bring(events, stripe_account)
            replayed = int(checkpoint.state.get("replayed", 0)) + len(events)
            after = events[-1].id if events else after
            checkpoint = await self._save(checkpoint, after=after, replayed=replayed)
            yield checkpoint
            if len(events) < _EVENTS:
                return

    async def _bring(self, events: Sequence[ReceivedEvent], stripe_account: str) -> None:
        by_noun: dict[str, list[Snapshot[Any]]] = defaultdict(list)
        nouns: dict[str, Noun[Any]] = {}
        for event in events:
            try:
                reading = self._events.read(event, stripe_account)
            except ValueError:
                continue  # the inbox keeps it, dead: what it is about was read from Stripe
            if isinstance(reading, Observed) and not reading.incomplete:
                nouns[reading.noun.name] = reading.noun
                by_noun[reading.noun.name].append(reading.snapshot)
            # All others only say to read the object, which the backfill has done.
        for name, snapshots in by_noun.items():
            brought = await self._retries(
                lambda noun=nouns[name], snapshots=snapshots: self._importer.bring(  # type: ignore[misc]  # mypy knows no lambda's defaults
                    noun, snapshots, Priority.BACKFILL
                )
            )
            log_oddities(stripe_account, brought.oddities)  # Stripe's own list has told of them

    async def _save(self, checkpoint: Checkpoint, **told: Any) -> Checkpoint:
        state = {**checkpoint.state, **told}
        return await self._checkpoints.save(replace(checkpoint, state=state), now=self._clock.now())
