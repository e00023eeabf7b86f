"""What follows a sale: renewals, their cost, and what becomes of who does not pay."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.billing_cycles import Cycle, Interval
from domain.errors import Reason, Unavailable
from domain.store_products import ProductKind
from domain.store_subscriptions import Standing
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.checkouts import ITEMS, MAIN
from tests.support.rooms.sales import SaleWorld
from tests.support.servers.stores import Opener

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NUMBERS, PLAN = ITEMS[ProductKind.PHONE_NUMBER], ITEMS[ProductKind.SUBSCRIPTION]
COST = 330


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


async def bought(world: SaleWorld, card: str = "visa") -> str:
    """Lily buys numbers."""
    view = await world.buy(NUMBERS, await world.card(card))
    assert view.state == "completed"
    return view.record.id


async def failing(world: SaleWorld, checkout: str) -> None:
    """From now on the buyer's card is declined."""
    bad = await world.card("chargeCustomerFail")
    await world.change(checkout, default_payment_method=bad)


async def mended(world: SaleWorld, checkout: str) -> None:
    """The buyer gives a good card, and what is unpaid is paid."""
    good = await world.card()
    await world.change(checkout, default_payment_method=good)
    listed = await world.sdk.v1.invoices.list_async(
        {"subscription": (await world.data(checkout)).renewal, "status": "open"}, world.options
    )
    for invoice in listed.data:
        await world.sdk.v1.invoices.pay_async(invoice.id, {"payment_method": good}, world.options)
    await world.told(checkout)


# --- renewals -------------------------------------------------------------------------------------


async def test_it_is_renewed_at_the_frozen_price_at_the_end_of_what_was_paid_for(
    world: SaleWorld,
) -> None:
    checkout = await bought(world)
    sold, renewal = await world.sold(checkout), await world.renewal(checkout)
    assert (sold.amount.amount, sold.cost.amount, sold.quantity) == (495, COST, 3)
    assert renewal.status == "active"
    item = renewal["items"].data[0]
    assert (item.price.unit_amount, item.quantity) == (495, 1)
    assert renewal.metadata["billing_checkout"] == checkout
    end = Cycle(sold.start, Interval.MONTH).boundary(1)
    assert item.current_period_end == end.timestamp()
    assert sold.renewal is not None
    assert sold.renewal.id == renewal.id
    paid = [intent.amount for intent in await world.intents() if intent.status == "succeeded"]
    assert paid == [495], "nothing was charged for the renewal now"
    await world.pass_days(65)
    assert await world.renewal_keys() == {f"renewal/{checkout}/2": 1, f"renewal/{checkout}/3": 1}
    paid = [intent.amount for intent in await world.intents() if intent.status == "succeeded"]
    assert paid == [495] * 3
    assert await world.told_jobs() == []
    assert await world.state(checkout) == "completed"


async def test_each_seller_has_one_product_of_each_of_the_stores(world: SaleWorld) -> None:
    first, second = await bought(world), await bought(world)
    products = {
        (await world.renewal(checkout))["items"].data[0].price.product
        for checkout in (first, second)
    }
    assert len(products) == 1
    (product,) = products
    # One that the seller has archived is left alone.
    await world.sdk.v1.products.update_async(product, {"active": False}, world.options)
    third = await bought(world)
    other = (await world.renewal(third))["items"].data[0].price.product
    assert other != product
    assert (await world.sdk.v1.products.retrieve_async(product, None, world.options)).active is (
        False
    )


async def test_a_refused_renewal_leaves_the_sale_and_ends_with_its_period(
    world: SaleWorld,
) -> None:
    fault = FaultSpec(kind="fail", status=400, method="POST", route="/v1/subscriptions")
    await world.emulator.control.add_fault(fault)
    checkout = await bought(world)
    data = await world.data(checkout)
    assert data.renewal == ""
    assert data.renewal_refused
    (job,) = await world.store_jobs()
    sold = await world.sold(checkout)
    end = sold.cycle.boundary(1)
    assert (job.kind, job.payload["reason"]) == ("store.renewal_failed", data.renewal_refused)
    assert job.payload["ends_at"] == end.isoformat()
    assert (sold.standing, sold.ends_at) == (Standing.ACTIVE, end)
    await world.pass_days(33)
    assert await world.told_jobs() == ["renewal_failed", "deprovision"]
    assert await world.renewal_keys() == {}, "it has ended when the second period would begin"
    assert await world.state(checkout) == "lapsed"


