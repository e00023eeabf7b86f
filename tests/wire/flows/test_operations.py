"""Operations on both stores: taken over where they were, done once, and rebuilt beside webhooks."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from typing_extensions import override

from application.background.clock import Clock
from application.background.retries import Sleep
from application.connections.access import MirrorAccess
from application.connections.use_cases import Connections
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.nouns import CHARGES, CUSTOMERS, NOUNS
from application.mirror.ports import Noun, T
from application.mirror.stripe import Priority
from application.operations.log import OperationLog
from application.operations.use_cases import Operations
from application.requests.callers import Caller
from application.upkeep.backfill import Backfill, BackfillWork
from application.upkeep.comparison import Comparison
from application.upkeep.ports import Drift, ReportKind
from application.upkeep.reconciliation import ReconciliationWork
from application.upkeep.shadow_rebuild import RebuildInShadow
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from domain.operations import EXPIRY, Operation, OperationKind, OperationOptions, OperationState
from domain.periods import to_milliseconds
from infrastructure.clock import SystemClock
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.readers.events import StripeEventReader
from tests.support.fakes.breaking import Breaking
from tests.support.rooms.contacts import link_all
from tests.support.rooms.upkeep import Flows
from tests.support.servers.service import until

CALLER: Final = Caller("crm", "acme", frozenset())
HASTE: Final = 20.0
BOUND_SECONDS: Final = 60.0
BACKFILL: Final = OperationKind.BACKFILL
REBUILD: Final = OperationKind.REBUILD


async def hurried(seconds: float) -> None:
    """Instead of `asyncio.sleep`."""
    await asyncio.sleep(seconds / HASTE)


class Later(Clock):
    """A clock that is ahead, as seen once so much time has passed."""

    def __init__(self, by: dt.timedelta) -> None:
        self._by = by

    @override
    def now(self) -> dt.datetime:
        return SystemClock().now() + self._by


class Counting(ObjectLister):
    """Stripe's lists, and which pages were asked for."""

    def __init__(self, lister: ObjectLister) -> None:
        self._lister = lister
        self.asked: list[tuple[str, Place]] = []

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
        self.asked.append((noun.name, place))
        return await self._lister.page(
            noun, stripe_account, place, since_ms=since_ms, priority=priority
        )


@dataclass
class AccountOperations:
    """One account's operations, over processes that come and go."""

    flows: Flows
    lister: Counting

    def process(
        self, *, clock: Clock | None = None, sleep: Sleep = hurried, mirror: Any = None
    ) -> Operations:
        """As a new process has it. `mirror` stands before the live one in the swap."""
        flows, stores = self.flows, self.flows.stores
        clock = clock or flows.clock
        importer = flows.importer_into(stores.mirror)
        live = mirror or stores.mirror
        comparison = Comparison(live, flows.objects, importer, retries=flows.retries)
        rebuild = RebuildInShadow(
            stores.shadows, self.lister, flows.objects, stores.event_history, StripeEventReader(),
            live, comparison, stores.checkpoints, stores.reports,
            flows.platform, flows.clock, retries=flows.retries,
        )  # fmt: skip
        backfill = Backfill(
            self.lister, importer, stores.checkpoints, flows.clock, retries=flows.retries
        )
        works = [
            BackfillWork(backfill),
            ReconciliationWork(flows.reconciliation, stores.checkpoints, stores.reports, clock),
            rebuild,
            link_all(stores.contacts, stores.mirror, stores.connections, stores.checkpoints, clock),
        ]
        stripe = StripeConnectedAccounts(flows.api)
        connections = Connections(stores.connections, stripe, stores.mirror, clock, Mode.TEST)
        return Operations(
            OperationLog(stores.checkpoints, clock), works,
            MirrorAccess(connections, flows.platform), flows.mirrored_accounts, clock, sleep=sleep,
        )  # fmt: skip

    async def ended(self, process: Operations, kind: OperationKind) -> Operation:
        """The operation once it has ended."""

        async def look() -> Operation | None:
            found = await process.get(CALLER, kind)
            return found if found.ended else None

        return await until(look, BOUND_SECONDS)

    async def asked(self, pages: int) -> None:
        """Wait until so many pages were asked for."""

        async def look() -> bool:
            return len(self.lister.asked) >= pages

        await until(look, BOUND_SECONDS)


