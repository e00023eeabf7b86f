"""Lives of a service that does nothing but transfers, each a process that ends where it is told to.

    python -m tests.crash.transfers

As `nursery.py`: a fork each, lives as lines of JSON on standard input, told on standard output.
"""

import asyncio
import datetime as dt
import gc
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.background.tasks import Tasks
from application.jobs.outbox import Outbox
from application.mirror.writer import MirrorWriter
from application.processes.processes import Processes
from domain.jobs import Job
from infrastructure.sqlite.takeover import SqliteTakeover
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.servers.children import die_with_parent
from tests.crash.kill_points import Killer, KillPoint
from tests.crash.nursery import Ahead
from tests.support.rooms.processes import carried_on
from tests.support.rooms.transfers import Transfers, transfer
from tests.support.servers.stores import Stores, mongo_stores, sqlite_stores

_ROUNDS: Final = 60
"""How often time is let pass at most, until nothing is due any more."""

_METHODS: Final = ("begin", "take", "write", "release")


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


@dataclass(frozen=True, slots=True)
class News:
    """What became of a life: how it ended, and how often each step took place."""

    ended: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)


class Passing(Clock):
    """The machine's clock, ahead of it by what was let pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    @override
    def now(self) -> dt.datetime:
        return Ahead(self.ahead).now()


class Jobs:
    """Entries of our own store: jobs, whose id is the entry's key."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def post(self, name: str, key: str) -> None:
        at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        await self._outbox.append([Job(key, f"transfer.{name}", "acme", at)])


class Counting(Killer):
    """Also tells how often each step took place."""

    def __init__(self, point: KillPoint | None) -> None:
        super().__init__(point, lambda _: None)
        self.calls: Counter[str] = Counter()

    @override
    def _before(self, step: str) -> None:
        self.calls[step] += 1
        super()._before(step)


@asynccontextmanager
async def opened(place: Sequence[str]) -> AsyncIterator[Stores]:
    """A store, which is prepared already where it is on a server."""
    if len(place) == 1:
        async with sqlite_stores(Path(place[0])) as stores:
            yield stores
    else:
        async with mongo_stores(place[0], place[1], connect_only=True) as stores:
            yield stores


async def live(life: Life) -> Mapping[str, int]:
    """One life, up to its end or the point of its death."""
    clock, killer = Passing(), Counting(life.point)
    settings = StripeSettings(
        PLATFORM_KEY, api_base=life.stripe, timeout_seconds=0.5, first_backoff_seconds=0.01, tries=2
    )
    api = StripeApi(settings, RateBudget(10_000), clock)
    async with opened(life.place) as stores:
        gateway, objects, jobs = StripeCustomers(api), StripeObjectReader(api), Jobs(stores.outbox)
        for method in _METHODS:
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
        if stores.kind == "sqlite":
            database = stores.process_log._database  # type: ignore[attr-defined]
            await SqliteTakeover(database).end_leases(now=clock.now())
        for request_id, terms in life.requests.items():
            record = transfer(clock.now(), terms.encode(), request_id, life.here)
            await service.advance((await service.start(record)).id)
        if life.settles:
            await _settle(service, stores, clock)
        await api.close()
    return killer.calls


async def _settle(service: Processes, stores: Stores, clock: Passing) -> None:
    for _ in range(_ROUNDS):
        while await carried_on(service):
            pass
        clock.ahead += 600.0
        later = clock.now() + dt.timedelta(days=30)
        if not await stores.process_log.find_due(now=later, limit=1):
            return
    raise RuntimeError("something is due for ever")


def main() -> None:
    """Bring up one life after another until standard input ends."""
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        life = msgspec.json.decode(line, type=Life)
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            _end(life, into)
        os.close(into)
        with os.fdopen(out, "rb") as told:
            calls = told.read()
        _, status = os.waitpid(child, 0)
        news = News(os.waitstatus_to_exitcode(status), msgspec.json.decode(calls) if calls else {})
        os.write(1, msgspec.json.encode(news) + b"\n")


def _end(life: Life, into: int) -> None:
    code = 1
    try:
        die_with_parent()
        os.write(into, msgspec.json.encode(asyncio.run(live(life))))
        code = 0
    except Exception:  # noqa: BLE001 - it ends here, and with it what could tell
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test run, which ends us
    main()
