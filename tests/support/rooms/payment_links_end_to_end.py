"""Payment links on the real service: its world, the platform's short links, the CRM's contacts."""

import dataclasses
from typing import Any, Final

import grpc
import pytest
import stripe
from aiohttp import web
from billing_client.v1 import payment_link_service_pb2 as pb
from billing_client.v1.invoice_service_pb2 import InvoiceItem
from billing_client.v1.money_pb2 import Money
from billing_client.v1.payment_link_service_pb2_grpc import PaymentLinkServiceStub

from application.contacts.ports import ContactDirectory, ContactLink
from bootstrap.process import opened
from domain.contacts import Contact
from infrastructure.clock import SystemClock
from sandbox.emulator.core.messages import FaultSpec
from tests.support.servers.service import PRIVATE, ServiceAndEmulator, Tenant

SECRET: Final = "an-app-secret-of-more-than-32-bytes!!"
EMAIL: Final = f"ada@{PRIVATE.lower()}.example"
SHORT: Final = "https://s.example/"


class Shortener:
    """The platform's short links, as long as it is `up`."""

    def __init__(self) -> None:
        self.up = True
        self.links: list[str] = []

    async def shorten(self, request: web.Request) -> web.Response:
        if not self.up:
            raise web.HTTPServiceUnavailable
        assert request.headers["Authorization"].startswith("Bearer ")
        self.links.append((await request.json())["url"])
        return web.json_response({"short_url": f"{SHORT}{len(self.links)}"})


@dataclasses.dataclass
class Place:
    """The world, the shortener beside it, and how a tenant's contacts are kept."""

    world: ServiceAndEmulator
    shortener: Shortener

    async def contact(self, tenant: Tenant, contact: str = "ada", **fields: str) -> None:
        """A contact in the CRM; by default with an address and a name."""
        kept = fields or {"email": EMAIL, "name": f"Ada {PRIVATE}"}
        async with opened(self.world.service.parsed()) as container:
            await container.stores.contacts().add(Contact(contact, tenant.account, kept))

    async def link(self, tenant: Tenant, customer: str, contact: str = "ada") -> None:
        """Link a customer to a contact."""
        async with opened(self.world.service.parsed()) as container:
            contacts: ContactDirectory = container.stores.contacts()
            link = ContactLink(
                tenant.account, tenant.stripe_account, customer, contact, SystemClock().now()
            )
            assert await contacts.link(link) == link

    async def linked(self, tenant: Tenant, contact: str = "ada") -> str | None:
        """The customer that a contact is linked to."""
        async with opened(self.world.service.parsed()) as container:
            contacts: ContactDirectory = container.stores.contacts()
            link = await contacts.link_of(tenant.account, tenant.stripe_account, contact)
        return link and link.customer

    async def ask(self, tenant: Tenant, request_id: str = "one", **changes: Any) -> pb.PaymentLink:
        """CreatePaymentLink for 12.50 USD twice."""
        fields: dict[str, Any] = {
            "contact": "ada", "currency": "usd", "items": [item(1_250, quantity=2)],
            "request_id": request_id, **changes,
        }  # fmt: skip
        stub = PaymentLinkServiceStub(self.world.service.channel)
        return await stub.CreatePaymentLink(
            pb.CreatePaymentLinkRequest(**fields), metadata=tenant.metadata, timeout=20
        )

    async def refused(self, tenant: Tenant, **changes: Any) -> grpc.aio.AioRpcError:
        """The error that the same ends with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(tenant, **changes)
        return caught.value

    async def customers(self, tenant: Tenant) -> list[stripe.Customer]:
        """All customers at Stripe."""
        found = await self.world.sdk.v1.customers.list_async({"limit": 100}, tenant.options)
        return found.data

    async def invoices(self, tenant: Tenant) -> list[stripe.Invoice]:
        """All invoices at Stripe."""
        found = await self.world.sdk.v1.invoices.list_async({"limit": 100}, tenant.options)
        return found.data

    async def befall(self, tenant: Tenant, route: str, **fault: Any) -> None:
        """Order a fault of a tenant's requests to a route, as `POST /v1/customers`."""
        method, _, template = route.partition(" ")
        spec = FaultSpec(method=method, route=template, account=tenant.stripe_account, **fault)
        await self.world.emulator.control.add_fault(spec)


def item(unit_amount: int, *, quantity: int = 1) -> InvoiceItem:
    """An item of its own price."""
    return InvoiceItem(
        description="Work", quantity=quantity, unit_amount=Money(amount=unit_amount, currency="usd")
    )
