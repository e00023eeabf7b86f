"""Processes that count a noun which only tests know, and remember its figures, on either store."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from application.analytics.metrics import Metric, Sum, Unit
from application.analytics.ports import Analytics, FigureRow, TopRows
from application.analytics.remembered_port import RememberedFigures
from application.analytics.remembering import RememberedAnalytics
from application.mirror.ports import Column, Counted, Mirror, Noun
from domain.mirror import Facet, Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from infrastructure.mongo.analytics.engine import MongoAnalytics
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.day_marks import MARKS, DayMarks
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.mongo.remembered_figures import MongoRememberedFigures
from infrastructure.sqlite.analytics.engine import SqliteAnalytics
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.sqlite.remembered_figures import SqliteRememberedFigures
from infrastructure.stripe.readers.befores import read_before
from tests.support.fakes.stores import FakeClock


@dataclass(frozen=True, slots=True)
class Sale:
    """An object that counts on two dates: its own, and one that is derived."""

    id: str
    created: dt.datetime
    status: str
    amount: Money
    note: str = ""


SALES: Final = Noun(
    name="sale",
    type=Sale,
    collection="billing.sales",
    columns=(
        Column("created", "object.created"),
        Column("status", "object.status"),
        Column("currency", "object.amount.currency"),
        Column("amount", "object.amount.amount"),
        Column("settled_at", "derived.settlement.at"),
        Column("note", "object.note"),
    ),
    indexes=(
        ("created",),
        ("status", "created", "currency", "amount"),
        ("status", "settled_at", "currency", "amount"),
        ("status", "created", "currency", "note"),
    ),
    counted=Counted(dates=("created", "settled_at"), columns=("status", "currency", "amount")),
)

SOLD: Final = Metric(
    name="sold",
    doc="What was sold.",
    unit=Unit.AMOUNT,
    noun=SALES,
    index=("status", "created", "currency", "amount"),
    date="created",
    where={"status": ("paid", "part")},
    by=("status",),
    sums=(Sum("amount", ("amount",)),),
)
SETTLED_SALES: Final = Metric(
    name="settled_sales",
    doc="How many sales were settled.",
    unit=Unit.COUNT,
    noun=SALES,
    index=("status", "settled_at", "currency", "amount"),
    date="settled_at",
    where={"status": ("paid",)},
)

MINUTES: Final = dt.timedelta(minutes=2)
"""More than what is read under must be left alone for."""

_AGE: Final = 'UPDATE "billing.day_marks" SET raised_at = raised_at - ?'

Between = Callable[[], Awaitable[None]]


class WatchedAnalytics(Analytics):
    """Counts its questions; `before` and `after` are done once, around the next of them."""

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics
        self.questions: list[int] = []
        self.before: Between | None = None
        self.after: Between | None = None

    @override
    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        known_by: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        self.questions.append(len(edges) - 1)
        before, self.before = self.before, None
        if before is not None:
            await before()
        rows = await self._analytics.figures(
            metric, stripe_account, edges, currency, known_by=known_by
        )
        after, self.after = self.after, None
        if after is not None:
            await after()
        return rows

    @override
    async def top(
        self,
        metric: Metric,
        stripe_account: str,
        period: tuple[dt.datetime, dt.datetime],
        currency: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
    ) -> TopRows:
        return await self._analytics.top(
            metric, stripe_account, period, currency, after=after, limit=limit
        )


class GatedMarks(DayMarks):
    """Marks behind which the row waits, once `gate` is there; `reached` tells that it does."""

    gate: asyncio.Event | None = None

    def __init__(self, database: MongoDatabase, moment: Callable[[], float]) -> None:
        super().__init__(database, moment)
        self.reached: Final = asyncio.Event()

    @override
    @asynccontextmanager
    async def raised(self, marks: Any) -> AsyncIterator[None]:
        async with super().raised(marks):
            if self.gate is not None:
                self.reached.set()
                await self.gate.wait()
            yield


class Time:
    """Seconds of the processes' clocks, which tests move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Process:
    """One process: what it writes with, asks, and remembers."""

    mirror: Mirror
    direct: Analytics
    watched: WatchedAnalytics
    remembered: RememberedFigures
    analytics: RememberedAnalytics
    marks: GatedMarks | None

    async def write(self, sale: Sale | None, id_: str, stripe_account: str) -> None:
        """Store a sale, or its deletion (None), whatever stands there."""
        for _ in range(20):
            # Two at once, past the rows that one SQLite mirror keeps as the only one on its file.
            rows = await self.mirror.fetch(SALES, stripe_account, [id_, "not there"])
            seen = rows[id_].revision if id_ in rows else 0
            told = Snapshot(stripe_account, id_, Version.of_event(seen + 1), sale)
            if not await self.mirror.replace(SALES, [(told, seen)]):
                return
        raise AssertionError("a row keeps changing")

    async def settle(self, id_: str, at: dt.datetime | None, number: int, account: str) -> None:
        """Derive when a sale was settled; the greater number is the later."""
        told = {"at": None if at is None else to_milliseconds(at)}
        facet = Facet(account, id_, "settlement", told, Version.of_event(number))
        await self.mirror.derive(SALES, [facet])


@dataclass(frozen=True, slots=True)
class World:
    """Processes on one database."""

    kind: str
    first: Process
    second: Process
    time: Time
    clock: FakeClock
    age: Callable[[], Awaitable[None]]

    async def pass_time(self) -> None:
        """Two minutes go by."""
        self.time.seconds += MINUTES.total_seconds()
        await self.age()


@asynccontextmanager
async def opened(place: Path | str, name: str, *, most: int = 1_000) -> AsyncIterator[World]:
    """Two processes on a SQLite file, or on a database of a MongoDB server."""
    time, clock = Time(), FakeClock()
    async with AsyncExitStack() as stack:
        processes, databases = [], []
        for _ in range(2):
            database: Any
            if isinstance(place, Path):
                database = SqliteDatabase(place, partial(prepare_sqlite, nouns=(SALES,)))
            else:
                database = MongoDatabase(place, name, partial(prepare_mongo, nouns=(SALES,)))
            await database.start()
            stack.push_async_callback(database.close)
            processes.append(_process(database, time, clock, most))
            databases.append(database)
        age = partial(_age, databases[0])
        kind = "sqlite" if isinstance(place, Path) else "mongo"
        yield World(kind, *processes, time, clock, age)


def _process(database: Any, time: Time, clock: FakeClock, most: int) -> Process:
    marks, direct, remembered, mirror = None, None, None, None
    if isinstance(database, SqliteDatabase):
        mirror = SqliteMirror(database, read_before)
        direct, remembered = SqliteAnalytics(database), SqliteRememberedFigures(database)
    else:
        marks = GatedMarks(database, time)
        mirror = MongoMirror(database, read_before, marks=marks)
        direct, remembered = MongoAnalytics(database), MongoRememberedFigures(database)
    watched = WatchedAnalytics(direct)
    analytics = RememberedAnalytics(watched, remembered, clock, most)
    return Process(mirror, direct, watched, remembered, analytics, marks)


async def _age(database: Any) -> None:
    """All marks were raised two minutes earlier."""
    milliseconds = int(MINUTES.total_seconds() * 1_000)
    if isinstance(database, SqliteDatabase):
        await database.write(lambda connection: connection.execute(_AGE, (milliseconds,)).close())
        return
    sooner = {"$subtract": ["$raised_at", milliseconds]}
    marks = database._driver_collection(MARKS)
    await marks.update_many({}, [{"$set": {"raised_at": sooner}}])
