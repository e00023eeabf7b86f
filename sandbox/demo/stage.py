"""The emulator as the demo needs it: its clients, the businesses' accounts, the subscription."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import stripe

from sandbox.demo.world import Business, World
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import AccountSpec


@dataclass(frozen=True, slots=True)
class Stage:
    """A world with open clients of its emulator: Stripe's own SDK, and the emulator's control."""

    world: World
    sdk: stripe.StripeClient
    control: ControlClient

    async def connect(self) -> None:
        """Make what accounts are missing, and subscribe the service unless it is.

        Raises ControlError and StripeError.
        """
        there = await self.sdk.v1.accounts.list_async({"limit": 100})
        known = {account.id async for account in there.auto_paging_iter()}
        for business in self.world.businesses:
            if business.stripe_account not in known:
                await self.control.create_account(_spec(business))
        await self._subscribe()

    async def _subscribe(self) -> None:
        endpoints = self.sdk.v1.webhook_endpoints
        subscribed = await endpoints.list_async({"limit": 100})
        async for endpoint in subscribed.auto_paging_iter():
            if endpoint.url == self.world.webhook_url:
                return
        made = await endpoints.create_async(
            {"url": self.world.webhook_url, "enabled_events": ["*"], "connect": True}
        )
        await self.control.choose_webhook_secret(made.id, self.world.webhook_secret)


async def open_accounts(
    emulator_url: str, businesses: Iterable[Business], at: int | None = None
) -> None:
    """Make the businesses' accounts at an emulator that does not know them. Raises ControlError.

    Its clock is set to `at` before, in Unix seconds; None: it stays.
    """
    async with ControlClient(emulator_url) as control:
        if at is not None:
            await control.set_clock(at)
        for business in businesses:
            await control.create_account(_spec(business))


async def open_unconnected(emulator_url: str, stripe_account: str) -> None:
    """Make an account whose owner has not consented to the platform yet. Raises ControlError."""
    async with ControlClient(emulator_url) as control:
        await control.create_account(AccountSpec(id=stripe_account, connected=False))


async def open_plan(emulator_url: str, platform_key: str, name: str, amount: int) -> str:
    """Make a monthly price in US dollars on the platform's own account; its id.

    Raises StripeError.
    """
    async with _sdk(emulator_url, platform_key) as sdk:
        product = await sdk.v1.products.create_async({"name": name})
        price = await sdk.v1.prices.create_async(
            {
                "product": product.id, "currency": "usd", "unit_amount": amount,
                "recurring": {"interval": "month"},
            }
        )  # fmt: skip
        return price.id


def _spec(business: Business) -> AccountSpec:
    return AccountSpec(
        id=business.stripe_account,
        country=business.country,
        currency=business.currency,
        timezone=business.time_zone,
        name=business.name,
    )


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[Stage]:
    """A stage whose clients are closed at the end."""
    async with (
        _sdk(world.emulator_url, world.platform_key) as sdk,
        ControlClient(world.emulator_url.rstrip("/")) as control,
    ):
        yield Stage(world, sdk, control)


@asynccontextmanager
async def _sdk(emulator_url: str, key: str) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.AIOHTTPClient(timeout=10)
    url = emulator_url.rstrip("/")
    try:
        yield stripe.StripeClient(
            key,
            http_client=http,
            max_network_retries=2,
            base_addresses={
                "api": url, "connect": url, "files": f"{url}/files", "meter_events": url,
            },
        )  # fmt: skip
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]  # it has no types


async def introduce(world: World) -> None:
    """Make the businesses known at the emulator, and let it deliver to the service. Plays nothing.

    May be repeated. Raises ControlError and StripeError.
    """
    async with opened(world) as stage:
        await stage.connect()
