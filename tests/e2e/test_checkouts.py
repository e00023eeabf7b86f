"""Checkouts at a real service, on both stores: bought once, by both legs, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import checkout_service_pb2 as pb

from bootstrap.process import opened
from domain.billing_cycles import Interval
from domain.store_products import Offer
from tests.support.contract.tenant import Fields, fresh
from tests.support.rooms.checkouts_end_to_end import odd
from tests.support.rooms.shop_end_to_end import Buyers, buyers, reasons, settings, shop
from tests.support.rooms.store import ADD_ON, PLAN
from tests.support.rooms.wallets_end_to_end import OPERATOR, payer
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import ServiceAndEmulator, Tenant, details_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPLETED = pb.CHECKOUT_STATE_COMPLETED
ASKS = pb.CHECKOUT_STATE_AWAITING_CUSTOMER
CANCELED = pb.CHECKOUT_STATE_CANCELED
PAYING = pb.CHECKOUT_STATE_PAYING
TWO = {"price": "price_add_on", "quantity": 2}
NUMBERS = {"price": "price_number", "quantity": 3, "country": "DE", "number_kind": 1}
SEATS = {"price": "price_monthly", "quantity": 2}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    folder = tmp_path_factory.mktemp("checkouts")
    made = None
    if request.param == "mongo":
        made = mongo_world(request.getfixturevalue("mongo_url"), folder, **settings(folder))
    async with shop(folder, made) as filled:
        price: Any = {
            "currency": "usd", "unit_amount": 4_900, "recurring": {"interval": "month"},
            "product_data": {"name": "Seat"},
        }  # fmt: skip
        there = (await filled.sdk.v1.prices.create_async(price)).id
        monthly = Offer(
            PLAN.product,
            replace(PLAN.price, id="price_monthly", interval=Interval.MONTH, stripe_price=there),
        )
        await put(filled, monthly)
        yield filled


async def put(here: ServiceAndEmulator, offer: Offer) -> None:
    """Put an offer into the store."""
    async with opened(here.service.parsed()) as container:
        catalogue = container.stores.store_catalogue()
        await catalogue.put_product(offer.product)
        await catalogue.put_price(offer.price)


@dataclass(frozen=True, slots=True)
class Shopping:
    """A family that buys; the parent sells at one and a half times the platform's prices."""

    buyers: Buyers

    async def call(self, method: str, who: Tenant | None = None, **fields: Any) -> Any:
        """The reply of a method, to the child unless another asks."""
        kin = self.buyers.kin
        return await kin.ground.call(f"CheckoutService.{method}", fields, who or kin.child)

    async def mutate(self, method: str, who: Tenant | None = None, **fields: Any) -> Any:
        """The same under a fresh request id, unless one is given."""
        return await self.call(method, who, **{"request_id": fresh(), **fields})

    async def quote(self, item: Fields, **fields: Any) -> str:
        """A quote for the child."""
        return str((await self.call("PreviewCheckout", item=item, **fields)).quote)

    async def buy(self, item: Fields, card: str = "") -> Any:
        """A checkout of the child's."""
        quote = await self.quote(item, payment_method=card)
        return await self.mutate("ExecuteCheckout", quote=quote, payment_method=card)

    async def refused(
        self, method: str, who: Tenant | None = None, **fields: Any
    ) -> tuple[str, dict[str, str]]:
        """Why a method is refused, and its metadata."""
        try:
            await self.call(method, who, **fields)
        except grpc.aio.AioRpcError as error:
            info = details_of(error)
            return info.reason, dict(info.metadata)
        raise AssertionError("not refused")

    async def in_state(self, checkout: Any, state: int) -> Any:
        """Wait until a checkout has a state."""

        async def look() -> Any:
            found = await self.call("GetCheckout", id=checkout.id)
            return found if found.state == state else None

        return await until(look)

    async def intents(self) -> list[Any]:
        """The child's payments."""
        child = self.buyers.child
        intents = self.buyers.kin.world.sdk.v1.payment_intents
        query: Any = {"customer": child.customer, "limit": 100}
        return list((await intents.list_async(query, child.options)).data)

    async def balance(self) -> tuple[int, int]:
        """What is available to the parent, and what is held."""
        wallet = await self.buyers.kin.call(self.buyers.kin.parent, "GetWallet")
        return wallet.available.amount, wallet.held.amount


