"""A caller of InvoiceService with a customer of his, and what a refusal tells him."""

from collections.abc import Awaitable, Mapping
from typing import Any

import grpc
import pytest
from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1.money_pb2 import Money
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from tests.support.servers.service import PRIVATE, ServiceAndEmulator, Tenant


class InvoiceCalls:
    """A tenant, one customer of his, and short ways to ask."""

    def __init__(self, here: ServiceAndEmulator, tenant: Tenant, customer: str) -> None:
        self.here, self.tenant, self.customer = here, tenant, customer
        self.stub = here.service.invoices
        self._requests = 0

    async def ask(self, method: str, request: Any) -> Any:
        """The reply, under a new request id where the method takes one and none is given."""
        self._requests += 1
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = f"request-{self._requests}"
        return await getattr(self.stub, method)(request, metadata=self.tenant.metadata, timeout=20)

    async def draft(self, *items: pb.InvoiceItem, **more: Any) -> pb.Invoice:
        """A draft of 10.00 USD, or of the items."""
        request = pb.CreateInvoiceRequest(
            invoice=self.new(**more), items=items or [item(1_000, "Work")]
        )
        made: pb.Invoice = await self.ask("CreateInvoice", request)
        return made

    def new(self, **more: Any) -> pb.Invoice:
        """What to create."""
        return pb.Invoice(**{"customer": self.customer, "currency": "usd", **more})

    async def opened(self, **more: Any) -> pb.Invoice:
        """An open invoice that is sent."""
        draft = await self.draft(collection_method="send_invoice", days_until_due=14, **more)
        found: pb.Invoice = await self.ask(
            "FinalizeInvoice", pb.FinalizeInvoiceRequest(id=draft.id)
        )
        return found

    async def paid(self) -> pb.Invoice:
        """A paid one."""
        request = pb.PayInvoiceRequest(id=(await self.opened()).id, paid_out_of_band=True)
        found: pb.Invoice = await self.ask("PayInvoice", request)
        return found

    async def get(self, invoice_id: str) -> pb.Invoice:
        """An invoice of the mirror."""
        found: pb.Invoice = await self.ask("GetInvoice", pb.GetInvoiceRequest(id=invoice_id))
        return found

    async def with_card(self, card: str) -> str:
        """Give the customer a default payment method; its id."""
        sdk, options = self.here.sdk.v1, self.tenant.options
        method = await sdk.payment_methods.attach_async(card, {"customer": self.customer}, options)
        await sdk.customers.update_async(
            self.customer, {"invoice_settings": {"default_payment_method": method.id}}, options
        )
        return method.id


async def desk_of(here: ServiceAndEmulator) -> InvoiceCalls:
    """A new tenant with a customer."""
    tenant = await here.tenant()
    params: Any = {"name": f"Ada {PRIVATE}"}
    customer = await here.sdk.v1.customers.create_async(params, tenant.options)
    return InvoiceCalls(here, tenant, customer.id)


def item(amount: int, description: str = "", **more: Any) -> pb.InvoiceItem:
    return pb.InvoiceItem(
        description=description, unit_amount=Money(amount=amount, currency="usd"), **more
    )


class Refused:
    """A refusal: its code, its reason, its facts, and the fields that it names."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code, self.message = error.code(), error.details() or ""
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for synchronous calls
        assert status is not None
        info, bad = ErrorInfo(), BadRequest()
        for detail in status.details:
            for kind in (info, bad):
                if detail.Is(kind.DESCRIPTOR):
                    detail.Unpack(kind)
        self.reason: str = info.reason
        self.metadata: Mapping[str, str] = dict(info.metadata)
        self.fields = [violation.field for violation in bad.field_violations]


async def refused(call: Awaitable[Any]) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused(caught.value)


async def refused_for_state(call: Awaitable[Any], state: str) -> None:
    refusal = await refused(call)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert refusal.metadata["state"] == state
    assert refusal.metadata["resource"] == "invoice"
