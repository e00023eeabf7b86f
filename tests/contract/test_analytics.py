"""The promises of `application.analytics.ports`, against the same sums in plain Python."""

import datetime as dt
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.metrics import (
    FAILED_CHARGES,
    GROSS_VOLUME,
    METRICS,
    SPEND,
    SUCCEEDED_CHARGES,
    Metric,
    Sum,
)
from application.analytics.ports import FigureRow, TopRow, TopRows
from application.mirror.nouns import CHARGES
from domain.charges import Charge
from domain.money import Money
from domain.periods import Granularity, Period, edges, to_milliseconds
from infrastructure.documents import column_values
from tests.contract.samples import (
    AUTUMN,
    BERLIN,
    NOON,
    NOON_MS,
    OURS,
    SECOND,
    SPRING,
    THEIRS,
    charge,
    snapshot,
    store_new,
    tombstone,
)
from tests.support.servers.stores import Stores

STATUSES = ("succeeded", "failed", "pending")
OF_CHARGES = tuple(metric for metric in METRICS if metric.noun is CHARGES)


def figures_of(
    metric: Metric,
    charges: Sequence[Charge],
    bucket_edges: Sequence[dt.datetime],
    currency: str | None = None,
) -> set[FigureRow]:
    """What a metric over charges is, in plain Python."""
    totals: dict[tuple[int, str, tuple[Any, ...]], list[Counter[str]]] = defaultdict(list)
    first, last = map(to_milliseconds, (bucket_edges[0], bucket_edges[-1]))
    for found in charges:
        columns: dict[str, Any] = column_values(metric.noun, found, {})
        if (
            first <= columns[metric.date] < last
            and currency in (None, columns["currency"])
            and all(columns[name] in allowed for name, allowed in metric.where.items())
            and all(columns[name] > 0 for name in metric.above_zero)
        ):
            bucket = bisect_right(bucket_edges, found.created) - 1
            group = tuple(columns[name] for name in metric.by)
            summed = Counter({name: columns[name] for name in metric.columns})
            totals[bucket, found.amount.currency, group].append(summed)
    return {
        FigureRow(*key, metric.sums_of(sum(rows, Counter())), len(rows))
        for key, rows in totals.items()
    }


def volume(bucket: int, currency: str, amount: int, count: int) -> FigureRow:
    return FigureRow(bucket, currency, ("",), (amount,), count)


BY_STATUS = replace(
    SUCCEEDED_CHARGES,
    name="charges_by_status",
    where={"status": ("succeeded", "failed", "failed")},
    above_zero=(),
    by=("status",),
)
"""Declared here alone: a column that leads the index, with several values, kept apart."""

TOGETHER = replace(
    GROSS_VOLUME,
    name="all_but_pending",
    where={"status": ("succeeded", "failed"), "currency": ("usd", "eur")},
    above_zero=(),
    by=(),
    sums=(
        Sum("twice", ("amount_captured", "amount_captured")),
        Sum("nothing", ("amount_captured",), minus=("amount_captured",)),
    ),
)
"""And put together; a fixed column behind the date; sums of several columns."""


async def test_edges_belong_to_the_bucket_that_they_open(stores: Stores) -> None:
    bucket_edges = [NOON, NOON + SECOND, NOON + 5 * SECOND]
    moment = dt.timedelta(milliseconds=1)
    times = [edge + shift for edge in bucket_edges for shift in (-moment, 0 * moment, moment)]
    charges = [charge(f"ch_{n}", created=at, amount=2**n) for n, at in enumerate(times)]
    await store_new(stores.mirror, CHARGES, *charges)
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, bucket_edges)
    assert sorted(rows, key=lambda row: row.bucket) == [
        volume(0, "usd", 2**1 + 2**2 + 2**3, 3),
        volume(1, "usd", 2**4 + 2**5 + 2**6, 3),
    ]


async def test_only_what_succeeded_is_volume_and_only_captured_amounts_count(
    stores: Stores,
) -> None:
    await store_new(
        stores.mirror,
        CHARGES,
        charge("ch_1", amount=100),
        charge("ch_2", amount=40, currency="eur"),
        charge("ch_3", amount=7, status="failed"),
        charge("ch_4", amount=9, status="pending"),
        charge("ch_5", amount=9, status="of tomorrow"),
    )
    day = [NOON, NOON + dt.timedelta(days=1)]
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, day)
    assert set(rows) == {volume(0, "usd", 100, 1), volume(0, "eur", 40, 1)}
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day, "eur") == [
        volume(0, "eur", 40, 1)
    ]
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day, "jpy") == []


