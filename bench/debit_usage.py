"""What DebitUsage costs: server CPU a call with all interceptors, against GetCustomer.

    python -m bench.debit_usage [--calls 5000] [--rounds 5] [--at-once 16]

One server in a process of its own, on uvloop and one SQLite file with its settings of production;
the same client calls each method in turn, several rounds. Debits are of one wallet, so that those
that wait share a commit. CPU is the server process's own, user and system. Target: 2.5 at most;
exit status 1 above.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import grpc
import psutil
import uvloop
from billing_client.v1 import customer_service_pb2 as customer_pb
from billing_client.v1 import wallet_service_pb2 as pb
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from billing_client.v1.wallet_service_pb2_grpc import WalletServiceStub
from typing_extensions import override

from application.accounts.tenancy import Tenancy
from application.background.loops import RunningLoops
from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.paging import PageTokens
from application.wallet.aftermath import Aftermath
from application.wallet.costs import Costs
from application.wallet.low import LowBalances
from application.wallet.posting import Posting
from application.wallet.prices import PriceList
from application.wallet.usage import Usage
from application.wallet.whose import Wallets
from bench.get_customer import ACCOUNT, CUSTOMER, STRIPE_ACCOUNT, spare_the_collector
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.ledger_commands import PostGrant
from domain.mirror import Snapshot, Version
from domain.wallets import Wallet
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.journal import SqliteJournal
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.sqlite.outbox import SqliteOutbox
from infrastructure.sqlite.preparation import prepare
from infrastructure.sqlite.wallet_settings import SqliteWalletSettings
from infrastructure.stripe.readers.befores import read_before
from infrastructure.telemetry import logs
from interfaces.grpc.contract import services
from interfaces.grpc.customers.servicer import CustomerServicer
from interfaces.grpc.server import Server, ServerOptions
from interfaces.grpc.wallet.servicer import WalletServicer

TARGET: Final = 2.5
SERVICE: Final = "sms.us"

_numbers: Final = itertools.count()


class OnePrice(PriceList):
    """The price of a message."""

    @override
    async def price(self, service: str) -> str | None:
        """The price of a message; None for anything else."""
        return "0.0079" if service == SERVICE else None


async def serve(path: Path, key: str) -> None:
    """Serve both methods until killed; says the port first."""
    logs.configure()
    clock, nothing = SystemClock(), cast("Any", None)  # Stripe is not asked in this measurement
    database = Database(path, prepare)
    await database.start()
    mirror, repository = SqliteMirror(database, read_before), SqliteConnections(database)
    connections = Connections(repository, nothing, mirror, clock, Mode.TEST)
    mutations = Mutations(
        SqliteMutationLog(database), connections, MirrorWriter(mirror), clock, Tasks(), nothing
    )
    reader = MirrorReader(mirror, PageTokens(secrets.token_bytes(32), clock))
    customers = Customers(reader, connections, mutations, nothing, SqliteContactDirectory(database))
    accounts, journal = SqliteAccounts(database), SqliteJournal(database)
    settings = SqliteWalletSettings(database)
    wallets = Wallets(accounts, "usd")
    low = LowBalances(settings, SqliteOutbox(database), clock, asyncio.Event(), asyncio.Event())
    aftermath = Aftermath(accounts, wallets, journal, Costs(journal, clock), low, clock)
    usage = Usage(wallets, journal, settings, OnePrice(), Posting(journal, aftermath, clock), clock)
    await accounts.add(Account(ACCOUNT, "Acme", "usd"))
    await repository.put(
        Connection(ACCOUNT, STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, clock.now())
    )
    snapshot = Snapshot(STRIPE_ACCOUNT, CUSTOMER.id, Version.of_event(1), CUSTOMER)
    await mirror.replace(CUSTOMERS, [(snapshot, 0)])
    grant = PostGrant(
        key="grant", payload_hash="", actor="bench", at=clock.now(), amount=1_000_000_000
    )
    await journal.append(Wallet(ACCOUNT, None, "usd"), [grant])
    server = Server(
        services(
            CustomerServicer(customers),
            WalletServicer(nothing, usage, nothing, nothing, nothing, nothing, nothing),
        ),
        CallerTokens(caller_keys([key]), clock),
        Tenancy(accounts),
        ServerOptions("127.0.0.1:0"),
    )
    loops = RunningLoops([aftermath.loop])
    port = await server.start()
    spare_the_collector()
    print(port, flush=True)
    await server.wait()
    await loops.cut()


async def load(call: Callable[[], Awaitable[Any]], calls: int, at_once: int) -> None:
    """Make calls, so many at once."""

    async def caller(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(caller(calls // at_once) for _ in range(at_once)))


async def measure(arguments: argparse.Namespace) -> float:
    """The median of the rounds' ratios."""
    key = f"bench:{secrets.token_urlsafe(32)}"
    token = CallerTokens(caller_keys([key]), SystemClock()).issue(
        "bench", ACCOUNT, ["customers.read", "wallets.spend"], dt.timedelta(hours=1)
    )
    metadata = (("authorization", f"Bearer {token}"),)
    command = [sys.executable, "-m", "bench.debit_usage", "--key", key, "--store"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [*command, f"{folder}/bench.db"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        ) as child,
    ):  # fmt: skip
        try:
            assert child.stdout is not None
            address = f"127.0.0.1:{int(child.stdout.readline())}"
            async with grpc.aio.insecure_channel(address) as channel:
                customers, wallets = CustomerServiceStub(channel), WalletServiceStub(channel)

                async def get() -> None:
                    request = customer_pb.GetCustomerRequest(id=CUSTOMER.id)
                    await customers.GetCustomer(request, timeout=30, metadata=metadata)

                async def debit() -> None:
                    request = pb.DebitUsageRequest(
                        service=SERVICE, quantity=1, request_id=f"r-{next(_numbers)}"
                    )
                    await wallets.DebitUsage(request, timeout=30, metadata=metadata)

                return await _compare(psutil.Process(child.pid), [get, debit], arguments)
        finally:
            child.kill()


async def _compare(
    process: psutil.Process,
    calls: list[Callable[[], Awaitable[None]]],
    arguments: argparse.Namespace,
) -> float:
    costs: list[list[float]] = [[], []]
    for call in calls:
        await load(call, arguments.calls // 5, arguments.at_once)
    for _ in range(arguments.rounds):
        for call, cost in zip(calls, costs, strict=True):
            before = process.cpu_times()
            await load(call, arguments.calls, arguments.at_once)
            after = process.cpu_times()
            used = after.user + after.system - before.user - before.system
            cost.append(used / arguments.calls * 1e6)
    ratio: float = statistics.median(ours / bare for bare, ours in zip(*costs, strict=True))
    got, debited = map(statistics.median, costs)
    print(f"GetCustomer {got:.0f} us, DebitUsage {debited:.0f} us: {ratio:.2f} times", end=" ")
    print(f"(target: {TARGET} at most)")
    return ratio


def main() -> None:
    """Measure, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000, help="a round and method")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.store:
        uvloop.run(serve(arguments.store, arguments.key))
    elif uvloop.run(measure(arguments)) > TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