@pytest_asyncio.fixture(loop_scope="module")
async def some(here: ServiceAndEmulator) -> Shopping:
    made = await buyers(here)
    services = ("one_off", "phone_number", "listing", "subscription")
    multipliers = {f"store.{service}": "1.5" for service in services}
    await made.kin.mutate(
        made.kin.parent, "UpdateRebilling", account=made.kin.child.account,
        settings={"multipliers": multipliers},
    )  # fmt: skip
    return Shopping(made)


# --- bought ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "total", "cost", "held"),
    [(TWO, 3_150, 2_100, 2_100), (NUMBERS, 1_244, 830, 830), (SEATS, 14_700, 9_800, 0)],
)
async def test_it_is_bought_by_both_legs(
    some: Shopping, item: Fields, total: int, cost: int, held: int
) -> None:
    kin = some.buyers.kin
    checkout = await some.buy(item)
    assert (checkout.state, checkout.total.amount) == (COMPLETED, total)
    assert (checkout.buyer, checkout.seller) == (kin.child.account, kin.parent.account)
    assert not checkout.HasField("sellers_view")
    (intent,) = await some.intents()
    assert (intent.status, intent.amount_received, intent.application_fee_amount) == (
        "succeeded", total, None,
    )  # fmt: skip
    assert await some.balance() == (100_000 - held, 0)
    assert [step.state for step in checkout.steps] == [
        "priced", "held", "authorised", "subscribed", "captured", "settled", "completed",
    ]  # fmt: skip
    seen = await some.call("GetCheckout", kin.parent, account=kin.child.account, id=checkout.id)
    view = seen.sellers_view
    assert (view.cost.amount, view.multiplier) == (cost, "1.5")
    assert view.paid_by == ("wallet" if held else "subscription")
    recurs = item is not TWO
    assert checkout.HasField("period_end") == recurs
    assert bool(checkout.subscription) == recurs
    assert await some.call("GetCheckout", id=checkout.id) == checkout
    (listed,) = (await some.call("ListCheckouts")).checkouts
    assert listed == checkout
    (note,) = (await kin.call(kin.child, "ListEntries")).entries
    assert (note.kind, note.amount.amount) == ("note", 0)


async def test_a_parent_buys_for_its_sub_account(some: Shopping) -> None:
    kin = some.buyers.kin
    asked = {"account": kin.child.account}
    quote = await some.call("PreviewCheckout", kin.parent, item=TWO, **asked)
    checkout = await some.mutate("ExecuteCheckout", kin.parent, quote=quote.quote, **asked)
    assert checkout.state == COMPLETED
    assert checkout.HasField("sellers_view")
    assert checkout.actor == (await some.call("GetCheckout", id=checkout.id)).actor != ""


@pytest.mark.parametrize("equal", [True, False])
async def test_fifty_at_once_pay_once(some: Shopping, equal: bool) -> None:
    quote = await some.quote(TWO)
    ids = [fresh()] * 50 if equal else [fresh() for _ in range(50)]
    answers = await asyncio.gather(
        *(some.call("ExecuteCheckout", quote=quote, request_id=id_) for id_ in ids),
        return_exceptions=True,
    )
    won = [one for one in answers if isinstance(one, pb.Checkout)]
    told = {
        (details_of(one).reason, details_of(one).metadata["id"])
        for one in answers
        if isinstance(one, grpc.aio.AioRpcError)
    }
    assert len(won) == (50 if equal else 1)
    assert len({one.id for one in won}) == 1
    assert told <= {("QUOTE_USED", won[0].id), ("CHECKOUT_OPEN", won[0].id)}
    (intent,) = await some.intents()
    assert intent.amount_received == 3_150
    assert await some.balance() == (97_900, 0)


