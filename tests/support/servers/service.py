"""The real `billing serve` as a process of its own, and what a test needs around it."""

import asyncio
import datetime as dt
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from unittest import mock

import grpc
import stripe
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from billing_client.v1.connection_service_pb2_grpc import ConnectionServiceStub
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from billing_client.v1.invoice_service_pb2_grpc import InvoiceServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from bootstrap.process import opened
from bootstrap.settings import Settings, load
from bootstrap.tokens import list_scopes
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.servers.children import die_with_parent
from tests.support.servers.connected import connect_account

if TYPE_CHECKING:
    from billing_client.v1.analytics_service_pb2_grpc import AnalyticsServiceAsyncStub
    from billing_client.v1.connection_service_pb2_grpc import ConnectionServiceAsyncStub
    from billing_client.v1.customer_service_pb2_grpc import CustomerServiceAsyncStub
    from billing_client.v1.invoice_service_pb2_grpc import InvoiceServiceAsyncStub

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 40.0
CONNECT_SECRET: Final = f"whsec_{secrets.token_hex(16)}"
PLATFORM_SECRET: Final = f"whsec_{secrets.token_hex(16)}"
PRICES: Final = {"sms.us": "0.0079", "seat": "3.00"}
"""What the services of these tests cost, in USD."""

CALLER_SECRET: Final = secrets.token_hex(32)

REDIRECT_URI: Final = "https://platform.example/connected"
"""Where owners are sent back to."""

PRIVATE: Final = "Xanthippe"
"""Part of every name and address that these tests give to customers: it is in no log."""


async def until(holds: Callable[[], Awaitable[T | None]], seconds: float = 10.0) -> T:
    """Ask until the answer is true, and give it; TimeoutError where it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (answer := await holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer!r} after {seconds} s")
        await asyncio.sleep(0.01)
    return answer


def command(*arguments: str) -> Sequence[str]:
    """How a `billing` command is started."""
    return (sys.executable, "-m", "bootstrap.cli", *arguments)


def environment(**settings: str) -> dict[str, str]:
    """The environment of a `billing` process: this one's, with these settings and no other."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("BILLING_", "STRIPE_"))
    }
    return {**clean, "COLUMNS": "200", **settings}


def settings_for(stripe_url: str, **more: str) -> dict[str, str]:
    """Settings of a service beside an emulator, ports of its own choice."""
    return {
        "STRIPE_SECRET_KEY": PLATFORM_KEY,
        "BILLING_CALLER_KEYS": f"tests:{CALLER_SECRET}",
        "BILLING_WEBHOOK_SECRETS_CONNECT": CONNECT_SECRET,
        "BILLING_WEBHOOK_SECRETS_PLATFORM": PLATFORM_SECRET,
        "BILLING_GRPC_ADDRESS": "127.0.0.1:0",
        "BILLING_HTTP_ADDRESS": "127.0.0.1:0",
        "BILLING_STRIPE_URL": stripe_url,
        "BILLING_STRIPE_REQUESTS_PER_SECOND": "10000",
        "BILLING_CONNECT_CLIENT_ID": CLIENT_ID,
        "BILLING_CONNECT_REDIRECT_URIS": REDIRECT_URI,
        "BILLING_LOG_LEVEL": "debug",
        **more,
    }