@pytest.mark.parametrize("route", ["/v1/subscriptions", "/v1/products"])
async def test_a_lost_answer_makes_one_renewal(world: SaleWorld, route: str) -> None:
    fault = FaultSpec(kind="drop_after", count=2, method="POST", route=route)
    await world.emulator.control.add_fault(fault)
    view = await world.buy(NUMBERS, await world.card())
    await world.until_it_rests(view.record.id)
    assert await world.state(view.record.id) == "completed"
    made = await world.sdk.v1.subscriptions.list_async({"status": "all"}, world.options)
    assert [one.id for one in made.data] == [(await world.data(view.record.id)).renewal]


async def test_what_a_main_account_buys_costs_nobody_anything(world: SaleWorld) -> None:
    params = {"customer": (await world.stores.buyers.get("acme", world.own)).customer}  # type: ignore[union-attr]
    view = await world.buy(NUMBERS, await world.card("visa", params["customer"], ""), MAIN)
    assert view.state == "completed"
    sold = await world.sold(view.record.id, "acme")
    assert (sold.seller, sold.cost.amount) == (None, 0)
    await world.pass_days(40)
    assert await world.renewal_keys() == {}


# --- the buyer does not pay -----------------------------------------------------------------------


async def test_past_due_it_is_suspended_and_resumed_once_it_is_paid(world: SaleWorld) -> None:
    checkout = await bought(world)
    await failing(world, checkout)
    end = (await world.sold(checkout)).cycle.boundary(1)
    await world.pass_days((end - world.clock.now()) / DAY + 6)
    await world.told(checkout)
    assert await world.told_jobs() == []
    assert (await world.sold(checkout)).past_due_since is not None
    await world.pass_days(2)
    assert await world.told_jobs() == ["suspend"]
    sold = await world.sold(checkout)
    assert (sold.standing, sold.why) == (Standing.SUSPENDED, "PAST_DUE")
    await mended(world, checkout)
    assert await world.told_jobs() == ["suspend", "resume"]
    assert (await world.sold(checkout)).standing is Standing.ACTIVE
    assert await world.state(checkout) == "completed"


@pytest.mark.parametrize(("seller", "days"), [("past_due", 31), ("unpaid", 17), ("cancel", 17)])
async def test_past_due_it_ends_whatever_the_seller_has_set(
    world: SaleWorld, seller: str, days: int
) -> None:
    """After 30 days, or where the seller has Stripe give up earlier."""
    await world.emulator.control.end_dunning_with(seller)
    checkout = await bought(world)
    await failing(world, checkout)
    end = (await world.sold(checkout)).cycle.boundary(1)
    await world.pass_days((end - world.clock.now()) / DAY + days - 2)
    assert await world.told_jobs() == ["suspend"]
    await world.pass_days(3)
    assert await world.told_jobs() == ["suspend", "deprovision"]
    assert (await world.renewal(checkout)).status == "canceled"
    assert (await world.sold(checkout)).why == "PAST_DUE"
    assert await world.state(checkout) == "lapsed"
    keys = await world.renewal_keys()
    await world.pass_days(40)
    assert await world.renewal_keys() == keys, "nothing falls due after the end"
    assert await world.told_jobs() == ["suspend", "deprovision"]


async def test_what_the_seller_pauses_is_unpaid_and_what_it_forgives_is_not(
    world: SaleWorld,
) -> None:
    held, forgiven = await bought(world), await bought(world)
    await world.change(held, pause_collection={"behavior": "keep_as_draft"})
    await world.change(forgiven, pause_collection={"behavior": "void"})
    await world.pass_days(31 + 9)
    assert (await world.sold(held)).standing is Standing.SUSPENDED
    assert (await world.sold(forgiven)).standing is Standing.ACTIVE
    assert await world.renewal_keys() == {f"renewal/{held}/2": 1, f"renewal/{forgiven}/2": 1}, (
        "a pause at the seller's does not cost the platform its money"
    )


