"""`billing products`: what is sold, with its prices, who subscribes to them, what it brought."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeAlias

import typer
from billing_client.v1 import catalog_service_pb2 as pb
from billing_client.v1 import catalog_service_pb2_grpc as pb_grpc
from rich.table import Table
from rich.text import Text

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.output import (
    JsonOption,
    facts_table,
    print_json,
    print_table,
    say,
    table_of,
)
from interfaces.cli.price_words import cost_in_words, counts_in_words
from interfaces.cli.product_revenue import add_revenue
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--account", show_default=False, help="The account to act for; default: the token's own."
    ),
]

_READ: Final = ("catalog.read",)
_FLAGS: Final = {**FLAGS, "id": "PRODUCT", "query": "--search"}


def products_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="List and show products with their prices, and what they brought.",
    )
    _add_list(app, reach)
    _add_show(app, reach)
    add_revenue(app, reach)
    return app


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_products(
        target: Target,
        account: AccountOption = "",
        search: Annotated[
            str, typer.Option(help="Words of the name, or their beginnings.", show_default=False)
        ] = "",
        archived: Annotated[
            bool, typer.Option("--archived", help="Those that are off sale, instead.")
        ] = False,
        limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
        as_json: JsonOption = False,
    ) -> None:
        """List products on sale, the last one made first."""
        page = run(_page(reach(target), account, search, limit, active=not archived), _FLAGS)
        if as_json:
            print_json(page)
            return
        if not page.products:
            say(f"no products for {search}" if search else "no such products")
            return
        table = table_of("product", "name", "price", "subscribers", ids=("product",))
        for details in page.products:
            product = details.product
            prices = [each.price for each in details.prices if each.price.active]
            more = "\n..." if details.more_prices else ""
            name = product.name if product.active else f"{product.name} (archived)"
            table.add_row(
                Text(product.id),
                Text(name),
                Text("\n".join(map(cost_in_words, prices)) + more),
                Text(counts_in_words(details.subscribers)),
            )
        print_table(table)
        if page.next_page_token:
            say("there are more: raise --limit, or --search")


def _add_show(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def show(
        target: Target,
        product: Annotated[str, typer.Argument(help="Id of the product (prod_...).")],
        account: AccountOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Show a product, its prices, and who subscribes to each."""
        details = run(_details(reach(target), account, product), _FLAGS)
        if as_json:
            print_json(details)
            return
        print_table(facts_table(_facts(details)))
        if details.prices:
            print_table(_prices_table(details))
        if details.more_prices:
            say("there are more prices than are shown")


def _facts(details: pb.ProductDetails) -> Iterable[tuple[str, str]]:
    product = details.product
    yield "product", product.id
    yield "name", product.name
    yield "state", "on sale" if product.active else "archived"
    yield "description", product.description
    yield "unit", product.unit_label
    yield "tax code", product.tax_code
    yield "on statements", product.statement_descriptor
    yield "url", product.url
    yield "features", ", ".join(product.marketing_features)
    yield "images", "\n".join(product.images)
    yield "subscribers", counts_in_words(details.subscribers)


def _prices_table(details: pb.ProductDetails) -> Table:
    table = table_of("price", "cost", "state", "lookup key", "subscribers", ids=("price",))
    for each in details.prices:
        price = each.price
        state = "on sale" if price.active else "archived"
        if price.id == details.product.default_price:
            state = "default"
        table.add_row(
            Text(price.id),
            Text(cost_in_words(price)),
            Text(state),
            Text(price.lookup_key),
            Text(counts_in_words(each.subscribers)),
        )
    return table


async def _page(
    connect: Connect, account: str, search: str, limit: int, *, active: bool
) -> pb.ListProductsResponse | pb.SearchProductsResponse:
    async with _stub(connect) as stub:
        if search:
            return await stub.SearchProducts(
                pb.SearchProductsRequest(
                    account=account, query=search, page_size=limit, active=active
                )
            )
        return await stub.ListProducts(
            pb.ListProductsRequest(account=account, page_size=limit, active=active)
        )


async def _details(connect: Connect, account: str, product: str) -> pb.ProductDetails:
    async with _stub(connect) as stub:
        return await stub.GetProduct(pb.GetProductRequest(account=account, id=product))


@asynccontextmanager
async def _stub(connect: Connect) -> AsyncGenerator["pb_grpc.CatalogServiceAsyncStub", None]:
    async with connect(_READ) as channel:
        yield pb_grpc.CatalogServiceStub(channel)
