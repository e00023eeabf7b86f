"""`billing overview`: what came in, what is left of it, and what became of payments."""

import datetime as dt
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from billing_client.v1 import period_pb2

from domain.periods import start_of_date, zone_of
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import JsonOption, console, print_json, print_table, say
from interfaces.cli.overview_tables import by_bucket, gross_to_net, headline, title
from interfaces.cli.refusals import FLAGS
from interfaces.cli.subscriber_tables import waterfall_table
from interfaces.cli.target import Target, asks
from interfaces.cli.times import timestamp

MOST_DAYS: Final = 3_650

_FLAGS: Final = {
    **FLAGS,
    "period.time_zone": "--zone",
    "period.start_time": "--days",
    "base_total": "--base",
}
"""What the command calls the fields of the API."""


def add_overview(app: typer.Typer, reach: Reach) -> None:
    """Add `overview`."""

    @app.command()
    @asks
    def overview(
        target: Target,
        account: Annotated[
            str,
            typer.Option(
                "--account", help="The account; default: the token's own.", show_default=False
            ),
        ] = "",
        zone: Annotated[
            str,
            typer.Option(
                "--zone",
                metavar="ZONE",
                help="The zone of the account's clock, such as America/New_York.",
            ),
        ] = "UTC",
        days: Annotated[
            int,
            typer.Option(
                "--days",
                min=1,
                max=MOST_DAYS,
                help="How many of the account's days, today the last.",
            ),
        ] = 30,
        currency: Annotated[
            str, typer.Option(help="Only this currency, such as usd.", show_default=False)
        ] = "",
        base: Annotated[
            bool, typer.Option("--base", help="Totals in the base currency, too.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Show what came in, what is left of it, how payments go, and what moved MRR.

        Growth compares with as many days before, of which as much has passed; MRR and subscribers
        with those at the start. What each figure means: docs/metrics.md.
        """  # fmt: skip
        request = pb.GetOverviewRequest(
            account=account,
            period=last_days(zone, days, dt.datetime.now(dt.UTC)),
            granularity=period_pb2.GRANULARITY_DAY,
            currency=currency,
            base_total=base,
        )
        found = run(_overview(reach(target), request), _FLAGS)
        if as_json:
            print_json(found)
            return
        show(found)


def show(overview: pb.Overview) -> None:
    """Print all tables; bars and trends on a terminal alone."""
    bars = console().is_terminal
    say(title(overview))
    for table in (
        headline(overview, bars=bars),
        *gross_to_net(overview, bars=bars),
        *(waterfall_table(part, bars=bars) for part in overview.mrr.currencies),
        *by_bucket(overview, bars=bars),
    ):
        print_table(table)


def last_days(zone: str, days: int, now: dt.datetime) -> period_pb2.Period:
    """The last local days, today included. Raises typer.BadParameter for no zone."""
    try:
        here: ZoneInfo = zone_of(zone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--zone") from None
    tomorrow = now.astimezone(here).date() + dt.timedelta(days=1)
    start, end = (
        start_of_date(date, here) for date in (tomorrow - dt.timedelta(days=days), tomorrow)
    )
    return period_pb2.Period(start_time=timestamp(start), end_time=timestamp(end), time_zone=zone)


async def _overview(connect: Connect, request: pb.GetOverviewRequest) -> pb.Overview:
    async with connect(("analytics.read",)) as channel:
        stub: pb_grpc.AnalyticsServiceAsyncStub = pb_grpc.AnalyticsServiceStub(channel)
        return await stub.GetOverview(request)
