"""The internal API is asked where settings say, and nowhere else: whatever it answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from application.payment_links.short_links import NoShortLink
from domain.errors import Unavailable
from domain.phone_numbers import NumberKind
from infrastructure.internal_api.client import InternalApi
from infrastructure.internal_api.number_prices import InternalNumberPrices
from infrastructure.internal_api.prices import InternalPrices
from infrastructure.internal_api.short_links import InternalShortLinks
from tests.support.fakes.stores import FakeClock

PLACES = (
    "http://{here}/x", "https://{here}/x", "//{here}/x", "http://localhost:{port}/x",
    "http://u:p@{here}/x", "HTTP://{here}", "http://{here}/../..//x", "file:///etc/passwd",
    "gopher://{here}/x", "/elsewhere", "?again", "",
)  # fmt: skip


class Elsewhere:
    """A port that nobody is to come to, and a server that sends everybody there."""

    def __init__(self) -> None:
        self.came = 0
        self.port = 0
        self.url = ""
        self.asked: list[str] = []
        self.status, self.place = 302, ""

    async def meet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        writer.close()

    async def send_there(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        place = self.place.format(here=f"127.0.0.1:{self.port}", port=self.port)
        headers = {"Location": place, "Refresh": f"0; url={place}", "Link": f"<{place}>"}
        return web.Response(status=self.status, headers=headers, body=b"{}")


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    made = Elsewhere()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.send_there)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/asked"
    trap = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    made.port = trap.sockets[0].getsockname()[1]
    try:
        async with trap:
            yield made
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [200, 201, 300, 301, 302, 303, 304, 305, 307, 308])
async def test_no_answer_leads_elsewhere(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Neither a redirect nor a proxy of the environment is followed: the token is for one host."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{elsewhere.port}")
    api = InternalApi("s" * 32, FakeClock())
    elsewhere.status = status
    try:
        for elsewhere.place in PLACES:
            with pytest.raises(Unavailable):
                await InternalPrices(api, elsewhere.url, "usd").price("sms")
            numbers = InternalNumberPrices(api, elsewhere.url)
            with pytest.raises(Unavailable):
                await numbers.price("DE", NumberKind.LOCAL, "usd")
            with pytest.raises(NoShortLink):
                await InternalShortLinks(api, elsewhere.url).shorten("https://pay.example/1")
    finally:
        await api.close()
    assert elsewhere.asked == ["/asked"] * 3 * len(PLACES)
    assert elsewhere.came == 0
