"""An emulator that listens: started in a process of its own, or in the one of a test."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from sandbox.emulator.accounts import new_account
from sandbox.emulator.core.app import Api
from sandbox.emulator.core.call import begin
from sandbox.emulator.core.control_api import PREFIX, Control
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.core.routing import Router
from sandbox.emulator.core.world import World
from sandbox.emulator.registry import NOUNS
from sandbox.emulator.settings import Settings


class Emulator:
    """A world with its two APIs; a reset replaces all three."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        """session: what delivers webhooks; the caller closes it."""
        self._settings = settings
        self._session = session
        self._router = Router(NOUNS)
        self._begin()

    def _begin(self) -> None:
        settings = self._settings
        world = World(
            NOUNS, settings.platform_account, begin, start=settings.start, seed=settings.seed
        )
        platform = AccountSpec(
            id=settings.platform_account,
            country=settings.country,
            currency=settings.currency,
            timezone=settings.timezone,
            name="Platform",
            secret=settings.platform_key[8:],
        )
        new_account(world, platform)
        world.delivery.start(self._session)
        self._world = world
        self._api = Api(world, self._router)
        self._control = Control(world, new_account, self.reset)

    async def reset(self) -> None:
        """Forget everything; the platform's account and key stay."""
        await self._world.delivery.stop()
        self._begin()

    async def stop(self) -> None:
        """End deliveries."""
        await self._world.delivery.stop()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.path.startswith(PREFIX):
            return await self._control.handle(request)
        return await self._api.handle(request)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """An emulator on the running loop, while the context lasts; yields its URL."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        emulator = Emulator(settings, session)
        runner = web.ServerRunner(
            web.Server(emulator.handle, access_log=None), shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            port = runner.addresses[0][1]
            yield f"http://{settings.host}:{port}"
        finally:
            await emulator.stop()
            await runner.cleanup()


async def serve(settings: Settings, listening: Callable[[str], None] | None = None) -> None:
    """Run until SIGTERM or SIGINT; `listening` is told the URL once requests are accepted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as url:
        if listening is not None:
            listening(url)
        await stop.wait()
