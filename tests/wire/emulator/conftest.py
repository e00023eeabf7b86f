"""Every test has an emulator of its own, on its event loop, and the real SDK pointed at it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import stripe
from typing_extensions import override

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import RunningEmulator, close_client, emulator_in_process
from sandbox.emulator.settings import Settings
from tests.support.emulator.shapes import differences


class WatchedClient(stripe.AIOHTTPClient):
    """The SDK's way to the emulator; no answer may differ from what the SDK says of its object."""

    @override
    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        body, status, answered = await super().request_async(method, url, headers, post_data)
        if status == 200:
            found = sorted(set(differences(msgspec.json.decode(body))))
            assert not found, f"{method} {url}: {found}"
        return body, status, answered


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with emulator_in_process(Settings(seed=1)) as running:
        yield running


@pytest.fixture
async def client(emulator: RunningEmulator) -> AsyncIterator[stripe.StripeClient]:
    watched = emulator.client(http_client=WatchedClient(timeout=10.0))
    yield watched
    await close_client(watched)


@pytest.fixture
def control(emulator: RunningEmulator) -> ControlClient:
    return emulator.control
