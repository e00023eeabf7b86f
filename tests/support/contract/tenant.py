"""A tenant, and objects of his on which any RPC can be tried, made by RPCs where there are any."""

import importlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import billing_client.v1
import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bootstrap.process import opened
from domain.contacts import Contact
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    token_for,
    until,
)

Fields = dict[str, Any]

EMAIL: Final = f"zoe@{PRIVATE.lower()}.example"
_ids: Final = itertools.count()

OPERATOR: Final = Tenant("-", "", token_for("-"))
OPERATORS_ONLY: Final = {"CheckoutService.ResolveCheckout"}
"""Methods that a ground calls as an operator, for its tenant."""


def _contract() -> Mapping[str, tuple[MethodDescriptor, type[Any]]]:
    """Every method, as `InvoiceService.PayInvoice`, with the stub of its service."""
    (folder,) = billing_client.v1.__path__
    found = {}
    for path in sorted(Path(folder).glob("*_service_pb2.py")):
        file = importlib.import_module(f"billing_client.v1.{path.stem}").DESCRIPTOR
        stubs = importlib.import_module(f"billing_client.v1.{path.stem}_grpc")
        for service in file.services_by_name.values():
            stub = getattr(stubs, f"{service.name}Stub")
            found |= {f"{service.name}.{one.name}": (one, stub) for one in service.methods}
    return found


METHODS: Final = _contract()


def fresh() -> str:
    """A request id that was never used."""
    return f"fresh-{next(_ids)}"


def request_of(name: str, fields: Fields) -> Message:
    """The request of a method."""
    request: Message = GetMessageClass(METHODS[name][0].input_type)(**fields)
    return request


def as_sent(method: MethodDescriptor, request: Message) -> Any:
    """What a stub of a method is called with: the request, or a stream of it alone."""
    return iter([request]) if method.client_streaming else request


class Ground:
    """A tenant to whom mutations happen."""

    def __init__(self, world: ServiceAndEmulator, tenant: Tenant) -> None:
        self.world = world
        self.tenant = tenant

    async def call(self, name: str, fields: Fields, tenant: Tenant | None = None) -> Any:
        """The reply of a method."""
        return await self.send(name, request_of(name, fields), tenant)

    async def send(self, name: str, request: Message, tenant: Tenant | None = None) -> Any:
        """The reply of a method to a request as it is."""
        method, stub = METHODS[name]
        send = getattr(stub(self.world.service.channel), method.name)
        mine = OPERATOR if name in OPERATORS_ONLY else self.tenant
        metadata = (tenant or mine).metadata
        return await send(as_sent(method, request), metadata=metadata, timeout=25)

    async def mutate(self, name: str, **fields: Any) -> Any:
        """The same under a fresh request id."""
        return await self.call(name, {**fields, "request_id": fresh()})

    async def stripe(self, path: str, **params: Any) -> Any:
        """What Stripe answers to a GET."""
        response = await self.world.sdk.raw_request_async(
            "get", path, stripe_account=self.tenant.stripe_account, **params
        )
        return json.loads(response.body)

    async def events(self, type_: str) -> int:
        """How many events of a type have happened at Stripe, a hundred at most."""
        return len((await self.stripe("/v1/events", type=type_, limit=100))["data"])

    async def customer(self) -> str:
        """A customer that the mirror knows."""
        made = await self.mutate("CustomerService.CreateCustomer", customer={"email": EMAIL})
        return str(made.id)

    async def payer(self) -> str:
        """A customer with a default card."""
        customer = await self.customer()
        await self.mutate(
            "PaymentMethodService.SetDefaultPaymentMethod",
            customer=customer, id=await self.card(customer),
        )  # fmt: skip
        return customer

    async def card(self, customer: str) -> str:
        """A card of a customer's."""
        made = await self.mutate(
            "PaymentMethodService.AttachPaymentMethod", customer=customer, id="pm_card_visa"
        )
        return str(made.id)

    async def product(self) -> str:
        """A product without prices."""
        made = await self.mutate("CatalogService.CreateProduct", product={"name": "Seat"})
        return str(made.product.id)

    async def price(self) -> str:
        """A monthly price."""
        made = await self.world.sdk.v1.prices.create_async(
            {
                "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"},
                "product_data": {"name": "Seat"},
            },
            self.tenant.options,
        )  # fmt: skip
        return made.id

    async def draft(self, *, sent: bool = True) -> str:
        """A draft of an invoice; else one that is charged automatically."""
        made = await self.mutate("InvoiceService.CreateInvoice", **await invoice(self, sent=sent))
        return str(made.id)

    async def opened(self, *, sent: bool = True) -> str:
        """An open invoice."""
        made = await self.mutate("InvoiceService.FinalizeInvoice", id=await self.draft(sent=sent))
        assert made.status == "open"
        return str(made.id)

    async def subscription(self) -> str:
        """An active subscription."""
        made = await self.mutate("SubscriptionService.CreateSubscription", **await plan(self))
        assert made.status == "active"
        return str(made.id)

    async def charge(self) -> str:
        """A charge of 20.00 USD that the mirror knows."""
        await self.world.sdk.v1.payment_intents.create_async(
            {
                "amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            },
            self.tenant.options,
        )  # fmt: skip
        (made,) = (await self.stripe("/v1/charges", limit=1))["data"]

        async def look() -> bool:
            try:
                await self.call("ChargeService.GetCharge", {"id": made["id"]})
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return False
            return True

        assert await until(look)
        return str(made["id"])

    async def contact(self) -> str:
        """A contact in the CRM."""
        made = Contact(fresh(), self.tenant.account, {"email": EMAIL, "name": PRIVATE})
        async with opened(self.world.service.parsed()) as container:
            await container.stores.contacts().add(made)
        return made.id

    async def note(self) -> str:
        """A note."""
        made = await self.mutate(
            "NoteService.CreateNote", customer=await self.customer(), text="first"
        )
        return str(made.id)


async def invoice(g: Ground, *, sent: bool = True) -> Fields:
    due = {"collection_method": "send_invoice", "days_until_due": 9} if sent else {}
    unit_amount = {"amount": 700, "currency": "usd"}
    return {
        "invoice": {"customer": await g.payer(), "currency": "usd", **due},
        "items": [{"description": "Work", "quantity": 3, "unit_amount": unit_amount}],
    }


async def plan(g: Ground) -> Fields:
    return {"customer": await g.payer(), "items": [{"price": await g.price(), "quantity": 2}]}
