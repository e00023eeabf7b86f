"""The promises of `application.analytics.ports`, against the same sums in plain Python."""

import datetime as dt
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.ports import StatusRow, VolumeRow
from application.mirror.nouns import CHARGES
from domain.charges import Charge
from domain.periods import Granularity, Period, edges
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


def volume_of(
    charges: Sequence[Charge], bucket_edges: Sequence[dt.datetime], currency: str | None = None
) -> set[VolumeRow]:
    sums: dict[tuple[int, str], int] = defaultdict(int)
    counts: Counter[tuple[int, str]] = Counter()
    for bucket, found in _inside(charges, bucket_edges, currency):
        if found.status == "succeeded":
            key = bucket, found.amount.currency
            sums[key] += found.amount_captured.amount
            counts[key] += 1
    return {VolumeRow(*key, amount, counts[key]) for key, amount in sums.items()}


def counts_of(
    charges: Sequence[Charge],
    bucket_edges: Sequence[dt.datetime],
    currency: str | None,
    statuses: Sequence[str],
) -> set[StatusRow]:
    counts = Counter(
        (bucket, found.amount.currency, found.status)
        for bucket, found in _inside(charges, bucket_edges, currency)
        if found.status in statuses
    )
    return {StatusRow(*key, count) for key, count in counts.items()}


def _inside(
    charges: Sequence[Charge], bucket_edges: Sequence[dt.datetime], currency: str | None
) -> list[tuple[int, Charge]]:
    return [
        (bisect_right(bucket_edges, found.created) - 1, found)
        for found in charges
        if bucket_edges[0] <= found.created < bucket_edges[-1]
        and currency in (None, found.amount.currency)
    ]


async def test_edges_belong_to_the_bucket_that_they_open(stores: Stores) -> None:
    bucket_edges = [NOON, NOON + SECOND, NOON + 5 * SECOND]
    moment = dt.timedelta(milliseconds=1)
    times = [edge + shift for edge in bucket_edges for shift in (-moment, 0 * moment, moment)]
    charges = [charge(f"ch_{n}", created=at, amount=2**n) for n, at in enumerate(times)]
    await store_new(stores.mirror, CHARGES, *charges)
    rows = await stores.analytics.gross_volume(OURS, bucket_edges, None)
    assert sorted(rows, key=lambda row: row.bucket) == [
        VolumeRow(0, "usd", 2**1 + 2**2 + 2**3, 3),
        VolumeRow(1, "usd", 2**4 + 2**5 + 2**6, 3),
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
    rows = await stores.analytics.gross_volume(OURS, day, None)
    assert set(rows) == {VolumeRow(0, "usd", 100, 1), VolumeRow(0, "eur", 40, 1)}
    assert await stores.analytics.gross_volume(OURS, day, "eur") == [VolumeRow(0, "eur", 40, 1)]
    assert await stores.analytics.gross_volume(OURS, day, "jpy") == []


async def test_counts_are_of_the_statuses_asked_for(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        CHARGES,
        charge("ch_1"),
        charge("ch_2", status="failed"),
        charge("ch_3", status="failed", currency="eur"),
        charge("ch_4", status="failed"),
        charge("ch_5", status="pending"),
    )
    day = [NOON, NOON + dt.timedelta(days=1)]
    ask = stores.analytics.charge_counts
    rows = await ask(OURS, day, None, ["failed", "succeeded", "failed"])
    assert len(rows) == 3, "a status named twice is counted once"
    assert set(rows) == {
        StatusRow(0, "usd", "failed", 2),
        StatusRow(0, "eur", "failed", 1),
        StatusRow(0, "usd", "succeeded", 1),
    }
    assert set(await ask(OURS, day, "usd", ["failed"])) == {StatusRow(0, "usd", "failed", 2)}
    assert await ask(OURS, day, None, []) == []
    assert await ask(OURS, day, None, ["of tomorrow"]) == []


async def test_other_accounts_and_the_dead_do_not_count(stores: Stores) -> None:
    day = [NOON, NOON + dt.timedelta(days=1)]
    await store_new(stores.mirror, CHARGES, charge("ch_1", amount=5), charge("ch_2", amount=7))
    await store_new(stores.mirror, CHARGES, charge("ch_1", amount=11), stripe_account=THEIRS)
    assert await stores.mirror.replace(CHARGES, [(tombstone("ch_2"), 1)]) == []
    assert await stores.analytics.gross_volume(OURS, day, None) == [VolumeRow(0, "usd", 5, 1)]
    assert await stores.analytics.gross_volume(THEIRS, day, None) == [VolumeRow(0, "usd", 11, 1)]
    assert await stores.analytics.charge_counts(OURS, day, None, STATUSES) == [
        StatusRow(0, "usd", "succeeded", 1)
    ]


async def test_a_replaced_charge_counts_as_it_is_now(stores: Stores) -> None:
    day = [NOON, NOON + dt.timedelta(days=1)]
    await store_new(stores.mirror, CHARGES, charge(status="pending"))
    assert await stores.analytics.gross_volume(OURS, day, None) == []
    captured = snapshot(charge(amount=250), at=NOON_MS + 1)
    assert await stores.mirror.replace(CHARGES, [(captured, 1)]) == []
    assert await stores.analytics.gross_volume(OURS, day, None) == [VolumeRow(0, "usd", 250, 1)]


async def test_sums_beyond_32_bits_are_exact(stores: Stores) -> None:
    amount = 2**52 + 1
    day = [NOON, NOON + dt.timedelta(days=1)]
    charges = [charge(f"ch_{number}", amount=amount) for number in range(5)]
    await store_new(stores.mirror, CHARGES, *charges)
    assert await stores.analytics.gross_volume(OURS, day, None) == [
        VolumeRow(0, "usd", 5 * amount, 5)
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
    rows = await stores.analytics.gross_volume(OURS, bucket_edges, None)
    assert len(rows) == len(set(rows))
    assert set(rows) == volume_of(charges, bucket_edges)


async def test_ten_thousand_buckets(stores: Stores) -> None:
    bucket_edges = [NOON + SECOND * number for number in range(10_001)]
    charges = [charge(f"ch_{n}", created=NOON + SECOND * 27 * n) for n in range(371)]
    await store_new(stores.mirror, CHARGES, *charges)
    rows = await stores.analytics.gross_volume(OURS, bucket_edges, None)
    assert set(rows) == volume_of(charges, bucket_edges)
    # As many widths as buckets: nothing to encode in runs.
    uneven = [NOON + dt.timedelta(milliseconds=n * (n + 1) // 2) for n in range(10_001)]
    rows = await stores.analytics.gross_volume(OURS, uneven, None)
    assert set(rows) == volume_of(charges, uneven)


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
    granularity=st.sampled_from([Granularity.HOUR, Granularity.DAY]),
    currency=st.sampled_from([None, "usd", "jpy"]),
    statuses=st.lists(st.sampled_from(STATUSES), unique=True, max_size=3),
)
async def test_answers_agree_with_plain_python(
    stores: Stores,
    facts: list[tuple[int, int, str, str]],
    zone: str,
    middle: dt.datetime,
    hours: tuple[int, int],
    granularity: Granularity,
    currency: str | None,
    statuses: list[str],
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
    volume = await stores.analytics.gross_volume(stripe_account, bucket_edges, currency)
    assert len(volume) == len(set(volume))
    assert set(volume) == volume_of(charges, bucket_edges, currency)
    counts = await stores.analytics.charge_counts(stripe_account, bucket_edges, currency, statuses)
    assert len(counts) == len(set(counts))
    assert set(counts) == counts_of(charges, bucket_edges, currency, statuses)
