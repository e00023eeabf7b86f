"""Idempotency keys: replays, refusals, expiry."""

import asyncio

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator


async def count(client: stripe.StripeClient) -> int:
    return len((await client.v1.customers.list_async({"limit": 100})).data)


async def test_a_repeat_has_the_first_answer(client: stripe.StripeClient) -> None:
    first = await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    again = await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    assert again.id == first.id
    assert again.last_response is not None
    assert first.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert await count(client) == 1


async def test_other_parameters_or_another_endpoint_are_refused(
    client: stripe.StripeClient,
) -> None:
    made = await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError) as refused:
        await client.v1.customers.create_async({"name": "B"}, {"idempotency_key": "k"})
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.customers.update_async(made.id, {"name": "A"}, {"idempotency_key": "k"})


async def test_keys_belong_to_an_account(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    first = await client.v1.customers.create_async({}, {"idempotency_key": "k"})
    other = await client.v1.customers.create_async(
        {}, {"idempotency_key": "k", "stripe_account": account}
    )
    assert other.id != first.id


async def test_a_key_expires_after_a_day(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.customers.create_async({}, {"idempotency_key": "k"})
    await control.advance_clock(86_400)
    await client.v1.customers.create_async({"name": "B"}, {"idempotency_key": "k"})
    assert await count(client) == 2


async def test_declines_are_replayed(client: stripe.StripeClient) -> None:
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await client.v1.charges.create_async(
                {"amount": 500, "currency": "usd", "source": "tok_chargeDeclined"},
                {"idempotency_key": "k"},
            )
    assert len((await client.v1.charges.list_async()).data) == 1


async def test_a_refusal_before_execution_leaves_the_key_free(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.create_async({"email": "x"}, {"idempotency_key": "k"})
    await client.v1.customers.create_async({"email": "x@y.zz"}, {"idempotency_key": "k"})
    assert await count(client) == 1


async def test_a_500_is_replayed_and_a_429_is_not(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.add_fault(FaultSpec("fail", status=500))
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await client.v1.customers.create_async({}, {"idempotency_key": "k500"})
    await control.add_fault(FaultSpec("fail", status=429))
    with pytest.raises(stripe.RateLimitError):
        await client.v1.customers.create_async({}, {"idempotency_key": "k429"})
    await client.v1.customers.create_async({}, {"idempotency_key": "k429"})
    assert await count(client) == 1


async def test_a_key_in_use_is_409(emulator: RunningEmulator, client: stripe.StripeClient) -> None:
    await emulator.control.add_fault(FaultSpec("stall", seconds=30.0))
    slow = asyncio.create_task(
        client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    )
    async with asyncio.timeout(5):
        while await emulator.control.faults():
            continue
        with pytest.raises(stripe.APIError) as refused:
            await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    assert refused.value.http_status == 409
    assert refused.value.error is not None
    assert refused.value.error.code == "idempotency_key_in_use"
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
