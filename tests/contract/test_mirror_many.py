"""The promises of `application.mirror.ports` on columns of many values, groups and holders."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.mirror.ports import Filter, Group, Holders, Order
from tests.contract.samples import (
    NOON,
    OURS,
    SECOND,
    THEIRS,
    facet,
    list_ids,
    probe,
    snapshot,
    store_new,
    tombstone,
)
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.servers.stores import PROBES, Probe, Stores

BY_OWNER = Order("owner")


async def test_a_row_is_found_by_each_of_its_values(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        probe("pr_1", tags=("a", "b", "a"), created=NOON),
        probe("pr_2", tags=("b",), created=NOON + SECOND),
        probe("pr_3", created=NOON + 2 * SECOND),
    )
    for tag, found in (("a", ["pr_1"]), ("b", ["pr_2", "pr_1"]), ("c", [])):
        for limit in (1, 9):
            assert (
                await list_ids(stores.mirror, PROBES, Filter({"tags": tag}), limit=limit) == found
            )
    where = Filter({"tags": "b"})
    page = await stores.mirror.list(
        PROBES, OURS, where, order=Order("created"), after=None, limit=9
    )
    assert list(page.rows) == [
        (await stores.mirror.fetch(PROBES, OURS, [id_]))[id_] for id_ in ("pr_2", "pr_1")
    ]


async def test_values_follow_the_row(stores: Stores) -> None:
    mirror = stores.mirror
    # A facet comes first: the row is there then, without a snapshot.
    await mirror.derive(PROBES, [facet("pr_1", fee=3)])
    await store_new(mirror, PROBES, probe("pr_1", tags=("a", "b"), owner="ann"))

    async def tagged(tag: str) -> list[str]:
        return await list_ids(mirror, PROBES, Filter({"tags": tag}), order=BY_OWNER)

    assert [await tagged(tag) for tag in "abc"] == [["pr_1"], ["pr_1"], []]
    now = probe("pr_1", tags=("b", "c"), owner="bob")
    assert await mirror.replace(PROBES, [(snapshot(now), 1)]) == []
    assert [await tagged(tag) for tag in "abc"] == [[], ["pr_1"], ["pr_1"]]
    # Whoever comes too late changes nothing.
    late = probe("pr_1", tags=("x",), owner="x")
    assert await mirror.replace(PROBES, [(snapshot(late), 1)]) == [(OURS, "pr_1")]
    assert [await tagged(tag) for tag in "bx"] == [["pr_1"], []]
    assert await mirror.replace(PROBES, [(tombstone("pr_1"), 2)]) == []
    assert [await tagged(tag) for tag in "abc"] == [[], [], []]
    assert await mirror.replace(PROBES, [(snapshot(now), 3)]) == []
    assert await tagged("c") == ["pr_1"]


async def test_other_accounts_hold_theirs(stores: Stores) -> None:
    for account in (OURS, THEIRS):
        tagged = probe("pr_1", tags=("a",), owner="ann")
        await store_new(stores.mirror, PROBES, tagged, stripe_account=account)
    assert await list_ids(stores.mirror, PROBES, Filter({"tags": "a"})) == ["pr_1"]
    assert await count(stores, {"g": ["a"]}) == [Holders("g", (1, 0))]


async def count(
    stores: Stores, groups: dict[str, list[str]], most: int = 100, account: str = OURS
) -> list[Holders]:
    found = await stores.mirror.count_holders(
        PROBES, account, "tags", groups, by="owner", among=["ann", "bob"], most=most
    )
    return sorted(found, key=lambda holders: holders.group)


async def test_holders_of_several_values_count_once_a_group(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        PROBES,
        probe("pr_1", tags=("a", "b"), owner="ann"),
        probe("pr_2", tags=("b", "c"), owner="ann"),
        probe("pr_3", tags=("a", "b", "c"), owner="bob"),
        probe("pr_4", tags=("a",), owner="cid"),
        probe("pr_5", tags=("d",), owner="ann"),
    )
    groups = {"x": ["a", "b", "a"], "y": ["c"], "$z.": ["nothing"]}
    expected = [Holders("x", (2, 1)), Holders("y", (1, 1))]
    assert await count(stores, groups) == expected
    assert await count(stores, {}) == []
    assert await count(stores, {"x": []}) == []


async def test_of_a_value_with_many_holders_so_many_are_counted(stores: Stores) -> None:
    tags = {"ann": ("a",), "bob": ("b",)}
    probes = [
        probe(f"pr_{n}", tags=tags[owner], owner=owner)
        for n, owner in enumerate("ann ann ann bob".split())
    ]
    await store_new(stores.mirror, PROBES, *probes)
    groups = {"x": ["a", "b"], "y": ["b"]}
    told = [Holders("x", (2, 1), more=True), Holders("y", (0, 1))]
    assert await count(stores, groups, most=2) == told
    assert (await count(stores, groups, most=3))[0] == Holders("x", (3, 1))
    assert (await count(stores, groups))[0] == Holders("x", (3, 1))


async def test_a_group_whose_values_share_holders_is_counted_up_to_the_bound(
    stores: Stores,
) -> None:
    both = [probe(f"pr_{n}", tags=("a", "b"), owner="ann") for n in range(3)]
    await store_new(stores.mirror, PROBES, *both, probe("pr_9", tags=("b",), owner="ann"))
    groups = {"x": ["a", "b"], "y": ["b"]}
    for most in (4, 7, 100):
        assert await count(stores, groups, most) == [
            Holders("x", (4, 0)), Holders("y", (4, 0))
        ]  # fmt: skip
    assert await count(stores, groups, most=3) == [
        Holders("x", (3, 0), more=True), Holders("y", (3, 0), more=True)
    ]  # fmt: skip


async def test_holders_are_counted_from_their_index(stores: Stores) -> None:
    await store_new(
        stores.mirror, PROBES, *(probe(f"pr_{n}", tags=("a",), owner="ann") for n in range(3))
    )
    for most in (9, 2):
        plans = await plans_of(stores, lambda most=most: count(stores, {"g": ["a"]}, most))
        index = ("stripe_account", "tags", "owner", "id")
        assert all(index in plan.indexes for plan in plans)
        assert stores.kind == "mongo" or all(plan.covered for plan in plans)
    refused = partial(stores.mirror.count_holders, PROBES, OURS, groups={"g": ["a"]}, among=["a"])
    for arguments in (
        {"column": "tags", "by": "rank", "most": 1},
        {"column": "owner", "by": "created", "most": 1},
        {"column": "tags", "by": "owner", "most": 0},
    ):
        with pytest.raises(ValueError, match=r"no index|most"):
            await refused(**arguments)  # type: ignore[arg-type]


_PROBES = st.lists(
    st.builds(
        lambda rank, live, owner, currency, tags: probe(
            "pr_", rank=rank, live=live, owner=owner, currency=currency, tags=tuple(tags)
        ),
        st.integers(-5, 5),
        st.booleans(),
        st.sampled_from([None, "ann", "bob"]),
        st.sampled_from(["usd", "eur"]),
        st.lists(st.sampled_from("abc"), max_size=3),
    ),
    max_size=15,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(probes=_PROBES, narrowed=st.booleans())
async def test_groups_and_holders_agree_with_plain_python(
    stores: Stores, probes: Sequence[Probe], narrowed: bool
) -> None:
    account = f"acct_{uuid4().hex}"
    named = [
        probe(f"pr_{n}", rank=one.rank, live=one.live, owner=one.owner,
              currency=one.amount.currency, tags=one.tags)
        for n, one in enumerate(probes)
    ]  # fmt: skip
    await store_new(stores.mirror, PROBES, *named, stripe_account=account)
    gone = [probe(f"pr_gone{n}", tags=("a",), owner="ann") for n in range(2)]
    await store_new(stores.mirror, PROBES, *gone, stripe_account=account)
    lost = [(tombstone(one.id, stripe_account=account), 1) for one in gone]
    assert await stores.mirror.replace(PROBES, lost) == []

    where = Filter({"live": True}) if narrowed else Filter()
    by = ["currency", "owner"] if narrowed else ["live", "currency", "owner"]
    found = await stores.mirror.group(PROBES, account, where, by=by, sums=["rank"])
    counts: Counter[tuple[object, ...]] = Counter()
    sums: Counter[tuple[object, ...]] = Counter()
    for one in named:
        if one.live or not narrowed:
            key = (one.live, one.amount.currency, one.owner)[int(narrowed) :]
            counts[key] += 1
            sums[key] += one.rank
    expected = [Group(key, counts[key], (sums[key],)) for key in counts]
    # A boolean may come as a number.
    assert {(one.values, one.count, one.sums) for one in found} == {
        (one.values, one.count, one.sums) for one in expected
    }
    holders: dict[str, Counter[str]] = defaultdict(Counter)
    groups = {"x": ["a", "b"], "y": ["c"]}
    for one in named:
        for group, values in groups.items():
            if one.owner and {*one.tags} & {*values}:
                holders[group][one.owner] += 1
    assert await count(stores, groups, account=account) == [
        Holders(group, tuple(holders[group][owner] for owner in ("ann", "bob")))
        for group in sorted(holders)
    ]


@pytest.mark.parametrize("ranged", [False, True])
async def test_a_grouping_is_answered_from_its_index_alone(stores: Stores, ranged: bool) -> None:
    await store_new(stores.mirror, PROBES, *(probe(f"pr_{n}", rank=n) for n in range(5)))
    where = Filter({"live": True, "currency": "usd"})
    if ranged:
        where = Filter({"live": True}, ranges={"rank": (0, 3)})
    by = ["owner"] if not ranged else ["live"]
    with_index = ("live", "currency", "owner", "rank")
    if ranged:
        with pytest.raises(ValueError, match="no index"):
            await stores.mirror.group(PROBES, OURS, where, by=by, sums=["rank"])
        where = Filter(ranges={"rank": (1, 4)})
        found = await stores.mirror.group(PROBES, OURS, where, by=["currency"], sums=["rank"])
        assert found == [Group(("usd",), 3, (6,))]
        by, with_index = ["currency"], ("rank", "id", "currency", "owner", "created")
    plans = await assert_ordered(
        stores, lambda: stores.mirror.group(PROBES, OURS, where, by=by, sums=["rank"])
    )
    for plan in plans:
        assert plan.covered, plan.text
        assert plan.indexes[0][1:] == (*with_index, *(() if "id" in with_index else ("id",)))


@pytest.mark.parametrize(
    ("where", "by"),
    [
        (Filter(), ["tags"]),
        (Filter({"live": True}), []),
        (Filter(one_of={"live": [True]}), ["currency"]),
        (Filter({"owner": "ann"}), ["rank"]),
    ],
)
async def test_a_grouping_that_no_index_covers_is_refused(
    stores: Stores, where: Filter, by: list[str]
) -> None:
    with pytest.raises(ValueError, match="no index"):
        await stores.mirror.group(PROBES, OURS, where, by=by)


async def test_rows_that_have_one_of_some_values_come_by_an_index(stores: Stores) -> None:
    of_owner = {"pr_1": "a", "pr_2": "b", "pr_3": "a", "pr_4": "c"}
    await store_new(
        stores.mirror, PROBES, *(probe(id_, owner=owner) for id_, owner in of_owner.items())
    )
    await store_new(stores.mirror, PROBES, probe("pr_9", owner="a"), stripe_account=THEIRS)
    assert await stores.mirror.replace(PROBES, [(tombstone("pr_4"), 1)]) == []

    async def ids(*owners: str, limit: int = 10) -> set[str]:
        rows = await stores.mirror.having(PROBES, OURS, "owner", owners, limit=limit)
        found = {row.object.id for row in rows}
        assert len(found) == len(rows)
        return found

    untold = replace(snapshot(probe("pr_5", owner="e")), unknown=frozenset({"rank"}))
    assert await stores.mirror.replace(PROBES, [(untold, 0)]) == []
    (row,) = await stores.mirror.having(PROBES, OURS, "owner", ["e"], limit=1)
    assert row == (untold.object, {"rank"})

    assert await ids("a", "b", "a") == {"pr_1", "pr_2", "pr_3"}
    assert await ids("c", "d") == await ids() == set()
    assert len(await ids("a", "b", limit=2)) == 2
    (plan,) = await plans_of(stores, partial(ids, "a", "b"))
    assert not plan.sorts, plan.text


@pytest.mark.parametrize(
    ("column", "count", "limit"),
    [("none", 1, 1), ("tags", 1, 1), ("owner", 101, 1), ("owner", 1, 0), ("owner", 1, 1_001)],
)
async def test_what_no_index_begins_with_is_refused(
    stores: Stores, column: str, count: int, limit: int
) -> None:
    values = [str(number) for number in range(count)]
    with pytest.raises(ValueError, match=r"limit|values|no index"):
        await stores.mirror.having(PROBES, OURS, column, values, limit=limit)
