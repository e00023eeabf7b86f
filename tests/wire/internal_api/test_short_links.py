"""Short links over HTTP: whatever the service behind them does, a caller loses little time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import jwt
import pytest
from aiohttp import web

from application.payment_links.short_links import NoShortLink
from bootstrap.settings import SHORT_LINKS_PATH
from infrastructure.internal_api.client import (
    AUDIENCE,
    ISSUER,
    MAX_BODY_BYTES,
    TOKEN_SECONDS,
    InternalApi,
)
from infrastructure.internal_api.short_links import MAX_CHARACTERS, InternalShortLinks
from tests.support.fakes.stores import NOON, FakeClock

SECRET: Final = "an-app-secret-of-more-than-32-bytes!!"
LONG: Final = "https://invoice.stripe.example/i/acct_1/test_YWNjdF8x?s=ap"
SHORT: Final = "https://s.example/a1"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def happy(_: web.Request) -> web.StreamResponse:
    return web.json_response({"short_url": SHORT})


class Platform:
    """A real HTTP server whose answers a test decides about."""

    def __init__(self) -> None:
        self.handler: Handler = happy
        self.asked: list[web.Request] = []
        self.bodies: list[Any] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.json())
        return await self.handler(request)

    def answers(self, status: int = 200, body: bytes = b"") -> None:
        """Give this answer from now on."""

        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=body)

        self.handler = handler


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    made = Platform()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{SHORT_LINKS_PATH}"
    try:
        yield made
    finally:
        await runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[InternalApi]:
    made = InternalApi(SECRET, FakeClock(), total_seconds=0.3, connect_seconds=0.3)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def links(api: InternalApi, platform: Platform) -> InternalShortLinks:
    return InternalShortLinks(api, platform.url, failures_to_open=3, recovery_seconds=0.2)


async def refused(links: InternalShortLinks) -> str:
    """Why there was no short link."""
    with pytest.raises(NoShortLink) as caught:
        await links.shorten(LONG)
    assert LONG not in str(caught.value)
    return str(caught.value)


async def test_a_link_is_asked_for_with_a_token_that_ends_soon(
    links: InternalShortLinks, platform: Platform
) -> None:
    assert await links.shorten(LONG) == SHORT
    (request,) = platform.asked
    assert (request.method, request.path) == ("POST", SHORT_LINKS_PATH)
    assert platform.bodies == [{"url": LONG}]
    assert request.content_type == "application/json"
    scheme, _, token = request.headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    claims = jwt.decode(
        token, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER,
        options={"require": ["exp", "iat", "iss", "aud"], "verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert claims["iat"] == int(NOON.timestamp())
    assert claims["exp"] - claims["iat"] == TOKEN_SECONDS <= 60


async def test_connections_are_kept(links: InternalShortLinks, platform: Platform) -> None:
    for _ in range(3):
        await links.shorten(LONG)
    peers = {request.transport and id(request.transport) for request in platform.asked}
    assert len(peers) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"short_url": "https://s.example/a1"}'),
        (404, b""),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"\xff\xfe"),
        (200, b"[" * 10_000),
        (200, b'{"url": "https://s.example/a1"}'),
        (200, b'{"short_url": 7}'),
        (200, b'{"short_url": ""}'),
        (200, b'{"short_url": "http://s.example/a1"}'),
        (200, b'{"short_url": "javascript:alert(1)"}'),
        (200, b'{"short_url": "https://"}'),
        (200, b'{"short_url": "https://s.example/a b"}'),
        (200, b'{"short_url": "https://u:p@s.example/a"}'),
        (200, b'{"short_url": "https://s.example/' + b"a" * MAX_CHARACTERS + b'"}'),
        (200, b'{"short_url": "https://s.example/a1"}' + b" " * MAX_BODY_BYTES),
    ],
)
async def test_what_is_no_short_link_is_none(
    links: InternalShortLinks, platform: Platform, status: int, body: bytes
) -> None:
    platform.answers(status, body)
    assert await refused(links)
    assert len(platform.asked) == 1, "asked once"


async def test_a_redirection_does_not_carry_the_token_on(
    links: InternalShortLinks, platform: Platform
) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(str(request.url.with_path("/elsewhere")))

    platform.handler = elsewhere
    assert await refused(links) == "HTTP 307"
    assert [request.path for request in platform.asked] == [SHORT_LINKS_PATH]


async def test_a_packed_answer_is_not_unpacked(
    links: InternalShortLinks, platform: Platform
) -> None:
    async def packed(_: web.Request) -> web.StreamResponse:
        response = web.json_response({"short_url": SHORT, "padding": "x" * 1_000_000})
        response.enable_compression(force=web.ContentCoding.gzip)
        return response

    platform.handler = packed
    assert await refused(links) == "the answer is not understood"


async def test_a_slow_service_costs_the_time_out_and_no_more(
    links: InternalShortLinks, platform: Platform
) -> None:
    async def stall(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.json_response({"short_url": SHORT})

    platform.handler = stall
    began = time.monotonic()
    assert await refused(links) == "TimeoutError"
    assert 0.2 < time.monotonic() - began < 0.9


async def test_a_service_that_drips_is_cut_too(
    links: InternalShortLinks, platform: Platform
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    platform.handler = drip
    assert await refused(links) == "TimeoutError"


async def test_a_cut_answer_is_none(links: InternalShortLinks, platform: Platform) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"short_url": "https://s.example/a1"}')
        assert request.transport is not None
        request.transport.abort()
        return response

    platform.handler = cut
    assert await refused(links)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00\xa5" * 50,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: //[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xfe; expires=never\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_no_short_link(api: InternalApi, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await refused(InternalShortLinks(api, f"http://127.0.0.1:{port}{SHORT_LINKS_PATH}"))


async def test_nobody_at_the_address(api: InternalApi, unused_tcp_port: int) -> None:
    links = InternalShortLinks(api, f"http://127.0.0.1:{unused_tcp_port}{SHORT_LINKS_PATH}")
    assert await refused(links) == "ClientConnectorError"


async def test_the_circuit_opens_and_closes_again(
    links: InternalShortLinks, platform: Platform
) -> None:
    platform.answers(503)
    for _ in range(2):
        assert await refused(links) == "HTTP 503"
    platform.handler = happy
    assert await links.shorten(LONG) == SHORT, "two failures are too few"
    platform.answers(503)
    for _ in range(3):
        assert await refused(links) == "HTTP 503"
    asked = len(platform.asked)
    for _ in range(5):
        assert await refused(links) == "the circuit is open"
    assert len(platform.asked) == asked, "nobody is asked while it is open"
    platform.handler = happy
    deadline = time.monotonic() + 10
    while True:
        try:
            assert await links.shorten(LONG) == SHORT
            break
        except NoShortLink:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    assert len(platform.asked) == asked + 1


async def test_a_try_that_fails_opens_the_circuit_again(
    links: InternalShortLinks, platform: Platform
) -> None:
    platform.answers(503)
    deadline = time.monotonic() + 10
    while len(platform.asked) < 4:  # three that opened it, and the one try after the pause
        assert time.monotonic() < deadline
        await refused(links)
        await asyncio.sleep(0.01)
    assert await refused(links) == "the circuit is open"


async def test_neither_address_nor_token_is_logged(
    links: InternalShortLinks, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    platform.answers(500, LONG.encode())
    await refused(links)
    told = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "no short link" in told
    for secret in (LONG, "invoice.stripe", "eyJ", SECRET):
        assert secret not in told


async def test_a_client_that_was_never_used_closes() -> None:
    api = InternalApi(SECRET, FakeClock())
    await api.close()
    await api.close()
