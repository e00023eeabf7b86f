"""Checkouts of each kind, and each way in which one of them is not bought."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from application.checkouts.commands import (
    CheckoutResolution,
    CheckoutRetry,
    ListCheckouts,
    Resolving,
)
from application.checkouts.executing import CheckoutView
from domain.accounts import Account
from domain.billing_cycles import Interval
from domain.errors import (
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    WrongState,
)
from domain.quotes import Quote
from domain.store_products import LISTINGS, ProductKind
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.checkouts import (
    CHILD,
    ITEMS,
    LILY,
    MAIN,
    PARENT,
    STAFF,
    TOTALS,
    CheckoutWorld,
    TrivialRenewals,
)
from tests.support.servers.stores import Opener

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
PACK, PLAN = ITEMS[ProductKind.ONE_OFF], ITEMS[ProductKind.SUBSCRIPTION]
INTENT = "/v1/payment_intents"


@pytest.fixture
async def world(opener: Opener) -> AsyncIterator[CheckoutWorld]:
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        clock = MovableClock()
        settings = StripeSettings(
            PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001, tries=2
        )
        api = StripeApi(settings, RateBudget(10_000), clock)
        made = CheckoutWorld(emulator, sdk, api, stores, clock)
        await made.begin()
        try:
            yield made
        finally:
            await made.tasks.drain(10)
            await api.close()


async def nothing_stands(world: CheckoutWorld) -> None:
    """Nobody has paid, holds or has anything."""
    assert await world.balance() == (100_000, 0)
    for intent in await world.intents():
        charge: Any = intent.latest_charge
        if intent.status == "succeeded":
            shown = await world.sdk.v1.charges.retrieve_async(charge, None, world.options)
            assert shown.amount_refunded == shown.amount
        else:
            assert intent.status == "canceled"
    assert {one.status for one in await world.subscriptions()} <= {"canceled"}
    assert {job.kind for job in await world.jobs()} <= {
        "store.seller_unavailable", "store.needs_attention",
    }  # fmt: skip


async def all_stands(world: CheckoutWorld, view: CheckoutView, kind: ProductKind) -> None:
    """Each effect of a sale, once."""
    total, cost = TOTALS[kind]
    (intent,) = await world.intents()
    assert (intent.status, intent.amount_received) == ("succeeded", total)
    assert intent.application_fee_amount is None
    subscribes = kind is ProductKind.SUBSCRIPTION
    spent = 0 if subscribes else cost
    assert await world.balance() == (100_000 - spent, 0)
    assert [entry.kind for entry in await world.entries()] == (
        [] if subscribes else ["hold", "capture"]
    )
    (note,) = await world.entries(LILY)
    assert (note.kind, note.key, note.postings) == ("note", f"purchase/{view.record.id}", ())
    subscriptions = await world.subscriptions()
    assert [one.status for one in subscriptions] == (["active"] if subscribes else [])
    if subscribes:
        invoice: Any = subscriptions[0].latest_invoice
        paid = await world.sdk.v1.invoices.retrieve_async(invoice)
        assert (paid.status, paid.amount_paid) == ("paid", cost)
    kinds = Counter(job.kind for job in await world.jobs())
    assert kinds == {"store.provision": 1, "store.purchased": 1}
    assert isinstance(world.renewing, TrivialRenewals)
    assert world.renewing.begun == ([view.record.id] if kind.recurs else [])
    assert await world.stores.carts.get("lily") is None


# --- bought ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ProductKind])
async def test_each_kind_is_bought_with_both_legs(world: CheckoutWorld, kind: ProductKind) -> None:
    view = await world.buy(ITEMS[kind], await world.card())
    total, _ = TOTALS[kind]
    assert (view.state, view.terms.total.amount, view.data.amount) == ("completed", total, total)
    assert view.data.captured_at is not None
    await all_stands(world, view, kind)
    (intent,) = await world.intents()
    assert intent.setup_future_usage == ("off_session" if kind.recurs else None)
    assert await world.states(view.record.id) == [
        "priced", "held", "authorised", "subscribed", "captured", "settled", "completed",
    ]  # fmt: skip


async def test_a_main_account_buys_from_the_platform_without_a_cost(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, caller=MAIN)
    assert (view.state, view.terms.seller, view.terms.total.amount) == ("completed", None, 2_000)
    assert await world.balance() == (100_000, 0)
    (note,) = await world.entries()
    assert note.kind == "note"
    assert not view.shows_cost
    assert (await world.calls.get(STAFF, view.record.id)).shows_cost


async def test_what_costs_nothing_has_no_payment(world: CheckoutWorld) -> None:
    await world.stock("gift", ProductKind.ONE_OFF, 0)
    view = await world.buy(replace(PACK, price="gift"))
    assert (view.state, view.data.payment_intent) == ("completed", "")
    assert await world.intents() == []
    assert view.data.captured_at is not None


async def test_a_buyer_who_is_no_customer_yet_becomes_one(world: CheckoutWorld) -> None:
    await world.stores.accounts.add(Account("rose", "Rose", "usd", "acme", flags=(LISTINGS,)))
    caller = replace(CHILD, account="rose")
    made: Any = {"type": "card", "card": {"token": "tok_visa"}}
    card = await world.sdk.v1.payment_methods.create_async(made, world.options)
    view = await world.buy(ITEMS[ProductKind.LISTING], card.id, caller)
    assert view.state == "completed"
    buyer = await world.stores.buyers.get("rose", world.place)
    assert buyer is not None
    kept = await world.sdk.v1.payment_methods.retrieve_async(card.id, None, world.options)
    assert kept.customer == buyer.customer == view.data.customer


async def test_a_parent_buys_for_its_sub_account_and_sees_the_cost(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card(), PARENT)
    assert (view.state, view.shows_cost) == ("completed", True)
    assert (view.terms.actor, view.terms.home) == ("acme-token", "acme")
    assert not (await world.calls.get(CHILD, view.record.id)).shows_cost
    with pytest.raises(NotFound):
        await world.calls.get(MAIN, view.record.id)


WRITES = {
    "process_log": ("begin", "take", "renew", "write", "release"),
    "mutation_log": ("begin", "save_step", "finish", "release"),
    "journal": ("append",), "outbox": ("append",), "carts": ("put", "remove"),
    "mirror": ("replace",), "buyers": ("add",), "store_subscriptions": ("add", "put"),
}  # fmt: skip


async def test_a_sale_of_what_is_paid_once_takes_three_requests_and_fourteen_writes(
    world: CheckoutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await world.quote(PACK, await world.card())
    writes: Counter[str] = Counter()

    def watched(name: str, method: Any) -> Any:
        async def counted(*args: Any, **named: Any) -> Any:
            writes[name] += 1
            return await method(*args, **named)

        return counted

    for port, methods in WRITES.items():
        store = getattr(world.stores, port)
        for method in methods:
            monkeypatch.setattr(store, method, watched(port, getattr(store, method)))
    before = (await world.emulator.control.stats()).routes
    view = await world.calls.execute(CHILD, "once", order)
    assert view.state == "completed"
    after = (await world.emulator.control.stats()).routes
    assert sum(after.values()) - sum(before.values()) == 3
    assert writes.total() <= 14, writes


# --- one payment, ever ----------------------------------------------------------------------------


@pytest.mark.parametrize("equal", [True, False])
async def test_fifty_at_once_pay_once(world: CheckoutWorld, equal: bool) -> None:
    order = await world.quote(PACK, await world.card())
    ids = ["same" if equal else world.fresh() for _ in range(50)]
    answers = await asyncio.gather(
        *(world.calls.execute(CHILD, request_id, order) for request_id in ids),
        return_exceptions=True,
    )
    won = [one for one in answers if isinstance(one, CheckoutView)]
    lost = [one for one in answers if isinstance(one, BillingError)]
    assert len(won) == (50 if equal else 1)
    assert {one.reason for one in lost} <= {Reason.QUOTE_USED, Reason.CHECKOUT_OPEN}
    assert len(won) + len(lost) == 50
    await all_stands(world, won[0], ProductKind.ONE_OFF)
    with pytest.raises(FailedPrecondition) as caught:
        await world.calls.execute(CHILD, "late", order)
    assert caught.value.reason is Reason.QUOTE_USED
    assert caught.value.metadata["id"] == won[0].record.id


async def test_fifty_quotes_of_one_item_pay_once(world: CheckoutWorld) -> None:
    card = await world.card("authenticationRequired")
    orders = [await world.quote(PACK, card) for _ in range(50)]
    answers = await asyncio.gather(
        *(world.calls.execute(CHILD, world.fresh(), order) for order in orders),
        return_exceptions=True,
    )
    (won,) = [one for one in answers if isinstance(one, CheckoutView)]
    lost = [one for one in answers if isinstance(one, FailedPrecondition)]
    assert {(one.reason, one.metadata["id"]) for one in lost} == {
        (Reason.CHECKOUT_OPEN, won.record.id)
    }
    assert len(lost) == 49
    assert len(await world.intents()) == 1


async def test_a_repeat_a_year_later_answers_with_it_as_it_stands(world: CheckoutWorld) -> None:
    order = await world.quote(PACK, await world.card())
    view = await world.calls.execute(CHILD, "once", order)
    await world.later(400 * DAY)
    await world.mutations.recover()
    again = await world.calls.execute(CHILD, "once", order)
    assert (again.record.id, again.state) == (view.record.id, "completed")
    assert len(await world.intents()) == 1


async def test_an_open_listing_is_the_only_one(world: CheckoutWorld) -> None:
    card = await world.card("authenticationRequired")
    await world.stock("other", ProductKind.LISTING, 900, interval=Interval.MONTH)
    first = await world.buy(ITEMS[ProductKind.LISTING], card)
    assert first.state == "awaiting_customer"
    with pytest.raises(FailedPrecondition) as caught:
        await world.buy(replace(ITEMS[ProductKind.LISTING], price="other"), card)
    assert caught.value.reason is Reason.CHECKOUT_OPEN


# --- refused --------------------------------------------------------------------------------------


async def test_quotes_are_refused_by_their_own_reason_and_nothing_happens(
    world: CheckoutWorld,
) -> None:
    card = await world.card()
    order = await world.quote(PACK, card)

    async def reasons(wanted: Any) -> set[Reason | None]:
        with pytest.raises(InvalidArgument) as caught:
            await world.calls.execute(CHILD, world.fresh(), wanted)
        return {violation.reason for violation in caught.value.violations}

    assert await reasons(replace(order, quote="x" * 112)) == {Reason.QUOTE_ALTERED}
    foreign = await world.quote(PACK, caller=MAIN)
    assert Reason.QUOTE_FOREIGN in await reasons(replace(foreign, payment_method=card))
    await world.quote(PLAN, card)
    assert await reasons(order) == {Reason.WRONG_CART}
    order = await world.quote(PACK, card)
    world.clock.ahead += 16 * MINUTE
    assert await reasons(order) == {Reason.QUOTE_EXPIRED}
    assert await world.intents() == []
    assert await world.balance() == (100_000, 0)


async def test_a_changed_price_charges_nothing_and_tells_the_new_quote(
    world: CheckoutWorld,
) -> None:
    card = await world.card()
    order = await world.quote(PACK, card)
    await world.change_price("pack", 1_100)
    with pytest.raises(FailedPrecondition) as caught:
        await world.calls.execute(CHILD, "one", order)
    assert caught.value.reason is Reason.PRICE_CHANGED
    assert caught.value.metadata["total"] == "3300"
    assert await world.intents() == []
    again = replace(order, quote=caught.value.metadata["quote"])
    view = await world.calls.execute(CHILD, "two", again)
    assert (view.state, view.data.amount) == ("completed", 3_300)


async def test_funds_that_go_before_they_are_held_cancel_it(world: CheckoutWorld) -> None:
    order = await world.quote(PACK, await world.card())
    check = world.sellers.check

    async def checked(quote: Quote) -> str:
        customer = await check(quote)
        await world.spend(99_000)
        return customer

    world.sellers.check = checked  # type: ignore[method-assign]
    view = await world.calls.execute(CHILD, "one", order)
    assert view.state == "canceled"
    assert view.record.progress.history[-2].why == Reason.SELLER_UNAVAILABLE
    assert await world.intents() == []
    assert [job.kind for job in await world.jobs()] == ["store.seller_unavailable"]


@pytest.mark.parametrize("card", ["chargeCustomerFail", "authenticationRequired"])
async def test_the_parents_card_is_refused_while_nothing_is_paid(
    world: CheckoutWorld, card: str
) -> None:
    parent = await world.stores.buyers.get("acme", world.own)
    assert parent is not None
    await world.card(card, parent.customer, "", default=True)
    view = await world.buy(PLAN, await world.card())
    assert view.state == "canceled"
    await nothing_stands(world)
    jobs = {job.kind: job for job in await world.jobs()}
    assert jobs["store.seller_unavailable"].account == "acme"


# --- the customer ---------------------------------------------------------------------------------


async def test_who_confirms_has_bought(world: CheckoutWorld) -> None:
    view = await world.buy(PLAN, await world.card("authenticationRequired"))
    assert view.state == "awaiting_customer"
    assert view.client_secret.startswith(view.data.payment_intent)
    assert view.client_secret not in repr(view)
    assert (await world.calls.get(STAFF, view.record.id)).client_secret == ""
    assert await world.subscriptions() == []
    await world.happen(view.record.id, "authenticate")
    view = await world.calls.get(CHILD, view.record.id)
    assert (view.state, view.client_secret) == ("completed", "")
    await all_stands(world, view, ProductKind.SUBSCRIPTION)


async def test_who_says_so_goes_on_at_once_without_an_event(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    payment = view.data.payment_intent
    again = await world.calls.confirm(CHILD, world.fresh(), view.record.id)
    assert again.state == "awaiting_customer"
    await world.emulator.control.happen(
        "payment_intents", payment, "authenticate", {}, account=world.place
    )
    again = await world.calls.confirm(CHILD, world.fresh(), view.record.id)
    assert again.state == "completed"


async def test_a_challenge_that_fails_asks_for_another_method(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    await world.happen(view.record.id, "authenticate", succeeds="false")
    view = await world.calls.get(CHILD, view.record.id)
    assert view.state == "awaiting_customer"
    assert view.data.decline_code == "payment_intent_authentication_failure"
    paid = await world.calls.retry(
        CHILD, world.fresh(), CheckoutRetry(view.record.id, await world.card())
    )
    assert (paid.state, paid.data.decline_code) == ("completed", "")
    await all_stands(world, paid, ProductKind.ONE_OFF)


async def test_a_declined_card_is_no_error_and_another_pays_the_same_intent(
    world: CheckoutWorld,
) -> None:
    view = await world.buy(PLAN, await world.card("chargeCustomerFail"))
    assert (view.state, view.data.decline_code) == ("awaiting_customer", "generic_decline")
    retry = CheckoutRetry(view.record.id, await world.card())
    request_id = world.fresh()
    paid = await world.calls.retry(CHILD, request_id, retry)
    again = await world.calls.retry(CHILD, request_id, retry)
    assert paid.state == again.state == "completed"
    await all_stands(world, paid, ProductKind.SUBSCRIPTION)
    with pytest.raises(WrongState):
        await world.calls.retry(CHILD, world.fresh(), retry)


async def test_another_method_must_be_the_buyers_and_be_authorised_first(
    world: CheckoutWorld,
) -> None:
    view = await world.buy(PACK, await world.card("chargeCustomerFail"))
    params: Any = {"name": "Other"}
    other = await world.sdk.v1.customers.create_async(params, world.options)
    for method in (await world.bank(), await world.card("visa", other.id), "ba_1", "pm_none"):
        with pytest.raises(FailedPrecondition) as caught:
            await world.calls.retry(CHILD, world.fresh(), CheckoutRetry(view.record.id, method))
        assert caught.value.reason is Reason.PAYMENT_METHOD_UNUSABLE
    assert await world.state(view.record.id) == "awaiting_customer"


@pytest.mark.parametrize("kind", [*ProductKind])
async def test_an_hour_without_the_customer_ends_it(
    world: CheckoutWorld, kind: ProductKind
) -> None:
    view = await world.buy(ITEMS[kind], await world.card("authenticationRequired"))
    await world.later(HOUR - MINUTE)
    assert await world.state(view.record.id) == "awaiting_customer"
    await world.later(2 * MINUTE)
    assert await world.state(view.record.id) == "canceled"
    await nothing_stands(world)
    await world.wake(view.data.payment_intent)
    assert await world.state(view.record.id) == "canceled"
    # The same item may be bought again.
    assert (await world.buy(ITEMS[kind], await world.card())).state == "completed"


# --- canceled -------------------------------------------------------------------------------------


async def test_the_buyer_gives_it_up(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    ended = await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    assert ended.state == "canceled"
    again = await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    assert again.state == "canceled"
    await nothing_stands(world)


async def test_what_is_bought_cannot_be_canceled(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card())
    with pytest.raises(WrongState, match="completed"):
        await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    await all_stands(world, view, ProductKind.ONE_OFF)


async def test_it_is_confirmed_while_it_is_being_canceled(world: CheckoutWorld) -> None:
    """The cancellation counts: an authorisation is let go of."""
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    await world.emulator.control.happen(
        "payment_intents", view.data.payment_intent, "authenticate", {}, account=world.place
    )
    ended = await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    assert ended.state == "canceled"
    await nothing_stands(world)


async def test_a_capture_that_nobody_knows_of_comes_before_a_cancellation(
    world: CheckoutWorld,
) -> None:
    fault = FaultSpec(kind="drop_after", count=2, method="POST", route=f"{INTENT}/{{id}}/capture")
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, await world.card())
    assert view.state == "subscribed"
    ended = await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    assert ended.state == "completed"
    await all_stands(world, ended, ProductKind.ONE_OFF)


async def test_a_capture_that_was_not_sent_gives_way_to_a_cancellation(
    world: CheckoutWorld,
) -> None:
    fault = FaultSpec(
        kind="fail", status=429, count=None, method="POST", route=f"{INTENT}/{{id}}/capture"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PLAN, await world.card())
    assert view.state == "subscribed"
    await world.emulator.control.clear_faults()
    ended = await world.calls.cancel(CHILD, world.fresh(), view.record.id)
    assert ended.state == "canceled"
    await nothing_stands(world)
    (subscription,) = await world.subscriptions()
    invoice: Any = subscription.latest_invoice
    refunds = (await world.sdk.v1.refunds.list_async({"limit": 100})).data
    assert [one.amount for one in refunds] == [TOTALS[ProductKind.SUBSCRIPTION][1]]
    assert (await world.sdk.v1.invoices.retrieve_async(invoice)).status == "paid"


# --- the bank -------------------------------------------------------------------------------------


async def test_a_bank_debit_is_paid_before_anything_begins(world: CheckoutWorld) -> None:
    view = await world.buy(PLAN, await world.bank())
    assert (view.state, view.terms.charged_first) == ("paying", True)
    await world.later(2 * DAY)
    assert await world.state(view.record.id) == "paying"
    assert await world.subscriptions() == []
    assert await world.jobs() == []
    await world.later(3 * DAY)
    view = await world.calls.get(CHILD, view.record.id)
    assert view.state == "completed"
    assert view.data.captured_at is not None
    assert view.data.captured_at > world.clock.now() - DAY
    await all_stands(world, view, ProductKind.SUBSCRIPTION)


async def test_a_debit_that_was_paid_is_refunded_where_the_parent_cannot_pay(
    world: CheckoutWorld,
) -> None:
    view = await world.buy(PLAN, await world.bank())
    parent = await world.stores.buyers.get("acme", world.own)
    assert parent is not None
    await world.card("chargeCustomerFail", parent.customer, "", default=True)
    await world.later(5 * DAY)
    await world.until_it_rests(view.record.id)
    assert await world.state(view.record.id) == "canceled"
    await nothing_stands(world)
    assert (await world.data(view.record.id)).gone == TOTALS[ProductKind.SUBSCRIPTION][0]


async def test_a_debit_that_the_bank_refuses_asks_for_another_and_then_ends(
    world: CheckoutWorld,
) -> None:
    view = await world.buy(PACK, await world.bank("000111111116"))
    assert view.state == "paying"
    await world.later(5 * DAY)
    assert await world.state(view.record.id) == "awaiting_customer"
    await world.later(2 * HOUR)
    assert await world.state(view.record.id) == "canceled"
    await nothing_stands(world)


# --- Stripe ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["canceled", "expired"])
async def test_an_authorisation_that_is_gone_at_stripe_takes_it_back(
    world: CheckoutWorld, how: str
) -> None:
    fault = FaultSpec(
        kind="fail", status=429, count=None, method="POST", route=f"{INTENT}/{{id}}/capture"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PLAN, await world.card())
    payment = view.data.payment_intent
    if how == "canceled":
        await world.sdk.v1.payment_intents.cancel_async(payment, None, world.options)
    else:
        await world.emulator.control.happen(
            "payment_intents", payment, "expire", {}, account=world.place
        )
    await world.emulator.control.clear_faults()
    await world.until_it_rests(view.record.id)
    assert await world.state(view.record.id) == "canceled"
    await nothing_stands(world)


async def test_what_could_not_be_captured_in_time_is_taken_back(world: CheckoutWorld) -> None:
    fault = FaultSpec(
        kind="fail", status=429, count=None, method="POST", route=f"{INTENT}/{{id}}/capture"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, await world.card())
    assert view.state == "subscribed"
    await world.emulator.control.clear_faults()
    await world.later(25 * HOUR)
    await world.until_it_rests(view.record.id)
    assert await world.state(view.record.id) == "canceled"
    await nothing_stands(world)


async def test_what_somebody_else_captured_is_bought(world: CheckoutWorld) -> None:
    fault = FaultSpec(
        kind="fail", status=429, count=None, method="POST", route=f"{INTENT}/{{id}}/capture"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, await world.card())
    await world.emulator.control.clear_faults()
    payments = world.sdk.v1.payment_intents
    await payments.capture_async(view.data.payment_intent, None, world.options)
    await world.later(HOUR)
    view = await world.calls.get(CHILD, view.record.id)
    assert view.state == "completed"
    await all_stands(world, view, ProductKind.ONE_OFF)


async def test_a_part_that_somebody_else_captured_is_for_people(world: CheckoutWorld) -> None:
    fault = FaultSpec(
        kind="fail", status=429, count=None, method="POST", route=f"{INTENT}/{{id}}/capture"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, await world.card())
    await world.emulator.control.clear_faults()
    payments = world.sdk.v1.payment_intents
    part: Any = {"amount_to_capture": 100}
    await payments.capture_async(view.data.payment_intent, part, world.options)
    await world.later(HOUR)
    view = await world.calls.get(STAFF, view.record.id)
    assert (view.state, view.record.progress.attention) == ("needs_attention", "NOT_AS_ASKED")
    jobs = {job.kind: job for job in await world.jobs()}
    assert jobs["store.needs_attention"].payload["checkout"] == view.record.id


@pytest.mark.parametrize("kind", ["drop_after", "fail"])
@pytest.mark.parametrize(
    ("route", "on"),
    [
        (INTENT, ProductKind.ONE_OFF), (f"{INTENT}/{{id}}/capture", ProductKind.ONE_OFF),
        ("/v1/subscriptions", ProductKind.SUBSCRIPTION),
    ],
)  # fmt: skip
async def test_it_is_bought_once_whatever_answer_is_lost(
    world: CheckoutWorld, route: str, on: ProductKind, kind: Any
) -> None:
    fault = FaultSpec(kind=kind, count=2, method="POST", route=route)
    await world.emulator.control.add_fault(fault)
    view = await world.buy(ITEMS[on], await world.card())
    await world.until_it_rests(view.record.id)
    view = await world.calls.get(CHILD, view.record.id)
    assert view.state == "completed"
    await all_stands(world, view, on)


@pytest.mark.parametrize("kind", ["drop_after", "fail"])
async def test_another_method_pays_once_whatever_answer_is_lost(
    world: CheckoutWorld, kind: Any
) -> None:
    view = await world.buy(PACK, await world.card("chargeCustomerFail"))
    fault = FaultSpec(kind=kind, count=2, method="POST", route=f"{INTENT}/{{id}}/confirm")
    await world.emulator.control.add_fault(fault)
    retry = CheckoutRetry(view.record.id, await world.card())
    await world.calls.retry(CHILD, world.fresh(), retry)
    await world.until_it_rests(view.record.id)
    assert await world.emulator.control.faults() == []
    await all_stands(world, view, ProductKind.ONE_OFF)


@pytest.mark.parametrize("kind", ["drop_after", "fail"])
@pytest.mark.parametrize("route", ["", "/{id}/confirm"])
async def test_a_debit_is_charged_once_whatever_answer_is_lost(
    world: CheckoutWorld, route: str, kind: Any
) -> None:
    bank = await world.bank()
    fault = FaultSpec(kind=kind, count=2, method="POST", route=f"{INTENT}{route}")
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, bank)
    assert await world.emulator.control.faults() == []
    for _ in range(3):
        await world.later(HOUR)
    assert await world.state(view.record.id) == "paying"
    await world.later(5 * DAY)
    await all_stands(world, view, ProductKind.ONE_OFF)


@pytest.mark.parametrize("route", [INTENT, f"{INTENT}/{{id}}/capture"])
async def test_a_lost_answer_is_found_after_the_key_has_gone(
    world: CheckoutWorld, route: str
) -> None:
    fault = FaultSpec(kind="drop_after", count=2, method="POST", route=route)
    await world.emulator.control.add_fault(fault)
    view = await world.buy(PACK, await world.card())
    world.clock.ahead += 21 * HOUR
    await world.emulator.control.advance_clock(25 * 3_600)
    await world.until_it_rests(view.record.id)
    assert await world.state(view.record.id) == "completed"
    assert len(await world.intents()) == 1


# --- people ---------------------------------------------------------------------------------------


async def attention(world: CheckoutWorld) -> str:
    """A checkout that needs attention, for a payment that is another than was asked for."""
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    amount: Any = {"amount": 100}
    await world.sdk.v1.payment_intents.update_async(view.data.payment_intent, amount, world.options)
    await world.happen(view.record.id, "authenticate")
    assert await world.state(view.record.id) == "needs_attention"
    return view.record.id


async def test_operators_decide_about_what_needs_attention(world: CheckoutWorld) -> None:
    id_ = await attention(world)
    retry = CheckoutResolution(id_, Resolving.RETRY, "look once more")
    with pytest.raises(PermissionDenied):
        await world.calls.resolve(PARENT, world.fresh(), retry)
    stands = await world.calls.resolve(STAFF, world.fresh(), retry)
    assert stands.state == "needs_attention"
    (listed,) = (await world.calls.list(STAFF, ListCheckouts(needs_attention=True))).items
    assert listed.record.id == id_
    close = CheckoutResolution(id_, Resolving.CLOSE, "canceled by hand")
    request_id = world.fresh()
    closed = await world.calls.resolve(STAFF, request_id, close)
    assert (closed.state, closed.record.progress.attention) == ("canceled", "")
    assert [one.reason for one in closed.data.resolutions] == ["look once more", "canceled by hand"]
    assert (await world.calls.resolve(STAFF, request_id, close)).state == "canceled"
    with pytest.raises(WrongState):
        await world.calls.resolve(STAFF, world.fresh(), retry)
    kinds = Counter(job.kind for job in await world.jobs())
    assert kinds["store.needs_attention"] == 2


async def test_a_cut_connection_holds_until_people_decide(world: CheckoutWorld) -> None:
    view = await world.buy(PACK, await world.card("authenticationRequired"))
    await world.emulator.control.deauthorize(world.place)
    await world.until_it_rests(view.record.id)
    stands = await world.record(view.record.id)
    assert stands.progress.attention == Reason.STRIPE_CONNECTION_REVOKED
    assert await world.balance() == (98_000, 2_000)  # it may have been paid
    close = CheckoutResolution(view.record.id, Resolving.CLOSE, "canceled in the dashboard")
    closed = await world.calls.resolve(STAFF, world.fresh(), close)
    assert closed.state == "canceled"
    assert await world.balance() == (100_000, 0)


async def test_events_repeats_and_callers_at_once_sell_once(world: CheckoutWorld) -> None:
    view = await world.buy(PLAN, await world.card("authenticationRequired"))
    payment, id_ = view.data.payment_intent, view.record.id
    await world.emulator.control.happen(
        "payment_intents", payment, "authenticate", {}, account=world.place
    )
    await asyncio.gather(
        *(world.wake(payment) for _ in range(10)),
        *(world.calls.confirm(CHILD, world.fresh(), id_) for _ in range(10)),
        *(world.calls.get(CHILD, id_) for _ in range(10)),
        world.later(MINUTE),
    )
    await world.until_it_rests(id_)
    view = await world.calls.get(CHILD, id_)
    assert view.state == "completed"
    await all_stands(world, view, ProductKind.SUBSCRIPTION)


async def test_checkouts_are_listed_newest_first(world: CheckoutWorld) -> None:
    card = await world.card()
    first = (await world.buy(PACK, card)).record.id
    second = (await world.buy(PLAN, card)).record.id
    page = await world.calls.list(CHILD, ListCheckouts(page_size=1))
    assert [one.record.id for one in page.items] == [second]
    rest = await world.calls.list(CHILD, ListCheckouts(1, page.next_page_token))
    assert [one.record.id for one in rest.items] == [first]
    assert rest.next_page_token == ""
    assert (await world.calls.list(CHILD, ListCheckouts(needs_attention=True))).items == []
    with pytest.raises(InvalidArgument, match="account"):
        await world.calls.list(STAFF, ListCheckouts())
