"""Revenue questions: comparison, series without holes, currencies, the running bucket."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from typing_extensions import override

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.metrics import GROSS_VOLUME, Metric, Unit
from application.analytics.ports import Analytics, FigureRow, TopRows
from application.analytics.questions import Question
from application.analytics.trust import Standing, Trust
from application.analytics.use_cases import RevenueAnalytics
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES
from application.requests.callers import Caller
from domain.analytics import Comparison, buckets
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import FailedPrecondition, InvalidArgument
from domain.periods import Granularity
from domain.rates import Rate
from tests.support.fakes.rates import FakeRates
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
DAY = dt.timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
QUESTION = Question(MIDNIGHT - 2 * DAY, MIDNIGHT + DAY, "UTC")


class Database(Analytics):
    """Charges as (instant, currency, status, amount), grouped as the port says."""

    def __init__(self, *charges: tuple[dt.datetime, str, str, int]) -> None:
        self.charges = charges
        self.asked: list[tuple[str, Sequence[dt.datetime], str | None]] = []

    def _rows(
        self, account: str, edges: Sequence[dt.datetime], currency: str | None
    ) -> list[tuple[int, str, str, int]]:
        self.asked.append((account, edges, currency))
        return [
            (sum(edge <= at for edge in edges) - 1, code, status, amount)
            for at, code, status, amount in self.charges
            if edges[0] <= at < edges[-1] and currency in (None, code)
        ]

    @override
    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
    ) -> Sequence[FigureRow]:
        if metric.noun is not CHARGES:
            return []
        sums = len(metric.sums)
        return [
            FigureRow(bucket, code, (code,), (amount,) * sums, 1)
            for bucket, code, how, amount in self._rows(stripe_account, edges, currency)
            if how in metric.where["status"]
        ]

    @override
    async def top(
        self,
        metric: Metric,
        stripe_account: str,
        period: tuple[dt.datetime, dt.datetime],
        currency: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
    ) -> TopRows:
        raise NotImplementedError


DATABASE = (
    (MIDNIGHT - 4 * DAY, "usd", "succeeded", 50),
    (MIDNIGHT - 3 * DAY, "jpy", "succeeded", 7),
    (MIDNIGHT - 2 * DAY, "usd", "succeeded", 100),
    (MIDNIGHT - 1 * DAY, "usd", "failed", 999),
    (MIDNIGHT, "usd", "succeeded", 20),
    (MIDNIGHT, "usd", "succeeded", 5),
    (MIDNIGHT, "eur", "succeeded", 9),
    (MIDNIGHT, "eur", "pending", 0),
    (MIDNIGHT + DAY, "usd", "succeeded", 1_000),  # the end is exclusive
)


STANDING = Standing(MIDNIGHT + DAY, MIDNIGHT, 3, importing=False)


def revenue(
    database: Database, *kept: Connection, totals: BaseTotals | None = None
) -> RevenueAnalytics:
    clock = FakeClock()
    repository = FakeConnections(*kept)
    connections = Connections(repository, FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST)
    ledger: Any = None  # charges are none of it
    totals = totals or BaseTotals(FakeRates(), "")
    return RevenueAnalytics(
        Asking(database, connections, clock, totals, some_trust(STANDING), ledger)
    )


async def test_every_answer_tells_up_to_when_it_stands() -> None:
    asked = revenue(Database(*DATABASE), CONNECTION)
    trust = Trust(QUESTION.time_zone, STANDING)
    assert (await asked.gross_volume(CALLER, QUESTION)).time.trust == trust
    assert (await asked.charge_counts(CALLER, QUESTION)).time.trust == trust
    assert (trust.closes(MIDNIGHT), trust.closes(MIDNIGHT + DAY)) == (True, False)
    assert not Trust("UTC", Standing()).closes(MIDNIGHT)


async def test_gross_volume() -> None:
    found = await revenue(Database(*DATABASE), CONNECTION).gross_volume(CALLER, QUESTION)
    assert (found.time.previous.start, found.time.previous.end) == (
        MIDNIGHT - 5 * DAY,
        MIDNIGHT - 2 * DAY,
    )
    by_code = {volume.currency: volume for volume in found.currencies}
    assert list(by_code) == ["eur", "jpy", "usd"]
    assert by_code["usd"].total == Comparison(125, 50, 50)
    assert by_code["usd"].amounts == [100, 0, 25]
    assert by_code["usd"].counts == [1, 0, 2]
    assert by_code["jpy"].total == Comparison(0, 7, 7)  # the period before alone
    assert by_code["jpy"].amounts == [0, 0, 0]
    assert by_code["eur"].total == Comparison(9, 0, 0)
    assert [bucket.partial for bucket in found.time.buckets] == [False, False, True]


async def test_one_currency() -> None:
    database = Database(*DATABASE)
    asked = revenue(database, CONNECTION)
    found = await asked.gross_volume(CALLER, replace(QUESTION, currency="usd"))
    assert [volume.currency for volume in found.currencies] == ["usd"]
    assert [(account, currency) for account, _, currency in database.asked] == [
        ("acct_1", "usd"), ("acct_1", "usd"),
    ]  # fmt: skip
    empty = await asked.gross_volume(CALLER, replace(QUESTION, currency="gbp"))
    assert [(v.currency, v.amounts) for v in empty.currencies] == [("gbp", [0, 0, 0])]


async def test_charge_counts() -> None:
    found = await revenue(Database(*DATABASE), CONNECTION).charge_counts(CALLER, QUESTION)
    assert found.succeeded == Comparison(4, 2, 2)
    assert found.failed == Comparison(1, 0, 0)
    assert found.succeeded_series == [1, 0, 3]
    assert found.failed_series == [0, 1, 0]


@pytest.mark.parametrize(
    ("current", "before", "growth"),
    [
        (150, 100, Fraction(1, 2)),
        (0, 100, -1),
        (5, 0, None),
        (0, 0, None),
        (-50, -100, Fraction(1, 2)),  # a loss that halves has grown
        (-150, -100, Fraction(-1, 2)),
        (100, -100, 2),
    ],
)
def test_growth(current: int, before: int, growth: Fraction | None) -> None:
    assert Comparison(current, before).growth == growth
    assert Comparison(current, 1, before).growth_so_far == growth
    assert Comparison(current, before).growth_so_far is None


async def test_a_running_period_is_compared_with_as_much_of_the_one_before() -> None:
    # It is noon of the last of three days.
    charges = (
        (MIDNIGHT - 4 * DAY, "usd", "succeeded", 1),
        (MIDNIGHT - 3 * DAY + DAY / 2 - dt.timedelta(milliseconds=1), "usd", "succeeded", 10),
        (MIDNIGHT - 3 * DAY + DAY / 2, "usd", "succeeded", 100),
        (MIDNIGHT, "usd", "succeeded", 1_000),
    )
    analytics = revenue(Database(*charges), CONNECTION)
    found = await analytics.gross_volume(CALLER, QUESTION)
    assert found.currencies[0].total == Comparison(1_000, 111, 11)
    so_far = found.time.so_far
    assert so_far is not None
    assert (so_far.start, so_far.end) == (MIDNIGHT - 5 * DAY, MIDNIGHT - 3 * DAY + DAY / 2)
    over = await analytics.gross_volume(CALLER, replace(QUESTION, end=NOON))
    assert over.time.so_far is None
    assert over.currencies[0].total.previous_so_far is None


@pytest.mark.parametrize(
    "change",
    [
        {"index": ("created", "status")},
        {"index": ("created",)},
        {"date": "currency"},  # the date comes before it, and is not fixed
        {"where": {}},
        {"where": {"status": ()}},
        {"where": {"status": ("succeeded",), "customer": ("cus_1",)}},
        {"by": ("customer",)},
        {"above_zero": ("customer",)},
        {"sums": ()},
    ],
)
def test_a_metric_is_answered_from_its_index_or_not_declared(change: dict[str, Any]) -> None:
    assert GROSS_VOLUME.unit is Unit.AMOUNT
    with pytest.raises(ValueError, match="gross_volume: "):
        replace(GROSS_VOLUME, **change)


def test_a_bucket_is_partial_until_it_has_ended() -> None:
    edges = [MIDNIGHT, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY]
    for now, partial in (
        (MIDNIGHT + DAY - dt.timedelta(milliseconds=1), [True, True]),
        (MIDNIGHT + DAY, [False, True]),
        (MIDNIGHT + 2 * DAY, [False, False]),
    ):
        assert [bucket.partial for bucket in buckets(edges, now)] == partial


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        (Question(None, None, ""), ["period.start_time", "period.end_time", "period.time_zone"]),
        (replace(QUESTION, end=QUESTION.start), ["period.end_time"]),
        (replace(QUESTION, end=MIDNIGHT - 9 * DAY), ["period.end_time"]),
        (replace(QUESTION, end=MIDNIGHT + 7_400 * DAY), ["period.end_time"]),
        (
            Question(NOON.replace(year=1969), NOON.replace(year=2201), "UTC"),
            ["period.start_time", "period.end_time", "period.end_time"],
        ),
        (
            replace(QUESTION, time_zone="Mars/Olympus", currency="USD"),
            ["period.time_zone", "currency"],
        ),
        (replace(QUESTION, time_zone="localtime"), ["period.time_zone"]),
        (
            Question(MIDNIGHT - 500 * DAY, MIDNIGHT, "UTC", Granularity.HOUR),
            ["granularity"],
        ),
    ],
)
async def test_every_violation_at_once(question: Question, fields: list[str]) -> None:
    for method in ("gross_volume", "charge_counts"):
        database = Database()
        with pytest.raises(InvalidArgument) as refusal:
            await getattr(revenue(database, CONNECTION), method)(CALLER, question)
        assert [violation.field for violation in refusal.value.violations] == fields
        assert database.asked == []


async def test_the_earliest_period_has_one_before_it() -> None:
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    question = Question(start, start + 7_320 * DAY, "Africa/Monrovia", Granularity.MONTH)
    found = await revenue(Database(), CONNECTION).gross_volume(CALLER, question)
    assert found.time.previous.end == start


async def test_without_a_connection() -> None:
    with pytest.raises(FailedPrecondition):
        await revenue(Database()).gross_volume(CALLER, QUESTION)


async def test_the_total_in_the_base_currency() -> None:
    database, rates = Database(*DATABASE), FakeRates()
    totals = BaseTotals(rates, "usd")
    analytics = revenue(database, CONNECTION, totals=totals)
    asked = replace(QUESTION, base_total=True)
    base = (await analytics.gross_volume(CALLER, asked)).base
    assert base is not None
    assert (base.total, base.amounts, base.missing, base.growth) == (None, (), ("eur",), None)
    assert (base.previous, base.previous_missing) == (None, ("jpy",))
    await rates.add(
        "acme",
        "usd",
        [Rate(MIDNIGHT.date(), "eur", "1.5"), Rate((MIDNIGHT - 3 * DAY).date(), "jpy", "0.01")],
    )
    base = (await analytics.gross_volume(CALLER, asked)).base
    assert base is not None
    assert (base.total, base.amounts) == (138, (100, 0, 38))  # 25 + 13.5
    assert (base.previous, base.growth) == (57, Fraction(138 - 57, 57))
    assert (await analytics.gross_volume(CALLER, QUESTION)).base is None


async def test_a_base_total_without_a_base_currency_is_refused_with_the_rest() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await revenue(Database(), CONNECTION).gross_volume(
            CALLER, replace(QUESTION, base_total=True, currency="USD")
        )
    fields = [violation.field for violation in refusal.value.violations]
    assert fields == ["base_total", "currency"]
