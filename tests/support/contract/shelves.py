"""What a tenant has at Stripe: an object of each noun, for requests that name them."""

from dataclasses import dataclass

from tests.support.contract.tenant import Ground
from tests.support.servers.service import until


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one tenant has at Stripe."""

    ground: Ground
    customer: str
    method: str
    source: str
    price: str
    once: str
    product: str
    subscription: str
    item: str
    draft: str
    opened: str
    charge: str
    payout: str


async def shelf(ground: Ground) -> Shelf:
    v1, options = ground.world.sdk.v1, ground.tenant.options
    customer = await ground.payer()
    methods = await ground.call("PaymentMethodService.ListPaymentMethods", {"customer": customer})
    source = await v1.customers.payment_sources.create_async(
        customer, {"source": "tok_visa"}, options
    )
    price = await ground.price()
    once = await v1.prices.create_async(
        {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Once"}}, options
    )
    subscribed = await ground.mutate(
        "SubscriptionService.CreateSubscription", customer=customer, items=[{"price": price}]
    )
    return Shelf(
        ground, customer, methods.payment_methods[0].id, source.id, price, once.id,
        str(once.product), subscribed.id, subscribed.items[0].id, await ground.draft(),
        await ground.opened(), await ground.charge(), await payout(ground),
    )  # fmt: skip


async def payout(ground: Ground) -> str:
    """A payout that the mirror knows."""
    v1, options = ground.world.sdk.v1, ground.tenant.options
    await v1.charges.create_async(
        {"amount": 5_000, "currency": "usd", "source": "tok_bypassPending"}, options
    )
    made = await v1.payouts.create_async({"amount": 700, "currency": "usd"}, options)

    async def look() -> bool:
        listed = await ground.call("PayoutService.ListPayouts", {})
        return made.id in [payout.id for payout in listed.payouts]

    assert await until(look)
    return made.id
