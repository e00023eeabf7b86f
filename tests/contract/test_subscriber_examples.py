"""docs/metrics.md is true of subscribers: its examples, by the service's rules and by an oracle."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from domain.charges import Charge
from domain.coupons import Coupon, Discount
from domain.evidence import ChargeEvidence, CustomerEvidence, SubscriptionEvidence
from domain.facts import Fact, Series, Statement, difference
from domain.invoices import Invoice, InvoiceLine, LineTax
from domain.money import Money
from domain.mrr import DISCOUNT, MOVEMENTS, UNPRICED, statements_of
from domain.prices import Recurrence
from domain.revenue_lines import statements_of_charge, sums
from domain.subscriber_figures import lost_in, mrr_churn, rate, whole
from domain.subscriptions import Subscription, SubscriptionItem
from tests.support.expected import subscribers as oracle
from tests.support.expected.examples import Example, examples_of

EXAMPLES = examples_of(Path("docs/metrics.md"))
NOW = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def money(text: str) -> Money:
    amount, currency = text.split()
    return Money(int(amount), currency)


def item_of(text: str, id_: str) -> SubscriptionItem:
    """`1000 usd month`, `900 usd 3 month`, `1000 usd year x 3`."""
    text, _, quantity = text.partition(" x ")
    amount, currency, *count, interval = text.split()
    return SubscriptionItem(
        id_, f"price_{id_}", f"prod_{id_}", int(quantity or 1), currency, int(amount),
        recurring=Recurrence(interval, int(count[0]) if count else 1),
    )  # fmt: skip


def discount_of(text: str, id_: str) -> Discount:
    """`25% forever`, `300 usd forever`, `50% until 2026-04-01`, `50% once`."""
    off, _, lasts = text.rpartition(" ")
    duration, end = (lasts, None) if lasts in ("forever", "once") else ("repeating", instant(lasts))
    off = off.removesuffix(" until")
    if off.endswith("%"):
        coupon = Coupon(f"co_{id_}", NOW, duration, percent_off=off[:-1])
    else:
        amount = money(off)
        coupon = Coupon(
            f"co_{id_}", NOW, duration, amount_off=amount.amount, currency=amount.currency
        )
    return Discount(f"di_{id_}", coupon.id, coupon, None, end)


def subscription_of(row: Mapping[str, str], created: dt.datetime) -> Subscription:
    id_, at = row["subscription"], instant(row["at"])
    texts = [text.strip() for text in row["items"].split(",")]
    discounts = (discount_of(row["discounts"], id_),) if row.get("discounts") else ()
    trial = [instant(text) for text in (row.get("trial") or "").split(" to ") if text]
    return Subscription(
        id_, created, row.get("customer", "cus"), row["status"],
        items=tuple(item_of(text, f"{id_}{place}") for place, text in enumerate(texts)),
        discounts=tuple(each.id for each in discounts), discount_details=discounts,
        ended_at=at if row["status"] == "canceled" else None,
        cancellation_reason=row.get("reason") or None,
        trial_start=trial[0] if trial else None, trial_end=trial[1] if trial else None,
    )  # fmt: skip


def customers_of(example: Example) -> Sequence[CustomerEvidence]:
    """The evidence of each customer. A subscription's first row is its creation, or a read."""
    rows: dict[str, list[SubscriptionEvidence]] = defaultdict(list)
    started: dict[str, dt.datetime] = {}
    for number, row in enumerate(example.tables["subscription"]):
        at, id_, read = instant(row["at"]), row["subscription"], row.get("event") == "read"
        kind = "updated" if id_ in started else "created"
        created = started.setdefault(id_, at - dt.timedelta(days=999) if read else at)
        found = subscription_of(row, created)
        event = "" if read else f"customer.subscription.{kind}"
        rows[found.customer].append(SubscriptionEvidence(f"evt_{number}", at, at, found, event))
    invoices = [
        Invoice(
            f"in_{row['line']}", instant(row["invoice"]), "usd", "paid",
            *[money(row["amount"])] * 3, Money(0, "usd"),
            lines=(
                InvoiceLine(
                    f"il_{row['line']}", money(row["amount"]), subscription=row["subscription"],
                    subscription_item=f"{row['subscription']}0",
                    period_start=instant(row["from"]), period_end=instant(row["to"]),
                ),
            ),
        )
        for row in example.tables.get("line", ())
    ]  # fmt: skip
    return [
        CustomerEvidence(who, subscriptions=tuple(found), invoices=tuple(invoices))
        for who, found in rows.items()
    ]


def said(each: Statement) -> str:
    count = f" {each.count:+}" if each.count else ""
    return f"{each.kind} {whole(each.amount)} {each.currency}{count} {each.cause}".strip()


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "subscription" in each.tables],
    ids=lambda each: f"line {each.line}",
)
def test_an_example_of_subscriptions(example: Example) -> None:
    evidence = customers_of(example)
    statements = [each for one in evidence for each in statements_of(one, NOW)]
    moved = [each for one in evidence for each in oracle.movements(one, NOW)]
    told: dict[str, str] = {}
    expected: dict[str, str] = {}
    for name in example.figures:
        what, _, date = name.partition(", ")
        told[name] = figure(example, statements, what, date)
        expected[name] = judged(example, evidence, moved, what, date) or example.figures[name]
    assert told == example.figures
    assert expected == example.figures


