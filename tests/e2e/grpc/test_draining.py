"""The end of a server: nobody is left without an answer that says why."""

import asyncio
from typing import Any

import grpc
from billing_client.v1 import customer_service_pb2 as pb
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.grpc.held import GET, Held
from tests.support.servers.grpc import PATIENCE, Running, details, reason, refusal

DELETE = pb.DeleteCustomerRequest(id="cus_1", request_id="r-9")


def get(running: Running, channel: grpc.aio.Channel | None = None) -> Any:
    """A call that reads, perhaps on another connection."""
    call: Any = (channel or running.channel).unary_unary(
        "/billing.v1.CustomerService/GetCustomer", response_deserializer=pb.Customer.FromString
    )
    return call(GET.SerializeToString(), metadata=running.metadata(), timeout=PATIENCE)


async def test_it_finishes_what_it_has_and_refuses_the_rest(running: Running) -> None:
    held = Held(running.customers.get)
    in_flight = get(running)
    await held.has_begun()
    health = health_pb2_grpc.HealthStub(running.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING

    stopping = asyncio.ensure_future(running.server.stop(PATIENCE))

    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{running.port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as new:
        for channel in (running.channel, new):
            got = await refusal(get(running, channel))
            assert (got.code(), reason(got)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
            (retry,) = details(got, RetryInfo)
            assert retry.retry_delay.seconds >= 1
    assert held.calls == 1
    assert not in_flight.done()
    held.go.set()
    assert (await in_flight).name == "Jenny"
    await asyncio.wait_for(stopping, PATIENCE)
    got = await refusal(get(running))
    assert got.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_change_that_is_cut_is_of_unknown_outcome(running: Running) -> None:
    held = Held(running.customers.delete)
    call = running.customer_stub.DeleteCustomer(DELETE, metadata=running.metadata())
    await held.has_begun()
    await asyncio.wait_for(running.server.stop(0.05), PATIENCE)
    got = await refusal(call)
    assert (got.code(), reason(got)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN")
    (info,) = details(got, ErrorInfo)
    assert info.metadata["request_id"] == "r-9"
    (line,) = await running.log()
    assert line["reason"] == "OUTCOME_UNKNOWN"


async def test_a_read_that_is_cut_is_to_be_asked_again(running: Running) -> None:
    held = Held(running.customers.get)
    call = get(running)
    await held.has_begun()
    await asyncio.wait_for(running.server.stop(0.05), PATIENCE)
    got = await refusal(call)
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")


async def test_a_caller_who_gives_up_while_it_drains_holds_it_up_no_longer(
    running: Running,
) -> None:
    held = Held(running.customers.get)
    call = get(running)
    await held.has_begun()
    stopping = asyncio.ensure_future(running.server.stop(PATIENCE))
    call.cancel()
    await asyncio.wait_for(stopping, PATIENCE / 2)


async def test_without_calls_it_ends_at_once(running: Running) -> None:
    health = health_pb2_grpc.HealthStub(running.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    await watch.read()
    await asyncio.wait_for(running.server.stop(600), PATIENCE / 2)
    watch.cancel()