async def test_what_is_kept_apart_and_what_is_put_together(stores: Stores) -> None:
    charges = [
        charge("ch_1", amount=5),
        charge("ch_2", status="failed"),
        charge("ch_3", status="failed", currency="eur"),
        charge("ch_4", status="failed"),
        charge("ch_5", status="pending"),
        charge("ch_6", currency="jpy"),
    ]
    await store_new(stores.mirror, CHARGES, *charges)
    day = [NOON, NOON + dt.timedelta(days=1)]
    rows = await stores.analytics.figures(BY_STATUS, OURS, day)
    assert len(rows) == 4, "a status named twice is counted once"
    assert set(rows) == {
        FigureRow(0, "usd", ("failed",), (), 2),
        FigureRow(0, "eur", ("failed",), (), 1),
        FigureRow(0, "usd", ("succeeded",), (), 1),
        FigureRow(0, "jpy", ("succeeded",), (), 1),
    }
    assert set(await stores.analytics.figures(TOGETHER, OURS, day)) == {
        FigureRow(0, "usd", (), (10, 0), 3),
        FigureRow(0, "eur", (), (0, 0), 1),
    }


async def test_an_authorisation_is_no_volume_and_no_success(stores: Stores) -> None:
    held = replace(charge("ch_1"), amount_captured=Money(0, "usd"), captured=False)
    await store_new(stores.mirror, CHARGES, held, charge("ch_2", amount=7))
    day = [NOON, NOON + dt.timedelta(days=1)]
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day) == [volume(0, "usd", 7, 1)]
    assert await stores.analytics.figures(FAILED_CHARGES, OURS, day) == []


async def test_other_accounts_and_the_dead_do_not_count(stores: Stores) -> None:
    day = [NOON, NOON + dt.timedelta(days=1)]
    await store_new(stores.mirror, CHARGES, charge("ch_1", amount=5), charge("ch_2", amount=7))
    await store_new(stores.mirror, CHARGES, charge("ch_1", amount=11), stripe_account=THEIRS)
    assert await stores.mirror.replace(CHARGES, [(tombstone("ch_2"), 1)]) == []
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day) == [volume(0, "usd", 5, 1)]
    assert await stores.analytics.figures(GROSS_VOLUME, THEIRS, day) == [volume(0, "usd", 11, 1)]


async def test_a_replaced_charge_counts_as_it_is_now(stores: Stores) -> None:
    day = [NOON, NOON + dt.timedelta(days=1)]
    await store_new(stores.mirror, CHARGES, charge(status="pending"))
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day) == []
    captured = snapshot(charge(amount=250), at=NOON_MS + 1)
    assert await stores.mirror.replace(CHARGES, [(captured, 1)]) == []
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day) == [volume(0, "usd", 250, 1)]


async def test_sums_beyond_32_bits_are_exact(stores: Stores) -> None:
    amount = 2**52 + 1
    day = [NOON, NOON + dt.timedelta(days=1)]
    charges = [charge(f"ch_{number}", amount=amount) for number in range(5)]
    await store_new(stores.mirror, CHARGES, *charges)
    assert await stores.analytics.figures(GROSS_VOLUME, OURS, day) == [
        volume(0, "usd", 5 * amount, 5)
    ]


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("change", [SPRING, AUTUMN])
async def test_buckets_follow_the_clock_change(
    stores: Stores, change: dt.datetime, granularity: Granularity
) -> None:
    period = Period(change - dt.timedelta(days=20), change + dt.timedelta(days=12), BERLIN)
    bucket_edges = edges(period, granularity)
    step = dt.timedelta(minutes=83)
    charges = [
        charge(f"ch_{number}", created=period.start - step + number * step, amount=number)
        for number in range((period.end - period.start) // step + 3)
    ]
    await store_new(stores.mirror, CHARGES, *charges)
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, bucket_edges)
    assert len(rows) == len(set(rows))
    assert set(rows) == figures_of(GROSS_VOLUME, charges, bucket_edges)


@pytest.mark.parametrize("granularity", [Granularity.DAY, Granularity.WEEK, Granularity.MONTH])
async def test_buckets_of_years(stores: Stores, granularity: Granularity) -> None:
    """Of so many months a store may make other cells; each row is in its own month for all that."""
    start = NOON - dt.timedelta(days=500)
    charges = [
        charge(f"ch_{number}", created=start + number * dt.timedelta(hours=31), amount=2**number)
        for number in range(40)
    ] + [
        charge(f"ch_9{number}", created=start + number * dt.timedelta(hours=257), amount=number + 1)
        for number in range(80)
    ]  # fmt: skip
    await store_new(stores.mirror, CHARGES, *charges)
    bucket_edges = edges(Period(start, start + dt.timedelta(days=840), BERLIN), granularity)
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, bucket_edges)
    assert len(rows) == len(set(rows))
    assert set(rows) == figures_of(GROSS_VOLUME, charges, bucket_edges)


