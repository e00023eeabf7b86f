"""Net, payments, failures, split, spend, refunds, disputes, payouts: as the oracle has them."""

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.asking import Series
from application.analytics.customers import CustomerAnalytics
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.questions import Question
from application.analytics.returns import ReturnAnalytics, TakenBack
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.use_cases import RevenueAnalytics
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.requests.paging import PageTokens
from domain.attempts import PaymentOutcome
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from domain.periods import Granularity, start_of_date, to_milliseconds, zone_of
from tests.contract.samples import store_history
from tests.contract.test_revenue_oracle import CALLER, asking
from tests.property.revenue_histories import CURRENCIES, ZONES, revenue_histories
from tests.support.expected import revenue as oracle
from tests.support.expected.revenue import History, Volume, When, within
from tests.support.fakes.stores import FakeClock
from tests.support.servers.stores import Stores

MANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ASKED = given(
    drawn=revenue_histories(),
    zone=st.sampled_from(ZONES),
    granularity=st.sampled_from(["day", "week", "month"]),
    days=st.tuples(st.integers(0, 40), st.integers(1, 40)),
    seconds=st.integers(-2, 2),
    currency=st.sampled_from([None, *CURRENCIES]),
)


def sums(series: Series) -> int:
    """The total of a series, which its buckets add up to."""
    assert sum(series.values) == series.total.current
    return series.total.current


@MANY
@ASKED
async def test_every_part_of_an_overview(
    stores: Stores,
    drawn: tuple[dt.datetime, History],
    zone: str,
    granularity: str,
    days: tuple[int, int],
    seconds: int,
    currency: str | None,
) -> None:
    around, history = drawn
    stripe_account = f"acct_{uuid4().hex}"
    await store_history(stores.mirror, history, stripe_account)
    shift = dt.timedelta(seconds=seconds)
    start, end = (
        around + shift + sign * dt.timedelta(days=n) for sign, n in zip((-1, 1), days, strict=True)
    )
    question = Question(start, end, zone, Granularity(granularity), currency or "")
    asks = asking(stores, stripe_account)
    revenue, net, payments = RevenueAnalytics(asks), NetAnalytics(asks), PaymentAnalytics(asks)
    returns, payouts = (
        ReturnAnalytics(asks, stores.fact_figures),
        PayoutAnalytics(asks, stores.balance_readings),
    )
    subscribers = SubscriberAnalytics(asks, stores.fact_figures, FakeClock())
    found = await OverviewAnalytics(
        asks, revenue, net, payments, returns, payouts, subscribers
    ).overview(CALLER, question)
    for part, ask in (
        (found.subscriptions.mrr, subscribers.mrr),
        (found.subscriptions.subscribers, subscribers.subscribers),
        (found.subscriptions.trials, subscribers.trials),
        (found.subscriptions.customers, subscribers.customers),
        (found.gross, revenue.gross_volume),
        (found.net, net.net_volume),
        (found.payouts, payouts.payouts),
    ):
        each: Callable[..., Awaitable[object]] = ask  # type: ignore[assignment]  # of any answer
        assert part == await each(CALLER, question), "as its own question answers"

    when = within(start, end)
    before = within(found.time.previous.start, found.time.previous.end)
    _check_net(found.net, oracle.net(history, when), currency)
    assert {
        code: amount
        for part in found.gross.settled
        if (amount := sums(part.volume)) and (code := part.currency)
    } == {code: part.gross for code, part in oracle.net(history, when).items() if part.gross}
    for judged, series_of in (
        (when, lambda series: series.total.current),
        (before, lambda series: series.total.previous),
    ):
        _check_payments(found.payments, oracle.payments(history, judged, currency), series_of)
    attempts = oracle.risks(history, when, currency)
    assert sums(found.payments.attempts_made) == attempts.total()
    assert counted(found.failures.risk_levels) == attempts
    failed = oracle.failures(history, when, currency)
    assert sums(found.failures.blocked) == failed.pop("blocked", 0)
    assert sums(found.failures.declined) == failed.total()
    assert counted(found.failures.reasons) == failed
    split = {
        (part.currency, kind): amount
        for part in found.split.currencies
        for kind, series in part.parts.items()
        if (amount := sums(series))
    }
    assert split == {
        key: amount
        for key, amount in oracle.split(history, when).items()
        if currency in (None, key[0])
    }
    for part in found.split.currencies:
        assert sum(map(sums, part.parts.values())) == sums(part.total)
    settled = oracle.net(history, when)
    for parts, expected in (
        (found.refunds.currencies, oracle.refunds(history, when)),
        (found.disputes.currencies, oracle.disputes(history, when)),
    ):
        _check_returns({part.currency: part for part in parts}, expected, settled, currency)
    assert found.disputes.succeeded.current <= oracle.charge_counts(history, when)[0]
    arrived_in = _local_days(when, zone)
    paid_out = oracle.payouts(history, when, arrived_in)
    for out in found.payouts.currencies:
        expected_out = paid_out.get(out.currency, oracle.Payouts())
        assert (sums(out.arrived), sums(out.returned), out.on_its_way) == (
            expected_out.arrived, expected_out.returned, expected_out.on_its_way,
        )  # fmt: skip
    codes = {out.currency for out in found.payouts.currencies}
    moved = {code for code, out in paid_out.items() if out != oracle.Payouts()}
    assert {code for code in moved if currency in (None, code)} <= codes