@pytest.fixture
async def desk(flows: Flows) -> AccountOperations:
    """An account that is connected, with some history."""
    await flows.stores.connections.put(
        Connection("acme", flows.account, Mode.TEST, ConnectionKind.MANUAL, flows.clock.now())
    )
    await flows.live_a_little(customers=2)
    return AccountOperations(flows, Counting(flows.lister))


async def customers(flows: Flows, count: int) -> list[str]:
    """So many more of them."""
    ids: list[str] = []
    for start in range(0, count, 50):
        made = await asyncio.gather(
            *(flows.post("/v1/customers", name=f"{start + n}") for n in range(50))
        )
        ids += [one["id"] for one in made]
    return ids


async def spoil(flows: Flows, ids: Sequence[str]) -> None:
    """Let rows of customers say something else, and one be of a customer who never was."""
    rows = await flows.stores.mirror.fetch(CUSTOMERS, flows.account, ids)
    for row in rows.values():
        assert row.snapshot is not None
        assert row.snapshot.object is not None
        wrong = replace(row.snapshot, object=replace(row.snapshot.object, name="wrong"))
        assert not await flows.stores.mirror.replace(CUSTOMERS, [(wrong, row.revision)])
    # Long ago: what an event told a moment ago cannot be refuted by a read at once.
    made = flows.clock.now() - dt.timedelta(hours=1)
    nobody = Customer("cus_nobody", made.replace(microsecond=0), name="nobody")
    version = Version.of_event(to_milliseconds(nobody.created))
    told = Snapshot(flows.account, nobody.id, version, nobody)
    assert not await flows.stores.mirror.replace(CUSTOMERS, [(told, 0)])


