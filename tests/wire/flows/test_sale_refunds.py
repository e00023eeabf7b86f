"""Refunds and disputes of sales: what is given back, what comes back, and what ends by it."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from application.checkouts.commands import CheckoutRefund
from application.checkouts.executing import CheckoutView
from application.processes.progress import NEEDS_ATTENTION
from application.requests.callers import OPERATOR, Caller
from application.wallet.proof import prove
from domain.billing_cycles import Interval
from domain.carts import CartItem
from domain.errors import (
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    WrongState,
)
from domain.store_products import ProductKind
from domain.store_subscriptions import Standing
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.checkouts import ACME, CHILD, ITEMS, MAIN, PARENT, TOTALS
from tests.support.rooms.processes import carried_on
from tests.support.rooms.sales import SaleWorld
from tests.support.servers.stores import Opener

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
PACK, NUMBERS, PLAN = (
    ITEMS[kind]
    for kind in (ProductKind.ONE_OFF, ProductKind.PHONE_NUMBER, ProductKind.SUBSCRIPTION)
)
PAID, COST = TOTALS[ProductKind.ONE_OFF]
STAFF = Caller("ops", "lily", frozenset(), token_account=OPERATOR)


@pytest.fixture
async def world(opener: Opener) -> AsyncIterator[SaleWorld]:
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        clock = MovableClock()
        settings = StripeSettings(
            PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001, tries=2
        )
        api = StripeApi(settings, RateBudget(10_000), clock)
        made = SaleWorld(emulator, sdk, api, stores, clock)
        await made.begin()
        try:
            yield made
        finally:
            await made.tasks.drain(10)
            await api.close()


async def bought(world: SaleWorld, item: Any = PACK) -> str:
    view = await world.buy(item, await world.card())
    assert view.state == "completed"
    return view.record.id


async def give_back(
    world: SaleWorld, checkout: str, amount: int = 0, caller: Caller = PARENT, *,
    return_cost: bool = False, request_id: str = "",
) -> CheckoutView:  # fmt: skip
    order = CheckoutRefund(checkout, amount, "not needed", return_cost)
    return await world.sale_refunds.refund(caller, request_id or world.fresh(), order)


async def refunded(world: SaleWorld, checkout: str) -> list[int]:
    """What Stripe has given back of the sale."""
    params: Any = {"payment_intent": (await world.data(checkout)).payment_intent, "limit": 100}
    listed = await world.sdk.v1.refunds.list_async(params, world.options)
    return sorted(one.amount for one in listed.data if one.status == "succeeded")


# --- who may, and how much ------------------------------------------------------------------------


async def test_parts_and_then_the_rest(world: SaleWorld) -> None:
    checkout = await bought(world)
    view = await give_back(world, checkout, 1_000)
    assert (view.state, view.data.gone) == ("partly_refunded", 1_000)
    view = await give_back(world, checkout)
    assert (view.state, view.data.gone) == ("refunded", PAID)
    assert await refunded(world, checkout) == [1_000, PAID - 1_000]
    told = [job.payload["gone"] for job in await world.store_jobs()]
    assert told == [1_000, PAID]
    assert (await world.balance())[0] == 100_000 - COST, "the cost stays"
    with pytest.raises(FailedPrecondition) as caught:
        await give_back(world, checkout)
    assert caught.value.reason is Reason.REFUND_TOO_LARGE


async def test_never_more_than_was_captured(world: SaleWorld) -> None:
    checkout = await bought(world)
    for amount in (PAID + 1, 10**12):
        with pytest.raises((FailedPrecondition, InvalidArgument)):
            await give_back(world, checkout, amount)
    await give_back(world, checkout, PAID - 1)
    with pytest.raises(FailedPrecondition) as caught:
        await give_back(world, checkout, 2)
    assert caught.value.reason is Reason.REFUND_TOO_LARGE
    assert await refunded(world, checkout) == [PAID - 1]


async def test_the_same_request_gives_back_once(world: SaleWorld) -> None:
    checkout = await bought(world)
    for _ in range(3):
        view = await give_back(world, checkout, 700, request_id="same")
        assert view.data.gone == 700
    with pytest.raises(InvalidArgument) as caught:
        await give_back(world, checkout, 701, request_id="same")
    assert caught.value.reason is Reason.REQUEST_ID_REUSED
    await world.later(60 * DAY)  # the request is forgotten; the sale is not
    view = await give_back(world, checkout, 700, request_id="same")
    assert view.data.gone == 700
    assert await refunded(world, checkout) == [700]


async def test_only_the_seller_may(world: SaleWorld) -> None:
    checkout = await bought(world)
    with pytest.raises(PermissionDenied) as caught:
        await give_back(world, checkout, 100, CHILD)
    assert caught.value.reason is Reason.NOT_CREDITOR
    with pytest.raises(NotFound):
        await give_back(world, checkout, 100, MAIN)  # it is another account's
    with pytest.raises(NotFound):
        await give_back(world, "checkout_none", 100)
    with pytest.raises(InvalidArgument) as wrong:
        await world.sale_refunds.refund(PARENT, "", CheckoutRefund("No!", -1, " "))
    fields = [violation.field for violation in wrong.value.violations]
    assert fields == ["request_id", "id", "amount", "reason"]
    assert await refunded(world, checkout) == []


async def test_the_platform_gives_back_what_it_sold(world: SaleWorld) -> None:
    buyer = await world.stores.buyers.get("acme", world.own)
    assert buyer is not None
    view = await world.buy(PACK, await world.card("visa", buyer.customer, ""), MAIN)
    with pytest.raises(PermissionDenied):
        await give_back(world, view.record.id, 100, MAIN)
    ops = Caller("ops", "acme", frozenset(), token_account=OPERATOR)
    view = await give_back(world, view.record.id, 100, ops)
    assert (view.state, view.data.gone) == ("partly_refunded", 100)


async def test_before_the_capture_there_is_nothing_to_give_back(world: SaleWorld) -> None:
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    assert view.state == "awaiting_customer"
    with pytest.raises(WrongState):
        await give_back(world, view.record.id)
    await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    with pytest.raises(WrongState):
        await give_back(world, view.record.id)


async def test_a_sale_that_was_just_made_is_not_looked_at(world: SaleWorld) -> None:
    await bought(world)
    routes = (await world.emulator.control.stats()).routes
    assert not {"GET /v1/refunds", "GET /v1/disputes"} & routes.keys()


# --- the cost -------------------------------------------------------------------------------------


async def test_once_it_is_provided_the_cost_comes_back_by_operators_alone(
    world: SaleWorld,
) -> None:
    checkout = await bought(world)
    with pytest.raises(WrongState, match="provisioned"):
        await give_back(world, checkout, 1_000, return_cost=True)
    assert await refunded(world, checkout) == []
    view = await give_back(world, checkout, 1_000, STAFF, return_cost=True)
    assert view.data.cost_returned == 667, "its share, rounded once"
    await give_back(world, checkout, 1_000)
    view = await give_back(world, checkout, 0, STAFF, return_cost=True)
    assert view.data.cost_returned == 1_333, "the other part of the sale gave none back"
    assert (await world.balance())[0] == 100_000 - COST + 1_333
    keys = [entry.key for entry in await world.entries() if entry.kind == "sale_refund"]
    assert keys == [f"sale-refund/{checkout}/1", f"sale-refund/{checkout}/3"]
    assert (await prove(world.stores.journal, ACME.name)).holds


async def test_while_nothing_is_provided_the_seller_has_its_cost_back(world: SaleWorld) -> None:
    fault = FaultSpec(kind="fail", status=500, count=None, method="POST", route="/v1/products")
    await world.emulator.control.add_fault(fault)
    view = await world.buy(NUMBERS, await world.card())
    checkout = view.record.id
    assert view.state == "settled"
    assert (await world.balance())[0] == 100_000 - 330
    await give_back(world, checkout, return_cost=True)
    await world.emulator.control.clear_faults()
    await world.until_it_rests(checkout)
    assert await world.state(checkout) == "refunded"
    assert (await world.balance())[0] == 100_000


# --- what ends by it ------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_whole_refund_ends_the_renewal(world: SaleWorld, *, by_hand: bool) -> None:
    checkout = await bought(world, NUMBERS)
    await give_back(world, checkout, 100)
    assert (await world.sold(checkout)).standing is Standing.ACTIVE
    if by_hand:  # in the seller's dashboard
        params: Any = {"payment_intent": (await world.data(checkout)).payment_intent}
        await world.sdk.v1.refunds.create_async(params, world.options)
        await world.told(checkout)
    else:
        await give_back(world, checkout)
    assert await world.state(checkout) == "refunded"
    assert (await world.renewal(checkout)).status == "canceled"
    sold = await world.sold(checkout)
    assert (sold.standing, sold.why) == (Standing.ENDED, "REFUNDED")
    assert await world.told_jobs() == ["reversed", "reversed", "deprovision"]
    await world.pass_days(40)
    assert await world.renewal_keys() == {}


async def test_a_whole_refund_lets_the_sellers_subscription_end(world: SaleWorld) -> None:
    checkout = await bought(world, PLAN)
    await give_back(world, checkout)
    assert (await world.sellers_own(checkout)).cancel_at_period_end
    assert (await world.renewal(checkout)).status == "canceled"


async def test_what_was_free_is_taken_back_as_a_whole(world: SaleWorld) -> None:
    await world.stock("gift", ProductKind.LISTING, 0, interval=Interval.MONTH)
    view = await world.buy(CartItem("gift", 1))
    checkout = view.record.id
    assert (view.state, view.data.payment_intent) == ("completed", "")
    await world.pass_days(33)
    assert (await world.sold(checkout)).standing is Standing.ACTIVE
    assert await world.renewal_keys() == {}
    view = await give_back(world, checkout)
    assert view.state == "refunded"
    assert await world.told_jobs() == ["deprovision"]
    with pytest.raises(FailedPrecondition) as caught:
        await give_back(world, checkout)
    assert caught.value.reason is Reason.REFUND_TOO_LARGE


# --- disputes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "state"), [("won", "completed"), ("lost", "refunded")])
async def test_a_dispute_is_followed(world: SaleWorld, outcome: str, state: str) -> None:
    view = await world.buy(NUMBERS, await world.card("createDispute"))
    checkout = view.record.id
    await world.told(checkout)
    assert await world.state(checkout) == "disputed"
    with pytest.raises(FailedPrecondition) as caught:
        await give_back(world, checkout, 100)
    assert caught.value.reason is Reason.REFUND_TOO_LARGE
    disputes = await world.sdk.v1.disputes.list_async({}, world.options)
    dispute = disputes.data[0].id
    await world.emulator.control.happen(
        "disputes", dispute, "close", {"status": outcome}, account=world.place
    )
    await world.told(checkout)
    assert await world.state(checkout) == state
    standing = (await world.sold(checkout)).standing
    assert standing is (Standing.ACTIVE if outcome == "won" else Standing.ENDED)


# --- what goes wrong ------------------------------------------------------------------------------


async def test_a_refund_that_fails_at_once_needs_attention(world: SaleWorld) -> None:
    view = await world.buy(PACK, await world.card("refundFail"))
    checkout = view.record.id
    with pytest.raises(FailedPrecondition) as caught:
        await give_back(world, checkout)
    assert caught.value.reason is Reason.STRIPE_REFUSED
    record, data = await world.record(checkout), await world.data(checkout)
    assert (record.progress.state, record.progress.attention) == (NEEDS_ATTENTION, "REFUND_FAILED")
    assert (data.gone, data.refunds[0].outcome) == (0, "REFUND_FAILED")
    await world.processes.resume(checkout, "we paid it by hand")
    assert await world.state(checkout) == "completed"


async def test_a_refund_that_the_bank_returns_needs_attention(world: SaleWorld) -> None:
    checkout = await bought(world, NUMBERS)
    assert (await give_back(world, checkout, 100)).state == "partly_refunded"
    params: Any = {"payment_intent": (await world.data(checkout)).payment_intent}
    listed = await world.sdk.v1.refunds.list_async(params, world.options)
    await world.emulator.control.happen(
        "refunds", listed.data[0].id, "fail", {}, account=world.place
    )
    await world.told(checkout)
    record = await world.record(checkout)
    assert (record.progress.state, record.progress.attention) == (NEEDS_ATTENTION, "REFUND_FAILED")
    assert (await world.data(checkout)).gone == 0
    await world.processes.resume(checkout, "we paid it by hand")
    assert await world.state(checkout) == "completed"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after", "count": 2},
        {"kind": "fail", "status": 500, "count": 1},
        {"kind": "fail", "status": 500, "after_work": True, "remember": False, "count": 2},
        {"kind": "fail", "status": 429, "count": 3},
    ],
)
async def test_what_goes_wrong_at_stripe_gives_back_once(
    world: SaleWorld, fault: dict[str, Any]
) -> None:
    checkout = await bought(world)
    spec = FaultSpec(method="POST", route="/v1/refunds", **fault)
    await world.emulator.control.add_fault(spec)
    with suppress(BillingError):  # told or not, it is carried out
        await give_back(world, checkout, 900, request_id="same")
    await world.emulator.control.clear_faults()
    for _ in range(4):
        await world.later(25 * HOUR)
    assert await refunded(world, checkout) == [900]
    assert await world.state(checkout) == "partly_refunded"
    assert (await world.data(checkout)).gone == 900


async def test_events_in_any_number_change_nothing(world: SaleWorld) -> None:
    checkout = await bought(world)
    await give_back(world, checkout, 500)
    before = await world.data(checkout)
    for _ in range(5):
        await world.told(checkout)
    await carried_on(world.processes)
    assert await world.data(checkout) == before
    assert len(await world.store_jobs()) == 1