# --- the customer and the bank --------------------------------------------------------------------


async def test_another_card_pays_the_same_payment(some: Shopping) -> None:
    child = some.buyers.child
    checkout = await some.buy(TWO, await child.attach("chargeCustomerFail"))
    assert (checkout.state, checkout.decline_code) == (ASKS, "generic_decline")
    assert await some.balance() == (97_900, 2_100)
    quote = await some.quote(TWO)
    assert await some.refused("ExecuteCheckout", quote=quote, request_id=fresh()) == (
        "CHECKOUT_OPEN", {"resource": "checkout", "id": checkout.id},
    )  # fmt: skip
    paid = await some.mutate("RetryPayment", id=checkout.id, payment_method=child.card)
    assert (paid.state, paid.payment_intent) == (COMPLETED, checkout.payment_intent)
    assert paid.payment_method == child.card
    reason, _ = await some.refused(
        "RetryPayment", id=checkout.id, payment_method=child.card, request_id=fresh()
    )
    assert reason == "WRONG_STATE"


async def test_who_confirms_at_the_bank_has_bought(
    here: ServiceAndEmulator, some: Shopping
) -> None:
    card = await some.buyers.child.attach("authenticationRequired")
    checkout = await some.buy(NUMBERS, card)
    assert checkout.state == ASKS
    assert checkout.client_secret.startswith(checkout.payment_intent)
    assert (await some.call("ListCheckouts")).checkouts[0].client_secret == ""
    seen = await some.call(
        "GetCheckout", OPERATOR, account=some.buyers.kin.child.account, id=checkout.id
    )
    assert seen.client_secret == ""
    await here.emulator.control.happen(
        "payment_intents", checkout.payment_intent, "authenticate", {},
        account=checkout.stripe_account,
    )  # fmt: skip
    done = await some.in_state(checkout, COMPLETED)  # its event comes
    assert done.client_secret == ""
    assert await some.balance() == (100_000 - 830, 0)


async def test_it_is_given_up(some: Shopping) -> None:
    checkout = await some.buy(TWO, await some.buyers.child.attach("authenticationRequired"))
    ended = await some.mutate("CancelCheckout", id=checkout.id)
    assert ended.state == CANCELED
    assert await some.mutate("CancelCheckout", id=checkout.id) == ended
    assert await some.balance() == (100_000, 0)
    (intent,) = await some.intents()
    assert intent.status == "canceled"
    bought = await some.buy(TWO)
    reason, _ = await some.refused("CancelCheckout", id=bought.id, request_id=fresh())
    assert reason == "WRONG_STATE"


async def test_a_bank_debit_is_paid_first(here: ServiceAndEmulator, some: Shopping) -> None:
    child = some.buyers.child
    params: Any = {
        "type": "us_bank_account", "billing_details": {"name": "Xanthippe"},
        "us_bank_account": {
            "account_holder_type": "individual", "account_number": "000123456789",
            "routing_number": "110000000",
        },
    }  # fmt: skip
    methods = here.sdk.v1.payment_methods
    bank = await methods.create_async(params, child.options)
    attached: Any = {"customer": child.customer}
    await methods.attach_async(bank.id, attached, child.options)
    checkout = await some.buy(SEATS, bank.id)
    assert (checkout.state, checkout.subscription) == (PAYING, "")
    await here.emulator.control.pay_debit(checkout.payment_intent, account=checkout.stripe_account)
    done = await some.in_state(checkout, COMPLETED)
    assert done.subscription != ""


async def test_the_parents_declined_card_leaves_nothing(
    here: ServiceAndEmulator, some: Shopping
) -> None:
    parent = some.buyers.parent
    bad = await parent.attach("chargeCustomerFail")
    default: Any = {"invoice_settings": {"default_payment_method": bad}}
    await here.sdk.v1.customers.update_async(parent.customer, default)
    checkout = await some.buy(SEATS)
    assert checkout.state == CANCELED
    assert checkout.steps[-2].reason == "SELLER_UNAVAILABLE"
    (intent,) = await some.intents()
    assert (intent.status, intent.amount_received) == ("canceled", 0)
    owned: Any = {"customer": parent.customer, "status": "all"}
    assert (await here.sdk.v1.subscriptions.list_async(owned)).data == []


