"""What the end-to-end tests of subscriptions begin with."""

import itertools
from typing import Any

import grpc
import pytest
import stripe
from billing_client.v1 import subscription_service_pb2 as pb
from billing_client.v1.subscription_service_pb2_grpc import SubscriptionServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from tests.support.servers.service import ServiceAndEmulator, Tenant

_ids = itertools.count()


def fresh() -> str:
    """A request id of its own."""
    return f"request-{next(_ids)}"


class SubscriptionCalls:
    """A tenant's service and his Stripe account, with a price and a customer who can pay."""

    def __init__(self, here: ServiceAndEmulator, tenant: Tenant) -> None:
        self.here = here
        self.tenant = tenant
        self.stub = SubscriptionServiceStub(here.service.channel)
        self.sdk = here.sdk.v1
        self.price = self.customer = ""

    async def call(self, method: str, request: Any) -> Any:
        return await getattr(self.stub, method)(request, metadata=self.tenant.metadata, timeout=20)

    async def refused(self, method: str, request: Any) -> ErrorInfo:
        """What a call that fails says; its code is FAILED_PRECONDITION, NOT_FOUND or the like."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request)
        status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]  # typed for synchronous calls
        info = ErrorInfo()
        (detail,) = (one for one in status.details if one.Is(ErrorInfo.DESCRIPTOR))
        detail.Unpack(info)
        return info

    async def payer(self, card: str = "pm_card_visa") -> str:
        customer = await self.sdk.customers.create_async({}, self.tenant.options)
        method = await self.sdk.payment_methods.attach_async(
            card, {"customer": customer.id}, self.tenant.options
        )
        await self.sdk.customers.update_async(
            customer.id,
            {"invoice_settings": {"default_payment_method": method.id}},
            self.tenant.options,
        )
        return customer.id

    async def monthly(self, amount: int) -> str:
        made = await self.sdk.prices.create_async(
            {
                "currency": "usd", "unit_amount": amount, "recurring": {"interval": "month"},
                "product_data": {"name": "Seat"},
            },
            self.tenant.options,
        )  # fmt: skip
        return made.id

    def place(self, method: str, route: str) -> dict[str, Any]:
        """Where a fault befalls this tenant."""
        return {"method": method, "route": route, "account": self.tenant.stripe_account}

    def creation(self, **more: Any) -> pb.CreateSubscriptionRequest:
        items = more.pop("items", [pb.NewSubscriptionItem(price=self.price, quantity=2)])
        fields = {"customer": self.customer, "request_id": fresh(), **more}
        return pb.CreateSubscriptionRequest(items=items, **fields)

    async def create(self, **more: Any) -> pb.Subscription:
        made: pb.Subscription = await self.call("CreateSubscription", self.creation(**more))
        return made

    async def canceled(self) -> pb.Subscription:
        made = await self.create()
        request = pb.CancelSubscriptionRequest(id=made.id, request_id=fresh())
        ended: pb.Subscription = await self.call("CancelSubscription", request)
        return ended

    async def at_stripe(self, customer: str) -> list[stripe.Subscription]:
        listed = await self.sdk.subscriptions.list_async(
            {"customer": customer, "status": "all"}, self.tenant.options
        )
        return listed.data
