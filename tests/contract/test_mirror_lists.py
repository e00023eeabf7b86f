"""The promises of `application.mirror.ports` on lists and counts."""

import datetime as dt
from collections.abc import Callable
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter, Order
from application.requests.paging import Position
from domain.customers import Customer
from domain.periods import to_milliseconds
from tests.contract.samples import (
    NOON,
    NOON_MS,
    OURS,
    SECOND,
    THEIRS,
    charge,
    list_ids,
    probe,
    store_new,
    tombstone,
)
from tests.support.servers.stores import PROBES, Probe, Stores

OLDEST_FIRST = Order("created", descending=False)
BY_RANK = Order("rank", descending=False)


async def test_order_is_by_column_then_id_in_one_direction(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        probe("pr_b", created=NOON, rank=2),
        probe("pr_a", created=NOON, rank=1),
        probe("pr_d", created=NOON - SECOND, rank=2),
        probe("pr_c", created=NOON + SECOND, rank=-5),
        # Ids compare by code point, whatever a language thinks of case.
        probe("pr_B", created=NOON, rank=2),
    )
    newest = ["pr_c", "pr_b", "pr_a", "pr_B", "pr_d"]
    assert await list_ids(stores.mirror, PROBES, order=NEWEST_FIRST) == newest
    assert await list_ids(stores.mirror, PROBES, order=OLDEST_FIRST) == newest[::-1]
    by_rank = ["pr_c", "pr_a", "pr_B", "pr_b", "pr_d"]
    assert await list_ids(stores.mirror, PROBES, order=BY_RANK) == by_rank


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
async def test_pages_of_any_size_give_the_same_list(
    stores: Stores, order: Order, limit: int
) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        *(probe(f"pr_{number}", created=NOON + SECOND * (number // 4)) for number in range(6)),
    )
    whole = await list_ids(stores.mirror, PROBES, order=order)
    assert len(whole) == 6
    assert await list_ids(stores.mirror, PROBES, order=order, limit=limit) == whole


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
async def test_a_row_there_all_the_while_is_listed_once_whatever_is_written(
    stores: Stores, order: Order
) -> None:
    stays = [probe(f"pr_{number:02}", created=NOON + SECOND * number) for number in range(12)]
    await store_new(stores.mirror, PROBES, *stays)
    await store_new(stores.mirror, PROBES, *(probe(f"pr_x{number}") for number in range(5)))
    listed: list[str] = []
    after = None
    for turn in range(100):
        page = await stores.mirror.list(PROBES, OURS, Filter(), order=order, after=after, limit=2)
        listed += [row.id for row in page.rows]
        after = page.next
        if after is None:
            break
        # Before, at and after the position: new rows, and the last row listed deleted.
        at = page.rows[-1]
        assert at.snapshot is not None
        assert at.snapshot.object is not None
        created = at.snapshot.object.created
        await store_new(
            stores.mirror,
            PROBES,
            probe(f"pr_0{turn}new", created=created),
            probe(f"pr_z{turn}new", created=created),
            probe(f"pr_early{turn}", created=NOON - SECOND * turn),
            probe(f"pr_late{turn}", created=NOON + SECOND * (20 + turn)),
        )
        if turn < 5:
            assert not await stores.mirror.replace(PROBES, [(tombstone(f"pr_x{turn}"), 1)])
    assert len(listed) == len(set(listed))
    assert {found.id for found in stays} <= set(listed)


async def test_a_position_stands_though_its_row_is_gone(stores: Stores) -> None:
    await store_new(stores.mirror, PROBES, *(probe(f"pr_{number}") for number in range(4)))
    page = await stores.mirror.list(PROBES, OURS, Filter(), order=OLDEST_FIRST, after=None, limit=2)
    assert await stores.mirror.replace(PROBES, [(tombstone("pr_1"), 1)]) == []
    rest = await stores.mirror.list(
        PROBES, OURS, Filter(), order=OLDEST_FIRST, after=page.next, limit=9
    )
    assert [row.id for row in rest.rows] == ["pr_2", "pr_3"]


async def test_the_last_page_says_so_though_it_is_full(stores: Stores) -> None:
    await store_new(stores.mirror, PROBES, *(probe(f"pr_{number}") for number in range(4)))
    first = await stores.mirror.list(
        PROBES, OURS, Filter(), order=OLDEST_FIRST, after=None, limit=2
    )
    assert first.next == Position(NOON_MS, "pr_1")
    assert type(first.next.value) is int, "a page token holds plain values only"
    last = await stores.mirror.list(
        PROBES, OURS, Filter(), order=OLDEST_FIRST, after=first.next, limit=2
    )
    assert ([row.id for row in last.rows], last.next) == (["pr_2", "pr_3"], None)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
async def test_several_values_give_one_list_in_order_ties_too(
    stores: Stores, order: Order, limit: int
) -> None:
    owners = ["cid", "ann", "bob", "dan"]
    found = [
        probe(f"pr_{number:02}", created=NOON + SECOND * (number // 8), owner=owners[number % 4])
        for number in range(24)
    ]
    await store_new(stores.mirror, PROBES, *found)
    where = Filter(one_of={"owner": ["ann", "bob", "cid"]})
    expected = sorted(one.id for one in found if one.owner != "dan")
    listed = await list_ids(stores.mirror, PROBES, where, order=order, limit=limit)
    assert listed == (expected[::-1] if order.descending else expected)


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
@pytest.mark.parametrize(
    "position", [Position(NOON_MS - 1, "pr_9"), Position(NOON_MS + 9_000, "pr_0")]
)
async def test_a_position_outside_the_range_does_not_widen_it(
    stores: Stores, order: Order, position: Position
) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        *(probe(f"pr_{number}", created=NOON + SECOND * number) for number in range(6)),
    )
    page = await stores.mirror.list(
        PROBES,
        OURS,
        Filter(ranges={"created": (NOON_MS + 2_000, NOON_MS + 4_000)}),
        order=order,
        after=position,
        limit=10,
    )
    # All of the range comes after a position on its near side, nothing after one on its far side.
    near = (position.id == "pr_0") == order.descending
    assert {row.id for row in page.rows} == ({"pr_2", "pr_3"} if near else set())


async def test_rows_are_listed_whole(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1"), charge("ch_2"))
    page = await stores.mirror.list(
        CHARGES, OURS, Filter(), order=NEWEST_FIRST, after=None, limit=5
    )
    fetched = await stores.mirror.fetch(CHARGES, OURS, ["ch_1", "ch_2"])
    assert list(page.rows) == [fetched["ch_2"], fetched["ch_1"]]


async def test_another_stripe_account_is_never_seen(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1", customer="cus_1"))
    await store_new(
        stores.mirror,
        CHARGES,
        charge("ch_1", customer="cus_1"),
        charge("ch_2", customer="cus_1"),
        stripe_account=THEIRS,
    )
    both = Filter(one_of={"customer": ["cus_1", "cus_2"]})
    for where in (Filter(), Filter({"customer": "cus_1"}), both):
        assert await list_ids(stores.mirror, CHARGES, where) == ["ch_1"]
    assert await stores.mirror.count(CHARGES, OURS) == 1
    assert await stores.mirror.count(CHARGES, THEIRS) == 2
    assert await stores.mirror.count(CHARGES, "acct_1Nobody") == 0
    assert set(await stores.mirror.fetch(CHARGES, OURS, ["ch_1", "ch_2"])) == {"ch_1"}


async def test_nulls_match_no_filter(stores: Stores) -> None:
    await store_new(stores.mirror, CUSTOMERS, Customer("cus_1", NOON), Customer("cus_2", NOON, "x"))
    assert await list_ids(stores.mirror, CUSTOMERS, Filter({"email": "x"})) == ["cus_2"]
    assert await list_ids(stores.mirror, CUSTOMERS, Filter({"email": ""})) == []


async def test_empty_one_of_matches_nothing(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1", customer="cus_1"))
    assert await list_ids(stores.mirror, CHARGES, Filter(one_of={"customer": []})) == []


async def test_a_value_named_twice_is_listed_once(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge("ch_1", customer="cus_1"))
    twice = Filter(one_of={"customer": ["cus_1", "cus_1"]})
    assert await list_ids(stores.mirror, CHARGES, twice) == ["ch_1"]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((None, None), "0123"),
        ((NOON_MS + 1_000, None), "123"),
        ((NOON_MS + 1_001, None), "23"),
        ((None, NOON_MS + 2_000), "01"),
        ((None, NOON_MS + 2_001), "012"),
        ((NOON_MS + 1_000, NOON_MS + 3_000), "12"),
        ((NOON_MS + 1_000, NOON_MS + 1_000), ""),
        ((NOON_MS + 2_000, NOON_MS + 1_000), ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 5])
@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
async def test_a_range_holds_its_low_end_and_not_its_high_one(
    stores: Stores,
    bounds: tuple[int | None, int | None],
    expected: str,
    limit: int,
    order: Order,
) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        *(probe(f"pr_{number}", created=NOON + SECOND * number) for number in range(4)),
    )
    found = await list_ids(
        stores.mirror, PROBES, Filter(ranges={"created": bounds}), order=order, limit=limit
    )
    assert sorted(found) == [f"pr_{number}" for number in expected]
    assert found == sorted(found, reverse=order.descending)


async def test_a_list_that_no_index_serves_is_refused(stores: Stores) -> None:
    async def refused(where: Filter, order: Order = NEWEST_FIRST) -> None:
        with pytest.raises(ValueError, match="no index"):
            await stores.mirror.list(PROBES, OURS, where, order=order, after=None, limit=1)

    await refused(Filter({"rank": 1}))
    await refused(Filter({"live": False}), BY_RANK)
    await refused(Filter(one_of={"tags": ["a", "b"]}))
    await refused(Filter({"tags": "a", "live": True}))
    await refused(Filter({"live": True}))
    await refused(Filter({"owner": "ann", "live": True}))
    await refused(Filter(ranges={"rank": (0, 1)}))
    await refused(Filter(), Order("owner"))


async def test_more_than_a_hundred_combinations_are_refused(stores: Stores) -> None:
    def combined(owners: int) -> Filter:
        return Filter(one_of={"owner": [f"owner {number}" for number in range(owners)]})

    await store_new(stores.mirror, PROBES, probe("pr_1", owner="owner 99"))
    assert await list_ids(stores.mirror, PROBES, combined(100)) == ["pr_1"]
    with pytest.raises(ValueError, match="combinations"):
        await list_ids(stores.mirror, PROBES, combined(101))


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_a_page_has_1_to_1000_rows(stores: Stores, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        await stores.mirror.list(
            CHARGES, OURS, Filter(), order=NEWEST_FIRST, after=None, limit=limit
        )


_PROBES = st.lists(
    st.builds(
        lambda id_, seconds, rank, live, owner, currency: probe(
            f"pr_{id_}",
            created=NOON + SECOND * seconds,
            rank=rank,
            live=live,
            owner=owner,
            currency=currency,
        ),
        st.text("abcXYZ019é_", min_size=1, max_size=4),
        st.integers(-3, 3),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.sampled_from([None, "ann", "bob", "cid"]),
        st.sampled_from(["usd", "eur"]),
    ),
    unique_by=lambda found: found.id,
    max_size=25,
)
_BOUND = st.one_of(st.none(), st.integers(-3, 3).map(lambda n: NOON_MS + n * 1_000))
_OWNERS = st.lists(st.sampled_from(["ann", "bob", "cid", "dan"]), max_size=3)


def _owner_is(owner: str) -> tuple[Filter, Callable[[Probe], bool]]:
    return Filter({"owner": owner}), lambda found: found.owner == owner


def _owner_in(owners: list[str]) -> tuple[Filter, Callable[[Probe], bool]]:
    return Filter(one_of={"owner": owners}), lambda found: found.owner in owners


def _live_in(live: bool, currencies: list[str]) -> tuple[Filter, Callable[[Probe], bool]]:
    return (
        Filter({"live": live}, {"currency": currencies}),
        lambda found: found.live == live and found.amount.currency in currencies,
    )


_FILTERS = st.one_of(
    st.just((Filter(), lambda _: True)),
    st.builds(_owner_is, st.sampled_from(["ann", "bob"])),
    st.builds(_owner_in, _OWNERS),
    st.builds(_live_in, st.booleans(), st.lists(st.sampled_from(["usd", "eur"]), max_size=2)),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    probes=_PROBES,
    filtered=_FILTERS,
    low=_BOUND,
    high=_BOUND,
    descending=st.booleans(),
    limit=st.integers(1, 9),
)
async def test_lists_agree_with_plain_python(
    stores: Stores,
    probes: list[Probe],
    filtered: tuple[Filter, Callable[[Probe], bool]],
    low: int | None,
    high: int | None,
    descending: bool,
    limit: int,
) -> None:
    # The store outlives an example: each has a Stripe account of its own.
    stripe_account = f"acct_{uuid4().hex}"
    await store_new(stores.mirror, PROBES, *probes, stripe_account=stripe_account)
    where, matches = filtered
    ranged = Filter(where.equals, where.one_of, {"created": (low, high)})
    listed = await list_ids(
        stores.mirror,
        PROBES,
        ranged,
        order=Order("created", descending=descending),
        limit=limit,
        stripe_account=stripe_account,
    )
    expected = [
        found
        for found in probes
        if matches(found)
        and (low is None or to_milliseconds(found.created) >= low)
        and (high is None or to_milliseconds(found.created) < high)
    ]
    expected.sort(key=lambda found: (found.created, found.id), reverse=descending)
    assert listed == [found.id for found in expected]
    assert await stores.mirror.count(PROBES, stripe_account) == len(probes)


async def test_no_row_is_too_old_or_too_new_for_a_list(stores: Stores) -> None:
    first, last = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (1969, 2200))
    await store_new(
        stores.mirror, PROBES, probe("pr_1", created=first), probe("pr_2", created=last)
    )
    assert await list_ids(stores.mirror, PROBES) == ["pr_2", "pr_1"]
