"""Subscriptions at Stripe, through the real SDK."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import stripe

from application.mirror.nouns import SUBSCRIPTIONS
from application.mirror.stripe import Priority
from application.mutations.stripe import Call
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    FirstCharge,
    ItemChange,
    NewItem,
    NewSubscription,
    ResumeCollection,
    ResumeSubscription,
    SubscriptionFields,
    SubscriptionUpdate,
)
from domain.errors import FailedPrecondition, InvalidArgument, NotFound, PaymentDeclined, WrongState
from domain.mirror import Snapshot
from domain.money import Money
from domain.subscriptions import Subscription
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.readers.objects import StripeObjectReader
from infrastructure.stripe.subscriptions.gateway import StripeSubscriptions
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall, Served

MONTH = dt.timedelta(days=31)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def shown(snapshot: Snapshot[Subscription] | None) -> Subscription:
    assert snapshot is not None
    assert snapshot.object is not None
    return snapshot.object


@pytest.fixture
def gateway(api: StripeApi) -> StripeSubscriptions:
    return StripeSubscriptions(api)


class Shop:
    """The account's Stripe, seen with the SDK: prices, and customers who can pay."""

    def __init__(self, sdk: stripe.StripeClient, account: str) -> None:
        self.sdk = sdk.v1
        self.options: Any = {"stripe_account": account}
        self.price = self.customer = ""

    async def priced(self, amount: int = 1_000, interval: str = "month") -> str:
        params: Any = {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": "Seat"},
        }
        return (await self.sdk.prices.create_async(params, self.options)).id

    async def payer(self, card: str = "pm_card_visa") -> str:
        customer = await self.sdk.customers.create_async({}, self.options)
        method = await self.sdk.payment_methods.attach_async(
            card, {"customer": customer.id}, self.options
        )
        await self.sdk.customers.update_async(
            customer.id, {"invoice_settings": {"default_payment_method": method.id}}, self.options
        )
        return customer.id

    def order(self, **more: Any) -> NewSubscription:
        fields = {"payment_behavior": "error_if_incomplete", **more}
        return NewSubscription(self.customer, (NewItem(self.price, 2),), **fields)


@pytest.fixture
async def shop(emulator: RunningEmulator, account: str) -> AsyncIterator[Shop]:
    async with emulator.sdk() as sdk:
        made = Shop(sdk, account)
        made.price, made.customer = await made.priced(), await made.payer()
        yield made


async def test_create_writes_every_field_and_the_tag(
    api: StripeApi, gateway: StripeSubscriptions, call: MakeCall, shop: Shop, account: str
) -> None:
    until = now().replace(microsecond=0) + MONTH
    order = shop.order(trial_end=until, description="Seats", metadata={"crm": "7", "none": ""})
    snapshot = await gateway.create(call(), order)
    found = shown(snapshot)
    assert (snapshot.stripe_account, snapshot.unknown) == (account, frozenset())
    assert (found.status, found.customer, found.trial_end) == ("trialing", shop.customer, until)
    assert found.description == "Seats"
    assert found.metadata == {"crm": "7", "billing_request": "tag-one"}
    (item,) = found.items
    assert (item.price, item.quantity) == (shop.price, 2)
    assert item.current_period_end == until
    read = await StripeObjectReader(api).read(
        SUBSCRIPTIONS, account, found.id, not_before_ms=None, priority=Priority.CALLER
    )
    assert read.object == found


async def test_what_is_asked_for_once_is_on_the_first_invoice_and_its_payment_is_found(
    api: StripeApi, gateway: StripeSubscriptions, call: MakeCall, shop: Shop, account: str
) -> None:
    product = (await shop.sdk.products.create_async({"name": "Set-up"}, shop.options)).id
    order = shop.order(first_charges=(FirstCharge(product, Money(700, "usd")),))
    made = shown(await gateway.create(call(), order))
    assert made.latest_invoice is not None
    payments = StripePaymentIntents(api, "")
    (paid,) = await payments.paying(account, made.latest_invoice)
    payment, _ = await payments.read(account, paid)
    assert (payment.status, payment.received) == ("succeeded", Money(2_700, "usd"))
    trial = shown(await gateway.create(call("trial"), shop.order(trial_days=3)))
    assert trial.latest_invoice is not None
    assert await payments.paying(account, trial.latest_invoice) == []


