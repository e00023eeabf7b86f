"""The promises of `application.mirror.ports` on cursors both ways, and on pages that end short."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.mirror.ports import NEWEST_FIRST, Filter, Order, RowPage
from application.requests.paging import Position
from infrastructure import documents
from tests.contract.samples import NOON, OURS, SECOND, probe, store_new, tombstone
from tests.support.servers.stores import PROBES, Stores

OLDEST_FIRST = Order("created", descending=False)
BY_RANK = Order("rank", descending=False)
EUROS = Filter({"currency": "eur"})


def ids(page: RowPage[Any]) -> list[str]:
    return [row.id for row in page.rows]


async def page_of(
    stores: Stores, where: Filter, order: Order, limit: int, account: str = OURS, **at: Any
) -> RowPage[Any]:
    cursors: dict[str, Position | None] = {"after": None, **at}
    return await stores.mirror.list(PROBES, account, where, order=order, limit=limit, **cursors)


async def forwards(
    stores: Stores, where: Filter, order: Order, limit: int, account: str = OURS
) -> list[RowPage[Any]]:
    pages = [await page_of(stores, where, order, limit, account)]
    while pages[-1].next is not None:
        pages.append(await page_of(stores, where, order, limit, account, after=pages[-1].next))
        assert len(pages) < 100
    return pages


async def backwards(
    stores: Stores,
    where: Filter,
    order: Order,
    limit: int,
    last: RowPage[Any],
    account: str = OURS,
) -> list[RowPage[Any]]:
    pages = [last]
    while pages[0].previous is not None:
        page = await page_of(stores, where, order, limit, account, before=pages[0].previous)
        pages.insert(0, page)
        assert len(pages) < 100
    return pages


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ranks=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20),
    order=st.sampled_from([NEWEST_FIRST, OLDEST_FIRST, BY_RANK, Order("rank")]),
    tested=st.booleans(),
    limit=st.integers(1, 6),
)
async def test_a_page_is_the_same_whichever_way_it_is_reached(
    stores: Stores,
    ranks: Sequence[tuple[int, bool]],
    order: Order,
    tested: bool,
    limit: int,
) -> None:
    account = f"acct_{uuid4().hex}"
    probes = [
        probe(
            f"pr_{number:02}",
            rank=rank,
            created=NOON + SECOND * rank,
            currency="eur" if euro else "usd",
        )
        for number, (rank, euro) in enumerate(ranks)
    ]
    await store_new(stores.mirror, PROBES, *probes, stripe_account=account)
    where = EUROS if tested and order.column == "rank" else Filter()
    there = await forwards(stores, where, order, limit, account)
    back = await backwards(stores, where, order, limit, there[-1], account)
    assert [ids(page) for page in back] == [ids(page) for page in there]
    assert back[0].previous is None
    for earlier, later in pairwise(back):
        assert await page_of(stores, where, order, limit, account, after=earlier.next) == later


async def test_a_page_before_a_position_is_that_nearest_to_it(stores: Stores) -> None:
    await store_new(stores.mirror, PROBES, *(probe(f"pr_{n}", rank=n) for n in range(9)))
    page = await page_of(stores, Filter(), BY_RANK, 3, before=Position(7, "pr_7"))
    assert ids(page) == ["pr_4", "pr_5", "pr_6"]
    assert (page.previous, page.next) == (Position(4, "pr_4"), Position(6, "pr_6"))
    assert await stores.mirror.replace(PROBES, [(tombstone("pr_4"), 1)]) == []
    assert ids(await page_of(stores, Filter(), BY_RANK, 3, before=page.previous)) == [
        "pr_1", "pr_2", "pr_3",
    ]  # fmt: skip
    ranged = Filter(ranges={"rank": (2, 6)})
    assert ids(await page_of(stores, ranged, BY_RANK, 9, before=Position(8, "pr_8"))) == [
        "pr_2", "pr_3", "pr_5",
    ]  # fmt: skip
    assert ids(await page_of(stores, ranged, Order("rank"), 9, before=Position(2, "pr_2"))) == [
        "pr_5", "pr_3",
    ]  # fmt: skip


async def test_only_one_cursor_is_given(stores: Stores) -> None:
    at = Position(1, "x")
    with pytest.raises(ValueError, match="at most one"):
        await page_of(stores, Filter(), BY_RANK, 1, after=at, before=at)


@pytest.mark.parametrize("order", [BY_RANK, Order("rank")])
async def test_a_page_that_has_looked_at_enough_ends_short_with_its_cursor(
    stores: Stores, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_LOOKED_AT", 5)
    euros = {3, 4, 13, 14, 15}
    await store_new(
        stores.mirror,
        PROBES,
        *(
            probe(f"pr_{n:02}", rank=n, currency="eur" if n in euros else "usd", owner="ann")
            for n in range(20)
        ),
        probe("pr_no", rank=4, currency="eur", owner="bob"),
    )
    where = Filter({"currency": "eur"}, {"owner": ["ann", "cid"]}, {"created": (0, None)})
    pages = await forwards(stores, where, order, 2)
    found = [id_ for page in pages for id_ in ids(page)]
    expected = [f"pr_{n:02}" for n in sorted(euros, reverse=order.descending)]
    assert found == expected
    assert [] in [ids(page) for page in pages], "five entries without a match make an empty page"
    assert all(len(ids(page)) <= 2 for page in pages)
    assert all(page.next is not None for page in pages[:-1])
    # Going back nothing is lost, and nothing comes twice, from the last row on.
    last = next(page for page in reversed(pages) if page.rows)
    back = [ids(page) for page in await backwards(stores, where, order, 2, last)]
    rows = [id_ for page in back for id_ in page]
    assert rows == expected


async def test_what_is_tested_is_nothing_where_no_value_is_named(stores: Stores) -> None:
    await store_new(stores.mirror, PROBES, probe("pr_1"))
    where = Filter(one_of={"currency": []})
    assert await page_of(stores, where, BY_RANK, 2) == RowPage((), None)
