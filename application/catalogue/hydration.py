"""Hydration: products and prices that the mirror lacks are read from Stripe when they are named.

However many ask for an object at once, it is looked up once. What Stripe knows nothing of is
remembered as a tombstone, so that nobody asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from application.background.tasks import Tasks
from application.catalogue.ports import ProductGateway
from application.mirror.nouns import PRICES, PRODUCTS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from domain.errors import BillingError
from domain.mirror import MirroredObject, Row
from domain.prices import Price
from domain.products import Product

T = TypeVar("T", bound=MirroredObject)
R = TypeVar("R")

AT_ONCE: Final = 100
"""How many ids one list of Stripe's may name."""

_EXPANDED: Final = frozenset({"tiers", "currency_options"})
"""What only a read tells of a price."""


class Hydration:
    """Gives rows of the mirror, read from Stripe first where it lacks them.

    Raises what `application.mirror.stripe` promises, and Unavailable (STORE_UNAVAILABLE).
    """

    def __init__(
        self, writer: MirrorWriter, products: ProductGateway, objects: ObjectReader, tasks: Tasks
    ) -> None:
        self._writer = writer
        self._products = products
        self._objects = objects
        self._tasks = tasks
        self._flights: dict[tuple[str, str, str], asyncio.Task[Any]] = {}

    async def products(self, stripe_account: str, ids: Sequence[str]) -> Mapping[str, Row[Product]]:
        """The rows of products, by their ids; tombstones of those that there are not.

        One that Stripe shows and that is not understood has none.
        """
        rows: dict[str, Row[Product]] = {}
        for flight in self._flown(PRODUCTS, stripe_account, ids, self._settle_products):
            rows |= await asyncio.shield(flight)
        return {id_: rows[id_] for id_ in dict.fromkeys(ids) if id_ in rows}

    async def price(self, stripe_account: str, price: str) -> Row[Price] | None:
        """The row of a price, whole where Stripe tells it now; a tombstone where there is none."""
        (flight,) = self._flown(PRICES, stripe_account, [price], self._settle_price)
        rows: Mapping[str, Row[Price]] = await asyncio.shield(flight)
        return rows.get(price)

    def _flown(
        self,
        noun: Noun[T],
        stripe_account: str,
        ids: Sequence[str],
        settle: Callable[[str, Sequence[str]], Awaitable[Mapping[str, Row[T]]]],
    ) -> Sequence[asyncio.Task[Mapping[str, Row[T]]]]:
        """The flights that settle the ids: those under way, and new ones for what is left.

        A flight looks into the mirror itself: whoever comes after its end finds the rows there.
        """
        keys = [(noun.name, stripe_account, id_) for id_ in dict.fromkeys(ids)]
        for batch in _batches([key for key in keys if key not in self._flights]):
            flight = self._tasks.spawn(_awaited(settle(stripe_account, [id_ for *_, id_ in batch])))
            for key in batch:
                self._flights[key] = flight
            flight.add_done_callback(partial(self._land, batch))
        return list(dict.fromkeys(self._flights[key] for key in keys))

    def _land(self, keys: Sequence[tuple[str, str, str]], _: asyncio.Task[Any]) -> None:
        for key in keys:
            del self._flights[key]

    async def _settle_products(
        self, stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[Product]]:
        rows = await self._rows(PRODUCTS, stripe_account, ids)
        missing = [id_ for id_ in ids if id_ not in rows or rows[id_].snapshot is None]
        if not missing:
            return rows
        await self._writer.observe(PRODUCTS, await self._products.read(stripe_account, missing))
        return {**rows, **await self._rows(PRODUCTS, stripe_account, missing)}

    async def _settle_price(
        self, stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[Price]]:
        rows = await self._rows(PRICES, stripe_account, ids)
        for price in ids:
            row = rows.get(price)
            if row is not None and not _lacks(row):
                continue
            try:
                read = await self._objects.read(
                    PRICES, stripe_account, price, not_before_ms=None, priority=Priority.CALLER
                )
            except BillingError:
                if row is None or row.snapshot is None:
                    raise
                continue  # what is known of it has to do
            await self._writer.observe(PRICES, [read])
        return await self._rows(PRICES, stripe_account, ids)

    async def _rows(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        found = await self._writer.rows(noun, [(stripe_account, id_) for id_ in ids])
        return {id_: row for (_, id_), row in found.items()}


def _lacks(row: Row[Price]) -> bool:
    """Whether a read would tell more of a price than its row does."""
    if row.snapshot is None:
        return True
    return row.snapshot.object is not None and not _EXPANDED.isdisjoint(row.snapshot.unknown)


def _batches(keys: Sequence[tuple[str, str, str]]) -> Sequence[Sequence[tuple[str, str, str]]]:
    return [keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE)]


async def _awaited(work: Awaitable[R]) -> R:
    return await work
