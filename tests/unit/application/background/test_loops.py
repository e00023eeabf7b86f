"""Loops: they rest, wake and back off as declared, and nothing but their end ends them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from application.background.loops import Loop, Paused, RunningLoops
from domain.back_off import BackOff
from tests.support.fakes.stores import NOON, store_down
from tests.support.fakes.virtual_time import VirtualTime

INTERVAL_SECONDS: Final = 10.0
BACK_OFF: Final = BackOff(1.0, 8.0)
BOUND_SECONDS: Final = 10.0


async def nothing() -> None:
    """Succeed at once."""


class Bench:
    """A loop whose work is exchangeable; `began` holds when each round began, in seconds."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.wake = asyncio.Event()
        self.began: list[float] = []
        self.work: Callable[[], Awaitable[object]] = nothing
        self.chance = 0.0
        self.ended = 0
        self._tasks: list[asyncio.Task[None]] = []

    def loop(self, **options: Any) -> Loop:
        interval = options.pop("interval_seconds", INTERVAL_SECONDS)
        return Loop(
            "the work", self._do, interval,
            sleep=self.time.sleep, chance=lambda: self.chance, **options,
        )  # fmt: skip

    def begin(self, **options: Any) -> tuple[Loop, asyncio.Task[None]]:
        loop = self.loop(**options)
        task = asyncio.create_task(loop.run())
        self._tasks.append(task)
        return loop, task

    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.began, self.began[1:], strict=False)]

    async def note_end(self) -> None:
        self.ended += 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self) -> None:
        self.began.append((self.time.clock.now() - NOON).total_seconds())
        await self.work()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def failing(error: BaseException) -> Callable[[], Awaitable[object]]:
    async def fail() -> None:
        raise error

    return fail


# --- rests ----------------------------------------------------------------------------------------


async def test_it_works_at_once_and_then_after_each_interval(bench: Bench) -> None:
    bench.begin()
    await bench.time.elapse(25)
    assert bench.began == [0, 10, 20]


async def test_the_interval_counts_from_the_end_of_the_work(bench: Bench) -> None:
    bench.work = lambda: bench.time.sleep(3)
    bench.begin()
    await bench.time.elapse(30)
    assert bench.began == [0, 13, 26]


async def test_the_interval_may_change_with_each_rest(bench: Bench) -> None:
    intervals = iter([1.0, 5.0, 100.0])
    bench.begin(interval_seconds=lambda: next(intervals))
    await bench.time.elapse(50)
    assert bench.began == [0, 1, 6]


async def test_it_wakes_once_for_many_calls(bench: Bench) -> None:
    bench.begin(wake=bench.wake)
    await bench.time.elapse(4)
    for _ in range(5):
        bench.wake.set()
    await bench.time.elapse(4)
    assert bench.began == [0, 4]


async def test_what_wakes_it_while_it_works_is_not_lost(bench: Bench) -> None:
    bench.work = lambda: bench.time.sleep(3)
    bench.begin(wake=bench.wake)
    await bench.time.elapse(1)
    bench.wake.set()
    await bench.time.elapse(8)
    assert bench.began == [0, 3]


async def test_it_lets_more_gather_before_it_works(bench: Bench) -> None:
    async def gather() -> None:
        while bench.wake.is_set():
            bench.wake.clear()
            await bench.time.sleep(2)

    bench.begin(wake=bench.wake, gather=gather)
    await bench.time.elapse(4)
    bench.wake.set()
    await bench.time.elapse(1)
    bench.wake.set()
    await bench.time.elapse(5)
    assert bench.began == [0, 8]


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.5, 0.75)])
async def test_it_backs_off_within_bounds_and_begins_anew_after_a_success(
    bench: Bench, chance: float, share: float
) -> None:
    bench.work, bench.chance = failing(store_down()), chance
    bench.begin(back_off=BACK_OFF)
    await bench.time.until(lambda: len(bench.began) == 6)
    assert bench.pauses() == [share * longest for longest in (1, 2, 4, 8, 8)]
    bench.work = nothing
    await bench.time.until(lambda: len(bench.began) == 8)
    bench.work = failing(store_down())
    await bench.time.until(lambda: len(bench.began) == 10)
    assert bench.pauses()[6:] == [INTERVAL_SECONDS, INTERVAL_SECONDS, share * 1]


async def test_without_a_back_off_it_rests_after_a_failure_as_ever(bench: Bench) -> None:
    bench.work = failing(store_down())
    bench.begin(wake=bench.wake)
    await bench.time.elapse(14)
    bench.wake.set()
    await bench.time.elapse(1)
    assert bench.began == [0, 10, 14]


