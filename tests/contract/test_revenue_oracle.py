"""What RevenueAnalytics answers is what the oracle finds in plain lists, on every store."""

import datetime as dt
from uuid import uuid4
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.use_cases import Question, RevenueAnalytics
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, Mode
from domain.periods import Granularity
from tests.contract.samples import NOON, store_new
from tests.property.revenue_histories import CURRENCIES, ZONES, revenue_histories
from tests.support.expected import revenue as oracle
from tests.support.expected.revenue import History, Volume, first_day, within
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeMirror, FakeStripeAccounts
from tests.support.servers.stores import Stores

CALLER = Caller("service", "acme", frozenset())
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def asking(stores: Stores, stripe_account: str) -> RevenueAnalytics:
    clock = FakeClock(dt.datetime(2200, 1, 1, tzinfo=dt.UTC))
    connection = Connection("acme", stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)
    connections = Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )
    return RevenueAnalytics(stores.analytics, connections, clock)


@MANY
@given(
    drawn=revenue_histories(),
    zone=st.sampled_from(ZONES),
    granularity=st.sampled_from(["day", "week", "month"]),
    # Of a year's months a store makes other cells than of a few weeks.
    days=st.tuples(st.one_of(st.integers(0, 40), st.integers(300, 800)), st.integers(1, 40)),
    seconds=st.integers(-2, 2),
    currency=st.sampled_from([None, *CURRENCIES]),
)
async def test_gross_volume_and_counts(
    stores: Stores,
    drawn: tuple[dt.datetime, History],
    zone: str,
    granularity: str,
    days: tuple[int, int],
    seconds: int,
    currency: str | None,
) -> None:
    around, history = drawn
    stripe_account = f"acct_{uuid4().hex}"  # the store outlives an example
    await store_new(stores.mirror, CHARGES, *history.charges, stripe_account=stripe_account)
    shift = dt.timedelta(seconds=seconds)
    start, end = (
        around + shift + sign * dt.timedelta(days=n) for sign, n in zip((-1, 1), days, strict=True)
    )
    question = Question(start, end, zone, Granularity(granularity), currency or "")
    analytics = asking(stores, stripe_account)
    volume = await analytics.gross_volume(CALLER, question)
    counts = await analytics.charge_counts(CALLER, question)

    when = within(start, end)
    expected = oracle.gross(history, when)
    buckets = oracle.gross_by_bucket(history, when, zone, granularity)
    codes = {code for code in expected if currency in (None, code)}
    codes |= {currency} if currency else set()
    found = {part.currency: part for part in volume.currencies}
    assert codes <= found.keys()
    for code, part in found.items():
        assert part.total.current == expected.get(code, Volume()).amount
        told = {
            first_day(bucket.start, zone, granularity): Volume(amount, count)
            for bucket, amount, count in zip(
                volume.time.buckets, part.amounts, part.counts, strict=True
            )
        }
        assert len(told) == len(volume.time.buckets)
        assert {day: each for day, each in told.items() if each.count} == {
            day: each for (of, day), each in buckets.items() if of == code
        }
    assert (counts.succeeded.current, counts.failed.current) == oracle.charge_counts(
        history, when, currency
    )
    before = within(volume.time.previous.start, volume.time.previous.end)
    assert (counts.succeeded.previous, counts.failed.previous) == oracle.charge_counts(
        history, before, currency
    )


@MANY
@given(drawn=revenue_histories(most=40), days=st.integers(1, 60))
def test_the_oracle_agrees_with_itself(drawn: tuple[dt.datetime, History], days: int) -> None:
    around, history = drawn
    end = around + dt.timedelta(days=days)
    opening, closing = oracle.closing(history, around), oracle.closing(history, end)
    parts = oracle.net(history, within(around, end))
    for code in {*opening, *closing, *parts}:
        part = parts.get(code, oracle.Net())
        moved = part.net + sum(part.apart.values())
        assert opening[code] + moved == closing[code], "opening, net, and what is apart: closing"
        assert moved == part.closing
    everything = within(around - dt.timedelta(days=400), around + dt.timedelta(days=400))
    payments = oracle.payments(history, everything)
    assert payments.attempts == len(history.charges)
    assert payments.recovered <= payments.paid
    for volumes, made in (
        (oracle.refunds(history, everything), len(history.refunds)),
        (oracle.disputes(history, everything), sum(
            dispute.status in ("won", "lost") for dispute in history.disputes
        )),
    ):  # fmt: skip
        assert sum(volume.count for volume in volumes.values()) == made
    for payouts in oracle.payouts(history, everything, everything).values():
        assert 0 <= payouts.returned <= payouts.arrived


def test_a_turn_is_where_clocks_or_months_turn() -> None:
    assert first_day(
        dt.datetime(2026, 3, 1, 4, 59, tzinfo=ZoneInfo("UTC")), "US/Eastern", "month"
    ) == dt.date(2026, 2, 1)
