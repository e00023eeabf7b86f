"""What the mirror keeps of changes: when rows were first known, and each change with its row."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest

from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Change, ChangePlace, Filter
from domain.balance_transactions import BalanceTransaction
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from infrastructure.clock import SystemClock
from tests.contract.samples import NOON, NOON_MS, OURS, THEIRS, facet, snapshot, tombstone
from tests.support.servers.stores import Opener, Stores

_HOUR_MS = 3_600_000
_LATER = NOON + dt.timedelta(days=2)
_EVER: ChangePlace = (0, "", 0)
_PAYMENTS = Filter(equals={"balance_type": "payments"})


def transaction(
    id_: str = "txn_1",
    *,
    amount: int = 100,
    fee: int = 3,
    created: dt.datetime = NOON,
    category: str = "charge",
    status: str = "pending",
) -> BalanceTransaction:
    """A balance transaction in dollars."""
    return BalanceTransaction(
        id_,
        created,
        Money(amount, "usd"),
        Money(fee, "usd"),
        Money(amount - fee, "usd"),
        "charge",
        status,
        created,
        reporting_category=category,
        balance_type="payments",
    )


async def store(
    stores: Stores,
    told: Snapshot[BalanceTransaction],
    revision: int,
    *,
    closed: int | None = None,
    at: dt.datetime = _LATER,
) -> Sequence[tuple[str, str]]:
    """Store a snapshot at an instant, where an account has closed so much."""
    stores.clock.instant = at
    below = {} if closed is None else {OURS: closed}
    return await stores.mirror.replace(BALANCE_TRANSACTIONS, [(told, revision)], closed=below)


async def changes(stores: Stores, after: ChangePlace = _EVER) -> Sequence[Change]:
    """All changes since a place."""
    return await stores.changes.since(BALANCE_TRANSACTIONS, OURS, after=after, limit=1_000)


async def test_a_change_is_kept_with_its_row(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0, at=NOON)
    assert await changes(stores) == [], "a first snapshot of a time that is open is no change"
    assert not await store(stores, snapshot(transaction(fee=5)), 1)
    (change,) = await changes(stores)
    assert (change.id, change.revision, change.restates) == ("txn_1", 2, False)
    assert change.known_at == NOON_MS + 48 * _HOUR_MS
    values = {"created": NOON_MS, "currency": "usd", "reporting_category": "charge"}
    values |= {"balance_type": "payments", "amount": 100, "fee_application": 0, "fee_tax": 0}
    assert (change.before, change.after) == ({**values, "fee": 3}, {**values, "fee": 5})
    assert await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=None, limit=9) == []


async def test_what_counts_nowhere_is_no_change(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0)
    told = transaction(status="available")
    await store(stores, snapshot(told), 1, closed=NOON_MS + 1)
    await store(stores, replace(snapshot(told), unknown=frozenset({"source"})), 2)
    assert await changes(stores) == []


@pytest.mark.parametrize(("closed", "late"), [(NOON_MS, False), (NOON_MS + 1, True)])
async def test_a_row_below_what_is_closed_comes_late(
    stores: Stores, closed: int, late: bool
) -> None:
    await store(stores, snapshot(transaction()), 0, closed=closed)
    listed = await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=None, limit=9)
    assert [(it.before, it.revision, it.restates) for it in listed] == [(None, 1, True)] * late
    assert await changes(stores) == listed


async def test_a_row_that_leaves_a_closed_time_restates_it(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0)
    moved = transaction(created=_LATER)
    await store(stores, snapshot(moved), 1, closed=NOON_MS + _HOUR_MS)
    assert [change.restates for change in await changes(stores)] == [True]


async def test_a_deletion_and_what_comes_back_are_changes(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0)
    await store(stores, tombstone("txn_1"), 1)
    await store(stores, tombstone("txn_1"), 2)
    await store(stores, snapshot(transaction(fee=4)), 3)
    gone, back = await changes(stores)
    assert (gone.revision, gone.after, back.revision, back.before) == (2, None, 4, None)
    assert gone.before is not None
    assert back.after is not None
    assert (gone.before["fee"], back.after["fee"]) == (3, 4)


async def test_a_write_that_loses_keeps_no_change(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0)
    told = [snapshot(transaction(fee=fee)) for fee in range(4, 14)]
    lost = await asyncio.gather(*(store(stores, each, 1) for each in told))
    assert sum(map(len, lost)) == 9
    (change,) = await changes(stores)
    row = (await stores.mirror.fetch(BALANCE_TRANSACTIONS, OURS, ["txn_1"]))["txn_1"]
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    assert change.after is not None
    assert change.after["fee"] == row.snapshot.object.fee.amount


async def test_changes_are_paged_both_ways(stores: Stores) -> None:
    ids = [f"txn_{number}" for number in range(5)]
    for number, id_ in enumerate(ids):
        at = _LATER + dt.timedelta(seconds=number // 2)  # two of an instant
        await store(stores, snapshot(transaction(id_)), 0, closed=NOON_MS + 1, at=at)
        await store(stores, snapshot(transaction(id_, fee=9)), 1, closed=NOON_MS + 1, at=at)
    whole = await changes(stores)
    assert [(it.id, it.revision) for it in whole] == [(id_, n) for id_ in ids for n in (1, 2)]
    down, up = list[Change](), list[Change]()
    place: ChangePlace | None = None
    while page := await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=place, limit=3):
        down, place = [*down, *page], page[-1].place
    assert down == whole[::-1]
    place = _EVER
    while page := await stores.changes.since(BALANCE_TRANSACTIONS, OURS, after=place, limit=3):
        up, place = [*up, *page], page[-1].place
    assert up == whole


async def test_another_accounts_changes_are_not_seen(stores: Stores) -> None:
    theirs = snapshot(transaction(), stripe_account=THEIRS)
    closed = {THEIRS: NOON_MS + 1}
    await stores.mirror.replace(BALANCE_TRANSACTIONS, [(theirs, 0)], closed=closed)
    assert await changes(stores) == []
    assert await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=None, limit=9) == []


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_a_page_has_bounds(stores: Stores, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=None, limit=limit)
    with pytest.raises(ValueError, match="limit"):
        await stores.changes.since(BALANCE_TRANSACTIONS, OURS, after=_EVER, limit=limit)


async def test_changes_outlive_the_process(opener: Opener) -> None:
    async with opener() as stores:
        await store(stores, snapshot(transaction()), 0, closed=NOON_MS + 1)
        kept = await changes(stores)
    async with opener() as stores:
        assert await changes(stores) == kept


async def test_an_index_serves_changes(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0, closed=NOON_MS + 1)

    async def read() -> None:
        await stores.changes.list(BALANCE_TRANSACTIONS, OURS, after=(1, "txn_0", 1), limit=9)
        await changes(stores)

    plans = await stores.explain(read)
    assert len(plans) == 2
    assert not [plan.text for plan in plans if plan.scans]


async def test_facets_alone_are_no_knowledge(stores: Stores) -> None:
    stores.clock.instant = NOON
    await stores.mirror.derive(BALANCE_TRANSACTIONS, [facet("txn_1", "payout", payout="po_1")])
    await store(stores, snapshot(transaction()), 0, closed=NOON_MS + 1)
    (late,) = await changes(stores)
    assert (late.known_at, late.before) == (NOON_MS + 48 * _HOUR_MS, None)


async def test_what_was_first_known_is_set_once(stores: Stores) -> None:
    await store(stores, snapshot(transaction()), 0, at=NOON)
    await store(stores, snapshot(transaction(fee=4)), 1)
    await store(stores, tombstone("txn_1"), 2)
    await store(stores, snapshot(transaction(fee=4), at=NOON_MS + 9), 3)
    assert await first_known(stores) == {"charge": NOON_MS}


async def first_known(stores: Stores) -> dict[object, object]:
    """When the rows were first known, by their category."""
    groups = await stores.mirror.group(
        BALANCE_TRANSACTIONS,
        OURS,
        _PAYMENTS,
        by=["reporting_category", "first_known_at"],
    )
    return {group.values[0]: group.values[1] for group in groups}


async def test_rows_of_before_are_first_known_by_their_version(opener: Opener) -> None:
    version = Version(NOON_MS, NOON_MS, None, NOON_MS + 7)
    told = replace(snapshot(transaction()), version=version)
    async with opener() as stores:
        await store(stores, told, 0)
        await store(stores, snapshot(transaction("txn_2", category="refund")), 0)
        await forget_first_known(stores)
    before = to_milliseconds(SystemClock().now())
    async with opener() as stores:
        known = await first_known(stores)
    after = to_milliseconds(SystemClock().now())
    assert known["charge"] == NOON_MS + 7
    assert isinstance(known["refund"], int)
    assert before <= known["refund"] <= after, "by the upgrade"


async def forget_first_known(stores: Stores) -> None:
    """Leave the rows as a release leaves them that does not know when they were first known."""
    mirror = stores.mirror
    database = mirror._database  # type: ignore[attr-defined]
    if stores.kind == "sqlite":

        def job(connection: object) -> None:
            run = connection.execute  # type: ignore[attr-defined]
            run('UPDATE "billing.balance_transactions" SET first_known_at = NULL')
            run("DELETE FROM \"billing.deployment\" WHERE name LIKE 'columns of%'")

        await database.write(job)
        return
    here = database._opened()[database.name]
    await here["billing.balance_transactions"].update_many({}, {"$unset": {"first_known_at": 1}})
    await here["billing.deployment"].delete_many({"_id": {"$regex": "^columns/"}})
