"""`billing mrr|cohorts|products revenue`: tables that add up piped, a heat map on a terminal."""

import datetime as dt
import io
import json
from typing import Any

import pytest
import typer
from billing_client.v1 import figures_pb2, money_pb2
from billing_client.v1 import subscriber_figures_pb2 as pb
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from interfaces.cli import product_revenue, subscribers
from interfaces.cli.subscriber_tables import (
    cohort_table,
    product_table,
    subscriber_table,
    waterfall_table,
)
from interfaces.cli.subscribers import last_months


def usd(amount: int) -> money_pb2.Money:
    return money_pb2.Money(amount=amount, currency="usd")


def moved(name: str, *amounts: int) -> figures_pb2.NamedAmount:
    figure = figures_pb2.AmountFigure(current=usd(sum(amounts)), amounts=amounts)
    return figures_pb2.NamedAmount(name=name, amount=figure)


def came(name: str, *counts: int) -> figures_pb2.NamedCount:
    figure = figures_pb2.CountFigure(current=sum(counts), counts=counts)
    return figures_pb2.NamedCount(name=name, count=figure)


MRR = pb.CurrencyMrr(
    currency="usd", start=usd(2_000), end=usd(3_000), levels=[2_500, 3_000], arr=usd(36_000),
    movements=[moved("new", 500, 1_500), moved("churn", 0, -1_000), moved("paused", 0, 0)],
    before_discounts=usd(3_300), scheduled_cancellations=usd(0), gross_churn=0.5,
)  # fmt: skip
MEMBERS = pb.Subscribers(
    start=2, end=3, lost=1, churn_rate=0.5,
    movements=[came("new", 1, 1), came("churn", 0, -1), came("seam", 0, 0)],
)  # fmt: skip


def cohorts() -> pb.ListCohortsResponse:
    found = pb.ListCohortsResponse(
        mean_retention=[pb.MeanRetention(months=0, retention=1), pb.MeanRetention(months=1)]
    )
    found.timeline.period.time_zone = "Asia/Tokyo"
    first = found.cohorts.add(size=4)
    first.start_time.FromDatetime(dt.datetime(2025, 12, 31, 15, tzinfo=dt.UTC))
    first.cells.add(subscribers=4, retention=1)
    first.cells.add(subscribers=1, retention=0.25, partial=True)
    second = found.cohorts.add()
    second.start_time.FromDatetime(dt.datetime(2026, 1, 31, 15, tzinfo=dt.UTC))
    second.cells.add(partial=True)
    return found


PRODUCTS = pb.CurrencyProducts(
    currency="usd", gross=usd(1_100), previous_gross=usd(0),
    rows=[
        pb.ProductRevenueRow(
            kind="product", product="prod_1", name="Basic", captured=usd(1_000), refunded=usd(-50),
            previous_captured=usd(0),
        ),
        pb.ProductRevenueRow(kind="unattributed", captured=usd(70), refunded=usd(0)),
        pb.ProductRevenueRow(kind="of_tomorrow", captured=usd(30), refunded=usd(0)),
    ],
)  # fmt: skip


def printed(table: Table, *, terminal: bool = False) -> str:
    output = io.StringIO()
    colours: Any = "standard" if terminal else None
    Console(file=output, width=100, force_terminal=terminal, color_system=colours).print(table)
    return output.getvalue()


def rows(table: Table) -> list[list[str]]:
    lines = [line.strip("│┃ ") for line in printed(table).splitlines()]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]


def test_the_waterfall_leads_from_start_to_end() -> None:
    told = rows(waterfall_table(MRR, bars=False))
    for expected in (
        ["start", "20.00"], ["new", "20.00"], ["churn", "-10.00"], ["end", "30.00"],
        ["before discounts", "33.00"], ["a year (ARR)", "360.00"], ["gross churn", "50.0%"],
        ["net churn", "-"],
    ):  # fmt: skip
        assert expected in told
    assert "paused" not in printed(waterfall_table(MRR, bars=False))
    assert "█" in printed(waterfall_table(MRR, bars=True), terminal=True)


def test_who_came_and_went() -> None:
    told = rows(subscriber_table(MEMBERS))
    for expected in (["start", "2"], ["new", "+2"], ["churn", "-1"], ["end", "3"], ["lost", "1"]):
        assert expected in told
    assert ["churn rate", "50.0%"] in told


def test_cohorts_by_the_zone_s_months_and_as_a_heat_map_on_a_terminal() -> None:
    told = rows(cohort_table(cohorts(), heat=False))
    assert ["2026-01", "4", "100%", "25%*"] in told
    assert ["2026-02", "0", "-"] in told
    assert ["mean", "", "100%", "-"] in told
    assert "\x1b[" not in printed(cohort_table(cohorts(), heat=False))
    assert "\x1b[" in printed(cohort_table(cohorts(), heat=True), terminal=True)


def test_products_add_up_to_gross() -> None:
    told = rows(product_table(PRODUCTS))
    assert ["prod_1", "Basic", "10.00", "-0.50", "0.00"] in told
    assert ["(unattributed)", "", "0.70", "0.00", "-"] in told
    assert ["(of_tomorrow)", "", "0.30", "0.00", "-"] in told
    assert ["gross usd", "", "11.00", "", "0.00"] in told


def test_the_last_months_are_the_zone_s_own() -> None:
    now = dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC)  # 28 February in New York
    period = last_months("America/New_York", 3, now)
    start, end = (each.ToDatetime(dt.UTC) for each in (period.start_time, period.end_time))
    assert start == dt.datetime(2025, 12, 1, 5, tzinfo=dt.UTC)
    assert end == dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)
    with pytest.raises(typer.BadParameter):
        last_months("localtime", 3, now)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_commands(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    async def mrr(_: object, *asked: Any) -> tuple[pb.Mrr, pb.Subscribers]:
        assert (asked[0], asked[2]) == ("acme", "usd")
        odd = pb.UnpricedCount(cause="interval", count=2)
        return pb.Mrr(currencies=[MRR], unpriced=[odd]), MEMBERS

    async def listed(_: object, request: pb.ListCohortsRequest) -> pb.ListCohortsResponse:
        assert request.period.time_zone == "Asia/Tokyo"
        return cohorts()

    async def revenue(
        _: object, request: pb.ListProductRevenueRequest
    ) -> pb.ListProductRevenueResponse:
        assert request.max_products == 7
        return pb.ListProductRevenueResponse(currencies=[PRODUCTS])

    monkeypatch.setattr(subscribers, "_mrr", mrr)
    monkeypatch.setattr(subscribers, "_cohorts", listed)
    monkeypatch.setattr(product_revenue, "_revenue", revenue)
    nobody: Any = lambda _: None  # noqa: E731  # not called
    app = subscribers.subscribers_app(nobody)
    product_revenue.add_revenue(app, nobody)
    options = ["--zone", "Asia/Tokyo", "--account", "acme", *(["--json"] if as_json else [])]
    for words, told in (
        (["mrr", "--currency", "usd"], "36000" if as_json else "not priced: 2 by interval"),
        (["cohorts", "--months", "2"], '"partial": true' if as_json else "25%*"),
        (["revenue", "--limit", "7"], "prod_1"),
    ):
        result = CliRunner().invoke(app, [*words, *options])
        assert result.exit_code == 0, result.output
        assert told in result.output
        if as_json:
            json.loads(result.output)
