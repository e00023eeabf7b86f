"""docs/metrics.md is true: its examples, on each store and by the oracle."""

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.ledger import Ledger
from application.analytics.metrics import METRICS
from application.analytics.net import NetAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.questions import Question
from application.analytics.returns import ReturnAnalytics
from application.analytics.use_cases import RevenueAnalytics
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.analytics import Comparison
from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.connections import Connection, ConnectionKind, Mode
from domain.disputes import Dispute
from domain.money import Money
from domain.payment_intents import PaymentIntent
from domain.payouts import Payout
from domain.periods import Granularity
from domain.rates import converted, read_date
from domain.refunds import Refund
from tests.contract.samples import NOON, store_history
from tests.support.expected import revenue
from tests.support.expected.examples import Example, examples_of
from tests.support.expected.revenue import (
    History,
    charge_counts,
    gross,
    gross_by_bucket,
    within,
)
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeMirror, FakeStripeAccounts
from tests.support.servers.stores import Stores

PAGE = Path("docs/metrics.md")
EXAMPLES = examples_of(PAGE)
CALLER = Caller("service", "acme", frozenset())
AFTERWARDS = "2200-01-01T00:00Z"
SECTIONS = {
    "gross_volume": "Gross volume",
    "revenue_by_reason": "Revenue split",
    "spend": "Spend, top customers",
    "succeeded_charges": "Charges that succeeded, charges that failed",
    "failed_charges": "Charges that succeeded, charges that failed",
    "failures": "Payments, attempts, failures",
    "attempts": "Payments, attempts, failures",
    "payments": "Payments, attempts, failures",
    "single_charges": "Payments, attempts, failures",
    "paid_single_charges": "Payments, attempts, failures",
    "net_volume": "Net volume and its parts",
    "settlement_gross": "Gross volume in settlement currency",
    "refunds": "Refunds",
    "refunds_made": "Refunds",
    "disputes": "Disputes",
    "disputes_opened": "Disputes",
    "payouts_paid": "Payouts",
    "payouts_under_way": "Payouts",
    "payouts_failed": "Payouts",
    "payouts_returned": "Payouts",
}
"""Where the page defines what each metric is for."""