async def test_create_in_other_ways(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    sent = NewSubscription(
        shop.customer, (NewItem(shop.price),), trial_days=3, collection_method="send_invoice",
        days_until_due=14, proration_behavior="none",
    )  # fmt: skip
    found = shown(await gateway.create(call(), sent))
    assert (found.collection_method, found.days_until_due) == ("send_invoice", 14)
    assert found.trial_end is not None
    assert found.trial_start is not None
    assert found.trial_end - found.trial_start == dt.timedelta(days=3)
    assert found.items[0].quantity == 1


@pytest.mark.parametrize(
    ("method", "field"), [("pm", "default_payment_method"), ("card", "default_source")]
)
async def test_create_charges_a_payment_method_or_a_source(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, method: str, field: str
) -> None:
    if method == "pm":
        attached = await shop.sdk.payment_methods.attach_async(
            "pm_card_visa", {"customer": shop.customer}, shop.options
        )
        id_ = attached.id
    else:
        source = await shop.sdk.customers.payment_sources.create_async(
            shop.customer, {"source": "tok_visa"}, shop.options
        )
        id_ = source.id
    found = shown(await gateway.create(call(), shop.order(default_payment_method=id_)))
    assert (getattr(found, field), found.status) == (id_, "active")


async def test_create_that_is_refused_leaves_nothing(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    poor = await shop.payer("pm_card_chargeCustomerFail")
    items = (NewItem(shop.price),)
    declined = NewSubscription(poor, items, payment_behavior="error_if_incomplete")
    with pytest.raises(PaymentDeclined) as refused:
        await gateway.create(call("one"), declined)
    assert refused.value.decline_code == "generic_decline"
    with pytest.raises(NotFound) as missing:
        await gateway.create(call("two"), NewSubscription("cus_never", items))
    assert missing.value.metadata == {**missing.value.metadata, "resource": "customer"}
    with pytest.raises(InvalidArgument, match=r"items\[0\]\.price"):
        await gateway.create(call("three"), NewSubscription(poor, (NewItem("price_never"),)))
    nobody = await shop.sdk.customers.create_async({}, shop.options)
    with pytest.raises(FailedPrecondition):
        await gateway.create(call("four"), NewSubscription(nobody.id, items))
    listed = await shop.sdk.subscriptions.list_async({"status": "all"}, shop.options)
    assert listed.data == []
    assert await gateway.find_created(call("one"), declined, now()) is None


async def test_a_refused_parameter_bears_the_callers_name_of_it(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await gateway.create(call(), shop.order(trial_end=now() - MONTH))
    assert [violation.field for violation in refused.value.violations] == ["trial_end_time"]
    assert refused.value.metadata["stripe_request_id"]
    made = await gateway.create(call("two"), shop.order())
    (standing,) = shown(made).items
    for change, field in (
        (SubscriptionFields(metadata={"a" * 41: "x"}), "subscription.metadata"),
        (SubscriptionFields(description="x" * 501), "subscription.description"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await gateway.update(call(field), SubscriptionUpdate(made.id, change))
        assert refused.value.violations[0].field.startswith(field)
    last = SubscriptionUpdate(
        made.id, SubscriptionFields(), (ItemChange(standing.id, remove=True),)
    )
    with pytest.raises((InvalidArgument, FailedPrecondition)) as kept:
        await gateway.update(call("last"), last)
    assert "deleted" not in kept.value.message


async def test_a_payer_who_is_away_confirms_nothing(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    """Off session a card that wants authentication declines; on session it would wait for it."""
    careful = await shop.payer("pm_card_authenticationRequired")
    order = NewSubscription(careful, (NewItem(shop.price),), payment_behavior="error_if_incomplete")
    with pytest.raises(PaymentDeclined) as refused:
        await gateway.create(call("one"), order)
    assert refused.value.decline_code == "authentication_required"
    for behavior in ("allow_incomplete", "default_incomplete"):
        made = await gateway.create(call(behavior), replace(order, payment_behavior=behavior))
        assert shown(made).status == "incomplete"
        charges = await shop.sdk.charges.list_async({"customer": careful}, shop.options)
        assert [one.status for one in charges.data] == ["failed"], "only the former attempts one"
        await gateway.cancel(call("end"), Cancellation(made.id))


async def test_a_change_that_is_paid_at_once_is_off_session_too(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    made = shown(await gateway.create(call(), shop.order()))
    method = await shop.sdk.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": shop.customer}, shop.options
    )
    change = SubscriptionUpdate(
        made.id,
        SubscriptionFields(default_payment_method=method.id),
        (ItemChange(made.items[0].id, quantity=9),),
        "always_invoice",
        "error_if_incomplete",
    )
    with pytest.raises(PaymentDeclined) as refused:
        await gateway.update(call("two"), change)
    assert refused.value.decline_code == "authentication_required"


async def test_find_created_finds_by_tag_one_that_was_canceled_too(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, emulator: RunningEmulator
) -> None:
    order = shop.order()
    made = await gateway.create(call("mine"), order)
    await gateway.create(call("other"), order)
    await gateway.cancel(call(), Cancellation(made.id))
    found = await gateway.find_created(call("mine"), order, now())
    assert shown(found).id == made.id
    assert await gateway.find_created(call("third"), order, now()) is None
    stranger = Call(await emulator.control.create_account(), "k", "tag-mine")
    assert await gateway.find_created(stranger, order, now()) is None


async def test_the_same_key_makes_one_subscription(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    first = await gateway.create(call(), shop.order())
    again = await gateway.create(call(), shop.order())
    assert again.id == first.id
    assert len((await shop.sdk.subscriptions.list_async({}, shop.options)).data) == 1


async def test_update_changes_fields_and_items_at_once(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    made = shown(await gateway.create(call(), shop.order(description="old", metadata={"a": "1"})))
    dearer = await shop.priced(5_000)
    change = SubscriptionUpdate(
        made.id,
        SubscriptionFields(description="", metadata={"a": "", "b": "2"}),
        (ItemChange(id=made.items[0].id, quantity=7), ItemChange(price=dearer, quantity=3)),
        "create_prorations",
        "error_if_incomplete",
    )
    assert await gateway.find_updated(call("two"), change, now()) is None
    found = shown(await gateway.update(call("two"), change))
    assert found.description is None
    assert found.metadata == {"b": "2", "billing_request": "tag-one"}
    assert {item.price: item.quantity for item in found.items} == {shop.price: 7, dearer: 3}
    assert shown(await gateway.find_updated(call("two"), change, now())) == found
    added = next(item for item in found.items if item.price == dearer)
    removal = SubscriptionUpdate(
        made.id, SubscriptionFields(), (ItemChange(id=added.id, remove=True),), "none"
    )
    assert await gateway.find_updated(call("three"), removal, now()) is None
    left = shown(await gateway.update(call("three"), removal))
    assert [item.price for item in left.items] == [shop.price]
    assert await gateway.find_updated(call("three"), removal, now()) is not None


async def test_update_sets_and_clears_what_is_charged(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    method = await shop.sdk.payment_methods.attach_async(
        "pm_card_visa", {"customer": shop.customer}, shop.options
    )
    source = await shop.sdk.customers.payment_sources.create_async(
        shop.customer, {"source": "tok_visa"}, shop.options
    )
    made = await gateway.create(call(), shop.order(default_payment_method=method.id))
    for number, (wanted, expected) in enumerate(
        [
            (source.id, (None, source.id)),
            (method.id, (method.id, None)),
            ("", (None, None)),
        ]
    ):
        change = SubscriptionUpdate(made.id, SubscriptionFields(default_payment_method=wanted))
        assert await gateway.find_updated(call(), change, now()) is None
        found = shown(await gateway.update(call(f"c{number}"), change))
        assert (found.default_payment_method, found.default_source) == expected
        assert await gateway.find_updated(call(), change, now()) is not None


async def test_an_update_that_names_what_is_not_there_is_refused(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    made = await gateway.create(call(), shop.order())
    unknown = SubscriptionUpdate(made.id, SubscriptionFields(), (ItemChange("si_no", quantity=1),))
    with pytest.raises(InvalidArgument, match=r"items\[0\]\.id"):
        await gateway.update(call("two"), unknown)
    nobody = SubscriptionUpdate("sub_never", SubscriptionFields(description="x"))
    with pytest.raises(NotFound):
        await gateway.update(call("three"), nobody)
    assert await gateway.find_updated(call(), nobody, now()) is None


async def test_cancel_now_and_again_is_success(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, served: Served
) -> None:
    made = await gateway.create(call(), shop.order())
    wanted = Cancellation(made.id, invoice_now=True, prorate=True)
    assert await gateway.find_canceled(call(), wanted, now()) is None
    for _ in range(2):
        assert shown(await gateway.cancel(call("two"), wanted)).status == "canceled"
    assert await served("DELETE /v1/subscriptions/{id}") == 2
    assert shown(await gateway.find_canceled(call(), wanted, now())).ended
    with pytest.raises(NotFound):
        await gateway.cancel(call(), Cancellation("sub_never"))
    assert await gateway.find_canceled(call(), Cancellation("sub_never"), now()) is None


async def test_what_stripe_calls_plan_is_told_as_items(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    twice = (NewItem(shop.price, 1), NewItem(shop.price, 2))
    with pytest.raises(InvalidArgument) as refused:
        await gateway.create(call(), replace(shop.order(), items=twice))
    assert [violation.field for violation in refused.value.violations] == ["items"]


async def test_a_subscription_of_several_intervals_ends_with_the_earliest_period(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    yearly = NewItem(await shop.priced(9_000, "year"), 1)
    order = replace(shop.order(), items=(NewItem(shop.price, 1), yearly))
    made = shown(await gateway.create(call("start"), order))
    ends = sorted(item.current_period_end for item in made.items if item.current_period_end)
    assert ends[0] < ends[1]
    ending = await gateway.cancel(call("end"), Cancellation(made.id, at_period_end=True))
    assert shown(ending).cancel_at == ends[0]


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_a_scheduled_cancellation_is_taken_back(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, *, at_period_end: bool
) -> None:
    made = shown(await gateway.create(call(), shop.order()))
    if at_period_end:
        wanted = Cancellation(made.id, at_period_end=True)
        scheduled = shown(await gateway.cancel(call("two"), wanted))
        assert shown(await gateway.find_canceled(call(), wanted, now())) == scheduled
        assert scheduled.cancel_at == made.items[0].current_period_end
    else:
        at = int((now() + MONTH).timestamp())
        await shop.sdk.subscriptions.update_async(made.id, {"cancel_at": at}, shop.options)
    back = ResumeSubscription(made.id, at_period_end)
    assert await gateway.find_going_on(call(), back, now()) is None
    found = shown(await gateway.go_on(call("three"), back))
    assert (found.cancel_at, found.cancel_at_period_end) == (None, False)
    assert shown(await gateway.find_going_on(call(), back, now())) == found


@pytest.mark.parametrize("resumes_at", [None, now().replace(microsecond=0) + MONTH])
async def test_collection_is_paused_and_goes_on(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, resumes_at: dt.datetime | None
) -> None:
    made = await gateway.create(call(), shop.order())
    pause, start = CollectionPause(made.id, "void", resumes_at), ResumeCollection(made.id)
    assert await gateway.find_paused(call(), pause, now()) is None
    found = shown(await gateway.pause(call("two"), pause))
    assert (found.pause_behavior, found.pause_resumes_at) == ("void", resumes_at)
    assert shown(await gateway.find_paused(call(), pause, now())) == found
    other = CollectionPause(made.id, "void", now() + 2 * MONTH)
    assert await gateway.find_paused(call(), other, now()) is None
    assert await gateway.find_collecting(call(), start, now()) is None
    assert shown(await gateway.collect(call("three"), start)).pause_behavior is None
    assert await gateway.find_collecting(call(), start, now()) is not None


async def test_a_bare_refusal_of_what_has_ended_is_told_with_its_state(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop, emulator: RunningEmulator
) -> None:
    id_ = (await gateway.create(call(), shop.order())).id
    await gateway.cancel(call(), Cancellation(id_))
    change = SubscriptionUpdate(id_, SubscriptionFields(description="x"))
    sends: list[tuple[Any, Any]] = [
        (gateway.update, change),
        (gateway.cancel, Cancellation(id_, at_period_end=True)),
        (gateway.go_on, ResumeSubscription(id_)),
        (gateway.pause, CollectionPause(id_, "void")),
        (gateway.collect, ResumeCollection(id_)),
    ]
    for number, (send, params) in enumerate(sends):
        await emulator.control.add_fault(FaultSpec(kind="fail", status=400, method="POST"))
        with pytest.raises(WrongState) as refused:
            await send(call(f"bare {number}"), params)
        assert refused.value.state == "canceled"


async def test_what_has_ended_is_named_by_its_state(
    gateway: StripeSubscriptions, call: MakeCall, shop: Shop
) -> None:
    made = await gateway.create(call(), shop.order())
    await gateway.cancel(call(), Cancellation(made.id))
    id_ = made.id
    for number, change in enumerate(
        (
            gateway.update(call("a"), SubscriptionUpdate(id_, SubscriptionFields(description="x"))),
            gateway.cancel(call("b"), Cancellation(id_, at_period_end=True)),
            gateway.go_on(call("c"), ResumeSubscription(id_, at_period_end=True)),
            gateway.go_on(call("d"), ResumeSubscription(id_)),
            gateway.pause(call("e"), CollectionPause(id_, "void")),
            gateway.collect(call("f"), ResumeCollection(id_)),
        )
    ):
        with pytest.raises(WrongState) as refused:
            await change
        assert (number, refused.value.state) == (number, "canceled")
    assert await gateway.find_going_on(call(), ResumeSubscription(id_), now()) is None
