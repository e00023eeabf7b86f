"""`billing restatements`: what has changed figures of a time that was closed."""

from fractions import Fraction
from typing import Annotated, Final

import typer
from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from rich.table import Table

from domain.money import Money
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import JsonOption, plain, print_json, print_table, say, table_of
from interfaces.cli.target import Target, asks
from interfaces.cli.times import shown

_PAGE: Final = 100
_MOST: Final = 10_000

_CAUSES: Final = {
    pb.RESTATEMENT_CAUSE_LATE: "late",
    pb.RESTATEMENT_CAUSE_CHANGED: "changed",
    pb.RESTATEMENT_CAUSE_REMOVED: "removed",
}


def restatements_app(reach: Reach) -> typer.Typer:
    """The command, on the service that `reach` leads to."""
    app = typer.Typer(add_completion=False)

    @app.command("restatements")
    @asks
    def restatements(
        target: Target,
        account: Annotated[
            str, typer.Option("--account", help="The account whose figures these are.")
        ] = "",
        series: Annotated[
            str,
            typer.Option(
                metavar="SERIES",
                help="Facts of a series, such as mrr or revenue_line; default: the ledger.",
                show_default=False,
            ),
        ] = "",
        limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 100,
        as_json: JsonOption = False,
    ) -> None:
        """List what changed figures of a closed time, the last known first."""
        page = run(_list(reach(target), account, series, limit))
        if as_json:
            document = plain(page)
            document["more"] = bool(document.pop("next_page_token"))
            print_json(document)
            return
        closed = page.trust.closed_through
        until = shown(closed) if page.trust.HasField("closed_through") else "nothing yet"
        say(f"closed through: {until}")
        if not (page.restatements or page.facts):
            say("nothing was restated")
            return
        print_table(_facts_table(page) if series else _table(page))
        if page.next_page_token:
            typer.echo("there are more restatements: raise --limit", err=True)

    return app


def _table(page: pb.ListRestatementsResponse) -> Table:
    table = table_of("known", "transaction", "why", "before", "after", ids=("transaction",))
    for each in page.restatements:
        table.add_row(
            shown(each.known_time),
            each.balance_transaction,
            _CAUSES.get(each.cause, "changed"),
            _words(each.before) if each.HasField("before") else "",
            _words(each.after) if each.HasField("after") else "",
        )
    return table


def _facts_table(page: pb.ListRestatementsResponse) -> Table:
    table = table_of(
        "known", "at", "subject", "what", ids=("subject",), numbers=("amount", "count")
    )
    for each in page.facts:
        amount = ""
        if each.HasField("amount"):
            whole = round(Fraction(each.amount.ten_thousandths, 10_000))
            amount = Money(whole, each.amount.currency).formatted()
        what = f"{each.kind}, {each.cause}" if each.cause else each.kind
        table.add_row(
            shown(each.known_time), shown(each.time), each.subject, what, amount, f"{each.count:+}"
        )
    return table


def _words(entry: pb.LedgerEntry) -> str:
    """What a transaction counts as, in a line."""
    amount, fee = (
        Money(money.amount, money.currency).formatted() for money in (entry.amount, entry.fee)
    )
    category = entry.reporting_category or "no category"
    return f"{amount}, fee {fee}, {category}, {shown(entry.create_time)}"


async def _list(
    connect: Connect, account: str, series: str, limit: int
) -> pb.ListRestatementsResponse:
    """Up to `limit` restatements, page by page; the token says whether there are more."""
    listed = pb.ListRestatementsResponse()
    async with connect(("analytics.read",)) as channel:
        stub: pb_grpc.AnalyticsServiceAsyncStub = pb_grpc.AnalyticsServiceStub(channel)
        while (count := len(listed.restatements) + len(listed.facts)) < limit:
            request = pb.ListRestatementsRequest(
                account=account,
                page_size=min(_PAGE, limit - count),
                series=series,
                page_token=listed.next_page_token,
            )
            page = await stub.ListRestatements(request)
            listed.next_page_token = page.next_page_token
            listed.trust.CopyFrom(page.trust)
            listed.restatements.extend(page.restatements)
            listed.facts.extend(page.facts)
            if not page.next_page_token:
                break
    return listed
