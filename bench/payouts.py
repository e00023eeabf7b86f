"""Payouts: a summary against the bare grouping, its reading against a bare loop, and the memory.

    python -m bench.payouts [--store sqlite|mongo] [--transactions 10000]

The summary of a payout of 10,000 transactions, with all that a call of the use case asks, against
the database's own grouping over the same index: at most 1.5 times. Its membership read from a
stand-in for Stripe in a process of its own, whose load is not counted, against a bare loop over
the SDK's list of the same pages: 0.7 of its rate or more. Resident memory at its peak,
reading, summing up and listing all of them page by page, above that for 100: 8 MiB at most. The
store's page caches are full before, of another account's transactions: they are no payout's.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import psutil
import pymongo
import stripe
import uvloop
from aiohttp import web
from rich.console import Console

from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.ports import NEWEST_FIRST, Filter
from application.mirror.stripe import Priority
from application.payouts.commands import ListPayoutTransactions
from application.payouts.use_cases import Payouts
from application.requests.callers import Caller
from application.requests.paging import Position
from bench.opening import PLATFORM_KEY, STORES, machine, settings, spare_the_collector
from bootstrap.containers.service import Container
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.connections import Connection as Link
from domain.connections import ConnectionKind, Mode
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payouts import Payout
from domain.periods import from_milliseconds
from infrastructure.mongo.mirror.rows import mirror_index
from infrastructure.sqlite.mirror.columns import index_name
from infrastructure.stripe.balance_transactions import BALANCE_TRANSACTION
from sandbox.emulator.running import close_client

ACCOUNT: Final = "acct_1Bench"
OTHERS: Final = "acct_1Others"
CALLER: Final = Caller("bench", "bench", frozenset())
SECOND: Final = 1_767_225_600
PAGE: Final = 100
FEW: Final = 100

RATIO: Final = 1.5
RATE: Final = 0.7
GROWTH_MIB: Final = 8

_MIB: Final = 1024 * 1024
_COLUMNS: Final = ("payout", "reporting_category", "amount", "fee", "net")
_SQLITE_FLOOR: Final = """
    SELECT reporting_category, count(*), sum(amount), sum(fee), sum(net)
    FROM "billing.balance_transactions" INDEXED BY "{index}"
    WHERE stripe_account = ? AND payout = ? GROUP BY reporting_category
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: milliseconds, transactions a second, bytes; `cpu` is of the loop's."""

    summary: float
    grouping: float
    reading: float
    loop: float
    growth: int
    cpu: float

    @property
    def met(self) -> bool:
        return (
            self.summary / self.grouping <= RATIO
            and self.reading / self.loop >= RATE
            and self.growth <= GROWTH_MIB * _MIB
        )


def transactions(payout: str, count: int) -> list[dict[str, Any]]:
    """A payout's transactions as Stripe shows them, newest first, its own among them."""
    shown = []
    for number in range(count - 1):
        refund = number % 10 == 9
        amount, fee = (-700, 0) if refund else (1_000 + number, 59)
        kind = "refund" if refund else "charge"
        shown.append(_shown(payout, number, kind, amount, fee))
    total = sum(one["net"] for one in shown)
    return [_shown(payout, count - 1, "payout", -total, 0), *shown[::-1]]


def _shown(payout: str, number: int, kind: str, amount: int, fee: int) -> dict[str, Any]:
    detail = {
        "amount": fee, "application": None, "currency": "usd",
        "description": "Stripe processing fees", "type": "stripe_fee",
    }  # fmt: skip
    return {
        "id": f"txn_{payout}{number:08}", "object": "balance_transaction", "amount": amount,
        "available_on": SECOND, "balance_type": "payments", "created": SECOND + number // 100,
        "currency": "usd", "description": f"Order {number}", "exchange_rate": None, "fee": fee,
        "fee_details": [detail] if fee else [], "net": amount - fee, "reporting_category": kind,
        "source": f"ch_{number:024}", "status": "available", "type": kind,
    }  # fmt: skip


def _serve(sizes: dict[str, int], pipe: Connection) -> None:
    uvloop.run(_serving(sizes, pipe))


