"""An operation is started once, for whom it is allowed, and where there is room."""

import asyncio
from dataclasses import replace

import pytest

from application.operations.use_cases import AT_ONCE
from application.requests.callers import OPERATOR, Caller
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import FailedPrecondition, NotFound, Reason
from domain.operations import OperationKind, OperationOptions, OperationState
from tests.support.fakes.operations import (
    ACCOUNT,
    BACKFILL,
    CALLER,
    LINK,
    RESTART,
    NewWorld,
    StripeAndStores,
    ended,
    slow,
    start,
)
from tests.support.fakes.stores import NOON


async def test_it_runs_in_the_background_to_its_end(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    process = world.process()
    begun = await start(process)
    assert (begun.state, begun.kind, begun.stripe_account) == (
        OperationState.RUNNING, BACKFILL, ACCOUNT,
    )  # fmt: skip
    assert world.stripe.asked == []
    await world.time.until(lambda: ended(world))
    done = await process.operations.get(CALLER, BACKFILL)
    assert (done.state, done.id) == (OperationState.SUCCEEDED, begun.id)
    assert done.finished_at == world.time.clock.now()
    assert begun.started_at == done.started_at == done.requested_at == NOON
    progress = done.progress
    assert (progress.phase, progress.nouns_done, progress.nouns_total) == ("read", 2, 2)
    assert (progress.read, progress.changed, done.error) == (15, 15, "")
    assert progress.rate == pytest.approx(15 / 6, rel=0.1)
    assert done.owner == ""
    world.assert_right()


async def test_where_there_never_was_one(new_world: NewWorld) -> None:
    process = new_world().process()
    with pytest.raises(NotFound):
        await process.operations.get(CALLER, BACKFILL)
    with pytest.raises(NotFound):
        await process.operations.cancel(CALLER, BACKFILL)
    with pytest.raises(NotFound):
        await anext(process.operations.watch(CALLER, BACKFILL))


async def test_starting_what_runs_returns_it(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    process, other = world.process(), world.process()
    begun = await start(process)
    await world.time.elapse(1.2)
    again = await start(process)
    assert (again.id, again.state) == (begun.id, OperationState.RUNNING)
    assert again.progress.read == 3, "as it is now"
    assert (await start(other)).id == begun.id
    await world.time.until(lambda: ended(world))
    assert len(world.stripe.asked) == 6
    assert (await start(other)).id != begun.id, "a new one, once it is over"


async def test_starting_what_runs_with_other_options_is_refused(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    process = world.process()
    await start(process)
    with pytest.raises(FailedPrecondition) as refused:
        await start(process, RESTART)
    assert refused.value.reason is Reason.OPERATION_RUNNING
    assert refused.value.metadata == {"kind": "backfill", "state": "running"}
    assert "without options is running" in refused.value.message
    await world.time.until(lambda: ended(world))
    assert (await start(process, RESTART)).options == RESTART


async def test_two_processes_that_start_at_once_do_it_once(new_world: NewWorld) -> None:
    world = new_world()
    processes = [world.process() for _ in range(8)]
    begun = await asyncio.gather(*map(start, processes))
    assert len({one.id for one in begun}) == 1
    await world.time.until(lambda: ended(world))
    assert len(world.stripe.asked) == 6
    world.assert_right()


async def test_kinds_are_apart(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    process = world.process(at_once=len(OperationKind))
    for kind in OperationKind:
        await process.operations.start(CALLER, kind, OperationOptions(account="acme"))
    process.run()  # there are more kinds than are carried out at once
    await world.time.until(lambda: all(ended(world, kind) for kind in OperationKind))
    assert {world.stored(kind).state for kind in OperationKind} == {OperationState.SUCCEEDED}


async def test_restart_reads_everything_again(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    for options, asked in ((None, 6), (None, 6), (RESTART, 12)):
        await start(process, options)
        await world.time.until(lambda: ended(world))
        assert len(world.stripe.asked) == asked
        assert world.stored().progress.read == 15


def tenants(world: StripeAndStores, count: int) -> list[Caller]:
    """So many accounts with a connection each, all of one history."""
    found = []
    for n in range(count):
        link = Connection(f"a{n}", f"acct_{n}x", Mode.TEST, ConnectionKind.MANUAL, NOON)
        world.connections.kept[link.account, link.mode] = link
        found.append(Caller("crm", link.account, frozenset()))
    return found


async def test_more_than_a_process_has_room_for_wait_their_turn(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    process = world.process()
    process.run()
    callers = tenants(world, AT_ONCE + 3)
    states = [(await process.operations.start(one, BACKFILL)).state for one in callers]
    assert states == [OperationState.RUNNING] * AT_ONCE + [OperationState.PENDING] * 3
    await world.time.elapse(1)
    assert len({noun for noun, *_ in world.stripe.asked}) == 1
    assert process.operations._taken == AT_ONCE

    async def all_done() -> bool:
        found = [await process.operations.get(one, BACKFILL) for one in callers]
        return all(one.state is OperationState.SUCCEEDED for one in found)

    await world.time.elapse(20)
    assert await all_done(), "room that becomes free is used at once"
    assert process.operations._taken == 0


async def test_what_waits_is_taken_by_any_process_the_oldest_first(new_world: NewWorld) -> None:
    world = new_world()
    slow(world)
    full = world.process(at_once=0)
    for caller in reversed(tenants(world, 3)):
        await full.operations.start(caller, BACKFILL)
        world.time.clock.advance(seconds=1)
    world.process(at_once=1).run()
    order: list[str] = []

    def new() -> list[str]:
        running = [
            account for (account, task), one in world.checkpoints.kept.items()
            if task == "operation backfill" and one.state["state"] == "running"
        ]  # fmt: skip
        order.extend(account for account in running if account not in order)
        return order

    await world.time.until(lambda: len(new()) == 3)
    assert order == ["acct_2x", "acct_1x", "acct_0x"]


async def test_starting_what_waits_takes_it_where_there_is_room(new_world: NewWorld) -> None:
    world = new_world()
    assert (await start(world.process(at_once=0))).state is OperationState.PENDING
    assert (await start(world.process())).state is OperationState.RUNNING
    await world.time.until(lambda: ended(world))
    assert len(world.stripe.asked) == 6


async def test_an_operator_works_on_the_platforms_own_account(new_world: NewWorld) -> None:
    world = new_world()
    operator = Caller("ops", OPERATOR, frozenset())
    process = world.process()
    begun = await process.operations.start(operator, BACKFILL)
    assert begun.stripe_account == "acct_platform"
    with pytest.raises(NotFound):
        await process.operations.get(CALLER, BACKFILL)
    await world.time.settle()
    assert (await process.operations.get(operator, BACKFILL)).id == begun.id


async def test_without_a_connection_there_is_nothing_to_do(new_world: NewWorld) -> None:
    process = new_world().process()
    stranger = Caller("crm", "stranger", frozenset())
    for call in (process.operations.start, process.operations.get, process.operations.cancel):
        with pytest.raises(FailedPrecondition) as refused:
            await call(stranger, BACKFILL)
        assert refused.value.reason is Reason.STRIPE_NOT_CONNECTED


async def test_who_has_lost_his_connection_sees_nothing_of_the_mirror(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    await start(process)
    await world.time.until(lambda: ended(world))
    revoked = replace(LINK, state=ConnectionState.REVOKED)
    world.connections.kept[LINK.account, LINK.mode] = revoked
    world.time.clock.advance(minutes=1)
    for call in (process.operations.start, process.operations.get, process.operations.cancel):
        with pytest.raises(FailedPrecondition) as refused:
            await call(CALLER, BACKFILL)
        assert refused.value.reason is Reason.STRIPE_CONNECTION_REVOKED
