"""Operations on fakes: what outlives every process, and processes that come and go."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import create_autospec

import msgspec
from typing_extensions import override

from application.analytics.ports import Analytics
from application.background.retries import Retries, Sleep
from application.connections.access import MirrorAccess
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.connections.use_cases import Connections
from application.events.inbox import ReceivedEvent
from application.events.lists import EventHistory
from application.events.readings import EventReader, Irrelevant
from application.facts.rebuild import FactsRebuild
from application.facts.walk import FactsWalk, WalkState
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import CUSTOMERS, PRODUCTS
from application.mirror.writer import MirrorWriter
from application.operations.log import OperationLog
from application.operations.use_cases import Operations
from application.operations.work import Work
from application.requests.callers import Caller
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.backfill import Backfill, BackfillWork
from application.upkeep.comparison import Comparison
from application.upkeep.proof import Proof, ProofWork
from application.upkeep.reconciliation import Reconciliation, ReconciliationWork
from application.upkeep.shadow_rebuild import RebuildInShadow
from application.upkeep.shadows import Shadow, Shadows, check_shadow
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.mirror import MirroredObject
from domain.operations import Operation, OperationKind, OperationOptions
from domain.products import Product
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory, FakeReports
from tests.support.fakes.stores import (
    NOON,
    Fake,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
    no_pause,
)
from tests.support.fakes.virtual_time import VirtualTime
from tests.support.rooms.contacts import link_all

ACCOUNT: Final = "acct_1"
CALLER: Final = Caller("crm", "acme", frozenset())
NOUNS: Final = (CUSTOMERS, PRODUCTS)
BACKFILL: Final = OperationKind.BACKFILL
RESTART: Final = OperationOptions(restart=True)
LINK: Final = Connection("acme", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)


class FakeShadows(Fake, Shadows):
    """Second stores in a dictionary, by Stripe account and name."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[tuple[str, str], Shadow] = {}
        self.opened: list[str] = []

    @override
    @asynccontextmanager
    async def open(self, stripe_account: str, name: str) -> AsyncIterator[Shadow]:
        check_shadow(stripe_account, name)
        async with self._step("shadows.open"):
            fresh = Shadow(FakeMirror(self.pause), FakeCheckpoints(self.pause))
            shadow = self.kept.setdefault((stripe_account, name), fresh)
        self.opened.append(name)
        yield shadow

    @override
    async def discard(self, stripe_account: str, name: str) -> None:
        async with self._step("shadows.discard"):
            self.kept.pop((stripe_account, name), None)

    @override
    async def names(self, stripe_account: str) -> Sequence[str]:
        async with self._step("shadows.names"):
            return sorted(name for account, name in self.kept if account == stripe_account)


