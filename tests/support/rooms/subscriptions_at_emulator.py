"""What the emulator's subscription tests begin with."""

from typing import Any

import stripe


async def payer(client: stripe.StripeClient, card: str = "pm_card_visa") -> str:
    """A customer with a default payment method."""
    customer = await client.v1.customers.create_async({"email": "ada@example.com"})
    method = await client.v1.payment_methods.attach_async(card, {"customer": customer.id})
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}}
    )
    return customer.id


async def monthly(client: stripe.StripeClient, amount: int = 1000, **recurring: Any) -> str:
    params: Any = {
        "currency": "usd",
        "unit_amount": amount,
        "product_data": {"name": "Plan"},
        "recurring": {"interval": "month", **recurring},
    }
    return (await client.v1.prices.create_async(params)).id


async def subscribed(
    client: stripe.StripeClient, *, amount: int = 1000, card: str = "pm_card_visa", **more: Any
) -> stripe.Subscription:
    params: Any = {
        "customer": await payer(client, card),
        "items": [{"price": await monthly(client, amount)}],
        "expand": ["latest_invoice"],
        **more,
    }
    return await client.v1.subscriptions.create_async(params)


async def types(client: stripe.StripeClient) -> list[str]:
    """Types of all events, oldest first."""
    page = await client.v1.events.list_async({"limit": 100})
    found: list[str] = [event.type async for event in page.auto_paging_iter()]
    return found[::-1]


async def invoices(client: stripe.StripeClient, subscription: str) -> list[stripe.Invoice]:
    """The invoices of a subscription, oldest first."""
    page = await client.v1.invoices.list_async({"subscription": subscription, "limit": 100})
    return page.data[::-1]


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end
