"""The life of the service: what is opened at the start, and closed, in which order."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from application.background.loops import Loop, RunningLoops
from application.background.tasks import Tasks
from application.connections.store_health import StoreHealth
from application.jobs.publisher import Publisher, QueueUnavailable
from bootstrap.containers.service import Container, compose
from bootstrap.settings import Settings, environment_name
from bootstrap.tls import WebhookTls
from domain.errors import FailedPrecondition, Reason, Unavailable
from interfaces.grpc.server import Server
from interfaces.http_webhook.app import create_app

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
    container = compose(settings)
    database = container.stores.database()
    with _naming_the_store(settings):
        await database.start()
    try:
        with _naming_the_store(settings):
            await container.platform().claim_store()
            known = await container.stores.deployment().platform_account()
        if known is not None:
            container.stripe_api().know_platform_account(known)
        yield container
    finally:
        await container.stripe_api().close()
        if settings.asks_internal_api:
            await container.internal_api().close()
        await database.close()


@contextlib.contextmanager
def _naming_the_store(settings: Settings) -> Iterator[None]:
    """Tell which setting the store is at, where it cannot be used."""
    place = environment_name("sqlite_path" if settings.store == "sqlite" else "mongo_url")
    try:
        yield
    except (Unavailable, FailedPrecondition) as error:
        if error.reason is not Reason.STORE_UNAVAILABLE:
            raise
        kind = Unavailable if isinstance(error, Unavailable) else FailedPrecondition
        raise kind(error.reason, f"{place}: {error.message}") from error


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Be the one process that serves from SQLite's file; MongoDB may have any number."""
    with contextlib.ExitStack() as held:
        if settings.store == "sqlite":
            from infrastructure.sqlite.core.serving import serving  # which MongoDB does without

            with _naming_the_store(settings):
                held.enter_context(serving(settings.sqlite_path))
        yield


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Ports]:
    """The whole service, from ready to drained.

    At the end it refuses new calls, lets those in flight finish, then settles what it has begun at
    Stripe. Who still waits for that hears how it stands; then the port is closed, and the store
    last. Raises as `opened` does, and FailedPrecondition, which names the setting and the other
    process, where one serves from SQLite's file already.
    """
    # The lock comes first: nothing of the other process's file is changed either.
    with _alone(settings):
        async with opened(settings) as container, _serving(container, settings) as ports:
            yield ports


@contextlib.asynccontextmanager
async def _serving(container: Container, settings: Settings) -> AsyncIterator[Ports]:
    """What `running` does on an open store."""
    if settings.store == "sqlite":  # one process serves from a file
        await container.taking_over().take_over()
    grpc_server: Server = container.grpc_server()
    health: StoreHealth = container.store_health()
    container.stores.database().report_to(health.failed)
    health.report_to(grpc_server.tell_ready)
    stopping = asyncio.Event()
    webhooks = web.AppRunner(
        create_app(container.receiver(), lambda: health.ready and not stopping.is_set()),
        access_log=None,
        auto_decompress=False,  # Stripe compresses nothing, and others' bombs stay packed
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        shutdown_timeout=settings.drain_seconds,
    )
    _spare_the_collector()
    async with _queue(container.publisher()):
        finishing = RunningLoops(_finishing(container))
        endless = RunningLoops(_endless(container))
        try:
            yield Ports(
                http=await _listen_http(webhooks, settings, container.webhook_tls()),
                grpc=await _listen_grpc(grpc_server, settings),
            )
        finally:
            end = asyncio.get_running_loop().time() + settings.drain_seconds
            stopping.set()
            container.mutations().recovery.stop()
            container.processes().loop.stop()
            await grpc_server.drain()
            container.watching().stop()
            container.projector().loop.stop()
            await endless.cut()
            await container.operations().stop()
            await asyncio.gather(grpc_server.drained(settings.drain_seconds), webhooks.cleanup())
            container.publishing().loop.stop()  # last, so that it sees what the others have queued
            await _finish(container.tasks(), finishing, end)
            await grpc_server.stop(0)


@contextlib.asynccontextmanager
async def _queue(publisher: Publisher) -> AsyncIterator[None]:
    """The queue, opened where it answers: jobs wait in the outbox until it does.

    Raises FailedPrecondition where its stream does not keep what is promised.
    """
    with contextlib.suppress(QueueUnavailable):  # publishing tries again, and tells
        await publisher.open()
    try:
        yield
    finally:
        await publisher.close()


def _finishing(container: Container) -> list[Loop]:
    """The loops that are stopped, each at its time, and finish what they have in hand."""
    return [
        container.projector().loop,
        container.publishing().loop,
        container.mutations().recovery,
        container.processes().loop,
    ]


def _endless(container: Container) -> list[Loop]:
    """The loops that may be cut: they go on from their checkpoints in the next process."""
    following = [container.callers().loop, getattr(container.webhook_tls(), "loop", None)]
    return [
        *(loop for loop in following if loop is not None),
        container.effects().loop,
        container.catch_up().loop,
        container.balance_transactions().loop,
        container.invoice_payments().loop,
        container.payout_membership().loop,
        container.balances().loop,
        container.relisting().loop,
        container.unsettled().loop,
        container.upgrade().loop,
        container.closing().loop,
        container.due_facts().loop,
        container.first_reads().loop,
        container.operations().loop,
        container.store_health().loop,
        container.wallet_aftermath().loop,
        container.auto_reloads().loop,
        container.renewal_costs().loop,
    ]


def _spare_the_collector() -> None:
    """Let Python look for garbage cycles seldom: events and messages make none.

    With its default thresholds the collector takes a quarter of the CPU of a webhook. What is there
    by now stays: to look for what little of it is garbage would take 70 ms.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


async def _finish(tasks: Tasks, loops: RunningLoops, end: float) -> None:
    """Let what was begun come to its end until `end`, in seconds of the loop's clock; then cut."""
    loop = asyncio.get_running_loop()
    cut = await tasks.drain(max(0.0, end - loop.time()))
    if cut:
        _log.warning("mutations and processes left to the next start", extra={"count": cut})
    await loops.finish(max(0.0, end - loop.time()))


async def serve(settings: Settings, ready: Callable[[Ports], None]) -> None:
    """Run until SIGTERM or SIGINT. `ready` is called once calls are answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as ports:
        ready(ports)
        await stop.wait()


async def _listen_http(runner: web.AppRunner, settings: Settings, tls: WebhookTls | None) -> int:
    await runner.setup()
    host, _, port = settings.http_address.rpartition(":")
    site = web.TCPSite(
        runner,
        host.strip("[]"),
        int(port),
        ssl_context=None if tls is None else tls.context,
        reuse_port=settings.reuse_port or None,
    )
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
