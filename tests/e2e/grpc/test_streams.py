"""Methods that reply with a stream pass the same interceptors."""

import asyncio
import datetime as dt
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb

from application.accounts.tenancy import Tenancy
from application.requests.allowances import Allowance
from domain.errors import NotFound
from infrastructure.clock import SystemClock
from infrastructure.security import tokens as tokens_module
from infrastructure.security.tokens import CallerTokens, caller_keys
from infrastructure.telemetry import logs
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.chain import interceptors
from interfaces.grpc.interceptors.draining import Draining
from tests.support.servers.grpc import PATIENCE, SECRET, known_accounts, reason

METHOD = Method(
    "/billing.v1.Test/Watch", "customers.read", True, False, mutates=False, streams=True
)


METHODS = {METHOD.path: METHOD}


class Watching:
    """Gives two customers, then what the request's id asks for. `closed` is set at its end."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def watch(self, request: pb.GetCustomerRequest, _: Context) -> AsyncIterator[pb.Customer]:
        try:
            for n in range(2):
                yield pb.Customer(id=f"{current_caller().account}-{n}")
            match request.id:
                case "missing":
                    raise NotFound("customer", "cus_1")
                case "broken":
                    raise ValueError("Jenny")
                case "endless":
                    await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)
        finally:
            self.closed.set()


@asynccontextmanager
async def watching(
    output: io.StringIO, draining: Draining | None = None
) -> AsyncIterator[tuple[grpc.aio.Channel, Watching, Any]]:
    """A channel, what serves it, and metadata that opens it."""
    lines = logs.configure(stream=output)
    tokens = CallerTokens(caller_keys([f"crm:{SECRET}"]), SystemClock())
    server = grpc.aio.server(
        interceptors=interceptors(
            METHODS,
            tokens,
            Tenancy(known_accounts()),
            draining or Draining(METHODS),
            max_calls=10,
            default_seconds=0.05,
        )
    )
    servicer = Watching()
    handler = grpc.unary_stream_rpc_method_handler(
        servicer.watch, pb.GetCustomerRequest.FromString, pb.Customer.SerializeToString
    )
    unlisted = grpc.unary_unary_rpc_method_handler(lambda request, _: request, bytes, bytes)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "billing.v1.Test", {"Watch": handler, "Unlisted": unlisted}
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    token = tokens.issue("crm", "acme", ["customers.read"], dt.timedelta(hours=1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, servicer, (("authorization", f"Bearer {token}"),)
    await server.stop(0)
    lines.close()


def opened(channel: grpc.aio.Channel, what: str, metadata: Any, account: str = "") -> Any:
    """A call of the method."""
    stub: Any = channel.unary_stream(
        METHOD.path, pb.GetCustomerRequest.SerializeToString, pb.Customer.FromString
    )
    return stub(pb.GetCustomerRequest(id=what, account=account), metadata=metadata)


async def test_a_stream_is_given_whole_and_without_the_bound_of_single_replies() -> None:
    output = io.StringIO()
    async with watching(output) as (channel, servicer, metadata):
        got = [reply.id async for reply in opened(channel, "", metadata, "acme-west")]
        assert servicer.closed.is_set()
    assert got == ["acme-west-0", "acme-west-1"]
    assert '"code":"OK"' in output.getvalue()
    assert output.getvalue().count('"call"') == 1


@pytest.mark.parametrize(("what", "expected"), [("missing", "NOT_FOUND"), ("broken", "INTERNAL")])
async def test_a_stream_that_fails_midway_ends_with_a_status(what: str, expected: str) -> None:
    output = io.StringIO()
    async with watching(output) as (channel, _, metadata):
        call = opened(channel, what, metadata)
        got = [(await call.read()).id, (await call.read()).id]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    assert got == ["acme-0", "acme-1"]
    assert reason(raised.value) == expected
    assert "Jenny" not in output.getvalue()
    assert "Jenny" not in str(raised.value)


async def test_a_stream_is_closed_to_strangers() -> None:
    async with watching(io.StringIO()) as (channel, servicer, _):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await opened(channel, "", ()).read()
        assert not servicer.closed.is_set()
    assert reason(raised.value) == "TOKEN_MISSING"


async def test_a_stream_whose_reader_leaves_is_closed() -> None:
    output = io.StringIO()
    async with watching(output) as (channel, servicer, metadata):
        call = opened(channel, "endless", metadata)
        await call.read()
        call.cancel()
        await asyncio.wait_for(servicer.closed.wait(), PATIENCE)
    assert '"code":"CANCELLED"' in output.getvalue()


async def test_a_stream_that_is_cut_says_why() -> None:
    draining = Draining(METHODS)
    async with watching(io.StringIO(), draining) as (channel, servicer, metadata):
        call = opened(channel, "endless", metadata)
        await call.read()
        await call.read()
        draining.begin()
        draining.cut()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        await asyncio.wait_for(draining.drained(), PATIENCE)
        assert servicer.closed.is_set()
    assert reason(raised.value) == "SHUTTING_DOWN"


async def test_a_method_that_no_descriptor_authorises_is_not_served() -> None:
    async with watching(io.StringIO()) as (channel, _, metadata):
        stub: Any = channel.unary_unary("/billing.v1.Test/Unlisted")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(b"x", metadata=metadata)
    assert reason(raised.value) == "UNKNOWN_METHOD"


async def test_a_caller_holds_as_many_streams_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_ALLOWANCE", Allowance(streams=1))
    async with watching(io.StringIO()) as (channel, servicer, metadata):
        first = opened(channel, "endless", metadata)
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await opened(channel, "", metadata).read()
        assert reason(refused.value) == "CALLER_LIMITED"
        first.cancel()
        await asyncio.wait_for(servicer.closed.wait(), PATIENCE)
        replies = [reply.id async for reply in opened(channel, "", metadata)]
    assert len(replies) == 2
