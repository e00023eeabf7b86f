"""`billing catalogue` against a service in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from billing_client.v1 import money_pb2
from typer.testing import CliRunner
from typing_extensions import override

from interfaces.cli.catalogue import catalogue_app
from interfaces.cli.client import Connect
from interfaces.cli.target import Target


def usd(amount: int) -> money_pb2.Money:
    return money_pb2.Money(amount=amount, currency="usd")


PRODUCTS = (
    pb.StoreProduct(
        price="price_add_on", kind=pb.STORE_PRODUCT_KIND_ONE_OFF, name="Migration",
        unit_amount=usd(1_050), currency="usd", max_quantity=10,
    ),
    pb.StoreProduct(
        price="price_listing", kind=pb.STORE_PRODUCT_KIND_LISTING, name="Listing [b]",
        unit_amount=usd(1_900), interval=pb.STORE_INTERVAL_MONTH, interval_count=1,
        max_quantity=1, has_setup_fee=True,
    ),
    pb.StoreProduct(
        price="price_number", kind=pb.STORE_PRODUCT_KIND_PHONE_NUMBER, name="Number",
        interval=pb.STORE_INTERVAL_MONTH, interval_count=3, max_quantity=1_000,
    ),
)  # fmt: skip


class Store(pb_grpc.CheckoutServiceServicer):
    """A store that shows a product a page; every other page is empty."""

    def __init__(self, products: Sequence[pb.StoreProduct]) -> None:
        self.products = products
        self.accounts: set[str] = set()

    @override
    async def ListStoreProducts(
        self, request: pb.ListStoreProductsRequest, context: Any
    ) -> pb.ListStoreProductsResponse:
        self.accounts.add(request.account)
        half = int(request.page_token or 0)
        last = half + 1 >= 2 * len(self.products)
        return pb.ListStoreProductsResponse(
            products=[] if half % 2 else self.products[half // 2 : half // 2 + 1],
            next_page_token="" if last else str(half + 1),
        )


async def said(*arguments: str, products: Sequence[pb.StoreProduct] = PRODUCTS) -> tuple[str, str]:
    """What the command prints, and what it says beside."""
    server, store = grpc.aio.server(), Store(products)
    pb_grpc.add_CheckoutServiceServicer_to_server(store, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def reach(_: Target) -> Connect:
        @asynccontextmanager
        async def connect(scopes: Sequence[str]) -> AsyncIterator[grpc.aio.Channel]:
            assert tuple(scopes) == ("store.read",)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel

        return connect

    environment = {"COLUMNS": "200", "TERM": "dumb"}
    try:
        result = await asyncio.to_thread(
            CliRunner().invoke, catalogue_app(reach), arguments, env=environment
        )
    finally:
        await server.stop(None)
    assert result.exit_code == 0, result.exception
    assert store.accounts <= {"", "lily"}
    return result.stdout, result.stderr


async def test_what_is_offered_is_listed_with_what_it_costs() -> None:
    text, beside = await said("--account", "lily")
    lines = [line for line in text.splitlines() if "price_" in line]
    assert [word for line in lines for word in line.split() if word.startswith("price_")] == [
        "price_add_on", "price_listing", "price_number",
    ]  # fmt: skip
    assert "10.50 USD" in lines[0]
    assert "Listing [b]" in lines[1]
    assert "19.00 USD a month and a set-up fee" in lines[1]
    assert "by country and kind every 3 months" in lines[2]
    assert "1,000" in lines[2]
    assert beside == ""


async def test_more_than_the_limit_is_told() -> None:
    text, beside = await said("--limit", "2")
    assert text.count("price_") == 2
    assert "there is more: raise --limit" in beside


async def test_where_nothing_is_offered_it_says_so() -> None:
    text, _ = await said(products=())
    assert text.splitlines() == ["the store offers nothing to this account"]


async def test_the_catalogue_as_json() -> None:
    document = json.loads((await said("--json", "--limit", "1"))[0])
    (product,) = document["products"]
    assert (product["price"], product["kind"]) == ("price_add_on", "STORE_PRODUCT_KIND_ONE_OFF")
    assert document["more"] is True
