"""A change of an invoice is made once at Stripe, whatever happens to its answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1.money_pb2 import Money

from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import ServiceAndEmulator, Tenant, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIES = 3
"""How often the gateway sends a request."""


class PayingCustomer:
    """A tenant with a customer who has a card."""

    def __init__(self, here: ServiceAndEmulator, tenant: Tenant, customer: str) -> None:
        self.here, self.tenant, self.customer = here, tenant, customer

    async def ask(self, method: str, request: Any) -> Any:
        stub = getattr(self.here.service.invoices, method)
        return await stub(request, metadata=self.tenant.metadata, timeout=20)

    async def create(self, request_id: str) -> pb.Invoice:
        """CreateInvoice, with the same content each time."""
        item = pb.InvoiceItem(
            description="Work", quantity=2, unit_amount=Money(amount=500, currency="usd")
        )
        request = pb.CreateInvoiceRequest(
            invoice=pb.Invoice(
                customer=self.customer,
                currency="usd",
                collection_method="send_invoice",
                days_until_due=14,
            ),
            items=[item],
            request_id=request_id,
        )
        made: pb.Invoice = await self.ask("CreateInvoice", request)
        return made

    async def opened(self) -> pb.Invoice:
        draft = await self.create("draft")
        request = pb.FinalizeInvoiceRequest(id=draft.id, request_id="open")
        found: pb.Invoice = await self.ask("FinalizeInvoice", request)
        return found

    async def befall(self, route: str, method: str = "POST") -> None:
        """Let every try of the next request of a route do its work and lose its answer."""
        fault = FaultSpec(
            kind="drop_after", method=method, route=route, count=TRIES,
            account=self.tenant.stripe_account,
        )  # fmt: skip
        await self.here.emulator.control.add_fault(fault)

    async def lost_then_found(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The reply to the second of two equal calls, of which the first learns no outcome."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason_of(caught.value) == "OUTCOME_UNKNOWN"
        return await ask()

    async def at_stripe(self) -> list[Any]:
        """The invoices that the tenant's Stripe account has."""
        params: Any = {"limit": 100}
        return (await self.here.sdk.v1.invoices.list_async(params, self.tenant.options)).data


async def desk_of(here: ServiceAndEmulator) -> PayingCustomer:
    """A new tenant with such a customer."""
    tenant = await here.tenant()
    sdk, options = here.sdk.v1, tenant.options
    customer = await sdk.customers.create_async({}, options)
    method = await sdk.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer.id}, options
    )
    await sdk.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}}, options
    )
    return PayingCustomer(here, tenant, customer.id)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(here: ServiceAndEmulator) -> PayingCustomer:
    return await desk_of(here)


async def test_a_hundred_equal_calls_make_one_invoice(desk: PayingCustomer) -> None:
    routes = ("POST /v1/invoices", "POST /v1/invoices/{id}/add_lines")
    before = [await desk.here.sent(route) for route in routes]
    made = await asyncio.gather(*(desk.create("same") for _ in range(100)))
    assert all(invoice == made[0] for invoice in made)
    assert [await desk.here.sent(route) for route in routes] == [one + 1 for one in before]
    assert [invoice.id for invoice in await desk.at_stripe()] == [made[0].id]


async def test_a_lost_answer_in_a_creation_ends_in_one_draft_with_its_lines(
    here: ServiceAndEmulator,
) -> None:
    async def lose(desk: PayingCustomer, route: str) -> None:
        await desk.befall(route)
        made = await desk.lost_then_found(lambda: desk.create("lost"))
        assert (made.status, made.total.amount, len(made.lines)) == ("draft", 1_000, 1)
        assert [(one.id, one.total) for one in await desk.at_stripe()] == [(made.id, 1_000)]
        assert await desk.ask("GetInvoice", pb.GetInvoiceRequest(id=made.id)) == made

    routes = ("/v1/invoices", "/v1/invoices/{id}/add_lines")
    desks = [await desk_of(here) for _ in routes]
    await asyncio.gather(*map(lose, desks, routes))


async def test_a_lost_answer_in_the_removal_of_a_refused_draft_leaves_nothing(
    desk: PayingCustomer,
) -> None:
    request = pb.CreateInvoiceRequest(
        invoice=pb.Invoice(customer=desk.customer, currency="usd"),
        items=[pb.InvoiceItem(price="price_unknown")],
        request_id="refused",
    )
    await desk.befall("/v1/invoices/{id}", "DELETE")
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await desk.ask("CreateInvoice", request)
        assert reason_of(caught.value) == "INVALID_FIELDS"
    assert await desk.at_stripe() == []


ACTIONS = (
    ("SendInvoice", pb.SendInvoiceRequest, "send", "open"),
    ("PayInvoice", pb.PayInvoiceRequest, "pay", "paid"),
    ("VoidInvoice", pb.VoidInvoiceRequest, "void", "void"),
    (
        "MarkInvoiceUncollectible", pb.MarkInvoiceUncollectibleRequest, "mark_uncollectible",
        "uncollectible",
    ),
)  # fmt: skip


async def test_a_lost_answer_of_an_action_is_found_done(here: ServiceAndEmulator) -> None:
    async def lose(
        desk: PayingCustomer, method: str, kind: Callable[..., Any], action: str, status: str
    ) -> None:
        opened = await desk.opened()
        await desk.befall(f"/v1/invoices/{{id}}/{action}")
        request = kind(id=opened.id, request_id="lost")
        done = await desk.lost_then_found(lambda: desk.ask(method, request))
        assert done.status == status
        (invoice,) = await desk.at_stripe()
        assert (invoice.id, invoice.status) == (opened.id, status)
        charges = await here.sdk.v1.charges.list_async({}, desk.tenant.options)
        assert len(charges.data) == (1 if action == "pay" else 0)

    desks = [await desk_of(here) for _ in ACTIONS]
    await asyncio.gather(*(lose(desk, *act) for desk, act in zip(desks, ACTIONS, strict=True)))


async def test_a_lost_answer_of_a_change_of_a_draft_is_found_done(here: ServiceAndEmulator) -> None:
    async def lose(desk: PayingCustomer, method: str, route: str, request: Any) -> pb.Invoice:
        await desk.befall(route)
        done: pb.Invoice = await desk.lost_then_found(lambda: desk.ask(method, request))
        return done

    one, two = await desk_of(here), await desk_of(here)
    first, second = await one.create("draft"), await two.create("draft")
    change = pb.UpdateInvoiceRequest(
        invoice=pb.Invoice(id=second.id, description="New"), request_id="lost"
    )
    finalization = pb.FinalizeInvoiceRequest(id=first.id, request_id="lost")
    opened, changed = await asyncio.gather(
        lose(one, "FinalizeInvoice", "/v1/invoices/{id}/finalize", finalization),
        lose(two, "UpdateInvoice", "/v1/invoices/{id}", change),
    )
    assert (opened.status, bool(opened.number)) == ("open", True)
    assert (changed.status, changed.description) == ("draft", "New")


async def test_a_lost_answer_of_a_deletion_is_not_even_noticed(desk: PayingCustomer) -> None:
    draft = await desk.create("draft")
    await desk.befall("/v1/invoices/{id}", "DELETE")
    before = await desk.here.sent("DELETE /v1/invoices/{id}")
    request = pb.DeleteInvoiceRequest(id=draft.id, request_id="lost")
    await desk.ask("DeleteInvoice", request)
    assert await desk.here.sent("DELETE /v1/invoices/{id}") > before + 1
    assert await desk.at_stripe() == []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.ask("GetInvoice", pb.GetInvoiceRequest(id=draft.id))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
