"""What follows a sale at a real service: it is renewed, given back, and keeps a connection open."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import checkout_service_pb2 as pb

from bootstrap.process import opened
from domain.billing_cycles import Interval
from domain.store_products import Offer
from tests.support.contract.tenant import Ground, fresh
from tests.support.rooms.store import PLAN
from tests.support.rooms.wallets_end_to_end import Family, family, payer
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import ServiceAndEmulator, details_of, until, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

MONTH_SECONDS = 32 * 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    folder = tmp_path_factory.mktemp("renewals")
    if request.param == "sqlite":
        async with world(folder) as made:
            yield made
    else:
        async with mongo_world(request.getfixturevalue("mongo_url"), folder) as made:
            yield made


class Sale:
    """A plan that a sub-account bought of its parent, who has one of its own at the platform."""

    def __init__(self, some: Family, checkout: Any) -> None:
        self.some, self.checkout = some, checkout
        self.ground = Ground(some.world, some.parent)
        self.there: Any = {"stripe_account": checkout.stripe_account}

    async def call(self, method: str, who: Any = None, **fields: Any) -> Any:
        wanted = {"account": self.some.child.account, "id": self.checkout.id, **fields}
        return await self.ground.call(f"CheckoutService.{method}", wanted, who)

    async def renewal(self) -> Any:
        subscriptions = self.some.world.sdk.v1.subscriptions
        return await subscriptions.retrieve_async(self.checkout.subscription, None, self.there)

    async def sellers_own(self) -> Any:
        """The parent's subscription at the platform, of this checkout."""
        found = await self.some.world.sdk.v1.subscriptions.list_async({"status": "all"})
        (own,) = (
            one
            for one in found.data
            if one.metadata.to_dict().get("billing_checkout") == self.checkout.id
        )
        return own

    async def in_state(self, state: str) -> Any:
        wanted = pb.CheckoutState.Value(f"CHECKOUT_STATE_{state}")

        async def look() -> Any:
            found = await self.call("GetCheckout")
            return found if found.state == wanted else None

        return await until(look)


@pytest_asyncio.fixture(loop_scope="module")
async def sale(here: ServiceAndEmulator) -> Sale:
    some = await family(here)
    price: Any = {
        "currency": "usd", "unit_amount": 4_900, "recurring": {"interval": "month"},
        "product_data": {"name": "Plan"},
    }  # fmt: skip
    stripe_price = (await here.sdk.v1.prices.create_async(price)).id
    monthly = Offer(
        PLAN.product, replace(PLAN.price, interval=Interval.MONTH, stripe_price=stripe_price)
    )
    async with opened(here.service.parsed()) as container:
        catalogue = container.stores.store_catalogue()
        await catalogue.put_product(monthly.product)
        await catalogue.put_price(monthly.price)
    await payer(some, some.parent)
    await payer(some, some.child)
    ground = Ground(here, some.child)
    quote = await ground.call(
        "CheckoutService.PreviewCheckout", {"item": {"price": PLAN.price.id, "quantity": 1}}
    )
    checkout = await ground.call(
        "CheckoutService.ExecuteCheckout", {"quote": quote.quote, "request_id": fresh()}
    )
    assert checkout.state == pb.CHECKOUT_STATE_COMPLETED
    return Sale(some, checkout)


async def test_a_whole_refund_ends_both_subscriptions(sale: Sale) -> None:
    assert sale.checkout.subscription
    assert (await sale.renewal()).status == "active"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sale.call(
            "RefundCheckout", sale.some.child, account="", reason="mine", request_id=fresh()
        )
    assert details_of(caught.value).reason == "NOT_CREDITOR"
    part = await sale.call("RefundCheckout", amount=900, reason="a part", request_id=fresh())
    assert (part.state, part.refunded.amount) == (pb.CHECKOUT_STATE_PARTLY_REFUNDED, 900)
    whole = await sale.call("RefundCheckout", reason="the rest", request_id=fresh())
    assert (whole.state, whole.refunded.amount) == (pb.CHECKOUT_STATE_REFUNDED, 4_900)
    assert (await sale.renewal()).status == "canceled"
    assert (await sale.sellers_own()).cancel_at_period_end


async def test_what_the_seller_does_at_stripe_is_followed(sale: Sale) -> None:
    """A refund in the dashboard: its event wakes the sale."""
    params: Any = {"payment_intent": sale.checkout.payment_intent}
    await sale.some.world.sdk.v1.refunds.create_async(params, sale.there)
    found = await sale.in_state("REFUNDED")
    assert found.refunded.amount == 4_900
    assert (await sale.renewal()).status == "canceled"


async def test_a_connection_is_not_ended_while_renewals_stand(sale: Sale) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sale.ground.call("ConnectionService.Disconnect", {"request_id": fresh()})
    info = details_of(caught.value)
    assert info.reason == "PROCESSES_OPEN"
    assert f"renewal {sale.checkout.id} (active)" in info.metadata["open"]


async def test_it_is_renewed_at_stripe_and_the_mirror_shows_it(sale: Sale) -> None:
    world = sale.some.world
    await world.emulator.control.advance_clock(MONTH_SECONDS)
    await world.delivered()

    async def paid() -> Any:
        listed = await sale.ground.call("InvoiceService.ListInvoices", {})
        return [
            one
            for one in listed.invoices
            if one.subscription == sale.checkout.subscription and one.total.amount == 4_900
        ]

    (invoice,) = await until(paid)
    assert invoice.status == "paid"
    found = await sale.call("GetCheckout")
    assert found.state == pb.CHECKOUT_STATE_COMPLETED
