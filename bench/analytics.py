"""Gross volume by day, through the port, against its floor: the same index, days of 86,400 s.

    python -m bench.analytics --store sqlite --store mongo --charges 1000000

The charges lie evenly over a year; the period is thirty local days with a clock change inside. The
floor asks the database itself for the same sums over fixed days, which is wrong at the clock
change but the least that grouping can cost. Required: at most 1.5 times the floor, a year by
month no dearer than by day (a tenth is left to chance), and a year by day that is asked again, as
the service asks it, at most twice the thirty days. Before that the rows are left alone for a
minute: figures of what was written just now are not remembered.
"""

import argparse
import asyncio
import datetime as dt
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pymongo
from rich.console import Console
from rich.progress import track
from rich.table import Table
from typing_extensions import override

from application.analytics.metrics import GROSS_VOLUME
from application.analytics.ports import Analytics
from application.analytics.remembered_port import SETTLED, RememberedFigures
from application.analytics.remembering import RememberedAnalytics
from application.background.clock import Clock
from application.mirror.nouns import CHARGES
from application.mirror.ports import Mirror
from domain.charges import Charge
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import Granularity, Period, edges, to_milliseconds
from infrastructure.mongo.analytics.engine import MongoAnalytics
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.mirror.rows import mirror_index
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.mongo.remembered_figures import MongoRememberedFigures
from infrastructure.sqlite.analytics.engine import SqliteAnalytics
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.core.names import quoted
from infrastructure.sqlite.mirror.columns import index_name
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.sqlite.remembered_figures import SqliteRememberedFigures
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import drop_mongo_database, running_mongod

ACCOUNT: Final = "acct_1Bench"
OTHERS: Final = "acct_1Others"
ZONE: Final = "Europe/Berlin"
YEAR_START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PERIOD: Final = Period(
    dt.datetime(2026, 3, 13, 23, tzinfo=dt.UTC),
    dt.datetime(2026, 4, 12, 22, tzinfo=dt.UTC),
    ZONE,
)
"""Thirty local days around the change of 29 March."""

REQUIRED_RATIO: Final = 1.5
REQUIRED_OF_MONTHS: Final = 1.1
REQUIRED_AGAIN: Final = 2.0

START_MS: Final = to_milliseconds(PERIOD.start)
END_MS: Final = to_milliseconds(PERIOD.end)
MONGO_NAME: Final = "billing_bench"

_BATCH: Final = 1_000

_SQLITE_FLOOR: Final = f"""
    SELECT (counted_at - ?) / 86400000 AS day, currency, sum(amount_captured), count(*)
    FROM "billing.charges" INDEXED BY {quoted(index_name(CHARGES, GROSS_VOLUME.index))}
    WHERE stripe_account = ? AND status = 'succeeded' AND counted_at >= ? AND counted_at < ?
    GROUP BY day, currency
"""  # noqa: S608 - declared names
_MONGO_FLOOR: Final[list[dict[str, Any]]] = [
    {
        "$match": {
            "stripe_account": ACCOUNT,
            "status": "succeeded",
            "counted_at": {"$gte": START_MS, "$lt": END_MS},
        }
    },
    {
        "$group": {
            "_id": {
                "day": {
                    "$floor": {"$divide": [{"$subtract": ["$counted_at", START_MS]}, 86_400_000]}
                },
                "currency": "$currency",
            },
            "amount": {"$sum": "$amount_captured"},
            "count": {"$sum": 1},
        }
    },
]
_MONGO_INDEX: Final = mirror_index(GROSS_VOLUME.index)

