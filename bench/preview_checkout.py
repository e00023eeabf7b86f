"""What PreviewCheckout costs: how long a call takes, against GetCustomer.

    python -m bench.preview_checkout [--calls 2000] [--rounds 5] [--offers 1000]

One server in a process of its own, on uvloop and one SQLite file with its settings of production;
the same client calls each method in turn, one call after the other, several rounds. A sub-account
previews an item of a store of so many offers: multiplier, cost, funds of the parent and the default
payment method are all looked at. What Stripe would be asked once a minute is remembered. Printed:
the median of the calls of each (of the rounds the median), server CPU a call, and the median of the
rounds' ratios of medians. Target: 1.5 at most; exit status 1 above.
"""

import argparse
import asyncio
import datetime as dt
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import grpc
import psutil
import uvloop
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import customer_service_pb2 as customer_pb
from billing_client.v1.checkout_service_pb2_grpc import CheckoutServiceStub
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from typing_extensions import override

from application.accounts.tenancy import Tenancy
from application.background.tasks import Tasks
from application.checkouts.currencies import CountrySpecs, TakenCurrencies
from application.checkouts.lately import MINUTE, MOMENT, Lately
from application.checkouts.multipliers import Multipliers
from application.checkouts.paying import MethodChoice, MethodReads
from application.checkouts.previews import Previews
from application.checkouts.pricing import Pricing
from application.checkouts.quotes import Quotes
from application.checkouts.remembered_methods import RememberedMethods
from application.checkouts.sellers import Sellers
from application.checkouts.use_cases import StoreProducts
from application.connections.use_cases import Connections
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS, STRIPE_ACCOUNTS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.paging import PageTokens
from application.wallet.whose import Wallets
from bench.get_customer import ACCOUNT, CUSTOMER, STRIPE_ACCOUNT, spare_the_collector
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.ledger_commands import PostGrant
from domain.mirror import Snapshot, Version
from domain.payment_methods import PaymentMethod
from domain.store_products import ProductKind, StorePrice, StoreProduct
from domain.stripe_accounts import StripeAccount
from domain.wallets import Buyer, Wallet, WalletSettings
from infrastructure.clock import SystemClock
from infrastructure.number_price_file import NoNumberPrices
from infrastructure.security.quotes import HmacQuotes
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.buyers import SqliteBuyers
from infrastructure.sqlite.carts import SqliteCarts
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.journal import SqliteJournal
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.sqlite.outbox import SqliteOutbox
from infrastructure.sqlite.preparation import prepare
from infrastructure.sqlite.rates import SqliteRates
from infrastructure.sqlite.store_catalogue import SqliteStoreCatalogue
from infrastructure.sqlite.store_subscriptions import SqliteStoreSubscriptions
from infrastructure.sqlite.wallet_settings import SqliteWalletSettings
from infrastructure.stripe.readers.befores import read_before
from infrastructure.telemetry import logs
from interfaces.grpc.checkouts.servicer import CheckoutServicer
from interfaces.grpc.contract import services
from interfaces.grpc.customers.servicer import CustomerServicer
from interfaces.grpc.server import Server, ServerOptions

TARGET: Final = 1.5
BUYER: Final = "lily"


class OneMethod(MethodReads):
    """Stripe's answers: one card, the buyer's."""

    @override
    async def default_of(self, stripe_account: str, customer: str) -> str:
        """The card that the mirror shows, too."""
        return CUSTOMER.default_payment_method or ""

    @override
    async def read(
        self, stripe_account: str, customer: str, payment_method: str
    ) -> PaymentMethod | None:
        """The card."""
        return PaymentMethod(payment_method, "card", customer)


class OneCountry(CountrySpecs):
    """A country that takes dollars."""

    @override
    async def payment_currencies(self, country: str) -> frozenset[str]:
        """Dollars."""
        return frozenset({"usd"})


async def serve(path: Path, key: str, offers: int) -> None:
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
    page_tokens = PageTokens(secrets.token_bytes(32), clock)
    reader = MirrorReader(mirror, page_tokens)
    customers = Customers(reader, connections, mutations, nothing, SqliteContactDirectory(database))
    accounts = SqliteAccounts(database)
    multipliers = Multipliers(Wallets(accounts, "usd"), SqliteWalletSettings(database))
    catalogue, carts = SqliteStoreCatalogue(database), SqliteCarts(database)
    methods = RememberedMethods(OneMethod(), mirror, clock)
    journal, find_buyer = (
        SqliteJournal(database),
        Lately(SqliteBuyers(database).get, clock, MINUTE),
    )
    sellers = Sellers(
        connections, nothing, Lately(journal.head, clock, MOMENT), find_buyer, journal, methods,
        SqliteOutbox(database), clock, asyncio.Event(),
    )  # fmt: skip
    pricing = Pricing(
        Lately(accounts.get, clock, MOMENT), Lately(catalogue.get, clock, MOMENT),
        find_buyer, carts,
        SqliteStoreSubscriptions(database), multipliers, NoNumberPrices(), nothing,
        Wallets(accounts, "usd"), SqliteRates(database), sellers, MethodChoice(methods),
        TakenCurrencies(OneCountry(), nothing, mirror, clock), clock,
    )  # fmt: skip
    quotes = Quotes(HmacQuotes(secrets.token_bytes(32)), clock)
    products = StoreProducts(accounts, catalogue, multipliers, page_tokens)
    await _fill(database, clock, offers)
    server = Server(
        services(
            CustomerServicer(customers),
            CheckoutServicer(products, Previews(pricing, carts, quotes, clock), nothing, nothing),
        ),
        CallerTokens(caller_keys([key]), clock),
        Tenancy(accounts),
        ServerOptions("127.0.0.1:0"),
    )
    port = await server.start()
    spare_the_collector()
    print(port, flush=True)
    await server.wait()


