"""A request is read once it is settled who calls; whatever it is, the answer has a reason."""

import asyncio
from typing import Any

import grpc
import pytest
from billing_client.v1 import customer_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.grpc.held import GET, JENNY
from tests.fuzz.noise import counted_noise
from tests.support.servers.grpc import PATIENCE, Running, reason, refusal, running_server

PATH = "/billing.v1.CustomerService/GetCustomer"
NO_PROTOBUF = (b"\xff", b"\x0a\x7f", b"\x0a\x02\xc3\x28", b"\x0b" * 200, b"\x00")


def own_channel(running: Running) -> grpc.aio.Channel:
    """A channel whose connection is no other one's."""
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{running.port}", options=[("grpc.use_local_subchannel_pool", 1)]
    )


def begun(channel: grpc.aio.Channel, metadata: Any = (), path: str = PATH, **options: Any) -> Any:
    """A call whose request has not been sent yet."""
    return channel.stream_unary(path)(metadata=metadata, **options)


@pytest.mark.parametrize("data", NO_PROTOBUF)
async def test_bytes_that_are_no_protobuf_are_refused_with_a_reason(
    running: Running, data: bytes
) -> None:
    with counted_noise() as noise:
        for method in running.server._methods.values():
            if method.open:
                continue
            call: Any = running.channel.unary_unary(method.path)
            got = await refusal(call(data, metadata=running.metadata()))
            assert (got.code(), reason(got)) == (
                grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS",
            ), method.path  # fmt: skip
            assert got.details() == "request: is not a protobuf message of the method's type"
    assert not noise.take()


@pytest.mark.parametrize("data", NO_PROTOBUF)
async def test_a_stranger_hears_no_more_than_that_he_is_one(running: Running, data: bytes) -> None:
    call: Any = running.channel.unary_unary(PATH)
    got = await refusal(call(data))
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_health_refuses_them_too(running: Running) -> None:
    call: Any = running.channel.unary_unary("/grpc.health.v1.Health/Check")
    got = await refusal(call(b"\xff"))
    assert reason(got) == "INVALID_FIELDS"


async def test_reflection_refuses_them_too() -> None:
    async with running_server(reflection=True) as running:
        with counted_noise() as noise:
            path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            call: Any = running.channel.stream_stream(path)(iter([b"\xff"]))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
        assert "unforeseen" not in running.output.getvalue()
    assert reason(refused.value) == "INVALID_FIELDS"
    assert not noise.take()


async def test_a_call_without_a_request_is_refused(running: Running) -> None:
    call = begun(running.channel, running.metadata())
    await call.done_writing()
    got = await refusal(call)
    assert (got.code(), reason(got)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_a_stranger_is_refused_before_he_has_sent_anything(running: Running) -> None:
    got = await asyncio.wait_for(refusal(begun(running.channel)), PATIENCE)
    assert reason(got) == "TOKEN_MISSING"


@pytest.mark.parametrize("path", [PATH, "/billing.v1.CustomerService/DeleteCustomer"])
async def test_a_request_that_does_not_come_is_not_waited_for_longer_than_a_call_may_take(
    path: str,
) -> None:
    async with running_server(default_seconds=0.1) as running:
        got = await asyncio.wait_for(
            refusal(begun(running.channel, running.metadata(), path)), PATIENCE
        )
    assert (got.code(), reason(got)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_a_caller_who_leaves_before_his_request_is_no_defect(running: Running) -> None:
    with counted_noise() as noise:
        call = begun(running.channel, running.metadata())
        health = health_pb2_grpc.HealthStub(running.channel)
        await health.Check(health_pb2.HealthCheckRequest())  # what was sent before has arrived
        call.cancel()
        (line,) = await running.log()
    assert line["code"] in ("CANCELLED", "INVALID_ARGUMENT")
    assert not noise.take()


async def test_strangers_who_begin_thousands_of_calls_keep_nobody_out() -> None:
    async with running_server(max_calls=20) as running:
        running.customers.get.side_effect = TimeoutError  # whoever gets so far was let in
        async with own_channel(running) as strange:
            calls = [begun(strange) for _ in range(4_000)]
            stub = running.customer_stub
            for _ in range(20):
                got = await refusal(stub.GetCustomer(GET, metadata=running.metadata()))
                assert reason(got) == "INTERNAL"
            refused = await asyncio.gather(*map(refusal, calls))
    assert {reason(one) for one in refused} == {"TOKEN_MISSING"}


async def test_those_who_watch_health_keep_nobody_out() -> None:
    async with running_server(max_calls=2) as running:
        running.customers.get.side_effect = TimeoutError
        health = health_pb2_grpc.HealthStub(running.channel)
        asked = health_pb2.HealthCheckRequest()
        watches = [health.Watch(asked) for _ in range(4)]
        for watch in watches:
            await watch.read()
        with pytest.raises(grpc.aio.AioRpcError) as full:
            await health.Watch(asked).read()
        assert reason(full.value) == "OVERLOADED"
        await health.Check(asked)
        got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))
        assert reason(got) == "INTERNAL"
        for watch in watches:
            watch.cancel()


async def test_thousands_of_honest_calls_at_once_on_one_connection_are_all_served() -> None:
    async with running_server() as running, own_channel(running) as channel:
        running.customers.get.return_value = JENNY
        stub = customer_service_pb2_grpc.CustomerServiceStub(channel)
        metadata = running.metadata()
        calls = [stub.GetCustomer(GET, metadata=metadata) for _ in range(3_000)]
        replies = await asyncio.gather(*calls)
    assert {reply.id for reply in replies} == {"cus_1"}
