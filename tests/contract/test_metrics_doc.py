"""docs/metrics.md is true: its examples, on each store and by the oracle."""

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from application.analytics.base_totals import BaseTotals
from application.analytics.metrics import METRICS
from application.analytics.use_cases import Question, RevenueAnalytics
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES
from application.requests.callers import Caller
from domain.analytics import Comparison
from domain.charges import Charge
from domain.connections import Connection, ConnectionKind, Mode
from domain.money import Money
from domain.periods import Granularity
from domain.rates import converted, read_date
from tests.contract.samples import NOON, store_new
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


def instant(text: str, zone: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(dt.UTC)


def charge_of(row: Mapping[str, str], number: int, zone: str) -> Charge:
    amount, currency = row["amount"].split()
    captured = int(row["captured"])
    return Charge(
        f"ch_{number}",
        instant(row["created"], zone),
        Money(int(amount), currency),
        Money(captured, currency),
        Money(0, currency),
        row["status"],
        captured > 0,
        False,
        False,
        description=row["charge"],
    )


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
    assert len(EXAMPLES) >= 6
    names = {
        name.partition(",")[0].partition(" usd")[0] for each in EXAMPLES for name in each.figures
    }
    assert names >= {"gross volume", "charges", "succeeded", "failed", "total"}
    assert {metric.name for metric in METRICS} == {
        "gross_volume", "succeeded_charges", "failed_charges",
    }, "a metric that is new here needs its section and an example there"  # fmt: skip


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "charge" in each.tables],
    ids=lambda each: f"line {each.line}",
)
async def test_an_example_of_charges(stores: Stores, example: Example) -> None:
    zone = example.settings["zone"]
    rows = example.tables["charge"]
    charges = [charge_of(row, number, zone) for number, row in enumerate(rows)]
    stripe_account = f"acct_{uuid4().hex}"
    await store_new(stores.mirror, CHARGES, *charges, stripe_account=stripe_account)
    clock = FakeClock(instant(example.settings.get("now", AFTERWARDS), zone))
    connection = Connection("acme", stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)
    connections = Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )
    analytics = RevenueAnalytics(
        stores.analytics,
        connections,
        clock,
        BaseTotals(stores.analytics, stores.rates, "usd"),
        some_trust(),
    )
    question = question_of(example)
    volume = await analytics.gross_volume(CALLER, question)
    counts = await analytics.charge_counts(CALLER, question)

    told = compared("succeeded", counts.succeeded) | compared("failed", counts.failed)
    for part in volume.currencies:
        told |= compared(f"gross volume {part.currency}", part.total)
        for bucket, amount, count in zip(
            volume.time.buckets, part.amounts, part.counts, strict=True
        ):
            day = bucket.start.astimezone(ZoneInfo(zone)).date()
            told[f"gross volume {part.currency}, {day}"] = str(amount)
            told[f"charges {part.currency}, {day}"] = str(count)
    assert {name: told.get(name) for name in example.figures} == example.figures

    # The oracle knows totals and buckets; what is compared with what is the page's own rule.
    assert question.start is not None
    assert question.end is not None
    when = within(question.start, question.end)
    history = History(charges)
    oracle = {
        f"gross volume {code}": str(part.amount) for code, part in gross(history, when).items()
    }
    for (code, day), part in gross_by_bucket(history, when, zone, question.granularity).items():
        oracle |= {f"gross volume {code}, {day}": str(part.amount)}
        oracle |= {f"charges {code}, {day}": str(part.count)}
    succeeded, failed = charge_counts(history, when)
    oracle |= {"succeeded": str(succeeded), "failed": str(failed)}
    judged = oracle.keys() & example.figures.keys()
    assert judged
    assert {name: oracle[name] for name in judged} == {
        name: example.figures[name] for name in judged
    }


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
