"""SubscriptionService, over gRPC and against Stripe's stand-in: each method, done and refused."""

import asyncio
from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import subscription_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.subscriptions_end_to_end import SubscriptionCalls, fresh
from tests.support.servers.service import ServiceAndEmulator, reason_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(here: ServiceAndEmulator) -> SubscriptionCalls:
    desk = SubscriptionCalls(here, await here.tenant())
    desk.price, desk.customer = await desk.monthly(1_000), await desk.payer()
    return desk


async def test_a_subscription_is_started_and_read_from_the_mirror_at_once(
    desk: SubscriptionCalls,
) -> None:
    await desk.here.emulator.control.pause()  # so that no webhook can have brought it
    try:
        made = await desk.create(description="Two seats", metadata={"crm": "7"})
        read = await desk.call("GetSubscription", pb.GetSubscriptionRequest(id=made.id))
        assert read == made
    finally:
        await desk.here.delivered()
    assert (made.status, made.customer, made.currency) == ("active", desk.customer, "usd")
    assert (made.description, dict(made.metadata)) == ("Two seats", {"crm": "7"})
    (item,) = made.items
    assert (item.price, item.quantity, item.interval) == (desk.price, 2, "month")
    assert (item.unit_amount.amount, item.unit_amount.currency) == (1_000, "usd")
    assert item.current_period_end_time.seconds > item.current_period_start_time.seconds
    assert made.latest_invoice
    assert made.collection_method == "charge_automatically"
    assert not made.HasField("pause")
    assert not made.HasField("cancel_time")


async def test_what_is_invoiced_and_what_begins_with_a_trial(desk: SubscriptionCalls) -> None:
    sent = await desk.create(collection_method="send_invoice", days_until_due=14)
    assert (sent.collection_method, sent.days_until_due) == ("send_invoice", 14)
    trial = await desk.create(trial_days=7)
    assert trial.status == "trialing"
    assert trial.trial_end_time.seconds - trial.trial_start_time.seconds == 7 * 86_400
    until_then = Timestamp(seconds=trial.trial_end_time.seconds + 10_000)
    assert (await desk.create(trial_end_time=until_then)).trial_end_time == until_then


async def test_a_first_payment_that_fails_leaves_nothing(desk: SubscriptionCalls) -> None:
    poor = await desk.payer("pm_card_chargeCustomerFail")
    request = desk.creation(customer=poor)
    for _ in range(2):  # the refusal is kept under the request id
        refused = await desk.refused("CreateSubscription", request)
        assert refused.reason == "PAYMENT_DECLINED"
        assert refused.metadata["decline_code"] == "generic_decline"
    assert await desk.at_stripe(poor) == []
    later = await desk.create(customer=poor, payment_behavior="default_incomplete")
    assert later.status == "incomplete"
    assert [one.id for one in await desk.at_stripe(poor)] == [later.id]


async def test_who_cannot_pay_at_all_is_refused(desk: SubscriptionCalls) -> None:
    made = await desk.sdk.customers.create_async({}, desk.tenant.options)
    refused = await desk.refused("CreateSubscription", desk.creation(customer=made.id))
    assert (refused.reason, refused.metadata["stripe_code"]) == (
        "STRIPE_REFUSED", "resource_missing",
    )  # fmt: skip


async def test_a_legacy_source_is_charged(desk: SubscriptionCalls) -> None:
    customer = await desk.sdk.customers.create_async({}, desk.tenant.options)
    card = await desk.sdk.customers.payment_sources.create_async(
        customer.id, {"source": "tok_visa"}, desk.tenant.options
    )
    made = await desk.create(customer=customer.id, default_payment_method=card.id)
    assert (made.status, made.default_payment_method) == ("active", card.id)
    (shown,) = await desk.at_stripe(customer.id)
    assert (shown.default_source, shown.default_payment_method) == (card.id, None)


async def test_unknown_customers_and_other_tenants_are_not_found(desk: SubscriptionCalls) -> None:
    stranger = SubscriptionCalls(desk.here, await desk.here.tenant())
    stranger.price = await stranger.monthly(1)
    for customer in ("cus_never", desk.customer):
        creation = stranger.creation(customer=customer)
        assert (await stranger.refused("CreateSubscription", creation)).reason == "NOT_FOUND"
    mine = await desk.create()
    id_, request_id = mine.id, fresh()
    for method, request in (
        ("GetSubscription", pb.GetSubscriptionRequest(id=id_)),
        ("CancelSubscription", pb.CancelSubscriptionRequest(id=id_, request_id=request_id)),
        ("ResumeSubscription", pb.ResumeSubscriptionRequest(id=id_, request_id=request_id)),
        ("ResumeCollection", pb.ResumeCollectionRequest(id=id_, request_id=request_id)),
        (
            "PauseCollection",
            pb.PauseCollectionRequest(id=id_, behavior="void", request_id=request_id),
        ),
        (
            "UpdateSubscription",
            pb.UpdateSubscriptionRequest(
                subscription=pb.Subscription(id=id_, description="x"), request_id=request_id
            ),
        ),
    ):
        assert (await stranger.refused(method, request)).reason == "NOT_FOUND"
    empty = await stranger.call("ListSubscriptions", pb.ListSubscriptionsRequest())
    assert not empty.subscriptions


