"""`billing payouts`: what Stripe paid out, what it consists of, and what there is."""

import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import grpc
import typer
from billing_client.v1 import payout_service_pb2 as pb
from billing_client.v1 import payout_service_pb2_grpc as pb_grpc

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import JsonOption, console, print_json, print_table, say
from interfaces.cli.payouts.tables import (
    balance_table,
    details_table,
    payouts_table,
    summary_table,
)
from interfaces.cli.payouts.waterfall import steps_of, waterfall_table
from interfaces.cli.refusals import reason_of
from interfaces.cli.target import Target, asks
from interfaces.cli.times import FORMS, read_instant, shown, timestamp

_SCOPE: Final = "payouts.read"
_NO_SUM: Final = {
    "NOT_RECONCILABLE": "Stripe does not tell what a manual or instant payout consists of",
    "PAYOUT_NOT_RECONCILED": "what it consists of is not known yet; ask again in a while",
}

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--account", help="The account whose payouts these are; default: the token's own.",
        show_default=False,
    ),
]  # fmt: skip


class Status(StrEnum):
    """The statuses of payouts, in Stripe's words."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


def payouts_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="List payouts, show what one consists of, and the balance.",
    )
    _add_list(app, reach)
    _add_show(app, reach)
    _add_balance(app, reach)
    return app


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_payouts(
        target: Target,
        account: AccountOption = "",
        status: Annotated[
            list[Status] | None, typer.Option(help="Only with this status; may be repeated.")
        ] = None,
        automatic: Annotated[
            bool | None,
            typer.Option(
                "--automatic/--manual", help="Only those by schedule, or only others.",
                show_default=False,
            ),
        ] = None,
        currency: Annotated[
            str, typer.Option(help="Only in this currency.", show_default=False)
        ] = "",
        since: Annotated[
            dt.datetime | None,
            typer.Option(
                "--since", parser=read_instant, metavar="TIME", show_default=False,
                help=f"Arriving at or after this time: {FORMS}.",
            ),
        ] = None,
        until: Annotated[
            dt.datetime | None,
            typer.Option(
                "--until", parser=read_instant, metavar="TIME", show_default=False,
                help="Arriving before this time; written as --since.",
            ),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
        as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """List payouts, the latest arrival first."""
        request = pb.ListPayoutsRequest(
            account=account,
            statuses=[*(status or ())],
            automatic=automatic,
            currency=currency,
            arrival_after=timestamp(since),
            arrival_before=timestamp(until),
        )
        page = run(_list(reach(target), request, limit))
        empty = "no such payouts" + (f" of {account}" if account else "")
        more = "there are more payouts: narrow the list, or raise --limit"
        print_list(page, "payouts", payouts_table, empty, more, as_json=as_json)


def _add_show(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def show(
        target: Target,
        payout: Annotated[str, typer.Argument(help="Id of the payout, po_...")],
        account: AccountOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Show one payout, what it consists of, and the way from gross to payout."""
        details, summary, reason = run(_show(reach(target), account, payout))
        if as_json:
            print_json({"details": details, "summary": summary, "no_summary_reason": reason})
            return
        print_table(details_table(details))
        if summary is None:
            say(_NO_SUM[reason])
            return
        print_table(summary_table(summary))
        bars = console().is_terminal
        print_table(waterfall_table(steps_of(summary), summary.currency, bars=bars))


def _add_balance(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def balance(target: Target, account: AccountOption = "", as_json: JsonOption = False) -> None:
        """Show the balance at Stripe, beside what the mirrored transactions add up to."""
        found = run(_balance(reach(target), account))
        if as_json:
            print_json(found)
            return
        print_table(balance_table(found))
        say(f"between {shown(found.read_start_time)} and {shown(found.read_end_time)}")


async def _list(
    connect: Connect, request: pb.ListPayoutsRequest, limit: int
) -> pb.ListPayoutsResponse:
    async with _stub(connect) as stub:
        return await read_list(stub.ListPayouts, request, "payouts", limit)


async def _show(
    connect: Connect, account: str, payout: str
) -> tuple[pb.PayoutDetails, pb.PayoutSummary | None, str]:
    """A payout, and its summary, or else the reason why there is none."""
    async with _stub(connect) as stub:
        details = await stub.GetPayout(pb.GetPayoutRequest(account=account, id=payout))
        try:
            request = pb.SummarizePayoutRequest(account=account, id=payout)
            return details, await stub.SummarizePayout(request), ""
        except grpc.aio.AioRpcError as error:
            if (reason := reason_of(error)) not in _NO_SUM:
                raise
            return details, None, reason


async def _balance(connect: Connect, account: str) -> pb.Balance:
    async with _stub(connect) as stub:
        return await stub.GetBalance(pb.GetBalanceRequest(account=account))


@asynccontextmanager
async def _stub(connect: Connect) -> AsyncGenerator["pb_grpc.PayoutServiceAsyncStub", None]:
    async with connect((_SCOPE,)) as channel:
        yield pb_grpc.PayoutServiceStub(channel)
