"""Subscriptions and their items: how they are read from Stripe."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import SUBSCRIPTIONS
from domain.coupons import Discount
from domain.subscriptions import Subscription, SubscriptionItem
from infrastructure.stripe.core.shapes import (
    Amount,
    DecimalText,
    Expandable,
    Fields,
    Identifier,
    NestedList,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)
from infrastructure.stripe.coupons import DiscountShape, discount
from infrastructure.stripe.prices import (
    RecurringShape,
    TierShape,
    TransformQuantityShape,
    recurrence,
    tiers,
    transform,
)

DiscountField: TypeAlias = str | DiscountShape
"""An id, or the discount itself where a request expands it."""


@final
class _ItemPrice(msgspec.Struct, frozen=True, gc=False):
    id: Identifier
    currency: str
    product: Expandable = None
    unit_amount: Amount | None = None
    unit_amount_decimal: DecimalText | None = None
    recurring: RecurringShape | None = None
    billing_scheme: str | None = None
    tiers_mode: str | None = None
    tiers: list[TierShape] | UnsetType | None = UNSET
    transform_quantity: TransformQuantityShape | None = None


@final
class ItemShape(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An item, as in the API reference, "The Subscription Item object"; it holds its whole price.

    One that is billed by usage has no quantity.
    """

    id: Identifier
    price: _ItemPrice
    quantity: Amount | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    discounts: list[DiscountField] | None = None


@final
class _PauseCollection(msgspec.Struct, frozen=True, gc=False):
    behavior: str | UnsetType | None = UNSET
    resumes_at: Seconds | UnsetType | None = UNSET


@final
class _CancellationDetails(msgspec.Struct, frozen=True, gc=False):
    reason: str | UnsetType | None = UNSET
    feedback: str | UnsetType | None = UNSET


@final
class _BillingMode(msgspec.Struct, frozen=True, gc=False):
    type: str | UnsetType | None = UNSET


class SubscriptionShape(Shape, frozen=True, gc=False, kw_only=True):
    """A subscription, as in the API reference, "The Subscription object"."""

    customer: Expandable = UNSET
    status: str | UnsetType = UNSET
    currency: str | UnsetType | None = UNSET
    items: NestedList[ItemShape] | UnsetType = UNSET
    cancel_at_period_end: bool | UnsetType = UNSET
    cancel_at: Seconds | UnsetType | None = UNSET
    canceled_at: Seconds | UnsetType | None = UNSET
    ended_at: Seconds | UnsetType | None = UNSET
    start_date: Seconds | UnsetType | None = UNSET
    trial_start: Seconds | UnsetType | None = UNSET
    trial_end: Seconds | UnsetType | None = UNSET
    pause_collection: _PauseCollection | UnsetType | None = UNSET
    collection_method: str | UnsetType | None = UNSET
    default_payment_method: Expandable = UNSET
    default_source: Expandable = UNSET
    days_until_due: Amount | UnsetType | None = UNSET
    discounts: list[DiscountField] | UnsetType | None = UNSET
    cancellation_details: _CancellationDetails | UnsetType | None = UNSET
    billing_mode: _BillingMode | UnsetType | None = UNSET
    latest_invoice: Expandable = UNSET
    description: str | UnsetType | None = UNSET


def to_domain(shape: SubscriptionShape) -> tuple[Subscription, frozenset[str]]:
    """The subscription, and the names of its fields that were not told."""
    fields, pause = Fields(), shape.pause_collection
    cancellation, mode = shape.cancellation_details, shape.billing_mode
    method = reference(shape.default_payment_method)
    subscription = Subscription(
        id=shape.id,
        created=instant(shape.created),
        customer=fields("customer", reference(shape.customer), None) or "",
        status=fields("status", shape.status, ""),
        currency=fields("currency", shape.currency, None),
        items=fields.whole("items", shape.items, _item),
        cancel_at_period_end=fields("cancel_at_period_end", shape.cancel_at_period_end, False),
        cancel_at=fields.instant("cancel_at", shape.cancel_at),
        canceled_at=fields.instant("canceled_at", shape.canceled_at),
        ended_at=fields.instant("ended_at", shape.ended_at),
        start_date=fields.instant("start_date", shape.start_date),
        trial_start=fields.instant("trial_start", shape.trial_start),
        trial_end=fields.instant("trial_end", shape.trial_end),
        pause_behavior=fields("pause_behavior", pause and pause.behavior, None),
        collection_method=fields("collection_method", shape.collection_method, None),
        default_payment_method=fields("default_payment_method", method, None),
        latest_invoice=fields("latest_invoice", reference(shape.latest_invoice), None),
        description=fields("description", shape.description, None),
        metadata=fields.metadata(shape.metadata),
        pause_resumes_at=fields.instant("pause_resumes_at", pause and pause.resumes_at),
        default_source=fields("default_source", reference(shape.default_source), None),
        days_until_due=fields("days_until_due", shape.days_until_due, None),
        discounts=_ids(fields("discounts", shape.discounts, None)),
        discount_details=fields("discount_details", _details(shape), ()),
        cancellation_reason=fields(
            "cancellation_reason", cancellation and cancellation.reason, None
        ),
        cancellation_feedback=fields(
            "cancellation_feedback", cancellation and cancellation.feedback, None
        ),
        billing_mode=fields("billing_mode", mode and mode.type, None),
    )
    return subscription, fields.unknown


def _ids(discounts: Sequence[DiscountField] | None) -> tuple[str, ...]:
    return tuple(each if isinstance(each, str) else each.id for each in discounts or ())


def _details(shape: SubscriptionShape) -> tuple[Discount, ...] | UnsetType:
    """What is told of the discounts; unknown where there are some, and nothing but ids is told."""
    items = shape.items
    if isinstance(shape.discounts, UnsetType) or isinstance(items, UnsetType) or items.has_more:
        return UNSET
    discounts = list(_discounts(shape))
    told = tuple(discount(each) for each in discounts if not isinstance(each, str))
    return UNSET if discounts and not told else told


def _discounts(shape: SubscriptionShape) -> Iterator[DiscountField]:
    if isinstance(shape.discounts, list):
        yield from shape.discounts
    if isinstance(shape.items, NestedList):
        for item in shape.items.data:
            yield from item.discounts or ()


def _item(shape: ItemShape) -> SubscriptionItem:
    price, start, end = shape.price, shape.current_period_start, shape.current_period_end
    return SubscriptionItem(
        id=shape.id,
        price=price.id,
        product=reference(price.product) or None,
        quantity=shape.quantity,
        currency=price.currency,
        unit_amount=price.unit_amount,
        unit_amount_decimal=price.unit_amount_decimal,
        recurring=recurrence(price.recurring),
        current_period_start=None if start is None else instant(start),
        current_period_end=None if end is None else instant(end),
        billing_scheme=price.billing_scheme,
        tiers_mode=price.tiers_mode,
        tiers=None if isinstance(price.tiers, UnsetType) else tiers(price.tiers),
        transform_quantity=transform(price.transform_quantity),
        discounts=_ids(shape.discounts),
    )


# `customer.subscription.deleted` is a cancellation: the object goes on, `canceled`.
SUBSCRIPTION: Final = Translation(
    SUBSCRIPTIONS,
    "/v1/subscriptions",
    SubscriptionShape,
    to_domain,
    lists={"items": ItemShape},
    # Four levels are the most that Stripe expands ("Expanding Responses"): the items' coupons would
    # be the fifth, as their prices' tiers are in a list.
    expand=("discounts.source.coupon", "items.data.discounts"),
    list_all={"status": "all"},  # without it the canceled ones are left out
)
