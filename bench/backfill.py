"""How fast an account's history is backfilled and reconciled, against the SDK's own loop.

    python -m bench.backfill [--objects 100000] [--store sqlite|mongo]

Customers, charges, refunds, payment intents, balance transactions, invoices with lines and their
payments, subscriptions with items, products and prices: copies of a recorded history, shown by a
stand-in for Stripe in a process of its own, whose load is printed. Two bare loops read the same
pages and do nothing with them: the SDK's auto-paging, as it is used, and raw requests whose JSON is
decoded. Then the mirror is spoilt in a hundred places, and reconciled with repair.

Each loop reads half of the lists before the service's turn and half after it, so that what else the
machine does falls on both.
"""

import argparse
import asyncio
import json
import resource
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import psutil
import pymongo
import stripe
import uvloop
from rich.console import Console
from typing_extensions import override

from application.mirror.nouns import CHARGES, CUSTOMERS, INVOICES, NOUNS, PAYMENT_INTENTS
from application.mirror.ports import Noun
from application.upkeep.ports import Report
from bench.histories import History, record
from bench.opening import PLATFORM_KEY, STORES, machine, settings, spare_the_collector
from bench.pages import RunningPages, pages
from bootstrap.containers.service import Container
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.mirror import Row, Snapshot
from infrastructure.stripe.core.shapes import Translation
from infrastructure.stripe.translations import TRANSLATIONS
from sandbox.emulator.running import close_client

S = TypeVar("S")

WANTED: Final = 0.7
WANTED_GROWTH_MIB: Final = 20
SETTLED: Final = 0.2
"""From which part of a run on its memory must not grow any more."""

REQUESTS_A_SECOND: Final = 10_000
LIMIT_SECONDS: Final = 900.0
EACH: Final = 20
"""How many rows of a noun are spoilt."""

_SPOILT: Final[Mapping[Noun[Any], Mapping[str, Any]]] = {
    CHARGES: {"description": "spoilt"},
    CUSTOMERS: {"name": "spoilt"},
    INVOICES: {"lines": ()},
}
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """What one reading of the account took.

    `cpu` is this process's, `served` the stand-in's; all three are seconds. `growth` is the
    resident memory's, in bytes, from SETTLED to the end.
    """

    name: str
    objects: int
    seconds: float
    cpu: float
    served: float
    growth: int = 0

    def of(self, floor: "Figures") -> str:
        """How it compares with a floor: its rate, and its CPU an object."""
        rate = self.objects / self.seconds / (floor.objects / floor.seconds)
        cpu = self.cpu / self.objects / (floor.cpu / floor.objects)
        return f"{rate:.2f} of the rate of {floor.name}, with {cpu:.2f} of its CPU"

    @override
    def __str__(self) -> str:
        return (
            f"{self.name}: {self.objects / self.seconds:,.0f} objects a second,"
            f" {self.cpu * 1e6 / self.objects:.0f} us CPU each; the stand-in was busy for"
            f" {self.served / self.seconds:.0%} of the time"
        )


class Meter:
    """Measures one reading of the account."""

    def __init__(self, shown: RunningPages) -> None:
        self._shown = shown
        self._process = psutil.Process()
        self._settled: int | None = None
        self._last = 0
        spare_the_collector()
        self._began = self._now()

    def look(self, part: float) -> None:
        """Look at the memory, once SETTLED of the objects are read."""
        if part >= SETTLED:
            self._last = self._process.memory_info().rss
            self._settled = self._last if self._settled is None else self._settled

    def figures(self, name: str, objects: int) -> Figures:
        """What it took until now to read so many objects."""
        seconds, cpu, served = (
            now - then for now, then in zip(self._now(), self._began, strict=True)
        )
        growth = self._last - (self._settled or 0)
        return Figures(name, objects, seconds, cpu, served, growth)

    def _now(self) -> tuple[float, float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), usage.ru_utime + usage.ru_stime, self._shown.cpu_seconds()


# --- the floors -----------------------------------------------------------------------------------

_Loop = Callable[[stripe.StripeClient, str, str, Mapping[str, str]], Awaitable[int]]


async def usual(
    sdk: stripe.StripeClient, account: str, path: str, narrowed: Mapping[str, str]
) -> int:
    """Read a list to its end as the SDK is used; how many objects it had."""
    service: Any = getattr(sdk.v1, path.removeprefix("/v1/"))
    page = await service.list_async({"limit": 100, **narrowed}, {"stripe_account": account})
    count = 0
    async for _ in page.auto_paging_iter():
        count += 1
    return count


