"""Faults on order, as the SDK meets them."""

import aiohttp
import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator


async def count(client: stripe.StripeClient) -> int:
    return len((await client.v1.customers.list_async({"limit": 100})).data)


async def test_a_429_names_its_wait(client: stripe.StripeClient, control: ControlClient) -> None:
    await control.add_fault(FaultSpec("fail", status=429, retry_after=7, count=2))
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError) as refused:
            await client.v1.customers.list_async()
        assert refused.value.headers is not None
        assert refused.value.headers["Retry-After"] == "7"
    assert await count(client) == 0


async def test_a_dropped_connection_before_the_work(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("drop_before", method="POST"))
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.customers.create_async({})
    assert await count(client) == 0


async def test_a_lost_answer_and_the_sdks_retry(
    emulator: RunningEmulator, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("drop_after", route="/v1/customers", method="POST"))
    async with emulator.sdk(retries=2) as client:
        made = await client.v1.customers.create_async({"name": "A"})
        assert made.last_response is not None
        assert made.last_response.headers["Idempotent-Replayed"] == "true"
        assert await count(client) == 1


async def test_an_answer_cut_in_the_middle(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("cut", noun="customer", method="POST"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.v1.customers.create_async({})
    assert await count(client) == 1


async def test_a_stall_outlasts_the_callers_patience(
    emulator: RunningEmulator, client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("stall", seconds=20.0, method="POST"))
    async with emulator.sdk(timeout_seconds=0.2) as hasty:
        with pytest.raises(stripe.APIConnectionError):
            await hasty.v1.customers.create_async({})
    assert await count(client) == 0


async def test_a_failure_after_the_work(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("fail", status=500, after_work=True))
    with pytest.raises(stripe.APIError):
        await client.v1.customers.create_async({})
    assert await count(client) == 1


async def test_faults_choose_account_route_and_chance(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    await control.add_fault(FaultSpec("fail", status=503, account=account, count=None))
    await control.add_fault(FaultSpec("fail", status=503, route="/v1/charges/{id}", count=None))
    await control.add_fault(FaultSpec("fail", status=503, probability=0.0, count=None))
    assert await count(client) == 0
    with pytest.raises(stripe.APIError):
        await client.v1.customers.list_async(options={"stripe_account": account})
    assert len(await control.faults()) == 3
    await control.clear_faults()
    assert await control.faults() == []


async def test_requests_are_counted_by_route(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await client.v1.customers.create_async({})
    await client.v1.customers.retrieve_async(made.id)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.retrieve_async("cus_none")
    stats = await control.stats()
    assert stats.routes == {"POST /v1/customers": 1, "GET /v1/customers/{id}": 2}
    assert (stats.requests, stats.statuses) == (3, {"200": 2, "404": 1})
