"""A cancelled operation ends for good, wherever it is done."""

import asyncio

from application.operations.use_cases import STOP_SECONDS
from domain.operations import OperationState
from tests.support.fakes.operations import BACKFILL, CALLER, NewWorld, ended, slow, start


async def test_a_cancelled_one_stops_at_once(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process = world.process()
    await start(process)
    await world.time.elapse(3.2)
    cancelled = await process.operations.cancel(CALLER, BACKFILL)
    assert cancelled.state is OperationState.CANCELLED
    assert cancelled.finished_at == world.time.clock.now()
    assert cancelled.progress.read == 9, "as it was at the end"
    asked = len(world.stripe.asked)
    await world.time.elapse(200)
    assert len(world.stripe.asked) == asked
    assert world.stored() == cancelled
    assert await process.operations.cancel(CALLER, BACKFILL) == cancelled
    await start(process)
    await world.time.until(lambda: ended(world))
    assert world.stored().progress.read == 30 + 4, "it went on where it was"
    world.assert_right()


async def test_one_of_another_process_stops_within_seconds(new_world: NewWorld) -> None:
    world = new_world(customers=90)
    slow(world)
    process, other = world.process(), world.process()
    await start(process)
    await world.time.elapse(3.2)
    cancelled = await other.operations.cancel(CALLER, BACKFILL)
    assert (await process.operations.get(CALLER, BACKFILL)).state is OperationState.CANCELLED
    await world.time.elapse(3)
    asked = len(world.stripe.asked)
    await world.time.elapse(200)
    assert len(world.stripe.asked) == asked
    assert world.stored() == cancelled


async def test_cancelled_and_started_again_at_once_there_is_one(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world)
    process, other = world.process(), world.process()
    for turn in range(6):
        await start(process)
        await world.time.elapse(0.7)
        await (process, other)[turn % 2].operations.cancel(CALLER, BACKFILL)
    await start(process)
    await world.time.until(lambda: ended(world))
    assert world.stored().state is OperationState.SUCCEEDED
    await world.time.elapse(5)
    assert process.operations._taken == 0
    world.assert_right()


async def test_one_that_is_slow_to_stop_is_waited_for(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    process = world.process()

    async def stubborn(name: str) -> None:
        if name == "stripe.page":
            try:
                await world.time.sleep(0.5)
            except asyncio.CancelledError:
                await world.time.sleep(STOP_SECONDS * 2)
                raise

    world.where = stubborn
    await start(process)
    await world.time.elapse(1.2)
    cancelling = asyncio.create_task(process.operations.cancel(CALLER, BACKFILL))
    await world.time.elapse(STOP_SECONDS + 1)
    assert cancelling.done(), "not for ever"
    asked = len(world.stripe.asked)
    await start(process)
    await world.time.elapse(STOP_SECONDS / 2)
    assert len(world.stripe.asked) == asked, "the one before it is still at work"
    await world.time.until(lambda: ended(world))
    world.assert_right()


async def test_a_waiting_or_an_ended_one_can_be_cancelled(new_world: NewWorld) -> None:
    world = new_world()
    process = world.process(at_once=0)
    await start(process)
    waiting = await process.operations.cancel(CALLER, BACKFILL)
    assert waiting.state is OperationState.CANCELLED
    other = world.process()
    other.run()
    await world.time.elapse(100)
    assert world.stripe.asked == []
    await start(other)
    await world.time.until(lambda: ended(world))
    done = world.stored()
    assert await other.operations.cancel(CALLER, BACKFILL) == done