async def cheapest(
    sdk: stripe.StripeClient, account: str, path: str, narrowed: Mapping[str, str]
) -> int:
    """The same as plain data, without the SDK's objects."""
    after: dict[str, str] = {}
    count, more = 0, True
    while more:
        answer = await sdk.raw_request_async(
            "get", path, stripe_account=account, limit=100, **narrowed, **after
        )
        page = json.loads(answer.body)
        more = page["has_more"]
        count += len(page["data"])
        after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
    return count


async def bare(
    name: str, loop: _Loop, shown: RunningPages, account: str, half: Sequence[Translation[Any, Any]]
) -> Figures:
    """Read some of the lists by a bare loop."""
    sdk = stripe.StripeClient(
        PLATFORM_KEY, http_client=stripe.AIOHTTPClient(), base_addresses={"api": shown.url}
    )
    meter, count = Meter(shown), 0
    for listed in half:
        count += await loop(sdk, account, listed.path, listed.list_all)
    figures = meter.figures(name, count)
    await close_client(sdk)
    return figures


async def floors(shown: RunningPages, account: str, start: int) -> list[Figures]:
    """Every other list, from the first or the second one on, by both loops."""
    lists = [one for one in TRANSLATIONS.values() if not one.is_account]
    return [
        await bare(name, loop, shown, account, lists[start::2])
        for name, loop in (("the SDK's lists", usual), ("raw requests", cheapest))
    ]


def _joined(one: Figures, other: Figures) -> Figures:
    return Figures(
        one.name,
        one.objects + other.objects,
        one.seconds + other.seconds,
        one.cpu + other.cpu,
        one.served + other.served,
    )


# --- the service ----------------------------------------------------------------------------------


async def backfill(
    container: Container, shown: RunningPages, account: str, objects: int
) -> Figures:
    """Bring every object into the mirror."""
    meter = Meter(shown)
    last = await _last(
        container.backfill().run(account), lambda progress: meter.look(progress.read / objects)
    )
    figures = meter.figures("backfill", objects)
    _must(last.finished and last.read == objects + 1, f"backfill: {last}")  # and the account itself
    counts = [await container.mirror().count(noun, account) for noun in NOUNS]
    _must(sum(counts) == objects + 1, f"the mirror holds {sum(counts)} rows")
    return figures


async def reconcile(
    container: Container, shown: RunningPages, account: str, objects: int, *, repair: bool = False
) -> tuple[Figures, Report]:
    """Compare every object with the mirror."""
    meter = Meter(shown)
    last = await _last(
        container.reconciliation().run(account, repair=repair),
        lambda compared: meter.look(compared.compared / objects),
    )
    name = "reconcile with repair" if repair else "reconcile"
    figures, report = meter.figures(name, objects), last.report
    if report is None:
        raise RuntimeError("the reconciliation does not end")
    compared = sum(counts.compared for counts in report.counts)
    _must(compared == objects + 1, f"reconcile: compared {compared}")
    return figures, report


async def _last(steps: AsyncGenerator[S, None], look: Callable[[S], None]) -> S:
    """Go to the end; what was said last."""
    last: S | None = None
    async with aclosing(steps):
        async for last in steps:
            look(last)
    if last is None:
        raise RuntimeError("nothing was done")
    return last


# --- drift ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What was done to the mirror: the rows as they were, by noun, and ids that never existed."""

    rows: Mapping[Noun[Any], Mapping[str, Row[Any]]]
    invented: Sequence[str]


