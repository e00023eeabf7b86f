"""`billing checkouts`: what was bought, how far it is, and what people decide about it."""

import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import typer
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from billing_client.v1 import money_pb2
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import (
    JsonOption,
    facts_table,
    print_json,
    print_table,
    table_of,
)
from interfaces.cli.products import AccountOption
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks
from interfaces.cli.times import shown

_PAGE: Final = 100
_MOST: Final = 10_000

_READ: Final = "checkout.read"
_WRITE: Final = "checkout.write"
_FLAGS: Final = {
    **FLAGS, "id": "CHECKOUT", "resolution": "RESOLUTION", "reason": "--reason",
    "request_id": "--request-id",
}  # fmt: skip

CheckoutArgument: TypeAlias = Annotated[str, typer.Argument(help="Id of the checkout.")]


class Decision(StrEnum):
    """What is to become of a checkout that needs attention."""

    RETRY = "retry"
    CLOSE = "close"


def checkouts_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="List checkouts, show one with its time line, and decide about it.",
    )
    _add_list(app, reach)
    _add_show(app, reach)
    _add_resolve(app, reach)
    return app


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_checkouts(
        target: Target,
        account: AccountOption = "",
        attention: Annotated[
            bool,
            typer.Option(
                "--attention", help="Only those that people have to look at.", show_default=False
            ),
        ] = False,
        limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 50,
        as_json: JsonOption = False,
    ) -> None:
        """List an account's checkouts, newest first; with --attention those of all accounts."""
        page = run(_list(reach(target), account, limit, attention=attention), _FLAGS)
        empty = "no checkout needs attention" if attention else "nothing was bought"
        more = "there are more checkouts: raise --limit"
        print_list(page, "checkouts", _table, empty, more, as_json=as_json)


def _add_show(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def show(
        target: Target, checkout: CheckoutArgument, account: AccountOption = "",
        as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """Show a checkout and the steps that it took; never its secret."""
        request = pb.GetCheckoutRequest(account=account, id=checkout)
        _show(run(_get(reach(target), request), _FLAGS), as_json=as_json)


def _add_resolve(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def resolve(
        target: Target,
        checkout: CheckoutArgument,
        resolution: Annotated[
            Decision, typer.Argument(help="Try it again, or close it as it stands.")
        ],
        reason: Annotated[str, typer.Option(help="Why, for people.")],
        account: AccountOption = "",
        request_id: Annotated[
            str,
            typer.Option(
                help="Give the same one to a repeat, so that it happens once.",
                show_default=False,
            ),
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Decide about a checkout that needs attention. Only operators may."""
        request = pb.ResolveCheckoutRequest(
            account=account,
            id=checkout,
            resolution=pb.CheckoutResolution.Value(f"CHECKOUT_RESOLUTION_{resolution.name}"),
            reason=reason,
            request_id=request_id or uuid.uuid4().hex,
        )
        _show(run(_resolve(reach(target), request), _FLAGS), as_json=as_json)


def _show(checkout: pb.Checkout, *, as_json: bool) -> None:
    checkout.client_secret = ""
    if as_json:
        print_json(checkout)
        return
    print_table(_details(checkout))
    print_table(_time_line(checkout))


def _table(checkouts: Iterable[pb.Checkout]) -> Table:
    table = table_of("checkout", "state", "buyer", "bought", ids=("checkout",), numbers=("total",))
    for checkout in checkouts:
        item = checkout.item
        table.add_row(
            Text(checkout.id),
            Text(_state(checkout)),
            Text(checkout.buyer),
            Text(f"{item.quantity:,} x {item.price}, {shown(checkout.create_time)}"),
            _money(checkout.total),
        )
    return table


def _details(checkout: pb.Checkout) -> Table:
    item, view = checkout.item, checkout.sellers_view
    costs = checkout.HasField("sellers_view")
    return facts_table(
        [
            ("checkout", checkout.id),
            ("state", _state(checkout)),
            ("attention", checkout.attention),
            ("buyer", checkout.buyer),
            ("seller", checkout.seller or "the platform"),
            ("item", f"{item.quantity:,} x {item.price}"),
            ("numbers", item.country),
            ("total", _money(checkout.total)),
            ("each period", _money(checkout.renewal) if checkout.HasField("renewal") else ""),
            ("paid until", shown(checkout.period_end) if checkout.HasField("period_end") else ""),
            ("refunded", _money(checkout.refunded) if checkout.refunded.amount else ""),
            ("cost", f"{_money(view.cost)}, by {view.paid_by}" if costs else ""),
            ("multiplier", view.multiplier),
            ("rate", view.rate),
            ("Stripe account", checkout.stripe_account),
            ("customer", checkout.customer),
            ("payment method", checkout.payment_method),
            ("payment", checkout.payment_intent),
            ("subscription", checkout.subscription),
            ("decline", checkout.decline_code),
            ("asked for by", checkout.actor),
        ]
    )


def _time_line(checkout: pb.Checkout) -> Table:
    """A row a step, oldest first."""
    table = table_of("time", "came to", "why", ids=("time",))
    for step in checkout.steps:
        table.add_row(shown(step.time), Text(step.state.replace("_", " ")), Text(step.reason))
    return table


def _state(checkout: pb.Checkout) -> str:
    name = pb.CheckoutState.Name(checkout.state).removeprefix("CHECKOUT_STATE_")
    return "closed" if name == "UNSPECIFIED" else name.lower().replace("_", " ")


def _money(amount: money_pb2.Money) -> str:
    return Money(amount.amount, amount.currency).formatted()


async def _list(
    connect: Connect, account: str, limit: int, *, attention: bool
) -> pb.ListCheckoutsResponse:
    async with _stub(connect, _READ) as stub:
        request = pb.ListCheckoutsRequest(account=account, needs_attention=attention)
        return await read_list(stub.ListCheckouts, request, "checkouts", limit)


async def _get(connect: Connect, request: pb.GetCheckoutRequest) -> pb.Checkout:
    async with _stub(connect, _READ) as stub:
        return await stub.GetCheckout(request)


async def _resolve(connect: Connect, request: pb.ResolveCheckoutRequest) -> pb.Checkout:
    async with _stub(connect, _WRITE) as stub:
        return await stub.ResolveCheckout(request)


@asynccontextmanager
async def _stub(
    connect: Connect, scope: str
) -> AsyncGenerator["pb_grpc.CheckoutServiceAsyncStub", None]:
    async with connect((scope,)) as channel:
        yield pb_grpc.CheckoutServiceStub(channel)
