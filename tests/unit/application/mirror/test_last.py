"""What is kept of a deleted object: its name, or what it cost."""

from itertools import permutations
from typing import Any

import pytest

from application.mirror.nouns import CUSTOMERS, PRICES, PRODUCTS
from application.mirror.ports import Noun
from application.mirror.writer import MirrorWriter
from domain.customers import Customer
from domain.mirror import LAST, Snapshot, Version
from domain.periods import to_milliseconds
from domain.prices import Price, Recurrence
from domain.products import Product
from tests.support.fakes.stores import NOON, FakeMirror

ACCOUNT = "acct_1"
MONTHLY = {"interval": "month", "interval_count": 1, "usage_type": "licensed", "meter": None}
PRICE = Price("x_1", NOON, "prod_1", "usd", True, "recurring", 500, "500", "per_unit",
              recurring=Recurrence("month", 1), nickname="Seat")  # fmt: skip


def told(found: Any, at: int = 1, **more: Any) -> Snapshot[Any]:
    return Snapshot(ACCOUNT, "x_1", Version.of_event(at), found, **more)


async def last_of(mirror: FakeMirror, noun: Noun[Any]) -> Any:
    row = (await mirror.fetch(noun, ACCOUNT, ["x_1"]))["x_1"]
    assert row.snapshot is not None
    assert row.snapshot.deleted
    return row.derived[LAST].values if LAST in row.derived else None


@pytest.mark.parametrize(
    ("noun", "found", "kept"),
    [
        (CUSTOMERS, Customer("x_1", NOON, "ada@example.com", "Ada"), {"name": "Ada"}),
        (PRODUCTS, Product("x_1", NOON, "Plan", True), {"name": "Plan"}),
        (
            PRICES,
            PRICE,
            {
                "product": "prod_1", "nickname": "Seat", "currency": "usd", "type": "recurring",
                "billing_scheme": "per_unit", "unit_amount": 500, "unit_amount_decimal": "500",
                "recurring": MONTHLY,
            },
        ),
    ],
)  # fmt: skip
async def test_a_deleted_object_still_has_a_name(noun: Noun[Any], found: Any, kept: Any) -> None:
    mirror = FakeMirror()
    await MirrorWriter(mirror).observe(noun, [told(found)])
    await MirrorWriter(mirror).observe(noun, [told(None, 10**14)])
    assert await last_of(mirror, noun) == kept
    await MirrorWriter(mirror).observe(noun, [told(None, 10**14 + 5)])
    assert await last_of(mirror, noun) == kept


async def test_what_was_not_known_is_not_kept() -> None:
    mirror = FakeMirror()
    unknown = frozenset({"name"})
    first = told(Product("x_1", NOON, "", True), unknown=unknown)
    await MirrorWriter(mirror).observe(PRODUCTS, [first])
    await MirrorWriter(mirror).observe(PRODUCTS, [told(None, 10**14)])
    assert await last_of(mirror, PRODUCTS) == {}


async def test_one_that_was_never_seen_has_none() -> None:
    mirror = FakeMirror()
    await MirrorWriter(mirror).observe(PRODUCTS, [told(None)])
    assert await last_of(mirror, PRODUCTS) is None


async def test_the_name_is_there_before_the_tombstone_is() -> None:
    steps: list[str] = []

    async def pause(where: str) -> None:
        steps.append(where)

    mirror = FakeMirror(pause)
    await MirrorWriter(mirror).observe(PRODUCTS, [told(Product("x_1", NOON, "Plan", True))])
    steps.clear()
    await MirrorWriter(mirror).observe(PRODUCTS, [told(None, 10**14)])
    assert [step for step in steps if step in ("mirror.derive", "mirror.replace")][::2] == [
        "mirror.derive", "mirror.replace",
    ]  # fmt: skip


@pytest.mark.parametrize("order", [*permutations(range(3))])
async def test_the_order_of_arrival_does_not_matter(order: tuple[int, ...]) -> None:
    """Two states of one second, of which one followed the other, and the deletion after both."""
    first, second = (Product("x_1", NOON, name, True) for name in ("Old", "New"))
    at = to_milliseconds(NOON) + 5_000
    observations = [told(first, at), told(second, at, befores=(first,)), told(None, at + 1_000)]
    mirror = FakeMirror()
    for number in order:
        await MirrorWriter(mirror).observe(PRODUCTS, [observations[number]])
    assert await last_of(mirror, PRODUCTS) == {"name": "New"}
    mirror = FakeMirror()
    await MirrorWriter(mirror).observe(PRODUCTS, [observations[number] for number in order])
    assert await last_of(mirror, PRODUCTS) == {"name": "New"}