def instant(text: str, zone: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(dt.UTC)


def money(text: str) -> Money:
    amount, currency = text.split()
    return Money(int(amount), currency)


def charge_of(row: Mapping[str, str], zone: str) -> Charge:
    """A charge; its name on the page is its id."""
    amount, captured = money(row["amount"]), int(row["captured"])
    return Charge(
        row["charge"], instant(row["created"], zone), amount, Money(captured, amount.currency),
        Money(0, amount.currency), row["status"], captured > 0, False, False,
        payment_intent=row.get("intent") or None, outcome_type=row.get("outcome") or None,
    )  # fmt: skip


def transaction_of(row: Mapping[str, str], zone: str) -> BalanceTransaction:
    amount, created = money(row["amount"]), instant(row["created"], zone)
    fee = int(row["fee"])
    return BalanceTransaction(
        row["transaction"], created, amount, Money(fee, amount.currency),
        Money(amount.amount - fee, amount.currency), row.get("type") or row["category"],
        "available", created, row["source"] or None, row["category"],
    )  # fmt: skip


def history_of(example: Example) -> History:
    """What an example tells, and the objects that its rows are about."""
    zone, tables = example.settings["zone"], example.tables
    charges = [charge_of(row, zone) for row in tables.get("charge", ())]
    transactions = [transaction_of(row, zone) for row in tables.get("transaction", ())]
    taken = {
        (each.reporting_category, each.source): each
        for each in reversed(transactions)
        if each.source
    }
    return History(
        charges,
        [
            PaymentIntent(intent, charge.created, charge.amount, charge.amount, "processing")
            for intent, charge in {each.payment_intent: each for each in charges}.items()
            if intent
        ],
        [
            Refund(source, each.created, -each.amount, "succeeded")
            for (category, source), each in taken.items()
            if category == "refund" and source
        ],
        [
            Dispute(source, each.created, -each.amount, "lost")
            for (category, source), each in taken.items()
            if category == "dispute" and source
        ],
        [
            Payout(
                row["payout"], instant(row["created"], zone), money(row["amount"]), row["status"],
                instant(row["arrival"], "UTC"), True,
            )
            for row in tables.get("payout", ())
        ],
        transactions,
    )  # fmt: skip


def question_of(example: Example) -> Question:
    zone = example.settings["zone"]
    start, _, rest = example.settings["period"].partition(" to ")
    end, _, granularity = rest.partition(" by ")
    return Question(instant(start, zone), instant(end, zone), zone, Granularity(granularity))


def growth_text(growth: Fraction | None) -> str:
    return "absent" if growth is None else f"{growth.numerator}/{growth.denominator}"


def compared(name: str, figure: Comparison) -> dict[str, str]:
    """All that a comparison tells, by the names that examples have for it."""
    told = {
        name: str(figure.current),
        f"{name}, before": str(figure.previous),
        f"{name}, growth": growth_text(figure.growth),
        f"{name}, growth so far": growth_text(figure.growth_so_far),
    }
    if figure.previous_so_far is not None:
        told[f"{name}, so far before"] = str(figure.previous_so_far)
    return told


def test_the_page_has_examples_of_every_metric() -> None:
    assert len(EXAMPLES) >= 11
    names = {
        name.partition(",")[0].partition(" usd")[0] for each in EXAMPLES for name in each.figures
    }
    assert names >= {
        "gross volume", "charges", "succeeded", "failed", "total", "net", "fees", "payments",
        "attempts", "refunds", "payouts",
    }  # fmt: skip
    page = PAGE.read_text(encoding="utf-8")
    for metric in METRICS:
        heading = SECTIONS[metric.name]
        assert f"\n## {heading}\n" in page, "a metric that is new needs its section there"
    assert {metric.name for metric in METRICS} == SECTIONS.keys()


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "zone" in each.settings],
    ids=lambda each: f"line {each.line}",
)
async def test_an_example(stores: Stores, example: Example) -> None:
    history, question = history_of(example), question_of(example)
    stripe_account = f"acct_{uuid4().hex}"
    await store_history(stores.mirror, history, stripe_account)
    told = await answered(stores, stripe_account, example, question)
    assert {name: told.get(name) for name in example.figures} == example.figures

    # The oracle knows totals and buckets; what is compared with what is the page's own rule.
    oracle = expected(history, question)
    judged = oracle.keys() & example.figures.keys()
    assert judged
    assert {name: oracle[name] for name in judged} == {
        name: example.figures[name] for name in judged
    }


async def answered(
    stores: Stores, stripe_account: str, example: Example, question: Question
) -> dict[str, str]:
    """All that the service tells, by the names that examples have for it."""
    zone = example.settings["zone"]
    clock = FakeClock(instant(example.settings.get("now", AFTERWARDS), zone))
    connection = Connection("acme", stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)
    connections = Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )
    ledger = Ledger(stores.analytics, stores.changes)
    base_totals = BaseTotals(stores.rates, "usd")
    asking = Asking(stores.analytics, connections, clock, base_totals, some_trust(), ledger)
    questions = RevenueAnalytics(asking)
    volume = await questions.gross_volume(CALLER, question)
    counts = await questions.charge_counts(CALLER, question)
    told = compared("succeeded", counts.succeeded) | compared("failed", counts.failed)
    for part in volume.currencies:
        name = f"gross volume {part.currency}"
        told |= compared(name, part.total) | {f"{name}, provisional": str(part.provisional)}
        for bucket, amount, count in zip(
            volume.time.buckets, part.amounts, part.counts, strict=True
        ):
            day = bucket.start.astimezone(ZoneInfo(zone)).date()
            told[f"gross volume {part.currency}, {day}"] = str(amount)
            told[f"charges {part.currency}, {day}"] = str(count)
    for net in (await NetAnalytics(asking).net_volume(CALLER, question)).currencies:
        told |= compared(f"net {net.currency}", net.net.total)
        for kind, series in net.parts.items():
            told |= compared(f"{kind.replace('_', ' ')} {net.currency}", series.total)
        for kind, series in net.apart.items():
            told[f"apart {net.currency}, {kind}"] = str(series.total.current)
    told |= await payments_answered(asking, question)
    for back in (
        await ReturnAnalytics(asking, stores.fact_figures).refunds(CALLER, question)
    ).currencies:
        name = f"refunds {back.currency}"
        told |= compared(name, back.amount.total)
        told |= {f"{name}, number": str(back.count.total.current)}
        told |= {f"{name}, rate": growth_text(back.rate)}
    for out in (
        await PayoutAnalytics(asking, stores.balance_readings).payouts(CALLER, question)
    ).currencies:
        name = f"payouts {out.currency}"
        told |= {f"{name}, arrived": str(out.arrived.total.current)}
        told |= {f"{name}, returned": str(out.returned.total.current)}
        told |= {f"{name}, on its way": str(out.on_its_way)}
    return told