async def test_ten_thousand_buckets(stores: Stores) -> None:
    bucket_edges = [NOON + SECOND * number for number in range(10_001)]
    charges = [charge(f"ch_{n}", created=NOON + SECOND * 27 * n) for n in range(371)]
    await store_new(stores.mirror, CHARGES, *charges)
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, bucket_edges)
    assert set(rows) == figures_of(GROSS_VOLUME, charges, bucket_edges)
    # As many widths as buckets: nothing to encode in runs.
    uneven = [NOON + dt.timedelta(milliseconds=n * (n + 1) // 2) for n in range(10_001)]
    rows = await stores.analytics.figures(GROSS_VOLUME, OURS, uneven)
    assert set(rows) == figures_of(GROSS_VOLUME, charges, uneven)


_CHARGES = st.lists(
    st.tuples(
        st.integers(-90_000, 90_000),
        st.integers(0, 2**40),
        st.sampled_from(["usd", "eur", "jpy"]),
        st.sampled_from([*STATUSES, "of tomorrow"]),
    ),
    max_size=40,
)
_ZONES = st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe"])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    facts=_CHARGES,
    zone=_ZONES,
    middle=st.sampled_from([SPRING, AUTUMN, NOON]),
    hours=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    granularity=st.sampled_from(Granularity),
    currency=st.sampled_from([None, "usd", "jpy"]),
    metric=st.sampled_from([*OF_CHARGES, BY_STATUS, TOGETHER]),
)
async def test_answers_agree_with_plain_python(
    stores: Stores,
    facts: list[tuple[int, int, str, str]],
    zone: str,
    middle: dt.datetime,
    hours: tuple[int, int],
    granularity: Granularity,
    currency: str | None,
    metric: Metric,
) -> None:
    # The store outlives an example: each has a Stripe account of its own.
    stripe_account = f"acct_{uuid4().hex}"
    charges = [
        charge(
            f"ch_{number}",
            created=middle + seconds * SECOND,
            amount=amount,
            currency=code,
            status=status,
        )
        for number, (seconds, amount, code, status) in enumerate(facts)
    ]
    await store_new(stores.mirror, CHARGES, *charges, stripe_account=stripe_account)
    before, after = hours
    period = Period(middle - dt.timedelta(hours=before), middle + dt.timedelta(hours=after), zone)
    bucket_edges = edges(period, granularity)
    rows = await stores.analytics.figures(metric, stripe_account, bucket_edges, currency)
    assert len(rows) == len(set(rows))
    assert set(rows) == figures_of(metric, charges, bucket_edges, currency)


async def test_the_greatest_first(stores: Stores) -> None:
    spent = [("cus_b", 50), ("cus_a", 30), ("cus_a", 20), ("cus_c", 70), (None, 5), (None, 6)]
    charges = [
        charge(f"ch_{number}", amount=amount, customer=customer)
        for number, (customer, amount) in enumerate(spent)
    ]
    other = [
        charge("ch_7", amount=99, currency="eur", customer="cus_a"),
        charge("ch_8", amount=99, status="failed", customer="cus_a"),
        charge("ch_9", amount=99, customer="cus_a", created=NOON + dt.timedelta(days=1)),
    ]
    await store_new(stores.mirror, CHARGES, *charges, *other)
    await store_new(stores.mirror, CHARGES, charge(customer="cus_z"), stripe_account=THEIRS)
    day = (NOON, NOON + dt.timedelta(days=1))

    async def top(limit: int, after: tuple[int, str] | None = None) -> TopRows:
        return await stores.analytics.top(SPEND, OURS, day, "usd", after=after, limit=limit)

    order = [TopRow("cus_c", 70, 1), TopRow("cus_a", 50, 2), TopRow("cus_b", 50, 1)]
    assert await top(9) == TopRows(order, TopRow("", 11, 2))
    assert await top(2) == TopRows(order[:2], TopRow("", 11, 2))
    assert await top(9, (70, "cus_c")) == TopRows(order[1:])
    assert await top(1, (50, "cus_a")) == TopRows(order[2:])
    assert await top(9, (50, "cus_b")) == TopRows([])
    assert (await stores.analytics.top(SPEND, OURS, day, "jpy", after=None, limit=1)).rows == []
