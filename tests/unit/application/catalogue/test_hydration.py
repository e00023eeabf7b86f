"""What the mirror lacks is read from Stripe: once however many ask; a 404 is remembered."""

import asyncio
from collections.abc import Sequence

import pytest

from application.background.tasks import Tasks
from application.catalogue.hydration import Hydration
from application.mirror.nouns import PRICES, PRODUCTS
from application.mirror.writer import MirrorWriter
from domain.errors import Reason, Unavailable
from domain.mirror import Snapshot, Version
from domain.prices import Price
from domain.products import Product
from tests.support.fakes.catalogue import FakeProducts
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror

OURS = "acct_1"
AWAY = Unavailable(Reason.STRIPE_UNAVAILABLE, "away")


def product(id_: str) -> Product:
    return Product(id_, NOON, f"Name of {id_}", True)


def price(**more: object) -> Price:
    return Price("price_1", NOON, "prod_1", "usd", True, "recurring", **more)  # type: ignore[arg-type]  # as given


class Desk:
    """Hydration over a mirror in memory, beside a Stripe that has 250 products and a price."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.mirror = FakeMirror()
        self.writer = MirrorWriter(self.mirror)
        self.products = FakeProducts(self.clock, {f"p{n}": product(f"p{n}") for n in range(250)})
        self.objects = FakeObjects(self.clock, lambda id_: price() if id_ == "price_1" else None)
        self.hydration = Hydration(self.writer, self.products.gateway, self.objects, Tasks())

    async def names(self, ids: Sequence[str], account: str = OURS) -> list[str | None]:
        rows = await self.hydration.products(account, ids)
        snapshots = [rows[id_].snapshot for id_ in ids]
        return [one.object.name if one and one.object else None for one in snapshots]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_hundred_callers_of_sixty_names_are_one_request(desk: Desk) -> None:
    ids = [f"p{n}" for n in range(60)]
    told = await asyncio.gather(*(desk.names(ids) for _ in range(100)))
    assert told == [[f"Name of {id_}" for id_ in ids]] * 100
    assert [*map(sorted, desk.products.requests)] == [sorted(ids)]
    assert await desk.names(ids) == told[0]
    assert len(desk.products.requests) == 1


async def test_whoever_asks_for_some_of_them_waits_for_the_same_flight(desk: Desk) -> None:
    await asyncio.gather(desk.names(["p1", "p2"]), desk.names(["p2", "p3"]), desk.names(["p1"]))
    assert desk.products.requests == [["p1", "p2"], ["p3"]]


async def test_a_list_names_a_hundred_at_most(desk: Desk) -> None:
    await desk.names([f"p{n}" for n in range(250)])
    assert [len(ids) for ids in desk.products.requests] == [100, 100, 50]


async def test_what_there_is_not_is_remembered_in_its_account_alone(desk: Desk) -> None:
    assert await desk.names(["none"]) == [None]
    assert await desk.names(["none"]) == [None]
    assert len(desk.products.requests) == 1
    snapshot = desk.mirror.rows[PRODUCTS.name, OURS, "none"].snapshot
    assert snapshot is not None
    assert snapshot.deleted
    await desk.names(["none"], "acct_2")
    assert len(desk.products.requests) == 2


async def test_a_failure_is_everybodys_who_waits_and_nobodys_who_comes_later(desk: Desk) -> None:
    desk.products.error = AWAY
    told = await asyncio.gather(*(desk.names(["p1"]) for _ in range(5)), return_exceptions=True)
    assert told == [AWAY] * 5
    assert len(desk.products.requests) == 1
    desk.products.error = None
    assert await desk.names(["p1"]) == ["Name of p1"]


async def test_a_caller_who_leaves_takes_nobody_along(desk: Desk) -> None:
    goes_on = asyncio.Event()

    async def wait(_: str) -> None:
        await goes_on.wait()

    desk.products.pause = wait
    first, second = (asyncio.ensure_future(desk.names(["p1"])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    goes_on.set()
    assert await second == ["Name of p1"]
    assert len(desk.products.requests) == 1


async def test_a_price_is_read_where_only_a_read_tells_all_of_it(desk: Desk) -> None:
    for _ in range(2):
        row = await desk.hydration.price(OURS, "price_1")
        assert row is not None
        assert row.snapshot is not None
    assert desk.objects.reads == ["price_1"]
    unknown = frozenset({"currency_options"})
    event = Snapshot("acct_2", "price_1", Version.of_event(1), price(), unknown)
    await desk.writer.observe(PRICES, [event])
    row = await desk.hydration.price("acct_2", "price_1")
    assert row is not None
    assert row.snapshot is not None
    assert not row.snapshot.unknown
    assert (await desk.hydration.price(OURS, "gone")) is not None
    assert len(desk.objects.reads) == 3


async def test_what_is_known_of_a_price_has_to_do_while_stripe_is_away(desk: Desk) -> None:
    unknown = frozenset({"tiers"})
    await desk.writer.observe(
        PRICES, [Snapshot(OURS, "price_1", Version.of_event(1), price(), unknown)]
    )
    desk.objects.error = AWAY
    row = await desk.hydration.price(OURS, "price_1")
    assert row is not None
    assert row.snapshot is not None
    assert row.snapshot.unknown == unknown
    with pytest.raises(Unavailable):
        await desk.hydration.price(OURS, "price_2")
