"""Commands that ask Stripe find an emulator, where they are told of it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import emulator_in_process

ACCOUNTS: Final = ("acct_1Acme", "acct_2Acme", "acct_1032D82eZvKYlo2C")
START_SECONDS: Final = 20.0


@pytest.fixture(scope="module")
def stripe_url() -> Iterator[str]:
    """An emulator with a few accounts, on an event loop of its own."""
    loop, ended, urls = asyncio.new_event_loop(), asyncio.Event(), list[str]()
    listening = threading.Event()

    async def serve() -> None:
        async with emulator_in_process() as emulator:
            for account in ACCOUNTS:
                await emulator.control.create_account(AccountSpec(id=account))
            urls.append(emulator.url)
            listening.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert listening.wait(START_SECONDS)
    yield urls[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()
