"""The life of the service: what is opened at the start, and closed, in which order."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from application.mutations import Mutations
from application.ports.publisher import Publisher, QueueUnavailable
from application.tasks import Tasks
from bootstrap.container import Container
from bootstrap.settings import Settings, environment_name
from domain.errors import BillingError, Unavailable
from interfaces.grpc.server import Server
from interfaces.http_webhook.app import create_app

RECOVERY_SECONDS: Final = 15.0

_KEEP_ALIVE_SECONDS: Final = 75.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a started service listens."""

    grpc: int
    http: int


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Container]:
    """A container whose store is open and belongs to this deployment's mode.

    Raises Unavailable, which names the setting, where the store cannot be opened, and
    FailedPrecondition where it holds the other mode's objects.
    """
    container = Container(settings=settings)
    database = container.stores.database()
    try:
        await database.start()
    except Unavailable as error:
        place = f"{settings.store}_{'path' if settings.store == 'sqlite' else 'url'}"
        words = f"{environment_name(place)}: {error.message}"
        raise Unavailable(error.reason, words) from error
    try:
        await container.platform().claim_store()
        known = await container.stores.deployment().platform_account()
        if known is not None:
            container.stripe_api().know_platform_account(known)
        yield container
    finally:
        await container.stripe_api().close()
        await container.internal_api().close()
        await database.close()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Ports]:
    """The whole service, from ready to drained.

    At the end it refuses new calls, lets those in flight finish, then settles what it has begun at
    Stripe, and closes the store last.
    """
    async with opened(settings) as container:
        grpc_server: Server = container.grpc_server()
        webhooks = web.AppRunner(
            create_app(container.receiver()),
            access_log=None,
            auto_decompress=False,  # Stripe compresses nothing, and others' bombs stay packed
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            shutdown_timeout=settings.drain_seconds,
        )
        _spare_the_collector()
        stopping = asyncio.Event()
        async with _queue(container.publisher()):
            finishing, endless = _begin_background(container, stopping)
            try:
                yield Ports(
                    http=await _listen_http(webhooks, settings),
                    grpc=await _listen_grpc(grpc_server, settings),
                )
            finally:
                end = asyncio.get_running_loop().time() + settings.drain_seconds
                stopping.set()
                container.watching().stop()
                container.projector().stop()
                await _cut(endless)
                await container.operations().stop()
                await asyncio.gather(grpc_server.stop(settings.drain_seconds), webhooks.cleanup())
                container.publishing().stop()  # last, so that it sees what the others have queued
                await _finish(container.tasks(), finishing, end)


@contextlib.asynccontextmanager
async def _queue(publisher: Publisher) -> AsyncIterator[None]:
    """The queue, opened where it answers: jobs wait in the outbox until it does.

    Raises FailedPrecondition where its stream does not keep what is promised.
    """
    try:
        await publisher.open()
    except QueueUnavailable as error:
        _log.warning("jobs wait for the queue", extra={"error": str(error)})
    try:
        yield
    finally:
        await publisher.close()


_Background = list[asyncio.Task[None]]


def _begin_background(
    container: Container, stopping: asyncio.Event
) -> tuple[_Background, _Background]:
    """Start what runs beside calls: what finishes what it has in hand, and what may be cut.

    The latter goes on from its checkpoint in the next process, or in another one.
    """
    finishing = (
        container.projector().run(),
        container.publishing().run(),
        _recover(container.mutations(), stopping),
    )
    endless = (
        container.effects().run(),
        container.catch_up().run(),
        container.balance_transactions().run(),
        container.invoice_payments().run(),
        container.operations().run(),
    )
    return [*map(asyncio.create_task, finishing)], [*map(asyncio.create_task, endless)]


async def _cut(tasks: _Background) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _spare_the_collector() -> None:
    """Let Python look for garbage cycles seldom: events and messages make none.

    With its default thresholds the collector takes a quarter of the CPU of a webhook.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _finish(tasks: Tasks, background: _Background, end: float) -> None:
    """Let what was begun come to its end until `end`, in seconds of the loop's clock; then cut."""
    loop = asyncio.get_running_loop()
    cut = await tasks.drain(max(0.0, end - loop.time()))
    if cut:
        _log.warning("mutations left to the recovery of the next start", extra={"count": cut})
    _, late = await asyncio.wait(background, timeout=max(0.0, end - loop.time()))
    await _cut(list(late))


async def serve(settings: Settings, ready: Callable[[Ports], None]) -> None:
    """Run until SIGTERM or SIGINT. `ready` is called once calls are answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as ports:
        ready(ports)
        await stop.wait()


async def _listen_http(runner: web.AppRunner, settings: Settings) -> int:
    await runner.setup()
    host, _, port = settings.http_address.rpartition(":")
    site = web.TCPSite(runner, host.strip("[]"), int(port), reuse_port=settings.reuse_port or None)
    try:
        await site.start()
    except OSError as error:
        raise _cannot_listen("http_address", settings.http_address) from error
    return int(runner.addresses[0][1])


async def _listen_grpc(server: Server, settings: Settings) -> int:
    try:
        return await server.start()
    except RuntimeError as error:
        raise _cannot_listen("grpc_address", settings.grpc_address) from error


def _cannot_listen(field: str, address: str) -> OSError:
    """What an operator is to read: the cause is nearly always another process on the port."""
    words = "is the port in use, or the host not this machine?"
    return OSError(f"{environment_name(field)}: cannot listen at {address}; {words}")


async def _recover(mutations: Mutations, stopping: asyncio.Event) -> None:
    """Settle mutations of unknown outcome, those of an earlier process first of all.

    None is begun once the process stops, so that the drain sees the last of them.
    """
    while not stopping.is_set():
        try:
            await mutations.recover()
        except BillingError as error:
            _log.warning("recovery waits", extra={"reason": error.reason})
        except Exception:  # noqa: BLE001 - a defect must not stop recovery for good
            _log.exception("recovery failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_SECONDS):
                await stopping.wait()
