"""PaymentMethodService, over gRPC and against Stripe's stand-in: each method, done and refused."""

import itertools
import sqlite3
from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import customer_service_pb2 as customers_pb
from billing_client.v1 import payment_method_service_pb2 as pb
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from billing_client.v1.payment_method_service_pb2_grpc import PaymentMethodServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import ServiceAndEmulator, Tenant, arrived, mirrored

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ids = itertools.count()


def fresh() -> str:
    """A request id of its own."""
    return f"request-{next(_ids)}"


def holding(text: str, dump: list[str]) -> int:
    """How many rows of a dump hold a text, be it in a column of text or of bytes."""
    return sum(text in row or text.encode().hex().upper() in row for row in dump)


class TenantAtStripe:
    """A tenant's service and his Stripe account."""

    def __init__(self, here: ServiceAndEmulator, tenant: Tenant) -> None:
        self.here = here
        self.tenant = tenant
        self.stub = PaymentMethodServiceStub(here.service.channel)
        self.sdk = here.sdk.v1

    async def call(self, method: str, request: Any) -> Any:
        return await getattr(self.stub, method)(request, metadata=self.tenant.metadata, timeout=20)

    async def refused(self, method: str, request: Any) -> ErrorInfo:
        """What a call that fails says."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request)
        status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]  # typed for synchronous calls
        info = ErrorInfo()
        (detail,) = (one for one in status.details if one.Is(ErrorInfo.DESCRIPTOR))
        detail.Unpack(info)
        return info

    async def customer(self) -> str:
        """A customer that the mirror knows."""
        made = await self.sdk.customers.create_async({"name": "Payer"}, self.tenant.options)
        await arrived(self.here, self.tenant, made.id, "Payer")
        return made.id

    async def default(self, customer: str) -> tuple[str, str]:
        """A customer's default payment method and default source, as the mirror has them."""
        request = customers_pb.GetCustomerRequest(id=customer)
        stub = CustomerServiceStub(self.here.service.channel)
        found = await stub.GetCustomer(request, metadata=self.tenant.metadata, timeout=20)
        return found.default_payment_method, found.default_source

    async def attached(self, customer: str, card: str = "pm_card_visa") -> str:
        request = pb.AttachPaymentMethodRequest(customer=customer, id=card, request_id=fresh())
        return str((await self.call("AttachPaymentMethod", request)).id)

    async def source(self, customer: str, kind: str = "tok_mastercard") -> str:
        made = await self.sdk.customers.payment_sources.create_async(
            customer, {"source": kind}, self.tenant.options
        )
        return made.id

    async def listed(self, customer: str, page_size: int = 0) -> list[pb.PaymentMethod]:
        found: list[pb.PaymentMethod] = []
        token = ""
        while True:
            request = pb.ListPaymentMethodsRequest(
                customer=customer, page_size=page_size, page_token=token
            )
            page = await self.call("ListPaymentMethods", request)
            assert len(page.payment_methods) <= (page_size or 50)
            found += page.payment_methods
            token = page.next_page_token
            if not token:
                return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(here: ServiceAndEmulator) -> TenantAtStripe:
    return TenantAtStripe(here, await here.tenant())


@pytest.mark.parametrize("page_size", [0, 1, 2, 3])
async def test_payment_methods_and_sources_are_one_list(
    desk: TenantAtStripe, page_size: int
) -> None:
    customer = await desk.customer()
    card = await desk.source(customer)
    visa = await desk.attached(customer)
    bank = await desk.source(customer, "btok_us_verified")
    sepa = await desk.sdk.payment_methods.create_async(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "DE89370400440532013000"},
            "billing_details": {"name": "A", "email": "a@example.com"},
        },
        desk.tenant.options,
    )
    await desk.attached(customer, sepa.id)
    found = await desk.listed(customer, page_size)
    assert [(one.id, one.type, one.legacy, one.is_default) for one in found] == [
        (sepa.id, "sepa_debit", False, False),
        (visa, "card", False, False),
        (bank, "bank_account", True, False),
        (card, "card", True, True),  # the first source became the default
    ]
    assert [(one.brand, one.bank, one.last4, one.exp_year) for one in found] == [
        ("", "37040044", "3000", 0),
        ("visa", "", "4242", 2034),
        ("", "STRIPE TEST BANK", "6789", 0),
        ("mastercard", "", "4444", 2034),
    ]