async def test_what_is_wrong_is_told_all_at_once(desk: SubscriptionCalls) -> None:
    request = desk.creation(items=[], customer="", trial_days=731, payment_behavior="hope")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.call("CreateSubscription", request)
    assert reason_of(caught.value) == "INVALID_FIELDS"
    told = caught.value.details() or ""
    assert all(f"{field}:" in told for field in ("customer", "items", "trial_days"))
    assert "payment_behavior" in told


async def test_a_list_is_narrowed_and_paged(desk: SubscriptionCalls) -> None:
    customer = await desk.payer()
    made = [await desk.create(customer=customer) for _ in range(3)]
    request = pb.CancelSubscriptionRequest(id=made[0].id, request_id=fresh())
    await desk.call("CancelSubscription", request)

    async def listed(**fields: Any) -> list[str]:
        found, token = [], ""
        while True:
            page = await desk.call(
                "ListSubscriptions",
                pb.ListSubscriptionsRequest(
                    customer=customer, page_size=2, page_token=token, **fields
                ),
            )
            found += [one.id for one in page.subscriptions]
            token = page.next_page_token
            if not token:
                return found

    everything = await listed()
    assert sorted(everything) == sorted(one.id for one in made)
    assert await listed(statuses=["canceled"]) == [made[0].id]
    assert sorted(await listed(statuses=["active", "canceled"])) == sorted(everything)
    assert await listed(created_after=Timestamp(seconds=made[2].create_time.seconds + 9)) == []
    forged = pb.ListSubscriptionsRequest(page_token="forged")
    assert (await desk.refused("ListSubscriptions", forged)).reason == "INVALID_PAGE_TOKEN"


async def test_fields_and_items_are_changed(desk: SubscriptionCalls) -> None:
    made, dearer = await desk.create(description="old"), await desk.monthly(3_000)
    request = pb.UpdateSubscriptionRequest(
        subscription=pb.Subscription(id=made.id, metadata={"a": "1"}),
        update_mask=FieldMask(paths=["description", "metadata"]),
        items=[
            pb.SubscriptionItemChange(id=made.items[0].id, quantity=5),
            pb.SubscriptionItemChange(price=dearer),
        ],
        proration_behavior="always_invoice",
        request_id=fresh(),
    )
    changed = await desk.call("UpdateSubscription", request)
    assert await desk.call("UpdateSubscription", request) == changed
    assert (changed.description, dict(changed.metadata)) == ("", {"a": "1"})
    held = {item.price: item.quantity for item in changed.items}
    assert held == {desk.price: 5, dearer: 1}
    assert changed.latest_invoice != made.latest_invoice
    removal = pb.UpdateSubscriptionRequest(
        subscription=pb.Subscription(id=made.id),
        items=[pb.SubscriptionItemChange(id=made.items[0].id, remove=True)],
        proration_behavior="none",
        request_id=fresh(),
    )
    left = await desk.call("UpdateSubscription", removal)
    assert [item.price for item in left.items] == [dearer]
    assert await desk.call("GetSubscription", pb.GetSubscriptionRequest(id=made.id)) == left


async def test_what_falls_due_at_once_and_cannot_be_paid_changes_nothing(
    desk: SubscriptionCalls,
) -> None:
    made = await desk.create()
    bad = await desk.sdk.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": desk.customer}, desk.tenant.options
    )
    await desk.call(
        "UpdateSubscription",
        pb.UpdateSubscriptionRequest(
            subscription=pb.Subscription(id=made.id, default_payment_method=bad.id),
            request_id=fresh(),
        ),
    )
    request = pb.UpdateSubscriptionRequest(
        subscription=pb.Subscription(id=made.id),
        items=[pb.SubscriptionItemChange(id=made.items[0].id, quantity=50)],
        proration_behavior="always_invoice",
        request_id=fresh(),
    )
    assert (await desk.refused("UpdateSubscription", request)).reason == "PAYMENT_DECLINED"
    (shown,) = [one for one in await desk.at_stripe(desk.customer) if one.id == made.id]
    assert shown["items"].data[0].quantity == 2


