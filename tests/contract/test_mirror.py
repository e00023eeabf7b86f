"""The promises of `application.mirror.ports` on single rows: fetch, replace, derive."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from application.mirror.nouns import CHARGES, CUSTOMERS, REFUNDS
from application.mirror.ports import Filter
from domain.charges import Charge
from domain.customers import Address, Customer
from domain.mirror import AHEAD_MS, Facet, Row, Snapshot, Version
from domain.money import Money
from domain.refunds import Refund
from tests.contract.samples import (
    NOON,
    NOON_MS,
    OURS,
    THEIRS,
    charge,
    facet,
    fetch_one,
    list_ids,
    probe,
    snapshot,
    store_new,
    tombstone,
)
from tests.support.servers.stores import PROBES, Opener, Stores

# Metadata is the tenant's own: nothing in it may mean anything to a database.
_METADATA = {
    "plan": "gold",
    "a.b": "dotted",
    "$set": "$$ROOT",
    "": "no name",
    "größe": "\N{SNOWMAN}",
    "quote\"'": "it's",
}


async def test_unknown_ids_are_left_out(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1"))
    assert set(await stores.mirror.fetch(CHARGES, OURS, ["ch_1", "ch_2"])) == {"ch_1"}
    assert await stores.mirror.fetch(CHARGES, OURS, []) == {}


async def test_a_charge_comes_back_as_it_went_in(stores: Stores) -> None:
    found = Charge(
        id="ch_1",
        created=NOON + dt.timedelta(milliseconds=123),
        amount=Money(12_345_678_901, "jpy"),
        amount_captured=Money(5, "jpy"),
        amount_refunded=Money(-1, "jpy"),
        status="a status of tomorrow",
        captured=True,
        refunded=False,
        disputed=True,
        customer="cus_1",
        payment_intent="pi_1",
        payment_method="pm_1",
        payment_method_type="card",
        balance_transaction="txn_1",
        description="Zwölf\nZeilen",
        failure_code="card_declined",
        outcome_type="blocked",
        outcome_reason="highest_risk_level",
        risk_level="highest",
        metadata=_METADATA,
    )
    told = Snapshot(
        OURS,
        "ch_1",
        Version(NOON_MS, NOON_MS + 5, NOON_MS + 7, NOON_MS + 9),
        found,
        frozenset({"metadata", "customer"}),
    )
    assert await stores.mirror.replace(CHARGES, [(told, 0)]) == []
    assert await fetch_one(stores.mirror, CHARGES, "ch_1") == Row(OURS, "ch_1", 1, told)


async def test_the_states_that_one_has_followed_come_back_told_or_not(stores: Stores) -> None:
    for befores in ((), (None,), (Customer("cus_1", NOON, name="before"), None)):
        told = replace(snapshot(Customer("cus_1", NOON)), befores=befores)
        row = await stores.mirror.fetch(CUSTOMERS, OURS, ["cus_1"])
        revision = row["cus_1"].revision if row else 0
        assert await stores.mirror.replace(CUSTOMERS, [(told, revision)]) == []
        assert (await fetch_one(stores.mirror, CUSTOMERS, "cus_1")).snapshot == told


async def test_a_customer_and_a_refund_come_back_as_they_went_in(stores: Stores) -> None:
    customer = Customer(
        id="cus_1",
        created=NOON,
        email="ann@example.test",
        address=Address(line1="1 Main St", country="DE"),
        delinquent=False,
        metadata=_METADATA,
    )
    refund = Refund(id="re_1", created=NOON, amount=Money(5, "eur"), charge="ch_1")
    await store_new(stores.mirror, CUSTOMERS, customer, Customer("cus_2", NOON))
    await store_new(stores.mirror, REFUNDS, refund)
    customers = await stores.mirror.fetch(CUSTOMERS, OURS, ["cus_1", "cus_2"])
    assert customers["cus_1"].snapshot == snapshot(customer)
    assert customers["cus_2"].snapshot == snapshot(Customer("cus_2", NOON))
    assert (await fetch_one(stores.mirror, REFUNDS, "re_1")).snapshot == snapshot(refund)


async def test_revision_grows_by_one_with_each_snapshot(stores: Stores) -> None:
    for revision in range(4):
        told = snapshot(charge(amount=revision), at=NOON_MS + revision)
        assert await stores.mirror.replace(CHARGES, [(told, revision)]) == []
        row = await fetch_one(stores.mirror, CHARGES, "ch_1")
        assert (row.revision, row.snapshot) == (revision + 1, told)


@pytest.mark.parametrize("seen", [0, 1, 3])
async def test_whoever_has_not_seen_the_row_overwrites_nothing(stores: Stores, seen: int) -> None:
    await store_new(stores.mirror, CHARGES, charge(amount=1))
    standing = snapshot(charge(amount=2))
    assert await stores.mirror.replace(CHARGES, [(standing, 1)]) == []
    late = snapshot(charge(amount=3), at=NOON_MS + 1)
    assert await stores.mirror.replace(CHARGES, [(late, seen)]) == [(OURS, "ch_1")]
    assert await fetch_one(stores.mirror, CHARGES, "ch_1") == Row(OURS, "ch_1", 2, standing)


async def test_a_row_that_is_not_there_has_no_revision_but_0(stores: Stores) -> None:
    assert await stores.mirror.replace(CHARGES, [(snapshot(charge()), 1)]) == [(OURS, "ch_1")]
    assert await stores.mirror.fetch(CHARGES, OURS, ["ch_1"]) == {}


async def test_rows_of_a_call_stand_or_fall_alone(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1"), charge("ch_2"))
    await store_new(stores.mirror, CHARGES, charge("ch_1"), stripe_account=THEIRS)
    lost = await stores.mirror.replace(
        CHARGES,
        [
            (snapshot(charge("ch_1", amount=7)), 1),
            (snapshot(charge("ch_2", amount=7)), 0),
            (snapshot(charge("ch_3", amount=7)), 0),
            (snapshot(charge("ch_4", amount=7)), 1),
            (snapshot(charge("ch_1", amount=7), stripe_account=THEIRS), 1),
            (snapshot(charge("ch_2", amount=7), stripe_account=THEIRS), 9),
        ],
    )
    assert sorted(lost) == [(OURS, "ch_2"), (OURS, "ch_4"), (THEIRS, "ch_2")]
    ours = await stores.mirror.fetch(CHARGES, OURS, ["ch_1", "ch_2", "ch_3", "ch_4"])
    assert {id_: row.revision for id_, row in ours.items()} == {"ch_1": 2, "ch_2": 1, "ch_3": 1}
    theirs = await stores.mirror.fetch(CHARGES, THEIRS, ["ch_1", "ch_2"])
    assert {id_: row.revision for id_, row in theirs.items()} == {"ch_1": 2}


@pytest.mark.parametrize("seen", [0, 1])
async def test_of_many_writers_at_once_one_stores_and_all_others_are_told(
    stores: Stores, seen: int
) -> None:
    if seen:
        await store_new(stores.mirror, CHARGES, charge(amount=999))
    contenders = [snapshot(charge(amount=amount)) for amount in range(50)]
    answers = await asyncio.gather(
        *(stores.mirror.replace(CHARGES, [(told, seen)]) for told in contenders)
    )
    winners = [told for told, lost in zip(contenders, answers, strict=True) if not lost]
    assert len(winners) == 1
    assert all(lost in ([], [(OURS, "ch_1")]) for lost in answers)
    assert await fetch_one(stores.mirror, CHARGES, "ch_1") == Row(
        OURS, "ch_1", seen + 1, winners[0]
    )


async def test_the_same_id_in_two_stripe_accounts_is_two_rows(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge(amount=1))
    await store_new(stores.mirror, CHARGES, charge(amount=2), stripe_account=THEIRS)
    for stripe_account, amount in ((OURS, 1), (THEIRS, 2)):
        row = (await stores.mirror.fetch(CHARGES, stripe_account, ["ch_1"]))["ch_1"]
        assert row.stripe_account == stripe_account
        assert row.snapshot == snapshot(charge(amount=amount), stripe_account=stripe_account)


async def test_a_tombstone_is_fetched_but_neither_listed_nor_counted(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1"), charge("ch_2"))
    gone = tombstone("ch_1")
    assert await stores.mirror.replace(CHARGES, [(gone, 1), (tombstone("ch_3"), 0)]) == []
    assert await fetch_one(stores.mirror, CHARGES, "ch_1") == Row(OURS, "ch_1", 2, gone)
    assert (await fetch_one(stores.mirror, CHARGES, "ch_3")).snapshot is not None
    assert await list_ids(stores.mirror, CHARGES) == ["ch_2"]
    assert await stores.mirror.count(CHARGES, OURS) == 1


async def test_a_tombstone_may_be_replaced_by_a_live_snapshot(stores: Stores) -> None:
    assert await stores.mirror.replace(CHARGES, [(tombstone("ch_1"), 0)]) == []
    assert await stores.mirror.replace(CHARGES, [(snapshot(charge()), 1)]) == []
    assert await list_ids(stores.mirror, CHARGES) == ["ch_1"]


async def test_a_facet_may_come_before_its_snapshot(stores: Stores) -> None:
    early = facet("pr_1", fee=30)
    await stores.mirror.derive(PROBES, [early])
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row == Row(OURS, "pr_1", 0, None, {"balance": early})
    assert await list_ids(stores.mirror, PROBES) == []
    assert await stores.mirror.count(PROBES, OURS) == 0
    await store_new(stores.mirror, PROBES, probe("pr_1"))
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row == Row(OURS, "pr_1", 1, snapshot(probe("pr_1")), {"balance": early})
    assert await list_ids(stores.mirror, PROBES, Filter({"fee": 30}), order=PROBES.orders[2]) == [
        "pr_1"
    ]


async def test_a_snapshot_never_touches_a_facet_nor_a_facet_the_snapshot(stores: Stores) -> None:
    await store_new(stores.mirror, PROBES, probe("pr_1"))
    told = facet("pr_1", fee=30, net=70, lines=[{"id": "li_1", "n": None}], note="ü", paid=True)
    await stores.mirror.derive(PROBES, [told])
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row == Row(OURS, "pr_1", 1, snapshot(probe("pr_1")), {"balance": told})
    newer = snapshot(probe("pr_1", rank=9), at=NOON_MS + 1)
    assert await stores.mirror.replace(PROBES, [(newer, 1)]) == []
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row == Row(OURS, "pr_1", 2, newer, {"balance": told})
    gone = tombstone("pr_1")
    assert await stores.mirror.replace(PROBES, [(gone, 2)]) == []
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row == Row(OURS, "pr_1", 3, gone, {"balance": told})


AHEAD = Version(AHEAD_MS + 10, AHEAD_MS + 10, None, 9)


@pytest.mark.parametrize(
    ("stored", "incoming", "stands"),
    [
        (Version(5, 5), Version(6, 6), "incoming"),
        (Version(5, 5), Version(4, 4), "stored"),
        (Version(5, 5), Version(5, 5), "incoming"),
        (Version(0, 5), Version(1, 5), "incoming"),
        (Version(1, 5), Version(0, 5), "stored"),
        (Version(5, 5), Version(0, 6, 1, 9), "incoming"),
        (Version(0, 6, 1, 9), Version(5, 5), "stored"),
        # One that was ahead of our clock stands where that was, also if it was stored long ago.
        (AHEAD, Version(5, 5, None, 5), "stored"),
        (AHEAD, Version(10, 10, None, 10), "incoming"),
        (replace(AHEAD, known_at=None), Version(10, 10, None, 10), "stored"),
        (Version(10, 10, None, 10), AHEAD, "stored"),
        (Version(8, 8, None, 8), AHEAD, "incoming"),
        (AHEAD, Version(7, AHEAD_MS + 9, 7, 9), "incoming"),
    ],
)
async def test_of_two_versions_of_a_facet_the_later_stands(
    stores: Stores, stored: Version, incoming: Version, stands: str
) -> None:
    first = Facet(OURS, "pr_1", "balance", {"from": "stored"}, stored)
    second = Facet(OURS, "pr_1", "balance", {"from": "incoming"}, incoming)
    for told in (first, second, second):
        await stores.mirror.derive(PROBES, [told])
    row = await fetch_one(stores.mirror, PROBES, "pr_1")
    assert row.derived == {"balance": first if stands == "stored" else second}


async def test_facets_of_other_names_rows_and_accounts_are_apart(stores: Stores) -> None:
    told = [
        facet("pr_1", "balance", fee=1, at=9),
        facet("pr_1", "attribution", invoice="in_1", at=1),
        facet("pr_2", "balance", fee=2, at=1),
        facet("pr_1", "balance", fee=3, at=1, stripe_account=THEIRS),
    ]
    await stores.mirror.derive(PROBES, told)
    ours = await stores.mirror.fetch(PROBES, OURS, ["pr_1", "pr_2"])
    assert ours["pr_1"].derived == {"balance": told[0], "attribution": told[1]}
    assert ours["pr_2"].derived == {"balance": told[2]}
    theirs = await stores.mirror.fetch(PROBES, THEIRS, ["pr_1"])
    assert theirs["pr_1"].derived == {"balance": told[3]}


async def test_a_facet_told_twice_in_one_call_stands_with_its_later_version(
    stores: Stores,
) -> None:
    later = facet("pr_1", fee=2, at=2)
    await stores.mirror.derive(PROBES, [facet("pr_1", fee=1, at=1), later])
    await stores.mirror.derive(PROBES, [later, facet("pr_1", fee=1, at=1)])
    assert (await fetch_one(stores.mirror, PROBES, "pr_1")).derived == {"balance": later}


async def test_facets_and_snapshots_written_at_once_lose_nothing(stores: Stores) -> None:
    ids = [f"pr_{number}" for number in range(20)]
    await asyncio.gather(
        *(stores.mirror.derive(PROBES, [facet(id_, fee=5)]) for id_ in ids),
        *(stores.mirror.derive(PROBES, [facet(id_, "attribution", invoice=id_)]) for id_ in ids),
        *(stores.mirror.replace(PROBES, [(snapshot(probe(id_)), 0)]) for id_ in ids),
    )
    rows = await stores.mirror.fetch(PROBES, OURS, ids)
    for id_ in ids:
        assert rows[id_].revision == 1
        assert {name: told.values for name, told in rows[id_].derived.items()} == {
            "balance": {"fee": 5},
            "attribution": {"invoice": id_},
        }
        assert await list_ids(stores.mirror, PROBES, Filter({"invoice": id_})) == [id_]


async def test_derived_columns_follow_facet_and_life_of_the_row(stores: Stores) -> None:
    async def listed() -> list[str]:
        return await list_ids(stores.mirror, PROBES, Filter({"invoice": "in_1"}))

    await store_new(stores.mirror, PROBES, probe("pr_1"))
    await stores.mirror.derive(PROBES, [facet("pr_1", "attribution", invoice="in_1")])
    assert await listed() == ["pr_1"]
    assert await stores.mirror.replace(PROBES, [(snapshot(probe("pr_1", rank=2)), 1)]) == []
    assert await listed() == ["pr_1"]
    assert await stores.mirror.replace(PROBES, [(tombstone("pr_1"), 2)]) == []
    assert await listed() == []
    # A facet that comes after the deletion does not bring the row back.
    await stores.mirror.derive(PROBES, [facet("pr_1", "attribution", invoice="in_1", at=2)])
    assert await listed() == []
    assert await stores.mirror.replace(PROBES, [(snapshot(probe("pr_1")), 3)]) == []
    assert await listed() == ["pr_1"]
    await stores.mirror.derive(PROBES, [facet("pr_1", "attribution", invoice=None, at=3)])
    assert await listed() == []


async def test_a_thousand_rows_a_call(stores: Stores) -> None:
    ids = [f"ch_{number:04}" for number in range(1_000)]
    await store_new(stores.mirror, CHARGES, *(charge(id_) for id_ in ids))
    rows = await stores.mirror.fetch(CHARGES, OURS, ids)
    assert set(rows) == set(ids)
    changed = [(replace(snapshot(charge(id_)), version=Version(9, 9)), 1) for id_ in ids]
    assert await stores.mirror.replace(CHARGES, changed) == []
    await stores.mirror.derive(CHARGES, [facet(id_, fee=1) for id_ in ids])
    rows = await stores.mirror.fetch(CHARGES, OURS, ids)
    assert {(row.revision, *row.derived) for row in rows.values()} == {(2, "balance")}


async def test_more_than_a_thousand_rows_a_call_are_refused(stores: Stores) -> None:
    ids = [f"ch_{number:04}" for number in range(1_001)]
    with pytest.raises(ValueError, match="1000"):
        await stores.mirror.fetch(CHARGES, OURS, ids)
    with pytest.raises(ValueError, match="1000"):
        await stores.mirror.replace(CHARGES, [(snapshot(charge(id_)), 0) for id_ in ids])
    with pytest.raises(ValueError, match="1000"):
        await stores.mirror.derive(CHARGES, [facet(id_) for id_ in ids])
    assert await stores.mirror.count(CHARGES, OURS) == 0


async def test_nothing_to_write_is_no_error(stores: Stores) -> None:
    assert await stores.mirror.replace(CHARGES, []) == []
    await stores.mirror.derive(CHARGES, [])


async def test_rows_survive_reopening(opener: Opener) -> None:
    told = facet("ch_1", fee=30)
    async with opener() as first:
        await store_new(first.mirror, CHARGES, charge("ch_1"))
        await first.mirror.derive(CHARGES, [told])
    async with opener() as second:
        row = await fetch_one(second.mirror, CHARGES, "ch_1")
        assert row == Row(OURS, "ch_1", 1, snapshot(charge("ch_1")), {"balance": told})