async def test_nothing_wakes_it_while_it_backs_off(bench: Bench) -> None:
    bench.work = failing(store_down())
    bench.begin(wake=bench.wake, back_off=BackOff(8.0, 8.0))
    await bench.time.elapse(1)
    bench.wake.set()
    await bench.time.elapse(2)
    assert bench.began == [0]
    await bench.time.elapse(2)
    assert bench.began == [0, 4]


async def test_what_it_waits_for_is_told_once_and_its_end_too(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.work = failing(store_down())
    bench.begin()
    await bench.time.elapse(45)
    bench.work = nothing
    await bench.time.elapse(20)
    assert len(bench.began) == 7
    assert said(caplog) == [("INFO", "the work waits"), ("INFO", "the work goes on")]


async def test_what_the_work_has_told_itself_is_not_told_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.work = failing(Paused())
    bench.begin(back_off=BACK_OFF)
    await bench.time.elapse(1.6)
    assert bench.began == [0, 0.5, 1.5]
    assert said(caplog) == []


@pytest.mark.parametrize(
    "defect",
    [ZeroDivisionError("a defect"), asyncio.CancelledError("of something that it awaited")],
)
async def test_a_defect_is_logged_and_does_not_end_it(
    bench: Bench, caplog: pytest.LogCaptureFixture, defect: BaseException
) -> None:
    bench.work = failing(defect)
    _, task = bench.begin(back_off=BACK_OFF)
    await bench.time.elapse(1)
    bench.work = nothing
    await bench.time.elapse(15)
    assert bench.began == [0, 0.5, 1.5, 11.5]
    assert said(caplog) == 2 * [("ERROR", "the work failed")]
    assert all(record.exc_info for record in caplog.records)
    assert not task.done()


# --- ends -----------------------------------------------------------------------------------------


async def test_stopped_it_finishes_what_it_has_in_hand_and_begins_nothing(bench: Bench) -> None:
    finished: list[bool] = []

    async def work() -> None:
        await bench.time.sleep(3)
        finished.append(loop.stopping)

    bench.work = work
    bench.wake.set()
    loop, task = bench.begin(wake=bench.wake, at_end=bench.note_end)
    await bench.time.elapse(1)
    loop.stop()
    bench.wake.set()
    await bench.time.elapse(1)
    assert not task.done()
    await bench.time.elapse(1)
    assert task.done()
    assert finished == [True]
    assert (bench.began, bench.ended) == ([0], 1)


@pytest.mark.parametrize("error", [None, store_down()], ids=["rests", "backs off"])
async def test_stopped_while_it_waits_it_ends_at_once(
    bench: Bench, error: Exception | None
) -> None:
    bench.work = failing(error) if error else nothing
    loop, task = bench.begin(back_off=BackOff(60.0, 60.0))
    await bench.time.elapse(1)
    loop.stop()
    await bench.time.settle()
    assert task.done()
    assert bench.began == [0]


async def test_stopped_before_it_began_it_does_nothing(bench: Bench) -> None:
    loop = bench.loop(at_end=bench.note_end)
    loop.stop()
    await loop.run()
    assert (bench.began, bench.ended) == ([], 1)


@pytest.mark.parametrize("seconds", [1, 5], ids=["while it works", "while it rests"])
async def test_cut_it_ends_at_once_and_in_order(bench: Bench, seconds: float) -> None:
    bench.work = lambda: bench.time.sleep(3)
    _, task = bench.begin(at_end=bench.note_end)
    await bench.time.elapse(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert (bench.began, bench.ended) == ([0], 1)


async def test_loops_that_are_stopped_finish_and_the_late_are_cut(bench: Bench) -> None:
    release, ends = asyncio.Event(), list[str]()

    async def wait_for_release() -> None:
        await release.wait()
        ends.append("finished")

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cut")

    loops = [Loop("prompt", wait_for_release, 60), Loop("late", wait_for_ever, 60)]
    running = RunningLoops(loops)
    await bench.time.settle()
    for loop in loops:
        loop.stop()
    release.set()
    async with asyncio.timeout(BOUND_SECONDS):
        await running.finish(0.05)
    assert ends == ["finished", "cut"]


async def test_loops_are_cut_together(bench: Bench) -> None:
    running = RunningLoops([bench.loop(at_end=bench.note_end), bench.loop(at_end=bench.note_end)])
    await bench.time.elapse(1)
    await running.cut()
    assert (bench.began, bench.ended) == ([0, 0], 2)
