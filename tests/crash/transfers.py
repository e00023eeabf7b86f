"""Lives of a service that does nothing but transfers, each a process that ends where it is told to.

    python -m tests.crash.transfers

As `nursery.py`: a fork each, lives as lines of JSON on standard input, told on standard output.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from application.background.tasks import Tasks
from application.jobs.outbox import Outbox
from application.mirror.writer import MirrorWriter
from application.processes.processes import Processes
from domain.jobs import Job
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.settings import PLATFORM_KEY
from tests.crash.forks import (
    LOG_METHODS,
    Counting,
    Passing,
    bring_up,
    end_leases,
    opened,
    settle,
)
from tests.crash.kill_points import KillPoint
from tests.support.rooms.transfers import Transfers, transfer


@dataclass(frozen=True, slots=True)
class Life:
    """One life: it begins a transfer a request id, with these terms, and then, where it `settles`,
    lets time pass until nothing is due. `place` is a SQLite file, or a MongoDB server and database.
    """

    place: tuple[str, ...]
    stripe: str
    requests: Mapping[str, str] = field(default_factory=dict)
    here: str = ""
    point: KillPoint | None = None
    settles: bool = False


class Jobs:
    """Entries of our own store: jobs, whose id is the entry's key."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def post(self, name: str, key: str) -> None:
        at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        await self._outbox.append([Job(key, f"transfer.{name}", "acme", at)])


async def live(life: Life) -> Mapping[str, int]:
    """One life, up to its end or the point of its death."""
    clock, killer = Passing(), Counting(life.point)
    settings = StripeSettings(
        PLATFORM_KEY, api_base=life.stripe, timeout_seconds=0.5, first_backoff_seconds=0.01, tries=2
    )
    api = StripeApi(settings, RateBudget(10_000), clock)
    async with opened(life.place) as stores:
        gateway, objects, jobs = StripeCustomers(api), StripeObjectReader(api), Jobs(stores.outbox)
        for method in LOG_METHODS:
            killer.watch_one(f"log.{method}", stores.process_log, method)
        for method in ("create", "update", "delete"):
            killer.watch_one(f"stripe.{method}", gateway, method)
        killer.watch_one("mirror.replace", stores.mirror, "replace")
        killer.watch_one("jobs.post", jobs, "post")
        service = Processes(
            stores.process_log, MirrorWriter(stores.mirror), objects, clock, Tasks(),
            asyncio.Event(),
        )  # fmt: skip
        service.register(Transfers(gateway, jobs))
        await end_leases(stores, clock)
        for request_id, terms in life.requests.items():
            record = transfer(clock.now(), terms.encode(), request_id, life.here)
            await service.advance((await service.start(record)).id)
        if life.settles:
            await settle(service, stores, clock)
        await api.close()
    return killer.calls


if __name__ == "__main__":
    bring_up(Life, live)
