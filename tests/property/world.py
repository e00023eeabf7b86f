"""A model of Stripe, of time and of chance, in which the mirror has to come out right.

`CustomerAtStripe` is what is so: one customer's life, Stripe's clock and ours, the events that tell
of it, and reads whose answers are on their way while things go on. `Stage` lets several tasks of
the service run in it and stops each one before and after every await, so that a test chooses who
goes on.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

from typing_extensions import override

from application.connections.platform import Platform
from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import EventReader, Hint, Irrelevant, Observed
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.projection.projector import LEASE, Projector
from domain.connections import Mode
from domain.customers import Customer
from domain.mirror import MirroredObject, Snapshot, Version
from domain.periods import from_milliseconds, to_milliseconds
from tests.support.fakes.logs import FakeInbox
from tests.support.fakes.stores import (
    FakeClock,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
)

T = TypeVar("T", bound=MirroredObject)

ACCOUNT: Final = "acct_1"
ID: Final = "cus_1"
_START: Final = 1_800_000_000_000
_MONTH_MS: Final = 30 * 86_400_000
_ENOUGH: Final = 1_000


class CustomerAtStripe:
    """One customer at Stripe.

    `skew_ms` is how far our clock is ahead of Stripe's; `date_skew_ms` how far the clock behind
    `Date` headers is ahead of the one behind events (below a second either way); `late_date` says
    whether `Date` is taken as the answer ends, else as the state is looked up. The events and the
    answers whose numbers are in `lies` say that it is a month later.
    """

    def __init__(
        self,
        *,
        skew_ms: int = 0,
        date_skew_ms: int = 0,
        late_date: bool = False,
        lies: frozenset[int] = frozenset(),
    ) -> None:
        self.now_ms = _START
        self.state: Customer | None = None
        self.told: list[tuple[int, Customer | None]] = []
        self.clock = FakeClock()
        self._skew_ms = skew_ms
        self._date_skew_ms = date_skew_ms
        self._late_date = late_date
        self._lies = lies
        self._answers = 0
        self.advance(0)

    def advance(self, milliseconds: int) -> None:
        """Let time pass, on all clocks."""
        self.now_ms += milliseconds
        self.clock.instant = from_milliseconds(self.now_ms + self._skew_ms)

    def change(self, name: str) -> None:
        """Give the customer a name; create it where there is none, or none any more."""
        created = self.state.created if self.state else from_milliseconds(self._second())
        self.state = Customer(ID, created, name=name)
        self._tell()

    def delete(self) -> None:
        """Delete the customer, if there is one."""
        if self.state is not None:
            self.state = None
            self._tell()

    def event(self, number: int, copy: int = 0) -> ReceivedEvent:
        """An event as received now. Copies are events of other types about the same change."""
        return ReceivedEvent(
            f"evt_{number}_{copy}", ACCOUNT, "customer.updated", "", self.told[number][0],
            CUSTOMERS.name, ID, b"{}", self.clock.now(),
        )  # fmt: skip

    async def read(
        self, pause: Pause, *, not_before_ms: int | None = None, name: str | None = None
    ) -> Snapshot[Customer]:
        """A request and its answer, each on its way for as long as `pause` takes.

        With `name` the request changes the customer, and the answer shows it.
        """
        sent_at_ms = to_milliseconds(self.clock.now())
        await pause("stripe.request")
        if name is not None:
            self.change(name)
        state, looked_up_ms = self.state, self.now_ms
        await pause("stripe.answer")
        date_ms = (self.now_ms if self._late_date else looked_up_ms) + self._date_skew_ms
        version = Version.of_read(
            date_ms=date_ms // 1000 * 1000 + self._lie_ms(self._answers),
            duration_ms=to_milliseconds(self.clock.now()) - sent_at_ms + 1,
            sent_at_ms=sent_at_ms,
            not_before_ms=not_before_ms,
        )
        self._answers += 1
        return Snapshot(ACCOUNT, ID, version, state)

    def _tell(self) -> None:
        self.told.append((self._second(), self.state))
        self.advance(1)  # no two changes at one instant

    def _second(self) -> int:
        """Stripe's time of what happens now: of the event to come, and of what that creates."""
        return self.now_ms // 1000 * 1000 + self._lie_ms(len(self.told))

    def _lie_ms(self, number: int) -> int:
        return _MONTH_MS if number in self._lies else 0


