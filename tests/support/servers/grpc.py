"""The gRPC server in this process, on a free port, with use cases that tests decide about."""

import datetime as dt
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast
from unittest.mock import create_autospec

import grpc
from billing_client.v1 import analytics_service_pb2_grpc as analytics_grpc
from billing_client.v1 import connection_service_pb2_grpc as connections_grpc
from billing_client.v1 import customer_service_pb2_grpc as customers_grpc
from billing_client.v1 import event_service_pb2_grpc as events_grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from application.accounts.tenancy import Tenancy
from application.analytics.customers import CustomerAnalytics
from application.analytics.explanation import Explaining
from application.analytics.fact_rows import FactLists
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.product_revenue import ProductAnalytics
from application.analytics.rates import ExchangeRates
from application.analytics.restatements import Restatements
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.tie_out import TieOuts
from application.analytics.use_cases import RevenueAnalytics
from application.connecting.disconnecting import Disconnecting
from application.connecting.use_cases import Connecting
from application.connections.listing import ConnectionLists
from application.connections.use_cases import Connections
from application.customers.use_cases import Customers
from application.events.use_cases import Events
from application.events.watch import Watching
from application.operations.use_cases import Operations
from application.upkeep.reports import MirrorReports
from application.upkeep.status import MirrorStatuses
from domain.accounts import Account
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.telemetry import logs
from infrastructure.telemetry.lines import Lines
from interfaces.grpc.analytics.servicer import Analyses, AnalyticsServicer
from interfaces.grpc.connections.servicer import ConnectionServicer
from interfaces.grpc.contract import services
from interfaces.grpc.customers.servicer import CustomerServicer
from interfaces.grpc.events.servicer import EventServicer
from interfaces.grpc.mirror.servicer import MirrorServicer
from interfaces.grpc.payouts.servicer import PayoutServicer
from interfaces.grpc.server import Server, ServerOptions
from tests.support.fakes.stores import FakeAccounts
from tests.support.servers.service import until

M = TypeVar("M", bound=Message)

SECRET: Final = "a-caller-key-of-more-than-32-bytes!!"
SCOPES: Final = (
    "customers.read", "customers.write", "analytics.read", "analytics.write", "connections.read",
    "connections.write",
    "events.read", "events.write", "events.watch", "mirror.read", "mirror.write",
    "payouts.read",
)  # fmt: skip
PATIENCE: Final = 10.0
"""Seconds after which a test that waits has failed."""


def known_accounts() -> FakeAccounts:
    """`acme`, its sub-account `acme-west`, and `rival`, which is nobody's."""
    return FakeAccounts(
        Account("acme", "Acme", "usd"),
        Account("acme-west", "Acme West", "usd", "acme"),
        Account("rival", "Rival", "usd"),
    )


@dataclass(frozen=True)
class Running:
    """A server that runs, its use cases (autospecced mocks but where given), and a client."""

    server: Server
    port: int
    tokens: CallerTokens
    customers: Any
    analytics: Any
    connections: Any
    events: Any
    channel: grpc.aio.Channel
    output: io.StringIO
    lines: Lines

    @property
    def customer_stub(self) -> "customers_grpc.CustomerServiceAsyncStub":
        return customers_grpc.CustomerServiceStub(self.channel)

    @property
    def analytics_stub(self) -> "analytics_grpc.AnalyticsServiceAsyncStub":
        return analytics_grpc.AnalyticsServiceStub(self.channel)

    @property
    def connection_stub(self) -> "connections_grpc.ConnectionServiceAsyncStub":
        return connections_grpc.ConnectionServiceStub(self.channel)

    @property
    def event_stub(self) -> "events_grpc.EventServiceAsyncStub":
        return events_grpc.EventServiceStub(self.channel)

    def token(self, *, account: str = "acme", scopes: Iterable[str] = SCOPES) -> str:
        """A token that verifies."""
        return self.tokens.issue("crm", account, scopes, dt.timedelta(hours=1))

    def metadata(self, **claims: Any) -> tuple[tuple[str, str], ...]:
        """What makes a call authenticated."""
        return (("authorization", f"Bearer {self.token(**claims)}"),)

    async def log_text(self, lines: int = 1) -> str:
        """All that was logged, once it has so many lines: a call's comes after its reply."""

        async def complete() -> bool:
            return self.output.getvalue().count("\n") >= lines

        await until(complete)
        self.lines.close()
        return self.output.getvalue()

    async def log(self, lines: int = 1) -> list[dict[str, Any]]:
        """The same, as objects."""
        return [json.loads(line) for line in (await self.log_text(lines)).splitlines()]


