"""`billing mrr|cohorts`: what subscriptions bring a month, and who stays."""

import datetime as dt
from typing import Annotated, Final, TypeAlias
from zoneinfo import ZoneInfo

import typer
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from billing_client.v1 import period_pb2
from billing_client.v1 import subscriber_figures_pb2 as pb

from domain.periods import start_of_date, zone_of
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import JsonOption, console, plain, print_json, print_table, say
from interfaces.cli.overview import last_days
from interfaces.cli.refusals import FLAGS
from interfaces.cli.subscriber_tables import cohort_table, subscriber_table, waterfall_table
from interfaces.cli.target import Target, asks
from interfaces.cli.times import timestamp

MOST_DAYS: Final = 3_650
MOST_MONTHS: Final = 60

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option("--account", help="The account; default: the token's own.", show_default=False),
]
ZoneOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--zone", metavar="ZONE", help="The zone of the account's clock, such as America/New_York."
    ),
]
DaysOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--days", min=1, max=MOST_DAYS, help="How many of the account's days, today the last."
    ),
]
CurrencyOption: TypeAlias = Annotated[
    str, typer.Option(help="Only this currency, such as usd.", show_default=False)
]

OPTIONS: Final = {
    **FLAGS,
    "period.time_zone": "--zone",
    "period.start_time": "--days",
    "period.end_time": "--days",
}
"""What the commands call the fields of the API."""

_OF_MONTHS: Final = {**OPTIONS, "period.start_time": "--months", "period.end_time": "--months"}


def subscribers_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(add_completion=False)
    _add_mrr(app, reach)
    _add_cohorts(app, reach)
    return app


def _add_mrr(app: typer.Typer, reach: Reach) -> None:
    @app.command("mrr")
    @asks
    def mrr(
        target: Target,
        account: AccountOption = "",
        zone: ZoneOption = "UTC",
        days: DaysOption = 30,
        currency: CurrencyOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Show monthly recurring revenue, what moved it, and who came and went.

        What each figure means: docs/metrics.md.
        """
        period = last_days(zone, days, dt.datetime.now(dt.UTC))
        figures, members = run(_mrr(reach(target), account, period, currency), OPTIONS)
        if as_json:
            print_json({"mrr": plain(figures), "subscribers": plain(members)})
            return
        say(days_of(period))
        bars = console().is_terminal
        if not figures.currencies:
            say("no subscription has brought anything yet")
        for each in figures.currencies:
            print_table(waterfall_table(each, bars=bars))
        print_table(subscriber_table(members))
        for odd in figures.unpriced:
            say(f"not priced: {odd.count:,} by {odd.cause}")


def _add_cohorts(app: typer.Typer, reach: Reach) -> None:
    @app.command("cohorts")
    @asks
    def cohorts(
        target: Target,
        account: AccountOption = "",
        zone: ZoneOption = "UTC",
        months: Annotated[
            int,
            typer.Option(
                "--months", min=1, max=MOST_MONTHS, help="How many months, this one the last."
            ),
        ] = 12,
        as_json: JsonOption = False,
    ) -> None:
        """Show which part of the customers of each month still subscribes, month by month.

        A customer belongs to the month of his first recurring revenue, whatever range is shown.
        """
        period = last_months(zone, months, dt.datetime.now(dt.UTC))
        request = pb.ListCohortsRequest(account=account, period=period)
        found = run(_cohorts(reach(target), request), _OF_MONTHS)
        if as_json:
            print_json(found)
            return
        say(days_of(period))
        print_table(cohort_table(found, heat=console().is_terminal))


def last_months(zone: str, months: int, now: dt.datetime) -> period_pb2.Period:
    """The last local months, this one included. Raises typer.BadParameter for no zone."""
    try:
        here: ZoneInfo = zone_of(zone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--zone") from None
    today = now.astimezone(here).date()
    after = today.year * 12 + today.month
    start, end = (
        start_of_date(dt.date(index // 12, index % 12 + 1, 1), here)
        for index in (after - months, after)
    )
    return period_pb2.Period(start_time=timestamp(start), end_time=timestamp(end), time_zone=zone)


def days_of(period: period_pb2.Period) -> str:
    """Of which days figures are."""
    zone = ZoneInfo(period.time_zone)
    first, after = (
        moment.ToDatetime(dt.UTC).astimezone(zone)
        for moment in (period.start_time, period.end_time)
    )
    last = (after - dt.timedelta(microseconds=1)).date()
    return f"{first.date()} to {last}, by the clock of {period.time_zone}"


async def _mrr(
    connect: Connect, account: str, period: period_pb2.Period, currency: str
) -> tuple[pb.Mrr, pb.Subscribers]:
    day = period_pb2.GRANULARITY_DAY
    async with connect(("analytics.read",)) as channel:
        stub: pb_grpc.AnalyticsServiceAsyncStub = pb_grpc.AnalyticsServiceStub(channel)
        figures = await stub.GetMrr(
            pb.GetMrrRequest(account=account, period=period, granularity=day, currency=currency)
        )
        members = await stub.GetSubscribers(
            pb.GetSubscribersRequest(account=account, period=period, granularity=day)
        )
        return figures, members


async def _cohorts(connect: Connect, request: pb.ListCohortsRequest) -> pb.ListCohortsResponse:
    async with connect(("analytics.read",)) as channel:
        stub: pb_grpc.AnalyticsServiceAsyncStub = pb_grpc.AnalyticsServiceStub(channel)
        return await stub.ListCohorts(request)
