"""A Stripe emulator for tests and bench: in its own process, or on their event loop."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.files import BASE
from sandbox.emulator.server import running
from sandbox.emulator.settings import PLATFORM_KEY, Settings
from sandbox.servers.children import die_with_parent

LIVE_KEY: Final = PLATFORM_KEY.replace("sk_test_", "sk_live_")
START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """Where an emulator listens, and its control."""

    url: str
    control: ControlClient

    @property
    def files_url(self) -> str:
        """The base address of files, whose host is another one at Stripe."""
        return f"{self.url}{BASE}"

    def client(
        self,
        key: str = PLATFORM_KEY,
        *,
        retries: int = 0,
        timeout_seconds: float = 10.0,
        http_client: stripe.HTTPClient | None = None,
    ) -> stripe.StripeClient:
        """The unmodified Stripe SDK, pointed here. Close it with `close_client`.

        http_client: what sends its requests, with a timeout of its own.
        """
        return stripe.StripeClient(
            key,
            http_client=http_client or stripe.AIOHTTPClient(timeout=timeout_seconds),
            max_network_retries=retries,
            base_addresses={
                "api": self.url,
                "connect": self.url,
                "files": self.files_url,
                "meter_events": self.url,
            },
        )

    @asynccontextmanager
    async def sdk(
        self, key: str = PLATFORM_KEY, *, retries: int = 0, timeout_seconds: float = 10.0
    ) -> AsyncIterator[stripe.StripeClient]:
        """The same, closed at the end."""
        client = self.client(key, retries=retries, timeout_seconds=timeout_seconds)
        try:
            yield client
        finally:
            await close_client(client)


async def close_client(client: stripe.StripeClient) -> None:
    """Close the connections of an SDK client."""
    http_client: Any = client._requestor._get_http_client()  # noqa: SLF001 - it is not told
    await http_client.close_async()


@asynccontextmanager
async def emulator_in_process(settings: Settings | None = None) -> AsyncIterator[RunningEmulator]:
    """An emulator on the running event loop: the fastest to start, and debuggable."""
    async with running(settings or Settings()) as url, ControlClient(url) as control:
        yield RunningEmulator(url, control)


@asynccontextmanager
async def emulator_process(*arguments: str) -> AsyncIterator[RunningEmulator]:
    """An emulator in a process of its own, started with these arguments, ended by SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.emulator", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("the emulator has no output")
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        url = json.loads(line)["url"]
        async with ControlClient(url) as control:
            yield RunningEmulator(url, control)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), START_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"the emulator ended with {process.returncode}")