Floor = Callable[[], int]
"""Asks the database itself; returns how many groups it answered."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of each repetition."""

    store: str
    port: list[float]
    floor: list[float]
    year_by_day: list[float]
    year_by_month: list[float]
    year_first: list[float]
    year_again: list[float]

    @property
    def of_again(self) -> float:
        return statistics.median(self.year_again) / statistics.median(self.port)

    @property
    def of_months(self) -> float:
        return statistics.median(self.year_by_month) / statistics.median(self.year_by_day)

    @property
    def met(self) -> bool:
        return (
            self.ratio <= REQUIRED_RATIO
            and self.of_months <= REQUIRED_OF_MONTHS
            and self.of_again <= REQUIRED_AGAIN
        )

    @property
    def ratio(self) -> float:
        return statistics.median(self.port) / statistics.median(self.floor)


def charges(count: int) -> Iterator[Charge]:
    """Charges evenly over a year, the same at every run."""
    dice = random.Random(7)
    step = dt.timedelta(days=365) / count
    for number in range(count):
        currency = dice.choice(("usd", "usd", "usd", "eur", "gbp"))
        status = "succeeded" if dice.random() < 0.9 else "failed"
        amount = Money(dice.randrange(100, 50_000), currency)
        captured = amount if status == "succeeded" else Money.zero(currency)
        created = YEAR_START + number * step
        yield Charge(
            id=f"ch_{number:024}",
            created=created.replace(microsecond=0),
            amount=amount,
            amount_captured=captured,
            amount_refunded=Money.zero(currency),
            status=status,
            captured=status == "succeeded",
            refunded=False,
            disputed=False,
            customer=f"cus_{dice.randrange(count // 10 + 1):024}",
        )


