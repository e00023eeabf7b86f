"""Checkouts over gRPC, each at the point where one of their methods has something to do."""

from typing import Any, Final

import stripe
from billing_client.v1 import checkout_service_pb2 as pb

from bootstrap.process import opened
from tests.support.contract.tenant import Fields, Ground
from tests.support.rooms.store import ADD_ON
from tests.support.rooms.wallets_end_to_end import Family, Payer, payer
from tests.support.servers.service import until

SERVICE: Final = "CheckoutService"
PAID: Final = 2 * 1_050
"""What two of the add-on come to, for who buys from the platform."""


async def buyer(ground: Ground, card: str = "visa") -> Payer:
    """The ground's tenant, who buys from the platform; the store has the add-on."""
    async with opened(ground.world.service.parsed()) as container:
        catalogue = container.stores.store_catalogue()
        await catalogue.put_product(ADD_ON.product)
        await catalogue.put_price(ADD_ON.price)
    return await payer(Family(ground.world, ground.tenant, ground.tenant), ground.tenant, card)


async def quoted(ground: Ground, card: str = "visa") -> Fields:
    """What buys two of the add-on."""
    await buyer(ground, card)
    item = {"price": ADD_ON.price.id, "quantity": 2}
    quote = await ground.call(f"{SERVICE}.PreviewCheckout", {"item": item})
    return {"quote": quote.quote}


async def begun(ground: Ground, card: str) -> Any:
    """A checkout by a card that does not pay by itself."""
    checkout = await ground.mutate(f"{SERVICE}.ExecuteCheckout", **await quoted(ground, card))
    assert checkout.state == pb.CHECKOUT_STATE_AWAITING_CUSTOMER
    return checkout


async def sold(ground: Ground) -> Fields:
    """What gives a part of a sale back that a sub-account bought of the ground's tenant."""
    child = await ground.world.tenant(parent=ground.tenant.account)
    some = Family(ground.world, ground.tenant, child)
    await some.grant(10_000)
    await buyer(ground)
    await payer(some, child)
    item = {"price": ADD_ON.price.id, "quantity": 2}
    quote = await ground.call(f"{SERVICE}.PreviewCheckout", {"item": item}, child)
    order = {"quote": quote.quote, "request_id": "sold"}
    checkout = await ground.call(f"{SERVICE}.ExecuteCheckout", order, child)
    assert checkout.state == pb.CHECKOUT_STATE_COMPLETED
    return {"account": child.account, "id": checkout.id, "amount": 500, "reason": "asked for"}


async def unconfirmed(ground: Ground) -> Fields:
    """A checkout that its buyer has still to confirm."""
    return {"id": (await begun(ground, "authenticationRequired")).id}


async def declined(ground: Ground) -> Fields:
    """What pays a declined checkout with another card."""
    checkout = await begun(ground, "chargeCustomerFail")
    params: Any = {"customer": checkout.customer}
    methods = ground.world.sdk.v1.payment_methods
    card = await methods.attach_async("pm_card_visa", params, place(checkout))
    return {"id": checkout.id, "payment_method": card.id}


async def odd(ground: Ground) -> Fields:
    """What closes a checkout whose payment is another than was asked for."""
    checkout = await begun(ground, "authenticationRequired")
    intents, amount = ground.world.sdk.v1.payment_intents, stripe_params(amount=100)
    await intents.update_async(checkout.payment_intent, amount, place(checkout))
    await ground.world.emulator.control.happen(
        "payment_intents", checkout.payment_intent, "authenticate", {},
        account=checkout.stripe_account,
    )  # fmt: skip
    await in_state(ground, checkout.id, pb.CHECKOUT_STATE_NEEDS_ATTENTION)
    return {
        "account": ground.tenant.account, "id": checkout.id, "reason": "settled by hand",
        "resolution": pb.CHECKOUT_RESOLUTION_CLOSE,
    }  # fmt: skip


async def in_state(ground: Ground, checkout: str, state: int) -> Any:
    """Wait until a checkout has a state."""

    async def look() -> Any:
        found = await ground.call(f"{SERVICE}.GetCheckout", {"id": checkout})
        return found if found.state == state else None

    return await until(look)


def place(checkout: Any) -> stripe.RequestOptions:
    """What makes the SDK act where a checkout is paid."""
    return {"stripe_account": checkout.stripe_account}


def stripe_params(**params: Any) -> Any:
    """Parameters of a request."""
    return params
