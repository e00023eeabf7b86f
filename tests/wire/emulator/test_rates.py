"""The rate limit: off until ordered, an account and mode apart."""

import asyncio

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient, ControlError
from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.rates import Rates
from sandbox.emulator.core.values import Scope
from sandbox.emulator.running import LIVE_KEY, RunningEmulator


def test_a_second_slides() -> None:
    now = 0.0
    rates, scope = Rates(lambda: now), Scope("acct_1", livemode=False)
    rates.limit(2)
    for instant, passes in ((0.0, True), (0.4, True), (0.9, False), (1.0, True), (1.3, False)):
        now = instant
        if passes:
            rates.check(scope)
            continue
        with pytest.raises(ApiError) as refused:
            rates.check(scope)
        assert (refused.value.status, refused.value.code) == (429, "rate_limit")
    now = 1.5
    rates.check(scope)


async def test_an_account_and_mode_has_its_own_allowance(
    emulator: RunningEmulator, client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    await control.limit_rate(25)

    async def tries(sdk: stripe.StripeClient, count: int, on: str | None = None) -> int:
        options: stripe.RequestOptions = {"stripe_account": on} if on else {}
        calls = (sdk.v1.customers.list_async({"limit": 1}, options) for _ in range(count))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return sum(isinstance(answer, stripe.RateLimitError) for answer in answers)

    assert await tries(client, 40) >= 1
    assert await tries(client, 5, account) == 0
    async with emulator.sdk(LIVE_KEY) as live:
        assert await tries(live, 5) == 0
    await control.limit_rate(None)
    assert await tries(client, 40) == 0
    with pytest.raises(ControlError):
        await control.limit_rate(0)