def analyses_of(revenue: RevenueAnalytics) -> Analyses:
    """Use cases of which those about revenue are given, and the rest autospecced mocks."""
    rest = (create_autospec(kind, instance=True) for kind in (
        NetAnalytics, PaymentAnalytics, ReturnAnalytics, PayoutAnalytics, CustomerAnalytics,
        OverviewAnalytics, TieOuts, SubscriberAnalytics, ProductAnalytics, FactLists,
    ))  # fmt: skip
    return Analyses(revenue, *rest)


@asynccontextmanager
async def running_server(
    *,
    events: Events | None = None,
    watching: Watching | None = None,
    mirror: MirrorServicer | None = None,
    rates: ExchangeRates | None = None,
    payouts: PayoutServicer | None = None,
    restatements: Restatements | None = None,
    analyses: Analyses | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Serve until left; `options` are those of ServerOptions, its address apart."""
    output = io.StringIO()
    lines = logs.configure(stream=output)
    clock = SystemClock()
    tokens = CallerTokens(caller_keys([f"crm:{SECRET}"]), clock)
    customers, analytics, connections = (
        create_autospec(kind, instance=True) for kind in (Customers, RevenueAnalytics, Connections)
    )
    shown = events or create_autospec(Events, instance=True)
    server = Server(
        services(
            CustomerServicer(customers),
            AnalyticsServicer(
                analyses or analyses_of(analytics),
                rates or create_autospec(ExchangeRates, instance=True),
                restatements or create_autospec(Restatements, instance=True),
                create_autospec(Explaining, instance=True),
            ),
            ConnectionServicer(
                connections,
                create_autospec(Connecting, instance=True),
                create_autospec(Disconnecting, instance=True),
                create_autospec(ConnectionLists, instance=True),
            ),
            EventServicer(shown, watching or create_autospec(Watching, instance=True)),
            mirror or _mirror_servicer(),
            *([payouts] if payouts else []),
        ),
        tokens,
        Tenancy(known_accounts()),
        ServerOptions("127.0.0.1:0", **options),
    )  # fmt: skip
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield Running(
                server, port, tokens, customers, analytics, connections, shown, channel, output,
                lines,
            )  # fmt: skip
        finally:
            await server.stop(0)
            lines.close()


def _mirror_servicer() -> MirrorServicer:
    kinds = (Operations, MirrorReports, MirrorStatuses)
    return MirrorServicer(*(create_autospec(kind, instance=True) for kind in kinds))


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """The error that a call ends with. AssertionError where it does not fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call did not fail")


def rich_status(error: grpc.aio.AioRpcError) -> Status:
    """The google.rpc.Status of a failed call; it agrees with what plain gRPC says."""
    status = Status.FromString(trailing(error)["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def details(error: grpc.aio.AioRpcError, kind: type[M]) -> list[M]:
    """The details of one kind."""
    found = []
    for packed in rich_status(error).details:
        detail = kind()
        if packed.Unpack(detail):
            found.append(detail)
    return found


def trailing(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """A failed call's trailing metadata."""
    return dict(cast("Any", error.trailing_metadata()))


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of the one ErrorInfo that every refusal carries."""
    (info,) = details(error, ErrorInfo)
    assert info.domain == "billing.v1"
    return str(info.reason)
