"""What ExecuteCheckout costs: server CPU a call, against CreateCustomer.

    python -m bench.execute_checkout [--calls 100] [--rounds 5] [--at-once 8]

The real service and the emulator, each in a process of its own, on one SQLite file. Sub-accounts of
one parent buy what is paid once, by cards of their own; each has previewed it a moment before,
which is not counted. Both methods go to Stripe and back, and write what they do. CPU is the service
process's own, user and system, with what follows the call (webhooks are not sent here). Printed
also: how many requests a purchase sends to Stripe. Target: 4.0 at most; exit status 1 above.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import json
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import grpc
import psutil
import uvloop
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import customer_service_pb2 as customer_pb
from billing_client.v1.checkout_service_pb2_grpc import CheckoutServiceStub
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub

from bench.start import BILLING
from bench.start import settings as service_settings
from bootstrap.process import opened
from bootstrap.settings import load
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.ledger_commands import PostGrant
from domain.store_products import ProductKind, StorePrice, StoreProduct
from domain.wallets import Buyer, Wallet
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.servers.children import die_with_parent

TARGET: Final = 4.0
PARENT: Final = "acme"
PRICE: Final = "price_pack"
FUNDS: Final = 1_000_000_000

_numbers: Final = itertools.count()

Call = Callable[[str], Awaitable[None]]


class Shop:
    """The service, and those who buy at it."""

    def __init__(self, emulator: RunningEmulator, folder: Path) -> None:
        key = f"bench:{secrets.token_urlsafe(32)}"
        self.emulator = emulator
        self.environment = {
            **service_settings(folder),
            "STRIPE_SECRET_KEY": PLATFORM_KEY,
            "BILLING_CALLER_KEYS": key,
            "BILLING_STRIPE_URL": emulator.url,
            "BILLING_STRIPE_REQUESTS_PER_SECOND": "10000",
            "BASE_CURRENCY": "usd",
        }
        self._tokens = CallerTokens(caller_keys([key]), SystemClock())
        self.buyers: list[str] = []
        self.quotes: dict[str, str] = {}

    def metadata(self, account: str) -> Sequence[tuple[str, str]]:
        """What an account calls with."""
        scopes = ["customers.read", "customers.write", "checkout.write"]
        token = self._tokens.issue("bench", account, scopes, dt.timedelta(hours=1))
        return (("authorization", f"Bearer {token}"),)

    async def fill(self, count: int) -> None:
        """Let there be the parent with funds, its sub-accounts with cards, and what they buy."""
        place = await self.emulator.control.create_account(AccountSpec())
        options: Any = {"stripe_account": place}
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        with mock.patch.dict(os.environ, self.environment, clear=True):
            settings = load()
        async with opened(settings) as container, self.emulator.sdk() as sdk:
            stores = container.stores
            await stores.accounts().add(Account(PARENT, "Acme", "usd"))
            link = Connection(PARENT, place, Mode.TEST, ConnectionKind.MANUAL, now)
            await stores.connections().put(link)
            grant = PostGrant(key="g:1", payload_hash="", actor="bench", at=now, amount=FUNDS)
            await stores.journal().append(Wallet(PARENT, None, "usd"), [grant])
            product = StoreProduct("prod_pack", ProductKind.ONE_OFF, "Pack", most=10)
            await stores.store_catalogue().put_product(product)
            await stores.store_catalogue().put_price(StorePrice(PRICE, product.id, "usd", 1_000))
            for number in range(count):
                account = f"buyer{number}"
                params: Any = {"name": account}
                customer = await sdk.v1.customers.create_async(params, options)
                attached: Any = {"customer": customer.id}
                card = await sdk.v1.payment_methods.attach_async("pm_card_visa", attached, options)
                default: Any = {"invoice_settings": {"default_payment_method": card.id}}
                await sdk.v1.customers.update_async(customer.id, default, options)
                await stores.accounts().add(Account(account, account, "usd", PARENT))
                await stores.buyers().add(Buyer(account, place, customer.id, now))
                self.buyers.append(account)


async def load_of(call: Call, accounts: Sequence[str], at_once: int) -> None:
    """A call for each account, so many at once."""
    left = iter(accounts)

    async def caller() -> None:
        for account in left:
            await call(account)

    await asyncio.gather(*(caller() for _ in range(at_once)))


async def measure(arguments: argparse.Namespace) -> float:
    """The median of the rounds' ratios."""
    with tempfile.TemporaryDirectory() as folder:
        async with emulator_process() as emulator:
            shop = Shop(emulator, Path(folder))
            await shop.fill(arguments.calls)
            process = await asyncio.create_subprocess_exec(
                *BILLING, "serve", "--child", env=shop.environment, preexec_fn=die_with_parent,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            try:
                port = json.loads(await process.stdout.readline())["grpc"]
                address = f"127.0.0.1:{port}"
                async with grpc.aio.insecure_channel(address) as channel:
                    return await _compare(shop, channel, psutil.Process(process.pid), arguments)
            finally:
                process.kill()
                await process.wait()


async def _compare(
    shop: Shop, channel: grpc.aio.Channel, process: psutil.Process, arguments: argparse.Namespace
) -> float:
    customers, checkouts = CustomerServiceStub(channel), CheckoutServiceStub(channel)

    async def create(_: str) -> None:
        request = customer_pb.CreateCustomerRequest(request_id=f"c-{next(_numbers)}")
        request.customer.name = "Ada"
        await customers.CreateCustomer(request, timeout=30, metadata=shop.metadata(PARENT))

    async def preview(account: str) -> None:
        request = pb.PreviewCheckoutRequest(item=pb.CartItem(price=PRICE, quantity=2))
        metadata = shop.metadata(account)
        answer = await checkouts.PreviewCheckout(request, timeout=30, metadata=metadata)
        shop.quotes[account] = answer.quote

    async def execute(account: str) -> None:
        request = pb.ExecuteCheckoutRequest(
            quote=shop.quotes[account], request_id=f"e-{next(_numbers)}"
        )
        metadata = shop.metadata(account)
        answer = await checkouts.ExecuteCheckout(request, timeout=30, metadata=metadata)
        assert answer.state == pb.CHECKOUT_STATE_COMPLETED, answer.state

    async def used(call: Call) -> float:
        before = process.cpu_times()
        await load_of(call, shop.buyers, arguments.at_once)
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        return spent / len(shop.buyers) * 1e6

    costs: list[tuple[float, float]] = []
    sent: Mapping[str, int] = {}
    for _ in range(arguments.rounds + 1):
        created = await used(create)
        await load_of(preview, shop.buyers, arguments.at_once)
        before = (await shop.emulator.control.stats()).routes
        executed = await used(execute)
        after = (await shop.emulator.control.stats()).routes
        sent = {route: count - before.get(route, 0) for route, count in after.items()}
        costs.append((created, executed))
    costs = costs[1:]  # the first round is not counted
    ratio = statistics.median(executed / created for created, executed in costs)
    created, executed = map(statistics.median, zip(*costs, strict=True))
    requests = sum(sent.values()) / len(shop.buyers)
    print(f"CreateCustomer {created:.0f} us, ExecuteCheckout {executed:.0f} us:", end=" ")
    print(f"{ratio:.2f} times (target: {TARGET} at most); {requests:.2f} requests to Stripe")
    return ratio


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="a round and method")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=8)
    if uvloop.run(measure(parser.parse_args())) > TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
