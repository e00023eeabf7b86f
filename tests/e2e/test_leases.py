"""Nobody waits for the lease of a process that has ended."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import customer_service_pb2 as pb

from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    reason_of,
    until,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

STALL_SECONDS = 4.0
SOON_SECONDS = 30.0
"""Far less than a lease lasts: 90 s."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceAndEmulator]:
    async with world(tmp_path_factory.mktemp("service"), BILLING_DRAIN_SECONDS="0.5") as made:
        yield made


async def create(here: ServiceAndEmulator, tenant: Tenant) -> pb.Customer:
    """The same change each time."""
    return await here.service.customers.CreateCustomer(
        pb.CreateCustomerRequest(customer=pb.Customer(name=PRIVATE), request_id="same"),
        metadata=tenant.metadata,
        timeout=SOON_SECONDS,
    )


async def begin_stalled(here: ServiceAndEmulator, tenant: Tenant) -> "asyncio.Task[pb.Customer]":
    """A change that Stripe has received, and answers much later."""
    await here.emulator.control.add_fault(
        FaultSpec("stall", seconds=STALL_SECONDS, method="POST", account=tenant.stripe_account)
    )
    call = asyncio.create_task(create(here, tenant))

    async def received() -> bool:
        return not await here.emulator.control.faults()

    await until(received)
    return call


async def assert_soon_and_once(here: ServiceAndEmulator, tenant: Tenant) -> None:
    """Equal requests are taken at once and have their answer soon, and there is one customer."""
    await here.service.start()

    async def answered() -> pb.Customer | None:
        try:
            return await create(here, tenant)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "OUTCOME_UNKNOWN":  # Stripe is still at it
                raise
            return None

    made = await until(answered, SOON_SECONDS)
    listed = await here.sdk.v1.customers.list_async({"limit": 100}, tenant.options)
    assert [customer.id for customer in listed.data] == [made.id]


async def test_a_change_that_the_end_cuts_is_of_unknown_outcome_and_goes_on(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    call = await begin_stalled(here, tenant)
    here.service.terminate()
    with pytest.raises(grpc.aio.AioRpcError) as cut:
        await call
    assert reason_of(cut.value) == "OUTCOME_UNKNOWN"
    assert await here.service.ended() == 0
    await assert_soon_and_once(here, tenant)


async def test_who_serves_from_the_file_takes_over_from_one_that_was_killed(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    call = await begin_stalled(here, tenant)
    await here.service.kill()
    await asyncio.gather(call, return_exceptions=True)
    await assert_soon_and_once(here, tenant)