async def test_a_cancellation_is_scheduled_and_taken_back(desk: SubscriptionCalls) -> None:
    made = await desk.create()
    scheduling = pb.CancelSubscriptionRequest(id=made.id, at_period_end=True, request_id=fresh())
    scheduled = await desk.call("CancelSubscription", scheduling)
    assert (scheduled.status, scheduled.cancel_at_period_end) == ("active", True)
    assert scheduled.cancel_time == made.items[0].current_period_end_time
    resuming = pb.ResumeSubscriptionRequest(id=made.id, request_id=fresh())
    resumed = await desk.call("ResumeSubscription", resuming)
    assert not resumed.cancel_at_period_end
    assert not resumed.HasField("cancel_time")
    at = made.items[0].current_period_end_time.seconds + 86_400
    await desk.sdk.subscriptions.update_async(made.id, {"cancel_at": at}, desk.tenant.options)
    again = pb.ResumeSubscriptionRequest(id=made.id, request_id=fresh())
    assert not (await desk.call("ResumeSubscription", again)).HasField("cancel_time")


async def test_a_cancellation_now_may_prorate_and_invoice(desk: SubscriptionCalls) -> None:
    made = await desk.create()
    request = pb.CancelSubscriptionRequest(
        id=made.id, invoice_now=True, prorate=True, request_id=fresh()
    )
    ended = await desk.call("CancelSubscription", request)
    assert ended.status == "canceled"
    assert ended.HasField("end_time")
    assert await desk.call("CancelSubscription", request) == ended
    both = pb.CancelSubscriptionRequest(
        id=made.id, at_period_end=True, prorate=True, request_id=fresh()
    )
    assert (await desk.refused("CancelSubscription", both)).reason == "INVALID_FIELDS"


async def test_payments_are_paused_and_collected_again(desk: SubscriptionCalls) -> None:
    made = await desk.create()
    then = Timestamp(seconds=made.items[0].current_period_end_time.seconds + 100)
    pausing = pb.PauseCollectionRequest(
        id=made.id, behavior="keep_as_draft", resume_time=then, request_id=fresh()
    )
    paused = await desk.call("PauseCollection", pausing)
    assert paused.status == "active"
    assert (paused.pause.behavior, paused.pause.resume_time) == ("keep_as_draft", then)
    starting = pb.ResumeCollectionRequest(id=made.id, request_id=fresh())
    assert not (await desk.call("ResumeCollection", starting)).HasField("pause")
    unknown = pb.PauseCollectionRequest(id=made.id, behavior="hope", request_id=fresh())
    assert (await desk.refused("PauseCollection", unknown)).reason == "INVALID_FIELDS"


async def test_what_has_ended_is_refused_by_its_state(desk: SubscriptionCalls) -> None:
    ended = await desk.canceled()
    id_ = ended.id
    for method, request in (
        ("CancelSubscription", pb.CancelSubscriptionRequest(id=id_, request_id=fresh())),
        (
            "CancelSubscription",
            pb.CancelSubscriptionRequest(id=id_, at_period_end=True, request_id=fresh()),
        ),
        ("ResumeSubscription", pb.ResumeSubscriptionRequest(id=id_, request_id=fresh())),
        (
            "PauseCollection",
            pb.PauseCollectionRequest(id=id_, behavior="void", request_id=fresh()),
        ),
        ("ResumeCollection", pb.ResumeCollectionRequest(id=id_, request_id=fresh())),
        (
            "UpdateSubscription",
            pb.UpdateSubscriptionRequest(
                subscription=pb.Subscription(id=id_, description="x"), request_id=fresh()
            ),
        ),
        (
            "UpdateSubscription",
            pb.UpdateSubscriptionRequest(
                subscription=pb.Subscription(id=id_),
                items=[pb.SubscriptionItemChange(id=ended.items[0].id, quantity=3)],
                request_id=fresh(),
            ),
        ),
    ):
        refused = await desk.refused(method, request)
        assert refused.reason == "WRONG_STATE"
        assert dict(refused.metadata)["state"] == "canceled"
        assert dict(refused.metadata)["id"] == id_


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_answer_to_a_cancellation_is_one_cancellation(
    desk: SubscriptionCalls, *, arrives: bool
) -> None:
    made = await desk.create()
    place = desk.place("DELETE", "/v1/subscriptions/{id}")
    control = desk.here.emulator.control
    if arrives:
        await control.add_fault(FaultSpec(kind="drop_after", **place))  # done, and nobody is told
    await control.add_fault(FaultSpec(kind="drop_before", count=None, **place))
    request = pb.CancelSubscriptionRequest(id=made.id, request_id=fresh())
    assert (await desk.refused("CancelSubscription", request)).reason == "OUTCOME_UNKNOWN"
    await control.clear_faults()
    (shown,) = [one for one in await desk.at_stripe(desk.customer) if one.id == made.id]
    assert (shown.status == "canceled") == arrives
    ended = await desk.call("CancelSubscription", request)
    assert ended.status == "canceled"
    assert await desk.call("GetSubscription", pb.GetSubscriptionRequest(id=made.id)) == ended


