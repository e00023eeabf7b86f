"""Figures of subscribers through their ports, against bare queries on the same index; posting.

    python -m bench.facts [--store sqlite|mongo] [--subscriptions 50000] [--posted 2000]

Each subscription has four movements within a year, each charge a line of revenue; twenty other
Stripe accounts have a tenth as much each. The period is that of `bench.analytics`, thirty local
days with a clock change inside, in the last of the years. A floor asks the database itself for the
same groups by fixed days. MRR is asked as the service asks it: with its opening, which is
remembered. Then two years of as many movements are put before the first one, and all is asked
again. At last events of subscriptions are projected, with their facts and without.
"""

import argparse
import asyncio
import datetime as dt
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

import pymongo
import uvloop
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from application.analytics.fact_figures import FactFigures
from application.analytics.remembered_facts import FactStocks, RememberedFactFigures
from application.background.clock import Clock
from application.facts.follower import FactsOfEvents
from application.facts.gathering import Gathering
from application.facts.ports import FactStore
from bench.analytics import MONGO_NAME, PERIOD
from bench.events import SECRET, STRIPE_ACCOUNT, signature
from bench.opening import machine, settings
from bootstrap.containers.service import Container
from bootstrap.process import opened
from domain.connections import Connection, ConnectionKind, Mode
from domain.facts import SCALE, Fact, Series, Statement
from domain.mrr import CHURN, EXPANSION, NEW, REACTIVATION
from domain.periods import Granularity, Period, edges, to_milliseconds
from domain.revenue_lines import CAPTURED, PRODUCT
from infrastructure.clock import SystemClock
from infrastructure.mongo.analytics.facts import MongoFactFigures
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.fact_stocks import MongoFactStocks
from infrastructure.mongo.facts import BY_TIME as MONGO_INDEX
from infrastructure.mongo.facts import FACTS, MongoFactStore
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.sqlite.analytics.facts import SqliteFactFigures
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.fact_stocks import SqliteFactStocks
from infrastructure.sqlite.facts import BY_TIME as SQLITE_INDEX
from infrastructure.sqlite.facts import SqliteFactStore
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.stripe.readers.webhooks import StripeWebhookReader
from sandbox.servers.mongod import drop_mongo_database, running_mongod

ACCOUNT: Final = "acct_1Bench"
OTHERS: Final = 20
YEAR: Final = Period(
    dt.datetime(2025, 5, 31, 22, tzinfo=dt.UTC),
    dt.datetime(2026, 5, 31, 22, tzinfo=dt.UTC),
    PERIOD.time_zone,
)
YEARS_BEFORE: Final = 2

REQUIRED: Final = 1.5
REQUIRED_OF_COHORTS: Final = 3.0
REQUIRED_OF_GROWTH: Final = 1.1
REQUIRED_OF_POSTING: Final = 0.5

T = TypeVar("T")

_MOVES: Final = ((NEW, 1, 1), (EXPANSION, 1, 0), (CHURN, -2, -1), (REACTIVATION, 2, 1))
_DAY_MS: Final = 86_400_000
_BATCH: Final = 1_000


def facts(subscriptions: int, years_ago: int, seed: int) -> Iterator[Fact]:
    """The movements of a year and its lines of revenue, the same at every run."""
    dice = random.Random(seed)
    length = (YEAR.end - YEAR.start) // dt.timedelta(seconds=1)
    start = YEAR.start - years_ago * (YEAR.end - YEAR.start)
    for number in range(subscriptions):
        customer = f"cus_{years_ago}{seed}{number:020}"
        amount = dice.randrange(100, 50_000) * SCALE
        currency = dice.choice(("usd", "usd", "usd", "eur"))
        instants = sorted(dice.sample(range(length), len(_MOVES)))
        for place, (kind, times, count) in enumerate(_MOVES):
            at = start + dt.timedelta(seconds=instants[place])
            cause = "voluntary" if kind == CHURN else ""
            said = Statement(
                Series.MRR, customer, at, kind, currency, times * amount, count, cause, customer,
                source=f"sub_{number:024}",
            )  # fmt: skip
            yield Fact(said, place + 1, at + dt.timedelta(seconds=2))
        for place, instant in enumerate(instants):
            at = start + dt.timedelta(seconds=instant)
            said = Statement(
                Series.REVENUE_LINE, f"ch_{years_ago}{seed}{number:018}{place}", at, PRODUCT,
                currency, amount, cause=CAPTURED, customer=customer,
                product=f"prod_{dice.randrange(40):024}",
            )  # fmt: skip
            yield Fact(said, 1, at + dt.timedelta(seconds=2))


