"""The gateway on the real SDK, against an emulator on the test's event loop."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from application.mutations.stripe import Call
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.invoices.gateway import StripeInvoices
from infrastructure.stripe.invoices.previews import StripeInvoicePreviews
from sandbox.emulator.running import RunningEmulator, emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.rooms.invoices_at_stripe import Drawer, Merchant


class SystemClock:
    """The machine's clock in whole milliseconds."""

    def now(self) -> dt.datetime:
        now = dt.datetime.now(dt.UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


class MakeApi(Protocol):
    """Makes a gateway; `rate` is its budget, everything else a setting."""

    def __call__(self, *, rate: float = 10_000, **settings: Any) -> StripeApi: ...


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Ask until it holds; TimeoutError where it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await holds():
        if loop.time() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.005)


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with emulator_in_process() as emulator:
        yield emulator


@pytest.fixture
async def make_api(emulator: RunningEmulator) -> AsyncIterator[MakeApi]:
    async with AsyncExitStack() as stack:

        def make(*, rate: float = 10_000, **settings: Any) -> StripeApi:
            values = {
                "secret_key": PLATFORM_KEY,
                "api_base": emulator.url,
                "first_backoff_seconds": 0.001,
                **settings,
            }
            api = StripeApi(StripeSettings(**values), RateBudget(rate), SystemClock())
            stack.push_async_callback(api.close)
            return api

        yield make


@pytest.fixture
def api(make_api: MakeApi) -> StripeApi:
    return make_api()


@pytest.fixture
def customers(api: StripeApi) -> StripeCustomers:
    return StripeCustomers(api)


@pytest.fixture
async def account(emulator: RunningEmulator) -> str:
    return await emulator.control.create_account()


class MakeCall(Protocol):
    """Makes a call on behalf of the account; its name makes key and tag."""

    def __call__(self, name: str = "one") -> Call: ...


@pytest.fixture
def call(account: str) -> MakeCall:
    def make(name: str = "one") -> Call:
        return Call(account, f"key-{name}", f"tag-{name}")

    return make


class Served(Protocol):
    """How often a route (`GET /v1/customers/{id}`) was served so far."""

    async def __call__(self, route: str) -> int: ...


@pytest.fixture
def served(emulator: RunningEmulator) -> Served:
    async def count(route: str) -> int:
        return (await emulator.control.stats()).routes.get(route, 0)

    return count


@pytest.fixture
def invoices(api: StripeApi) -> StripeInvoices:
    return StripeInvoices(api)


@pytest.fixture
def previews(api: StripeApi) -> StripeInvoicePreviews:
    return StripeInvoicePreviews(api)


@pytest.fixture
async def merchant(emulator: RunningEmulator, account: str) -> AsyncIterator[Merchant]:
    async with emulator.sdk() as sdk:
        yield Merchant(sdk, account)


@pytest.fixture
async def drawer(invoices: StripeInvoices, call: MakeCall, merchant: Merchant) -> Drawer:
    return Drawer(invoices, call, await merchant.customer())