def counted(parts: Mapping[str, Series]) -> Counter[str]:
    """The parts that are not zero in the period."""
    return Counter({name: count for name, series in parts.items() if (count := sums(series))})


def _check_net(found, expected: Mapping[str, oracle.Net], currency: str | None) -> None:  # type: ignore[no-untyped-def]
    by_code = {part.currency: part for part in found.currencies}
    assert {code for code in expected if currency in (None, code)} <= by_code.keys()
    for code, part in by_code.items():
        should = expected.get(code, oracle.Net())
        assert sums(part.net) == should.net
        assert sum(map(sums, part.parts.values())) == should.net, "the parts sum to net"
        for name, series in part.parts.items():
            assert sums(series) == (
                sum(should.other.values()) if name == "other" else getattr(should, name.value)
            )
        assert counted(part.other) == Counter({n: a for n, a in should.other.items() if a})
        apart = {name.value: sums(series) for name, series in part.apart.items()}
        assert {n: a for n, a in apart.items() if a} == {n: a for n, a in should.apart.items() if a}
        fees = (part.fees.stripe, part.fees.application, part.fees.tax)
        assert sum(map(sums, fees)) == should.fees
        assert should.net + sum(apart.values()) == should.closing


def _check_payments(found, expected: oracle.Payments, of: Callable[[Series], int]) -> None:  # type: ignore[no-untyped-def]
    told = {outcome.value: of(found.outcomes[outcome]) for outcome in PaymentOutcome}
    assert told == {name: getattr(expected, name) for name in told}
    assert of(found.payments) == sum(told.values())
    assert of(found.recovered) == expected.recovered
    assert of(found.attempts) == expected.attempts
    for part in found.currencies:
        assert of(part.paid) == expected.paid_in[part.currency]
        assert of(part.captured) == expected.captured[part.currency]


def _check_returns(
    found: Mapping[str, TakenBack],
    expected: Mapping[str, Volume],
    settled: Mapping[str, oracle.Net],
    currency: str | None,
) -> None:
    assert {code for code in expected if currency in (None, code)} >= {
        code for code, part in found.items() if sums(part.amount) or sums(part.count)
    } - {currency}
    for code, part in found.items():
        should = expected.get(code, Volume())
        assert (sums(part.amount), sums(part.count)) == (should.amount, should.count)
        assert sums(part.taken) - sums(part.returned) == should.amount
        gross = settled[code].gross if code in settled else 0
        assert part.rate == (Fraction(should.amount, gross) if gross else None)


