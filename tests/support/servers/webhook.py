"""The webhook application on a port of its own, and an emulator that delivers to it."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from application.events.receiver import Receiver
from domain.connections import Mode
from infrastructure.stripe.readers.webhooks import StripeWebhookReader
from interfaces.http_webhook.app import PATH, create_app
from tests.support.rooms.upkeep import Flows

SECRET: Final = "whsec_of_the_listening_tests"
ANY_AGE: Final = dt.timedelta(days=3_650)


@asynccontextmanager
async def listening(flows: Flows) -> AsyncIterator[None]:
    """The webhook application, and an endpoint at Stripe that leads to it.

    Signatures bear the machine's time, whatever the flows' clock shows: of their age nothing is
    made here.
    """
    reader = StripeWebhookReader(
        connect_secrets=[SECRET], platform_secrets=[], mode=Mode.TEST, tolerance=ANY_AGE
    )
    receiver = Receiver(reader, flows.stores.inbox, flows.clock, flows.arrived)
    runner = web.AppRunner(create_app(receiver), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    try:
        answer = await flows.sdk.raw_request_async(
            "post", "/v1/webhook_endpoints", url=url, enabled_events=["*"], connect=True
        )
        endpoint = json.loads(answer.body)["id"]
        await flows.emulator.control.choose_webhook_secret(endpoint, SECRET)
        yield
    finally:
        await runner.cleanup()
