"""Deliveries: signed, scoped, retried, repeated, shuffled, held back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
from aiohttp import web

from sandbox.emulator.control_client import ControlClient, ControlError
from sandbox.emulator.core.messages import DeliveryChange, EventSpec
from sandbox.emulator.running import LIVE_KEY, RunningEmulator


@dataclass
class Receiver:
    """A webhook endpoint that keeps what it is sent; `failures` first answers are 500."""

    url: str = ""
    failures: int = 0
    received: list[tuple[dict[str, Any], bytes, str]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if self.failures > 0:
            self.failures -= 1
            return web.Response(status=500)
        self.received.append((json.loads(body), body, request.headers["Stripe-Signature"]))
        return web.Response()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event, _, _ in self.received]


@asynccontextmanager
async def receiving(failures: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(failures=failures)
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def subscribe(
    client: stripe.StripeClient, receiver: Receiver, *types: Any, connect: bool = False
) -> stripe.WebhookEndpoint:
    return await client.v1.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": list(types) or ["*"], "connect": connect}
    )


async def test_events_arrive_signed(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await control.set_clock(1_600_000_000)
    endpoint = await subscribe(client, receiver)
    assert endpoint.secret is not None
    assert endpoint.secret.startswith("whsec_")
    made = await client.v1.customers.create_async({"name": "Zoë"}, {"idempotency_key": "k"})
    assert (await control.flush()).done
    event, body, header = receiver.received[0]
    assert stripe.WebhookSignature.verify_header(body, header, endpoint.secret, 300)
    assert (event["type"], event["data"]["object"]["id"]) == ("customer.created", made.id)
    assert event["created"] == made.created
    assert event["api_version"] == "2026-10-28.endive"
    assert event["request"]["idempotency_key"] == "k"
    assert "account" not in event
    assert "secret" not in await client.v1.webhook_endpoints.retrieve_async(endpoint.id)


async def test_connect_endpoints_hear_connected_accounts_only(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    async with receiving() as own, receiving() as connect:
        await subscribe(client, own)
        await subscribe(client, connect, connect=True)
        await client.v1.customers.create_async({"name": "own"})
        await client.v1.customers.create_async({"name": "theirs"}, {"stripe_account": account})
        assert (await control.flush()).done
        assert [event["data"]["object"]["name"] for event, _, _ in own.received] == ["own"]
        assert [event["account"] for event, _, _ in connect.received] == [account]
        await control.deauthorize(account)
        assert (await control.flush()).done
        assert "account.application.deauthorized" in connect.types


async def test_a_live_connect_endpoint_hears_both_modes(
    emulator: RunningEmulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    account = await emulator.control.create_account()
    async with emulator.sdk(LIVE_KEY) as live:
        await subscribe(live, receiver, connect=True)
        await live.v1.customers.create_async({}, {"stripe_account": account})
    await client.v1.customers.create_async({}, {"stripe_account": account})
    assert (await emulator.control.flush()).done
    assert sorted(event["livemode"] for event, _, _ in receiver.received) == [False, True]


async def test_only_enabled_types_and_enabled_endpoints(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    endpoint = await subscribe(client, receiver, "customer.deleted")
    made = await client.v1.customers.create_async({})
    await client.v1.customers.delete_async(made.id)
    assert (await control.flush()).done
    await client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    other = await client.v1.customers.create_async({})
    await client.v1.customers.delete_async(other.id)
    assert (await control.flush()).done
    assert receiver.types == ["customer.deleted"]
    await client.v1.webhook_endpoints.delete_async(endpoint.id)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.webhook_endpoints.retrieve_async(endpoint.id)


async def test_failures_are_retried_and_shown_until_they_succeed(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    async with receiving(failures=2) as receiver:
        await control.change_delivery(DeliveryChange(paused=True, first_retry_seconds=0.01))
        await subscribe(client, receiver)
        await client.v1.customers.create_async({})
        undelivered = await client.v1.events.list_async({"delivery_success": False})
        assert [event.pending_webhooks for event in undelivered.data] == [1]
        flushed = await control.flush()
        assert flushed.done
        assert (flushed.state.failed_attempts, flushed.state.succeeded) == (2, 1)
        assert receiver.types == ["customer.created"]
        assert (await client.v1.events.list_async({"delivery_success": False})).data == []
        delivered = await client.v1.events.list_async({"delivery_success": True})
        assert [event.pending_webhooks for event in delivered.data] == [0]


async def test_delivery_is_given_up_at_last(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    async with receiving(failures=100) as receiver:
        await control.change_delivery(DeliveryChange(max_attempts=3, first_retry_seconds=0.001))
        await subscribe(client, receiver)
        await client.v1.customers.create_async({})
        flushed = await control.flush()
        assert (flushed.state.failed_attempts, flushed.state.gave_up) == (3, 1)
        undelivered = await client.v1.events.list_async({"delivery_success": False})
        assert len(undelivered.data) == 1


async def test_duplicates(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await control.change_delivery(DeliveryChange(duplicate_fraction=1.0))
    await subscribe(client, receiver)
    await client.v1.customers.create_async({})
    flushed = await control.flush()
    assert flushed.state.duplicates == 1
    assert len({event["id"] for event, _, _ in receiver.received}) == 1
    assert len(receiver.received) == 2


@pytest.mark.parametrize("window", [1, 10])
async def test_a_backlog_flushes_in_order_or_shuffled(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver, window: int
) -> None:
    await control.change_delivery(
        DeliveryChange(paused=True, reorder_window=window, concurrency=1, seed=3)
    )
    await subscribe(client, receiver)
    made = [(await client.v1.customers.create_async({})).id for _ in range(30)]
    assert receiver.received == []
    assert (await control.delivery()).queued == 30
    assert (await control.flush()).done
    arrived = [event["data"]["object"]["id"] for event, _, _ in receiver.received]
    assert sorted(arrived) == sorted(made)
    assert (arrived == made) is (window == 1)


async def test_an_unreachable_endpoint_does_not_hold_requests_up(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:1/none", "enabled_events": ["*"]}
    )
    async with asyncio.timeout(5):
        await client.v1.customers.create_async({})
    assert not (await control.flush(timeout_seconds=0.05)).done


async def test_events_of_unknown_types_can_be_emitted(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver)
    await control.emit(EventSpec("radar.surprise", {"id": "rs_1", "object": "surprise"}))
    assert (await control.flush()).done
    assert receiver.types == ["radar.surprise"]


async def test_switches_out_of_bounds_are_refused(control: ControlClient) -> None:
    for change in (
        DeliveryChange(duplicate_fraction=1.5),
        DeliveryChange(reorder_window=0),
        DeliveryChange(concurrency=0),
    ):
        with pytest.raises(ControlError):
            await control.change_delivery(change)
