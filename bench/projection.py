"""How fast a full inbox projects, on either store, with all that follows from the events.

    python -m bench.projection [--events 20000] [--store sqlite|mongo] [--mixed]

The inbox is filled first; then only the projector runs, from the first claim to an empty inbox. The
account is connected, so each payment is a billing event in the outbox too. `--mixed` has events of
four nouns (`bench/mixed.py`) instead of charges.
"""

import argparse
import asyncio
import datetime as dt
import time

import uvloop
from rich.console import Console

from application.mirror.nouns import CHARGES, CUSTOMERS, INVOICES, SUBSCRIPTIONS
from bench.events import SECRET, STRIPE_ACCOUNT, charge_event, signature
from bench.mixed import FACTS, KINDS, LATER, mixed_event
from bench.opening import settings
from bootstrap.containers.service import Container
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.connections import Connection, ConnectionKind, Mode
from infrastructure.clock import SystemClock
from infrastructure.stripe.readers.webhooks import StripeWebhookReader

WANTED = {"sqlite": 8_000, "mongo": 3_000}

_MIXED = (CHARGES, CUSTOMERS, SUBSCRIPTIONS, INVOICES)


async def measure(chosen: Settings, events: int, *, mixed: bool) -> float:
    """Events projected a second; of mixed ones, whole rounds."""
    clock = SystemClock()
    webhooks = StripeWebhookReader(platform_secrets=(), connect_secrets=(SECRET,), mode=Mode.TEST)
    async with opened(chosen) as container:
        day_ago = clock.now() - dt.timedelta(days=1)
        connected = Connection("bench", STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, day_ago)
        await container.stores.connections().put(connected)
        since = int(day_ago.timestamp())
        bodies = [
            mixed_event(n, since=since) if mixed else charge_event(n, created=since)
            for n in range(events)
        ]
        read = [webhooks.read(body, signature(body), clock.now()) for body in bodies]
        inbox = container.stores.inbox()
        for start in range(0, events, 500):
            await asyncio.gather(*(inbox.append(e) for e in read[start : start + 500]))
        projector = container.projector()
        started = time.perf_counter()
        while await projector.project_batch():
            pass
        seconds = time.perf_counter() - started
        await _check(container, events, mixed=mixed)
    return events / seconds


async def _check(container: Container, events: int, *, mixed: bool) -> None:
    """Ask that all has happened: each object has its row, each fact its billing event."""
    rounds = events // KINDS
    objects, facts = (rounds + LATER, rounds * FACTS) if mixed else (events, events)
    for noun in _MIXED if mixed else (CHARGES,):
        if await container.mirror().count(noun, STRIPE_ACCOUNT) != objects:
            raise RuntimeError(f"the mirror does not hold every {noun.name}")
    _, told = await container.stores.outbox().bounds()
    if told != facts:
        raise RuntimeError("the outbox does not hold every billing event")


def run(store: str, events: int, console: Console, *, mixed: bool = False) -> None:
    """Measure and print."""
    events = -(-events // KINDS) * KINDS
    with settings(store) as chosen:
        rate = uvloop.run(measure(chosen, events, mixed=mixed))
    wanted = "of four nouns" if mixed else f"wanted: {WANTED[store]:,}"
    console.print(f"{store}: {rate:,.0f} events a second projected ({wanted})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--store", choices=sorted(WANTED), default="sqlite")
    parser.add_argument("--mixed", action="store_true")
    arguments = parser.parse_args()
    run(arguments.store, arguments.events, Console(), mixed=arguments.mixed)
