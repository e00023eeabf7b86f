"""MirrorService in this process, on a free port, over use cases on fakes."""

import asyncio
import datetime as dt
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import AsyncMock, create_autospec

import grpc
from billing_client.v1 import mirror_service_pb2, mirror_service_pb2_grpc

from application.accounts.tenancy import Tenancy
from application.effects.waiting import WaitingEvents
from application.requests.paging import PageTokens
from application.upkeep.catch_up import CatchUp, Standing
from application.upkeep.reports import MirrorReports
from application.upkeep.status import MirrorStatuses
from domain.connections import Connection, ConnectionKind, Mode
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.telemetry import logs
from interfaces.grpc.contract import Service
from interfaces.grpc.mirror.servicer import MirrorServicer
from interfaces.grpc.server import Server, ServerOptions
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.operations import Process, StripeAndStores
from tests.support.fakes.stores import NOON
from tests.support.servers.grpc import SECRET, known_accounts

SCOPES: Final = ("mirror.read", "mirror.write")
HASTE: Final = 50.0
"""How many times faster than it says everybody sleeps here."""


async def hurried(seconds: float) -> None:
    """Instead of `asyncio.sleep`."""
    await asyncio.sleep(seconds / HASTE)


@dataclass
class MirrorDesk:
    """A server that runs, and what it stands on: `acme`, its sub-account, `rival`, the platform."""

    world: StripeAndStores
    process: Process
    event_log: FakeEventLog
    waiting_events: Any
    standing: AsyncMock
    tokens: CallerTokens
    port: int
    channel: grpc.aio.Channel

    @property
    def stub(self) -> "mirror_service_pb2_grpc.MirrorServiceAsyncStub":
        return mirror_service_pb2_grpc.MirrorServiceStub(self.channel)

    def token(self, account: str = "acme", scopes: Sequence[str] = SCOPES) -> str:
        """A token that verifies."""
        return self.tokens.issue("crm", account, scopes, dt.timedelta(hours=1))

    def call(self, method: str, request: Any, **claims: Any) -> Any:
        """A call by acme, or by whom the claims name."""
        metadata = (("authorization", f"Bearer {self.token(**claims)}"),)
        return getattr(self.stub, method)(request, metadata=metadata)

    def slow(self, seconds: float = 1.0) -> None:
        """Let each page of Stripe's take so long."""

        async def where(name: str) -> None:
            if name == "stripe.page":
                await hurried(seconds)

        self.world.where = where


@asynccontextmanager
async def mirror_desk() -> AsyncIterator[MirrorDesk]:
    """Serve until left."""
    lines = logs.configure(stream=io.StringIO())
    world = StripeAndStores(customers=30, sleep=hurried)
    for account in ("acme-west", "rival"):
        link = Connection(account, f"acct_{account[-4:]}", Mode.TEST, ConnectionKind.MANUAL, NOON)
        world.connections.kept[account, Mode.TEST] = link
    process = world.process()
    event_log, waiting_events = FakeEventLog(), create_autospec(WaitingEvents, instance=True)
    waiting_events.of.return_value, waiting_events.count.return_value = [], 0
    catch_up = create_autospec(CatchUp, instance=True)
    catch_up.standing.return_value = Standing(None)
    servicer = MirrorServicer(
        process.operations,
        MirrorReports(world.reports, process.access, PageTokens(b"k" * 32, world.time.clock)),
        MirrorStatuses(
            world.mirror, event_log, waiting_events, catch_up, world.log(), process.access,
            process.platform,
        ),
    )  # fmt: skip
    service = Service(
        mirror_service_pb2.DESCRIPTOR.services_by_name["MirrorService"],
        lambda server: mirror_service_pb2_grpc.add_MirrorServiceServicer_to_server(
            servicer, server
        ),
    )
    tokens = CallerTokens(caller_keys([f"crm:{SECRET}"]), SystemClock())
    server = Server((service,), tokens, Tenancy(known_accounts()), ServerOptions("127.0.0.1:0"))
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield MirrorDesk(
                world,
                process,
                event_log,
                waiting_events,
                catch_up.standing,
                tokens,
                port,
                channel,
            )
    finally:
        await process.stop()
        await server.stop(0)
        await world.end()
        lines.close()