async def run_command(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a `billing` command to its end: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), env=environment(**settings), preexec_fn=die_with_parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class Service:
    """One service, started again and again on the same settings; its log is kept throughout."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self.settings = dict(settings)
        self.log = log
        self.ports: dict[str, int] = {}
        self.started_in = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._channel: grpc.aio.Channel | None = None

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def channel(self) -> grpc.aio.Channel:
        """A channel to its gRPC port."""
        assert self._channel is not None
        return self._channel

    @property
    def webhook_url(self) -> str:
        """Where Stripe delivers."""
        return f"http://127.0.0.1:{self.ports['http']}/webhooks/stripe"

    @property
    def customers(self) -> "CustomerServiceAsyncStub":
        """The stub of CustomerService."""
        return CustomerServiceStub(self.channel)

    @property
    def invoices(self) -> "InvoiceServiceAsyncStub":
        """The stub of InvoiceService."""
        return InvoiceServiceStub(self.channel)

    @property
    def analytics(self) -> "AnalyticsServiceAsyncStub":
        """The stub of AnalyticsService."""
        return AnalyticsServiceStub(self.channel)

    @property
    def connections(self) -> "ConnectionServiceAsyncStub":
        """The stub of ConnectionService."""
        return ConnectionServiceStub(self.channel)

    def parsed(self) -> Settings:
        """The settings as the process reads them."""
        with mock.patch.dict(os.environ, self.settings, clear=True):
            return load()

    async def start(self) -> None:
        """Start it, and wait until it says where it listens."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                *command("serve", "--child"), env=environment(**self.settings),
                preexec_fn=die_with_parent, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        self.started_in = time.monotonic() - began
        assert line, f"the service did not start: {self.log.read_text()[-2_000:]}"
        self.ports = json.loads(line)
        self._channel = self._connected()

    @asynccontextmanager
    async def seen_from_here(self) -> AsyncIterator["Service"]:
        """The same running process for another event loop; it can be neither ended nor killed."""
        seen = Service(self.settings, self.log)
        seen.ports = self.ports
        async with seen._connected() as seen._channel:
            yield seen

    def _connected(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(
            f"127.0.0.1:{self.ports['grpc']}", options=[("grpc.enable_http_proxy", 0)]
        )

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._process.terminate()

    def abandon(self) -> None:
        """Close its standard input, as the end of its parent does."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def stop(self) -> float:
        """SIGTERM; it must end by itself with 0. Returns how long that took."""
        began = time.monotonic()
        self.terminate()
        assert await self.ended() == 0
        return time.monotonic() - began

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
        return code

    async def close(self) -> None:
        """Kill what is still running."""
        if self.running:
            await self.kill()


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with a Stripe account of its own, and a token with every scope."""

    account: str
    stripe_account: str
    token: str

    @property
    def metadata(self) -> Metadata:
        """What a call of his bears."""
        return bearer(self.token)

    @property
    def options(self) -> stripe.RequestOptions:
        """What makes the SDK act on his Stripe account."""
        return {"stripe_account": self.stripe_account}


def bearer(token: str) -> Metadata:
    """The metadata of a token."""
    return (("authorization", f"Bearer {token}"),)


def token_for(account: str, *scopes: str, secret: str = CALLER_SECRET) -> str:
    """A token of an account; without scopes, one with all of them."""
    tokens = CallerTokens({"tests": secret.encode()}, SystemClock())
    return tokens.issue("tests", account, scopes or list_scopes(), dt.timedelta(hours=1))


@dataclass
class ServiceAndEmulator:
    """A service, an emulator that delivers to it, and Stripe's SDK on the emulator."""

    service: Service
    emulator: RunningEmulator
    sdk: stripe.StripeClient
    tenants: int = 0

    async def tenant(self, *, parent: str = "", stripe_account: str = "") -> Tenant:
        """A new account, connected to a new Stripe account unless one is given."""
        self.tenants += 1
        account = f"tenant-{self.tenants}"
        if not stripe_account:
            spec = AccountSpec(id=f"acct_Tenant{self.tenants}", name=account)
            stripe_account = await self.emulator.control.create_account(spec)
        async with opened(self.service.parsed()) as container:
            await connect_account(container, account, stripe_account, parent=parent)
        return Tenant(account, stripe_account, token_for(account))

    async def subscribe(self) -> None:
        """Let the emulator deliver to where the service listens now, and nowhere else."""
        endpoints = self.sdk.v1.webhook_endpoints
        for endpoint in (await endpoints.list_async({"limit": 100})).data:
            await endpoints.delete_async(endpoint.id)
        for connect, secret in ((True, CONNECT_SECRET), (False, PLATFORM_SECRET)):
            made = await endpoints.create_async(
                {"url": self.service.webhook_url, "enabled_events": ["*"], "connect": connect}
            )
            await self.emulator.control.choose_webhook_secret(made.id, secret)

    async def delivered(self) -> None:
        """Wait until all events so far have been delivered, and taken."""
        flushed = await self.emulator.control.flush()
        assert flushed.done
        assert flushed.state.gave_up == flushed.state.dropped == 0

    async def sent(self, route: str) -> int:
        """How many requests of a route, as `POST /v1/customers`, Stripe has had."""
        return (await self.emulator.control.stats()).routes.get(route, 0)


@asynccontextmanager
async def world(folder: Path, **settings: str) -> AsyncIterator[ServiceAndEmulator]:
    """Everything started, connected and empty; everything ended afterwards."""
    async with emulator_process() as emulator, emulator.sdk() as sdk:
        prices = folder / "prices.json"
        prices.write_text(json.dumps({"currency": "usd", "prices": PRICES}))
        defaults = {
            "BILLING_SQLITE_PATH": str(folder / "billing.db"),
            "BASE_CURRENCY": "usd",
            "BILLING_PRICE_LIST": "file",
            "BILLING_PRICE_LIST_FILE": str(prices),
        }
        service = Service(settings_for(emulator.url, **{**defaults, **settings}), folder / "log")
        try:
            await service.start()
            made = ServiceAndEmulator(service, emulator, sdk)
            await made.subscribe()
            yield made
        finally:
            await service.close()
        check_log(service.log)


@asynccontextmanager
async def joined(running: ServiceAndEmulator) -> AsyncIterator[ServiceAndEmulator]:
    """A running world for the tests of one module more: Stripe has forgotten all of before.

    What the service has mirrored stays; it is other tenants'. The log is looked through when the
    world ends.
    """
    async with (
        ControlClient(running.emulator.url) as control,
        running.service.seen_from_here() as service,
    ):
        await control.reset()
        emulator = RunningEmulator(running.emulator.url, control)
        async with emulator.sdk() as sdk:
            made = ServiceAndEmulator(service, emulator, sdk, running.tenants)
            await made.subscribe()
            yield made
            running.tenants = made.tenants


def check_log(log: Path) -> None:
    """The log told something, in lines of JSON, and nothing that is nobody's business."""
    text = log.read_text()
    assert [json.loads(line) for line in text.splitlines()]
    secret = (
        PLATFORM_KEY, CONNECT_SECRET, PLATFORM_SECRET, CALLER_SECRET, "eyJ", "earer", "_secret_",
        "invoice.stripe", "pay.stripe",
    )  # fmt: skip
    personal = (PRIVATE, PRIVATE.lower(), "@", '"data"', "whsec_")
    leaked = [line for line in text.splitlines() if any(part in line for part in secret + personal)]
    assert leaked == []


async def mirrored(
    world: ServiceAndEmulator, tenant: Tenant, customer_id: str
) -> pb.Customer | None:
    """A customer as the mirror shows it to a tenant, or None."""
    request = pb.GetCustomerRequest(id=customer_id)
    try:
        return await world.service.customers.GetCustomer(
            request, metadata=tenant.metadata, timeout=10
        )
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return None


async def arrived(
    world: ServiceAndEmulator, tenant: Tenant, customer_id: str, name: str
) -> pb.Customer:
    """Wait until the mirror shows a customer of that name."""

    async def look() -> pb.Customer | None:
        found = await mirrored(world, tenant, customer_id)
        return found if found is not None and found.name == name else None

    return await until(look)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The one ErrorInfo's reason."""
    return details_of(error).reason


def details_of(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """The one ErrorInfo."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for synchronous calls
    assert status is not None
    (detail,) = (detail for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR))
    info = ErrorInfo()
    detail.Unpack(info)
    assert info.domain == "billing.v1"
    return info