async def test_a_cancellation_at_the_periods_end_ends_it_then(world: SaleWorld) -> None:
    checkout = await bought(world)
    await world.change(checkout, cancel_at_period_end=True)
    sold = await world.sold(checkout)
    assert sold.ends_by == sold.cycle.boundary(1)
    assert await world.told_jobs() == []
    await world.pass_days(33)
    assert await world.told_jobs() == ["deprovision"]
    assert await world.renewal_keys() == {}
    assert (await world.sold(checkout)).why == "RENEWAL_ENDED"


async def test_a_cancellation_that_is_taken_back_changes_nothing(world: SaleWorld) -> None:
    checkout = await bought(world)
    await world.change(checkout, cancel_at_period_end=True)
    await world.change(checkout, cancel_at_period_end=False)
    await world.pass_days(33)
    assert await world.told_jobs() == []
    assert await world.renewal_keys() == {f"renewal/{checkout}/2": 1}


async def test_what_is_canceled_at_once_was_paid_for_until_its_end(world: SaleWorld) -> None:
    checkout = await bought(world)
    renewal = (await world.data(checkout)).renewal
    await world.sdk.v1.subscriptions.cancel_async(renewal, None, world.options)
    await world.told(checkout)
    assert (await world.sold(checkout)).standing is Standing.ACTIVE
    await world.pass_days(27)
    assert await world.told_jobs() == []
    await world.pass_days(6)
    assert await world.told_jobs() == ["deprovision"]


# --- the seller does not pay ----------------------------------------------------------------------


async def test_a_wallet_below_its_overdraft_pauses_suspends_and_ends(world: SaleWorld) -> None:
    checkout = await bought(world)
    available, _ = await world.balance()
    await world.spend(available)
    end = (await world.sold(checkout)).cycle.boundary(1)
    await world.pass_days((end - world.clock.now()) / DAY + 2)
    assert (await world.balance())[0] == -COST
    assert await world.told_jobs() == []
    await world.pass_days(3)
    assert await world.told_jobs() == ["suspend"]
    assert (await world.sold(checkout)).why == "SELLER_LAPSED"
    assert (await world.renewal(checkout)).pause_collection is not None
    # It pays again: all goes on.
    await world.grant(1_000)
    await world.pass_days(1)
    assert await world.told_jobs() == ["suspend", "resume"]
    assert (await world.renewal(checkout)).pause_collection is None
    # And now it does not, until what the buyer has paid for is over.
    available, _ = await world.balance()
    await world.spend(available)
    await world.pass_days(31 + 31 + 31)
    assert await world.told_jobs() == ["suspend", "resume", "suspend", "deprovision"]
    assert (await world.renewal(checkout)).status == "canceled"
    assert (await world.sold(checkout)).why == "SELLER_LAPSED"


async def test_the_sellers_subscription_ends_and_so_does_the_buyers(world: SaleWorld) -> None:
    view = await world.buy(PLAN, await world.card())
    checkout = view.record.id
    assert view.state == "completed"
    own = (await world.data(checkout)).sellers_subscription
    await world.sdk.v1.subscriptions.cancel_async(own)
    await world.told(checkout)
    await world.pass_days(1)
    assert await world.told_jobs() == ["suspend"]
    assert (await world.renewal(checkout)).pause_collection is not None
    await world.pass_days(31)
    assert await world.told_jobs() == ["suspend", "deprovision"]
    assert (await world.renewal(checkout)).status == "canceled"


async def test_the_sellers_subscription_ends_with_the_buyers(world: SaleWorld) -> None:
    view = await world.buy(PLAN, await world.card())
    checkout = view.record.id
    await world.change(checkout, cancel_at_period_end=True)
    assert (await world.sellers_own(checkout)).cancel_at_period_end
    await world.change(checkout, cancel_at_period_end=False)
    assert not (await world.sellers_own(checkout)).cancel_at_period_end
    await world.change(checkout, cancel_at_period_end=True)
    await world.pass_days(33)
    assert (await world.sellers_own(checkout)).status == "canceled"
    assert await world.told_jobs() == ["deprovision"], "nobody was suspended in between"
    sales = [invoice.amount_paid for invoice in (await world.sdk.v1.invoices.list_async({})).data]
    assert len(sales) == 1, "the parent has paid for one period"


