"""Every query that grows with the data is answered from an index, in its order, without a scan.

The plans are those of the statements that the adapters really send.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product
from typing import Any

import pytest

from application.analytics.metrics import METRICS, SPEND, Metric
from application.events.event_log import EventFilter
from application.events.inbox import EventState, Settled
from application.mirror.nouns import CHARGES
from application.mirror.ports import Filter, Noun, Order
from application.mutations.ports import Lease
from application.requests.paging import Position, Scalar
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.periods import Granularity, Period, edges
from infrastructure.documents import index_keys, serving
from tests.contract.samples import (
    BERLIN,
    KEY,
    NOON,
    NOON_MS,
    OURS,
    SECOND,
    SPRING,
    charge,
    event,
    facet,
    probe,
    record,
    snapshot,
    store_new,
)
from tests.support.servers.stores import NOUNS_UNDER_TEST, PROBES, Plan, Stores

LEASE = Lease("one", NOON)


async def plans_of(stores: Stores, action: Callable[[], Awaitable[object]]) -> list[Plan]:
    """The plans of an action's statements: at least one, none of which scans."""
    plans = list(await stores.explain(action))
    assert plans, "nothing was asked"
    for plan in plans:
        assert plan.indexes, plan.text
        assert not plan.scans, plan.text
    return plans


async def assert_ordered(stores: Stores, action: Callable[[], Awaitable[object]]) -> list[Plan]:
    """As `plans_of`, and nothing is sorted either."""
    plans = await plans_of(stores, action)
    for plan in plans:
        assert not plan.sorts, plan.text
    return plans


def _filters(noun: Noun[Any], index: tuple[str, ...]) -> list[Filter]:
    """Each column before the last with one value or with several, the last with and without range.

    Values of the right type do not matter to a plan, as there are no statistics.
    """
    *narrowed, ordered = index[: index.index("id")] if "id" in index else index
    ranges: list[dict[str, tuple[int | None, int | None]]] = [
        {},
        {ordered: (0, None)},
        {ordered: (None, 9)},
        {ordered: (0, 9)},
    ]
    several: list[Scalar] = ["a", "b", "c"]
    many = {column.name for column in noun.columns if column.many}
    return [
        Filter(
            {name: "a" for name, many in zip(narrowed, choice, strict=True) if not many},
            {name: several for name, many in zip(narrowed, choice, strict=True) if many},
            bounds,
        )
        for choice in product((False, True), repeat=len(narrowed))
        for bounds in ranges
        if not many & {name for name, more in zip(narrowed, choice, strict=True) if more}
    ]


@pytest.mark.parametrize(
    ("noun", "index"),
    [
        pytest.param(noun, index, id=f"{noun.name}-{'-'.join(index)}")
        for noun in NOUNS_UNDER_TEST
        for index in noun.indexes
    ],
)
async def test_every_list_that_a_declaration_allows(
    stores: Stores, noun: Noun[Any], index: tuple[str, ...]
) -> None:
    *_, last = index[: index.index("id")] if "id" in index else index
    orders = [Order(last, descending=descending) for descending in (True, False)]
    positions = [(None, None), (Position(5, "x"), None), (None, Position(5, "x"))]
    questions = [*product(_filters(noun, index), orders, positions)]

    async def ask() -> None:
        for where, order, (after, before) in questions:
            await stores.mirror.list(
                noun, OURS, where, order=order, after=after, before=before, limit=10
            )

    plans = await assert_ordered(stores, ask)
    assert len(plans) == len(questions)
    many = index[0] in {column.name for column in noun.columns if column.many}
    rows = {("stripe_account", "id")} if many and stores.kind == "sqlite" else set()
    # One that has more behind the id is for tests: where nothing is tested a shorter one may do.
    expected = serving(noun, *questions[0][:2]).index if "id" in index else index
    for plan in plans:
        assert {*plan.indexes} == {index_keys(expected)} | rows, plan.text


async def test_what_else_is_filtered_is_tested_on_the_index(stores: Stores) -> None:
    index = ("rank", "id", "currency", "owner", "created")
    await store_new(stores.mirror, PROBES, *(probe(f"pr_{n}", rank=n) for n in range(9)))
    tested = Filter(
        {"currency": "eur"}, {"owner": ["a", "b"]}, {"created": (0, None), "rank": (0, 5)}
    )
    for order, (after, before) in product(
        (Order("rank"), Order("rank", descending=False)),
        ((None, None), (Position(7, "x"), None), (None, Position(0, "x"))),
    ):
        looked, listed = await assert_ordered(
            stores,
            partial(
                stores.mirror.list, PROBES, OURS, tested,
                order=order, after=after, before=before, limit=2,
            ),
        )  # fmt: skip
        for plan in (looked, listed):
            assert {*plan.indexes} == {index_keys(index)}, plan.text
        assert looked.covered, looked.text
        if stores.kind == "mongo":
            assert listed.covered, "no row that does not fit is read"


