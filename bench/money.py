"""What is left of gross volume, and what became of payments: each figure against its floor.

    python -m bench.money --store sqlite --store mongo --charges 1000000

The charges lie evenly over a year, each with its intent and its transaction; a tenth of the intents
were declined first. The period is that of `bench.analytics`, thirty local days with a clock change
inside. A floor asks the database itself for the same sums from the same index, grouped by the same
columns, over fixed days. Required: at most 1.5 times the floor; the overview under four times its
slowest part.
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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pymongo
from rich.console import Console
from rich.progress import track
from rich.table import Table
from typing_extensions import override

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.fact_figures import FactFigures
from application.analytics.ledger import Ledger
from application.analytics.metrics import (
    ATTEMPTS,
    FAILURES,
    GROSS_VOLUME,
    NET_VOLUME,
    PAYMENTS,
    REFUNDS_MOVED,
    REVENUE_BY_REASON,
    SETTLEMENT_GROSS,
    SPEND,
    Metric,
)
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import LastBalances, PayoutAnalytics
from application.analytics.ports import Analytics
from application.analytics.questions import Asked, Compared
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.tie_out import RUN_UP, Anchors, TieOuts
from application.analytics.trust import Standing, Trust
from application.analytics.use_cases import RevenueAnalytics
from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES, PAYMENT_INTENTS
from application.mirror.ports import Changes, Mirror, Noun
from bench.analytics import (
    ACCOUNT,
    END_MS,
    MONGO_NAME,
    OTHERS,
    PERIOD,
    REQUIRED_RATIO,
    START_MS,
    YEAR_START,
)
from domain.analytics import buckets
from domain.attempts import attempts
from domain.attribution import told_by
from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payment_intents import PaymentIntent
from domain.periods import Granularity, edges, previous
from domain.tie_out import Anchor
from infrastructure.clock import SystemClock
from infrastructure.mongo.analytics.engine import MongoAnalytics
from infrastructure.mongo.analytics.facts import MongoFactFigures
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.mirror.changes import MongoChanges
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.mirror.rows import mirror_index
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.sqlite.analytics.engine import SqliteAnalytics
from infrastructure.sqlite.analytics.facts import SqliteFactFigures
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.core.names import quoted
from infrastructure.sqlite.mirror.changes import SqliteChanges
from infrastructure.sqlite.mirror.columns import index_name
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import drop_mongo_database, running_mongod

METRICS: Final = (
    GROSS_VOLUME, REVENUE_BY_REASON, NET_VOLUME, SETTLEMENT_GROSS, REFUNDS_MOVED, PAYMENTS,
    FAILURES, ATTEMPTS,
)  # fmt: skip
REQUIRED_OF_OVERVIEW: Final = 4.0
REQUIRED_OF_TIE_OUT: Final = 3.0
_TOP: Final = 51
_BATCH: Final = 300
_DAY_MS: Final = 86_400_000
_VERSION: Final = Version.of_event(1)

Floor = Callable[[Metric], int]
"""Asks the database itself for a metric, or for its greatest; returns how many groups it gave."""


@dataclass(frozen=True, slots=True)
class Payment:
    """An intent with all that it made."""

    intent: PaymentIntent
    charges: tuple[Charge, ...]
    transactions: tuple[BalanceTransaction, ...]


def payments(count: int) -> Iterator[Payment]:
    """Payments evenly over a year, the same at every run."""
    dice = random.Random(7)
    step = dt.timedelta(days=365) / count
    for number in range(count):
        created = (YEAR_START + number * step).replace(microsecond=0)
        currency = dice.choice(("usd", "usd", "usd", "eur", "gbp"))
        amount = Money(dice.randrange(100, 50_000), currency)
        id_, customer = f"{number:024}", f"cus_{dice.randrange(count // 10 + 1):024}"
        none = Money.zero(amount.currency)
        intent = PaymentIntent(f"pi_{id_}", created, amount, amount, "succeeded", customer)
        paid = Charge(
            f"ch_{id_}", created, amount, amount, none, "succeeded", True, False, False,
            customer=customer, payment_intent=intent.id, risk_level="normal",
            outcome_type="authorized",
        )  # fmt: skip
        declined = Charge(
            f"ch_d{id_}", created, amount, none, none, "failed", False, False, False,
            customer=customer, payment_intent=intent.id, risk_level="elevated",
            outcome_type="issuer_declined", failure_code="card_declined",
        )  # fmt: skip
        fee = Money(amount.amount // 40, amount.currency)
        moved = [("charge", paid.id, amount, fee)]
        if dice.random() < 0.02:
            moved.append(("refund", f"re_{id_}", -amount, none))
        yield Payment(
            intent,
            (declined, paid) if dice.random() < 0.1 else (paid,),
            tuple(
                BalanceTransaction(
                    f"txn_{kind}_{id_}", created, value, cost, value - cost, kind, "available",
                    created, source, kind,
                )
                for kind, source, value, cost in moved
            ),
        )  # fmt: skip


async def fill(mirror: Mirror, count: int, title: str) -> None:
    """Store the payments, and a tenth as many of another account."""
    for account, size in ((ACCOUNT, count), (OTHERS, count // 10)):
        made = payments(size)
        for _ in track(range(-(-size // _BATCH)), f"{title}: {size:,} payments"):
            batch = [payment for payment, _ in zip(made, range(_BATCH), strict=False)]
            await _store(mirror, account, batch)


async def _store(mirror: Mirror, account: str, batch: list[Payment]) -> None:
    charges = [[Snapshot(account, c.id, _VERSION, c) for c in each.charges] for each in batch]
    moved = [Snapshot(account, t.id, _VERSION, t) for each in batch for t in each.transactions]
    tried = [attempts(each.intent.id, of) for each, of in zip(batch, charges, strict=True)]
    settled = [facet for each in moved for noun, facet in told_by(each) if noun == CHARGES.name]
    # The facets first: then each row is written once.
    await mirror.derive(PAYMENT_INTENTS, [facet for facet in tried if facet is not None])
    await mirror.derive(CHARGES, settled)
    intents = [Snapshot(account, each.intent.id, _VERSION, each.intent) for each in batch]
    written: tuple[tuple[Noun[Any], list[Any]], ...] = (
        (PAYMENT_INTENTS, intents),
        (CHARGES, [each for of in charges for each in of]),
        (BALANCE_TRANSACTIONS, moved),
    )
    for noun, snapshots in written:
        assert not await mirror.replace(noun, [(each, 0) for each in snapshots])


@dataclass(frozen=True, slots=True)
class Opened:
    """An empty store, and its floors, which go to the database beside the ports."""

    mirror: Mirror
    analytics: Analytics
    changes: Changes
    facts: FactFigures
    floor: Floor
    top: Floor


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Opened]:
    """A SQLite file on disk; the floors have a connection of their own."""
    path = folder / "billing.db"
    database = SqliteDatabase(path, prepare_sqlite)
    await database.start()
    try:
        with closing(sqlite3.connect(path, check_same_thread=False)) as connection:

            def asked(statement: str) -> int:
                return len(connection.execute(statement).fetchall())

            yield Opened(
                SqliteMirror(database, read_before),
                SqliteAnalytics(database),
                SqliteChanges(database),
                SqliteFactFigures(database),
                lambda metric: asked(_sqlite_floor(metric)),
                lambda metric: asked(_sqlite_top(metric)),
            )
    finally:
        await database.close()


def _sqlite_rows(metric: Metric) -> str:
    fixed = [
        f"{quoted(name)} IN ({', '.join(repr(value) for value in values)})"
        for name, values in metric.where.items()
    ]
    conditions = [
        f"stripe_account = '{ACCOUNT}'", *fixed,
        f"{quoted(metric.date)} >= {START_MS}", f"{quoted(metric.date)} < {END_MS}",
    ]  # fmt: skip
    return (
        f"FROM {quoted(metric.noun.collection)}"
        f" INDEXED BY {quoted(index_name(metric.noun, metric.index))}"
        f" WHERE {' AND '.join(conditions)}"
    )


def _sqlite_floor(metric: Metric) -> str:
    groups = [f"({quoted(metric.date)} - {START_MS}) / {_DAY_MS}", quoted(metric.currency)]
    groups += map(quoted, metric.by)
    sums = [f"sum({quoted(name)})" for name in metric.columns]
    return (
        f"SELECT {', '.join([*groups, *sums, 'count(*)'])} {_sqlite_rows(metric)}"
        f" GROUP BY {', '.join(groups)}"
    )


def _sqlite_top(metric: Metric) -> str:
    (name,) = map(quoted, metric.by)
    return (
        f"SELECT {name}, sum({quoted(metric.columns[0])}) AS total, count(*)"
        f" {_sqlite_rows(metric)} AND {quoted(metric.currency)} = 'usd'"
        f" GROUP BY {name} ORDER BY total DESC LIMIT {_TOP}"
    )


@asynccontextmanager
async def mongo(_: Path) -> AsyncIterator[Opened]:
    """A mongod with its data on disk; the floors have a client of their own."""
    with running_mongod(on_disk=True) as url:
        database = MongoDatabase(url, MONGO_NAME, prepare_mongo)
        await database.start()
        try:
            with pymongo.MongoClient[dict[str, Any]](url) as client:

                def asked(metric: Metric, stages: list[dict[str, Any]]) -> int:
                    rows = client[MONGO_NAME][metric.noun.collection]
                    hint = mirror_index(metric.index)
                    return len(list(rows.aggregate(stages, hint=hint)))

                yield Opened(
                    MongoMirror(database, read_before),
                    MongoAnalytics(database),
                    MongoChanges(database),
                    MongoFactFigures(database),
                    lambda metric: asked(metric, _mongo_floor(metric)),
                    lambda metric: asked(metric, _mongo_top(metric)),
                )
        finally:
            await database.close()
            drop_mongo_database(url, MONGO_NAME)


def _mongo_rows(metric: Metric) -> dict[str, Any]:
    return {
        "stripe_account": ACCOUNT,
        **{name: {"$in": list(values)} for name, values in metric.where.items()},
        metric.date: {"$gte": START_MS, "$lt": END_MS},
    }


def _mongo_floor(metric: Metric) -> list[dict[str, Any]]:
    day = {"$floor": {"$divide": [{"$subtract": [f"${metric.date}", START_MS]}, _DAY_MS]}}
    groups = {"day": day, **{name: f"${name}" for name in (metric.currency, *metric.by)}}
    sums = {f"sum_{name}": {"$sum": f"${name}"} for name in metric.columns}
    return [
        {"$match": _mongo_rows(metric)},
        {"$group": {"_id": groups, **sums, "count": {"$sum": 1}}},
    ]


def _mongo_top(metric: Metric) -> list[dict[str, Any]]:
    total = {"$sum": f"${metric.columns[0]}"}
    return [
        {"$match": {**_mongo_rows(metric), metric.currency: "usd"}},
        {"$group": {"_id": f"${metric.by[0]}", "total": total, "count": {"$sum": 1}}},
        {"$sort": {"total": -1}},
        {"$limit": _TOP},
    ]


STORES: Final = {"sqlite": sqlite, "mongo": mongo}


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds of a question and of its floor; the worst ratio that is allowed."""

    store: str
    name: str
    port: float
    floor: float
    required: float

    @property
    def ratio(self) -> float:
        return self.port / self.floor


