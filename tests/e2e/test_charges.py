"""ChargeService over gRPC: charges listed, money given back, exactly once."""

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
import stripe
from billing_client.v1 import charge_service_pb2 as pb
from billing_client.v1.charge_service_pb2_grpc import ChargeServiceStub
from billing_client.v1.money_pb2 import Money

from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import (
    Metadata,
    ServiceAndEmulator,
    Tenant,
    bearer,
    reason_of,
    token_for,
    until,
)

if TYPE_CHECKING:
    from billing_client.v1.charge_service_pb2_grpc import ChargeServiceAsyncStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUND = "POST /v1/refunds"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenant(here: ServiceAndEmulator) -> Tenant:
    return await here.tenant()


@pytest.fixture
def charges(here: ServiceAndEmulator) -> "ChargeServiceAsyncStub":
    return ChargeServiceStub(here.service.channel)


async def paid(
    here: ServiceAndEmulator, tenant: Tenant, card: str = "pm_card_visa", *, customer: str = ""
) -> pb.Charge:
    """A charge of 20.00 USD, as the mirror shows it once its event has come."""
    params: stripe.params.PaymentIntentCreateParams = {
        "amount": 2_000, "currency": "usd", "payment_method": card, "confirm": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }  # fmt: skip
    if customer:
        params["customer"] = customer
    try:
        await here.sdk.v1.payment_intents.create_async(params, tenant.options)
    except stripe.CardError:
        assert "Declined" in card
    made = (await here.sdk.v1.charges.list_async({"limit": 1}, tenant.options)).data[0]
    stub = ChargeServiceStub(here.service.channel)

    async def look() -> pb.Charge | None:
        try:
            request = pb.GetChargeRequest(id=made.id)
            found = await stub.GetCharge(request, metadata=tenant.metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None
        return found if found.disputed == ("Dispute" in card) else None

    return await until(look)


async def give_back(
    here: ServiceAndEmulator,
    tenant: Tenant,
    request_id: str,
    charge: str,
    amount: int | None = None,
) -> pb.Refund:
    """RefundCharge."""
    request = pb.RefundChargeRequest(
        id=charge,
        amount=None if amount is None else Money(amount=amount, currency="usd"),
        reason=pb.REFUND_REASON_REQUESTED_BY_CUSTOMER,
        metadata={"ticket": "7"},
        request_id=request_id,
    )
    return await ChargeServiceStub(here.service.channel).RefundCharge(
        request, metadata=tenant.metadata, timeout=20
    )


async def at_stripe(here: ServiceAndEmulator, tenant: Tenant, charge: str) -> list[stripe.Refund]:
    """A charge's refunds at Stripe."""
    return (await here.sdk.v1.refunds.list_async({"charge": charge}, tenant.options)).data


async def refused(call: "asyncio.Future[object] | object") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # a stub's call is awaitable
    return caught.value


async def test_charges_are_listed_and_narrowed(
    here: ServiceAndEmulator, tenant: Tenant, charges: "ChargeServiceAsyncStub"
) -> None:
    customer = (await here.sdk.v1.customers.create_async({}, tenant.options)).id
    first = await paid(here, tenant, customer=customer)
    failed = await paid(here, tenant, "pm_card_chargeDeclined")
    assert (first.status, first.amount.amount, first.customer) == ("succeeded", 2_000, customer)
    assert (failed.status, failed.failure_code) == ("failed", "card_declined")

    async def listed(**where: object) -> list[str]:
        request = pb.ListChargesRequest(**where)  # type: ignore[arg-type]  # as given
        page = await charges.ListCharges(request, metadata=tenant.metadata)
        return [one.id for one in page.charges]

    assert {first.id, failed.id} <= set(await listed())
    assert await listed(customer=customer) == [first.id]
    assert await listed(payment_intent=first.payment_intent) == [first.id]
    assert await listed(customer=customer, status="failed") == []
    assert failed.id in await listed(status="failed")
    page = await charges.ListCharges(
        pb.ListChargesRequest(page_size=1), metadata=tenant.metadata, timeout=10
    )
    error = await refused(
        charges.ListCharges(
            pb.ListChargesRequest(page_token=page.next_page_token, status="failed"),
            metadata=tenant.metadata,
        )
    )
    assert (error.code(), reason_of(error)) == (
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN",
    )  # fmt: skip


async def test_what_was_given_back_is_read_at_once(
    here: ServiceAndEmulator, tenant: Tenant, charges: "ChargeServiceAsyncStub"
) -> None:
    charge = (await paid(here, tenant)).id
    await here.emulator.control.pause()
    try:
        refund = await give_back(here, tenant, "part", charge, 500)
        assert (refund.charge, refund.amount.amount, refund.status) == (charge, 500, "succeeded")
        assert (refund.reason, dict(refund.metadata)) == ("requested_by_customer", {"ticket": "7"})
        rest = await give_back(here, tenant, "rest", charge)
        assert rest.amount.amount == 1_500
        found = await charges.GetCharge(pb.GetChargeRequest(id=charge), metadata=tenant.metadata)
        assert (found.amount_refunded.amount, found.refunded) == (2_000, True)
        listed = await charges.ListRefunds(
            pb.ListRefundsRequest(charge=charge), metadata=tenant.metadata
        )
        assert sorted(one.id for one in listed.refunds) == sorted([refund.id, rest.id])
    finally:
        await here.emulator.control.resume()
    await here.delivered()
    settled = await charges.GetCharge(pb.GetChargeRequest(id=charge), metadata=tenant.metadata)
    assert settled == found


async def test_a_charge_that_cannot_be_refunded_says_its_state(
    here: ServiceAndEmulator, tenant: Tenant
) -> None:
    whole = (await paid(here, tenant)).id
    await give_back(here, tenant, "whole", whole)
    for request_id, charge, state in (
        ("again", whole, "refunded"),
        ("disputed", (await paid(here, tenant, "pm_card_createDispute")).id, "disputed"),
        ("declined", (await paid(here, tenant, "pm_card_chargeDeclined")).id, "failed"),
    ):
        error = await refused(give_back(here, tenant, request_id, charge))
        assert (error.code(), reason_of(error)) == (
            grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE",
        )  # fmt: skip
        assert state in (error.details() or "")


async def test_an_amount_that_is_none_names_its_field(
    here: ServiceAndEmulator, tenant: Tenant
) -> None:
    charge = (await paid(here, tenant)).id
    for request_id, amount in (("above", 2_001), ("nothing", 0), ("negative", -1)):
        error = await refused(give_back(here, tenant, request_id, charge, amount))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.details() or "").startswith("amount:")
    request = pb.RefundChargeRequest(
        id=charge, amount=Money(amount=5, currency="eur"), request_id="foreign"
    )
    stub = ChargeServiceStub(here.service.channel)
    error = await refused(stub.RefundCharge(request, metadata=tenant.metadata))
    assert (error.details() or "").startswith("amount.currency:")
    assert await at_stripe(here, tenant, charge) == []


