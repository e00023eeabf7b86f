"""`billing products revenue`: what each product brought."""

import datetime as dt
from typing import Annotated, Final

import typer
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from billing_client.v1 import subscriber_figures_pb2 as pb

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import JsonOption, print_json, print_table, say
from interfaces.cli.overview import last_days
from interfaces.cli.subscriber_tables import product_table
from interfaces.cli.subscribers import (
    OPTIONS,
    AccountOption,
    CurrencyOption,
    DaysOption,
    ZoneOption,
    days_of,
)
from interfaces.cli.target import Target, asks

_OPTIONS: Final = {**OPTIONS, "max_products": "--limit"}


def add_revenue(app: typer.Typer, reach: Reach) -> None:
    """Add `revenue`."""

    @app.command("revenue")
    @asks
    def revenue(
        target: Target,
        account: AccountOption = "",
        zone: ZoneOption = "UTC",
        days: DaysOption = 30,
        currency: CurrencyOption = "",
        limit: Annotated[
            int, typer.Option(min=1, max=1_000, help="How many products by themselves, at most.")
        ] = 20,
        as_json: JsonOption = False,
    ) -> None:
        """Show what each product brought; the rows of a currency add up to its gross volume."""
        request = pb.ListProductRevenueRequest(
            account=account,
            period=last_days(zone, days, dt.datetime.now(dt.UTC)),
            currency=currency,
            max_products=limit,
        )
        found = run(_revenue(reach(target), request), _OPTIONS)
        if as_json:
            print_json(found)
            return
        say(days_of(request.period))
        if not found.currencies:
            say("nothing was captured")
        for each in found.currencies:
            print_table(product_table(each))


async def _revenue(
    connect: Connect, request: pb.ListProductRevenueRequest
) -> pb.ListProductRevenueResponse:
    async with connect(("analytics.read",)) as channel:
        stub: pb_grpc.AnalyticsServiceAsyncStub = pb_grpc.AnalyticsServiceStub(channel)
        return await stub.ListProductRevenue(request)
