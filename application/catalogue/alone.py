"""One change at a time of what must not be changed twice at once, in whichever process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from application.background.leases import Leases, pause
from application.mutations.steps import Steps
from domain.errors import RateLimited, Reason

WAIT_SECONDS: Final = 10.0
"""How long a change waits for another one of the same object."""


@asynccontextmanager
async def alone(leases: Leases, steps: Steps, name: str) -> AsyncIterator[None]:
    """Have what the name stands for to oneself, within the Stripe account of a mutation.

    The mutation that was cut off with a lease has it again when it goes on. RateLimited
    (OVERLOADED) where another one keeps it for long.
    """
    owner, tries = steps.tag(name), 0
    loop = asyncio.get_running_loop()
    ends = loop.time() + WAIT_SECONDS
    while not await leases.take(steps.stripe_account, name, owner):
        if loop.time() >= ends:
            words = "another change of the same object is under way"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=1)
        await pause(tries)
        tries += 1
    try:
        yield
    finally:
        await asyncio.shield(leases.release(steps.stripe_account, name, owner))
