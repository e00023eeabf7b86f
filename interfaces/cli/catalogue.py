"""`billing catalogue`: what the platform's store offers to an account, at what the account pays."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import JsonOption, table_of
from interfaces.cli.products import AccountOption
from interfaces.cli.target import Target, asks

_PAGE: Final = 100
_MOST: Final = 10_000

_KINDS: Final = {
    pb.STORE_PRODUCT_KIND_ONE_OFF: "one-off",
    pb.STORE_PRODUCT_KIND_PHONE_NUMBER: "phone number",
    pb.STORE_PRODUCT_KIND_LISTING: "listing",
    pb.STORE_PRODUCT_KIND_SUBSCRIPTION: "subscription",
}
_INTERVALS: Final = {
    pb.STORE_INTERVAL_DAY: "day",
    pb.STORE_INTERVAL_WEEK: "week",
    pb.STORE_INTERVAL_MONTH: "month",
    pb.STORE_INTERVAL_YEAR: "year",
}


def catalogue_app(reach: Reach) -> typer.Typer:
    """The command, on the service that `reach` leads to."""
    app = typer.Typer(add_completion=False)

    @app.command("catalogue")
    @asks
    def catalogue(
        target: Target,
        account: AccountOption = "",
        limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 100,
        as_json: JsonOption = False,
    ) -> None:
        """List what the store offers to an account, at what the account pays."""
        page = run(_list(reach(target), account, limit))
        empty = "the store offers nothing to this account"
        more = "there is more: raise --limit"
        print_list(page, "products", _table, empty, more, as_json=as_json)

    return app


def _table(products: Iterable[pb.StoreProduct]) -> Table:
    table = table_of("price", "kind", "name", "costs", ids=("price",), numbers=("at most",))
    for product in products:
        table.add_row(
            Text(product.price),
            _KINDS.get(product.kind, "other"),
            Text(product.name),
            _costs(product),
            f"{product.max_quantity:,}",
        )
    return table


def _costs(product: pb.StoreProduct) -> str:
    """What one costs: `10.50 USD`, `19.00 USD a month and a set-up fee`."""
    amount = "by country and kind"
    if product.HasField("unit_amount"):
        unit = product.unit_amount
        amount = Money(unit.amount, unit.currency).formatted()
    fee = " and a set-up fee" if product.has_setup_fee else ""
    return f"{amount}{_period(product)}{fee}"


def _period(product: pb.StoreProduct) -> str:
    interval = _INTERVALS.get(product.interval)
    if interval is None:
        return ""
    if product.interval_count == 1:
        return f" a {interval}"
    return f" every {product.interval_count:,} {interval}s"


async def _list(connect: Connect, account: str, limit: int) -> pb.ListStoreProductsResponse:
    async with connect(("store.read",)) as channel:
        stub: pb_grpc.CheckoutServiceAsyncStub = pb_grpc.CheckoutServiceStub(channel)
        request = pb.ListStoreProductsRequest(account=account)
        return await read_list(stub.ListStoreProducts, request, "products", limit)