async def payments_answered(asking: Asking, question: Question) -> dict[str, str]:
    found = await PaymentAnalytics(asking).payments(CALLER, question)
    told = compared("payments", found.payments.total) | {
        f"payments, {outcome}": str(series.total.current)
        for outcome, series in found.outcomes.items()
    }
    told |= {
        "payments, recovered": str(found.recovered.total.current),
        "attempts": str(found.attempts.total.current),
        "attempts of the period": str(found.attempts_made.total.current),
        "success rate": growth_text(found.success_rate),
    }
    return told | {
        f"average payment {part.currency}": str(part.average) for part in found.currencies
    }


def expected(history: History, question: Question) -> dict[str, str]:
    """What the oracle tells, by the same names."""
    assert question.start is not None
    assert question.end is not None
    when = within(question.start, question.end)
    told = {f"gross volume {code}": str(part.amount) for code, part in gross(history, when).items()}
    buckets = gross_by_bucket(history, when, question.time_zone, question.granularity)
    for (code, day), part in buckets.items():
        told |= {f"gross volume {code}, {day}": str(part.amount)}
        told |= {f"charges {code}, {day}": str(part.count)}
    for code, amount in revenue.provisional(history, when).items():
        told[f"gross volume {code}, provisional"] = str(amount)
    succeeded, failed = charge_counts(history, when)
    told |= {"succeeded": str(succeeded), "failed": str(failed)}
    for code, net in revenue.net(history, when).items():
        told |= {f"net {code}": str(net.net), f"other {code}": str(sum(net.other.values()))}
        for name in ("gross", "fees", *revenue.PARTS):
            told[f"{name.replace('_', ' ')} {code}"] = str(getattr(net, name))
        told |= {f"apart {code}, {name}": str(amount) for name, amount in net.apart.items()}
    found = revenue.payments(history, when)
    outcomes = {name: getattr(found, name) for name in ("paid", "open", "failed", "blocked")}
    told |= {f"payments, {name}": str(count) for name, count in outcomes.items()}
    told |= {"payments": str(sum(outcomes.values())), "attempts": str(found.attempts)}
    told |= {"payments, recovered": str(found.recovered)}
    for code, back in revenue.refunds(history, when).items():
        told |= {f"refunds {code}": str(back.amount), f"refunds {code}, number": str(back.count)}
    zone = ZoneInfo(question.time_zone)

    def arrived_in(midnight: dt.datetime) -> bool:
        return when(midnight.replace(tzinfo=zone).astimezone(dt.UTC))

    for code, out in revenue.payouts(history, when, arrived_in).items():
        told |= {f"payouts {code}, arrived": str(out.arrived)}
        told |= {f"payouts {code}, returned": str(out.returned)}
        told |= {f"payouts {code}, on its way": str(out.on_its_way)}
    return told


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "rate" in each.tables],
    ids=lambda each: f"line {each.line}",
)
def test_an_example_of_rates(example: Example) -> None:
    rates = {
        (read_date(row["rate"]), row["currency"]): Fraction(row["value"])
        for row in example.tables["rate"]
    }
    parts: dict[str, dict[tuple[dt.date, str], int]] = {}
    for row in example.tables["amount"]:
        amount, currency = row["amount"].split()
        part = parts.setdefault(row["part"], {})
        place = read_date(row["day"]), currency
        part[place] = part.get(place, 0) + int(amount)
    found = converted(list(parts.values()), rates, example.settings["base"])
    if found.amounts is None:
        told = {"total": "absent", "missing": ", ".join(found.missing)}
    else:
        each = zip(parts, found.amounts, strict=True)
        told = {"total": str(sum(found.amounts)), **{f"part {n}": str(a) for n, a in each}}
    assert told == example.figures
