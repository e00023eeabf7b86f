"""Deadlines, bounds, logs, health, reflection and the end of a server."""

import asyncio
import datetime as dt
import logging
from typing import Any

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from application.accounts.tenancy import Tenancy
from interfaces.grpc.server import Server, ServerOptions
from tests.e2e.grpc.held import GET, JENNY, Held
from tests.support.servers.grpc import (
    PATIENCE,
    Running,
    details,
    known_accounts,
    reason,
    refusal,
    running_server,
)


async def test_the_caller_has_the_deadline_in_the_loops_time(running: Running) -> None:
    running.customers.get.return_value = JENNY
    before = asyncio.get_running_loop().time()
    await running.customer_stub.GetCustomer(GET, metadata=running.metadata(), timeout=9)
    caller, _ = running.customers.get.await_args.args
    # On the wire a time-out is rounded up, and the two clocks are read one after the other.
    assert before + 5 < caller.deadline <= asyncio.get_running_loop().time() + 10


async def test_a_call_without_deadline_gets_one(running: Running) -> None:
    running.customers.get.return_value = JENNY
    before = asyncio.get_running_loop().time()
    await running.customer_stub.GetCustomer(GET, metadata=running.metadata())
    caller, _ = running.customers.get.await_args.args
    assert before + 30 <= caller.deadline <= asyncio.get_running_loop().time() + 30


async def test_a_read_that_takes_too_long_is_unavailable() -> None:
    async with running_server(default_seconds=0.1) as running:
        Held(running.customers.get)
        got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


async def test_a_change_that_takes_too_long_is_of_unknown_outcome() -> None:
    async with running_server(default_seconds=0.1) as running:
        Held(running.customers.delete)
        request = pb.DeleteCustomerRequest(id="cus_1", request_id="r-9")
        got = await refusal(
            running.customer_stub.DeleteCustomer(request, metadata=running.metadata())
        )
    assert (got.code(), reason(got)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN")
    (info,) = details(got, ErrorInfo)
    assert info.metadata["request_id"] == "r-9"


async def test_a_time_out_of_something_else_is_no_deadline(running: Running) -> None:
    running.customers.get.side_effect = TimeoutError
    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))
    assert reason(got) == "INTERNAL"


async def test_a_caller_who_gives_up_is_logged_as_such(running: Running) -> None:
    held = Held(running.customers.get)
    call = running.customer_stub.GetCustomer(GET, metadata=running.metadata())
    await held.has_begun()
    call.cancel()
    (line,) = await running.log()
    assert line["code"] == "CANCELLED"


