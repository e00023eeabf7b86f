"""Deliveries at their worst: late by the emulator's clock, lost, in an older version."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe
from aiohttp import web

from sandbox.emulator.control_client import ControlClient, ControlError
from sandbox.emulator.core.messages import DeliveryChange, FaultSpec
from sandbox.emulator.running import LIVE_KEY, RunningEmulator

DAY = 86_400


class Receiver:
    """A webhook endpoint that keeps what it is sent; it refuses while `refuses`."""

    def __init__(self) -> None:
        self.url = ""
        self.refuses = False
        self.attempts = 0
        self.events: list[dict[str, Any]] = []
        self.reached = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.attempts += 1
        if self.refuses:
            return web.Response(status=500)
        self.events.append(json.loads(await request.read()))
        self.reached.set()
        return web.Response()

    def of(self, kind: str) -> dict[str, Any]:
        """The object of the last event of a type."""
        objects: list[dict[str, Any]] = [
            one["data"]["object"] for one in self.events if one["type"] == kind
        ]
        return objects[-1]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    runner = web.ServerRunner(web.Server(one.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield one
    finally:
        await runner.cleanup()


async def subscribe(client: stripe.StripeClient, receiver: Receiver, **more: Any) -> None:
    params: Any = {"url": receiver.url, "enabled_events": ["*"], **more}
    await client.v1.webhook_endpoints.create_async(params)


async def test_delays_follow_the_emulators_clock(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver)
    await control.change_delivery(DeliveryChange(delay_fraction=1.0, delay_seconds=7200))
    await client.v1.customers.create_async({})
    flushed = await control.flush()
    assert (flushed.done, flushed.state.delayed, receiver.events) == (True, 1, [])
    await control.advance_clock(7100)
    assert (await control.flush()).state.delayed == 1
    await control.advance_clock(200)
    flushed = await control.flush()
    assert (flushed.state.delayed, flushed.state.succeeded) == (0, 1)
    assert [event["type"] for event in receiver.events] == ["customer.created"]


async def test_a_short_delay_passes_by_itself(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver)
    await control.change_delivery(DeliveryChange(delay_fraction=1.0, delay_seconds=1))
    await client.v1.customers.create_async({})
    async with asyncio.timeout(10):
        await receiver.reached.wait()
    assert [event["type"] for event in receiver.events] == ["customer.created"]


async def test_retries_over_days_of_the_clock(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    receiver.refuses = True
    await subscribe(client, receiver)
    await control.change_delivery(
        DeliveryChange(
            retry_on_clock=True, first_retry_seconds=3600, max_retry_seconds=DAY, max_attempts=10
        )
    )
    made = await client.v1.customers.create_async({})
    for attempts in (1, 2, 3):
        flushed = await control.flush()
        assert (receiver.attempts, flushed.state.delayed) == (attempts, 1)
        await control.advance_clock(DAY)
    receiver.refuses = False
    await control.advance_clock(DAY)
    await control.flush()
    assert [event["data"]["object"]["id"] for event in receiver.events] == [made.id]
    assert (await client.v1.events.list_async({"delivery_success": False})).data == []


async def test_lost_deliveries_stay_undelivered(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver)
    await control.change_delivery(DeliveryChange(drop_fraction=0.5, seed=5))
    for _ in range(40):
        await client.v1.customers.create_async({})
    flushed = await control.flush()
    lost = flushed.state.dropped
    assert 5 < lost < 35
    assert len(receiver.events) == 40 - lost
    undelivered = await client.v1.events.list_async({"delivery_success": False, "limit": 100})
    assert len(undelivered.data) == lost


async def bought(client: stripe.StripeClient) -> stripe.Subscription:
    """A paid subscription, and a refund of its charge."""
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    price = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 900,
            "product_data": {"name": "Plan"},
            "recurring": {"interval": "month"},
        }
    )
    made = await client.v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": price.id, "quantity": 2}]}
    )
    charge = (await client.v1.charges.list_async()).data[0]
    await client.v1.refunds.create_async({"charge": charge.id, "amount": 100})
    return made


async def test_older_versions_have_older_shapes(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver)
    await control.change_delivery(DeliveryChange(older_fraction=1.0, older_version="2022-08-01"))
    made = await bought(client)
    assert (await control.flush()).done
    assert {event["api_version"] for event in receiver.events} == {"2022-08-01"}
    invoice = receiver.of("invoice.paid")
    assert (invoice["subscription"], invoice["paid"]) == (made.id, True)
    assert "parent" not in invoice
    charge = receiver.of("charge.refunded")
    assert charge["invoice"] == invoice["id"]
    assert invoice["charge"] == charge["id"]
    assert invoice["payment_intent"] == charge["payment_intent"]
    assert [refund["amount"] for refund in charge["refunds"]["data"]] == [100]
    line = invoice["lines"]["data"][0]
    assert (line["type"], line["price"]["unit_amount"]) == ("subscription", 900)
    subscription = receiver.of("customer.subscription.updated")
    item = made["items"].data[0]
    assert subscription["current_period_end"] == item.current_period_end
    assert (subscription["quantity"], subscription["plan"]["id"]) == (2, item.price.id)
    assert "current_period_end" not in subscription["items"]["data"][0]
    listed = await client.v1.events.list_async({"type": "invoice.paid"})
    assert listed.data[0].api_version == "2026-10-28.endive"
    assert "parent" in listed.data[0].data["object"]


async def test_an_endpoint_has_a_version_of_its_own(
    client: stripe.StripeClient, control: ControlClient, receiver: Receiver
) -> None:
    await subscribe(client, receiver, api_version="2024-06-20")
    await bought(client)
    assert (await control.flush()).done
    assert {event["api_version"] for event in receiver.events} == {"2024-06-20"}
    assert receiver.of("invoice.paid")["paid"] is True


@pytest.mark.parametrize("both", [True, False])
async def test_live_events_at_a_test_connect_endpoint(
    emulator: RunningEmulator, client: stripe.StripeClient, receiver: Receiver, both: bool
) -> None:
    account = await emulator.control.create_account()
    await emulator.control.change_delivery(DeliveryChange(both_modes=both))
    await subscribe(client, receiver, connect=True)
    async with emulator.sdk(LIVE_KEY) as live:
        await live.v1.customers.create_async({}, {"stripe_account": account})
    await client.v1.customers.create_async({}, {"stripe_account": account})
    assert (await emulator.control.flush()).done
    modes = sorted(event["livemode"] for event in receiver.events)
    assert modes == ([False, True] if both else [False])


async def test_fractions_out_of_bounds_are_refused(control: ControlClient) -> None:
    for change in (
        DeliveryChange(drop_fraction=1.1),
        DeliveryChange(delay_fraction=-0.1),
        DeliveryChange(older_fraction=2.0),
        DeliveryChange(delay_seconds=-1),
    ):
        with pytest.raises(ControlError):
            await control.change_delivery(change)


async def test_a_list_that_takes_its_time(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    stall = FaultSpec("stall", seconds=0.3, method="GET", route="/v1/invoices", count=None)
    await control.add_fault(stall)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await client.v1.invoices.list_async()
    assert loop.time() - before >= 0.3
    before = loop.time()
    await client.v1.charges.list_async()
    assert loop.time() - before < 0.3


async def test_events_take_type_or_types(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.events.list_async({"types": ["charge.succeeded"] * 21})
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.events.list_async({"type": "a.b", "types": ["c.d"]})
