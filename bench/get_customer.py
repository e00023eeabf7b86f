"""What GetCustomer costs: server CPU a call with all interceptors, against a bare grpc.aio echo.

    python -m bench.get_customer [--calls 5000] [--rounds 5] [--at-once 16]

Each server runs in a process of its own, on uvloop; the same client calls each in turn, several
rounds, so that what else the machine does falls on both. CPU is the server process's own, user and
system. The reply is the same customer; Billing reads it from a SQLite mirror, verifies a token, and
logs a line, as in production. Printed: CPU a call of each (median of the rounds) and the median of
the rounds' ratios. Target: 2.0 at most; exit status 1 above.
"""

import argparse
import asyncio
import datetime as dt
import gc
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import grpc
import psutil
import uvloop
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1 import customer_service_pb2_grpc as pb_grpc

from application.accounts.tenancy import Tenancy
from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Address, Customer
from domain.mirror import Snapshot, Version
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.sqlite.preparation import prepare
from infrastructure.stripe.readers.befores import read_before
from infrastructure.telemetry import logs
from interfaces.grpc.analytics.servicer import AnalyticsServicer
from interfaces.grpc.connections.servicer import ConnectionServicer
from interfaces.grpc.contract import services
from interfaces.grpc.core.calls import Context
from interfaces.grpc.customers.mapping import customer_message
from interfaces.grpc.customers.servicer import CustomerServicer
from interfaces.grpc.events.servicer import EventServicer
from interfaces.grpc.mirror.servicer import MirrorServicer
from interfaces.grpc.server import Server, ServerOptions

ACCOUNT: Final = "acme"
STRIPE_ACCOUNT: Final = "acct_1Bench"
TARGET: Final = 2.0

CUSTOMER: Final = Customer(
    id="cus_NffrFeUfNV2Hib",
    created=dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC),
    email="jenny.rosen@example.com",
    name="Jenny Rosen",
    phone="+15555550100",
    address=Address("510 Townsend St", None, "San Francisco", "CA", "94103", "US"),
    currency="usd",
    delinquent=False,
    default_payment_method="pm_1MsZ6wLkdIwHu7ixxvl5IdoQ",
    metadata={"contact": "c-1042", "plan": "gold"},
)


def spare_the_collector() -> None:
    """Both servers run with the collector set as the service sets it (`bootstrap.process`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def serve_echo() -> None:
    reply = customer_message(CUSTOMER)

    async def answer(_request: pb.GetCustomerRequest, _context: Context) -> pb.Customer:
        return reply

    handler = grpc.unary_unary_rpc_method_handler(
        answer, pb.GetCustomerRequest.FromString, pb.Customer.SerializeToString
    )
    service = pb.DESCRIPTOR.services_by_name["CustomerService"].full_name
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"GetCustomer": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    spare_the_collector()
    print(port, flush=True)
    await server.wait_for_termination()


async def serve_billing(path: Path, key: str) -> None:
    logs.configure()
    clock = SystemClock()
    database = Database(path, prepare)
    await database.start()
    mirror, repository = SqliteMirror(database, read_before), SqliteConnections(database)
    # Neither Stripe nor analytics is asked in this measurement.
    nothing = cast("Any", None)
    connections = Connections(repository, nothing, mirror, clock, Mode.TEST)
    mutations = Mutations(
        SqliteMutationLog(database), connections, MirrorWriter(mirror), clock, Tasks(), nothing
    )
    reader = MirrorReader(mirror, PageTokens(secrets.token_bytes(32), clock))
    contacts = SqliteContactDirectory(database)
    customers = Customers(reader, connections, mutations, nothing, contacts)
    await repository.put(
        Connection(ACCOUNT, STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, clock.now())
    )
    snapshot = Snapshot(STRIPE_ACCOUNT, CUSTOMER.id, Version.of_event(1), CUSTOMER)
    await mirror.replace(CUSTOMERS, [(snapshot, 0)])
    server = Server(
        services(
            CustomerServicer(customers),
            AnalyticsServicer(nothing, nothing, nothing, nothing),
            ConnectionServicer(connections, nothing, nothing, nothing),
            EventServicer(nothing, nothing),
            MirrorServicer(nothing, nothing, nothing),
        ),
        CallerTokens(caller_keys([key]), clock),
        Tenancy(SqliteAccounts(database)),
        ServerOptions("127.0.0.1:0"),
    )
    port = await server.start()
    spare_the_collector()
    print(port, flush=True)
    await server.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A server process and the port that it listens on."""

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    """A server in a process of its own; its log lines are written, to nowhere."""
    command = [sys.executable, "-m", "bench.get_customer", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        try:
            assert child.stdout is not None
            yield Running(psutil.Process(child.pid), int(child.stdout.readline()))
        finally:
            child.kill()


async def load(port: int, token: str, calls: int, at_once: int) -> float:
    """Make calls; returns how long they took, in seconds."""
    metadata = (("authorization", f"Bearer {token}"),)
    request = pb.GetCustomerRequest(id=CUSTOMER.id)
    expected = customer_message(CUSTOMER)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = pb_grpc.CustomerServiceStub(channel)

        async def caller(count: int) -> None:
            for _ in range(count):
                reply = await stub.GetCustomer(request, timeout=30, metadata=metadata)
                assert reply == expected

        started = time.perf_counter()
        await asyncio.gather(*(caller(calls // at_once) for _ in range(at_once)))
        return time.perf_counter() - started


async def measure(arguments: argparse.Namespace) -> float:
    key = f"bench:{secrets.token_urlsafe(32)}"
    token = CallerTokens(caller_keys([key]), SystemClock()).issue(
        "bench", ACCOUNT, ["customers.read"], dt.timedelta(hours=1)
    )
    costs: dict[str, list[float]] = {"echo": [], "billing": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        running("--serve", "echo") as echo,
        running("--serve", "billing", "--store", f"{folder}/bench.db", "--key", key) as billing,
    ):
        servers = {"echo": echo, "billing": billing}
        for server in servers.values():
            await load(server.port, token, arguments.calls // 5, arguments.at_once)
        for _ in range(arguments.rounds):
            for name, server in servers.items():
                before = server.cpu_seconds()
                seconds = await load(server.port, token, arguments.calls, arguments.at_once)
                cost = (server.cpu_seconds() - before) / arguments.calls * 1e6
                costs[name].append(cost)
                print(
                    f"{name:8} {cost:6.0f} us CPU a call, {arguments.calls / seconds:6.0f} a second"
                )
    echo_cost, billing_cost = (statistics.median(costs[name]) for name in servers)
    pairs = zip(costs["billing"], costs["echo"], strict=True)
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    print(f"echo {echo_cost:.0f} us, GetCustomer {billing_cost:.0f} us: {ratio:.2f} times", end=" ")
    print(f"(target: {TARGET} at most)")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000, help="a round and server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--serve", choices=["echo", "billing"], help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve == "echo":
        uvloop.run(serve_echo())
    elif arguments.serve == "billing":
        uvloop.run(serve_billing(arguments.store, arguments.key))
    elif uvloop.run(measure(arguments)) > TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
