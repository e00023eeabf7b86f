"""Every test has an emulator of its own, on its event loop, and the real SDK pointed at it."""

from collections.abc import AsyncIterator

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import RunningEmulator, emulator_in_process
from sandbox.emulator.settings import Settings


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with emulator_in_process(Settings(seed=1)) as running:
        yield running


@pytest.fixture
async def client(emulator: RunningEmulator) -> AsyncIterator[stripe.StripeClient]:
    async with emulator.sdk() as sdk:
        yield sdk


@pytest.fixture
def control(emulator: RunningEmulator) -> ControlClient:
    return emulator.control