async def test_both_subscriptions_renew_by_themselves(world: SaleWorld) -> None:
    view = await world.buy(PLAN, await world.card())
    await world.pass_days(40)
    assert await world.renewal_keys() == {}, "no wallet pays it"
    own = (await world.data(view.record.id)).sellers_subscription
    invoices = await world.sdk.v1.invoices.list_async({"subscription": own})
    assert [invoice.status for invoice in invoices.data] == ["paid", "paid"]
    assert await world.told_jobs() == []


async def test_a_revoked_connection_suspends_and_asks_people(world: SaleWorld) -> None:
    checkout = await bought(world)
    await world.emulator.control.deauthorize(world.place)
    await world.pass_days(2)
    assert await world.told_jobs() == ["suspend", "needs_attention"]
    record = await world.record(checkout)
    assert record.progress.attention == "STRIPE_CONNECTION_REVOKED"
    assert (await world.sold(checkout)).why == "SELLER_DISCONNECTED"
    await world.processes.resume(checkout, "look once more")
    assert (await world.record(checkout)).progress.attention == "STRIPE_CONNECTION_REVOKED"
    # The seller connects again, and an operator has it looked at.
    code = await world.emulator.control.authorize(world.place)
    await world.sdk.raw_request_async(
        "post", "/oauth/token", base="connect", grant_type="authorization_code", code=code
    )
    await world.processes.resume(checkout, "it is connected again")
    assert (await world.sold(checkout)).standing is Standing.ACTIVE
    assert await world.state(checkout) == "completed"
    told = [job for job in await world.told_jobs() if job != "needs_attention"]
    assert told == ["suspend", "resume"]


# --- what goes wrong at Stripe --------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after", "count": 2},
        {"kind": "fail", "status": 500, "count": 3},
        {"kind": "fail", "status": 500, "after_work": True, "remember": False, "count": 2},
        {"kind": "fail", "status": 429, "count": 3},
    ],
)
async def test_what_goes_wrong_at_stripe_is_done_once_in_the_end(
    world: SaleWorld, fault: dict[str, Any]
) -> None:
    """A lapse of the seller's pauses, and ends, whatever is lost on the way."""
    checkout = await bought(world)
    for method in ("POST", "DELETE"):
        spec = FaultSpec(method=method, route="/v1/subscriptions/{id}", **fault)
        await world.emulator.control.add_fault(spec)
    available, _ = await world.balance()
    await world.spend(available)
    end = (await world.sold(checkout)).cycle.boundary(1)
    await world.pass_days((end - world.clock.now()) / DAY + 8)
    assert await world.told_jobs() == ["suspend"]
    assert (await world.renewal(checkout)).pause_collection is not None
    await world.pass_days(62)
    assert await world.told_jobs() == ["suspend", "deprovision"]
    assert (await world.renewal(checkout)).status == "canceled"
    assert await world.state(checkout) == "lapsed"
    paid = [intent.amount for intent in await world.intents() if intent.status == "succeeded"]
    assert paid == [495] * 2, "nothing is collected for what is not there"


async def test_a_store_that_was_away_tells_of_a_lapse_all_the_same(
    world: SaleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what is written and its job nothing gets lost."""
    checkout = await bought(world)
    outbox, append = world.stores.outbox, world.stores.outbox.append

    async def away(_: object) -> None:
        raise Unavailable(Reason.STORE_UNAVAILABLE, "away")

    monkeypatch.setattr(outbox, "append", away)
    renewal = (await world.data(checkout)).renewal
    await world.sdk.v1.subscriptions.cancel_async(renewal, None, world.options)
    await world.pass_days(33)
    assert (await world.sold(checkout)).standing is Standing.ENDED
    monkeypatch.setattr(outbox, "append", append)
    await world.pass_days(1)
    assert await world.told_jobs() == ["deprovision"]