async def _serving(sizes: dict[str, int], pipe: Connection) -> None:
    """Answer lists of balance transactions by payout until the pipe is closed."""
    pages: dict[tuple[str, str], bytes] = {}
    for payout, count in sizes.items():
        rows = transactions(payout, count)
        for start in range(0, count, PAGE):
            some = rows[start : start + PAGE]
            body = {
                "object": "list", "url": "/v1/balance_transactions", "data": some,
                "has_more": start + PAGE < count,
            }  # fmt: skip
            after = rows[start - 1]["id"] if start else ""
            pages[payout, after] = json.dumps(body).encode()

    async def page(request: web.Request) -> web.Response:
        key = request.query["payout"], request.query.get("starting_after", "")
        return web.Response(body=pages[key], content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/balance_transactions", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with contextlib.suppress(EOFError):
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()


@asynccontextmanager
async def standing_in(sizes: dict[str, int]) -> AsyncIterator[str]:
    """The stand-in's address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(sizes, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield await asyncio.to_thread(ours.recv)
    finally:
        ours.close()
        process.kill()


async def prepare(container: Container, sizes: dict[str, int]) -> None:
    """The account's connection, and its payouts, reconciled."""
    at = from_milliseconds(SECOND * 1_000)
    link = Link(CALLER.account, ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, at)
    await container.stores.connections().put(link)
    payouts = []
    for id_, count in sizes.items():
        own = transactions(id_, count)[0]
        payout = Payout(
            id_, at, Money(-own["amount"], "usd"), "paid", at, automatic=True,
            reconciliation_status="completed", balance_transaction=own["id"],
        )  # fmt: skip
        payouts.append((Snapshot(ACCOUNT, id_, Version.of_event(1), payout), 0))
    await container.mirror().replace(PAYOUTS, payouts)


async def warm(container: Container, count: int) -> None:
    """Fill what the store remembers: write another account's transactions, and list them."""
    mirror, version = container.mirror(), Version.of_event(1)
    rows = transactions("po_other", count)
    for start in range(0, count, PAGE):
        some = rows[start : start + PAGE]
        found = [BALANCE_TRANSACTION.observe(json.dumps(one), OTHERS, version) for one in some]
        await mirror.replace(BALANCE_TRANSACTIONS, [(each, 0) for each in found])

    async def read_all() -> None:
        after: Position | None = None
        while True:
            page = await mirror.list(
                BALANCE_TRANSACTIONS, OTHERS, Filter(), order=NEWEST_FIRST, after=after, limit=PAGE
            )
            after = page.next
            if after is None:
                return

    await asyncio.gather(*(read_all() for _ in range(8)))


async def use(container: Container, payout: str, count: int) -> None:
    """Read a payout, sum it up, and list all of it."""
    assert await container.payout_membership().read(ACCOUNT, payout, priority=Priority.BACKFILL)
    room: Payouts = container.rooms.payouts()
    summary = await room.summarize(CALLER, payout)
    assert sum(row.count for row in summary.rows) == count
    assert sum(row.net for row in summary.rows) == 0
    token, listed = "", 0
    while True:
        query = ListPayoutTransactions(payout, page_size=PAGE, page_token=token)
        page = await room.transactions(CALLER, query)
        listed, token = listed + len(page.items), page.next_page_token
        if not token:
            break
    assert listed == count


class Peak:
    """The highest resident memory, looked at every few milliseconds."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.bytes = 0

    async def of(self, work: Awaitable[None]) -> int:
        """The peak while some work is done."""
        self.bytes = 0
        watching = asyncio.create_task(self._watch())
        try:
            await work
        finally:
            watching.cancel()
        return max(self.bytes, self._process.memory_info().rss)

    async def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._process.memory_info().rss)
            await asyncio.sleep(0.005)


async def bare_loop(url: str, payout: str) -> None:
    """Read the same list as the SDK does it by itself, and do nothing with it."""
    client = stripe.StripeClient(
        PLATFORM_KEY, base_addresses={"api": url}, http_client=stripe.AIOHTTPClient()
    )
    try:
        page = await client.v1.balance_transactions.list_async(
            {"payout": payout, "limit": PAGE}, {"stripe_account": ACCOUNT}
        )
        async for _ in page.auto_paging_iter():
            pass
    finally:
        await close_client(client)


def floor_of(chosen: Settings, payout: str) -> tuple[Callable[[], int], Callable[[], None]]:
    """The database's own grouping over the same index, and what closes its connection."""
    if chosen.store == "mongo":
        client = pymongo.MongoClient[dict[str, Any]](chosen.mongo_url.get_secret_value())
        collection = client[chosen.mongo_database][BALANCE_TRANSACTIONS.collection]
        sums = {name: {"$sum": f"${name}"} for name in ("amount", "fee", "net")}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"stripe_account": ACCOUNT, "payout": payout}},
            {"$group": {"_id": "$reporting_category", "count": {"$sum": 1}, **sums}},
        ]
        hint = mirror_index(_COLUMNS)
        return lambda: len(list(collection.aggregate(pipeline, hint=hint))), client.close
    connection = sqlite3.connect(chosen.sqlite_path, check_same_thread=False)
    sql = _SQLITE_FLOOR.format(index=index_name(BALANCE_TRANSACTIONS, _COLUMNS))
    return lambda: len(connection.execute(sql, (ACCOUNT, payout)).fetchall()), connection.close


