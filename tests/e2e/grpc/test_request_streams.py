"""A stream of requests: the first says who calls, each has its time, and every refusal a reason."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb

from application.accounts.tenancy import Tenancy
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens, caller_keys
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.chain import interceptors
from interfaces.grpc.interceptors.draining import Draining
from tests.support.servers.grpc import SECRET, known_accounts, reason, refusal

METHOD: Final = Method(
    "/billing.v1.Test/Send", "customers.read",
    sub_accounts=True, operators=False, mutates=False, streams=False,
)  # fmt: skip
METHODS: Final = {METHOD.path: METHOD}


async def joined(requests: Any, _: Context) -> pb.Customer:
    """The account that is acted for, and all ids that came."""
    ids = [request.id async for request in requests]
    return pb.Customer(id=current_caller().account, name=" ".join(ids))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[grpc.aio.Channel, Any]]:
    tokens = CallerTokens(caller_keys([f"crm:{SECRET}"]), SystemClock())
    server = grpc.aio.server(
        interceptors=interceptors(
            METHODS, tokens, Tenancy(known_accounts()), Draining(METHODS),
            max_calls=10, default_seconds=20, stall_seconds=0.1,
        )
    )  # fmt: skip
    handler = grpc.stream_unary_rpc_method_handler(
        joined, pb.GetCustomerRequest.FromString, pb.Customer.SerializeToString
    )
    handlers = grpc.method_handlers_generic_handler("billing.v1.Test", {"Send": handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    token = tokens.issue("crm", "acme", ["customers.read"], dt.timedelta(hours=1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, (("authorization", f"Bearer {token}"),)
    await server.stop(0)


def opened(channel: grpc.aio.Channel, metadata: Any) -> Any:
    stub: Any = channel.stream_unary(METHOD.path, None, pb.Customer.FromString)
    return stub(metadata=metadata, timeout=10)


def request(id_: str, account: str = "") -> bytes:
    return pb.GetCustomerRequest(id=id_, account=account).SerializeToString()


async def test_the_first_says_for_whom_and_all_come_in_order() -> None:
    async with served() as (channel, metadata):
        call = opened(channel, metadata)
        for sent in (request("a", "acme"), request("b"), request("c")):
            await call.write(sent)
        await call.done_writing()
        reply = await call
    assert (reply.id, reply.name) == ("acme", "a b c")


async def test_another_account_is_not_found_though_more_is_sent() -> None:
    async with served() as (channel, metadata):
        call = opened(channel, metadata)
        await call.write(request("a", "nobody"))
        assert reason(await refusal(call)) == "NOT_FOUND"


@pytest.mark.parametrize(("begins", "wanted"), [(0, "NOT_STARTED"), (1, "STALLED")])
async def test_one_that_stops_is_refused_in_time(begins: int, wanted: str) -> None:
    async with served() as (channel, metadata):
        call = opened(channel, metadata)
        for _ in range(begins):
            await call.write(request("a"))
        got = await asyncio.wait_for(refusal(call), 5)
    assert (got.code(), reason(got)) == (grpc.StatusCode.INVALID_ARGUMENT, f"UPLOAD_{wanted}")


async def test_one_that_ends_at_once_never_started() -> None:
    async with served() as (channel, metadata):
        call = opened(channel, metadata)
        await call.done_writing()
        assert reason(await refusal(call)) == "UPLOAD_NOT_STARTED"


async def test_bytes_that_are_no_message_are_refused_wherever_they_stand() -> None:
    async with served() as (channel, metadata):
        call = opened(channel, metadata)
        await call.write(request("a"))
        await call.write(b"\xff")
        assert reason(await refusal(call)) == "INVALID_FIELDS"
