"""What a page of products with prices and subscribers costs, beside the bare page of products.

    python -m bench.catalogue [--store sqlite|mongo] [--products 10000] [--subscriptions 50000]
                              [--prices 1] [--rounds 200]

Products of one Stripe account have one price each, or two; every subscription is to one of them.
Each question is a page of 100. The floor is the same page by the mirror's port: products alone.
Floor and question take turns.
"""

import argparse
import datetime as dt
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from application.catalogue.commands import ListProducts
from application.mirror.nouns import PRICES, PRODUCTS, SUBSCRIPTIONS
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun
from application.requests.callers import Caller
from bench.opening import STORES, machine, settings, spare_the_collector
from bootstrap.containers.service import Container
from bootstrap.process import opened
from domain.connections import Connection, ConnectionKind, Mode
from domain.mirror import Snapshot, Version
from domain.prices import Price, Recurrence
from domain.products import Product
from domain.subscriptions import Subscription, SubscriptionItem

ACCOUNT: Final = "bench"
STRIPE_ACCOUNT: Final = "acct_bench"
START: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

CALLER: Final = Caller("bench", ACCOUNT, frozenset())
PAGE: Final = 100

_BATCH: Final = 1_000
_MONTHLY: Final = Recurrence("month", 1)
_STATUSES: Final = ("active",) * 7 + ("past_due", "trialing", "canceled")


def products(count: int) -> Iterator[Product]:
    """One a minute."""
    for number in range(count):
        made = START + dt.timedelta(minutes=number)
        yield Product(f"prod_{number:014}", made, f"Product {number}", number % 10 > 0)


def prices(count: int, kinds: str) -> Iterator[Price]:
    """One of each kind of each product."""
    for number in range(count):
        for kind in kinds:
            made = START + dt.timedelta(minutes=number)
            yield Price(
                f"price_{kind}{number:013}", made, f"prod_{number:014}", "usd", True, "recurring",
                900, "900", "per_unit", recurring=_MONTHLY,
            )  # fmt: skip


def subscriptions(count: int, of: int, kinds: str) -> Iterator[Subscription]:
    """Each of a price by chance; the same at every run."""
    dice = random.Random(7)
    for number in range(count):
        price = f"price_{dice.choice(kinds)}{dice.randrange(of):013}"
        item = SubscriptionItem(f"si_{number}", price, None, 1, "usd")
        yield Subscription(
            f"sub_{number:014}", START + dt.timedelta(seconds=number), f"cus_{number % 5_000}",
            dice.choice(_STATUSES), currency="usd", items=(item,),
        )  # fmt: skip


async def fill(mirror: Mirror, noun: Noun[Any], objects: Iterable[Any]) -> None:
    """Store the objects, a thousand at a time."""
    left = iter(objects)
    while batch := list(islice(left, _BATCH)):
        snapshots = [
            (Snapshot(STRIPE_ACCOUNT, each.id, Version.of_event(1), each), 0) for each in batch
        ]
        assert not await mirror.replace(noun, snapshots)


async def measure(container: Container, given: argparse.Namespace) -> Table:
    """Fill, then ask for pages in turns."""
    mirror = container.mirror()
    connection = Connection(ACCOUNT, STRIPE_ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, START)
    await container.stores.connections().put(connection)
    await fill(mirror, PRODUCTS, products(given.products))
    kinds = "my"[: given.prices]
    await fill(mirror, PRICES, prices(given.products, kinds))
    held = subscriptions(given.subscriptions, given.products, kinds)
    await fill(mirror, SUBSCRIPTIONS, held)
    catalogue = container.rooms.catalogue()

    async def bare() -> Sequence[Any]:
        page = await mirror.list(
            PRODUCTS, STRIPE_ACCOUNT, Filter(), order=NEWEST_FIRST, after=None, limit=PAGE
        )
        return list(page.rows)

    async def whole() -> Sequence[Any]:
        page = await catalogue.list_products(CALLER, ListProducts(page_size=PAGE))
        return list(page.items)

    asked: dict[str, Callable[[], Awaitable[Sequence[Any]]]] = {
        "products alone": bare, "with prices and subscribers": whole,
    }  # fmt: skip
    spare_the_collector()
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for _ in track(range(given.rounds), "pages"):
        for name, ask in asked.items():
            started = time.perf_counter()
            page = await ask()
            spent[name].append((time.perf_counter() - started) * 1e3)
            assert len(page) == PAGE
            if ask is whole:
                assert all(len(details.prices) == given.prices for details in page)
    return _table(spent, f"{given.products:,} products, {given.subscriptions:,} subscriptions")


def _table(spent: dict[str, list[float]], title: str) -> Table:
    table = Table(
        f"a page of {PAGE}", "ms (median)", "99 %", "of the floor", title=f"{title}; {machine()}"
    )
    floor = statistics.median(spent["products alone"])
    for name, times in spent.items():
        middle, late = statistics.median(times), statistics.quantiles(times, n=100)[-1]
        table.add_row(name, f"{middle:.2f}", f"{late:.2f}", f"{middle / floor:.2f}")
    return table


async def main(given: argparse.Namespace) -> None:
    """Measure one store."""
    with settings(given.store) as chosen:
        async with opened(chosen) as container:
            Console().print(await measure(container, given))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--subscriptions", type=int, default=50_000)
    parser.add_argument("--prices", type=int, choices=(1, 2), default=1)
    parser.add_argument("--rounds", type=int, default=200)
    uvloop.run(main(parser.parse_args()))
