"""`billing overview`: tables that are right piped, and bars that fit on a terminal."""

import datetime as dt
import io
import json

import pytest
import typer
from billing_client.v1 import analytics_service_pb2 as pb
from rich.console import Console
from typer.testing import CliRunner

from application.analytics.asking import Series
from application.analytics.net import CurrencyNet, Fees, NetVolume
from application.analytics.overview import Overview
from application.analytics.payments import CurrencyPayments, Failures, Payments
from application.analytics.payouts import CurrencyPayouts, Payouts
from application.analytics.questions import Compared
from application.analytics.returns import Disputes, Refunds, TakenBack
from application.analytics.subscribers import (
    CurrencyMrr,
    Customers,
    Mrr,
    SubscriberParts,
    Subscribers,
    Trials,
)
from application.analytics.trust import Standing, Trust
from application.analytics.use_cases import CurrencyVolume, GrossVolume, RevenueSplit
from domain.analytics import Bucket, Comparison
from domain.attempts import PaymentOutcome
from domain.balances import BalanceReading, CurrencyReading
from domain.periods import Period
from domain.reporting_categories import APART, NetPart
from domain.subscriber_figures import Waterfall, mrr_churn
from interfaces.cli import overview as command
from interfaces.cli.overview import last_days
from interfaces.cli.overview_tables import by_bucket, gross_to_net, headline, title
from interfaces.grpc.analytics.mapping import overview_message

DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 3, 7, 5, tzinfo=dt.UTC)  # New York's midnight, a day before its clocks
MIDDLE, END = START + DAY, START + 2 * DAY - dt.timedelta(hours=1)
PERIOD = Period(START, END, "America/New_York")
TIME = Compared(
    PERIOD, PERIOD, PERIOD, [Bucket(START, MIDDLE, False), Bucket(MIDDLE, END, True)],
    Trust(PERIOD.time_zone, Standing()),
)  # fmt: skip


def series(first: int, second: int, before: int, so_far: int | None = None) -> Series:
    return Series(Comparison(first + second, before, so_far), [first, second])


NONE = series(0, 0, 0, 0)
PARTS = {
    NetPart.GROSS: series(10_000, 5_000, 12_000, 10_000), NetPart.FEES: series(-300, -200, -1),
    NetPart.REFUND: series(0, -1_000, 0),
}  # fmt: skip


def answer() -> pb.Overview:
    net = CurrencyNet(
        "usd", series(9_700, 3_800, 9_000, 27_000),
        {part: PARTS.get(part, NONE) for part in NetPart if part not in APART},
        Fees(NONE, NONE, NONE), {}, {NetPart.PAYOUTS: series(0, -700, 0)}, 0,
    )  # fmt: skip
    outcomes = dict.fromkeys(PaymentOutcome, NONE)
    outcomes[PaymentOutcome.PAID] = series(3, 1, 2, 2)
    outcomes[PaymentOutcome.FAILED] = series(1, 0, 4, 4)
    payments = Payments(
        TIME, series(4, 1, 6, 6), outcomes, NONE, NONE, NONE,
        [CurrencyPayments("usd", series(3, 1, 0), series(10_000, 5_002, 0))],
    )  # fmt: skip
    returned = TakenBack(
        "usd", series(0, 1_000, 0), NONE, NONE, NONE, Comparison(15_000, 0), 0
    )  # fmt: skip
    return overview_message(
        Overview(
            TIME,
            GrossVolume(
                TIME,
                [
                    CurrencyVolume(
                        "usd", Comparison(15_000, 12_000, 10_000), [10_000, 5_000], [2, 1]
                    ),
                    CurrencyVolume("jpy", Comparison(1_500, 0, 0), [0, 1_500], [0, 1]),
                ],
            ),
            NetVolume(TIME, [net]),
            payments,
            Failures(TIME, NONE, NONE, {}, {}),
            RevenueSplit(TIME, []),
            Refunds(TIME, [returned]),
            Disputes(
                TIME,
                [],
                NONE,
                {},
                Comparison(3, 0),
                closings={"won": series(1, 0, 0), "lost": series(0, 3, 2), "undated": NONE},
            ),
            Payouts(
                TIME,
                [CurrencyPayouts("usd", series(700, 0, 0), NONE, NONE, NONE, {})],
                BalanceReading(1_000, 2_000, (CurrencyReading("usd", 12_000, 345),)),
            ),
            subscriptions(),
        )
    )


