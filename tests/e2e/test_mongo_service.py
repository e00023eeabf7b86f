"""The same service on MongoDB: two processes on one database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from billing_client.v1 import customer_service_pb2 as pb

from sandbox.emulator.running import LIVE_KEY
from tests.support.servers.callers import write_strong_callers
from tests.support.servers.on_mongo import mongo_world, neighbour_of
from tests.support.servers.service import (
    PRIVATE,
    Service,
    ServiceAndEmulator,
    Tenant,
    arrived,
    mirrored,
    run_command,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    async with mongo_world(mongo_url, tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(
    here: ServiceAndEmulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    async with neighbour_of(here, tmp_path_factory.mktemp("neighbour")) as service:
        yield service


async def create(service: Service, tenant: Tenant, request_id: str) -> pb.Customer:
    """CreateCustomer, with the same content each time; again while another process is at it."""
    request = pb.CreateCustomerRequest(
        customer=pb.Customer(name=PRIVATE, email=f"zoe@{PRIVATE.lower()}.example"),
        request_id=request_id,
    )
    return await service.customers.CreateCustomer(request, metadata=tenant.metadata, timeout=20)


async def test_a_webhook_becomes_readable(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    await arrived(here, tenant, made.id, PRIVATE)
    await here.sdk.v1.customers.update_async(made.id, {"name": f"2 {PRIVATE}"}, tenant.options)
    await arrived(here, tenant, made.id, f"2 {PRIVATE}")
    await here.sdk.v1.customers.delete_async(made.id, options=tenant.options)

    async def gone() -> bool:
        return await mirrored(here, tenant, made.id) is None

    assert await until(gone)


async def test_what_one_process_wrote_the_other_reads(
    here: ServiceAndEmulator, neighbour: Service
) -> None:
    tenant = await here.tenant()
    made = await create(here.service, tenant, "one")
    read = await neighbour.customers.GetCustomer(
        pb.GetCustomerRequest(id=made.id), metadata=tenant.metadata
    )
    assert read == made


async def test_equal_calls_to_two_processes_are_one_change(
    here: ServiceAndEmulator, neighbour: Service
) -> None:
    tenant = await here.tenant()
    before = await here.sent("POST /v1/customers")
    calls = [
        create(service, tenant, "same") for service in (here.service, neighbour) for _ in range(20)
    ]
    done = await asyncio.gather(*calls, return_exceptions=True)
    made = {answer.id for answer in done if isinstance(answer, pb.Customer)}
    refused = {str(error.code()) for error in done if not isinstance(error, pb.Customer)}  # type: ignore[attr-defined]
    assert len(made) == 1
    assert refused <= {"StatusCode.ABORTED"}
    assert await here.sent("POST /v1/customers") - before == 1
    (there,) = (await here.sdk.v1.customers.list_async({}, tenant.options)).data
    for service in (here.service, neighbour):
        assert (await create(service, tenant, "same")).id == there.id


async def test_a_database_of_the_other_mode_is_refused(
    here: ServiceAndEmulator, tmp_path: Path
) -> None:
    live = {
        **here.service.settings, "STRIPE_SECRET_KEY": LIVE_KEY,
        "BILLING_CALLERS": str(write_strong_callers(tmp_path)), "BILLING_CALLER_KEYS": "",
        "BILLING_STRIPE_URL": "", "BILLING_LOG_LEVEL": "info",
    }  # fmt: skip
    code, out, err = await run_command("serve", **live)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("billing: ")
    assert "STRIPE_SECRET_KEY is a live key" in line


async def test_a_database_that_does_not_answer_is_one_line(here: ServiceAndEmulator) -> None:
    secret = "mongodb://billing:hunter2@127.0.0.1:1/"
    settings = {**here.service.settings, "BILLING_MONGO_URL": secret, "BILLING_LOG_LEVEL": "info"}
    code, out, err = await run_command("serve", **settings)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("billing: BILLING_MONGO_URL: ")
    assert "hunter2" not in line
