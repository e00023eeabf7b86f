"""Tasks that outlive the call that began them."""

import asyncio

import pytest

from application.background.tasks import Tasks


async def test_draining_nothing_is_done_at_once() -> None:
    assert await Tasks().drain(60.0) == 0


async def test_a_task_ends_though_its_caller_has_gone() -> None:
    tasks, gate = Tasks(), asyncio.Event()
    ended = []

    async def work() -> None:
        await gate.wait()
        ended.append(True)

    async def call() -> None:
        await asyncio.shield(tasks.spawn(work()))

    caller = asyncio.create_task(call())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    assert await tasks.drain(60.0) == 0
    assert ended == [True]


async def test_what_is_late_is_cut_and_counted() -> None:
    tasks = Tasks()
    late = [tasks.spawn(asyncio.Event().wait()) for _ in range(2)]
    quick = tasks.spawn(asyncio.sleep(0, "done"))
    assert await tasks.drain(0.01) == 2
    assert all(task.cancelled() for task in late)
    assert await quick == "done"
    assert await tasks.drain(60.0) == 0


async def test_a_failure_reaches_only_who_awaits_it() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError("broken")

    task, other = tasks.spawn(fail()), tasks.spawn(asyncio.sleep(0, 1))
    assert await tasks.drain(60.0) == 0
    assert other.result() == 1
    with pytest.raises(ValueError, match="broken"):
        await task
