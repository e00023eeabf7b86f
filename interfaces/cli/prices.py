"""`billing prices`: a price is replaced by one that follows it."""

from typing import Annotated, Final
from uuid import uuid4

import typer
from billing_client.v1 import catalog_service_pb2 as pb
from billing_client.v1 import catalog_service_pb2_grpc as pb_grpc

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import JsonOption, facts_table, print_json, print_table, say
from interfaces.cli.price_words import cost_in_words, counts_in_words
from interfaces.cli.products import AccountOption
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks

_WRITE: Final = ("catalog.write",)
_FLAGS: Final = {
    **FLAGS, "id": "PRICE", "price.unit_amount": "--unit-amount",
    "price.unit_amount_decimal": "--unit-amount-decimal", "price.currency": "--currency",
    "price.recurring.interval": "--interval", "price.recurring.interval_count": "--interval-count",
    "price.nickname": "--nickname", "replace_mask": "the new price",
}  # fmt: skip


def prices_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, help="Replace a price by one that follows it."
    )

    @app.callback()
    def prices() -> None:
        """Replace a price by one that follows it."""

    _add_replace(app, reach)
    return app


def _add_replace(app: typer.Typer, reach: Reach) -> None:
    @app.command("replace")
    @asks
    def replace_price(
        target: Target,
        price: Annotated[str, typer.Argument(help="Id of the price to replace (price_...).")],
        account: AccountOption = "",
        unit_amount: Annotated[
            int | None,
            typer.Option(min=0, help="In minor units: 900 is 9.00 USD.", show_default=False),
        ] = None,
        unit_amount_decimal: Annotated[
            str, typer.Option(help="The same as an exact decimal.", show_default=False)
        ] = "",
        currency: Annotated[
            str, typer.Option(help="ISO 4217, lower-case, such as eur.", show_default=False)
        ] = "",
        interval: Annotated[
            str, typer.Option(help="day, week, month or year.", show_default=False)
        ] = "",
        interval_count: Annotated[
            int, typer.Option(min=1, help="How many intervals a period has; with --interval.")
        ] = 1,
        nickname: Annotated[
            str, typer.Option(help="What you call it yourself.", show_default=False)
        ] = "",
        request_id: Annotated[
            str,
            typer.Option(help="The same for each try of one change.", show_default=False),
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Make a price like this one but for what is given, and archive this one.

        The lookup key moves along, and so does being the default. Subscriptions stay on the old
        price.
        """
        wanted = pb.NewPrice(
            unit_amount=unit_amount,
            unit_amount_decimal=unit_amount_decimal,
            currency=currency,
            nickname=nickname,
        )
        if interval:
            wanted.recurring.interval = interval
            wanted.recurring.interval_count = interval_count
        request = pb.ReplacePriceRequest(
            account=account, id=price, price=wanted, request_id=request_id or uuid4().hex
        )
        reply = run(_replaced(reach(target), request), _FLAGS)
        if as_json:
            print_json(reply)
            return
        _print(reply)


def _print(reply: pb.ReplacePriceResponse) -> None:
    old, new = reply.replaced_price, reply.price
    facts = (
        ("new price", new.id),
        ("costs", cost_in_words(new)),
        ("lookup key", f"{new.lookup_key} (from the old price)" if new.lookup_key else ""),
        ("default", "yes, as the old price was" if reply.is_default else "no"),
        ("old price", f"{old.id} (archived)"),
        ("cost", cost_in_words(old)),
        ("stay on it", counts_in_words(reply.subscribers)),
    )
    print_table(facts_table(facts))
    say("subscriptions stay on the old price until each is moved")


async def _replaced(connect: Connect, request: pb.ReplacePriceRequest) -> pb.ReplacePriceResponse:
    async with connect(_WRITE) as channel:
        stub: pb_grpc.CatalogServiceAsyncStub = pb_grpc.CatalogServiceStub(channel)
        return await stub.ReplacePrice(request)
