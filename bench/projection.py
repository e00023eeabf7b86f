"""How fast a full inbox projects, on either store.

    python -m bench.projection [--events 20000] [--store sqlite|mongo]

The inbox is filled first; then only the projector runs, from the first claim to an empty inbox.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from rich.console import Console

from application.mirroring import Mirroring
from application.platform import Platform
from application.ports.inbox import Inbox
from application.ports.mirror import CHARGES, Mirror
from application.projector import Projector
from bench.events import SECRET, STRIPE_ACCOUNT, charge_event, signature
from domain.connections import Mode
from infrastructure.clock import SystemClock
from infrastructure.mongo.database import Database as MongoDatabase
from infrastructure.mongo.deployment import MongoDeployment
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.mirror import MongoMirror
from infrastructure.sqlite.database import Database as SqliteDatabase
from infrastructure.sqlite.deployment import SqliteDeployment
from infrastructure.sqlite.inbox import SqliteInbox
from infrastructure.sqlite.mirror import SqliteMirror
from infrastructure.stripe.accounts import StripeConnectedAccounts
from infrastructure.stripe.budget import RateBudget
from infrastructure.stripe.client import StripeApi, StripeSettings
from infrastructure.stripe.events import StripeEventReader
from infrastructure.stripe.objects import StripeObjectReader
from infrastructure.stripe.webhooks import StripeWebhookReader

WANTED = {"sqlite": 8_000, "mongo": 3_000}
Ports = tuple[Inbox, Mirror, SqliteDeployment | MongoDeployment]


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Ports]:
    database = SqliteDatabase(folder / "billing.db")
    await database.start()
    yield SqliteInbox(database), SqliteMirror(database), SqliteDeployment(database)
    await database.close()


@asynccontextmanager
async def _mongo(_: Path) -> AsyncIterator[Ports]:
    from tests.support.mongod import running_mongod  # the server comes from PyPI, for tests only

    with running_mongod(on_disk=True) as url:
        database = MongoDatabase(url, "bench")
        await database.start()
        yield MongoInbox(database), MongoMirror(database), MongoDeployment(database)
        await database.close()


STORES = {"sqlite": _sqlite, "mongo": _mongo}


async def measure(store: str, events: int) -> float:
    """Events projected a second."""
    (Path.cwd() / "build").mkdir(exist_ok=True)
    clock = SystemClock()
    webhooks = StripeWebhookReader(platform_secrets=(), connect_secrets=(SECRET,), mode=Mode.TEST)
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as folder:
        async with STORES[store](Path(folder)) as (inbox, mirror, deployment):
            bodies = [charge_event(number) for number in range(events)]
            read = [webhooks.read(body, signature(body), clock.now()) for body in bodies]
            for start in range(0, events, 500):
                await asyncio.gather(*(inbox.append(e) for e in read[start : start + 500]))
            api = StripeApi(StripeSettings("sk_test_bench"), RateBudget(25), clock)
            platform = Platform(deployment, StripeConnectedAccounts(api), Mode.TEST)
            projector = Projector(
                inbox, Mirroring(mirror), StripeEventReader(), StripeObjectReader(api), platform,
                clock, asyncio.Event(), "bench",
            )  # fmt: skip
            started = time.perf_counter()
            while await projector.project_batch():
                pass
            seconds = time.perf_counter() - started
            if await mirror.count(CHARGES, STRIPE_ACCOUNT) != events:
                raise RuntimeError("the mirror does not hold every charge")
            await api.close()
    return events / seconds


def run(store: str, events: int, console: Console) -> None:
    """Measure and print."""
    rate = uvloop.run(measure(store, events))
    console.print(f"{store}: {rate:,.0f} events a second projected (wanted: {WANTED[store]:,})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--store", choices=sorted(STORES), default="sqlite")
    arguments = parser.parse_args()
    run(arguments.store, arguments.events, Console())
