"""Answers about subscribers, on both stores: levels, movements, who is lost, cohorts, products."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.ledger import Ledger
from application.analytics.product_revenue import ProductAnalytics
from application.analytics.questions import Question
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.trust import Standing
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES, PRODUCTS
from application.requests.callers import Caller
from domain.charges import Charge
from domain.connections import Connection, ConnectionKind, Mode
from domain.disputes import Dispute
from domain.errors import InvalidArgument
from domain.evidence import ChargeEvidence, CustomerEvidence, DisputeEvidence
from domain.facts import Fact, Statement, difference
from domain.invoices import Invoice, InvoiceLine
from domain.money import Money
from domain.mrr import statements_of
from domain.periods import Granularity
from domain.products import Product
from domain.revenue_lines import statements_of_charge, statements_of_dispute
from tests.contract.samples import NOON, OURS, store_new
from tests.support.fakes.rates import FakeRates
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeMirror, FakeStripeAccounts
from tests.support.servers.stores import Stores
from tests.unit.domain.evidence_samples import canceled, day, item, life, of, subscription

CALLER = Caller("service", "acme", frozenset())
NOW = day(12)
KNOWN = day(6, 15)
QUARTER = Question(day(4), day(7), "UTC", Granularity.MONTH)


def asking_of(stores: Stores, *, now: dt.datetime = NOW) -> Asking:
    clock = FakeClock(now)
    connection = Connection("acme", OURS, Mode.TEST, ConnectionKind.MANUAL, NOON)
    connections = Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )
    ledger = Ledger(stores.analytics, stores.changes)
    totals, trust = BaseTotals(FakeRates(), ""), some_trust(Standing(imported_at=day(1)))
    return Asking(stores.analytics, connections, clock, totals, trust, ledger)


def analytics(stores: Stores, *, now: dt.datetime = NOW) -> tuple[SubscriberAnalytics, Any]:
    asking = asking_of(stores, now=now)
    return (
        SubscriberAnalytics(asking, stores.fact_figures, FakeClock(now)),
        ProductAnalytics(asking, stores.fact_figures, stores.mirror),
    )


def customer(who: str, *evidence: Sequence[Any], **more: Any) -> CustomerEvidence:
    return replace(of(*[each for one in evidence for each in one], **more), customer=who)


PLAIN = subscription()
BIG = subscription(item(3_000))
TRIAL = subscription(status="trialing", trial_start=day(4), trial_end=day(5))
EVIDENCE = (
    customer("ann", life((day(2), PLAIN), (day(5, 3), BIG)), created=day(2), first_paid=day(2)),
    customer("bob", life((day(2), PLAIN), (day(5, 9), canceled(PLAIN, day(5, 9)))), created=day(4)),
    customer("cy", life((day(6), subscription(item(500, currency="eur")))), created=day(6)),
    customer("di", life((day(4), TRIAL), (day(5), canceled(TRIAL, day(5))))),
)


async def post(stores: Stores, known_at: dt.datetime, *statements: Statement) -> None:
    """Post what should stand, as the difference of each subject and series."""
    for series, subject in sorted({(each.series, each.subject) for each in statements}):
        stands = await stores.facts.standing(OURS, [series], [subject])
        should = [each for each in statements if (each.series, each.subject) == (series, subject)]
        facts: Sequence[Fact] = difference(should, stands.get((series, subject), ()), known_at)
        await stores.facts.post(OURS, facts)


async def post_all(stores: Stores, known_at: dt.datetime = KNOWN) -> None:
    for each in EVIDENCE:
        await post(stores, known_at, *statements_of(each, NOW))


async def test_mrr_is_what_it_was_and_what_moved_it(stores: Stores) -> None:
    await post_all(stores)
    answers, _ = analytics(stores)
    found = await answers.mrr(CALLER, QUARTER)
    assert [each.currency for each in found.currencies] == ["eur", "usd"]
    eur, usd = found.currencies
    assert (usd.waterfall.start, usd.waterfall.levels, usd.arr) == (
        2_000,
        (2_000, 3_000, 3_000),
        36_000,
    )
    assert usd.movement("expansion").values == (0, 2_000, 0)
    assert usd.movement("churn").total.current == -1_000
    assert usd.movement("new").total.previous == 2_000
    assert (eur.waterfall.start, eur.waterfall.end, eur.movement("new").values) == (
        0,
        500,
        (0, 0, 500),
    )
    assert (usd.churn.gross, usd.churn.net) == (Fraction(1, 2), Fraction(-1, 2))
    assert eur.churn.gross is None
    narrowed = await answers.mrr(CALLER, replace(QUARTER, currency="gbp"))
    assert [(each.currency, each.waterfall.end) for each in narrowed.currencies] == [("gbp", 0)]


async def test_subscribers_are_over_all_currencies(stores: Stores) -> None:
    await post_all(stores)
    answers, _ = analytics(stores)
    for question in (QUARTER, replace(QUARTER, currency="eur")):
        found = await answers.subscribers(CALLER, question)
        assert (found.start, found.counts, found.end) == (2, [2, 1, 2], 2)
        moved = sum(each.total.current for each in found.movements.values())
        assert found.start + moved == found.end
        assert (found.lost, found.churn_rate, found.previous_churn_rate) == (
            1,
            Fraction(1, 2),
            None,
        )
        assert found.churned["voluntary"].total.current == -1


async def test_trials_and_customers_by_their_own_dates(stores: Stores) -> None:
    await post_all(stores)
    answers, _ = analytics(stores)
    trials = await answers.trials(CALLER, QUARTER)
    told = {kind: each.values for kind, each in trials.outcomes.items()}
    assert told == {"converted": [0, 0, 0], "pending": [0, 0, 0], "not_converted": [0, 1, 0]}
    assert trials.conversion_rate == 0
    customers = await answers.customers(CALLER, QUARTER)
    assert customers.created.values == [1, 0, 1]
    assert (customers.created.total.previous, customers.first_payers.total.previous) == (1, 1)
    assert customers.first_payers.total.current == 0


async def test_a_cohort_is_the_same_in_any_range(stores: Stores) -> None:
    await post_all(stores)
    answers, _ = analytics(stores)
    found = await answers.cohorts(CALLER, Question(day(2), day(7), "UTC"))
    assert [each.size for each in found.cohorts] == [2, 0, 0, 0, 1]
    assert [cell.subscribers for cell in found.cohorts[0].cells] == [2, 2, 2, 1, 1]
    assert dict(found.cohorts[0].cells[-1].mrr) == {"usd": 3_000}
    assert found.means == [1, 1, 1, Fraction(1, 2), Fraction(1, 2)]
    later = await answers.cohorts(CALLER, Question(day(6), day(7), "UTC"))
    assert later.cohorts == found.cohorts[-1:]


async def test_what_was_known_then_is_answered_as_it_was(stores: Stores) -> None:
    early, late = EVIDENCE[0], replace(EVIDENCE[0], subscriptions=EVIDENCE[0].subscriptions[:1])
    await post(stores, day(6, 10), *statements_of(late, NOW))
    answers, _ = analytics(stores, now=day(6, 20))
    then = await answers.mrr(CALLER, replace(QUARTER, as_of=day(6, 12)))
    members = await answers.subscribers(CALLER, replace(QUARTER, as_of=day(6, 12)))
    await post(stores, day(6, 15), *statements_of(early, NOW))
    await post_all(stores, day(6, 16))
    answers, _ = analytics(stores)
    assert await answers.mrr(CALLER, replace(QUARTER, as_of=day(6, 12))) == then
    assert await answers.subscribers(CALLER, replace(QUARTER, as_of=day(6, 12))) == members
    assert (await answers.mrr(CALLER, QUARTER)).currencies != then.currencies
    with pytest.raises(InvalidArgument) as refused:
        await answers.mrr(CALLER, replace(QUARTER, as_of=day(6, 9)))
    assert [each.field for each in refused.value.violations] == ["as_of"]


async def test_more_than_60_months_of_cohorts_are_refused_with_all_else(stores: Stores) -> None:
    answers, _ = analytics(stores)
    question = Question(day(1), day(2).replace(year=2031), "UTC", currency="dollars")
    with pytest.raises(InvalidArgument) as refused:
        await answers.cohorts(CALLER, question)
    assert [each.field for each in refused.value.violations] == ["period.end_time", "currency"]


def charge(id_: str, captured: int, settled: str) -> Charge:
    amount = Money(captured, "usd")
    return Charge(
        id_, day(5), amount, amount, Money(0, "usd"), "succeeded", True, False, False,
        balance_transaction=settled or None,
    )  # fmt: skip


async def test_products_add_up_to_gross_volume(stores: Stores) -> None:
    lines = [
        InvoiceLine(f"il_{name}", Money(amount, "usd"), product=f"prod_{name}")
        for name, amount in (("a", 700), ("b", 200), ("c", 100))
    ]
    total = Money(1_000, "usd")
    invoice = Invoice("in_1", day(5), "usd", "paid", *[total] * 3, total, lines=tuple(lines))
    await store_new(stores.mirror, PRODUCTS, Product("prod_a", day(1), "Basic", active=True))
    await store_new(stores.mirror, CHARGES, charge("ch_3", 70, ""))
    for each in (
        ChargeEvidence(charge("ch_1", 1_000, "txn_1"), day(5), invoice),
        ChargeEvidence(charge("ch_2", 30, "txn_2"), day(5)),
    ):
        await post(stores, KNOWN, *statements_of_charge(each))
    _, products = analytics(stores)
    (found,) = (await products.product_revenue(CALLER, QUARTER)).currencies
    assert [(row.kind, row.product, row.captured, row.name) for row in found.rows] == [
        ("product", "prod_a", 700, "Basic"),
        ("product", "prod_b", 200, None),
        ("product", "prod_c", 100, None),
        ("pending", "", 70, None),
        ("unattributed", "", 30, None),
    ]
    assert found.gross == 1_100
    (few,) = (await products.product_revenue(CALLER, QUARTER, 1)).currencies
    assert [(row.kind, row.captured) for row in few.rows] == [
        ("product", 700), ("other_products", 300), ("pending", 70), ("unattributed", 30)
    ]  # fmt: skip
    with pytest.raises(InvalidArgument):
        await products.product_revenue(CALLER, QUARTER, 1_001)


async def test_disputes_count_when_they_were_closed(stores: Stores) -> None:
    def disputed(id_: str, status: str, **closing: Any) -> Sequence[Statement]:
        money = Money(500, "usd")
        dispute = Dispute(id_, day(4), money, status, "fraudulent", "ch_1")
        return statements_of_dispute(DisputeEvidence(dispute, **closing))

    for id_, status, closing in (
        ("dp_1", "won", {"closed_at": day(5, 2), "reversed_at": day(5, 1)}),
        ("dp_2", "lost", {"closed_at": day(5, 3)}),
        ("dp_3", "lost", {"closed_at": day(5, 3)}),
        ("dp_4", "won", {"reversed_at": day(3)}),
        ("dp_5", "lost", {}),
        ("dp_6", "needs_response", {}),
    ):
        await post(stores, KNOWN, *disputed(id_, status, **closing))
    asking = asking_of(stores)
    question = replace(QUARTER, as_of=KNOWN + dt.timedelta(days=1))
    returns = ReturnAnalytics(asking, stores.fact_figures)
    for asked in (QUARTER, replace(QUARTER, currency="eur"), question):
        found = await returns.disputes(CALLER, asked)
        counts = {
            kind: (list(each.values), each.total.previous) for kind, each in found.closings.items()
        }
        assert counts == {
            "won": ([0, 1, 0], 1), "lost": ([0, 2, 0], 0), "undated": ([1, 0, 0], 0),
        }  # fmt: skip
        assert (found.win_rate, found.previous_win_rate) == (Fraction(1, 3), Fraction(1))
    before = replace(QUARTER, as_of=KNOWN - dt.timedelta(days=1))
    assert (await returns.disputes(CALLER, before)).win_rate is None


async def test_an_instant_before_the_first_fact_is_named(stores: Stores) -> None:
    await post_all(stores)
    answers, _ = analytics(stores)
    early = replace(QUARTER, as_of=KNOWN - dt.timedelta(seconds=1))
    for ask in (
        answers.mrr, answers.subscribers, answers.trials, answers.customers, answers.cohorts,
    ):  # fmt: skip
        with pytest.raises(InvalidArgument) as refused:
            await ask(CALLER, early)
        (named,) = refused.value.violations
        assert (named.field, named.rule.split(":")[0]) == (
            "as_of", "not before the first fact was known",
        )  # fmt: skip
