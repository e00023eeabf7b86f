"""The promises of `application.jobs.publisher`: NATS JetStream, on a real server, and embedded."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig
from nats.js.errors import ServerError

from application.jobs.publisher import Publisher, QueueUnavailable
from domain.errors import FailedPrecondition
from domain.jobs import Job
from infrastructure.queue.embedded import MAX_IN_FLIGHT, EmbeddedPublisher
from infrastructure.queue.nats import DUPLICATE_WINDOW_SECONDS, STREAM, NatsPublisher
from sandbox.servers.nats import NatsServer, own_nats_server
from tests.contract.samples import NOON, NOON_MS
from tests.support.servers.service import until

KINDS: Final = ("support.payment_notice", "crm.contact.linked")
BOUND_SECONDS: Final = 20.0


def job(id_: str = "job-1", kind: str = KINDS[0], **payload: Any) -> Job:
    return Job(id_, kind, "acme", NOON, payload)


@dataclass(frozen=True, slots=True)
class Queue:
    """A publisher that is open, and all that has come to the consumers of KINDS so far."""

    publisher: Publisher
    arrived: Callable[[], Awaitable[list[Job]]]


@pytest.fixture(scope="session")
def nats_session() -> Iterator[NatsServer]:
    """The run's one server, started at the first test that wants it."""
    with own_nats_server() as server:
        yield server


@pytest.fixture
async def nats(nats_session: NatsServer) -> NatsServer:
    """A server without streams."""
    await empty(nats_session.url)
    return nats_session


async def empty(url: str) -> None:
    async with connected(url) as client:
        for stream in await client.jetstream().streams_info():
            await client.jetstream().delete_stream(stream.config.name or "")


async def add_stream(client: Client, config: StreamConfig) -> None:
    """Make a stream. The server removes the files of the one before a moment after it says so."""

    async def is_made() -> bool:
        try:
            await client.jetstream().add_stream(config)
        except ServerError:
            return False
        return True

    await until(is_made)


@pytest.fixture(params=["nats", "embedded"])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    if request.param == "embedded":
        async for one in embedded_queue():
            yield one
        return
    # A server of its own: a stream may find files of the one before, which are removed late.
    with own_nats_server() as server:
        publisher = NatsPublisher(server.url)
        await publisher.open()
        yield Queue(publisher, lambda: stored(server.url))
        await publisher.close()


async def embedded_queue() -> AsyncIterator[Queue]:
    publisher, came = EmbeddedPublisher(), list[Job]()

    async def consume(one: Job) -> None:
        came.append(one)

    async def arrived() -> list[Job]:
        return came

    for kind in KINDS:
        publisher.register(kind, consume)
    await publisher.open()
    yield Queue(publisher, arrived)
    await publisher.close()


class connected:  # noqa: N801 - reads as the verb that it is
    """A client of the test's own."""

    def __init__(self, url: str) -> None:
        self._url, self._client = url, Client()

    async def __aenter__(self) -> Client:
        await self._client.connect(self._url, connect_timeout=5)
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def stored(url: str) -> list[Job]:
    """What a consumer that begins now gets from the stream."""
    jobs: list[Job] = []
    async with connected(url) as client:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(STREAM)).state.messages
        consumer = await jetstream.pull_subscribe(
            "billing.jobs.>", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
        )
        while len(jobs) < count:
            for message in await consumer.fetch(min(100, count - len(jobs)), timeout=5):
                body = json.loads(message.data)
                assert message.subject == f"billing.jobs.{body['kind']}"
                assert message.headers is not None
                assert message.headers["Nats-Msg-Id"] == body["id"]
                assert body["created_at_ms"] == NOON_MS
                jobs.append(job(body["id"], body["kind"], **body["payload"]))
                assert body["account"] == jobs[-1].account
    return jobs


# --- both ---


async def test_jobs_arrive_as_they_are(queue: Queue) -> None:
    jobs = [
        job("job-1", amount=5, text="für 1 €", nested={"list": [1, None, True]}),
        job("job-2", KINDS[1]),
        job("support.payment_notice/acme/invoice_paid/in_1", link="a/b"),
    ]
    assert await queue.publisher.publish(jobs) == {}
    assert sorted(await queue.arrived(), key=lambda one: one.id) == jobs


async def test_many_arrive_each_of_them(queue: Queue) -> None:
    jobs = [job(f"job-{number:04}", KINDS[number % 2], text="x" * 500) for number in range(1_000)]
    assert await queue.publisher.publish(jobs) == {}
    assert sorted(await queue.arrived(), key=lambda one: one.id) == jobs


async def test_what_was_accepted_may_be_published_again(queue: Queue) -> None:
    for _ in range(3):
        assert await queue.publisher.publish([job()]) == {}
    arrived = await queue.arrived()
    assert {one.id for one in arrived} == {"job-1"}
    assert all(one == job() for one in arrived)


async def test_nothing_is_published_without_complaint(queue: Queue) -> None:
    assert await queue.publisher.publish([]) == {}
    assert await queue.arrived() == []


async def test_opening_and_closing_again_is_harmless(queue: Queue) -> None:
    await queue.publisher.open()
    await queue.publisher.close()
    await queue.publisher.close()
    await queue.publisher.open()
    assert await queue.publisher.publish([job()]) == {}
    assert [one.id for one in await queue.arrived()] == ["job-1"]


# --- embedded ---


