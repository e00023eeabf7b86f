"""How fast a full inbox projects, on either store, with all that follows from the events.

    python -m bench.projection [--events 20000] [--store sqlite|mongo]

The inbox is filled first; then only the projector runs, from the first claim to an empty inbox. The
account is connected, so each payment is a billing event in the outbox too.
"""

import argparse
import asyncio
import datetime as dt
import time

import uvloop
from rich.console import Console

from application.mirror.nouns import CHARGES
from bench.events import SECRET, STRIPE_ACCOUNT, charge_event, signature
from bench.opening import settings
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.connections import Connection, ConnectionKind, Mode
from infrastructure.clock import SystemClock
from infrastructure.stripe.readers.webhooks import StripeWebhookReader

WANTED = {"sqlite": 8_000, "mongo": 3_000}


async def measure(chosen: Settings, events: int) -> float:
    """Events projected a second."""
    clock = SystemClock()
    webhooks = StripeWebhookReader(platform_secrets=(), connect_secrets=(SECRET,), mode=Mode.TEST)
    async with opened(chosen) as container:
        day_ago = clock.now() - dt.timedelta(days=1)
        connected = Connection("bench", STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, day_ago)
        await container.stores.connections().put(connected)
        bodies = [charge_event(n, created=int(day_ago.timestamp())) for n in range(events)]
        read = [webhooks.read(body, signature(body), clock.now()) for body in bodies]
        inbox = container.stores.inbox()
        for start in range(0, events, 500):
            await asyncio.gather(*(inbox.append(e) for e in read[start : start + 500]))
        projector = container.projector()
        started = time.perf_counter()
        while await projector.project_batch():
            pass
        seconds = time.perf_counter() - started
        if await container.mirror().count(CHARGES, STRIPE_ACCOUNT) != events:
            raise RuntimeError("the mirror does not hold every charge")
        _, told = await container.stores.outbox().bounds()
        if told != events:
            raise RuntimeError("the outbox does not hold every payment")
    return events / seconds


def run(store: str, events: int, console: Console) -> None:
    """Measure and print."""
    with settings(store) as chosen:
        rate = uvloop.run(measure(chosen, events))
    console.print(f"{store}: {rate:,.0f} events a second projected (wanted: {WANTED[store]:,})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--store", choices=sorted(WANTED), default="sqlite")
    arguments = parser.parse_args()
    run(arguments.store, arguments.events, Console())
