"""Subscriptions: from Stripe's payload to the domain's subscription."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from domain.coupons import Discount
from domain.mirror import Snapshot, Version
from domain.prices import Recurrence, Tier, TransformQuantity
from domain.subscriptions import Subscription, SubscriptionItem
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION
from tests.unit.stripe.billing_samples import (
    coupon,
    discount,
    price,
    subscription,
    subscription_item,
)
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Subscription]:
    return SUBSCRIPTION.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Subscription:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


ITEM = SubscriptionItem(
    id="si_1",
    price="price_1",
    product="prod_1",
    quantity=2,
    currency="eur",
    unit_amount=1_000,
    unit_amount_decimal="1000",
    recurring=Recurrence("month", 3),
    current_period_start=at(1),
    current_period_end=at(2),
    billing_scheme="per_unit",
)


DISCOUNT = Discount("di_1", "COUPON", None, at(1), at(20), "cus_1", "sub_1")


def test_every_field_is_read() -> None:
    assert observed(subscription(subscription_item())) == Snapshot(
        "acct_1",
        "sub_1",
        VERSION,
        Subscription(
            id="sub_1",
            created=at(0),
            customer="cus_1",
            status="active",
            currency="eur",
            items=(ITEM,),
            cancel_at_period_end=True,
            cancel_at=at(3),
            canceled_at=at(4),
            ended_at=at(5),
            start_date=at(6),
            trial_start=at(7),
            trial_end=at(8),
            pause_behavior="void",
            collection_method="charge_automatically",
            default_payment_method="pm_1",
            latest_invoice="in_1",
            description="Seats",
            metadata={"crm": "9"},
            pause_resumes_at=at(9),
            default_source="card_1",
            days_until_due=14,
            discounts=("di_1", "di_2"),
            discount_details=(DISCOUNT, replace(DISCOUNT, id="di_2")),
            cancellation_reason="cancellation_requested",
            cancellation_feedback="too_expensive",
            billing_mode="flexible",
        ),
    )


def test_items_that_are_cut_short_are_unknown() -> None:
    snapshot = observed(subscription(subscription_item(), more=True))
    assert snapshot.unknown == {"items", "discount_details"}
    assert SUBSCRIPTION.incomplete(snapshot)


def test_items_that_are_all_there_are_complete() -> None:
    snapshot = observed(subscription(subscription_item(), subscription_item(id="si_2")))
    assert snapshot.object is not None
    assert [item.id for item in snapshot.object.items] == ["si_1", "si_2"]
    assert not SUBSCRIPTION.incomplete(snapshot)


def test_an_item_by_usage_has_no_quantity() -> None:
    (item,) = read(subscription(without(subscription_item(), "quantity"))).items
    assert item.quantity is None


def test_an_items_product_may_be_expanded() -> None:
    bought = subscription_item(price=price(product={"id": "prod_9", "object": "product"}))
    (item,) = read(subscription(bought)).items
    assert item.product == "prod_9"


def test_an_event_tells_discounts_by_their_ids_alone() -> None:
    snapshot = observed(subscription(subscription_item(discounts=["di_3"]), discounts=["di_1"]))
    assert snapshot.unknown == {"discount_details"}
    assert snapshot.object is not None
    assert snapshot.object.discounts == ("di_1",)
    assert snapshot.object.items[0].discounts == ("di_3",)


def test_a_subscription_without_discounts_lacks_nothing_of_them() -> None:
    snapshot = observed(subscription(subscription_item(), discounts=[]))
    assert not snapshot.unknown


def test_a_read_tells_discounts_down_to_the_coupon() -> None:
    given = discount(source={"coupon": coupon(), "type": "coupon"})
    bought = subscription_item(discounts=[discount(id="di_3", subscription_item="si_1")])
    details = read(subscription(bought, discounts=[given])).discount_details
    assert [(one.id, one.coupon_id, one.subscription_item) for one in details] == [
        ("di_1", "COUPON", None),
        ("di_3", "COUPON", "si_1"),
    ]
    assert details[0].coupon is not None
    assert details[0].coupon.percent_off == "33.33"


def test_an_item_keeps_what_it_takes_to_price_it() -> None:
    tiered = price(
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=[{"up_to": 10, "unit_amount": 5}, {"up_to": None, "flat_amount": 7}],
        transform_quantity={"divide_by": 10, "round": "up"},
    )
    (item,) = read(subscription(subscription_item(price=tiered))).items
    assert (item.billing_scheme, item.tiers_mode) == ("tiered", "graduated")
    assert item.tiers == (Tier(10, unit_amount=5), Tier(None, flat_amount=7))
    assert item.transform_quantity == TransformQuantity(10, "up")


def test_collection_that_goes_on_is_not_paused() -> None:
    snapshot = observed(subscription(pause_collection=None))
    assert snapshot.object is not None
    assert (snapshot.object.pause_behavior, snapshot.object.pause_resumes_at) == (None, None)
    assert not snapshot.unknown


UNDER_THEIR_OWN_NAME = """
    customer status currency cancel_at_period_end cancel_at canceled_at ended_at start_date
    trial_start trial_end collection_method latest_invoice default_payment_method description
    metadata default_source days_until_due
""".split()


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        *((name, {name}) for name in UNDER_THEIR_OWN_NAME),
        ("items", {"items", "discount_details"}),
        ("discounts", {"discounts", "discount_details"}),
        ("billing_mode", {"billing_mode"}),
        ("cancellation_details", {"cancellation_reason", "cancellation_feedback"}),
        ("pause_collection", {"pause_behavior", "pause_resumes_at"}),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: set[str]) -> None:
    assert observed(without(subscription(), absent)).unknown == unknown


@pytest.mark.parametrize(
    "field", ["customer", "default_payment_method", "default_source", "latest_invoice"]
)
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    expanded: Any = {"id": "obj_9", "object": "whatever", "nested": {"id": "no"}}
    assert getattr(read(subscription(**{field: expanded})), field) == "obj_9"


def test_an_unknown_status_is_kept() -> None:
    assert read(subscription(status="teleported")).status == "teleported"


@pytest.mark.parametrize(
    "nonsense",
    [
        without(subscription(), "id"),
        without(subscription(), "created"),
        subscription(status=7),
        subscription(items=None),
        subscription(items=[subscription_item()]),
        subscription(without(subscription_item(), "price")),
        subscription(without(subscription_item(), "id")),
        subscription(subscription_item(quantity=1.5)),
        subscription(subscription_item(price=without(price(), "currency"))),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
