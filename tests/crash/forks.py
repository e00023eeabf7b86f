"""Lives of a service that does nothing but carry processes on, each ending where it is told to.

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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.processes.processes import Processes
from infrastructure.sqlite.takeover import SqliteTakeover
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.servers.children import die_with_parent
from tests.crash.kill_points import Killer, KillPoint
from tests.crash.nursery import Ahead
from tests.support.rooms.processes import carried_on
from tests.support.servers.stores import Stores, mongo_stores, sqlite_stores

L = TypeVar("L")

LOG_METHODS: Final = ("begin", "take", "write", "release")

_ROUNDS: Final = 60
"""How often time is let pass at most, until nothing is due any more."""


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


class Counting(Killer):
    """Also tells how often each step took place."""

    def __init__(self, point: KillPoint | None) -> None:
        super().__init__(point, lambda _: None)
        self.calls: Counter[str] = Counter()

    @override
    def _before(self, step: str) -> None:
        self.calls[step] += 1
        super()._before(step)


def stripe_of(url: str, platform: str, clock: Clock) -> StripeApi:
    """The emulator, for who has little patience with it, and knows the platform's own account."""
    settings = StripeSettings(
        PLATFORM_KEY, api_base=url, timeout_seconds=0.5, first_backoff_seconds=0.01, tries=2
    )
    api = StripeApi(settings, RateBudget(10_000), clock)
    api.know_platform_account(platform)
    return api


@asynccontextmanager
async def opened(place: Sequence[str]) -> AsyncIterator[Stores]:
    """A store, which is prepared already where it is on a server."""
    if len(place) == 1:
        async with sqlite_stores(Path(place[0])) as stores:
            yield stores
    else:
        async with mongo_stores(place[0], place[1], connect_only=True) as stores:
            yield stores


async def settle(service: Processes, stores: Stores, clock: Passing) -> None:
    """Let time pass until nothing is due any more."""
    for _ in range(_ROUNDS):
        while await carried_on(service):
            pass
        clock.ahead += 600.0
        later = clock.now() + dt.timedelta(days=30)
        if not await stores.process_log.find_due(now=later, limit=1):
            return
    raise RuntimeError("something is due for ever")


async def end_leases(stores: Stores, clock: Clock) -> None:
    """What a process does as it starts on SQLite: nobody else holds anything."""
    if stores.kind == "sqlite":
        database = stores.process_log._database  # type: ignore[attr-defined]
        await SqliteTakeover(database).end_leases(now=clock.now())


def bring_up(life_type: type[L], run: Callable[[L], Awaitable[Mapping[str, int]]]) -> None:
    """Bring up one life after another until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test run, which ends us
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        life = msgspec.json.decode(line, type=life_type)
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            _end(run, life, into)
        os.close(into)
        with os.fdopen(out, "rb") as told:
            calls = told.read()
        _, status = os.waitpid(child, 0)
        news = News(os.waitstatus_to_exitcode(status), msgspec.json.decode(calls) if calls else {})
        os.write(1, msgspec.json.encode(news) + b"\n")


def _end(run: Callable[[L], Awaitable[Mapping[str, int]]], life: L, into: int) -> None:
    async def lived() -> Mapping[str, int]:
        return await run(life)

    code = 1
    try:
        die_with_parent()
        os.write(into, msgspec.json.encode(asyncio.run(lived())))
        code = 0
    except Exception:  # noqa: BLE001 - it ends here, and with it what could tell
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
