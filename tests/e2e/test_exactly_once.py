"""A change is made once at Stripe, whatever happens to answers, deadlines and processes."""

import asyncio

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb

from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    mirrored,
    reason_of,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATE = "POST /v1/customers"


async def create(
    here: ServiceAndEmulator, tenant: Tenant, request_id: str, *, seconds: float = 20.0
) -> pb.Customer:
    """CreateCustomer, with the same content each time."""
    request = pb.CreateCustomerRequest(
        customer=pb.Customer(name=f"Zoe {PRIVATE}", email=f"zoe@{PRIVATE.lower()}.example"),
        request_id=request_id,
    )
    return await here.service.customers.CreateCustomer(
        request, metadata=tenant.metadata, timeout=seconds
    )


async def at_stripe(here: ServiceAndEmulator, tenant: Tenant) -> list[str]:
    """The ids of the customers that a tenant's Stripe account has."""
    listed = await here.sdk.v1.customers.list_async({"limit": 100}, tenant.options)
    return [customer.id for customer in listed.data]


async def befall(here: ServiceAndEmulator, tenant: Tenant, **fault: object) -> None:
    """Order a fault of the tenant's creations of customers."""
    spec = {"method": "POST", "route": "/v1/customers", "account": tenant.stripe_account, **fault}
    await here.emulator.control.add_fault(FaultSpec(**spec))  # type: ignore[arg-type]  # as given


async def test_a_hundred_equal_calls_are_one_change(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    before = await here.sent(CREATE)
    made = await asyncio.gather(*(create(here, tenant, "same") for _ in range(100)))
    assert all(customer == made[0] for customer in made)
    assert await here.sent(CREATE) - before == 1
    assert await at_stripe(here, tenant) == [made[0].id]
    assert await create(here, tenant, "same") == made[0]
    assert await here.sent(CREATE) - before == 1


async def test_other_request_ids_and_other_tenants_are_other_changes(
    here: ServiceAndEmulator,
) -> None:
    one, two = await here.tenant(), await here.tenant()
    made = await asyncio.gather(
        create(here, one, "a"), create(here, one, "b"), create(here, two, "a")
    )
    assert len({customer.id for customer in made}) == 3
    assert len(await at_stripe(here, one)) == 2
    assert await at_stripe(here, two) == [made[2].id]


async def test_another_content_under_a_used_request_id_is_refused(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await create(here, tenant, "used")
    before = await here.sent(CREATE)
    other = pb.CreateCustomerRequest(customer=pb.Customer(name="other"), request_id="used")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await here.service.customers.CreateCustomer(other, metadata=tenant.metadata)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "REQUEST_ID_REUSED"
    assert await here.sent(CREATE) == before


async def test_a_lost_answer_is_an_unknown_outcome_and_then_the_customer(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    await befall(here, tenant, kind="drop_after", count=3)  # the gateway tries three times
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(here, tenant, "lost")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason_of(caught.value) == "OUTCOME_UNKNOWN"
    (there,) = await at_stripe(here, tenant)
    found = await create(here, tenant, "lost")
    assert (found.id, found.name) == (there, f"Zoe {PRIVATE}")
    assert await at_stripe(here, tenant) == [there]
    assert await mirrored(here, tenant, there) == found


async def test_one_lost_answer_is_not_even_noticed(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await befall(here, tenant, kind="drop_after")
    made = await create(here, tenant, "hiccup")
    assert await at_stripe(here, tenant) == [made.id]


async def test_a_change_outlives_its_callers_deadline(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await befall(here, tenant, kind="stall", seconds=1.0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(here, tenant, "late", seconds=0.4)
    # Said by the service just before the deadline, or by the client at it: the code is the same.
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def there() -> list[str]:
        return await at_stripe(here, tenant)

    (made,) = await until(there)  # nobody asked again
    found = await create(here, tenant, "late")
    assert found.id == made
    assert await at_stripe(here, tenant) == [made]


async def test_a_refusal_by_stripe_is_definite_and_told_again(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await befall(here, tenant, kind="fail", status=400)
    before = await here.sent(CREATE)
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await create(here, tenant, "refused")
        assert caught.value.code() in (
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.INVALID_ARGUMENT,
        )
    assert await here.sent(CREATE) - before == 1
    assert await at_stripe(here, tenant) == []