async def fill(store: FactStore, subscriptions: int, years_ago: int) -> None:
    """Post a year of the account and of the others."""
    accounts = [(ACCOUNT, subscriptions)]
    accounts += [(f"acct_{number}", subscriptions // 10) for number in range(OTHERS)]
    for seed, (account, count) in enumerate(accounts):
        for wave in _batches(_batches(facts(count, years_ago, seed), _BATCH), 20):
            posted = await asyncio.gather(*(store.post(account, batch) for batch in wave))
            assert sum(posted) == sum(map(len, wave))


def _batches(elements: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(elements)
    while batch := list(islice(left, size)):
        yield batch


class _After(Clock):
    """The year is over."""

    @override
    def now(self) -> dt.datetime:
        return YEAR.end + dt.timedelta(days=1)


_SQLITE_FLOOR: Final = f"""
    SELECT (at - ?) / ? AS step, COLUMNS, sum(amount), sum(count)
    FROM "billing.facts" INDEXED BY "{SQLITE_INDEX}"
    WHERE stripe_account = ? AND series = ? AND at >= ? AND at < ? GROUP BY step, COLUMNS
"""  # noqa: S608 - declared names

Floor = Callable[[Series, Sequence[dt.datetime], Sequence[str]], int]
"""Asks the database itself for sums by fixed steps of a range, and by columns; how many groups."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An empty store, and its floor, which goes to the database beside the ports."""

    facts: FactStore
    figures: FactFigures
    stocks: FactStocks
    floor: Floor


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Opened]:
    """A SQLite file on disk; the floor has a connection of its own."""
    path = folder / "billing.db"
    database = SqliteDatabase(path, prepare_sqlite)
    await database.start()
    try:
        with closing(sqlite3.connect(path, check_same_thread=False)) as connection:

            def floor(series: Series, over: Sequence[dt.datetime], by: Sequence[str]) -> int:
                first, step = _steps(over)
                values = (first, step, ACCOUNT, series, first, to_milliseconds(over[-1]))
                statement = _SQLITE_FLOOR.replace("COLUMNS", ", ".join(by))
                return len(connection.execute(statement, values).fetchall())

            yield Opened(
                SqliteFactStore(database),
                SqliteFactFigures(database),
                SqliteFactStocks(database),
                floor,
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
                rows = client[MONGO_NAME][FACTS]

                def floor(series: Series, over: Sequence[dt.datetime], by: Sequence[str]) -> int:
                    first, step = _steps(over)
                    match = {
                        "stripe_account": ACCOUNT,
                        "series": str(series),
                        "at": {"$gte": first, "$lt": to_milliseconds(over[-1])},
                    }
                    place = {"$floor": {"$divide": [{"$subtract": ["$at", first]}, step]}}
                    group = {
                        "_id": {"step": place, **{name: f"${name}" for name in by}},
                        "amount": {"$sum": "$amount"},
                        "count": {"$sum": "$count"},
                    }
                    stages: list[dict[str, Any]] = [{"$match": match}, {"$group": group}]
                    return len(list(rows.aggregate(stages, hint=MONGO_INDEX)))

                yield Opened(
                    MongoFactStore(database),
                    MongoFactFigures(database),
                    MongoFactStocks(database),
                    floor,
                )
        finally:
            await database.close()
            drop_mongo_database(url, MONGO_NAME)


STORES: Final = {"sqlite": sqlite, "mongo": mongo}


def _steps(over: Sequence[dt.datetime]) -> tuple[int, int]:
    """The first instant, and how long a step is, in milliseconds."""
    first, last = to_milliseconds(over[0]), to_milliseconds(over[-1])
    return first, max(1, (last - first) // (len(over) - 1))


@dataclass(frozen=True, slots=True)
class Figure:
    """Of a question the milliseconds and those of its floor; of posting, rates."""

    store: str
    name: str
    port: float
    floor: float
    required: float
    at_least: bool = False

    @property
    def ratio(self) -> float:
        return self.port / self.floor

    @property
    def met(self) -> bool:
        return self.ratio >= self.required if self.at_least else self.ratio <= self.required


async def measure(store: str, opened_: Opened, repetitions: int) -> list[Figure]:
    """Each question and its floor by turns, so that what else the machine does falls on both."""
    days = edges(PERIOD, Granularity.DAY)
    months = edges(YEAR, Granularity.MONTH)
    whole = (days[0], days[-1])
    apart = ("currency", "kind", "cause", "product")
    asked = RememberedFactFigures(opened_.figures, opened_.stocks, _After())
    floor = opened_.floor

    async def pair(
        name: str, port: Callable[[], Awaitable[object]], bare: Callable[[], int], required: float
    ) -> Figure:
        ports, floors = list[float](), list[float]()
        for _ in range(repetitions + 1):
            ports.append(await _timed(port))
            floors.append(await _timed(lambda: asyncio.to_thread(bare)))
        # The first turn reads the index from disk, and remembers.
        median = statistics.median
        return Figure(store, name, median(ports[1:]), median(floors[1:]), required)

    return [
        await pair(
            "MRR", lambda: asked.sums(ACCOUNT, Series.MRR, days, opening=True),
            lambda: floor(Series.MRR, days, apart), REQUIRED,
        ),
        await pair(
            "movements", lambda: asked.sums(ACCOUNT, Series.MRR, days),
            lambda: floor(Series.MRR, days, apart), REQUIRED,
        ),
        await pair(
            "who is lost", lambda: asked.lost(ACCOUNT, *whole),
            lambda: floor(Series.MRR, whole, ("customer",)), REQUIRED,
        ),
        await pair(
            "product revenue", lambda: asked.sums(ACCOUNT, Series.REVENUE_LINE, whole),
            lambda: floor(Series.REVENUE_LINE, whole, apart), REQUIRED,
        ),
        await pair(
            "cohorts of 12 months", lambda: asked.cohorts(ACCOUNT, months),
            lambda: floor(Series.MRR, months, ("currency",)), REQUIRED_OF_COHORTS,
        ),
    ]  # fmt: skip


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await ask()
    return (time.perf_counter() - started) * 1_000


def grown(before: Sequence[Figure], after: Sequence[Figure]) -> Iterator[Figure]:
    """Each question after three years of history, of the same after one.

    Both as ratios to their floors, which read the same at both times: so it is no matter what else
    the machine does.
    """
    for one, three in zip(before, after, strict=True):
        name = f"{one.name}: ratio after 3 years, of that after 1"
        yield replace(
            one, name=name, port=three.ratio, floor=one.ratio, required=REQUIRED_OF_GROWTH
        )


# --- posting ---


def subscription_event(number: int, change: int, since: int) -> bytes:
    """An event of a subscription of its own: its creation, or a change of its quantity."""
    told: dict[str, Any] = {
        "id": f"sub_bench{number:08}", "object": "subscription", "application": None,
        "billing_cycle_anchor": since, "billing_mode": {"type": "flexible"},
        "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically", "created": since, "currency": "usd",
        "customer": f"cus_bench{number:08}", "default_payment_method": None, "description": None,
        "discounts": [], "ended_at": None, "items": {
            "object": "list", "has_more": False, "url": "/v1/subscription_items", "data": [{
                "id": f"si_bench{number:08}", "object": "subscription_item", "created": since,
                "current_period_end": since + 2_592_000, "current_period_start": since,
                "discounts": [], "metadata": {}, "price": {
                    "id": "price_bench", "object": "price", "active": True,
                    "billing_scheme": "per_unit", "created": since, "currency": "usd",
                    "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None,
                    "product": "prod_bench", "recurring": {
                        "interval": "month", "interval_count": 1, "meter": None,
                        "trial_period_days": None, "usage_type": "licensed",
                    }, "tax_behavior": "unspecified", "tiers_mode": None,
                    "transform_quantity": None, "type": "recurring", "unit_amount": 1_500,
                    "unit_amount_decimal": "1500",
                }, "quantity": change + 1, "subscription": f"sub_bench{number:08}",
            }],
        }, "latest_invoice": None, "livemode": False, "metadata": {}, "pause_collection": None,
        "schedule": None, "start_date": since, "status": "active", "trial_end": None,
        "trial_start": None,
    }  # fmt: skip
    told["metadata"] = {f"key_{i}": "x" * 120 for i in range(20)}
    kind = "created" if change == 0 else "updated"
    data: dict[str, Any] = {"object": told}
    if change:
        data["previous_attributes"] = {"quantity": change}
    return json.dumps(
        {
            "id": f"evt_bench{number:08}{change}", "object": "event", "account": STRIPE_ACCOUNT,
            "api_version": "2026-10-28.endive", "created": since + change * 60, "data": data,
            "livemode": False, "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": f"customer.subscription.{kind}",
        },
        indent=2,
    ).encode()  # fmt: skip


async def projected(store: str, subscriptions: int) -> tuple[float, set[str]]:
    """Events projected a second, and of which customers one more event gathers evidence."""
    with settings(store) as chosen:
        async with opened(chosen) as container:
            since = int((SystemClock().now() - dt.timedelta(days=1)).timestamp())
            bodies = [
                subscription_event(number, change, since)
                for change in range(len(_MOVES))
                for number in range(subscriptions)
            ]
            rate = await _projected(container, bodies)
            gathered, whole = set[str](), Gathering.customers

            async def customers(
                self: Gathering, account: str, ids: Sequence[str], *more: Any
            ) -> Any:
                gathered.update(ids)
                return await whole(self, account, ids, *more)

            with patch.object(Gathering, "customers", customers):
                await _projected(container, [subscription_event(0, len(_MOVES), since)])
            return rate, gathered


async def posting(store: str, subscriptions: int) -> list[Figure]:
    """The rate of events with their facts, of that without them; and what one event reads."""

    async def nothing(*_: Any) -> None:
        """No facts follow."""

    rate, gathered = await projected(store, subscriptions)
    with patch.object(FactsOfEvents, "after", nothing):
        bare, _ = await projected(store, subscriptions)
    return [
        Figure(
            store, "events projected a second with facts, of that without", rate, bare,
            REQUIRED_OF_POSTING, at_least=True,
        ),
        Figure(store, "customers read after one event", len(gathered) or 99, 1, 1),
    ]  # fmt: skip


async def _projected(container: Container, bodies: Sequence[bytes]) -> float:
    clock = SystemClock()
    webhooks = StripeWebhookReader(platform_secrets=(), connect_secrets=(SECRET,), mode=Mode.TEST)
    day_ago = clock.now() - dt.timedelta(days=2)
    await container.stores.connections().put(
        Connection("bench", STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, day_ago)
    )
    read = [webhooks.read(body, signature(body), clock.now()) for body in bodies]
    inbox = container.stores.inbox()
    for batch in _batches(read, 500):
        await asyncio.gather(*map(inbox.append, batch))
    projector = container.projector()
    started = time.perf_counter()
    while await projector.project_batch():
        pass
    return len(bodies) / (time.perf_counter() - started)


def table(figures: Sequence[Figure], subscriptions: int) -> Table:
    """What was measured, for people."""
    shown = Table(title=f"{subscriptions:,} subscriptions a year, {machine()}")
    for heading in ("store", "figure"):
        shown.add_column(heading)
    for heading in ("port (ms)", "floor (ms)", "ratio", "required"):
        shown.add_column(heading, justify="right")
    for each in figures:
        sign = "≥" if each.at_least else "≤"
        shown.add_row(
            each.store, each.name, f"{each.port:,.2f}", f"{each.floor:,.2f}", f"{each.ratio:.2f}",
            f"{sign} {each.required} {'met' if each.met else 'MISSED'}",
        )  # fmt: skip
    return shown


async def run(store: str, subscriptions: int, repetitions: int) -> list[Figure]:
    """Fill a store with a year, ask, put years before it, and ask again."""
    with tempfile.TemporaryDirectory(prefix="billing-bench-") as folder:
        async with STORES[store](Path(folder)) as store_:
            await fill(store_.facts, subscriptions, 0)
            one = await measure(store, store_, repetitions)
            for years_ago in range(1, YEARS_BEFORE + 1):
                await fill(store_.facts, subscriptions, years_ago)
            three = await measure(store, store_, repetitions)
    return [*one, *grown(one, three)]


def main() -> int:
    """Print the table; 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--subscriptions", type=int, default=50_000)
    parser.add_argument("--posted", type=int, default=2_000)
    parser.add_argument("--repetitions", type=int, default=9)
    arguments = parser.parse_args()
    figures = uvloop.run(run(arguments.store, arguments.subscriptions, arguments.repetitions))
    if arguments.posted:
        figures += uvloop.run(posting(arguments.store, arguments.posted))
    Console(width=140).print(table(figures, arguments.subscriptions))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
