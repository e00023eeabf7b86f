"""Genuine events in envelopes of other times: taken, kept, and followed as far as they can be."""

import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from application.events.event_log import EventFilter
from application.events.inbox import EventState
from application.events.receiver import Receiver
from application.mirror.nouns import CHARGES, CUSTOMERS
from domain.connections import Mode
from infrastructure.stripe.readers.webhooks import StripeWebhookReader
from interfaces.http_webhook.app import PATH, create_app
from tests.support.rooms.upkeep import Flows

CONNECT, PLATFORM = "whsec_connect", "whsec_platform"
CREATED: Final = 1_795_890_000


async def deliver(flows: Flows, body: bytes, secret: str = CONNECT) -> tuple[int, str]:
    """Send a signed body to the webhook: the status, and what it says."""
    reader = StripeWebhookReader(
        connect_secrets=[CONNECT], platform_secrets=[PLATFORM], mode=Mode.TEST
    )
    app = create_app(Receiver(reader, flows.stores.inbox, flows.clock, flows.arrived))
    at = int(flows.clock.now().timestamp())
    signature = hmac.digest(secret.encode(), b"%d.%s" % (at, body), "sha256").hex()
    async with TestClient(TestServer(app)) as client:
        answer = await client.post(
            PATH, data=body, headers={"Stripe-Signature": f"t={at},v1={signature}"}
        )
        return answer.status, await answer.text()


def event_of(about: Mapping[str, Any], **fields: Any) -> bytes:
    """A delivery about an object; `fields` stand in the envelope."""
    envelope = {
        "id": "evt_case", "object": "event", "api_version": "2012-11-07", "created": CREATED,
        "livemode": False, "pending_webhooks": 1, "request": None, "data": {"object": about},
    }  # fmt: skip
    return json.dumps({**envelope, **fields}).encode()


async def became(flows: Flows, event_id: str = "evt_case") -> tuple[EventState, str, bytes]:
    """Where an event stands, why, and what was stored."""
    found = await flows.stores.inbox.get(event_id)
    assert found is not None
    return found[0].state, found[0].decision, found[0].payload


async def test_a_connect_event_of_before_2017_05_25_is_a_hint(flows: Flows) -> None:
    made = await flows.post("/v1/customers", name="now")
    body = event_of(
        {**made, "name": "then"}, type="customer.updated", user_id=flows.account,
        api_version="2016-07-06",
    )  # fmt: skip
    assert (await deliver(flows, body))[0] == 200
    await flows.project()
    state, decision, payload = await became(flows)
    assert (state, payload) == (EventState.PROCESSED, body)
    assert decision.startswith("re-read (payload is not used): applied")
    assert (await flows.mirrored())[CUSTOMERS.name][made["id"]].name == "now"


@pytest.mark.parametrize("secret", [CONNECT, PLATFORM])
async def test_a_thin_event_is_kept_and_nothing_is_read(flows: Flows, secret: str) -> None:
    made = await flows.post("/v1/customers", name="now")
    body = json.dumps(
        {
            "id": "evt_case", "object": "v2.core.event", "type": "v1.customer.updated",
            "livemode": False, "created": "2026-11-28T19:00:00.123Z", "context": flows.account,
            "related_object": {"id": made["id"], "type": "customer", "url": "/v1/customers/x"},
        }
    ).encode()  # fmt: skip
    assert (await deliver(flows, body, secret))[0] == 200
    await flows.project()
    state, decision, payload = await became(flows)
    assert (state, payload) == (EventState.IGNORED, body)
    assert decision.startswith("a thin event")
    assert (await flows.mirrored())[CUSTOMERS.name] == {}


async def test_the_charge_of_a_dispute_without_id_is_read(flows: Flows) -> None:
    charge = await flows.post("/v1/charges", amount=900, currency="usd", source="tok_visa")
    dispute = {"object": "dispute", "charge": charge["id"], "amount": 900, "currency": "usd"}
    body = event_of(dispute, type="charge.dispute.created", account=flows.account)
    assert (await deliver(flows, body))[0] == 200
    projector = flows.projector(effects=flows.effects())
    assert await projector.project_batch() == 1
    state, decision, _ = await became(flows)
    assert (state, decision.partition(":")[0]) == (
        EventState.PROCESSED, "re-read (payload is not used)",
    )  # fmt: skip
    assert charge["id"] in (await flows.mirrored())[CHARGES.name]


async def test_what_is_not_understood_is_a_dead_letter_at_once(flows: Flows) -> None:
    customer = {"id": "cus_1", "object": "customer"}
    odd = event_of(customer, type="customer.updated", account=flows.account, livemode="no")
    for body in (odd, odd, b"no event", b"no event"):
        assert (await deliver(flows, body))[0] == 200
    assert await flows.projector().project_batch() == 0
    dead = await flows.stores.event_log.list(
        EventFilter(state=EventState.DEAD), after=None, limit=10
    )
    assert {one.error for one in dead} == {
        "livemode: is missing or not of its type",
        "body: must be JSON",
    }
    assert (await became(flows))[2] == odd


async def test_swapped_secrets_are_refused_until_the_settings_are_mended(flows: Flows) -> None:
    body = event_of({"object": "customer"}, type="customer.updated", account=flows.account)
    status, told = await deliver(flows, body, PLATFORM)
    assert status == 400
    assert "BILLING_WEBHOOK_SECRETS_CONNECT" in told
    assert "BILLING_WEBHOOK_SECRETS_PLATFORM" in told
    assert await flows.stores.inbox.get("evt_case") is None