async def test_another_tenants_charge_is_not_found(
    here: ServiceAndEmulator, tenant: Tenant, charges: "ChargeServiceAsyncStub"
) -> None:
    charge = (await paid(here, tenant)).id
    other = await here.tenant()
    get = pb.GetChargeRequest(id=charge)
    listed = await charges.ListCharges(pb.ListChargesRequest(), metadata=other.metadata)
    assert len(listed.charges) == 0
    for call in (
        charges.GetCharge(get, metadata=other.metadata),
        give_back(here, other, "theirs", charge),
        give_back(here, other, "theirs-in-part", charge, 5),
    ):
        error = await refused(call)
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert await at_stripe(here, tenant, charge) == []


async def test_each_method_wants_its_scope(here: ServiceAndEmulator, tenant: Tenant) -> None:
    stub = ChargeServiceStub(here.service.channel)

    def only(scope: str) -> Metadata:
        return bearer(token_for(tenant.account, scope))

    for call in (
        stub.RefundCharge(
            pb.RefundChargeRequest(id="ch_1", request_id="r"), metadata=only("charges.read")
        ),
        stub.ListCharges(pb.ListChargesRequest(), metadata=only("charges.write")),
        stub.GetCharge(pb.GetChargeRequest(id="ch_1"), metadata=only("charges.write")),
        stub.ListRefunds(pb.ListRefundsRequest(), metadata=only("customers.read")),
    ):
        assert reason_of(await refused(call)) == "SCOPE_MISSING"


async def test_a_hundred_equal_requests_give_back_once(
    here: ServiceAndEmulator, tenant: Tenant
) -> None:
    charge = (await paid(here, tenant)).id
    before = await here.sent(REFUND)
    made = await asyncio.gather(*(give_back(here, tenant, "same", charge, 300) for _ in range(100)))
    assert len({one.id for one in made}) == 1
    assert await here.sent(REFUND) == before + 1
    assert [one.id for one in await at_stripe(here, tenant, charge)] == [made[0].id]


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "cut"])
async def test_a_lost_answer_still_gives_back_once(
    here: ServiceAndEmulator, tenant: Tenant, kind: str
) -> None:
    charge = (await paid(here, tenant)).id
    fault = FaultSpec(
        kind=kind,  # type: ignore[arg-type]  # one of them
        method="POST",
        route="/v1/refunds",
        account=tenant.stripe_account,
    )
    await here.emulator.control.add_fault(fault)
    made = await give_back(here, tenant, f"lost-{kind}", charge, 700)
    assert [one.id for one in await at_stripe(here, tenant, charge)] == [made.id]
