"""Publishing: every job reaches the queue, whatever dies or fails in between."""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from application.jobs.outbox import Outbox
from application.jobs.publisher import Publisher, QueueUnavailable
from application.jobs.publishing import BATCH, LAST_RETRY_SECONDS, LEASE, RETENTION, Publishing
from domain.errors import Unavailable
from domain.jobs import Job
from tests.support.fakes.breaking import Breaking, Crash, Died
from tests.support.fakes.stores import NOON, FakeClock, store_down
from tests.support.servers.stores import Stores, sqlite_stores

BOUND_SECONDS: Final = 10.0


def job(number: int, *, kind: str = "support.payment_notice") -> Job:
    return Job(f"{kind}/{number}", kind, "acme", NOON, {"number": number})


class Queue(Publisher):
    """Keeps what is published; `refuses` says why a job is refused, `away` that nobody answers."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.refuses: Callable[[Job], str] = lambda _: ""
        self.away = False
        self.opened = 0

    @override
    async def open(self) -> None:
        self.opened += 1
        if self.away:
            raise QueueUnavailable("ConnectionRefusedError")

    @override
    async def publish(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        if self.away:
            raise QueueUnavailable("not connected")
        failures = {one.id: why for one in jobs if (why := self.refuses(one))}
        self.got += [one.id for one in jobs if one.id not in failures]
        return failures

    @override
    async def close(self) -> None:
        """Nothing to close."""


class OutboxAndQueue:
    """An outbox, a queue and whoever brings jobs from one to the other."""

    def __init__(self, stores: Stores) -> None:
        self.outbox, self.queue, self.clock = stores.outbox, Queue(), FakeClock()
        self.queued = asyncio.Event()

    def publishing(
        self, owner: str = "one", *, outbox: Any = None, queue: Any = None
    ) -> Publishing:
        kept: Outbox = outbox or self.outbox
        return Publishing(kept, queue or self.queue, self.clock, self.queued, owner)

    async def pending(self) -> int:
        return (await self.outbox.counts()).pending


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[OutboxAndQueue]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        yield OutboxAndQueue(stores)


async def test_jobs_are_published_once_in_batches(desk: OutboxAndQueue) -> None:
    jobs = [job(number) for number in range(BATCH + 5)]
    await desk.outbox.append([*jobs, job(1, kind="events.invoice_paid")])
    publishing = desk.publishing()
    assert [await publishing.publish_batch() for _ in range(3)] == [BATCH, 5, 0]
    assert sorted(desk.queue.got) == sorted(one.id for one in jobs)
    assert await desk.pending() == 0


async def test_two_publishers_share_the_work(desk: OutboxAndQueue) -> None:
    await desk.outbox.append([job(number) for number in range(300)])
    first, second = desk.publishing("one"), desk.publishing("two")
    await asyncio.gather(first.publish_batch(), second.publish_batch())
    assert len(desk.queue.got) == len(set(desk.queue.got)) == 300


async def test_a_refused_job_comes_again_later_and_later_and_holds_up_no_other(
    desk: OutboxAndQueue,
) -> None:
    await desk.outbox.append([job(0), job(1)])
    desk.queue.refuses = lambda one: "MaxPayloadError" if one.id == job(0).id else ""
    publishing = desk.publishing()
    assert await publishing.publish_batch() == 2
    assert desk.queue.got == [job(1).id]
    waits = []
    for attempt in range(14):
        before = desk.clock.now()
        await desk.outbox.append([job(10 + attempt)])  # another one, so that the queue is not away
        for _ in range(100):
            if await _is_due(desk):
                break
            desk.clock.advance(seconds=0.25 if attempt < 3 else 20)
        waits.append((desk.clock.now() - before).total_seconds())
        assert await publishing.publish_batch() == 2
    assert waits[0] <= 1.25
    assert waits[0] < waits[5] < waits[9]
    assert max(waits) <= LAST_RETRY_SECONDS + 20
    desk.queue.refuses = lambda _: ""
    desk.clock.advance(seconds=LAST_RETRY_SECONDS)
    assert await publishing.publish_batch() == 1
    assert job(0).id in desk.queue.got
    assert await desk.pending() == 0


async def _is_due(desk: OutboxAndQueue) -> bool:
    """Whether the refused job can be claimed now; what is claimed is due again at once."""
    due = await desk.outbox.claim("peek", now=desk.clock.now(), lease=dt.timedelta(), limit=100)
    return job(0).id in {one.job.id for one in due}


async def test_a_queue_that_is_away_is_told_and_nothing_is_lost(desk: OutboxAndQueue) -> None:
    await desk.outbox.append([job(number) for number in range(3)])
    publishing = desk.publishing()
    desk.queue.away = True
    with pytest.raises(QueueUnavailable):
        await publishing.publish_batch()
    assert await publishing.publish_batch() == 0, "they wait a little"
    desk.queue.away = False
    desk.clock.advance(seconds=1)
    assert await publishing.publish_batch() == 3
    assert await desk.pending() == 0


async def test_when_no_job_is_accepted_the_queue_counts_as_away(desk: OutboxAndQueue) -> None:
    await desk.outbox.append([job(0), job(1)])
    desk.queue.refuses = lambda _: "TimeoutError"
    with pytest.raises(QueueUnavailable):
        await desk.publishing().publish_batch()


async def test_one_job_that_is_refused_says_nothing_of_the_queue(desk: OutboxAndQueue) -> None:
    """Others that are appended meanwhile do not wait for it."""
    await desk.outbox.append([job(0)])
    desk.queue.refuses = lambda one: "MaxPayloadError" if one.id == job(0).id else ""
    publishing = desk.publishing()
    assert await publishing.publish_batch() == 1
    await desk.outbox.append([job(1)])
    assert await publishing.publish_batch() == 1
    assert desk.queue.got == [job(1).id]


@pytest.mark.parametrize("how", ["dies before", "dies after", "store fails"])
async def test_a_crash_at_any_step_loses_no_job(tmp_path: Path, how: str) -> None:
    jobs = [job(number) for number in range(5)]
    for step in range(20):
        async with sqlite_stores(tmp_path / f"{step}.db") as stores:
            desk = OutboxAndQueue(stores)
            desk.queue.refuses = lambda one: "refused" if one.id == job(4).id else ""
            await desk.outbox.append(jobs)
            crash = Crash(step, store_fails=how == "store fails")
            where: Any = {"after" if how == "dies after" else "before": crash}
            broken = desk.publishing(
                outbox=Breaking(desk.outbox, **where), queue=Breaking(desk.queue, **where)
            )
            with contextlib.suppress(Died, Unavailable):
                await broken.publish_batch()
            desk.clock.advance(seconds=LEASE.total_seconds())
            desk.queue.refuses = lambda _: ""
            while await desk.publishing("two").publish_batch():
                pass
            assert set(desk.queue.got) == {one.id for one in jobs}
            assert max(map(desk.queue.got.count, desk.queue.got)) <= 2
            assert await desk.pending() == 0
            if not crash.happened:
                assert step >= 4, "claim, publish, mark and release are four"
                return
    raise AssertionError("the batch never ends")


async def test_the_task_publishes_what_is_queued_until_it_is_stopped(desk: OutboxAndQueue) -> None:
    publishing = desk.publishing()
    running = asyncio.create_task(publishing.loop.run())
    for number in range(3):
        await desk.outbox.append([job(number)])
        desk.queued.set()
        await _until(partial(_more_than, desk.queue.got, number))
    publishing.loop.stop()
    async with asyncio.timeout(BOUND_SECONDS):
        await running
    assert await desk.pending() == 0


async def test_the_task_outlives_an_absent_queue_a_failing_store_and_a_defect(
    desk: OutboxAndQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("POLL_SECONDS", "LAST_POLL_SECONDS"):
        monkeypatch.setattr(f"application.jobs.publishing.{name}", 0.01)
    desk.queue.away = True
    await desk.outbox.append([job(0)])
    failures: list[Exception] = [RuntimeError("personal data"), store_down()]

    async def fail(where: str) -> None:
        if where == "claim" and failures:
            raise failures.pop()

    publishing = desk.publishing(outbox=Breaking(desk.outbox, before=fail))
    with caplog.at_level(logging.INFO):
        running = asyncio.create_task(publishing.loop.run())
        await _until(lambda: desk.queue.opened > 4)
        desk.queue.away = False
        await _until(lambda: bool(desk.queue.got))
        publishing.loop.stop()
        async with asyncio.timeout(BOUND_SECONDS):
            await running
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "jobs wait for the queue"),
        ("INFO", "publishing waits"),
        ("ERROR", "publishing failed"),
        ("INFO", "the queue is back"),
        ("INFO", "publishing goes on"),
    ], "however often it was tried"
    assert caplog.records[0].__dict__["error"] == "ConnectionRefusedError"


async def test_what_is_old_is_purged(desk: OutboxAndQueue) -> None:
    await desk.outbox.append([job(0), *(job(n, kind="events.invoice_paid") for n in range(3))])
    publishing = desk.publishing()
    await publishing.publish_batch()
    assert await publishing.purge() == 0
    desk.clock.advance(seconds=RETENTION.total_seconds() + 1)
    assert await publishing.purge() == 3, "the last billing event stays"


async def test_what_is_old_is_purged_again_once_a_clock_that_was_ahead_is_set_right(
    desk: OutboxAndQueue,
) -> None:
    publishing = desk.publishing()
    desk.clock.advance(days=60)
    await publishing._purge_at_times()
    desk.clock.advance(days=-60)
    await desk.outbox.append([job(0)])
    await publishing.publish_batch()
    desk.clock.advance(seconds=RETENTION.total_seconds() + 1)
    await publishing._purge_at_times()
    assert await publishing.purge() == 0, "done"


def _more_than(got: Sequence[str], number: int) -> bool:
    return len(got) > number


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not true():  # noqa: ASYNC110 - what is waited for is no event of asyncio's
            await asyncio.sleep(0.005)
