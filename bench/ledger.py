"""What the ledger costs a wallet's entry, beside the barest insert of the same documents.

    python -m bench.ledger [--store sqlite|mongo] [--entries 6400] [--rounds 3]

The floor inserts documents that are made up beforehand, with the same columns, indexes and
durability: on SQLite one write a document, so that those of 64 share commits; on MongoDB ordered
bulks of 64. The ledger's 64 spenders each wait for their answer. Floor and ledger take turns, and
the best round of each counts. Then: 1,000 wallets beside single inserts for as many; two processes
on one wallet (MongoDB); how long a spender waits; the balance after many entries beside that after
a hundred.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Final
from uuid import uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from application.wallet.ports import Journal
from bench.opening import STORES, machine, settings, spare_the_collector
from bootstrap.containers.service import Container
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.ledger import decide
from domain.ledger_commands import Command, PostGrant, PostUsage
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Appended, References
from domain.wallets import Wallet
from infrastructure.clock import SystemClock
from infrastructure.documents import to_builtins, to_json
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.journal import INDEXES
from infrastructure.sqlite.core.database import Database as SqliteDatabase

SPENDERS: Final = 64
WALLETS: Final = 1_000
_CLOCK: Final = SystemClock()
_BARE: Final = "bare_entries"
_ACTOR: Final = "service/bench"
_HASH: Final = "0" * 64

_SQLITE_BARE: Final = (
    f'CREATE TABLE IF NOT EXISTS "{_BARE}" (wallet TEXT NOT NULL, sequence INTEGER NOT NULL,'
    " key TEXT NOT NULL, reference TEXT NOT NULL, document TEXT NOT NULL,"
    " UNIQUE (wallet, sequence), UNIQUE (wallet, key))"
)
_SQLITE_INSERT: Final = (
    f'INSERT INTO "{_BARE}" (wallet, sequence, key, reference, document) VALUES (?, ?, ?, ?, ?)'  # noqa: S608 - no value of anybody's
)


def grant(amount: int = 1_000_000_000) -> PostGrant:
    """Credit to spend."""
    return PostGrant(
        key=f"grant:{uuid4().hex}",
        payload_hash=_HASH,
        actor=_ACTOR,
        at=_CLOCK.now(),
        amount=amount,
    )


def usage() -> PostUsage:
    """A text message."""
    return PostUsage(
        key=f"debit:{uuid4().hex}",
        payload_hash=_HASH,
        actor=_ACTOR,
        at=_CLOCK.now(),
        details={"service": "sms", "unit_price": "0.0079"},
        exact=790_000,
        quantity=1,
    )


def debits(count: int) -> list[Command]:
    """As many text messages."""
    return [usage() for _ in range(count)]


def made_up(wallet: Wallet, count: int) -> list[Entry]:
    """Entries as the ledger makes them, for the floor."""
    commands: list[Command] = [grant(), *(usage() for _ in range(count - 1))]
    outcomes = decide(wallet, None, References(), commands)
    return [outcome.entry for outcome in outcomes if isinstance(outcome, Appended)]


class Floor:
    """The barest insert of either store."""

    def __init__(self, database: SqliteDatabase | MongoDatabase) -> None:
        self._database = database
        self.waits: list[float] = []
        """How long each insert took, in seconds."""

    async def prepare(self) -> None:
        """Make the table or the indexes."""
        if isinstance(self._database, SqliteDatabase):
            await self._database.write(lambda sqlite: sqlite.execute(_SQLITE_BARE).close())
        else:
            (indexes,) = INDEXES.values()
            await self._database.create_indexes({_BARE: indexes})

    async def hot(self, entries: Sequence[Entry]) -> None:
        """One wallet: on SQLite 64 that write one by one, on MongoDB ordered bulks of 64."""
        database = self._database
        if isinstance(database, MongoDatabase):
            bare = database.collection(_BARE)
            for start in range(0, len(entries), SPENDERS):
                documents = [_document(entry) for entry in entries[start : start + SPENDERS]]
                self.waits.append((await timed(bare.insert_in_order(documents)))[0])
            return
        await self.each(entries)

    async def each(self, entries: Sequence[Entry]) -> None:
        """One insert an entry, 64 at once."""
        waiting = iter(entries)

        async def insert() -> None:
            for entry in waiting:
                self.waits.append((await timed(self._insert(entry)))[0])

        await asyncio.gather(*(insert() for _ in range(SPENDERS)))

    async def _insert(self, entry: Entry) -> None:
        database = self._database
        if isinstance(database, MongoDatabase):
            await database.collection(_BARE).insert_one(_document(entry))
            return
        document = to_json(entry).decode()
        values = (entry.wallet, entry.sequence, entry.key, entry.reference, document)
        await database.write(lambda sqlite: sqlite.execute(_SQLITE_INSERT, values).close())


def _document(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = to_builtins(entry)
    return document | {"_id": f"{entry.wallet}/{entry.sequence}"}


async def timed(work: Awaitable[object]) -> tuple[float, float]:
    """Seconds, and seconds of this process's CPU."""
    started, spent = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - started, time.process_time() - spent


