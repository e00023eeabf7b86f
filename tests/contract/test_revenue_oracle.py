"""What RevenueAnalytics answers is what the oracle finds in plain lists, on every store."""

import datetime as dt
from collections import defaultdict
from fractions import Fraction
from uuid import uuid4
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.ledger import Ledger
from application.analytics.questions import Question
from application.analytics.use_cases import RevenueAnalytics
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, Mode
from domain.periods import Granularity
from domain.rates import Rate
from tests.contract.samples import NOON, store_history
from tests.property.revenue_histories import CURRENCIES, ZONES, revenue_histories
from tests.support.expected import revenue as oracle
from tests.support.expected.revenue import History, Volume, first_day, within
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeMirror, FakeStripeAccounts
from tests.support.servers.stores import Stores

CALLER = Caller("service", "acme", frozenset())
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def asking(stores: Stores, stripe_account: str, account: str = "acme") -> Asking:
    clock = FakeClock(dt.datetime(2200, 1, 1, tzinfo=dt.UTC))
    connection = Connection(account, stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)
    connections = Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )
    ledger = Ledger(stores.analytics, stores.changes)
    base_totals = BaseTotals(stores.rates, "usd")
    return Asking(stores.analytics, connections, clock, base_totals, some_trust(), ledger)


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
    await store_history(stores.mirror, history, stripe_account)
    shift = dt.timedelta(seconds=seconds)
    start, end = (
        around + shift + sign * dt.timedelta(days=n) for sign, n in zip((-1, 1), days, strict=True)
    )
    question = Question(start, end, zone, Granularity(granularity), currency or "")
    analytics = RevenueAnalytics(asking(stores, stripe_account))
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
        assert part.provisional == oracle.provisional(history, when).get(code, 0)
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


def rate_of(date: dt.date, currency: str) -> str:
    """Some rate, another one each day."""
    return f"{date.day}.{date.month:02}{len(currency) + ord(currency[0])}"


@MANY
@given(
    drawn=revenue_histories(),
    zone=st.sampled_from(ZONES),
    granularity=st.sampled_from(["day", "week", "month"]),
    days=st.tuples(st.integers(0, 40), st.integers(1, 40)),
    unknown=st.sampled_from([None, "eur", "jpy"]),
)
async def test_base_totals(
    stores: Stores,
    drawn: tuple[dt.datetime, History],
    zone: str,
    granularity: str,
    days: tuple[int, int],
    unknown: str | None,
) -> None:
    around, history = drawn
    stripe_account, account = f"acct_{uuid4().hex}", f"acme_{uuid4().hex}"
    await store_history(stores.mirror, history, stripe_account)
    start, end = (around + dt.timedelta(days=n) for n in (-days[0], days[1]))
    dates = [start.date() + dt.timedelta(days=n) for n in range((end - start).days + 2)]
    rates = [
        Rate(date, code, rate_of(date, code))
        for date in dates
        for code in CURRENCIES
        if code not in ("usd", unknown)
    ]
    await stores.rates.add(account, "usd", rates)
    analytics = RevenueAnalytics(asking(stores, stripe_account, account))
    question = Question(start, end, zone, Granularity(granularity), base_total=True)
    answer = await analytics.gross_volume(Caller("service", account, frozenset()), question)
    base = answer.base
    assert base is not None

    exact: dict[dt.date, Fraction] = defaultdict(Fraction)
    counted = [(charge, at) for charge, at, _ in oracle.counted(history) if start <= at < end]
    for charge, at in counted:
        code, date = charge.amount.currency, at.astimezone(dt.UTC).date()
        decimals = {"jpy": 0, "kwd": 3}.get(code, 2)
        rate = Fraction(1) if code == "usd" else Fraction(rate_of(date, code))
        worth = charge.amount_captured.amount * rate * Fraction(10) ** (2 - decimals)
        exact[first_day(at, zone, granularity)] += worth
    if unknown in {charge.amount.currency for charge, _ in counted}:
        assert (base.total, base.amounts, base.missing) == (None, (), (unknown,))
        return
    assert base.total == round(sum(exact.values(), Fraction(0)))
    assert sum(base.amounts) == base.total
    for bucket, amount in zip(answer.time.buckets, base.amounts, strict=True):
        assert abs(amount - exact[first_day(bucket.start, zone, granularity)]) < 1


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