class NoEvents(EventHistory, EventReader):
    """An inbox that nothing has come into. `asked` are the Stripe accounts that it was asked of."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @override
    async def of_account(
        self, stripe_account: str, *, after: str, limit: int
    ) -> Sequence[ReceivedEvent]:
        self.asked.append(stripe_account)
        return []

    @override
    def read(self, event: ReceivedEvent, stripe_account: str) -> Irrelevant:
        return Irrelevant("nothing")


class StripeAndStores:
    """Stripe and the stores, which outlive every process, and the time.

    Sleepers sleep in that time, unless `sleep` is given.
    """

    def __init__(self, customers: int = 11, sleep: Sleep | None = None) -> None:
        self.time = VirtualTime()
        self.sleep = sleep or self.time.sleep
        self.where: Pause = no_pause
        self.calls = 0
        self.tries = 1  # within the work itself, before the operation waits as a whole
        self.stripe = FakeHistory(self.time.clock, self.pause)
        self.mirror = FakeMirror(self.pause)
        self.checkpoints = FakeCheckpoints(self.pause)
        self.reports = FakeReports(self.pause)
        self.shadows = FakeShadows(self.pause)
        self.contacts = FakeContacts(self.pause)
        self.connections = FakeConnections(LINK)
        self.deployment = FakeDeployment()
        self.processes: list[Process] = []
        made = (
            Customer(f"cus_{n:03}", NOON - dt.timedelta(seconds=1000 - n // 3), name="x")
            for n in range(customers)
        )
        self.stripe.add(CUSTOMERS, *made)
        self.stripe.add(PRODUCTS, *(Product(f"prod_{n}", NOON, f"P{n}", True) for n in range(4)))

    async def pause(self, where: str) -> None:
        self.calls += 1
        await self.where(where)

    def process(self, **options: Any) -> "Process":
        """A new process; `options` are those of Process and Operations."""
        found = Process(self, **options)
        self.processes.append(found)
        return found

    async def end(self) -> None:
        """End all processes, so that no task is left behind."""
        for process in self.processes:
            await process.kill()

    def log(self) -> OperationLog:
        return OperationLog(self.checkpoints, self.time.clock)

    def stored(self, kind: OperationKind = OperationKind.BACKFILL) -> Operation:
        """An operation as the store has it."""
        state = self.checkpoints.kept[ACCOUNT, f"operation {kind}"].state
        return msgspec.convert(state, Operation)

    def shown(self, mirror: FakeMirror | None = None) -> dict[str, dict[str, MirroredObject]]:
        """The live rows."""
        rows = (mirror or self.mirror).rows.items()
        return {
            noun.name: {
                id_: row.snapshot.object
                for (name, _, id_), row in rows
                if name == noun.name and row.snapshot and row.snapshot.object
            }
            for noun in NOUNS
        }

    def assert_right(self) -> None:
        """The mirror shows what Stripe holds."""
        assert self.shown() == {noun.name: self.stripe.of(noun) for noun in NOUNS}


class NoFacts(FactsWalk):
    """Finds nothing that facts are about."""

    def __init__(self) -> None:
        pass

    @override
    async def block(self, stripe_account: str, state: WalkState) -> WalkState:
        return replace(state, noun=state.noun + 1)


class Process:
    """One process's operations; `works` are the service's own unless others are given."""

    def __init__(
        self, world: StripeAndStores, works: Sequence[Work] | None = None, **options: Any
    ) -> None:
        clock, sleep = world.time.clock, world.sleep
        retries = Retries(tries=world.tries, sleep=sleep)
        platform = Platform(world.deployment, FakeStripeAccounts(), Mode.TEST)
        importer = Importer(MirrorWriter(world.mirror), world.stripe, Enrichment(world.mirror))
        comparison = Comparison(world.mirror, world.stripe, importer, retries=retries)
        self.inbox = no_events = NoEvents()
        self.reconciliation = Reconciliation(
            world.stripe, world.mirror, comparison, world.checkpoints, world.reports, clock,
            nouns=NOUNS, retries=retries,
        )  # fmt: skip
        backfill = Backfill(
            world.stripe, importer, world.checkpoints, clock, nouns=NOUNS, retries=retries
        )
        self.backfill_work = BackfillWork(backfill)
        own: list[Work] = [
            self.backfill_work,
            ReconciliationWork(self.reconciliation, world.checkpoints, world.reports, clock),
            RebuildInShadow(
                world.shadows, world.stripe, world.stripe, no_events, no_events, world.mirror,
                comparison, world.checkpoints, world.reports, platform, clock, nouns=NOUNS,
                retries=retries,
            ),
            link_all(world.contacts, world.mirror, world.connections, world.checkpoints, clock),
            proof_on(world),
            FactsRebuild(NoFacts(), world.mirror, world.checkpoints, clock),
        ]  # fmt: skip
        connections = Connections(
            world.connections, FakeStripeAccounts(), world.mirror, clock, Mode.TEST
        )
        self.platform = platform
        self.access = MirrorAccess(connections, platform)
        self.operations = Operations(
            world.log(), works or own, self.access,
            MirroredAccounts(world.connections, platform, Mode.TEST), clock, sleep=sleep, **options,
        )  # fmt: skip
        self._running: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Let it take up what waits, from now on."""
        self._running = asyncio.create_task(self.operations.loop.run())

    async def kill(self) -> None:
        """End it without a word."""
        doomed = [one.task for one in self.operations._running.values()]
        doomed += [self._running] if self._running else []
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    async def stop(self) -> None:
        """End it in good order."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.operations.stop()


def proof_on(world: StripeAndStores) -> ProofWork:
    """A proof of books in which nothing is: neither figures nor readings are asked for."""
    clock, nothing = world.time.clock, create_autospec(Analytics, instance=True)
    anchors = create_autospec(BalanceAnchors, instance=True)
    anchors.known_ms.return_value = 0
    anchors.after.return_value = ()
    proof = Proof(world.mirror, nothing, anchors, world.checkpoints, world.reports, clock)
    return ProofWork(proof, world.checkpoints, world.reports, clock)


class Watcher:
    """Reads a watch as fast as it goes; `told` is what has come, `error` what it ended with."""

    def __init__(self, watch: AsyncGenerator[Operation, None]) -> None:
        self.told: list[Operation] = []
        self.error: Exception | None = None
        self.ended = False
        self.task = asyncio.create_task(self._read(watch))

    async def _read(self, watch: AsyncGenerator[Operation, None]) -> None:
        try:
            async with aclosing(watch) as operations:
                async for operation in operations:
                    self.told.append(operation)
            self.ended = True
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.error = error


NewWorld = Callable[..., StripeAndStores]
"""Makes a world; its arguments are those of StripeAndStores."""


def slow(world: StripeAndStores, seconds: float = 1.0) -> None:
    """Let each page of Stripe's take so long."""

    async def where(name: str) -> None:
        if name == "stripe.page":
            await world.time.sleep(seconds / 2)

    world.where = where


def ended(world: StripeAndStores, kind: OperationKind = BACKFILL) -> bool:
    """Whether the last operation of a kind has ended."""
    return world.stored(kind).ended


async def start(process: Process, options: OperationOptions | None = None) -> Operation:
    """Start a backfill."""
    return await process.operations.start(CALLER, BACKFILL, options)
