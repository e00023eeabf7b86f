"""Columns of several paths: the first that is there wins, whichever half comes first."""

import datetime as dt

import pytest

from application.mirror.ports import Column, Filter, Noun, Order
from tests.contract.samples import NOON_MS, facet, list_ids, probe, snapshot
from tests.support.servers.stores import PROBES, Probe, Stores

AT = Order("at", descending=False)
LATER = NOON_MS + 60_000


@pytest.mark.parametrize("facet_first", [True, False])
async def test_a_derived_value_goes_before_that_of_the_snapshot(
    stores: Stores, facet_first: bool
) -> None:
    told = snapshot(probe("pr_1", owner="cus_1"))
    derived = facet("pr_1", "balance", at_ms=LATER, holder="cus_2")

    async def derive() -> None:
        await stores.mirror.derive(PROBES, [derived])

    async def held_by(holder: str) -> list[str]:
        return await list_ids(stores.mirror, PROBES, Filter({"holder": holder}))

    async def at(first: int, last: int) -> list[str]:
        where = Filter(ranges={"at": (first, last)})
        return await list_ids(stores.mirror, PROBES, where, order=AT)

    if facet_first:
        await derive()
    assert await held_by("cus_2") == [], "a row without a snapshot is in no list"
    assert await stores.mirror.replace(PROBES, [(told, 0)]) == []
    if not facet_first:
        assert (await held_by("cus_1"), await at(NOON_MS, LATER)) == (["pr_1"], ["pr_1"])
        await derive()
    assert (await held_by("cus_2"), await held_by("cus_1")) == (["pr_1"], [])
    assert (await at(LATER, LATER + 1), await at(NOON_MS, LATER)) == (["pr_1"], [])
    # Taken back, the snapshot's own counts again; and it is that of the snapshot as it is now.
    await stores.mirror.derive(PROBES, [facet("pr_1", "balance", at=2)])
    assert (await held_by("cus_1"), await at(NOON_MS, LATER)) == (["pr_1"], ["pr_1"])
    moved = probe("pr_1", created=told.object.created + dt.timedelta(hours=1))  # type: ignore[union-attr]  # a live one
    assert await stores.mirror.replace(PROBES, [(snapshot(moved, at=NOON_MS + 1), 1)]) == []
    assert await held_by("nobody") == ["pr_1"], "where no path leads to a value"
    assert await at(NOON_MS + 3_600_000, NOON_MS + 3_600_001) == ["pr_1"]


def test_what_a_derived_column_falls_back_on_is_a_column_too() -> None:
    created = Column("created", "object.created")
    with pytest.raises(ValueError, match="no column beside it"):
        Noun("probe", Probe, "p", (created, Column("a", ("derived.b.c", "object.owner"))), ())
    many = Column("tags", ("object.tags", "object.owner"), many=True)
    with pytest.raises(ValueError, match="has one path"):
        Noun("probe", Probe, "p", (created, many), ())
