"""Subscriptions and payment methods between messages and commands."""

import datetime as dt
from typing import Any
from unittest.mock import create_autospec

import pytest
from billing_client.v1 import payment_method_service_pb2 as methods_pb
from billing_client.v1 import subscription_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from application.payment_methods.ports import CustomersMethod, NewSetupIntent
from application.payment_methods.use_cases import OwnedMethod, PaymentMethods, PreparedSetup
from application.requests.paging import Page
from application.subscriptions.commands import ListSubscriptions, UpdateSubscription
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    ItemChange,
    NewItem,
    NewSubscription,
    SubscriptionFields,
)
from application.subscriptions.use_cases import Subscriptions
from domain.payment_methods import PaymentMethod, SetupIntent
from domain.prices import Recurrence
from domain.subscriptions import Subscription, SubscriptionItem
from interfaces.grpc.payment_methods.servicer import PaymentMethodServicer
from interfaces.grpc.subscriptions.servicer import SubscriptionServicer
from tests.unit.grpc.bridge import CALLER, invoke

SUBSCRIPTIONS = pb.DESCRIPTOR.services_by_name["SubscriptionService"].methods_by_name
METHODS = methods_pb.DESCRIPTOR.services_by_name["PaymentMethodService"].methods_by_name
CREATED = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
BARE = Subscription("sub_1", CREATED, "cus_1", "active")


def at(days: int) -> dt.datetime:
    return CREATED + dt.timedelta(days=days)


def told(days: int) -> Timestamp:
    return Timestamp(seconds=int(at(days).timestamp()))


FULL = Subscription(
    "sub_1", CREATED, "cus_1", "active", "usd",
    items=(
        SubscriptionItem(
            "si_1", "price_1", "prod_1", 2, "usd", 1_000, "1000", Recurrence("month", 3), at(1),
            at(2),
        ),
        SubscriptionItem("si_2", "price_2", None, None, "usd"),
    ),
    cancel_at_period_end=True, cancel_at=at(3), canceled_at=at(4), ended_at=at(5),
    start_date=at(6), trial_start=at(7), trial_end=at(8), pause_behavior="void",
    collection_method="send_invoice", default_source="card_1", latest_invoice="in_1",
    description="Seats", metadata={"a": "1", "billing_request": "tag"}, pause_resumes_at=at(9),
    days_until_due=14, discounts=("di_1",),
)  # fmt: skip


@pytest.fixture
def use() -> Any:
    subscriptions = create_autospec(Subscriptions, instance=True)
    for name in ("get", "create", "update", "cancel", "resume", "pause_collection",
                 "resume_collection"):  # fmt: skip
        getattr(subscriptions, name).return_value = BARE
    return subscriptions


async def call(use: Any, method: str, request: Any) -> Any:
    reply, _, _ = await invoke(SubscriptionServicer(use), SUBSCRIPTIONS[method], request)
    return reply


async def test_everything_is_shown(use: Any) -> None:
    use.get.return_value = FULL
    shown = await call(use, "GetSubscription", pb.GetSubscriptionRequest(id="sub_1"))
    use.get.assert_awaited_once_with(CALLER, "sub_1")
    first, second = shown.items
    assert (first.id, first.price, first.product, first.quantity) == (
        "si_1", "price_1", "prod_1", 2,
    )  # fmt: skip
    assert (first.unit_amount.amount, first.unit_amount.currency) == (1_000, "usd")
    assert (first.unit_amount_decimal, first.interval, first.interval_count) == ("1000", "month", 3)
    assert (first.current_period_start_time, first.current_period_end_time) == (told(1), told(2))
    assert [field.name for field, _ in second.ListFields()] == ["id", "price"]
    assert shown.cancel_at_period_end
    assert (shown.cancel_time, shown.canceled_time, shown.end_time) == (told(3), told(4), told(5))
    assert (shown.start_time, shown.trial_start_time, shown.trial_end_time) == (
        told(6), told(7), told(8),
    )  # fmt: skip
    assert shown.pause == pb.CollectionPause(behavior="void", resume_time=told(9))
    assert (shown.default_payment_method, shown.latest_invoice) == ("card_1", "in_1")
    assert (shown.collection_method, shown.days_until_due) == ("send_invoice", 14)
    assert (shown.description, list(shown.discounts)) == ("Seats", ["di_1"])
    assert dict(shown.metadata) == {"a": "1"}


async def test_what_is_not_set_is_absent(use: Any) -> None:
    shown = await call(use, "GetSubscription", pb.GetSubscriptionRequest(id="sub_1"))
    names = [field.name for field, _ in shown.ListFields()]
    assert names == ["id", "create_time", "customer", "status"]


async def test_a_list(use: Any) -> None:
    use.list.return_value = Page([BARE], "next")
    request = pb.ListSubscriptionsRequest(
        page_size=7, page_token="token", customer="cus_1", statuses=["active", "unpaid"],
        created_after=told(1), created_before=Timestamp(nanos=-1),
    )  # fmt: skip
    reply = await call(use, "ListSubscriptions", request)
    caller, query, found = use.list.await_args.args
    assert (caller, query) == (
        CALLER, ListSubscriptions(7, "token", "cus_1", ("active", "unpaid"), at(1)),
    )  # fmt: skip
    assert [violation.field for violation in found] == ["created_before"]
    assert ([one.id for one in reply.subscriptions], reply.next_page_token) == (["sub_1"], "next")