async def measure(chosen: Settings, url: str, sizes: dict[str, int], turns: int) -> Figures:
    """Memory first, in a process that has read nothing yet; then rates and times by turns."""
    few, many, *others = sizes
    async with opened(chosen) as container:
        await prepare(container, sizes)
        await warm(container, sizes[many])
        spare_the_collector()
        peak = Peak()
        at_first = await peak.of(use(container, few, sizes[few]))
        growth = await peak.of(use(container, many, sizes[many])) - at_first
        readings: list[float] = []
        loops: list[float] = []
        cpus: tuple[list[float], list[float]] = ([], [])
        for payout in others:
            reading = container.payout_membership().read(ACCOUNT, payout)
            for work, rates, cpu in ((bare_loop(url, payout), loops, cpus[0]),
                                     (reading, readings, cpus[1])):  # fmt: skip
                began = time.process_time()
                rates.append(await _rate(work, sizes[payout]))
                cpu.append(time.process_time() - began)
        room: Payouts = container.rooms.payouts()
        floor, close = floor_of(chosen, many)
        summaries, groupings = [], []
        try:
            for _ in range(turns + 1):
                summaries.append(await _taken(room.summarize(CALLER, many)))
                groupings.append(await _taken(asyncio.to_thread(floor)))
        finally:
            close()
    return Figures(
        statistics.median(summaries[1:]),
        statistics.median(groupings[1:]),
        statistics.median(readings),
        statistics.median(loops),
        growth,
        sum(cpus[1]) / sum(cpus[0]),
    )


async def _taken(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1_000


async def _rate(work: Awaitable[object], count: int) -> float:
    return count / (await _taken(work)) * 1_000


def _tell(console: Console, store: str, figures: Figures) -> None:
    ratio, rate = figures.summary / figures.grouping, figures.reading / figures.loop
    console.print(
        f"{store}: a summary {figures.summary:.2f} ms, the bare grouping"
        f" {figures.grouping:.2f}: {ratio:.2f} (wanted: {RATIO} or less)"
    )
    console.print(
        f"membership {figures.reading:,.0f} transactions a second, the bare loop"
        f" {figures.loop:,.0f}: {rate:.2f} (wanted: {RATE} or more),"
        f" with {figures.cpu:.2f} of its CPU"
    )
    growth = figures.growth / _MIB
    console.print(f"memory: {growth:.1f} MiB above that for {FEW} (wanted: {GROWTH_MIB} at most)")


def main() -> int:
    """Print the figures; 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=30)
    arguments = parser.parse_args()
    console = Console()
    console.print(machine())
    sizes = {"po_few": FEW} | {f"po_{n}": arguments.transactions for n in range(4)}

    async def run() -> Figures:
        async with standing_in(sizes) as url:
            with settings(
                arguments.store, stripe_url=url, stripe_requests_per_second=10_000
            ) as chosen:
                return await measure(chosen, url, sizes, arguments.turns)

    figures = uvloop.run(run())
    _tell(console, arguments.store, figures)
    return 0 if figures.met else 1


if __name__ == "__main__":
    sys.exit(main())
