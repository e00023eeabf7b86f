"""The bulk flows on the real SDK against an emulator, on both stores."""

from collections.abc import AsyncIterator

import pytest

from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.upkeep import Flows
from tests.support.servers.stores import Opener


@pytest.fixture
async def flows(opener: Opener) -> AsyncIterator[Flows]:
    """The flows over an empty store and an account without any history."""
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        settings = StripeSettings(PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001)
        clock = MovableClock()
        api = StripeApi(settings, RateBudget(10_000), clock)
        account = await emulator.control.create_account()
        try:
            yield Flows(emulator, sdk, api, stores, account, clock=clock)
        finally:
            await api.close()
