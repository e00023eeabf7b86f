"""Watching an operation: at once, as it gets on, and to its end."""

import asyncio
from contextlib import aclosing

import pytest

from application.operations.use_cases import WATCH_SECONDS
from domain.errors import RateLimited, Reason, Unavailable
from domain.operations import OperationState
from tests.support.fakes.operations import BACKFILL, CALLER, NewWorld, Watcher, ended, slow, start


async def test_a_watch_tells_how_it_gets_on_until_its_end(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    slow(world, 0.9)
    process, other = world.process(), world.process()
    await start(process)
    here, there = (Watcher(one.operations.watch(CALLER, BACKFILL)) for one in (process, other))
    await world.time.settle()
    assert len(here.told) == len(there.told) == 1, "at once"
    await world.time.until(lambda: here.ended and there.ended)
    for watcher in (here, there):
        assert watcher.told[-1] == world.stored()
        assert watcher.told[-1].ended
        reads = [one.progress.read for one in watcher.told]
        assert reads == sorted(reads)
    told = list(dict.fromkeys(one.progress.read for one in here.told))
    assert told[:5] == [0, 3, 6, 9, 12], "each step, here"
    assert len(there.told) > 3


async def test_a_watch_tells_no_more_than_twice_a_second(new_world: NewWorld) -> None:
    world = new_world(customers=300)
    slow(world, 0.01)
    process = world.process()
    await start(process)
    begun = world.time.clock.now()
    watcher = Watcher(process.operations.watch(CALLER, BACKFILL))
    await world.time.until(lambda: watcher.ended)
    seconds = (world.time.clock.now() - begun).total_seconds()
    assert len(watcher.told) <= seconds / WATCH_SECONDS + 2


async def test_a_slow_reader_gets_the_latest_and_holds_nothing_up(new_world: NewWorld) -> None:
    world = new_world(customers=60)
    slow(world)
    process = world.process()
    await start(process)
    async with aclosing(process.operations.watch(CALLER, BACKFILL)) as watch:
        assert (await anext(watch)).progress.read == 0
        await world.time.until(lambda: ended(world))
        next_one = asyncio.ensure_future(anext(watch))
        await world.time.elapse(1)
        assert (await next_one).state is OperationState.SUCCEEDED
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_watches_are_bounded_and_end_with_the_process(new_world: NewWorld) -> None:
    world = new_world(customers=60)
    slow(world)
    process = world.process(max_watches=2)
    await start(process)
    first, second = (Watcher(process.operations.watch(CALLER, BACKFILL)) for _ in range(2))
    await world.time.settle()
    with pytest.raises(RateLimited) as refused:
        await anext(process.operations.watch(CALLER, BACKFILL))
    assert refused.value.reason is Reason.OVERLOADED
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    third = Watcher(process.operations.watch(CALLER, BACKFILL))
    await world.time.settle()
    assert third.told
    await process.stop()
    await world.time.settle()
    for watcher in (second, third):
        assert isinstance(watcher.error, Unavailable)
        assert watcher.error.reason is Reason.SHUTTING_DOWN