async def test_a_creation(use: Any) -> None:
    request = pb.CreateSubscriptionRequest(
        customer="cus_1",
        items=[
            pb.NewSubscriptionItem(price="p1", quantity=0), pb.NewSubscriptionItem(price="p2"),
        ],
        trial_end_time=told(5), collection_method="send_invoice", days_until_due=3,
        default_payment_method="pm_1", payment_behavior="a", proration_behavior="b",
        description="d", metadata={"k": "v"}, request_id="r-1",
    )  # fmt: skip
    await call(use, "CreateSubscription", request)
    wanted = NewSubscription(
        "cus_1", (NewItem("p1", 0), NewItem("p2")), None, at(5), "send_invoice", 3, "pm_1", "a",
        "b", "d", {"k": "v"},
    )  # fmt: skip
    use.create.assert_awaited_once_with(CALLER, "r-1", wanted, [])


async def test_a_trial_of_no_days_is_not_no_trial(use: Any) -> None:
    await call(use, "CreateSubscription", pb.CreateSubscriptionRequest(trial_days=0))
    assert use.create.await_args.args[2] == NewSubscription("", (), trial_days=0)
    malformed = pb.CreateSubscriptionRequest(trial_end_time=Timestamp(seconds=2**62))
    await call(use, "CreateSubscription", malformed)
    assert [one.field for one in use.create.await_args.args[3]] == ["trial_end_time"]


async def test_an_update(use: Any) -> None:
    request = pb.UpdateSubscriptionRequest(
        subscription=pb.Subscription(id="sub_1", description="d", default_payment_method="pm_1"),
        update_mask=FieldMask(paths=["*"]),
        items=[
            pb.SubscriptionItemChange(id="si_1", quantity=0),
            pb.SubscriptionItemChange(id="si_2", remove=True),
            pb.SubscriptionItemChange(price="p"),
        ],
        proration_behavior="a", payment_behavior="b", request_id="r-1",
    )  # fmt: skip
    await call(use, "UpdateSubscription", request)
    command = UpdateSubscription(
        "sub_1", SubscriptionFields("pm_1", "d"), ("*",),
        (ItemChange("si_1", quantity=0), ItemChange("si_2", remove=True), ItemChange(price="p")),
        "a", "b",
    )  # fmt: skip
    use.update.assert_awaited_once_with(CALLER, "r-1", command, [])
    await call(use, "UpdateSubscription", pb.UpdateSubscriptionRequest(request_id="r-2"))
    assert [one.field for one in use.update.await_args.args[3]] == ["subscription"]


async def test_the_other_changes(use: Any) -> None:
    cancel = pb.CancelSubscriptionRequest(id="sub_1", invoice_now=True, request_id="r-1")
    await call(use, "CancelSubscription", cancel)
    use.cancel.assert_awaited_once_with(CALLER, "r-1", Cancellation("sub_1", False, True, False))
    resume = pb.ResumeSubscriptionRequest(id="sub_1", request_id="r-2")
    await call(use, "ResumeSubscription", resume)
    use.resume.assert_awaited_once_with(CALLER, "r-2", "sub_1")
    pause = pb.PauseCollectionRequest(
        id="sub_1", behavior="void", resume_time=told(1), request_id="r-3"
    )
    await call(use, "PauseCollection", pause)
    expected = CollectionPause("sub_1", "void", at(1))
    use.pause_collection.assert_awaited_once_with(CALLER, "r-3", expected, [])
    collect = pb.ResumeCollectionRequest(id="sub_1", request_id="r-4")
    await call(use, "ResumeCollection", collect)
    use.resume_collection.assert_awaited_once_with(CALLER, "r-4", "sub_1")


async def test_payment_methods() -> None:
    use = create_autospec(PaymentMethods, instance=True)
    owned = OwnedMethod(
        PaymentMethod("card_1", "card", "cus_1", "visa", "B", "4242", 8, 2030, "credit", "DE"), True
    )
    use.list.return_value = Page([owned], "next")
    use.attach.return_value = use.set_default.return_value = owned
    use.create_setup.return_value = PreparedSetup(SetupIntent("seti_1", "open"), "secret")
    message = methods_pb.PaymentMethod(
        id="card_1", type="card", legacy=True, is_default=True, brand="visa", bank="B",
        last4="4242", exp_month=8, exp_year=2030, funding="credit", country="DE",
    )  # fmt: skip
    servicer = PaymentMethodServicer(use)

    async def reply(method: str, request: Any) -> Any:
        answer, _, _ = await invoke(servicer, METHODS[method], request)
        return answer

    listed = await reply("ListPaymentMethods", methods_pb.ListPaymentMethodsRequest(customer="c"))
    assert (list(listed.payment_methods), listed.next_page_token) == ([message], "next")
    fields = {"customer": "cus_1", "id": "card_1", "request_id": "r-1"}
    wanted = CustomersMethod("cus_1", "card_1")
    attach = methods_pb.AttachPaymentMethodRequest(**fields)
    assert await reply("AttachPaymentMethod", attach) == message
    use.attach.assert_awaited_once_with(CALLER, "r-1", wanted)
    choose = methods_pb.SetDefaultPaymentMethodRequest(**fields)
    assert await reply("SetDefaultPaymentMethod", choose) == message
    use.set_default.assert_awaited_once_with(CALLER, "r-1", wanted)
    await reply("DetachPaymentMethod", methods_pb.DetachPaymentMethodRequest(**fields))
    use.detach.assert_awaited_once_with(CALLER, "r-1", wanted)
    setup = methods_pb.CreateSetupIntentRequest(
        customer="cus_1", payment_method_types=["card"], usage="on_session", request_id="r-1"
    )
    made = await reply("CreateSetupIntent", setup)
    assert (made.id, made.client_secret, made.status) == ("seti_1", "secret", "open")
    expected = NewSetupIntent("cus_1", ("card",), "on_session")
    use.create_setup.assert_awaited_once_with(CALLER, "r-1", expected)