async def kill(process: Operations) -> None:
    """End a process's work without a word."""
    tasks = [one.task for one in process._running.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def pages_of(desk: AccountOperations) -> Callable[[str], int]:
    names = [noun for noun, _ in desk.lister.asked]
    return names.count


async def test_killed_midway_another_process_finishes_it(desk: AccountOperations) -> None:
    await customers(desk.flows, 450)
    process = desk.process()
    begun = await process.start(CALLER, BACKFILL)
    await desk.asked(6)  # of the nouns before customers there are few
    await kill(process)
    before = list(desk.lister.asked)
    other = desk.process(clock=Later(EXPIRY * 2))
    running = asyncio.create_task(other.loop.run())
    done = await desk.ended(other, BACKFILL)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (done.id, done.state) == (begun.id, OperationState.SUCCEEDED)
    assert done.takeovers == 1
    assert len(before) < len(NOUNS) + 4, "it was killed midway"
    again = [page for page in desk.lister.asked[len(before) :] if page in before]
    assert len(again) <= 2, "a page under way, and the one ahead of it"
    counts = pages_of(desk)
    assert 5 <= counts(CUSTOMERS.name) <= 7
    await desk.flows.assert_right()


async def test_stopped_in_good_order_it_goes_on_at_once(desk: AccountOperations) -> None:
    await customers(desk.flows, 250)
    process = desk.process()
    await process.start(CALLER, BACKFILL)
    for _ in range(4):
        await desk.asked(len(desk.lister.asked) + 2)
        await process.stop()
        process = desk.process()
        again = await process.start(CALLER, BACKFILL)
        assert again.state is OperationState.RUNNING
    done = await desk.ended(process, BACKFILL)
    assert (done.state, done.takeovers) == (OperationState.SUCCEEDED, 0)
    assert len(set(desk.lister.asked)) >= len(desk.lister.asked) - 4 * 2
    await desk.flows.assert_right()


async def test_several_processes_that_start_at_once_do_it_once(desk: AccountOperations) -> None:
    await customers(desk.flows, 150)
    processes = [desk.process() for _ in range(5)]
    begun = await asyncio.gather(*(one.start(CALLER, BACKFILL) for one in processes))
    assert len({one.id for one in begun}) == 1
    done = await desk.ended(processes[0], BACKFILL)
    assert done.state is OperationState.SUCCEEDED
    assert len(set(desk.lister.asked)) == len(desk.lister.asked)
    for process in processes:
        assert (await process.get(CALLER, BACKFILL)) == done
    await desk.flows.assert_right()


async def test_one_process_cancels_what_another_one_does(desk: AccountOperations) -> None:
    await customers(desk.flows, 450)
    process, other = desk.process(), desk.process()
    await process.start(CALLER, BACKFILL, OperationOptions(restart=True))
    await desk.asked(3)
    cancelled = await other.cancel(CALLER, BACKFILL)
    assert cancelled.state is OperationState.CANCELLED

    async def gone() -> bool:
        return not process._running

    await until(gone, BOUND_SECONDS)
    assert await process.get(CALLER, BACKFILL) == cancelled


async def test_a_reconciliation_that_mends(desk: AccountOperations) -> None:
    flows = desk.flows
    await flows.backfilled()
    await spoil(flows, await flows.ids(CUSTOMERS))
    process = desk.process()
    await process.start(CALLER, OperationKind.RECONCILE, OperationOptions(repair=True))
    done = await desk.ended(process, OperationKind.RECONCILE)
    report = await flows.stores.reports.get(flows.account, done.report_id)
    assert report is not None
    assert report.drifted == done.progress.drifted == 3
    await flows.assert_right()


async def test_a_rebuild_mends_the_mirror_beside_webhooks(desk: AccountOperations) -> None:
    flows = desk.flows
    ids = await customers(flows, 150)
    await flows.caught_up()
    await flows.backfilled()
    await spoil(flows, ids[:10])
    swapping, go_on = asyncio.Event(), asyncio.Event()

    async def gate(name: str) -> None:
        if name == "list":  # the swap looks at rows of the live mirror
            swapping.set()
            await go_on.wait()

    process = desk.process(mirror=Breaking(flows.stores.mirror, before=gate))
    begun = await process.start(CALLER, REBUILD)
    async with asyncio.timeout(BOUND_SECONDS):
        await swapping.wait()
    assert await flows.stores.shadows.names(flows.account) == [begun.id]
    # Everything was read; now something happens, and its webhooks come while rows are swapped.
    await flows.post(f"/v1/customers/{ids[20]}", name="changed meanwhile")
    await flows.delete(f"/v1/customers/{ids[21]}")
    await flows.post(f"/v1/customers/{ids[3]}", name="spoilt, and changed meanwhile")
    late = (await flows.post("/v1/customers", name="late"))["id"]
    await flows.caught_up()
    go_on.set()
    done = await desk.ended(process, REBUILD)
    assert done.state is OperationState.SUCCEEDED
    report = await flows.stores.reports.get(flows.account, done.report_id)
    assert report is not None
    assert report.kind is ReportKind.REBUILD
    drifts = [finding.drift for finding in report.findings]
    assert (drifts.count(Drift.DIFFERENT), drifts.count(Drift.EXTRA)) == (9, 1)
    mirrored: Any = (await flows.mirrored())[CUSTOMERS.name]
    assert mirrored[ids[20]].name == "changed meanwhile"
    assert ids[21] not in mirrored
    assert late in mirrored
    await flows.assert_right()
    assert await flows.stores.shadows.names(flows.account) == []


async def test_a_killed_rebuild_goes_on_in_its_shadow(desk: AccountOperations) -> None:
    flows = desk.flows
    ids = await customers(flows, 250)
    await flows.backfilled()
    await spoil(flows, ids[:5])
    process = desk.process()
    begun = await process.start(CALLER, REBUILD)
    await desk.asked(8)
    await kill(process)
    assert await flows.stores.shadows.names(flows.account) == [begun.id]
    before = list(desk.lister.asked)
    other = desk.process(clock=Later(EXPIRY * 2))
    assert (await other.start(CALLER, REBUILD)).id == begun.id
    done = await desk.ended(other, REBUILD)
    assert (done.state, done.takeovers) == (OperationState.SUCCEEDED, 1)
    again = [page for page in desk.lister.asked[len(before) :] if page in before]
    assert len(again) <= 2
    await flows.assert_right()
    assert await flows.stores.shadows.names(flows.account) == []


async def test_a_cancelled_rebuild_leaves_no_shadow_and_a_mirror_as_it_was(
    desk: AccountOperations,
) -> None:
    flows = desk.flows
    await flows.backfilled()
    before = await flows.mirrored()
    process = desk.process()
    await process.start(CALLER, REBUILD)
    await desk.asked(4)
    await process.cancel(CALLER, REBUILD)
    assert await flows.stores.shadows.names(flows.account) == []
    assert await flows.mirrored() == before
    assert pages_of(desk)(CHARGES.name) <= 2