async def measure(store: str, opened: Opened, repetitions: int) -> AsyncIterator[Figure]:
    """Each question and its floor by turns, so that what else the machine does falls on both."""
    bucket_edges = edges(PERIOD, Granularity.DAY)

    async def pair(
        name: str,
        port: Callable[[], Awaitable[object]],
        floor: Callable[[], object],
        required: float = REQUIRED_RATIO,
    ) -> Figure:
        ports, floors = list[float](), list[float]()
        for _ in range(repetitions + 1):
            ports.append(await _timed(port))
            floors.append(await _timed(lambda: asyncio.to_thread(floor)))
        # The first turn reads the index from disk.
        median = statistics.median
        return Figure(store, name, median(ports[1:]), median(floors[1:]), required)

    for metric in METRICS:
        yield await pair(
            metric.name,
            partial(opened.analytics.figures, metric, ACCOUNT, bucket_edges),
            partial(opened.floor, metric),
        )
    period = (PERIOD.start, PERIOD.end)
    yield await pair(
        "top customers",
        lambda: opened.analytics.top(SPEND, ACCOUNT, period, "usd", after=None, limit=_TOP),
        lambda: opened.top(SPEND),
    )
    tie_outs = _tie_outs(opened)
    yield await pair(
        "tie-out, of net",
        lambda: tie_outs.between(ACCOUNT, bucket_edges),
        lambda: opened.floor(NET_VOLUME),
        REQUIRED_OF_TIE_OUT,
    )
    yield await _overview(store, opened, repetitions)