async def _fill(database: Database, clock: SystemClock, offers: int) -> None:
    """A parent with funds, a sub-account with a card, and a store."""
    now, accounts, mirror = (
        clock.now(),
        SqliteAccounts(database),
        SqliteMirror(database, read_before),
    )
    await accounts.add(Account(ACCOUNT, "Acme", "usd"))
    await accounts.add(Account(BUYER, "Lily", "usd", parent=ACCOUNT))
    await SqliteConnections(database).put(
        Connection(ACCOUNT, STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, now)
    )
    place = StripeAccount(
        STRIPE_ACCOUNT, now, charges_enabled=True, payouts_enabled=True, details_submitted=True,
        country="US",
    )  # fmt: skip
    version = Version.of_event(1)
    await mirror.replace(CUSTOMERS, [(Snapshot(STRIPE_ACCOUNT, CUSTOMER.id, version, CUSTOMER), 0)])
    await mirror.replace(
        STRIPE_ACCOUNTS, [(Snapshot(STRIPE_ACCOUNT, STRIPE_ACCOUNT, version, place), 0)]
    )
    await SqliteBuyers(database).add(Buyer(BUYER, STRIPE_ACCOUNT, CUSTOMER.id, now))
    grant = PostGrant(key="grant", payload_hash="", actor="bench", at=now, amount=1_000_000)
    await SqliteJournal(database).append(Wallet(ACCOUNT, None, "usd"), [grant])
    wallet = Wallet(BUYER, ACCOUNT, "usd").name
    settings = WalletSettings(wallet, now, multipliers={"store.one_off": "1.25"}, revision=0)
    await SqliteWalletSettings(database).put(settings.next("bench", now))
    store = SqliteStoreCatalogue(database)
    for number in range(offers):
        name = f"{number:06d}"
        await store.put_product(StoreProduct(f"prod_{name}", ProductKind.ONE_OFF, f"Add-on {name}"))
        await store.put_price(StorePrice(f"price_{name}", f"prod_{name}", "usd", 1_000 + number))


async def measure(arguments: argparse.Namespace) -> float:
    """The median of the rounds' ratios."""
    key = f"bench:{secrets.token_urlsafe(32)}"
    tokens, hour = CallerTokens(caller_keys([key]), SystemClock()), dt.timedelta(hours=1)
    own = tokens.issue("bench", ACCOUNT, ["customers.read"], hour)
    buyers = tokens.issue("bench", BUYER, ["checkout.write"], hour)
    command = [sys.executable, "-m", "bench.preview_checkout", "--key", key, "--store"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [*command, f"{folder}/bench.db", "--offers", str(arguments.offers)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as child,
    ):  # fmt: skip
        try:
            assert child.stdout is not None
            address = f"127.0.0.1:{int(child.stdout.readline())}"
            async with grpc.aio.insecure_channel(address) as channel:
                customers, checkouts = CustomerServiceStub(channel), CheckoutServiceStub(channel)
                item = pb.CartItem(price=f"price_{arguments.offers // 2:06d}", quantity=1)

                async def get() -> None:
                    request = customer_pb.GetCustomerRequest(id=CUSTOMER.id)
                    await customers.GetCustomer(
                        request, timeout=30, metadata=(("authorization", f"Bearer {own}"),)
                    )

                async def preview() -> None:
                    request = pb.PreviewCheckoutRequest(item=item)
                    await checkouts.PreviewCheckout(
                        request, timeout=30, metadata=(("authorization", f"Bearer {buyers}"),)
                    )

                return await _compare(psutil.Process(child.pid), [get, preview], arguments)
        finally:
            child.kill()


async def _compare(
    process: psutil.Process,
    calls: list[Callable[[], Awaitable[None]]],
    arguments: argparse.Namespace,
) -> float:
    medians: list[list[float]] = [[], []]
    costs: list[list[float]] = [[], []]
    for call in calls:
        await _medians(call, arguments.calls // 5)
    for _ in range(arguments.rounds):
        for call, median, cost in zip(calls, medians, costs, strict=True):
            before = process.cpu_times()
            median.append(await _medians(call, arguments.calls))
            after = process.cpu_times()
            used = after.user + after.system - before.user - before.system
            cost.append(used / arguments.calls * 1e6)
    ratio: float = statistics.median(ours / bare for bare, ours in zip(*medians, strict=True))
    (got, previewed), (got_cpu, previewed_cpu) = (
        [statistics.median(each) for each in both] for both in (medians, costs)
    )
    print(f"GetCustomer {got:.0f} us (CPU {got_cpu:.0f}), ", end="")
    print(f"PreviewCheckout {previewed:.0f} us (CPU {previewed_cpu:.0f}): ", end="")
    print(f"{ratio:.2f} times (target: {TARGET} at most)")
    return ratio


async def _medians(call: Callable[[], Awaitable[None]], calls: int) -> float:
    """The median of so many calls, one after the other, in microseconds."""
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def main() -> None:
    """Measure, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000, help="a round and method")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--offers", type=int, default=1_000)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.store:
        uvloop.run(serve(arguments.store, arguments.key, arguments.offers))
    elif uvloop.run(measure(arguments)) > TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
