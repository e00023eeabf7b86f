"""Currency options of prices: shown only where they are asked for, and changed untold."""

from application.mirror.lists import Place
from application.mirror.nouns import PRICES
from application.mirror.stripe import Priority
from domain.mirror import Snapshot
from domain.prices import Price
from tests.support.rooms.upkeep import Flows


async def priced(flows: Flows) -> str:
    """A price in USD that has other amounts in EUR and in JPY."""
    product = await flows.post("/v1/products", name="Seat")
    price = await flows.post(
        "/v1/prices", product=product["id"], currency="usd", unit_amount=500,
        currency_options={
            "eur": {"unit_amount": 460},
            "jpy": {"unit_amount_decimal": "80.000000000001"},
        },
    )  # fmt: skip
    assert "currency_options" not in price
    made: str = price["id"]
    return made


def amounts(snapshot: Snapshot[Price] | None) -> dict[str, tuple[int | None, str | None]]:
    """(amount, the same as a decimal) in each currency of a price that is known whole."""
    assert snapshot is not None
    assert snapshot.object is not None
    assert snapshot.unknown == frozenset()
    return {
        currency: (option.unit_amount, option.unit_amount_decimal)
        for currency, option in snapshot.object.currency_options.items()
    }


async def mirrored(flows: Flows, price: str) -> Snapshot[Price]:
    snapshot = (await flows.stores.mirror.fetch(PRICES, flows.account, [price]))[price].snapshot
    assert snapshot is not None
    return snapshot


OPTIONS = {"usd": (500, "500"), "eur": (460, "460"), "jpy": (None, "80.000000000001")}


async def test_lists_and_reads_tell_currency_options(flows: Flows) -> None:
    price = await priced(flows)
    page = await flows.lister.page(
        PRICES, flows.account, Place(), since_ms=None, priority=Priority.BACKFILL
    )
    read = await flows.objects.read(
        PRICES, flows.account, price, not_before_ms=None, priority=Priority.REREAD
    )
    for told in (*page.items, read):
        assert amounts(told) == OPTIONS


async def test_an_event_leaves_them_unknown_and_an_update_has_them_read(flows: Flows) -> None:
    price = await priced(flows)
    await flows.caught_up()
    assert "currency_options" in (await mirrored(flows, price)).unknown
    # The event of this change names no field that changed.
    changed = {"eur": {"unit_amount": 450}}
    await flows.post(f"/v1/prices/{price}", currency_options=changed)
    await flows.caught_up()
    assert amounts(await mirrored(flows, price)) == {**OPTIONS, "eur": (450, "450")}
    await flows.post(f"/v1/prices/{price}", currency_options="")
    await flows.caught_up()
    assert amounts(await mirrored(flows, price)) == {}
