"""AnalyticsService over a real connection: every figure, whose, and what is refused."""

import datetime as dt
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import subscriber_figures_pb2, tie_out_pb2
from billing_client.v1.period_pb2 import Period
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.customers import CustomerAnalytics
from application.analytics.fact_rows import FactLists
from application.analytics.ledger import Ledger
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.product_revenue import ProductAnalytics
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.tie_out import TieOuts
from application.analytics.use_cases import RevenueAnalytics
from application.connections.use_cases import Connections
from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.facts import difference
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.mrr import statements_of
from domain.periods import to_milliseconds
from interfaces.grpc.analytics.servicer import Analyses
from tests.contract.samples import store_history
from tests.property.revenue_histories import FATES, Business
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)
from tests.support.rooms.tie_out import TieOutsOn
from tests.support.servers.grpc import Running, details, running_server
from tests.support.servers.stores import Stores, sqlite_stores
from tests.unit.domain.evidence_samples import item, life, of, subscription

DAY: Final = dt.timedelta(days=1)
SUBSCRIBER_QUESTIONS: Final = (
    "GetMrr", "GetSubscribers", "GetTrials", "GetCustomers", "ListCohorts", "ListProductRevenue",
)  # fmt: skip
QUESTIONS: Final = (
    "GetOverview", "GetGrossVolume", "GetNetVolume", "GetChargeCounts", "GetPayments",
    "GetFailures", "GetRevenueSplit", "GetRefunds", "GetDisputes", "GetPayouts", "ListTopCustomers",
    "GetTieOut", *SUBSCRIBER_QUESTIONS,
)  # fmt: skip


def connection(account: str, stripe_account: str) -> Connection:
    return Connection(account, stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)


