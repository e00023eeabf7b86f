"""Subscriptions: what may be asked, and what is then asked of the mirror and of Stripe."""

import datetime as dt
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.nouns import SUBSCRIPTIONS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.mutations.stripe import Unanswered
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from application.subscriptions.commands import ListSubscriptions, UpdateSubscription
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    ItemChange,
    NewItem,
    NewSubscription,
    ResumeCollection,
    ResumeSubscription,
    SubscriptionFields,
    SubscriptionGateway,
    SubscriptionUpdate,
)
from application.subscriptions.use_cases import Subscriptions
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import InvalidArgument, NotFound, OutcomeUnknown, WrongState
from domain.mirror import Snapshot, Version
from domain.subscriptions import Subscription, SubscriptionItem
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
ACTIVE = Subscription("sub_1", NOON, "cus_1", "active", collection_method="charge_automatically")
SECOND = dt.timedelta(seconds=1)
ORDER = NewSubscription("cus_1", (NewItem("price_1"),))


def snapshot(found: Subscription, number: int = 1) -> Snapshot[Subscription]:
    return Snapshot("acct_1", found.id, Version.of_event(number), found)


class SubscriptionsOnFakes:
    """The use case and what it works with; every change answers with `sub_1` as it is active."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.mirror, self.stripe = FakeMirror(), create_autospec(SubscriptionGateway, instance=True)
        other = replace(CONNECTION, account="other", stripe_account="acct_2")
        connections = Connections(
            FakeConnections(CONNECTION, other), FakeStripeAccounts(), self.mirror, clock, Mode.TEST
        )
        self.writer = MirrorWriter(self.mirror)
        self.there = ACTIVE
        self.objects = FakeObjects(clock, lambda id_: self.there if id_ == "sub_1" else None)
        mutations = Mutations(
            FakeMutationLog(), connections, self.writer, clock, Tasks(), self.objects
        )
        reader = MirrorReader(self.mirror, PageTokens(b"k", clock))
        self.subscriptions = Subscriptions(reader, connections, mutations, self.stripe)
        for change in ("create", "update", "cancel", "go_on", "pause", "collect"):
            getattr(self.stripe, change).return_value = snapshot(ACTIVE)

    async def mirrored(self, *found: Subscription) -> None:
        await self.writer.observe(SUBSCRIPTIONS, [snapshot(one) for one in found])

    def sent(self, change: str) -> Any:
        """The parameters of the one request of a kind."""
        (request,) = getattr(self.stripe, change).await_args_list
        return request.args[1]


@pytest.fixture
def desk() -> SubscriptionsOnFakes:
    return SubscriptionsOnFakes()


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def test_a_list_is_narrowed(desk: SubscriptionsOnFakes) -> None:
    await desk.mirrored(
        ACTIVE,
        Subscription("sub_2", NOON + SECOND, "cus_1", "canceled"),
        Subscription("sub_3", NOON + 2 * SECOND, "cus_2", "past_due"),
    )
    for query, expected in (
        (ListSubscriptions(), ["sub_3", "sub_2", "sub_1"]),
        (ListSubscriptions(customer="cus_1"), ["sub_2", "sub_1"]),
        (ListSubscriptions(statuses=("active", "past_due")), ["sub_3", "sub_1"]),
        (ListSubscriptions(customer="cus_1", statuses=("active",)), ["sub_1"]),
        (ListSubscriptions(created_after=NOON + SECOND), ["sub_3", "sub_2"]),
        (ListSubscriptions(created_before=NOON + SECOND), ["sub_1"]),
    ):
        page = await desk.subscriptions.list(CALLER, query)
        assert [one.id for one in page.items] == expected
    other = replace(CALLER, account="other")
    assert (await desk.subscriptions.list(other, ListSubscriptions())).items == []


async def test_get(desk: SubscriptionsOnFakes) -> None:
    await desk.mirrored(ACTIVE)
    assert await desk.subscriptions.get(CALLER, "sub_1") == ACTIVE
    for caller, id_ in ((CALLER, "sub_2"), (replace(CALLER, account="other"), "sub_1")):
        with pytest.raises(NotFound):
            await desk.subscriptions.get(caller, id_)
    assert await violations(desk.subscriptions.get(CALLER, "x\n")) == ["id"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (ListSubscriptions(page_size=101, customer="a\n"), ["page_size", "customer"]),
        (ListSubscriptions(statuses=("Active",)), ["statuses"]),
        (ListSubscriptions(statuses=("active",) * 11), ["statuses"]),
        (ListSubscriptions(created_after=NOON, created_before=NOON), ["created_before"]),
        (ListSubscriptions(page_token="forged"), ["page_token"]),
    ],
)
async def test_lists_that_are_none(
    desk: SubscriptionsOnFakes, query: ListSubscriptions, fields: list[str]
) -> None:
    assert await violations(desk.subscriptions.list(CALLER, query)) == fields


async def test_without_a_word_about_it_a_failed_payment_leaves_nothing(
    desk: SubscriptionsOnFakes,
) -> None:
    await desk.subscriptions.create(CALLER, "r-1", ORDER)
    assert desk.sent("create") == replace(ORDER, payment_behavior="error_if_incomplete")


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, payment_behavior="default_incomplete"),
        replace(ORDER, collection_method="send_invoice", days_until_due=30),
    ],
)
async def test_what_was_chosen_is_sent_as_it_is(
    desk: SubscriptionsOnFakes, order: NewSubscription
) -> None:
    await desk.subscriptions.create(CALLER, "r-1", order)
    assert desk.sent("create") == order
    assert await desk.subscriptions.get(CALLER, "sub_1") == ACTIVE


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, items=tuple(NewItem(f"gold.{n}", 0) for n in range(20)), trial_days=730),
        replace(ORDER, trial_days=1, description="d" * 500, default_payment_method="card_1"),
        replace(ORDER, proration_behavior="none", metadata={"k": "v"}),
        replace(ORDER, collection_method="send_invoice", days_until_due=1),
    ],
)
async def test_the_limits_themselves_are_allowed(
    desk: SubscriptionsOnFakes, order: NewSubscription
) -> None:
    await desk.subscriptions.create(CALLER, "r-1", order)


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (NewSubscription("", ()), ["customer", "items"]),
        (replace(ORDER, items=tuple(NewItem(f"p{n}") for n in range(21))), ["items"]),
        (replace(ORDER, items=ORDER.items * 3), ["items[1].price", "items[2].price"]),
        (
            replace(ORDER, items=(NewItem("", -1), NewItem("a\n", 2**31))),
            ["items[0].price", "items[0].quantity", "items[1].price", "items[1].quantity"],
        ),
        (replace(ORDER, trial_days=0), ["trial_days"]),
        (replace(ORDER, trial_days=731), ["trial_days"]),
        (replace(ORDER, default_payment_method="pm\n"), ["default_payment_method"]),
        (
            replace(ORDER, collection_method="barter", payment_behavior="hope"),
            ["collection_method", "payment_behavior"],
        ),
        (replace(ORDER, days_until_due=3), ["days_until_due"]),
        (replace(ORDER, collection_method="send_invoice"), ["days_until_due"]),
        (
            replace(
                ORDER, collection_method="send_invoice", days_until_due=731,
                payment_behavior="allow_incomplete",
            ),
            ["days_until_due", "payment_behavior"],
        ),
        (
            replace(
                ORDER, proration_behavior="x", description="d" * 501, metadata={"billing_x": "y"}
            ),
            ["proration_behavior", "description", "metadata"],
        ),
    ],
)  # fmt: skip
async def test_orders_that_are_none(
    desk: SubscriptionsOnFakes, order: NewSubscription, fields: list[str]
) -> None:
    assert await violations(desk.subscriptions.create(CALLER, "", order)) == ["request_id", *fields]
    assert not desk.stripe.create.await_args_list


VALUES = SubscriptionFields(default_payment_method="pm_1", metadata={"a": "1"})


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ((), VALUES),
        (("metadata",), SubscriptionFields(metadata={"a": "1"})),
        (("description",), SubscriptionFields(description="")),  # empty clears
    ],
)
async def test_the_mask_says_what_counts(
    desk: SubscriptionsOnFakes, mask: tuple[str, ...], told: SubscriptionFields
) -> None:
    await desk.subscriptions.update(CALLER, "r-1", UpdateSubscription("sub_1", VALUES, mask))
    assert desk.sent("update") == SubscriptionUpdate("sub_1", told)
    assert desk.objects.reads == []


@pytest.mark.parametrize(
    ("method", "asked", "sent"),
    [
        ("charge_automatically", "", "error_if_incomplete"),
        ("charge_automatically", "allow_incomplete", "allow_incomplete"),
        ("send_invoice", "", ""),
        ("send_invoice", "allow_incomplete", ""),
    ],
)
async def test_items_are_changed_only_if_what_falls_due_is_paid(
    desk: SubscriptionsOnFakes, method: str, asked: str, sent: str
) -> None:
    desk.there = replace(ACTIVE, collection_method=method)
    items = (ItemChange("si_1", quantity=3),)
    nothing = SubscriptionFields()
    command = UpdateSubscription("sub_1", nothing, (), items, "always_invoice", asked)
    await desk.subscriptions.update(CALLER, "r-1", command)
    expected = SubscriptionUpdate("sub_1", nothing, items, "always_invoice", sent)
    assert desk.sent("update") == expected


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (UpdateSubscription("", SubscriptionFields()), ["subscription.id", "update_mask"]),
        (UpdateSubscription("sub_1", VALUES, ("items",)), ["update_mask"]),
        (
            UpdateSubscription(
                "sub_1",
                SubscriptionFields("pm\n", "d" * 501, {"billing_x": "1"}),
                proration_behavior="none",
                payment_behavior="hope",
            ),
            [
                "subscription.default_payment_method", "subscription.description",
                "subscription.metadata", "proration_behavior", "payment_behavior",
                "payment_behavior",
            ],
        ),
        (
            UpdateSubscription(
                "sub_1",
                SubscriptionFields(),
                items=(
                    ItemChange(), ItemChange("si_1"), ItemChange("si_1", remove=True, quantity=1),
                    ItemChange(price="p", remove=True), ItemChange("si\n", "a\n", -1),
                ),
            ),
            [
                "items[0].price", "items[1]", "items[2].remove", "items[3].remove",
                "items[4].id", "items[4].quantity", "items[4].price", "items",
            ],
        ),
        (
            UpdateSubscription(
                "sub_1", SubscriptionFields(),
                items=tuple(ItemChange(price=f"p{n}") for n in range(21)),
            ),
            ["items"],
        ),
        (
            UpdateSubscription(
                "sub_1", SubscriptionFields(),
                items=(
                    ItemChange("si_1", "p"), ItemChange("si_2", quantity=1), ItemChange(price="p"),
                ),
            ),
            ["items[2].price"],
        ),
    ],
)  # fmt: skip
async def test_changes_that_are_none(
    desk: SubscriptionsOnFakes, command: UpdateSubscription, fields: list[str]
) -> None:
    assert await violations(desk.subscriptions.update(CALLER, "r-1", command)) == fields
    assert not desk.stripe.update.await_args_list


STANDING = tuple(
    SubscriptionItem(f"si_{n}", f"price_{n}", None, 1, "usd", None, None) for n in (1, 2)
)


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ((ItemChange(price="price_1"),), ["items[0].price"]),
        ((ItemChange("si_2", quantity=3), ItemChange("si_1", "price_2")), ["items[1].price"]),
        ((ItemChange("si_1", "price_1", 4),), []),  # as it was
        ((ItemChange("si_1", "price_2"), ItemChange("si_2", "price_1")), []),  # they change places
        ((ItemChange("si_1", remove=True), ItemChange(price="price_1")), []),
        ((ItemChange(price="price_3"),), []),
    ],
)
async def test_a_price_that_another_item_keeps_is_refused_before_anything_is_sent(
    desk: SubscriptionsOnFakes, items: tuple[ItemChange, ...], fields: list[str]
) -> None:
    desk.there = replace(ACTIVE, items=STANDING)
    command = UpdateSubscription("sub_1", SubscriptionFields(), items=items)
    call = desk.subscriptions.update(CALLER, "r-1", command)
    if fields:
        assert await violations(call) == fields
    else:
        await call
    assert len(desk.stripe.update.await_args_list) == (0 if fields else 1)


async def test_other_commands_that_are_none(desk: SubscriptionsOnFakes) -> None:
    use = desk.subscriptions
    both = Cancellation("sub_1", at_period_end=True, invoice_now=True, prorate=True)
    assert await violations(use.cancel(CALLER, "r-1", both)) == ["invoice_now", "prorate"]
    assert await violations(use.cancel(CALLER, "", Cancellation(""))) == ["request_id", "id"]
    assert await violations(use.resume(CALLER, "", "")) == ["request_id", "id"]
    pause = CollectionPause("", "hope")
    assert await violations(use.pause_collection(CALLER, "r-1", pause)) == ["id", "behavior"]
    assert await violations(use.resume_collection(CALLER, "", "")) == ["request_id", "id"]


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
async def test_what_has_ended_is_refused_before_anything_is_sent(
    desk: SubscriptionsOnFakes, status: str
) -> None:
    desk.there = replace(ACTIVE, status=status)
    items = (ItemChange("si_1", quantity=3),)
    change = UpdateSubscription("sub_1", SubscriptionFields(), items=items)
    for call in (
        desk.subscriptions.cancel(CALLER, "r-1", Cancellation("sub_1")),
        desk.subscriptions.resume(CALLER, "r-1", "sub_1"),
        desk.subscriptions.update(CALLER, "r-1", change),
    ):
        with pytest.raises(WrongState) as refused:
            await call
        assert refused.value.state == status
    assert not desk.stripe.cancel.await_args_list + desk.stripe.update.await_args_list


async def test_a_cancellation_of_our_own_is_not_taken_for_another(
    desk: SubscriptionsOnFakes,
) -> None:
    desk.stripe.cancel.side_effect = Unanswered("lost")
    wanted = Cancellation("sub_1")
    with pytest.raises(OutcomeUnknown):
        await desk.subscriptions.cancel(CALLER, "r-1", wanted)
    ended = replace(ACTIVE, status="canceled")
    desk.there = ended
    desk.stripe.cancel.side_effect = None
    desk.stripe.cancel.return_value = snapshot(ended, 2)
    assert await desk.subscriptions.cancel(CALLER, "r-1", wanted) == ended
    with pytest.raises(WrongState):
        await desk.subscriptions.cancel(CALLER, "r-2", wanted)


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_a_cancellation_is_taken_back_as_it_was_scheduled(
    desk: SubscriptionsOnFakes, *, at_period_end: bool
) -> None:
    desk.there = replace(ACTIVE, cancel_at_period_end=at_period_end)
    await desk.subscriptions.resume(CALLER, "r-1", "sub_1")
    assert desk.sent("go_on") == ResumeSubscription("sub_1", at_period_end)


async def test_pauses_are_sent_as_they_were_asked_for(desk: SubscriptionsOnFakes) -> None:
    pause = CollectionPause("sub_1", "void", NOON)
    await desk.subscriptions.pause_collection(CALLER, "r-1", pause)
    await desk.subscriptions.resume_collection(CALLER, "r-1", "sub_1")
    assert desk.sent("pause") == pause
    assert desk.sent("collect") == ResumeCollection("sub_1")
