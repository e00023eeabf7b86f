"""Tiers of prices: shown only where they are asked for, and asked for everywhere."""

from application.mirror.lists import Place
from application.mirror.nouns import PRICES
from application.mirror.stripe import Priority
from domain.prices import Price, Tier
from tests.support.rooms.upkeep import Flows

SMALL = "0.000000000001"
TIERS = (Tier(10, None, None, None, SMALL), Tier(None, 500, "500", None, None))


async def tiered(flows: Flows) -> str:
    product = await flows.post("/v1/products", name="Usage")
    price = await flows.post(
        "/v1/prices", product=product["id"], currency="usd", billing_scheme="tiered",
        tiers_mode="graduated", recurring={"interval": "month"},
        tiers=[{"up_to": 10, "unit_amount_decimal": SMALL}, {"up_to": "inf", "flat_amount": 500}],
    )  # fmt: skip
    assert "tiers" not in price
    made: str = price["id"]
    return made


async def mirrored(flows: Flows, price: str) -> Price:
    row = (await flows.stores.mirror.fetch(PRICES, flows.account, [price]))[price]
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    assert row.snapshot.unknown == frozenset()
    return row.snapshot.object


async def test_a_tiered_price_is_whole_in_lists_and_reads(flows: Flows) -> None:
    price = await tiered(flows)
    page = await flows.lister.page(
        PRICES, flows.account, Place(), since_ms=None, priority=Priority.BACKFILL
    )
    read = await flows.objects.read(
        PRICES, flows.account, price, not_before_ms=None, priority=Priority.REREAD
    )
    for told in (*page.items, read):
        assert told.unknown == frozenset()
        assert told.object is not None
        assert told.object.tiers == TIERS


async def test_an_event_of_a_tiered_price_has_it_read(flows: Flows) -> None:
    price = await tiered(flows)
    await flows.caught_up()
    assert (await mirrored(flows, price)).tiers == TIERS