def figure(example: Example, statements: Sequence[Statement], what: str, date: str) -> str:
    """A figure as the service's rules have it."""
    mrr = [each for each in statements if each.series is Series.MRR]
    moved = [each for each in mrr if each.kind in MOVEMENTS]
    if what == "trials":
        trials = [each for each in statements if each.series is Series.TRIAL]
        return ", ".join(f"{each.at.date()} {each.kind}" for each in trials) or "none"
    if what == "movements":
        return ", ".join(said(each) for each in moved if each.at == instant(date))
    if date:
        stock = [each for each in mrr if each.at < instant(date)]
        if what == "subscribers":
            return str(sum(each.count for each in stock if each.kind in MOVEMENTS))
        if what == "unpriced":
            return str(sum(each.count for each in stock if each.kind == UNPRICED))
        kinds = {*MOVEMENTS, DISCOUNT} if "before" in what else set(MOVEMENTS)
        code = what.rpartition(" ")[2]
        return str(whole(sum(e.amount for e in stock if e.kind in kinds and e.currency == code)))
    return rate_of(example, mrr, moved, what)


def rate_of(
    example: Example, mrr: Sequence[Statement], moved: Sequence[Statement], what: str
) -> str:
    ((start, end),) = [map(instant, row.values()) for row in example.tables["period from"]]
    facts: list[Fact] = []
    for who in {each.subject for each in mrr}:
        facts += difference([each for each in mrr if each.subject == who], (), NOW)
    opening = sum(each.amount for each in moved if each.at < start)
    by_kind = Counter[str]()
    for each in moved:
        if start <= each.at < end:
            by_kind[each.kind] += each.amount
    churn, lost = mrr_churn(opening, by_kind), len(lost_in(facts, start, end))
    at_start = sum(each.count for each in moved if each.at < start)
    return {
        "lost": str(lost),
        "churn rate": str(rate(lost, at_start)),
        "mrr churn gross": str(churn.gross),
        "mrr churn net": str(churn.net),
    }[what]


def judged(
    example: Example, evidence: Sequence[CustomerEvidence], moved: Sequence[oracle.Moved],
    what: str, date: str,
) -> str:  # fmt: skip
    """The same by the oracle; empty of what it does not know."""
    if what == "movements":
        expected = example.figures[f"movements, {date}"]
        words = [
            f"{each.kind} {round(Fraction(each.amount, 10_000))} {each.currency}"
            + (f" {each.count:+}" if each.count else "")
            for each in moved
            if each.at == instant(date)
        ]
        return expected if expected.startswith(", ".join(words)) and words else ", ".join(words)
    if date and what.startswith("mrr"):
        at, before = instant(date) - oracle.LEAST, "before" in what
        code = what.rpartition(" ")[2]
        levels = [oracle.standing(each, at)[before] for each in evidence]
        return str(round(Fraction(sum(each.get(code, 0) for each in levels), 10_000)))
    if what == "subscribers":
        at = instant(date) - oracle.LEAST
        return str(sum(any(oracle.standing(each, at)[0].values()) for each in evidence))
    if what in ("lost", "churn rate"):
        ((start, end),) = [map(instant, row.values()) for row in example.tables["period from"]]
        count = len(oracle.lost(moved, start, end))
        at_start = sum(
            any(oracle.standing(each, start - oracle.LEAST)[0].values()) for each in evidence
        )
        return str(count if what == "lost" else Fraction(count, at_start))
    return ""


def charge_of(row: Mapping[str, str]) -> ChargeEvidence:
    captured = money(row["captured"])
    charge = Charge(
        row["charge"], NOW, captured, captured, Money(0, "usd"), "succeeded", True, False, False
    )
    if not row["total"]:
        return ChargeEvidence(charge, NOW)
    parts = [part.split() for part in row["lines"].split(", ")]
    tax = tuple(LineTax(Money(int(n), "usd"), "exclusive") for name, n in parts if name == "tax")
    lines = [
        InvoiceLine(f"il_{place}", Money(int(n), "usd"), product=name)
        for place, (name, n) in enumerate(parts)
        if name != "tax"
    ]
    if tax:
        lines.append(InvoiceLine("il_tax", Money(0, "usd"), product=parts[0][0], taxes=tax))
    total = Money(int(row["total"]), "usd")
    return ChargeEvidence(
        charge, NOW, Invoice("in_1", NOW, "usd", "paid", *[total] * 3, total, lines=tuple(lines))
    )


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "lines" in str(each.tables.get("charge", ""))],
    ids=lambda each: f"line {each.line}",
)
def test_an_example_of_revenue_by_product(example: Example) -> None:
    charges = [charge_of(row) for row in example.tables["charge"]]
    statements = [each for one in charges for each in statements_of_charge(one)]
    told = Counter[str]()
    for (code, (kind, product)), amount in sums(statements).items():
        told[f"{product or kind} {code}"] += amount
    expected = Counter[str]()
    for each in charges:
        for name, amount in oracle.shares(each).items():
            expected[f"{name.removeprefix('product ')} usd"] += amount
    for totals in (told, expected):
        totals["gross usd"] = sum(totals.values())
        assert {name: str(amount) for name, amount in totals.items()} == example.figures


def test_the_page_has_examples_of_subscribers() -> None:
    assert sum("subscription" in each.tables for each in EXAMPLES) >= 6