def subscriptions() -> SubscriberParts:
    levels = Waterfall(2_000, (2_500, 3_000), {"new": (500, 1_500), "churn": (0, -1_000)})
    mrr = CurrencyMrr(
        "usd", levels, Waterfall(0, (1_000, 2_000), {}), 36_000, 3_300, 0, mrr_churn(2_000, {})
    )
    return SubscriberParts(
        Mrr(TIME, [mrr], {}),
        Subscribers(TIME, 2, (3, 3), {}, {}, 1, 0, 0, 0),
        Trials(
            TIME,
            {"converted": series(1, 2, 1), "pending": NONE, "not_converted": series(1, 0, 0)},
        ),
        Customers(TIME, series(1, 1, 1), NONE),
    )


def printed(*, bars: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=bars, color_system=None)
    found = answer()
    for table in (
        headline(found, bars=bars), *gross_to_net(found, bars=bars), *by_bucket(found, bars=bars)
    ):  # fmt: skip
        console.print(table)
    return output.getvalue()


def rows(text: str) -> list[list[str]]:
    lines = [line.strip("│┃ ") for line in text.splitlines()]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]


def test_what_is_shown_in_a_pipe() -> None:
    text = printed(bars=False)
    told = rows(text)
    for expected in (
        ["gross volume usd", "150.00", "120.00", "+50.0%"],  # of what had passed by now
        ["gross volume jpy", "1,500", "0", "-"],
        ["net volume usd", "135.00", "90.00", "-50.0%"],
        ["payments paid", "4", "2", "+100.0%"],
        ["payments failed", "1", "4", "-75.0%"],
        ["success rate", "80.0%", "33.3%", "-"],
        ["average payment usd", "37.50", "-", "-"],
        ["refunds usd", "10.00", "0.00", "-"],
        ["disputes won", "25.0%", "0.0%", "-"],
        ["MRR usd", "30.00", "20.00", "+50.0%"],
        ["subscribers", "3", "2", "-"],
        ["churn rate", "50.0%", "-", "-"],
        ["trials converted", "3", "1", "+200.0%"],
        ["trial conversion", "75.0%", "100.0%", "-"],
        ["new customers", "2", "1", "+100.0%"],
        ["balance read last usd", "123.45", "-", "-"],
        ["gross", "150.00"],
        ["refunds", "-10.00"],
        ["fees", "-5.00"],
        ["net", "135.00"],
        ["apart: payouts", "-7.00"],
        ["2026-03-07 Sat", "100.00", "97.00"],
        ["2026-03-08 Sun *", "50.00", "38.00"],
        ["2026-03-08 Sun *", "1,500", "0"],
    ):
        assert expected in told, text
    assert "first-time payers" not in text, "there were none"
    assert not {*"▁▂▃▄▅▆▇█▌"} & {*text}
    assert title(answer()) == "2026-03-07 to 2026-03-08, by the clock of America/New_York"


def test_bars_and_trends_on_a_terminal() -> None:
    text = printed(bars=True)
    assert "█▄" in text, "the second day is half of the first"
    assert "██████" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_last_days_are_the_zone_s_own() -> None:
    now = dt.datetime(2026, 3, 9, 3, tzinfo=dt.UTC)  # the 8th in New York
    period = last_days("America/New_York", 2, now)
    assert period.start_time.ToDatetime(dt.UTC) == START
    assert period.end_time.ToDatetime(dt.UTC) == END
    with pytest.raises(typer.BadParameter):
        last_days("localtime", 2, now)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    asked: list[pb.GetOverviewRequest] = []

    async def overview(_: object, request: pb.GetOverviewRequest) -> pb.Overview:
        asked.append(request)
        return answer()

    monkeypatch.setattr(command, "_overview", overview)
    app = typer.Typer()
    command.add_overview(app, lambda _: None)  # type: ignore[arg-type, return-value]  # not called
    options = ["--account", "acme", "--zone", "Asia/Tokyo", "--days", "7", "--currency", "usd"]
    result = CliRunner().invoke(app, options + (["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    (request,) = asked
    assert (request.account, request.period.time_zone, request.currency) == (
        "acme", "Asia/Tokyo", "usd",
    )  # fmt: skip
    assert request.period.end_time.seconds - request.period.start_time.seconds == 7 * 86_400
    if as_json:
        document = json.loads(result.output)
        assert document["net"]["currencies"][0]["net"]["current"]["amount"] == "13500"
    else:
        assert "net volume usd" in result.output
        assert ["churn", "-10.00"] in rows(result.output), "MRR with what moved it"
        assert "\x1b" not in result.output
