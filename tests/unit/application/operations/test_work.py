"""What comparisons and rebuilds do as operations: one report each, and no shadow left behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest

from application.mirror.nouns import CUSTOMERS
from application.operations.use_cases import SCAN_SECONDS
from application.requests.callers import OPERATOR
from application.upkeep.ports import Report, ReportKind
from domain.errors import FailedPrecondition, Reason
from domain.mirror import Snapshot, Version
from domain.operations import EXPIRY, Operation, OperationKind, OperationOptions, OperationState
from domain.periods import to_milliseconds
from tests.support.fakes.operations import ACCOUNT, CALLER, NewWorld, StripeAndStores
from tests.support.fakes.stores import NOON, store_down

RECONCILE: Final = OperationKind.RECONCILE
REBUILD: Final = OperationKind.REBUILD
REPAIR: Final = OperationOptions(repair=True)
LONG_SECONDS: Final = EXPIRY.total_seconds() + 2 * SCAN_SECONDS


async def filled(world: StripeAndStores) -> StripeAndStores:
    """The mirror shows what Stripe holds, but for a customer that says something else."""
    await world.process().operations.start(CALLER, OperationKind.BACKFILL)
    await world.time.until(lambda: world.stored().ended)
    world.time.clock.advance(hours=1)
    await spoil(world, "cus_004")
    return world


async def spoil(world: StripeAndStores, id_: str) -> None:
    """Let a row say something else, with a version that is older than any read from now on."""
    (row,) = (await world.mirror.fetch(CUSTOMERS, ACCOUNT, [id_])).values()
    found = world.stripe.of(CUSTOMERS)[id_]
    version = Version.of_event(to_milliseconds(NOON))
    wrong: Snapshot[Any] = Snapshot(ACCOUNT, id_, version, replace(found, name="wrong"))
    assert not await world.mirror.replace(CUSTOMERS, [(wrong, row.revision)])


def reports(world: StripeAndStores) -> list[Report]:
    return list(world.reports.kept.values())


async def carried_out(
    world: StripeAndStores, kind: OperationKind, options: OperationOptions | None = None
) -> Operation:
    """Start an operation in a process of its own, and wait for its end."""
    await world.process().operations.start(CALLER, kind, options)
    await world.time.until(lambda: world.stored(kind).ended)
    return world.stored(kind)


async def killed_at_every_step(
    new_world: NewWorld, kind: OperationKind, options: OperationOptions
) -> AsyncIterator[StripeAndStores]:
    """Worlds in which the process died at one step each, and another one took over."""

    async def run(die_at: int | None) -> tuple[StripeAndStores, int]:
        world = await filled(new_world(customers=5))
        process, other = world.process(), world.process()
        begun_at, slain = world.calls, []

        async def where(_: str) -> None:
            if die_at is not None and world.calls == begun_at + die_at:
                slain.append(asyncio.create_task(process.kill()))
                await asyncio.sleep(0)

        world.where = where
        await process.operations.start(CALLER, kind, options)
        if die_at is not None:
            await world.time.settle()
            assert slain
            await asyncio.gather(*slain)
            other.run()
        await world.time.elapse(LONG_SECONDS)
        return world, world.calls - begun_at

    world, steps = await run(None)
    yield world
    for step in range(8, min(steps, 400)):  # after it was started
        world, _ = await run(step)
        yield world
        await world.end()


# --- comparing -------------------------------------------------------------------------------


async def test_a_comparison_tells_what_is_wrong(new_world: NewWorld) -> None:
    world = await filled(new_world())
    done = await carried_out(world, RECONCILE)
    assert done.state is OperationState.SUCCEEDED
    (report,) = reports(world)
    assert (report.id, report.kind, report.repair) == (done.report_id, ReportKind.RECONCILE, False)
    progress = done.progress
    assert (progress.phase, progress.nouns_done, progress.nouns_total) == ("compare", 2, 2)
    assert (progress.read, progress.drifted, report.drifted) == (15, 1, 1)
    with pytest.raises(AssertionError):
        world.assert_right()
    done = await carried_out(world, RECONCILE, REPAIR)
    assert world.reports.kept[ACCOUNT, done.report_id].findings[0].repaired
    world.assert_right()


async def test_killed_at_every_step_it_leaves_one_report(new_world: NewWorld) -> None:
    seen = 0
    async for world in killed_at_every_step(new_world, RECONCILE, REPAIR):
        seen += 1
        done = world.stored(RECONCILE)
        assert done.state is OperationState.SUCCEEDED
        assert [report.id for report in reports(world)] == [done.report_id]
        world.assert_right()
    assert seen > 30


async def test_a_cancelled_one_begins_anew(new_world: NewWorld) -> None:
    world = await filled(new_world())
    process = world.process()

    async def slowly(name: str) -> None:
        if name == "stripe.page":
            await world.time.sleep(1)

    world.where = slowly
    await process.operations.start(CALLER, RECONCILE)
    await world.time.elapse(5)
    assert world.checkpoints.kept[ACCOUNT, "reconcile"].state
    await process.operations.cancel(CALLER, RECONCILE)
    again = await process.operations.start(CALLER, RECONCILE)
    await world.time.until(lambda: world.stored(RECONCILE).ended)
    (report,) = reports(world)
    assert report.started_at >= again.requested_at
    assert sum(one.compared for one in report.counts) == 15


# --- rebuilding ------------------------------------------------------------------------------


async def test_a_rebuild_mends_the_mirror_and_leaves_no_shadow(new_world: NewWorld) -> None:
    world = await filled(new_world())
    process = world.process()
    begun = await process.operations.start(CALLER, REBUILD)
    await world.time.until(lambda: world.stored(REBUILD).ended)
    done = world.stored(REBUILD)
    assert (done.state, done.progress.phase) == (OperationState.SUCCEEDED, "swap")
    assert (done.progress.nouns_done, done.progress.drifted) == (2, 1)
    (report,) = reports(world)
    assert (report.id, report.kind) == (done.report_id, ReportKind.REBUILD)
    assert world.shadows.opened == [begun.id]
    assert world.shadows.kept == {}
    world.assert_right()


async def test_killed_at_every_step_it_goes_on_in_its_shadow(new_world: NewWorld) -> None:
    seen = 0
    async for world in killed_at_every_step(new_world, REBUILD, OperationOptions()):
        seen += 1
        done = world.stored(REBUILD)
        assert done.state is OperationState.SUCCEEDED
        assert [report.id for report in reports(world)] == [done.report_id]
        assert set(world.shadows.opened) == {done.id}
        assert world.shadows.kept == {}
        world.assert_right()
    assert seen > 60


async def test_the_events_of_the_right_account_are_replayed(new_world: NewWorld) -> None:
    world = await filled(new_world())
    process = world.process()
    await process.operations.start(CALLER, REBUILD)
    await world.time.settle()
    assert process.inbox.asked == [ACCOUNT]
    await process.operations.start(replace(CALLER, account=OPERATOR), REBUILD)
    await world.time.settle()
    assert process.inbox.asked == [ACCOUNT, ""], "the platform's own events name no account"


async def test_what_an_earlier_one_left_is_removed(new_world: NewWorld) -> None:
    world = await filled(new_world())
    for place in ((ACCOUNT, "1"), (ACCOUNT, "2"), ("acct_2", "3")):
        async with world.shadows.open(*place):
            pass
    await carried_out(world, REBUILD)
    assert set(world.shadows.kept) == {("acct_2", "3")}


async def swapping(world: StripeAndStores) -> None:
    """Wait until a rebuild has compared its first noun, and keep it there."""

    async def slowly(name: str) -> None:
        if name == "mirror.list":
            await world.time.sleep(1)

    world.where = slowly

    def compared() -> bool:
        kept = world.checkpoints.kept.get((ACCOUNT, "rebuild"))
        return kept is not None and bool(kept.state.get("done"))

    await world.time.until(compared)


async def test_cancelled_its_shadow_goes_and_the_next_one_compares_all(
    new_world: NewWorld,
) -> None:
    world = await filled(new_world())
    process = world.process()
    begun = await process.operations.start(CALLER, REBUILD)
    await swapping(world)
    assert set(world.shadows.kept) == {(ACCOUNT, begun.id)}
    await process.operations.cancel(CALLER, REBUILD)
    assert world.shadows.kept == {}
    await spoil(world, "cus_005")  # of the noun that was compared already
    again = await carried_out(world, REBUILD)
    assert again.id != begun.id
    assert world.shadows.kept == {}
    world.assert_right()


async def test_cancelled_from_another_process_its_own_one_removes_the_shadow(
    new_world: NewWorld,
) -> None:
    world = await filled(new_world())
    await world.process().operations.start(CALLER, REBUILD)
    await swapping(world)
    await world.process().operations.cancel(CALLER, REBUILD)
    assert world.shadows.kept, "it is still in use"
    await world.time.until(lambda: not world.shadows.kept, seconds=5)


async def test_cancelled_once_its_process_is_dead_its_shadow_goes(new_world: NewWorld) -> None:
    world = await filled(new_world())
    process = world.process()
    await process.operations.start(CALLER, REBUILD)
    await swapping(world)
    await process.kill()
    world.time.clock.instant += EXPIRY * 2
    await world.process().operations.cancel(CALLER, REBUILD)
    assert world.shadows.kept == {}


async def test_failed_its_shadow_goes(new_world: NewWorld) -> None:
    world = await filled(new_world())
    asked = len(world.stripe.asked)

    async def refuse(name: str) -> None:
        if name == "stripe.page" and len(world.stripe.asked) > asked + 2:
            raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect it again")

    world.where = refuse
    failed = await carried_out(world, REBUILD)
    assert failed.state is OperationState.FAILED
    assert world.shadows.opened == [failed.id]
    assert world.shadows.kept == {}
    with pytest.raises(AssertionError):
        world.assert_right()


async def test_a_shadow_that_cannot_be_removed_fails_nothing(new_world: NewWorld) -> None:
    world = await filled(new_world())

    async def refuse(name: str) -> None:
        if name == "shadows.discard":
            raise store_down()

    world.where = refuse
    done = await carried_out(world, REBUILD)
    assert done.state is OperationState.SUCCEEDED
    assert set(world.shadows.kept) == {(ACCOUNT, done.id)}
    world.where = world_at_rest
    await carried_out(world, REBUILD)
    assert world.shadows.kept == {}


async def world_at_rest(_: str) -> None:
    """Everything answers again."""