async def test_a_hundred_equal_creations_are_one_subscription(desk: SubscriptionCalls) -> None:
    customer, request_id = await desk.payer(), fresh()
    before = await desk.here.sent("POST /v1/subscriptions")
    request = desk.creation(customer=customer, request_id=request_id)
    made = await asyncio.gather(*(desk.call("CreateSubscription", request) for _ in range(100)))
    assert all(one == made[0] for one in made)
    assert await desk.here.sent("POST /v1/subscriptions") - before == 1
    assert [one.id for one in await desk.at_stripe(customer)] == [made[0].id]


async def test_a_lost_answer_to_a_creation_is_one_subscription(desk: SubscriptionCalls) -> None:
    customer = await desk.payer()
    place = desk.place("POST", "/v1/subscriptions")
    await desk.here.emulator.control.add_fault(FaultSpec(kind="drop_after", count=3, **place))
    request = desk.creation(customer=customer)
    assert (await desk.refused("CreateSubscription", request)).reason == "OUTCOME_UNKNOWN"
    made = await desk.call("CreateSubscription", request)
    assert [one.id for one in await desk.at_stripe(customer)] == [made.id]


async def test_a_lost_answer_to_any_change_is_one_change(desk: SubscriptionCalls) -> None:
    ids = [(await desk.create()).id for _ in range(5)]
    later = pb.CancelSubscriptionRequest(id=ids[3], at_period_end=True, request_id=fresh())
    await desk.call("CancelSubscription", later)
    pause = pb.PauseCollectionRequest(id=ids[4], behavior="void", request_id=fresh())
    await desk.call("PauseCollection", pause)
    requests = [
        (
            "UpdateSubscription",
            pb.UpdateSubscriptionRequest(
                subscription=pb.Subscription(id=ids[0]),
                items=[pb.SubscriptionItemChange(price=await desk.monthly(7))],
                request_id=fresh(),
            ),
        ),
        (
            "CancelSubscription",
            pb.CancelSubscriptionRequest(id=ids[1], at_period_end=True, request_id=fresh()),
        ),
        (
            "PauseCollection",
            pb.PauseCollectionRequest(id=ids[2], behavior="void", request_id=fresh()),
        ),
        ("ResumeSubscription", pb.ResumeSubscriptionRequest(id=ids[3], request_id=fresh())),
        ("ResumeCollection", pb.ResumeCollectionRequest(id=ids[4], request_id=fresh())),
    ]
    place = desk.place("POST", "/v1/subscriptions/{id}")
    control = desk.here.emulator.control
    await control.add_fault(FaultSpec(kind="drop_after", count=len(ids), **place))
    await control.add_fault(FaultSpec(kind="drop_before", count=None, **place))
    refused = await asyncio.gather(*(desk.refused(*request) for request in requests))
    assert {one.reason for one in refused} == {"OUTCOME_UNKNOWN"}
    await control.clear_faults()
    updated, scheduled, paused, resumed, collecting = [
        await desk.call(*request) for request in requests
    ]
    assert len(updated.items) == 2
    assert scheduled.cancel_at_period_end
    assert paused.pause.behavior == "void"
    assert not resumed.HasField("cancel_time")
    assert not collecting.HasField("pause")
    for one in (updated, scheduled, paused, resumed, collecting):
        assert await desk.call("GetSubscription", pb.GetSubscriptionRequest(id=one.id)) == one


async def test_what_happens_at_stripe_comes_by_webhook(desk: SubscriptionCalls) -> None:
    made = await desk.create()
    await desk.sdk.subscriptions.update_async(
        made.id, {"description": "changed there"}, desk.tenant.options
    )

    async def seen() -> bool:
        shown = await desk.call("GetSubscription", pb.GetSubscriptionRequest(id=made.id))
        return bool(shown.description == "changed there")

    assert await until(seen)
