"""Invoices made through the gateway, and the Stripe account that they are made in."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import stripe

from application.invoices.ports import (
    InvoiceAction,
    InvoiceFields,
    InvoiceItemFields,
    NewInvoice,
    NewInvoiceLines,
    PayInvoice,
)
from application.mutations.stripe import Call
from domain.invoices import Invoice
from domain.mirror import Snapshot
from infrastructure.stripe.invoices.gateway import StripeInvoices

DUE: Final = dt.datetime(2031, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
SENT: Final = InvoiceFields(collection_method="send_invoice", days_until_due=14)
WORK: Final = InvoiceItemFields(description="Work", unit_amount=1_000)


class Merchant:
    """The Stripe account, through the unmodified SDK."""

    def __init__(self, sdk: stripe.StripeClient, account: str) -> None:
        self.v1 = sdk.v1
        self.options: stripe.RequestOptions = {"stripe_account": account}

    async def customer(self, card: str = "pm_card_visa") -> str:
        """A customer with a default payment method."""
        made = await self.v1.customers.create_async({}, self.options)
        method = await self.v1.payment_methods.attach_async(
            card, {"customer": made.id}, self.options
        )
        await self.v1.customers.update_async(
            made.id, {"invoice_settings": {"default_payment_method": method.id}}, self.options
        )
        return made.id

    async def price(self, currency: str = "usd", **more: Any) -> stripe.Price:
        """A price of 2.50."""
        params: Any = {
            "currency": currency, "unit_amount": 250, "product_data": {"name": "Seat"}, **more,
        }  # fmt: skip
        return await self.v1.prices.create_async(params, self.options)


class Drawer:
    """Makes invoices through the gateway."""

    def __init__(
        self, invoices: StripeInvoices, call: Callable[[str], Call], customer: str
    ) -> None:
        self.invoices, self.call, self.customer = invoices, call, customer

    async def empty(self, fields: InvoiceFields = SENT) -> Invoice:
        """A draft without lines."""
        params = NewInvoice(self.customer, "usd", fields)
        return shown(await self.invoices.create(self.call("create"), params))

    async def draft(self, *items: InvoiceItemFields) -> Invoice:
        """A draft with lines, by default one."""
        made = await self.empty()
        return shown(await self.invoices.add_lines(self.call("lines"), lines(made.id, *items)))

    async def opened(self) -> Invoice:
        """An open invoice."""
        action = InvoiceAction((await self.draft()).id)
        return shown(await self.invoices.finalize(self.call("open"), action))

    async def paid(self) -> Invoice:
        """A paid one."""
        payment = PayInvoice((await self.opened()).id)
        return shown(await self.invoices.pay(self.call("paid"), payment))


def lines(invoice: str, *items: InvoiceItemFields) -> NewInvoiceLines:
    return NewInvoiceLines(invoice, "usd", items or (WORK,))


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def shown(snapshot: Snapshot[Invoice] | None) -> Invoice:
    assert snapshot is not None
    assert snapshot.object is not None
    assert not snapshot.unknown
    return snapshot.object