async def spoil(container: Container, chosen: Settings, history: History, copies: int) -> Spoilt:
    """Change 60 rows behind the mirror's back, lose 20, invent 20."""
    mirror, account = container.mirror(), history.account
    numbers = range(0, copies, max(1, copies // EACH))[:EACH]
    rows: dict[Noun[Any], Mapping[str, Row[Any]]] = {}
    for noun in (*_SPOILT, PAYMENT_INTENTS):
        ids = [history.objects[noun.name][0].copied_id(number) for number in numbers]
        rows[noun] = await mirror.fetch(noun, account, ids)
    for noun, change in _SPOILT.items():
        lost = await mirror.replace(noun, [_changed(row, change) for row in rows[noun].values()])
        _must(not lost, "a row could not be spoilt")
    like = next(iter(rows[CUSTOMERS].values())).snapshot
    invented = [f"cus_invented{number:03d}" for number in range(len(numbers))]
    if like is None or like.object is None:
        raise RuntimeError("a customer is not mirrored")
    await mirror.replace(
        CUSTOMERS,
        [(replace(like, id=id_, object=replace(like.object, id=id_)), 0) for id_ in invented],
    )
    _lose(chosen, PAYMENT_INTENTS.collection, list(rows[PAYMENT_INTENTS]))
    return Spoilt(rows, invented)


def _changed(row: Row[Any], change: Mapping[str, Any]) -> tuple[Snapshot[Any], int]:
    snapshot = row.snapshot
    if snapshot is None or snapshot.object is None:
        raise RuntimeError(f"{row.id} is not mirrored")
    return replace(snapshot, object=replace(snapshot.object, **change)), row.revision


def _lose(chosen: Settings, collection: str, ids: Sequence[str]) -> None:
    """Delete rows as a slip of an operator's would: no port does that."""
    if chosen.store == "sqlite":
        with closing(sqlite3.connect(chosen.sqlite_path)) as file, file:
            statement = f'DELETE FROM "{collection}" WHERE id = ?'  # noqa: S608 - a declared name
            file.executemany(statement, [(id_,) for id_ in ids])
        return
    with pymongo.MongoClient[dict[str, Any]](chosen.mongo_url.get_secret_value()) as client:
        client[chosen.mongo_database][collection].delete_many({"id": {"$in": ids}})


async def check_mended(container: Container, account: str, spoilt: Spoilt, report: Report) -> str:
    """That all was found and is as it was before; the counts in words."""
    mirror = container.mirror()
    for noun, rows in spoilt.rows.items():
        now = await mirror.fetch(noun, account, list(rows))
        for id_, row in rows.items():
            before, after = row.snapshot, now[id_].snapshot
            same = before and after and (before.object, before.unknown) == (
                after.object, after.unknown
            )  # fmt: skip
            _must(bool(same), f"{id_} is not mended")
    gone = await mirror.fetch(CUSTOMERS, account, spoilt.invented)
    _must(all(row.snapshot and row.snapshot.deleted for row in gone.values()), "an invention lives")
    each = len(spoilt.invented)
    found = [
        sum(getattr(counts, name) for counts in report.counts)
        for name in ("different", "missing", "extra", "repaired")
    ]
    _must(found == [3 * each, each, each, 5 * each], f"found and mended: {found}")
    different, missing, extra, repaired = found
    return (
        f"spoilt {5 * each} rows: found {different} different, {missing} missing, {extra} extra;"
        f" mended {repaired}"
    )


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RuntimeError(otherwise)


# --- all together ---------------------------------------------------------------------------------


async def measure(
    chosen: Settings, shown: RunningPages, history: History, copies: int, console: Console
) -> None:
    """Backfill, reconcile, spoil, mend, with half of the floors before and after; print."""
    account, objects = history.account, copies * history.size
    async with asyncio.timeout(LIMIT_SECONDS):
        before = await floors(shown, account, 0)
        async with opened(chosen) as container:
            readings = [await backfill(container, shown, account, objects)]
            figures, report = await reconcile(container, shown, account, objects)
            readings.append(figures)
            _must(report.drifted == 0, f"a fresh backfill has drift: {report.counts}")
            spoilt = await spoil(container, chosen, history, copies)
            figures, report = await reconcile(container, shown, account, objects, repair=True)
            readings.append(figures)
            mended = await check_mended(container, account, spoilt, report)
        after = await floors(shown, account, 1)
    whole = [_joined(*halves) for halves in zip(before, after, strict=True)]
    for floor in whole:
        _must(floor.objects == objects, f"{floor.name}: read {floor.objects} of {objects} objects")
    nouns = sum(bool(found) for found in history.objects.values())
    console.print(
        f"{chosen.store}, {objects:,} objects of {nouns} nouns; no drift after a backfill;"
        f" {machine()}"
    )
    for reading in (*whole, *readings):
        console.print(str(reading))
    for reading in readings:
        console.print(
            f"{reading.name}: {'; '.join(map(reading.of, whole))} (wanted: {WANTED} of the former's"
            f" rate); memory from {SETTLED:.0%} on: {reading.growth / _MIB:+.1f} MiB (wanted: below"
            f" {WANTED_GROWTH_MIB})"
        )
    console.print(mended)


def run(store: str, objects: int, console: Console) -> None:
    """Record a history, show it, measure."""
    history = uvloop.run(record())
    copies = -(-objects // history.size)
    with (
        pages(history, copies) as shown,
        settings(
            store, stripe_url=shown.url, stripe_requests_per_second=REQUESTS_A_SECOND
        ) as chosen,
    ):
        uvloop.run(measure(chosen, shown, history, copies, console))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    arguments = parser.parse_args()
    run(arguments.store, arguments.objects, Console(soft_wrap=True))