async def test_a_late_page_starts_at_its_position(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, *(charge(f"ch_{number}") for number in range(3)))
    ranged = Filter(ranges={"created": (0, 10**15)})
    plans = await stores.explain(
        lambda: stores.mirror.list(
            CHARGES,
            OURS,
            ranged,
            order=Order("created"),
            after=Position(10**14, "ch_1"),
            limit=2,
        )
    )
    if stores.kind == "sqlite":
        assert "(created,id)<(?,?)" in plans[0].text
    assert not any(plan.sorts or plan.scans for plan in plans)


@pytest.mark.parametrize("noun", NOUNS_UNDER_TEST, ids=lambda noun: noun.name)
async def test_rows_are_found_by_key_and_counts_need_none(stores: Stores, noun: Noun[Any]) -> None:
    await plans_of(stores, lambda: stores.mirror.fetch(noun, OURS, ["a", "b", "c"]))
    counted = await assert_ordered(stores, lambda: stores.mirror.count(noun, OURS))
    assert all(plan.covered for plan in counted)


async def test_writes_to_the_mirror(stores: Stores) -> None:
    for seen in (0, 1, 0):
        told = [(snapshot(charge()), seen)]
        await plans_or_nothing(stores, partial(stores.mirror.replace, CHARGES, told))
    await plans_or_nothing(stores, lambda: stores.mirror.derive(CHARGES, [facet("ch_1", fee=1)]))


async def plans_or_nothing(stores: Stores, action: Callable[[], Awaitable[object]]) -> None:
    """As `plans_of`, where an insert alone has no plan."""
    for plan in await stores.explain(action):
        assert not plan.scans, plan.text


async def test_the_inbox(stores: Stores) -> None:
    for number in range(20):
        received_at = NOON + SECOND * number
        await stores.inbox.append(event(f"evt_{number}", received_at=received_at))

    async def claim() -> None:
        claimed = await stores.inbox.claim("one", now=NOON, lease=SECOND, limit=5, max_bytes=10_000)
        assert len(claimed) == 5

    await plans_of(stores, claim)
    outcomes = [
        Settled("evt_1", EventState.PROCESSED, "applied"),
        Settled("evt_2", EventState.PENDING, "failed", "it broke", NOON),
    ]
    await plans_of(stores, lambda: stores.inbox.settle("one", outcomes))
    counted = await assert_ordered(stores, stores.inbox.backlog)
    assert all(plan.covered for plan in counted)
    await plans_of(stores, lambda: stores.inbox.get("evt_1"))


async def test_the_queue_of_the_inbox_is_read_in_order_from_its_index_alone(
    stores: Stores,
) -> None:
    plans = await stores.explain(
        lambda: stores.inbox.claim("one", now=NOON, lease=SECOND, limit=5, max_bytes=10_000)
    )
    assert len(plans) == 1, "an empty queue is asked once"
    assert plans[0].covered, plans[0].text
    assert not plans[0].sorts, plans[0].text
    assert not plans[0].scans, plans[0].text


@pytest.mark.parametrize("after", [None, (NOON_MS + 5, "evt_5")])
async def test_every_list_of_events(stores: Stores, after: tuple[int, str] | None) -> None:
    for account, state, type_, about, start, end in product(
        (None, OURS), (None, *EventState), (None, "a"), (None, "ch_1"), (None, NOON), (None, NOON)
    ):
        if about is not None and account is None:
            continue
        where = EventFilter(account, state, type_, about, start, end)

        async def ask(where: EventFilter = where) -> None:
            await stores.event_log.list(where, after=after, limit=5)

        # The events of one object are few enough to be sorted.
        for plan in await (plans_of if about is not None else assert_ordered)(stores, ask):
            wanted = _narrowed_by(where, stores.kind)
            assert {index[0] for index in plan.indexes} == {wanted}, plan.text


def _narrowed_by(where: EventFilter, kind: str) -> str:
    """The first column of the index that a list of events should use."""
    if where.object_id is not None:
        return "object_id"
    if where.state in (EventState.PENDING, EventState.DEAD):
        return "state"
    # In SQLite an index by account would cost a webhook more than it may.
    by_account = where.stripe_account is not None and kind == "mongo"
    return "stripe_account" if by_account else "received_at"


