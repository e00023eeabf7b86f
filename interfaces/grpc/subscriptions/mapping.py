"""Subscriptions."""

from billing_client.v1 import subscription_service_pb2 as pb

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
from domain.errors import FieldViolation
from domain.subscriptions import Subscription, SubscriptionItem
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message


def subscription_message(found: Subscription) -> pb.Subscription:
    """A subscription, without what is Billing's own."""
    message = pb.Subscription(
        id=found.id,
        create_time=timestamp_message(found.created),
        customer=found.customer,
        status=found.status,
        currency=found.currency or "",
        items=map(_item_message, found.items),
        cancel_at_period_end=found.cancel_at_period_end,
        collection_method=found.collection_method or "",
        days_until_due=found.days_until_due or 0,
        default_payment_method=found.default_payment_method or found.default_source or "",
        latest_invoice=found.latest_invoice or "",
        description=found.description or "",
        discounts=found.discounts,
        metadata=callers_own(found.metadata),
    )
    times = {
        "start_time": found.start_date,
        "trial_start_time": found.trial_start,
        "trial_end_time": found.trial_end,
        "cancel_time": found.cancel_at,
        "canceled_time": found.canceled_at,
        "end_time": found.ended_at,
    }
    for name, instant in times.items():
        if instant is not None:
            getattr(message, name).CopyFrom(timestamp_message(instant))
    if found.pause_behavior:
        message.pause.behavior = found.pause_behavior
        if found.pause_resumes_at is not None:
            message.pause.resume_time.CopyFrom(timestamp_message(found.pause_resumes_at))
    return message


def page_message(page: Page[Subscription]) -> pb.ListSubscriptionsResponse:
    """A page of subscriptions."""
    return pb.ListSubscriptionsResponse(
        subscriptions=map(subscription_message, page.items), next_page_token=page.next_page_token
    )


def read_list(
    request: pb.ListSubscriptionsRequest, violations: list[FieldViolation]
) -> ListSubscriptions:
    """What to list."""
    return ListSubscriptions(
        page_size=request.page_size,
        page_token=request.page_token,
        customer=request.customer,
        statuses=tuple(request.statuses),
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_create(
    request: pb.CreateSubscriptionRequest, violations: list[FieldViolation]
) -> NewSubscription:
    """What to start."""
    return NewSubscription(
        customer=request.customer,
        items=tuple(
            NewItem(item.price, item.quantity if item.HasField("quantity") else None)
            for item in request.items
        ),
        trial_days=request.trial_days if request.HasField("trial_days") else None,
        trial_end=read_instant(request, "trial_end_time", violations),
        collection_method=request.collection_method,
        days_until_due=request.days_until_due or None,
        default_payment_method=request.default_payment_method,
        payment_behavior=request.payment_behavior,
        proration_behavior=request.proration_behavior,
        description=request.description,
        metadata=dict(request.metadata),
    )


def read_update(
    request: pb.UpdateSubscriptionRequest, violations: list[FieldViolation]
) -> UpdateSubscription:
    """What to change; paths of the mask as they were written."""
    if not request.HasField("subscription"):
        violations.append(FieldViolation("subscription", "is required"))
    values = request.subscription
    return UpdateSubscription(
        id=values.id,
        values=SubscriptionFields(
            default_payment_method=values.default_payment_method or None,
            description=values.description or None,
            metadata=dict(values.metadata) or None,
        ),
        mask=tuple(request.update_mask.paths),
        items=tuple(
            ItemChange(
                item.id,
                item.price,
                item.quantity if item.HasField("quantity") else None,
                item.remove,
            )
            for item in request.items
        ),
        proration_behavior=request.proration_behavior,
        payment_behavior=request.payment_behavior,
    )


def read_cancel(request: pb.CancelSubscriptionRequest) -> Cancellation:
    """What to cancel, and how."""
    return Cancellation(request.id, request.at_period_end, request.invoice_now, request.prorate)


def read_pause(
    request: pb.PauseCollectionRequest, violations: list[FieldViolation]
) -> CollectionPause:
    """What to pause, and how."""
    resumes_at = read_instant(request, "resume_time", violations)
    return CollectionPause(request.id, request.behavior, resumes_at)


def _item_message(item: SubscriptionItem) -> pb.SubscriptionItem:
    message = pb.SubscriptionItem(
        id=item.id,
        price=item.price,
        product=item.product or "",
        quantity=item.quantity,
        unit_amount_decimal=item.unit_amount_decimal or "",
    )
    if item.unit_amount is not None:
        message.unit_amount.CopyFrom(money_message(item.unit_amount, item.currency))
    if item.recurring is not None:
        message.interval = item.recurring.interval
        message.interval_count = item.recurring.interval_count
    if item.current_period_start is not None:
        message.current_period_start_time.CopyFrom(timestamp_message(item.current_period_start))
    if item.current_period_end is not None:
        message.current_period_end_time.CopyFrom(timestamp_message(item.current_period_end))
    return message
