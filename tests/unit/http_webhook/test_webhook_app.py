"""What Stripe gets to hear: the webhook application over HTTP, with a receiver that can be told."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final, NoReturn, cast

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from typing_extensions import override

from application.events.receiver import Receiver
from domain.errors import (
    BillingError,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
)
from interfaces.http_webhook import app as webhook_app
from interfaces.http_webhook.app import MAX_BODY_BYTES, PATH, create_app

Client = TestClient[Request, Application]
MARK: Final = "hunter2"
SIGNATURE: Final = f"t=1,v1={MARK}"


@dataclass
class FakeReceiver(Receiver):
    """Answers as it is told, and remembers what it got."""

    answer: bool | Exception = True
    received: list[tuple[bytes, str]] = field(default_factory=list)

    @override
    async def receive(self, body: bytes, signature: str) -> bool:
        self.received.append((body, signature))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def receiver() -> FakeReceiver:
    return FakeReceiver()


@pytest.fixture
async def client(receiver: FakeReceiver) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(receiver))) as client:
        yield client


async def post(client: Client, body: bytes = MARK.encode()) -> ClientResponse:
    """A delivery whose body and signature bear the mark."""
    return await client.post(PATH, data=body, headers={"Stripe-Signature": SIGNATURE})


async def check(response: ClientResponse, status: int, reason: Reason) -> None:
    """An answer of that status and reason that repeats nothing of what was sent."""
    text = await response.text()
    assert (response.status, (await response.json())["reason"]) == (status, reason), text
    assert MARK not in text + str(response.headers)


async def test_a_delivery_is_taken_byte_for_byte(client: Client, receiver: FakeReceiver) -> None:
    body = b'{"id": "evt_1",\r\n "\xc3\xa9": 1}\n'
    response = await post(client, body)
    assert (response.status, await response.json()) == (200, {"received": True, "duplicate": False})
    assert receiver.received == [(body, SIGNATURE)]


async def test_a_duplicate_is_taken_too(client: Client, receiver: FakeReceiver) -> None:
    receiver.answer = False
    response = await post(client)
    assert (response.status, await response.json()) == (200, {"received": True, "duplicate": True})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthenticated(Reason.SIGNATURE_INVALID, "the signature does not verify"), 400),
        (Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer"), 503),
        (RateLimited(Reason.OVERLOADED, "too much waits", retry_after_seconds=1), 503),
    ],
)
async def test_errors_tell_stripe_whether_to_come_again(
    client: Client, receiver: FakeReceiver, error: BillingError, status: int
) -> None:
    receiver.answer = error
    response = await post(client)
    await check(response, status, error.reason)
    assert ("Retry-After" in response.headers) == (status == 503)


async def test_a_missing_signature_is_the_receivers_to_refuse(
    client: Client, receiver: FakeReceiver
) -> None:
    await client.post(PATH, data=b"{}")
    assert receiver.received == [(b"{}", "")]


async def test_a_defect_of_ours_makes_stripe_come_again_and_tells_nothing(
    client: Client, receiver: FakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = KeyError(MARK)
    with caplog.at_level(logging.ERROR):
        response = await post(client)
    await check(response, 503, Reason.INTERNAL)
    assert "Retry-After" in response.headers
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "a delivery could not be taken")
    assert record.exc_info is not None


async def test_a_body_of_exactly_the_limit_is_taken(client: Client, receiver: FakeReceiver) -> None:
    response = await post(client, b"x" * MAX_BODY_BYTES)
    assert response.status == 200
    assert [len(body) for body, _ in receiver.received] == [MAX_BODY_BYTES]


async def test_a_body_above_the_limit_is_refused(client: Client, receiver: FakeReceiver) -> None:
    body = MARK.encode() * (MAX_BODY_BYTES // len(MARK) + 1)
    response = await client.post(PATH, data=io.BytesIO(body))
    await check(response, 413, Reason.INVALID_FIELDS)
    assert receiver.received == []


async def test_so_is_one_that_does_not_tell_its_length(
    client: Client, receiver: FakeReceiver
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b"x" * 65_536

    response = await client.post(PATH, data=chunks())
    await check(response, 413, Reason.INVALID_FIELDS)
    assert receiver.received == []


Raw = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture
async def raw(client: Client) -> AsyncIterator[Raw]:
    """Sends bytes that no well-behaved client sends; gives what comes until it is closed."""
    opened: list[asyncio.StreamWriter] = []

    async def send(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", cast("int", client.port))
        opened.append(writer)
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(30):
            return await reader.readuntil(b"\r\n\r\n")

    yield send
    for writer in opened:
        writer.close()


async def test_length_above_the_limit_is_refused_before_the_body_comes(
    raw: Raw, receiver: FakeReceiver
) -> None:
    head = await raw(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    )
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in head
    assert receiver.received == []


async def test_a_slow_body_is_given_up(
    raw: Raw, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_app, "BODY_SECONDS", 0.05)
    head = await raw(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head
    assert receiver.received == []


@pytest.mark.parametrize(
    "request_",
    [
        "Content-Length: 4\r\n\r\nbody",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    ],
)
async def test_a_body_that_comes_with_its_headers_is_taken_without_a_timer(
    raw: Raw, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch, request_: str
) -> None:
    def timeout(_: float) -> NoReturn:
        pytest.fail("the whole body was there")

    monkeypatch.setattr(webhook_app, "asyncio", SimpleNamespace(timeout=timeout))
    head = await raw(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{request_}".encode())
    assert head.startswith(b"HTTP/1.1 200 ")
    assert receiver.received == [(b"body", "")]


async def test_a_body_that_is_not_what_its_headers_say_is_refused(
    raw: Raw, receiver: FakeReceiver
) -> None:
    head = await raw(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
        "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk".encode()
    )
    assert head.startswith(b"HTTP/1.1 400 ")
    assert receiver.received == []


async def test_a_sender_that_hangs_up_makes_no_noise(
    client: Client, receiver: FakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        _, writer = await asyncio.open_connection("127.0.0.1", cast("int", client.port))
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await post(client)).status == 200  # the server has seen the end by now
    assert [record.getMessage() for record in caplog.records if record.levelno > 20] == []
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
        ("DELETE", PATH, 405),
        ("POST", "/", 404),
        ("POST", f"{PATH}/", 404),
        ("GET", f"/{MARK}", 404),
        ("POST", "/healthz", 405),
        ("POST", "/readyz", 405),
    ],
)
async def test_everything_else_is_not_there(
    client: Client, receiver: FakeReceiver, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, data=MARK)
    assert response.status == status
    assert MARK not in await response.text()
    assert receiver.received == []


async def test_health(client: Client) -> None:
    response = await client.get("/healthz")
    assert (response.status, await response.json()) == (200, {"status": "serving"})


async def test_readiness_turns_and_liveness_does_not_and_deliveries_are_still_answered(
    receiver: FakeReceiver,
) -> None:
    readiness = [True]
    receiver.answer = Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer")
    async with TestClient(TestServer(create_app(receiver, lambda: readiness[0]))) as client:
        for ready, status, word in ((True, 200, "ready"), (False, 503, "not ready")):
            readiness[0] = ready
            answer = await client.get("/readyz")
            assert (answer.status, await answer.json()) == (status, {"status": word})
            assert (await client.get("/healthz")).status == 200
            await check(await post(client), 503, Reason.STORE_UNAVAILABLE)


async def test_deliveries_do_not_wait_for_each_other() -> None:
    together = asyncio.Barrier(20)

    class Gathering(FakeReceiver):
        @override
        async def receive(self, body: bytes, signature: str) -> bool:
            async with together:
                return True

    async with TestClient(TestServer(create_app(Gathering()))) as busy:
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(post(busy) for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20


async def test_nobody_is_refused_for_how_much_came_before(
    client: Client, receiver: FakeReceiver
) -> None:
    """Whoever forges deliveries may share Stripe's way to us: none of Stripe's is turned away."""
    receiver.answer = Unauthenticated(Reason.SIGNATURE_INVALID, "not signed")
    forged = await asyncio.gather(*(post(client) for _ in range(1_000)))
    assert {answer.status for answer in forged} == {400}
    receiver.answer = True
    assert [(await post(client)).status for _ in range(50)] == [200] * 50


async def test_what_is_no_http_fills_no_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.server.port is not None
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nContent-Length: many\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert [record for record in caplog.records if record.exc_info] == []