async def test_the_event_log(stores: Stores) -> None:
    await store_events(stores)
    log, history = stores.event_log, stores.event_history
    for place, id_ in ((None, ""), ((NOON_MS, "evt_3"), "evt_3")):
        await plans_of(stores, partial(log.about, OURS, "ch_1", after=place, limit=5))
        await assert_ordered(stores, partial(history.of_account, OURS, after=id_, limit=5))
    await assert_ordered(stores, lambda: log.record("evt_1"))
    await assert_ordered(stores, lambda: log.payload("evt_1"))
    await plans_of(stores, lambda: log.retry(["evt_1", "evt_2"], now=NOON))
    for where in (EventFilter(), EventFilter(OURS, type="a", received_from=NOON)):
        await assert_ordered(stores, partial(log.retry_dead, where, now=NOON, limit=5))
    await plans_of(
        stores, lambda: log.retry_dead(EventFilter(OURS, object_id="ch_1"), now=NOON, limit=5)
    )
    for account in (None, OURS):
        for plan in await assert_ordered(stores, partial(log.counts, account)):
            assert {index[0] for index in plan.indexes} == {"state"}, plan.text


async def store_events(stores: Stores) -> None:
    """Events with some dead ones among them."""
    for number in range(9):
        received_at = NOON + SECOND * number
        await stores.inbox.append(event(f"evt_{number}", received_at=received_at))
    claimed = await stores.inbox.claim("one", now=NOON, lease=SECOND, limit=5, max_bytes=10_000)
    dead = [Settled(one.event.id, EventState.DEAD, "dead") for one in claimed]
    assert await stores.inbox.settle("one", dead) == 5


async def test_the_mutation_log(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), LEASE, now=NOON)
    await plans_of(stores, lambda: log.begin(record(), LEASE, now=NOON))
    await plans_of(stores, lambda: log.release(KEY, LEASE, retry_at=NOON))
    await assert_ordered(stores, lambda: log.find_open(now=NOON, limit=5))
    await log.begin(record(), LEASE, now=NOON)
    await plans_of(stores, lambda: log.finish(KEY, LEASE, reply=b"{}", failure=None))
    await assert_ordered(stores, lambda: log.purge(before=NOON + SECOND, limit=5))


async def test_connections_and_accounts(stores: Stores) -> None:
    link = Connection("acme", OURS, Mode.TEST, ConnectionKind.OAUTH, NOON)
    await stores.connections.put(link)
    repository = stores.connections
    await assert_ordered(stores, lambda: repository.get("acme", Mode.TEST))
    await assert_ordered(stores, lambda: repository.find_by_stripe_account(OURS, Mode.TEST))
    await plans_or_nothing(stores, lambda: repository.put(link))
    await plans_of(stores, lambda: repository.revoke(link))
    await stores.accounts.add(Account("acme", "Acme", "usd"))
    await assert_ordered(stores, lambda: stores.accounts.get("acme"))
    await assert_ordered(stores, lambda: stores.accounts.list_all(after="a", limit=5))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("currency", [None, "usd"])
@pytest.mark.parametrize("granularity", [Granularity.DAY, Granularity.MONTH])
async def test_every_metric_reads_its_covering_index_alone(
    stores: Stores, metric: Metric, currency: str | None, granularity: Granularity
) -> None:
    period = Period(SPRING - 86_400 * 45 * SECOND, SPRING + 86_400 * 45 * SECOND, BERLIN)
    charges = (charge(f"ch_{number}", created=SPRING + number * SECOND) for number in range(50))
    await store_new(stores.mirror, CHARGES, *charges)
    bucket_edges = edges(period, granularity)
    for plan in await assert_ordered(
        stores, lambda: stores.analytics.figures(metric, OURS, bucket_edges, currency)
    ):
        assert plan.covered, plan.text
        assert plan.indexes == (index_keys(metric.index),), plan.text


@pytest.mark.parametrize("after", [None, (5, "cus_1")])
async def test_who_spends_most_is_read_from_the_covering_index_alone(
    stores: Stores, after: tuple[int, str] | None
) -> None:
    await store_new(stores.mirror, CHARGES, charge(customer="cus_1"))
    period = (NOON, NOON + 86_400 * SECOND)
    for plan in await plans_of(
        stores,
        lambda: stores.analytics.top(SPEND, OURS, period, "usd", after=after, limit=9),
    ):
        assert plan.covered, plan.text
        assert plan.indexes == (index_keys(SPEND.index),), plan.text