async def subscribe(stores: Stores) -> None:
    """Somebody subscribed ten days ago, and paid less for it since two days ago."""
    first, second = subscription(), subscription(item(700))
    evidence = of(*life((NOON - 10 * DAY, first), (NOON - 2 * DAY, second)))
    await stores.facts.post("acct_a", difference(statements_of(evidence, NOON), (), NOON))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Whatever may happen has happened to acme, once; nothing to its sub-account."""
    business, clock = Business(), FakeClock()
    for number, fate in enumerate(FATES):
        fate(business, NOON - 20 * DAY + number * dt.timedelta(hours=5), Money(1_000, "usd"), 3)
    kept = FakeConnections(connection("acme", "acct_a"), connection("acme-west", "acct_w"))
    connections = Connections(kept, FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST)
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        await store_history(stores.mirror, business.history(), "acct_a")
        customer = Customer("cus_a", NOON - DAY, name="Jenny")
        writer = MirrorWriter(stores.mirror)
        for at, told in enumerate((customer, None)):
            snapshot = Snapshot(
                "acct_a", "cus_a", Version.of_event(to_milliseconds(NOON) + at), told
            )
            await writer.observe(CUSTOMERS, [snapshot])
        ledger = Ledger(stores.analytics, stores.changes)
        totals = BaseTotals(stores.rates, "usd")
        asking = Asking(stores.analytics, connections, clock, totals, some_trust(), ledger)
        parts = (
            RevenueAnalytics(asking), NetAnalytics(asking), PaymentAnalytics(asking),
            ReturnAnalytics(asking, stores.fact_figures),
            PayoutAnalytics(asking, stores.balance_readings),
        )  # fmt: skip
        customers = CustomerAnalytics(asking, stores.mirror, PageTokens(b"key", clock))
        subscribers = SubscriberAnalytics(asking, stores.fact_figures, clock)
        overview = OverviewAnalytics(asking, *parts, subscribers)
        tie_outs = TieOutsOn(stores, "acct_a")
        await tie_outs.know(imported=True)
        balance, noon = (
            sum(each.net.amount for each in business.transactions),
            to_milliseconds(NOON),
        )
        await tie_outs.read(noon, noon + 400, usd=balance)
        tied = TieOuts(stores.analytics, stores.mirror, tie_outs.anchors, connections, some_trust())
        analyses = Analyses(
            *parts,
            customers,
            overview,
            tied,
            subscribers,
            ProductAnalytics(asking, stores.fact_figures, stores.mirror),
            FactLists(
                stores.fact_rows,
                stores.fact_figures,
                connections,
                PageTokens(b"key", clock),
                clock,
                some_trust(),
            ),
        )
        await subscribe(stores)
        async with running_server(analyses=analyses) as server:
            yield server


def request(method: str, **fields: Any) -> Any:
    period = Period(time_zone="America/New_York")
    period.start_time.FromDatetime(NOON - 30 * DAY)
    period.end_time.FromDatetime(NOON + 30 * DAY)
    if method == "ListTopCustomers":
        fields = {"currency": "usd", **fields}
    messages: Any = tie_out_pb2 if method == "GetTieOut" else pb
    if method in SUBSCRIBER_QUESTIONS:
        messages = subscriber_figures_pb2
    return getattr(messages, f"{method}Request")(**{"period": period, **fields})


def violations(error: grpc.aio.AioRpcError) -> Any:
    (request,) = details(error, BadRequest)
    return request.field_violations


async def ask(running: Running, method: str, **fields: Any) -> Any:
    call = getattr(running.analytics_stub, method)
    return await call(request(method, **fields), metadata=running.metadata())


async def test_the_overview_is_what_each_question_answers(running: Running) -> None:
    overview = await ask(running, "GetOverview", base_total=True)
    for part, method in (
        ("gross", "GetGrossVolume"), ("net", "GetNetVolume"), ("payments", "GetPayments"),
        ("failures", "GetFailures"), ("split", "GetRevenueSplit"), ("refunds", "GetRefunds"),
        ("disputes", "GetDisputes"), ("payouts", "GetPayouts"),
    ):  # fmt: skip
        fields = {"base_total": True} if part in ("gross", "net") else {}
        assert getattr(overview, part) == await ask(running, method, **fields), method


async def test_the_figures(running: Running) -> None:
    overview = await ask(running, "GetOverview")
    (net,) = overview.net.currencies
    names = (
        "gross", "charge_failure", "refund", "refund_failure", "dispute", "dispute_reversal",
        "fees", "other",
    )  # fmt: skip
    parts = {name: getattr(net, name) for name in names}
    assert sum(part.current.amount for part in parts.values()) == net.net.current.amount
    assert all(sum(part.amounts) == part.current.amount for part in parts.values())
    fees = (net.stripe_fees, net.application_fees, net.tax_fees)
    assert sum(fee.current.amount for fee in fees) == net.fees.current.amount < 0
    assert {part.name for part in net.apart} == {
        "payouts", "transfers", "top_ups", "reserves", "financing", "issuing",
    }  # fmt: skip
    assert [part.name for part in net.other_parts] == ["of_tomorrow"]
    assert overview.gross.settled[0].volume.current == net.gross.current
    payments = overview.payments
    outcomes = (payments.paid, payments.open, payments.failed, payments.blocked)
    assert sum(each.current for each in outcomes) == payments.payments.current
    assert payments.recovered.current == 1
    assert 0 < payments.success_rate < 1
    assert {"new", "renewing", "upgrade", "one_off"} <= {
        part.name for part in overview.split.currencies[0].parts
    }
    (refunds,), (disputes,) = overview.refunds.currencies, overview.disputes.currencies
    assert (refunds.count.current, refunds.amount.current.amount) == (2, 500)
    assert (disputes.count.current, disputes.amount.current.amount) == (2, 1_000)
    assert disputes.withdrawn.current.amount - disputes.reinstated.current.amount == 1_000
    assert {each.status: each.count for each in overview.disputes.statuses} == {"lost": 1, "won": 1}
    (payouts,) = overview.payouts.currencies
    assert payouts.pending.amount == 1_000
    balance = overview.payouts.balance
    assert balance.read_start_time.ToDatetime(dt.UTC) == NOON
    assert [each.available.amount for each in balance.currencies] == [8_814]
    narrowed = (await ask(running, "GetPayouts", currency="eur")).balance
    assert narrowed.HasField("read_end_time")
    assert not narrowed.currencies


async def test_a_deleted_customer_keeps_place_and_name(running: Running) -> None:
    page = await ask(running, "ListTopCustomers", page_size=2)
    assert [customer.amount.amount for customer in page.customers] == sorted(
        (customer.amount.amount for customer in page.customers), reverse=True
    )
    assert page.unnamed.amount.amount > 0
    rest = await ask(running, "ListTopCustomers", page_size=2, page_token=page.next_page_token)
    assert not rest.HasField("unnamed")
    found = {
        each.customer: (each.name, each.deleted) for each in (*page.customers, *rest.customers)
    }
    assert found == {"cus_a": ("Jenny", True), "cus_b": ("", False), "cus_c": ("", False)}
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(running, "ListTopCustomers", currency="eur", page_token=page.next_page_token)
    assert violations(refusal.value)[0].field == "page_token"


@pytest.mark.parametrize("method", QUESTIONS)
async def test_a_sub_account_sees_itself(running: Running, method: str) -> None:
    reply = await ask(running, method, account="acme-west")
    empty = getattr(reply, "currencies", None)
    if method == "ListTopCustomers":
        empty = reply.customers
    assert not empty
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(running, method, account="rival")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", QUESTIONS)
async def test_all_violations_at_once(running: Running, method: str) -> None:
    period = Period(start_time=Timestamp(seconds=9), time_zone="localtime")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(running, method, period=period, currency="USD")
    told = {each.field for each in violations(refusal.value)}
    assert told == {"period.end_time", "period.time_zone", "currency"}


async def test_subscribers_and_their_cohort(running: Running) -> None:
    (usd,) = (await ask(running, "GetMrr")).currencies
    assert (usd.start.amount, usd.end.amount, usd.arr.amount) == (0, 700, 8_400)
    moved = {each.name: each.amount.current.amount for each in usd.movements}
    assert (moved["new"], moved["contraction"], sum(moved.values())) == (1_000, -300, 700)
    buckets = zip(*(each.amount.amounts for each in usd.movements), strict=True)
    levels = [usd.start.amount, *usd.levels]
    assert [sum(bucket) for bucket in buckets] == [b - a for a, b in pairwise(levels)]
    found = await ask(running, "GetSubscribers", currency="eur")
    assert (found.start, found.end, found.lost) == (0, 1, 0)
    assert not found.HasField("churn_rate")
    assert {each.name: each.count.current for each in found.movements}["new"] == 1
    cohorts = (await ask(running, "ListCohorts", currency="usd")).cohorts
    assert [each.size for each in cohorts] == [1, 0, 0]
    assert [cell.retention for cell in cohorts[0].cells] == [1, 1]
    assert [cell.partial for cell in cohorts[0].cells] == [False, True]
    assert [cell.mrr[0].amount for cell in cohorts[0].cells] == [700, 700]
    (other,) = (await ask(running, "GetMrr", currency="eur")).currencies
    assert (other.currency, other.end.amount) == ("eur", 0)


async def test_what_is_not_shared_yet_is_pending(running: Running) -> None:
    (usd,) = (await ask(running, "ListProductRevenue")).currencies
    assert [row.kind for row in usd.rows] == ["pending"]
    assert sum(row.captured.amount for row in usd.rows) == usd.gross.amount > 0
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(running, "ListProductRevenue", max_products=1_001)
    assert [each.field for each in violations(refusal.value)] == ["max_products"]


async def test_days_tie_to_the_bank(running: Running) -> None:
    (usd,) = (await ask(running, "GetTieOut")).currencies
    net = (await ask(running, "GetNetVolume")).currencies[0]
    assert sum(day.net.amount for day in usd.days) == net.net.current.amount
    for day in usd.days:
        moved = sum(part.amount.amount for part in day.parts)
        assert day.opening.amount + moved == day.closing.amount
        if day.end_time.ToDatetime(dt.UTC) <= NOON:
            assert day.verdict == tie_out_pb2.TieOutDay.VERDICT_TIES
            assert (day.before.balance.amount, day.before.HasField("start_time")) == (0, False)
            assert day.after.start_time.ToDatetime(dt.UTC) == NOON
            assert not day.HasField("remainder")
        else:
            assert day.verdict == tie_out_pb2.TieOutDay.VERDICT_UNKNOWN  # none was read since
            assert not day.HasField("after")
    tying = [day for day in usd.days if day.verdict == tie_out_pb2.TieOutDay.VERDICT_TIES]
    assert len(tying) == 30
    assert tying[-1].closing.amount == tying[-1].after.balance.amount != 0


async def test_what_customers_need(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(running, "ListTopCustomers", currency="", page_size=101)
    told = {each.field for each in violations(refusal.value)}
    assert told == {"currency", "page_size"}