async def test_a_list_is_refused(desk: TenantAtStripe) -> None:
    customer = await desk.customer()
    for name in ("cus_never", "gone"):
        if name == "gone":
            name = (await desk.sdk.customers.create_async({}, desk.tenant.options)).id
            await desk.sdk.customers.delete_async(name, options=desk.tenant.options)
        request = pb.ListPaymentMethodsRequest(customer=name)
        assert (await desk.refused("ListPaymentMethods", request)).reason == "NOT_FOUND"
    forged = pb.ListPaymentMethodsRequest(customer=customer, page_token="forged")
    assert (await desk.refused("ListPaymentMethods", forged)).reason == "INVALID_PAGE_TOKEN"
    wrong = pb.ListPaymentMethodsRequest(customer="", page_size=101)
    assert (await desk.refused("ListPaymentMethods", wrong)).reason == "INVALID_FIELDS"
    await desk.attached(customer)
    await desk.attached(customer)
    page = await desk.call(
        "ListPaymentMethods", pb.ListPaymentMethodsRequest(customer=customer, page_size=1)
    )
    others = pb.ListPaymentMethodsRequest(
        customer=await desk.customer(), page_size=1, page_token=page.next_page_token
    )
    assert (await desk.refused("ListPaymentMethods", others)).reason == "INVALID_PAGE_TOKEN"


async def test_a_payment_method_is_attached_once(desk: TenantAtStripe) -> None:
    customer, other = await desk.customer(), await desk.customer()
    request = pb.AttachPaymentMethodRequest(
        customer=customer, id="pm_card_amex", request_id=fresh()
    )
    made = await desk.call("AttachPaymentMethod", request)
    assert (made.brand, made.last4, made.legacy, made.is_default) == ("amex", "0005", False, False)
    assert await desk.call("AttachPaymentMethod", request) == made
    again = pb.AttachPaymentMethodRequest(customer=customer, id=made.id, request_id=fresh())
    assert await desk.call("AttachPaymentMethod", again) == made
    assert [one.id for one in await desk.listed(customer)] == [made.id]
    taken = pb.AttachPaymentMethodRequest(customer=other, id=made.id, request_id=fresh())
    refused = await desk.refused("AttachPaymentMethod", taken)
    assert (refused.reason, refused.metadata["state"]) == ("WRONG_STATE", "attached")