async def test_a_failing_consumer_fails_its_job_alone() -> None:
    publisher, came = EmbeddedPublisher(consumer_seconds=0.05), list[str]()

    async def consume(one: Job) -> None:
        came.append(one.id)
        if one.id == "bad":
            raise RuntimeError("personal data")
        if one.id == "slow":
            await asyncio.Event().wait()

    publisher.register(KINDS[0], consume)
    failures = await publisher.publish([job("bad"), job("good"), job("slow"), job("x", KINDS[1])])
    assert failures == {
        "bad": "consumer failed: RuntimeError",
        "slow": "consumer failed: TimeoutError",
    }
    assert sorted(came) == ["bad", "good", "slow"]


async def test_every_consumer_of_a_kind_gets_a_job_and_their_number_at_once_is_bounded() -> None:
    publisher, running, most, count = EmbeddedPublisher(), 0, 0, 0

    async def consume(_: Job) -> None:
        nonlocal running, most, count
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        count += 1

    publisher.register(KINDS[0], consume)
    publisher.register(KINDS[0], consume)
    assert await publisher.publish([job(f"job-{number}") for number in range(300)]) == {}
    assert count == 600
    assert 1 < most <= MAX_IN_FLIGHT


# --- NATS ---


async def test_the_stream_keeps_jobs_on_disk_and_drops_repeats(nats: NatsServer) -> None:
    publishers = [NatsPublisher(nats.url) for _ in range(3)]
    await asyncio.gather(*(one.open() for one in publishers))
    for one in publishers:
        assert await one.publish([job(), job("job-2")]) == {}
        await one.close()
    async with connected(nats.url) as client:
        info = await client.jetstream().stream_info(STREAM)
    assert info.state.messages == 2
    assert info.config.storage == StorageType.FILE
    assert info.config.duplicate_window == DUPLICATE_WINDOW_SECONDS


async def test_a_stream_that_does_not_fit_is_refused_and_left_alone(nats: NatsServer) -> None:
    wanted = StreamConfig(
        name=STREAM, subjects=["billing.jobs.>"], storage=StorageType.MEMORY, duplicate_window=5
    )
    async with connected(nats.url) as client:
        await add_stream(client, wanted)
        publisher = NatsPublisher(nats.url)
        with pytest.raises(FailedPrecondition, match="storage must be file; duplicate window"):
            await publisher.open()
        assert (await client.jetstream().stream_info(STREAM)).config.duplicate_window == 5
    with pytest.raises(QueueUnavailable):
        await publisher.publish([job()])


async def test_what_an_operator_has_set_is_kept(nats: NatsServer) -> None:
    own = StreamConfig(
        name=STREAM, subjects=["billing.jobs.>", "more"], storage=StorageType.FILE,
        duplicate_window=DUPLICATE_WINDOW_SECONDS, max_bytes=1_000_000,
    )  # fmt: skip
    async with connected(nats.url) as client:
        await add_stream(client, own)
        publisher = NatsPublisher(nats.url)
        await publisher.open()
        await publisher.close()
        config = (await client.jetstream().stream_info(STREAM)).config
    assert (config.max_bytes, config.subjects) == (1_000_000, ["billing.jobs.>", "more"])


async def test_one_job_that_the_server_refuses_fails_alone(nats: NatsServer) -> None:
    publisher = NatsPublisher(nats.url)
    await publisher.open()
    failures = await publisher.publish([job("large", text="x" * 2_000_000), job("small")])
    assert failures == {"large": "MaxPayloadError"}
    assert [one.id for one in await stored(nats.url)] == ["small"]
    await publisher.close()


async def test_a_server_that_is_not_there_is_told_without_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = "nats://user:hid@den/@127.0.0.1:9/hidden, tls://hidden@queue.invalid:4222"
    publisher = NatsPublisher(url, connect_seconds=0.5)
    for _ in range(3):
        with caplog.at_level(logging.INFO), pytest.raises(QueueUnavailable) as refused:
            await publisher.open()
        addresses = "nats://127.0.0.1:9, tls://queue.invalid:4222"
        assert str(refused.value).endswith(f"Error: {addresses}")
    with pytest.raises(QueueUnavailable, match=f"^not connected: {addresses}$"):
        await publisher.publish([job()])
    assert caplog.records == [], "whoever publishes tells, once a change"
    with caplog.at_level(logging.DEBUG), pytest.raises(QueueUnavailable):
        await publisher.open()
    assert "hid" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)
    await publisher.close()


async def refusal(publisher: Publisher) -> str:
    """Why it cannot be opened; empty where it is open."""
    try:
        await publisher.open()
    except QueueUnavailable as error:
        return str(error)
    return ""


async def test_a_killed_server_loses_nothing_and_is_found_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with own_nats_server() as server:
        publisher = NatsPublisher(server.url, answer_seconds=1)
        await publisher.open()
        jobs = [job(f"job-{number:03}") for number in range(300)]
        assert await publisher.publish(jobs[:100]) == {}
        sending = asyncio.create_task(publisher.publish(jobs[100:200]))
        await asyncio.to_thread(server.kill)
        # An idle outbox notices too, since each round opens.
        assert await until(lambda: refusal(publisher)) == f"not connected: {server.url}"
        try:
            failures = await sending
        except QueueUnavailable:
            failures = dict.fromkeys((one.id for one in jobs[100:200]), "")
        await asyncio.to_thread(server.start)
        again = [one for one in jobs if one.id in failures] + jobs[200:]
        assert not [one for one in caplog.records if one.levelno >= logging.INFO]
        async with asyncio.timeout(BOUND_SECONDS):
            while again:
                try:
                    failed = await publisher.publish(again)
                except QueueUnavailable:
                    failed = dict.fromkeys((one.id for one in again), "")
                    await asyncio.sleep(0.05)
                again = [one for one in again if one.id in failed]
        kept = [one.id for one in await stored(server.url)]
        assert sorted(kept) == [one.id for one in jobs]
        await publisher.close()
    assert all(record.exc_info is None for record in caplog.records)
