"""What a page of a search costs, beside a page of the plain list.

    python -m bench.search [--store sqlite|mongo] [--customers 100000] [--rounds 200]

Customers of one Stripe account, with the names and numbers of a small town: a few first names are
very common. Each question is a page of 50 by the mirror's port. The floor is the newest page of the
list, which reads as many rows and searches nothing; floor and questions take turns.
"""

import argparse
import datetime as dt
import random
import statistics
import time
from collections.abc import Iterator
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from bench.opening import STORES, machine, settings, spare_the_collector
from bootstrap.containers.service import Container
from bootstrap.process import opened
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from domain.search import readings_of

ACCOUNT: Final = "acct_bench"
START: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_BATCH: Final = 1_000
_PAGE: Final = 50

QUESTIONS: Final = {
    "one letter, a third of all": "a",
    "a common first name": "anna",
    "first and last name": "anna schmi",
    "two letters of each": "an sc",
    "two common words, no hit": "anna bob",
    "an address of mail": "anna.schmidt.77@example.com",
    "the beginning of a number": "+1 415 555 01",
    "nobody": "zzyzx",
}
_FIRST: Final = (
    "anna adam alice amir ben bob carla chen dora emil fay gita hugo ivy jan kim".split()
)
_LAST: Final = (
    "schmidt smith jones garcia kumar sato muller rossi novak silva haddad okafor".split()
)


def customers(count: int) -> Iterator[Customer]:
    """One a minute, the same at every run."""
    dice = random.Random(7)
    for number in range(count):
        first, last = dice.choice(_FIRST), dice.choice(_LAST)
        yield Customer(
            f"cus_{number:014}",
            START + dt.timedelta(minutes=number),
            email=f"{first}.{last}.{number}@example.com",
            name=f"{first} {last}".title(),
            phone=f"+1 415 555 {dice.randrange(10_000):04}",
        )


async def fill(mirror: Mirror, count: int) -> float:
    """Store the customers; microseconds of wall time each."""
    found, spent = customers(count), 0.0
    for _ in track(range(-(-count // _BATCH)), f"{count:,} customers"):
        batch = [
            (Snapshot(ACCOUNT, one.id, Version.of_event(1), one), 0)
            for one, _ in zip(found, range(_BATCH), strict=False)
        ]
        started = time.perf_counter()
        assert not await mirror.replace(CUSTOMERS, batch)
        spent += time.perf_counter() - started
    return spent / count * 1e6


async def newest(mirror: Mirror) -> int:
    """The floor: a page of the list."""
    page = await mirror.list(
        CUSTOMERS, ACCOUNT, Filter(), order=NEWEST_FIRST, after=None, limit=_PAGE
    )
    return len(page.rows)


async def found(mirror: Mirror, query: str) -> int:
    """A page of a search."""
    page = await mirror.search(CUSTOMERS, ACCOUNT, readings_of(query), after=None, limit=_PAGE)
    return len(page.rows)


async def measure(container: Container, count: int, rounds: int) -> Table:
    """Fill, then ask everything in turns."""
    mirror = container.mirror()
    each = await fill(mirror, count)
    spare_the_collector()
    spent: dict[str, list[float]] = {name: [] for name in ("floor", *QUESTIONS)}
    hits: dict[str, int] = {}
    for _ in track(range(rounds), "questions"):
        for name in spent:
            started = time.perf_counter()
            ask = newest(mirror) if name == "floor" else found(mirror, QUESTIONS[name])
            hits[name] = await ask
            spent[name].append((time.perf_counter() - started) * 1e3)
    floor = statistics.median(spent["floor"])
    title = f"{count:,} customers, written in {each:.0f} us each; {machine()}"
    table = Table("a page of 50", "rows", "ms (median)", "99 %", "of the floor", title=title)
    for name, times in spent.items():
        middle, late = statistics.median(times), statistics.quantiles(times, n=100)[-1]
        table.add_row(
            name, str(hits[name]), f"{middle:.2f}", f"{late:.2f}", f"{middle / floor:.2f}"
        )
    return table


async def main(store: str, count: int, rounds: int) -> None:
    """Measure one store."""
    with settings(store) as chosen:
        async with opened(chosen) as container:
            Console().print(await measure(container, count, rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    uvloop.run(main(given.store, given.customers, given.rounds))