async def fill(mirror: Mirror, count: int, title: str) -> None:
    """Store the charges, and a tenth as many of another account, a thousand at a time."""
    for stripe_account, size in ((ACCOUNT, count), (OTHERS, count // 10)):
        found = charges(size)
        for _ in track(range(-(-size // _BATCH)), f"{title}: {size:,} charges"):
            batch = [
                (Snapshot(stripe_account, one.id, Version.of_event(1), one), 0)
                for one, _ in zip(found, range(_BATCH), strict=False)
            ]
            assert not await mirror.replace(CHARGES, batch)


class _NextYear(Clock):
    """All days of the year are over."""

    @override
    def now(self) -> dt.datetime:
        return YEAR_START + dt.timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Opened:
    """An empty store, and its floor, which goes to the database beside the ports."""

    mirror: Mirror
    analytics: Analytics
    remembered: RememberedFigures
    floor: Floor


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Opened]:
    """A SQLite file on disk; the floor has a connection of its own."""
    path = folder / "billing.db"
    bounds = (START_MS, ACCOUNT, START_MS, END_MS)
    database = SqliteDatabase(path, prepare_sqlite)
    await database.start()
    try:
        connection = sqlite3.connect(path, check_same_thread=False)
        with closing(connection):
            yield Opened(
                SqliteMirror(database, read_before),
                SqliteAnalytics(database),
                SqliteRememberedFigures(database),
                lambda: len(connection.execute(_SQLITE_FLOOR, bounds).fetchall()),
            )
    finally:
        await database.close()


@asynccontextmanager
async def mongo(_: Path) -> AsyncIterator[Opened]:
    """A mongod with its data on disk; the floor has a client of its own."""
    with running_mongod(on_disk=True) as url:
        database = MongoDatabase(url, MONGO_NAME, prepare_mongo)
        await database.start()
        try:
            with pymongo.MongoClient[dict[str, Any]](url) as client:
                collection = client[MONGO_NAME][CHARGES.collection]
                yield Opened(
                    MongoMirror(database, read_before),
                    MongoAnalytics(database),
                    MongoRememberedFigures(database),
                    lambda: len(list(collection.aggregate(_MONGO_FLOOR, hint=_MONGO_INDEX))),
                )
        finally:
            await database.close()
            drop_mongo_database(url, MONGO_NAME)


STORES: Final = {"sqlite": sqlite, "mongo": mongo}


async def measure(store: str, opened: Opened, repetitions: int) -> Figures:
    """Both questions by turns, so that what else the machine does falls on both."""
    bucket_edges = edges(PERIOD, Granularity.DAY)
    year = Period(YEAR_START, YEAR_START + dt.timedelta(days=365), ZONE)
    days, months = (edges(year, each) for each in (Granularity.DAY, Granularity.MONTH))
    figures = Figures(store, [], [], [], [], [], [])
    remembering = RememberedAnalytics(
        opened.analytics, opened.remembered, _NextYear(), most=200_000
    )

    async def timed(into: list[float], ask: Callable[[], Awaitable[int]], least: int) -> None:
        started = time.perf_counter()
        groups = await ask()
        into.append((time.perf_counter() - started) * 1_000)
        assert groups >= least - 1, "every bucket has charges"

    async def port(over: Sequence[dt.datetime]) -> int:
        return len(await opened.analytics.figures(GROSS_VOLUME, ACCOUNT, over))

    async def service(over: Sequence[dt.datetime]) -> int:
        return len(await remembering.figures(GROSS_VOLUME, ACCOUNT, over))

    async def direct() -> int:
        return await asyncio.to_thread(opened.floor)

    for _ in range(repetitions + 1):
        await timed(figures.port, partial(port, bucket_edges), len(bucket_edges))
        await timed(figures.floor, direct, len(bucket_edges))
    for _ in range(max(1, repetitions // 3) + 1):
        await timed(figures.year_by_day, partial(port, days), len(days))
        await timed(figures.year_by_month, partial(port, months), len(months))
    await asyncio.sleep(SETTLED.total_seconds())
    await timed(figures.year_first, partial(service, days), len(days))
    for _ in range(repetitions):
        await timed(figures.year_again, partial(service, days), len(days))
    # The first turn reads the index from disk.
    return Figures(
        store, figures.port[1:], figures.floor[1:], figures.year_by_day[1:],
        figures.year_by_month[1:], figures.year_first, figures.year_again,
    )  # fmt: skip


def table(figures: list[Figures], count: int) -> Table:
    """What was measured, for people."""
    shown = Table(title=f"Gross volume, 30 days with a clock change, {count:,} charges in a year")
    headings = ("port ms", "floor ms", "ratio", f"required ≤ {REQUIRED_RATIO}")
    of_years = ("year by day ms", "by month", f"≤ {REQUIRED_OF_MONTHS}")
    remembered = ("year, first ms", "again", "of 30 days", f"≤ {REQUIRED_AGAIN}")
    for heading in ("store", *headings, *of_years, *remembered):
        shown.add_column(heading, justify="right")
    for figure in figures:
        shown.add_row(
            figure.store,
            *(f"{statistics.median(taken):.1f}" for taken in (figure.port, figure.floor)),
            f"{figure.ratio:.2f}",
            "met" if figure.ratio <= REQUIRED_RATIO else "MISSED",
            f"{statistics.median(figure.year_by_day):.1f}",
            f"{statistics.median(figure.year_by_month):.1f}",
            "met" if figure.of_months <= REQUIRED_OF_MONTHS else "MISSED",
            *(
                f"{statistics.median(taken):.1f}"
                for taken in (figure.year_first, figure.year_again)
            ),
            f"{figure.of_again:.2f}",
            "met" if figure.of_again <= REQUIRED_AGAIN else "MISSED",
        )
    return shown


async def run(stores: list[str], count: int, repetitions: int) -> list[Figures]:
    """Fill and measure each store."""
    figures = []
    for name in stores:
        with tempfile.TemporaryDirectory(prefix="billing-bench-") as folder:
            async with STORES[name](Path(folder)) as opened:
                await fill(opened.mirror, count, name)
                figures.append(await measure(name, opened, repetitions))
    return figures


def main() -> int:
    """Print the table; 1 where a store misses the required ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    names = arguments.store or list(STORES)
    figures = asyncio.run(run(names, arguments.charges, arguments.repetitions))
    Console().print(table(figures, arguments.charges))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