async def test_calls_above_the_bound_are_refused_at_once() -> None:
    async with running_server(max_calls=2) as running:
        held = Held(running.customers.get)
        stub, metadata = running.customer_stub, running.metadata()
        waiting = [asyncio.ensure_future(_get(stub, metadata)) for _ in range(2)]
        await held.has_begun()
        await held.has_begun()

        got = await refusal(stub.GetCustomer(GET, metadata=metadata))

        assert (got.code(), reason(got)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        (retry,) = details(got, RetryInfo)
        assert retry.retry_delay.seconds >= 1
        held.go.set()
        await asyncio.gather(*waiting)
        assert (await _get(stub, metadata)).id == "cus_1"


async def _get(stub: Any, metadata: Any) -> pb.Customer:
    reply: pb.Customer = await stub.GetCustomer(GET, metadata=metadata)
    return reply


async def test_a_call_is_one_line_without_what_was_said(running: Running) -> None:
    running.customers.update.return_value = JENNY
    token = running.token()
    request = pb.UpdateCustomerRequest(
        customer=pb.Customer(id="cus_1", email="jenny@example.com", phone="+15550100"),
        request_id="r-1",
    )
    await running.customer_stub.UpdateCustomer(
        request, metadata=(("authorization", f"Bearer {token}"), ("x-request-id", "call-1"))
    )

    (line,) = await running.log()
    assert line.pop("ms") >= 0
    assert dt.datetime.fromisoformat(line.pop("time")).utcoffset() == dt.timedelta()
    assert line == {
        "event": "call", "level": "info", "logger": "grpc", "code": "OK", "reason": "",
        "method": "/billing.v1.CustomerService/UpdateCustomer", "caller": "crm", "subject": "crm",
        "account": "acme",
        "request_id": "call-1",
    }  # fmt: skip


async def test_an_unknown_method_is_unimplemented(running: Running) -> None:
    call: Any = running.channel.unary_unary("/billing.v1.CustomerService/Nothing")
    got = await refusal(call(b"", metadata=running.metadata()))
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")


async def test_names_of_unknown_methods_are_not_remembered(running: Running) -> None:
    before = [len(one._wrapped) for one in running.server._interceptors]
    for number in range(50):
        call: Any = running.channel.unary_unary(f"/billing.v1.CustomerService/Nothing{number}")
        await refusal(call(b""))
    after = [len(one._wrapped) for one in running.server._interceptors]
    assert [now - then for then, now in zip(before, after, strict=True)] == [1] * len(before)


@pytest.mark.parametrize(
    "name",
    ["", "billing.v1.CustomerService", "billing.v1.AnalyticsService",
     "billing.v1.ConnectionService"],
)  # fmt: skip
async def test_health_is_told_to_everybody(running: Running, name: str) -> None:
    stub = health_pb2_grpc.HealthStub(running.channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_follows_readiness_until_the_end(running: Running) -> None:
    stub = health_pb2_grpc.HealthStub(running.channel)
    kinds = health_pb2.HealthCheckResponse
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="billing.v1.EventService"))
    assert (await watch.read()).status == kinds.SERVING
    for ready, status in ((False, kinds.NOT_SERVING), (True, kinds.SERVING)):
        await running.server.tell_ready(ready)
        assert (await watch.read()).status == status
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == status
    running.customers.get.return_value = JENNY
    await running.server.tell_ready(False)
    assert (await _get(running.customer_stub, running.metadata())).id == "cus_1"
    stopping = asyncio.ensure_future(running.server.stop(PATIENCE))
    assert (await watch.read()).status == kinds.NOT_SERVING
    await running.server.tell_ready(True)  # too late: it stops
    watch.cancel()
    await stopping


async def test_health_of_what_is_not_served_is_not_found(running: Running) -> None:
    stub = health_pb2_grpc.HealthStub(running.channel)
    got = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="billing.v2.Nothing")))
    assert got.code() is grpc.StatusCode.NOT_FOUND


async def _reflected(running: Running) -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for reply in stub.ServerReflectionInfo(iter([request])):
        return [service.name for service in reply.list_services_response.service]
    return []


async def test_reflection_is_there_where_asked_for() -> None:
    async with running_server(reflection=True) as running:
        names = await _reflected(running)
    assert {"billing.v1.CustomerService", "grpc.health.v1.Health"} <= set(names)


async def test_reflection_is_off_otherwise(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await _reflected(running)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_is_not_shared_unasked() -> None:
    async with running_server() as running:
        async with running_server(reuse_port=True) as shared:
            assert shared.port != running.port
        server = running.server
        options = ServerOptions(f"127.0.0.1:{running.port}")
        second = Server(server._offered, running.tokens, Tenancy(known_accounts()), options)
        with pytest.raises(RuntimeError):
            await second.start()


async def test_a_request_that_is_too_large_is_refused(running: Running) -> None:
    request = pb.CreateCustomerRequest(customer=pb.Customer(description="x" * 2_000_000))
    got = await refusal(running.customer_stub.CreateCustomer(request, metadata=running.metadata()))
    assert (got.code(), reason(got)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    running.customers.create.assert_not_called()


async def test_a_request_that_is_far_too_large_is_refused_by_grpc_itself(running: Running) -> None:
    request = pb.CreateCustomerRequest(customer=pb.Customer(description="x" * 3_000_000))
    got = await refusal(running.customer_stub.CreateCustomer(request, metadata=running.metadata()))
    assert got.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    running.customers.create.assert_not_called()


async def test_grpcs_word_for_a_caller_who_left_is_not_logged(running: Running) -> None:
    log = logging.getLogger("grpc._cython.cygrpc")
    for name in ("ExecuteBatchError", "OtherError"):
        kind = type(name, (Exception,), {})
        log.error("%s raised", name, exc_info=kind("gone"))
    text = await running.log_text()
    assert "OtherError" in text
    assert "ExecuteBatchError" not in text
