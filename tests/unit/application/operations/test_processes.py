"""An operation is never lost with its process, and never done by two."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from application.operations.run import OperationRun
from application.operations.use_cases import SCAN_SECONDS
from domain.errors import Reason, Unavailable
from domain.operations import EXPIRY, MAX_TAKEOVERS, Operation, OperationOptions, OperationState
from tests.support.fakes.operations import (
    ACCOUNT,
    BACKFILL,
    CALLER,
    RESTART,
    NewWorld,
    StripeAndStores,
    ended,
    slow,
    start,
)
from tests.support.fakes.stores import NOON, store_down


async def test_another_process_goes_on_when_one_dies(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process, other = world.process(), world.process()
    other.run()
    begun = await start(process)
    await world.time.elapse(4.7)
    await process.kill()
    died_at, asked = world.time.clock.now(), len(world.stripe.asked)
    await world.time.elapse(EXPIRY.total_seconds() - 3)
    assert len(world.stripe.asked) == asked, "it may be alive"
    await world.time.until(lambda: len(world.stripe.asked) > asked)
    waited = (world.time.clock.now() - died_at).total_seconds()
    assert waited <= EXPIRY.total_seconds() + SCAN_SECONDS + 1
    await world.time.until(lambda: ended(world))
    done = world.stored()
    assert (done.id, done.state) == (begun.id, OperationState.SUCCEEDED)
    assert done.started_at == begun.started_at
    assert done.takeovers == 1
    assert len(set(world.stripe.asked)) == 12
    assert len(world.stripe.asked) <= 12 + 2, "a page under way, and one ahead"
    world.assert_right()


async def test_what_died_while_the_clock_was_ahead_goes_on_once_that_is_set_right(
    new_world: NewWorld,
) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    world.time.clock.instant += dt.timedelta(days=2)
    begun = await start(process)
    await world.time.elapse(4.7)
    running = world.stored()
    assert await world.log().is_elsewhere(running)
    await process.kill()
    world.time.clock.instant -= dt.timedelta(days=2)
    other = world.process()
    assert not await world.log().is_elsewhere(running)
    other.run()
    await world.time.until(lambda: ended(world))
    assert (world.stored().id, world.stored().state) == (begun.id, OperationState.SUCCEEDED)
    world.assert_right()


async def test_after_an_orderly_stop_the_next_goes_on_at_once(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    process.run()
    await start(process)
    await world.time.elapse(3.2)
    await process.stop()
    assert (world.stored().state, world.stored().owner) == (OperationState.PENDING, "")
    asked = len(world.stripe.asked)
    other = world.process()
    other.run()
    await world.time.elapse(0.1)
    assert len(world.stripe.asked) > asked
    await world.time.until(lambda: ended(world))
    assert world.stored().takeovers == 0
    world.assert_right()


async def test_who_has_the_store_alone_goes_on_at_once(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    process.run()
    await start(process)
    await world.time.elapse(3.2)
    await process.kill()
    asked = len(world.stripe.asked)
    other = world.process()
    other.operations._log.take_over()
    other.run()
    await world.time.elapse(0.1)
    assert len(world.stripe.asked) > asked
    await world.time.until(lambda: ended(world))
    assert world.stored().takeovers == 1
    world.assert_right()


async def test_a_process_that_stops_starts_nothing(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    await process.stop()
    with pytest.raises(Unavailable) as refused:
        await start(process)
    assert refused.value.reason is Reason.SHUTTING_DOWN
    assert not world.checkpoints.kept


async def test_stopped_while_it_starts_it_is_left_to_others(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    starting = asyncio.create_task(start(process))

    async def stop_then_save(name: str) -> None:
        if name == "checkpoints.save" and not process.operations._stopping.is_set():
            await process.operations.stop()

    world.where = stop_then_save
    await starting
    assert world.stored().state is OperationState.PENDING
    other = world.process()
    other.run()
    await world.time.until(lambda: ended(world))


async def test_a_finished_one_is_not_given_back(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    await start(process)
    await world.time.until(lambda: ended(world))
    await process.stop()
    assert world.stored().state is OperationState.SUCCEEDED


async def test_a_run_that_has_ended_gives_nothing_back(new_world: NewWorld) -> None:
    world = new_world()
    work, clock = world.process().backfill_work, world.time.clock
    operation = Operation("0", ACCOUNT, BACKFILL, OperationOptions(), NOON)
    kept = await world.log().save(operation.taken("me", NOON), None)
    run = OperationRun(kept, world.log(), work, clock, sleep=world.time.sleep)
    await run.carry_out()
    await run.give_back()
    assert world.stored().state is OperationState.SUCCEEDED


async def test_who_goes_on_does_not_begin_anew(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    await start(process, RESTART)
    for _ in range(4):
        await world.time.elapse(2.6)
        await process.stop()
        process = world.process()
        process.run()
    await world.time.until(lambda: ended(world))
    assert len(set(world.stripe.asked)) == 12
    assert len(world.stripe.asked) <= 12 + 4 * 2
    world.assert_right()


async def test_an_end_that_cannot_be_saved_is_saved_later(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process()
    saves = 0

    async def away(name: str) -> None:
        nonlocal saves
        kept = world.checkpoints.kept.get((ACCOUNT, "backfill"))
        saves += kept is not None and bool(kept.state["finished_ms"]) and name == "checkpoints.save"
        if saves > 1 and name == "checkpoints.save":  # once the backfill has said that it is over
            raise store_down()

    world.where = away
    await start(process)
    await world.time.elapse(50)
    assert (await process.operations.get(CALLER, BACKFILL)).state is OperationState.RUNNING
    slow(world)
    await world.time.elapse(3)
    assert world.stored().state is OperationState.SUCCEEDED
    assert world.stored().takeovers == 0


async def test_its_own_is_not_taken_over_however_long_the_store_was_away(
    new_world: NewWorld,
) -> None:
    world = new_world(customers=300)
    slow(world)
    process = world.process()
    process.run()
    await start(process)
    slowly, looks = world.where, 0

    async def away_until_somebody_looks(name: str) -> None:
        nonlocal looks
        looks += name == "checkpoints.of"
        await slowly(name)
        # Its fourth look begins with the 13th pause: there are two accounts, two pauses each.
        if name == "checkpoints.save" and looks < 13:
            raise store_down()

    world.where = away_until_somebody_looks
    await world.time.until(lambda: looks >= 13)
    assert world.stored().takeovers == 0
    world.where = slowly
    await world.time.until(lambda: ended(world))
    assert world.stored().takeovers == 0


async def test_of_many_that_take_over_one_goes_on(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    await start(process)
    await world.time.elapse(2.2)
    await process.kill()
    for _ in range(5):
        world.process().run()
    await world.time.until(lambda: ended(world))
    assert len(world.stripe.asked) <= 12 + 2
    world.assert_right()


async def test_killed_at_every_step_it_ends_all_the_same(new_world: NewWorld) -> None:
    async def carried_out(die_at: int | None) -> StripeAndStores:
        world = new_world(customers=5)
        process = world.process()
        slain: list[asyncio.Task[None]] = []

        async def where(_: str) -> None:
            if world.calls == die_at:
                slain.append(asyncio.create_task(process.kill()))
                await asyncio.sleep(0)

        world.where = where
        await start(process)
        await world.time.settle()
        if die_at is not None:
            assert slain
            await asyncio.gather(*slain)
            world.process().run()
        await world.time.elapse(EXPIRY.total_seconds() + 2 * SCAN_SECONDS)
        assert world.stored().state is OperationState.SUCCEEDED
        world.assert_right()
        return world

    steps = (await carried_out(None)).calls
    for step in range(8, steps):  # after it was started
        await carried_out(step)


async def test_what_ends_every_process_ends_itself(new_world: NewWorld) -> None:
    world = new_world()
    operation = Operation("0", ACCOUNT, BACKFILL, OperationOptions(), NOON)
    gone = replace(operation.taken("gone", NOON), takeovers=MAX_TAKEOVERS)
    await world.log().save(gone, None)
    world.time.clock.instant += EXPIRY * 2
    world.process().run()
    await world.time.settle()
    assert world.stored().state is OperationState.FAILED
    assert f"ended {MAX_TAKEOVERS + 1} times" in world.stored().error
    assert world.stripe.asked == []


async def test_the_store_may_be_away_for_a_while(new_world: NewWorld) -> None:
    world = new_world(customers=60)
    slow(world)
    process, other = world.process(), world.process()
    other.run()
    await start(process)
    await world.time.elapse(3.2)
    slowly = world.where

    async def away(name: str) -> None:
        await slowly(name)
        if name.startswith("checkpoints"):
            raise store_down()

    world.where = away
    await world.time.elapse(20)
    world.where = slowly
    await world.time.until(lambda: ended(world))
    assert world.stored().state is OperationState.SUCCEEDED
    assert world.stored().takeovers == 0
    world.assert_right()


async def test_a_save_whose_answer_is_lost_is_still_its_own(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    await start(process)
    slowly, saves = world.where, 0

    async def half(name: str) -> None:
        nonlocal saves
        await slowly(name)
        saves += name == "checkpoints.save"
        if name == "checkpoints.save" and saves % 14 == 2:
            raise store_down()  # after it was done

    world.where = half
    await world.time.until(lambda: ended(world))
    assert world.stored().state is OperationState.SUCCEEDED
    assert world.stored().takeovers == 0


async def test_who_has_lost_it_stops(new_world: NewWorld) -> None:
    world = new_world(customers=90)
    slow(world)
    process = world.process()
    await start(process)
    await world.time.elapse(3.2)
    kept = await world.log().find(ACCOUNT, BACKFILL)
    assert kept is not None
    await world.log().save(kept.operation.taken("another", world.time.clock.now()), kept)
    await world.time.elapse(2.5)
    asked = len(world.stripe.asked)
    await world.time.elapse(20)
    assert len(world.stripe.asked) == asked
    assert world.stored().owner == "another"
