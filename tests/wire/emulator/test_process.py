"""The emulator as a process of its own."""

import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import RunningEmulator, emulator_process


async def test_it_starts_serves_and_ends() -> None:
    async with (
        emulator_process("--start", "1700000000", "--seed", "7", "--currency", "eur") as emulator,
        emulator.sdk() as client,
    ):
        made = await client.v1.customers.create_async({})
        assert made.created in range(1_700_000_000, 1_700_000_060)
        assert (await client.v1.accounts.retrieve_current_async()).default_currency == "eur"


async def test_a_reset_forgets_everything_but_the_platform(
    emulator: RunningEmulator, client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.create_account()
    await client.v1.customers.create_async({})
    await control.reset()
    assert (await client.v1.customers.list_async()).data == []
    assert (await control.health()).accounts == 1
    assert emulator.url.startswith("http://127.0.0.1:")
