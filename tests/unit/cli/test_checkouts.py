"""`billing checkouts` against a service in this process."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from billing_client.v1 import money_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner
from typing_extensions import override

from interfaces.cli.checkouts import checkouts_app
from interfaces.cli.client import Connect
from interfaces.cli.target import Target

NOON = Timestamp(seconds=int(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()))
USD = money_pb2.Money(amount=3_300, currency="usd")
CHECKOUT = pb.Checkout(
    id="checkout_1", state=pb.CHECKOUT_STATE_NEEDS_ATTENTION, buyer="lily", seller="acme",
    item=pb.CartItem(price="price_[b]", quantity=2), total=USD, renewal=USD,
    attention="NOT_AS_ASKED", client_secret="pi_1_secret_2", create_time=NOON,
    steps=[
        pb.CheckoutStep(state="priced", time=NOON),
        pb.CheckoutStep(state="needs_attention", reason="NOT_AS_ASKED", time=NOON),
    ],
    sellers_view=pb.SellersView(
        cost=money_pb2.Money(amount=2_200, currency="usd"), paid_by="wallet", multiplier="1.5"
    ),
)  # fmt: skip


class Sales(pb_grpc.CheckoutServiceServicer):
    """So many checkouts, one a page; every other page is empty."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[Any] = []

    @override
    async def ListCheckouts(
        self, request: pb.ListCheckoutsRequest, context: Any
    ) -> pb.ListCheckoutsResponse:
        self.asked.append(request)
        half = int(request.page_token or 0)
        last = half + 1 >= 2 * self.count
        shows = bool(self.count) and not half % 2
        return pb.ListCheckoutsResponse(
            checkouts=[CHECKOUT] if shows else [], next_page_token="" if last else str(half + 1)
        )

    @override
    async def GetCheckout(self, request: pb.GetCheckoutRequest, context: Any) -> pb.Checkout:
        self.asked.append(request)
        return CHECKOUT

    @override
    async def ResolveCheckout(
        self, request: pb.ResolveCheckoutRequest, context: Any
    ) -> pb.Checkout:
        self.asked.append(request)
        return CHECKOUT


async def said(*arguments: str, count: int = 3) -> tuple[str, str, list[Any]]:
    """What the command prints, what it says beside, and what it asks."""
    server = grpc.aio.server()
    sales = Sales(count)  # type: ignore[abstract]  # the others are not asked for
    pb_grpc.add_CheckoutServiceServicer_to_server(sales, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    scope = "checkout.write" if arguments[0] == "resolve" else "checkout.read"

    def reach(_: Target) -> Connect:
        @asynccontextmanager
        async def connect(scopes: Sequence[str]) -> AsyncIterator[grpc.aio.Channel]:
            assert tuple(scopes) == (scope,)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel

        return connect

    environment = {"COLUMNS": "200", "TERM": "dumb"}
    try:
        result = await asyncio.to_thread(
            CliRunner().invoke, checkouts_app(reach), arguments, env=environment
        )
    finally:
        await server.stop(None)
    assert result.exit_code == 0, result.exception
    return result.stdout, result.stderr, sales.asked


async def test_checkouts_are_listed() -> None:
    text, beside, asked = await said("list", "--account", "lily")
    assert text.count("checkout_1") == 3
    for word in ("needs attention", "2 x price_[b]", "33.00 USD", "2026-03-01"):
        assert word in text
    assert (beside, asked[0].account, asked[0].needs_attention) == ("", "lily", False)


async def test_more_than_the_limit_is_told() -> None:
    text, beside, asked = await said("list", "--attention", "--limit", "1")
    assert text.count("checkout_1") == 1
    assert "raise --limit" in beside
    assert asked[0].needs_attention


async def test_where_there_is_none_it_says_so() -> None:
    assert (await said("list", count=0))[0] == "nothing was bought\n"
    assert (await said("list", "--attention", count=0))[0] == "no checkout needs attention\n"


async def test_one_is_shown_with_its_time_line_and_without_its_secret() -> None:
    text, _, (asked,) = await said("show", "checkout_1")
    for word in ("22.00 USD, by wallet", "each period", "priced", "came to", "NOT_AS_ASKED"):
        assert word in text
    assert "secret" not in text
    assert asked.id == "checkout_1"
    document = json.loads((await said("show", "checkout_1", "--json"))[0])
    assert (document["id"], document["client_secret"]) == ("checkout_1", "")
    assert [step["state"] for step in document["steps"]] == ["priced", "needs_attention"]


async def test_an_operator_decides() -> None:
    text, _, (asked,) = await said("resolve", "checkout_1", "close", "--reason", "settled by hand")
    assert "checkout_1" in text
    assert (asked.id, asked.resolution, asked.reason) == (
        "checkout_1", pb.CHECKOUT_RESOLUTION_CLOSE, "settled by hand",
    )  # fmt: skip
    assert len(asked.request_id) == 32
    _, _, (asked,) = await said(
        "resolve", "checkout_1", "retry", "--reason", "once more", "--request-id", "r-1",
        "--account", "lily", "--json",
    )  # fmt: skip
    assert (asked.account, asked.resolution, asked.request_id) == (
        "lily", pb.CHECKOUT_RESOLUTION_RETRY, "r-1",
    )  # fmt: skip