# --- refused --------------------------------------------------------------------------------------


async def test_a_quote_is_refused_by_its_own_reason(some: Shopping) -> None:
    async def told(who: Tenant | None = None, **fields: Any) -> list[tuple[str, str]]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await some.mutate("ExecuteCheckout", who, **fields)
        return reasons(caught.value)

    quote = await some.quote(TWO)
    assert await told(quote=quote[:-1]) == [("quote", "QUOTE_ALTERED")]
    foreign = await some.call("PreviewCheckout", some.buyers.kin.parent, item=TWO)
    assert ("quote", "QUOTE_FOREIGN") in await told(quote=foreign.quote)
    await some.quote(NUMBERS)
    assert await told(quote=quote) == [("quote", "WRONG_CART")]
    assert await told() == [("quote", "")]
    assert await some.intents() == []
    assert await some.balance() == (100_000, 0)


async def test_a_changed_price_tells_the_new_quote_and_charges_nothing(
    here: ServiceAndEmulator, some: Shopping
) -> None:
    quote = await some.quote(TWO)
    dearer = replace(ADD_ON, price=replace(ADD_ON.price, unit_amount=2_000))
    await put(here, dearer)
    try:
        reason, metadata = await some.refused("ExecuteCheckout", quote=quote, request_id=fresh())
        assert (reason, metadata["total"], metadata["currency"]) == (
            "PRICE_CHANGED", "6000", "usd",
        )  # fmt: skip
        assert await some.intents() == []
        checkout = await some.mutate("ExecuteCheckout", quote=metadata["quote"])
        assert (checkout.state, checkout.total.amount) == (COMPLETED, 6_000)
    finally:
        await put(here, ADD_ON)


async def test_another_tenants_checkout_is_not_found(
    here: ServiceAndEmulator, some: Shopping
) -> None:
    checkout, stranger = await some.buy(TWO), await here.tenant()
    for who in (stranger, some.buyers.kin.parent):
        for method in ("GetCheckout", "ConfirmCheckout", "CancelCheckout"):
            fields = {} if method == "GetCheckout" else {"request_id": fresh()}
            reason, told = await some.refused(method, who, id=checkout.id, **fields)
            assert (reason, told) == ("NOT_FOUND", {"resource": "checkout", "id": checkout.id})
    reason, _ = await some.refused("GetCheckout", id="checkout_none")
    assert reason == "NOT_FOUND"


# --- people ---------------------------------------------------------------------------------------


async def test_operators_decide_about_what_needs_attention(some: Shopping) -> None:
    kin = some.buyers.kin
    fields = await odd(kin.ground)
    listed = (await some.call("ListCheckouts", OPERATOR, needs_attention=True)).checkouts
    assert fields["id"] in [one.id for one in listed]
    seen = await some.call("GetCheckout", OPERATOR, id=fields["id"])
    assert (seen.attention, seen.buyer) == ("NOT_AS_ASKED", kin.parent.account)
    assert seen.HasField("sellers_view")
    for who in (kin.parent, None):
        wanted = {**fields, "account": "" if who else kin.child.account}
        reason, _ = await some.refused("ResolveCheckout", who, request_id=fresh(), **wanted)
        assert reason == "NOT_OPERATOR"
    closed = await some.mutate("ResolveCheckout", OPERATOR, **fields)
    assert (closed.state, closed.attention) == (CANCELED, "")
    assert closed.steps[-1].reason == "settled by hand"
    reason, _ = await some.refused("ResolveCheckout", OPERATOR, request_id=fresh(), **fields)
    assert reason == "WRONG_STATE"


async def test_the_default_pays_where_no_other_is_named(some: Shopping) -> None:
    again = await payer(some.buyers.kin, some.buyers.kin.child, "mastercard")
    checkout = await some.buy(TWO)
    assert (checkout.state, checkout.payment_method) == (COMPLETED, again.card)
