"""What is in the outbox reaches the stream once, however often publishers are killed.

A child process appends jobs and publishes them, again and again; it is killed in the middle of it,
and the next one goes on from the same file. In the end the stream must hold each job once.
"""

import asyncio
import datetime as dt
import signal
import sys
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from typing_extensions import override

from application.background.clock import Clock
from application.jobs.publishing import LEASE, Publishing
from domain.jobs import Job
from infrastructure.clock import SystemClock
from infrastructure.queue.nats import STREAM, NatsPublisher
from sandbox.servers.nats import own_nats_server
from tests.support.servers.stores import sqlite_stores

_KILLS: Final = 8
_ENOUGH: Final = 60
_BOUND_SECONDS: Final = 60.0


class Ahead(Clock):
    """The machine's clock, ahead by so many leases: what the killed ones held is due at once."""

    def __init__(self, leases: int) -> None:
        self._ahead = leases * LEASE

    @override
    def now(self) -> dt.datetime:
        return SystemClock().now() + self._ahead


async def publish_for_ever(path: Path, url: str, turn: int) -> None:
    """The child: appends and publishes until it is killed; prints each id once it is appended."""
    async with sqlite_stores(path) as stores:
        clock, queued, publisher = Ahead(turn), asyncio.Event(), NatsPublisher(url)
        publishing = Publishing(stores.outbox, publisher, clock, queued, f"turn {turn}")
        running = asyncio.create_task(publishing.loop.run())
        number = 0
        while not running.done():
            jobs = [
                Job(f"job-{turn}-{number + n}", "support.payment_notice", "acme", clock.now())
                for n in range(7)
            ]
            number += len(jobs)
            await stores.outbox.append(jobs)
            queued.set()
            print("\n".join(job.id for job in jobs), flush=True)  # noqa: T201 - to the parent


async def test_killed_publishers_lose_nothing_and_double_nothing(on_disk: Path) -> None:
    path, appended = on_disk / "billing.db", set[str]()
    with own_nats_server() as server:
        for turn in range(_KILLS):
            appended |= await _killed_child(path, server.url, turn)
        async with sqlite_stores(path) as stores:
            clock, publisher = Ahead(_KILLS), NatsPublisher(server.url)
            last = Publishing(stores.outbox, publisher, clock, asyncio.Event(), "last")
            await publisher.open()
            while await last.publish_batch():
                pass
            await publisher.close()
            assert (await stores.outbox.counts()).pending == 0
        kept = await _stored(server.url)
    print(f"{_KILLS} kills, {len(appended)} jobs said to be kept, {len(kept)} in the stream")  # noqa: T201 - the counts
    assert len(appended) > _KILLS * _ENOUGH
    assert appended - set(kept) == set(), "lost"
    assert len(kept) == len(set(kept)), "doubled"


async def _killed_child(path: Path, url: str, turn: int) -> set[str]:
    """The ids that a child said it had appended before it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.test_publishing", str(path), url, str(turn),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(_BOUND_SECONDS):
            while len(said) < _ENOUGH * (1 + turn % 3):
                said.append((await child.stdout.readline()).decode())
    finally:
        child.send_signal(signal.SIGKILL)
    said += (await child.stdout.read()).decode().splitlines(keepends=True)
    assert await child.wait() == -signal.SIGKILL
    # A line cut short by the kill was not said.
    return {line.strip() for line in said if line.endswith("\n")}


async def _stored(url: str) -> list[str]:
    client = Client()
    await client.connect(url)
    jetstream = client.jetstream()
    count = (await jetstream.stream_info(STREAM)).state.messages
    consumer = await jetstream.pull_subscribe("billing.jobs.>", stream=STREAM)
    ids: list[str] = []
    while len(ids) < count:
        for message in await consumer.fetch(min(200, count - len(ids)), timeout=10):
            await message.ack()  # of a thousand that are not, the server gives out no more
            assert message.headers is not None
            ids.append(message.headers["Nats-Msg-Id"])
    await client.close()
    return ids


if __name__ == "__main__":
    asyncio.run(publish_for_ever(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