class Events(EventReader):
    """Reads the world's events; those whose numbers are in `hints` tell no state."""

    def __init__(self, world: CustomerAtStripe, hints: frozenset[int]) -> None:
        self._world = world
        self._hints = hints

    @override
    def read(
        self, event: ReceivedEvent, stripe_account: str
    ) -> Observed[MirroredObject] | Hint[MirroredObject] | Irrelevant:
        number = int(event.id.split("_")[1])
        if number in self._hints:
            return Hint(cast("Noun[MirroredObject]", CUSTOMERS), ID, event.created)
        created, state = self._world.told[number]
        known_at_ms = to_milliseconds(event.received_at)
        version = Version.of_event(created, known_at_ms=known_at_ms)
        snapshot = Snapshot(stripe_account, ID, version, state)
        return Observed(
            cast("Noun[MirroredObject]", CUSTOMERS), cast("Snapshot[MirroredObject]", snapshot)
        )


class Objects(ObjectReader):
    """Reads the world's customer, and counts how often."""

    def __init__(self, world: CustomerAtStripe, pause: Pause) -> None:
        self.reads = 0
        self._world = world
        self._pause = pause

    @override
    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        self.reads += 1
        read = await self._world.read(self._pause, not_before_ms=not_before_ms)
        return cast("Snapshot[T]", read)


class Service:
    """The parts of the service that bring observations into the mirror, on in-memory fakes."""

    def __init__(
        self, world: CustomerAtStripe, pause: Pause, hints: frozenset[int] = frozenset()
    ) -> None:
        self.world = world
        self.mirror = FakeMirror(pause)
        self.inbox = FakeInbox(pause)
        self.writer = MirrorWriter(self.mirror)
        self.objects = Objects(world, pause)
        self._pause = pause
        self._events = Events(world, hints)
        self._projectors = 0

    def projector(self) -> Projector:
        """One more projector, with a name of its own."""
        self._projectors += 1
        platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
        return Projector(
            self.inbox, self.writer, Enrichment(self.mirror), self._events, self.objects,
            platform, self.world.clock, asyncio.Event(), f"projector {self._projectors}",
        )  # fmt: skip

    async def observe_read(self, name: str | None = None) -> None:
        """What a backfill does, or with `name` the write-back of a mutation."""
        read = await self.world.read(self._pause, name=name)
        await self.writer.observe(CUSTOMERS, [read])

    async def settle(self) -> None:
        """Project until nothing is left, leases and pauses before retries included."""
        projector = self.projector()
        for _ in range(_ENOUGH):
            if await projector.project_batch() == 0:
                pending = self.inbox.pending()
                if not pending:
                    return
                next_due = min(max(kept.due, kept.leased_until) for kept in pending)
                wait = next_due - self.world.clock.now()
                assert wait < LEASE * 11, "an event waits longer than leases and retries do"
                self.world.advance(max(1, int(wait.total_seconds() * 1000) + 1))
        raise AssertionError("the inbox does not come to rest")

    def assert_right(self) -> None:
        """The mirror shows what a fresh read would, and no event was given up."""
        row = self.mirror.rows.get((CUSTOMERS.name, ACCOUNT, ID))
        shown = row.snapshot.object if row and row.snapshot else None
        assert shown == self.world.state
        states = {kept.event.state for kept in self.inbox.events.values()}
        assert states <= {EventState.PROCESSED}


_player: contextvars.ContextVar[int | None] = contextvars.ContextVar("_player", default=None)


class Stage:
    """Runs tasks one stretch at a time: `pause` is where each of them waits to be let go on."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def pause(self, _where: str) -> None:
        """Wait to be let go on; outside any task of the stage, go on at once."""
        player = _player.get()
        if player is not None:
            self._waiting[player] = asyncio.get_running_loop().create_future()
            await self._waiting[player]

    async def enter(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a task and let it come to its first pause."""
        number = len(self._tasks)

        async def play() -> None:
            _player.set(number)
            await work

        self._tasks[number] = asyncio.create_task(play())
        await self._still()

    @property
    def players(self) -> list[int]:
        """Who waits to be let go on."""
        return sorted(self._waiting)

    async def go_on(self, player: int) -> None:
        """Let one task run to its next pause or its end."""
        self._waiting.pop(player).set_result(None)
        await self._still()

    async def kill(self, player: int) -> None:
        """The task's process dies where it stands."""
        self._waiting.pop(player)
        self._tasks[player].cancel()
        await self._still()

    async def finish(self) -> None:
        """Let all of them end, in turn; raises what one of them raised."""
        while self._waiting:
            for player in self.players:
                await self.go_on(player)
        for task in self._tasks.values():
            if not task.cancelled():
                task.result()

    async def _still(self) -> None:
        """Until every task that has not ended waits at a pause."""
        for _ in range(_ENOUGH):
            running = {number for number, task in self._tasks.items() if not task.done()}
            if running == self._waiting.keys():
                return
            await asyncio.sleep(0)
        raise AssertionError("a task waits for something else than its turn")
