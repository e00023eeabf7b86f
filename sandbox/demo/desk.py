"""What the platform's screens do about customers, done over gRPC: find, link, bill, be paid."""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from billing_client.v1.contact_link_service_pb2 import (
    ContactMapping,
    GetContactLinkRequest,
    Linking,
    StartLinkingRequest,
    UpdateContactMappingRequest,
    WatchLinkingRequest,
)
from billing_client.v1.contact_link_service_pb2_grpc import ContactLinkServiceStub
from billing_client.v1.customer_service_pb2 import Customer, SearchCustomersRequest
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from billing_client.v1.invoice_service_pb2 import (
    CurrencyInvoiceTotals,
    GetInvoiceTotalsRequest,
    Invoice,
    InvoiceItem,
    PayInvoiceRequest,
)
from billing_client.v1.invoice_service_pb2_grpc import InvoiceServiceStub
from billing_client.v1.money_pb2 import Money
from billing_client.v1.payment_link_service_pb2 import CreatePaymentLinkRequest, PaymentLink
from billing_client.v1.payment_link_service_pb2_grpc import PaymentLinkServiceStub
from billing_client.v1.payment_method_service_pb2 import ListPaymentMethodsRequest, PaymentMethod
from billing_client.v1.payment_method_service_pb2_grpc import PaymentMethodServiceStub

from sandbox.demo.mirror import LONG_SECONDS, SECONDS, Mirror, bearer
from sandbox.demo.world import Business

_MAPPING: Final = {"name": "name", "email": "email", "phone": "phone"}
_ITEMS: Final = (("Onboarding, two hours", 2, 9_000), ("Monthly report", 1, 4_500))


@dataclass(frozen=True, slots=True)
class DayAtTheDesk:
    """What came of it: `paid` is the invoice of one of two payment links, `open_link` the other."""

    business: Business
    linking: Linking
    query: str
    found: list[Customer]
    customer: Customer
    method: PaymentMethod
    paid: Invoice
    open_link: PaymentLink
    totals: CurrencyInvoiceTotals


class Desk:
    """The desk of one business. Every method raises grpc.aio.AioRpcError."""

    def __init__(self, mirror: Mirror, business: Business) -> None:
        channel = mirror.channel
        self._mirror = mirror
        self._business = business
        self._contacts = ContactLinkServiceStub(channel)
        self._customers = CustomerServiceStub(channel)
        self._invoices = InvoiceServiceStub(channel)
        self._links = PaymentLinkServiceStub(channel)
        self._methods = PaymentMethodServiceStub(channel)
        self._metadata = bearer(business)

    async def day(self) -> DayAtTheDesk:
        """Make a contact of every customer, find one, send two links, and have one of them paid."""
        linking = await self._link_all()
        customer, method = await self._who_can_pay(await self._mirror.customers(self._business))
        query = " ".join(word[:2].lower() for word in customer.name.split())
        found = await self._search(query)
        contact = await self._contact(customer)
        first, second = await self._payment_link(contact), await self._payment_link(contact)
        paid = await self._pay(first, method)
        return DayAtTheDesk(
            self._business, linking, query, found, customer, method, paid, second,
            await self._totals(),
        )  # fmt: skip

    async def _link_all(self) -> Linking:
        mapping = ContactMapping(fields=_MAPPING, create_contacts=True)
        await self._contacts.UpdateContactMapping(
            UpdateContactMappingRequest(contact_mapping=mapping, request_id=uuid4().hex),
            metadata=self._metadata, timeout=SECONDS,
        )  # fmt: skip
        await self._contacts.StartLinking(
            StartLinkingRequest(), metadata=self._metadata, timeout=SECONDS
        )
        watch = self._contacts.WatchLinking(
            WatchLinkingRequest(), metadata=self._metadata, timeout=LONG_SECONDS
        )
        return [linking async for linking in watch][-1]

    async def _search(self, query: str) -> list[Customer]:
        page = await self._customers.SearchCustomers(
            SearchCustomersRequest(query=query), metadata=self._metadata, timeout=SECONDS
        )
        return list(page.customers)

    async def _who_can_pay(self, customers: list[Customer]) -> tuple[Customer, PaymentMethod]:
        """The newest of them with a payment method. LookupError where none has one."""
        for customer in customers:
            page = await self._methods.ListPaymentMethods(
                ListPaymentMethodsRequest(customer=customer.id),
                metadata=self._metadata, timeout=SECONDS,
            )  # fmt: skip
            if page.payment_methods:
                return customer, page.payment_methods[0]
        raise LookupError("no customer has a payment method")

    async def _contact(self, customer: Customer) -> str:
        link = await self._contacts.GetContactLink(
            GetContactLinkRequest(customer=customer.id), metadata=self._metadata, timeout=SECONDS
        )
        return link.contact

    async def _payment_link(self, contact: str) -> PaymentLink:
        currency = self._business.currency
        items = [
            InvoiceItem(
                description=words, quantity=quantity,
                unit_amount=Money(amount=amount, currency=currency),
            )
            for words, quantity, amount in _ITEMS
        ]  # fmt: skip
        request = CreatePaymentLinkRequest(
            contact=contact, currency=currency, items=items, memo="Thank you",
            request_id=uuid4().hex,
        )  # fmt: skip
        return await self._links.CreatePaymentLink(
            request, metadata=self._metadata, timeout=SECONDS
        )

    async def _pay(self, link: PaymentLink, method: PaymentMethod) -> Invoice:
        request = PayInvoiceRequest(
            id=link.invoice, payment_method=method.id, request_id=uuid4().hex
        )
        return await self._invoices.PayInvoice(request, metadata=self._metadata, timeout=SECONDS)

    async def _totals(self) -> CurrencyInvoiceTotals:
        totals = await self._invoices.GetInvoiceTotals(
            GetInvoiceTotalsRequest(), metadata=self._metadata, timeout=SECONDS
        )
        (own,) = totals.currencies
        return own