def _local_days(when: When, zone: str) -> When:
    """Whether the local day that bears a date, told at 00:00 UTC, begins in the period."""
    return lambda midnight: when(start_of_date(midnight.date(), zone_of(zone)))


@MANY
@given(drawn=revenue_histories(most=60), days=st.integers(1, 40), size=st.integers(1, 3))
async def test_top_customers(
    stores: Stores, drawn: tuple[dt.datetime, History], days: int, size: int
) -> None:
    around, history = drawn
    stripe_account = f"acct_{uuid4().hex}"
    await store_history(stores.mirror, history, stripe_account)
    start, end = around - dt.timedelta(days=days), around + dt.timedelta(days=days)
    tokens = PageTokens(b"key", FakeClock())
    customers = CustomerAnalytics(asking(stores, stripe_account), stores.mirror, tokens)
    for currency in CURRENCIES:
        expected = dict(oracle.spend(history, within(start, end), currency))
        unnamed = expected.pop("", None)
        question, token, told = Question(start, end, "UTC", currency=currency), "", []
        for page in range(9):
            found = await customers.top_customers(CALLER, question, size, token)
            told += [(one.customer, one.amount, one.count) for one in found.customers]
            shown = found.unnamed and (found.unnamed.amount, found.unnamed.count)
            assert shown == ((unnamed and not page and (unnamed.amount, unnamed.count)) or None)
            if not (token := found.next_page_token):
                break
        order = sorted(expected.items(), key=lambda each: (-each[1].amount, each[0]))
        assert told == [(id_, volume.amount, volume.count) for id_, volume in order]


@MANY
@given(drawn=revenue_histories(), gone=st.sets(st.sampled_from(["cus_a", "cus_b", "cus_c"])))
async def test_deleting_customers_changes_no_past_figure(
    stores: Stores, drawn: tuple[dt.datetime, History], gone: set[str]
) -> None:
    """Not even their names and places among those who spent most."""
    around, history = drawn
    stripe_account = f"acct_{uuid4().hex}"
    await store_history(stores.mirror, history, stripe_account)
    writer, enrichment = MirrorWriter(stores.mirror), Enrichment(stores.mirror)

    async def observe(id_: str, at: int, told: Customer | None) -> None:
        seen = Snapshot(stripe_account, id_, Version.of_event(to_milliseconds(around) + at), told)
        await writer.observe(CUSTOMERS, [seen])
        await enrichment.after(CUSTOMERS, [seen])

    start, end = around - dt.timedelta(days=40), around + dt.timedelta(days=40)
    question, asks = Question(start, end, "UTC"), asking(stores, stripe_account)
    parts = (
        RevenueAnalytics(asks), NetAnalytics(asks), PaymentAnalytics(asks),
        ReturnAnalytics(asks, stores.fact_figures),
        PayoutAnalytics(asks, stores.balance_readings),
        SubscriberAnalytics(asks, stores.fact_figures, FakeClock()),
    )  # fmt: skip
    customers = CustomerAnalytics(asks, stores.mirror, PageTokens(b"key", FakeClock()))

    async def answers() -> tuple[object, ...]:
        overview = await OverviewAnalytics(asks, *parts).overview(CALLER, question)
        spenders = [
            await customers.top_customers(CALLER, replace(question, currency=currency), 50, "")
            for currency in CURRENCIES
        ]
        named = [
            [(each.customer, each.name, each.amount, each.count) for each in page.customers]
            for page in spenders
        ]
        return overview, named, [page.unnamed for page in spenders]

    for id_ in ("cus_a", "cus_b", "cus_c"):
        await observe(id_, 1_000, Customer(id_, around, name=f"Name of {id_}"))
    before = await answers()
    for id_ in sorted(gone):
        await observe(id_, 2_000, None)
    assert await answers() == before