async def test_an_attachment_is_refused(desk: TenantAtStripe) -> None:
    customer = await desk.customer()
    stranger = TenantAtStripe(desk.here, await desk.here.tenant())
    elsewhere = await stranger.attached(await stranger.customer())
    for whose, method in (
        (customer, "pm_never"), (customer, elsewhere), ("cus_never", "pm_card_visa"),
    ):  # fmt: skip
        request = pb.AttachPaymentMethodRequest(customer=whose, id=method, request_id=fresh())
        assert (await desk.refused("AttachPaymentMethod", request)).reason == "NOT_FOUND"
    declined = pb.AttachPaymentMethodRequest(
        customer=customer, id="pm_card_chargeDeclinedInsufficientFunds", request_id=fresh()
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.call("AttachPaymentMethod", declined)
    assert "use another one" in (caught.value.details() or "")
    refused = await desk.refused("AttachPaymentMethod", declined)
    assert (refused.reason, refused.metadata["decline_code"]) == (
        "PAYMENT_DECLINED", "insufficient_funds",
    )  # fmt: skip
    legacy = pb.AttachPaymentMethodRequest(customer=customer, id="card_1", request_id=fresh())
    assert (await desk.refused("AttachPaymentMethod", legacy)).reason == "INVALID_FIELDS"


async def test_a_payment_method_is_detached_for_good(desk: TenantAtStripe) -> None:
    customer = await desk.customer()
    method = await desk.attached(customer)
    request = pb.DetachPaymentMethodRequest(customer=customer, id=method, request_id=fresh())
    for _ in range(2):  # the same request again is the same answer
        await desk.call("DetachPaymentMethod", request)
    assert await desk.listed(customer) == []
    later = pb.DetachPaymentMethodRequest(customer=customer, id=method, request_id=fresh())
    assert (await desk.refused("DetachPaymentMethod", later)).reason == "NOT_FOUND"
    back = pb.AttachPaymentMethodRequest(customer=customer, id=method, request_id=fresh())
    assert (await desk.refused("AttachPaymentMethod", back)).reason == "STRIPE_REFUSED"


@pytest.mark.parametrize("legacy", [False, True])
async def test_the_customer_shows_at_once_what_stripe_made_of_a_default_that_was_detached(
    desk: TenantAtStripe, *, legacy: bool
) -> None:
    customer = await desk.customer()
    method = await (desk.source(customer) if legacy else desk.attached(customer))
    await desk.call(
        "SetDefaultPaymentMethod",
        pb.SetDefaultPaymentMethodRequest(customer=customer, id=method, request_id=fresh()),
    )
    before = await desk.default(customer)
    assert method in before
    await desk.call(
        "DetachPaymentMethod",
        pb.DetachPaymentMethodRequest(customer=customer, id=method, request_id=fresh()),
    )
    there = await desk.sdk.customers.retrieve_async(customer, options=desk.tenant.options)
    assert there.invoice_settings is not None
    expected = (there.invoice_settings.default_payment_method or "", there.default_source or "")
    assert await desk.default(customer) == expected


async def test_a_source_is_deleted(desk: TenantAtStripe) -> None:
    customer = await desk.customer()
    first, second = await desk.source(customer), await desk.source(customer)
    request = pb.DetachPaymentMethodRequest(customer=customer, id=first, request_id=fresh())
    await desk.call("DetachPaymentMethod", request)
    (left,) = await desk.listed(customer)
    assert (left.id, left.is_default) == (second, True)
    again = pb.DetachPaymentMethodRequest(customer=customer, id=first, request_id=fresh())
    assert (await desk.refused("DetachPaymentMethod", again)).reason == "NOT_FOUND"


async def test_what_is_not_the_customers_is_neither_detached_nor_made_the_default(
    desk: TenantAtStripe,
) -> None:
    owner, other = await desk.customer(), await desk.customer()
    method, card = await desk.attached(owner), await desk.source(owner)
    for whose, id_ in (
        (other, method), (other, card), (owner, "pm_never"), (owner, "card_never"),
        ("cus_never", method), ("cus_never", card),
    ):  # fmt: skip
        detach = pb.DetachPaymentMethodRequest(customer=whose, id=id_, request_id=fresh())
        assert (await desk.refused("DetachPaymentMethod", detach)).reason == "NOT_FOUND"
        choose = pb.SetDefaultPaymentMethodRequest(customer=whose, id=id_, request_id=fresh())
        assert (await desk.refused("SetDefaultPaymentMethod", choose)).reason == "NOT_FOUND"
    assert {one.id for one in await desk.listed(owner)} == {method, card}


async def test_the_default_is_what_was_chosen_last_and_mirrored_at_once(
    desk: TenantAtStripe,
) -> None:
    customer = await desk.customer()
    method, card = await desk.attached(customer), await desk.source(customer)
    await desk.source(customer)
    await desk.here.emulator.control.pause()  # so that no webhook can have brought it
    try:
        for chosen in (method, card, method):
            request = pb.SetDefaultPaymentMethodRequest(
                customer=customer, id=chosen, request_id=fresh()
            )
            answer = await desk.call("SetDefaultPaymentMethod", request)
            assert (answer.id, answer.is_default) == (chosen, True)
            (default,) = [one.id for one in await desk.listed(customer) if one.is_default]
            assert default == chosen
            shown = await mirrored(desk.here, desk.tenant, customer)
            assert shown is not None
            assert (shown.default_payment_method or shown.default_source) == chosen
    finally:
        await desk.here.delivered()


async def test_a_setup_intent_is_made_once_and_its_secret_kept_nowhere(
    desk: TenantAtStripe,
) -> None:
    customer = await desk.customer()
    request = pb.CreateSetupIntentRequest(
        customer=customer, payment_method_types=["card", "us_bank_account"],
        usage="on_session", request_id=fresh(),
    )  # fmt: skip
    made = await desk.call("CreateSetupIntent", request)
    assert await desk.call("CreateSetupIntent", request) == made
    assert made.client_secret.startswith(f"{made.id}_secret_")
    assert made.status == "requires_payment_method"
    (shown,) = (
        await desk.sdk.setup_intents.list_async({"customer": customer}, desk.tenant.options)
    ).data
    assert (shown.id, shown.usage) == (made.id, "on_session")
    assert shown.payment_method_types == ["card", "us_bank_account"]
    await desk.here.delivered()
    store = desk.here.service.settings["BILLING_SQLITE_PATH"]
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        kept = list(database.iterdump())
    assert holding(made.id, kept) >= 2  # the record of the change is among them
    ours = [line for line in kept if "billing.event_payloads" not in line]  # those are Stripe's
    assert holding(made.client_secret, ours) == 0


async def test_a_setup_intent_is_refused(desk: TenantAtStripe) -> None:
    customer = await desk.customer()
    unknown = pb.CreateSetupIntentRequest(customer="cus_never", request_id=fresh())
    assert (await desk.refused("CreateSetupIntent", unknown)).reason == "NOT_FOUND"
    for wrong in (
        pb.CreateSetupIntentRequest(customer=customer, usage="often"),
        pb.CreateSetupIntentRequest(customer=customer, payment_method_types=["Card!"]),
        pb.CreateSetupIntentRequest(),
    ):
        wrong.request_id = fresh()
        assert (await desk.refused("CreateSetupIntent", wrong)).reason == "INVALID_FIELDS"


@pytest.mark.parametrize("method", ["Attach", "Detach", "SetDefault", "CreateSetup", "Delete"])
async def test_a_lost_answer_is_one_change(desk: TenantAtStripe, method: str) -> None:
    customer = await desk.customer()
    attached = await desk.attached(customer)
    card = await desk.source(customer)
    requests: dict[str, tuple[str, str, str, Any]] = {
        "Attach": ("AttachPaymentMethod", "POST", "/v1/payment_methods/{id}/attach",
                   pb.AttachPaymentMethodRequest(id="pm_card_visa")),
        "Detach": ("DetachPaymentMethod", "POST", "/v1/payment_methods/{id}/detach",
                   pb.DetachPaymentMethodRequest(id=attached)),
        "Delete": ("DetachPaymentMethod", "DELETE", "/v1/customers/{id}/sources/{child}",
                   pb.DetachPaymentMethodRequest(id=card)),
        "SetDefault": ("SetDefaultPaymentMethod", "POST", "/v1/customers/{id}",
                       pb.SetDefaultPaymentMethodRequest(id=attached)),
        "CreateSetup": ("CreateSetupIntent", "POST", "/v1/setup_intents",
                        pb.CreateSetupIntentRequest()),
    }  # fmt: skip
    name, verb, route, request = requests[method]
    request.customer, request.request_id = customer, fresh()
    place: Any = {"method": verb, "route": route, "account": desk.tenant.stripe_account}
    control = desk.here.emulator.control
    await control.add_fault(FaultSpec(kind="drop_after", **place))  # done, and nobody is told
    await control.add_fault(FaultSpec(kind="drop_before", count=None, **place))
    assert (await desk.refused(name, request)).reason == "OUTCOME_UNKNOWN"
    await control.clear_faults()
    await desk.call(name, request)
    listed = {one.id: one.is_default for one in await desk.listed(customer)}
    expected = {"Attach": 3, "Detach": 1, "Delete": 1}.get(method, 2)
    assert len(listed) == expected
    if method == "SetDefault":
        assert listed[attached]
    if method == "CreateSetup":
        intents = desk.sdk.setup_intents
        found = await intents.list_async({"customer": customer}, desk.tenant.options)
        assert len(found.data) == 1