class _Noons(Anchors):
    """A balance that was read at each noon (UTC), for a second, and three before."""

    @override
    async def around(self, stripe_account: str, start_ms: int, end_ms: int) -> Sequence[Anchor]:
        first = start_ms // _DAY_MS - RUN_UP
        noons = (day * _DAY_MS + _DAY_MS // 2 for day in range(first, end_ms // _DAY_MS + 2))
        return [Anchor(noon, noon + 1_000, {"usd": 0}) for noon in noons]

    @override
    async def after(
        self, stripe_account: str, start_ms: int | None, *, limit: int
    ) -> Sequence[Anchor]:
        raise NotImplementedError


def _tie_outs(opened: Opened) -> TieOuts:
    nobody: Any = None
    return TieOuts(opened.analytics, opened.mirror, _Noons(), nobody, nobody)


async def _overview(store: str, opened: Opened, repetitions: int) -> Figure:
    """The overview, of which the floor is its slowest part."""
    bucket_edges = edges(PERIOD, Granularity.DAY)
    trust = Trust(PERIOD.time_zone, Standing())
    shown = buckets(bucket_edges, PERIOD.end)
    asked = Asked(
        ACCOUNT, ACCOUNT, "", False, bucket_edges,
        Compared(PERIOD, previous(PERIOD), None, shown, trust),
    )  # fmt: skip
    asking = _Asked(asked, opened.analytics, opened.changes)
    revenue, net, paid = RevenueAnalytics(asking), NetAnalytics(asking), PaymentAnalytics(asking)
    returns, payouts = ReturnAnalytics(asking, opened.facts), PayoutAnalytics(asking, _Unread())
    subscribers = SubscriberAnalytics(asking, opened.facts, SystemClock())
    overview = OverviewAnalytics(asking, revenue, net, paid, returns, payouts, subscribers)
    parts: tuple[Callable[[Asked], Awaitable[object]], ...] = (
        revenue.gross_of, net.net_of, paid.payments_of, paid.failures_of, revenue.split_of,
        returns.refunds_of, returns.disputes_of, payouts.payouts_of, subscribers.parts_of,
    )  # fmt: skip
    whole, apart = list[float](), [list[float]() for _ in parts]
    nobody: Any = None
    for _ in range(repetitions + 1):
        whole.append(await _timed(lambda: overview.overview(nobody, nobody)))
        for part, taken in zip(parts, apart, strict=True):
            taken.append(await _timed(partial(part, replace(asked, reads={}))))
    slowest = max(statistics.median(taken[1:]) for taken in apart)
    name = "overview, of its slowest part"
    return Figure(store, name, statistics.median(whole[1:]), slowest, REQUIRED_OF_OVERVIEW)


class _Unread(LastBalances):
    """No balance was read yet."""

    @override
    async def last(self, stripe_account: str) -> None:
        return None


class _Asked(Asking):
    """A question that is checked already."""

    def __init__(self, asked: Asked, analytics: Analytics, changes: Changes) -> None:
        nobody: Any = None
        ledger = Ledger(analytics, changes)
        super().__init__(analytics, nobody, nobody, BaseTotals(nobody, ""), nobody, ledger)
        self._one = asked

    @override
    async def asked(self, *_: Any, **__: Any) -> Asked:
        return replace(self._one, reads={})


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await ask()
    return (time.perf_counter() - started) * 1_000


def table(figures: list[Figure], count: int) -> Table:
    """What was measured, for people."""
    shown = Table(title=f"Thirty days with a clock change, {count:,} payments in a year")
    for heading in ("store", "figure"):
        shown.add_column(heading)
    for heading in ("port ms", "floor ms", "ratio", "required"):
        shown.add_column(heading, justify="right")
    for each in figures:
        met = "met" if each.ratio <= each.required else "MISSED"
        shown.add_row(
            each.store, each.name, f"{each.port:.1f}", f"{each.floor:.1f}", f"{each.ratio:.2f}",
            f"≤ {each.required} {met}",
        )  # fmt: skip
    return shown


async def run(stores: list[str], count: int, repetitions: int) -> list[Figure]:
    """Fill and measure each store."""
    figures = list[Figure]()
    for name in stores:
        with tempfile.TemporaryDirectory(prefix="billing-bench-") as folder:
            async with STORES[name](Path(folder)) as opened:
                await fill(opened.mirror, count, name)
                figures += [figure async for figure in measure(name, opened, repetitions)]
    return figures


def main() -> int:
    """Print the table; 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    names = arguments.store or list(STORES)
    figures = asyncio.run(run(names, arguments.charges, arguments.repetitions))
    Console().print(table(figures, arguments.charges))
    return 0 if all(figure.ratio <= figure.required for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