async def spend(
    journals: Sequence[Journal],
    wallets: Sequence[Wallet],
    commands: Sequence[Command],
    waits: list[float],
) -> None:
    """64 spenders that each wait for their answer, on one wallet or one after another on many."""
    asked = iter(enumerate(commands))

    async def spender(journal: Journal) -> None:
        for turn, command in asked:
            started = time.perf_counter()
            (outcome,) = await journal.append(wallets[turn % len(wallets)], [command])
            waits.append(time.perf_counter() - started)
            if not isinstance(outcome, Appended):
                raise TypeError("a debit was not appended")

    await asyncio.gather(*(spender(journals[n % len(journals)]) for n in range(SPENDERS)))


async def commit_seconds(floor: Floor, name: str) -> float:
    """How long one insert alone takes, in the median: a commit."""
    entries = made_up(Wallet(name, None, "usd"), 50)
    return statistics.median([(await timed(floor.each([entry])))[0] for entry in entries])


async def measure(container: Container, other: Container, count: int, rounds: int) -> Table:
    """Everything, floor and ledger in turns."""
    database = container.stores.database()
    journal, second = container.stores.journal(), other.stores.journal()
    floor, names = Floor(database), (f"w{number}" for number in itertools.count())
    await floor.prepare()
    spare_the_collector()
    best: dict[str, tuple[float, float]] = {}
    waits: list[float] = []
    bare_waits: list[float] = []

    def keep(what: str, seconds: tuple[float, float]) -> None:
        now = best.get(what, seconds)
        best[what] = (min(now[0], seconds[0]), min(now[1], seconds[1]))

    for _ in range(rounds):
        wallet = Wallet(next(names), None, "usd")
        await journal.append(wallet, [grant()])
        bare = made_up(Wallet(next(names), None, "usd"), count)
        floor.waits.clear()
        keep("bare hot", await timed(floor.hot(bare)))
        bare_waits = [*floor.waits]
        waits.clear()
        keep("hot", await timed(spend([journal], [wallet], debits(count), waits)))
        keep("two", await timed(spend([journal, second], [wallet], debits(count), [])))
        many = [Wallet(next(names), None, "usd") for _ in range(WALLETS)]
        for one in many:
            await journal.append(one, [grant()])
        pairs = [made_up(Wallet(next(names), None, "usd"), 2) for _ in range(count // 2)]
        keep("bare many", await timed(floor.each([*itertools.chain.from_iterable(pairs)])))
        keep("many", await timed(spend([journal], many, debits(count), [])))
    commit = await commit_seconds(floor, next(names))
    table = Table(
        "64 spenders", "a second", "of the floor", "CPU us", "of the floor", title=machine()
    )
    for what, key, of in (
        ("bare inserts for one wallet", "bare hot", "bare hot"),
        ("one hot wallet", "hot", "bare hot"),
        ("two processes on one hot wallet, of one", "two", "hot"),
        ("bare single inserts for many wallets", "bare many", "bare many"),
        (f"{WALLETS:,} wallets", "many", "bare many"),
    ):
        (seconds, cpu), (floor_seconds, floor_cpu) = best[key], best[of]
        table.add_row(
            what,
            f"{count / seconds:,.0f}",
            f"{floor_seconds / seconds:.2f}",
            f"{cpu / count * 1e6:.0f}",
            f"{cpu / floor_cpu:.2f}",
        )
    for what, times in (("the ledger", waits), ("the floor", bare_waits)):
        late = statistics.quantiles(times, n=100)[-1]
        table.add_row(f"p99 of {what}", f"{late * 1e3:.1f} ms", f"{late / commit:.1f} commits")
    table.add_row("a commit alone", f"{commit * 1e3:.1f} ms")
    return table


async def balances(journal: Journal, entries: int, reads: int = 2_000) -> Table:
    """The balance of a wallet after a hundred entries, and after many, in turns."""
    short, long = Wallet("short", None, "usd"), Wallet("long", None, "usd")
    for wallet, count in ((short, 100), (long, entries)):
        await journal.append(wallet, [grant()])
        for start in range(1, count, 256):
            await journal.append(wallet, [usage() for _ in range(min(256, count - start))])
    spent: dict[str, list[float]] = {"short": [], "long": []}
    for _ in range(reads):
        for name, times in spent.items():
            times.append((await timed(journal.head(name)))[0])
    first, last = (statistics.median(times) for times in spent.values())
    table = Table("the balance", "us (median)", "of the first")
    table.add_row("after 100 entries", f"{first * 1e6:.0f}", "1.00")
    table.add_row(f"after {entries:,}", f"{last * 1e6:.0f}", f"{last / first:.2f}")
    return table


async def main(chosen: Settings, count: int, rounds: int, entries: int, console: Console) -> None:
    """Measure one store; where it has a second process, that is a second container."""
    async with opened(chosen) as container:
        if chosen.store == "sqlite":  # one process only: it is its own second
            console.print(await measure(container, container, count, rounds))
        else:
            async with opened(chosen) as other:
                console.print(await measure(container, other, count, rounds))
        console.print(await balances(container.stores.journal(), entries))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--entries", type=int, default=6_400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--balance", type=int, default=100_000, help="entries of the long wallet")
    given = parser.parse_args()
    with settings(given.store) as chosen:
        uvloop.run(main(chosen, given.entries, given.rounds, given.balance, Console()))
