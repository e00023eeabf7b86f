"""Subscriptions: how they are changed at Stripe."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionCreateParamsAddInvoiceItem,
    SubscriptionCreateParamsItem,
    SubscriptionUpdateParams,
    SubscriptionUpdateParamsItem,
)
from typing_extensions import override

from application.mutations.stripe import Call
from application.subscriptions.fields import FIELDS
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    FirstCharge,
    ItemChange,
    NewSubscription,
    ResumeCollection,
    ResumeSubscription,
    SubscriptionGateway,
    SubscriptionUpdate,
)
from domain.errors import BillingError, InvalidArgument, NotFound
from domain.mirror import Snapshot
from domain.subscriptions import Subscription, SubscriptionItem
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.errors import Subject, names_nothing, unless_unknown
from infrastructure.stripe.core.parameters import DEFAULT_METHOD, Parameters, as_they_are, seconds
from infrastructure.stripe.core.send import (
    after_sending,
    find_tagged,
    look_for,
    send,
    send_in_state,
)
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION

PARAMETERS: Final = Parameters(
    FIELDS,
    SubscriptionUpdateParams,
    {**as_they_are("description", "metadata"), "default_payment_method": DEFAULT_METHOD},
)

_OTHER_NAMES: Final = {
    "pause_collection.resumes_at": "resume_time",
    "plan": "items",
    "trial_end": "trial_end_time",
    "trial_period_days": "trial_days",
}
"""Stripe's parameters of what is no field of an update, whose name is another in our contract."""


class StripeSubscriptions(SubscriptionGateway):
    """Subscriptions at Stripe (API reference, "Subscriptions")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: NewSubscription) -> Snapshot[Subscription]:
        wanted = _new(params, call.tag)
        request = Request.change(call, SUBSCRIPTION.path, Subject("subscription"), wanted)
        try:
            return await send(self._api, request, SUBSCRIPTION)
        except InvalidArgument as error:
            if names_nothing(error, "customer"):
                raise NotFound("customer", params.customer) from None
            raise _in_our_words(error, params.default_payment_method) from None

    @override
    async def find_created(
        self, call: Call, params: NewSubscription, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        return await find_tagged(self._api, SUBSCRIPTION, call, sent_at)

    @override
    async def update(self, call: Call, params: SubscriptionUpdate) -> Snapshot[Subscription]:
        wanted: SubscriptionUpdateParams = {}
        if params.items:
            wanted["items"] = [_item_change(item) for item in params.items]
        if params.proration_behavior:
            wanted["proration_behavior"] = params.proration_behavior
        if params.payment_behavior:
            wanted["payment_behavior"] = params.payment_behavior
            wanted["off_session"] = _without_payer(params.payment_behavior)
        method = params.fields.default_payment_method
        written = {**PARAMETERS.change(params.fields), **wanted}
        return await self._change(call, params.id, written, method, "subscription.")

    @override
    async def find_updated(
        self, call: Call, params: SubscriptionUpdate, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        def shows(subscription: Subscription) -> bool:
            return FIELDS.shown_by(subscription, params.fields) and all(
                _shows_item(subscription.items, item) for item in params.items
            )

        return await self._find(call, params.id, shows)

    @override
    async def cancel(self, call: Call, params: Cancellation) -> Snapshot[Subscription]:
        if params.at_period_end:
            return await self._change(call, params.id, {"cancel_at_period_end": True})
        wanted: SubscriptionCancelParams = {}
        if params.invoice_now:
            wanted["invoice_now"] = True
        if params.prorate:
            wanted["prorate"] = True
        subject = Subject("subscription", params.id)
        path = object_path(SUBSCRIPTION, params.id)
        request = Request.deletion(call, path, subject, wanted)
        try:
            return await send(self._api, request, SUBSCRIPTION)
        except NotFound:
            with after_sending():
                ended = await self._find(call, params.id, _has_ended)
            if ended is None:
                raise
            return ended

    @override
    async def find_canceled(
        self, call: Call, params: Cancellation, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        def shows(subscription: Subscription) -> bool:
            to_end = params.at_period_end and subscription.cancel_at_period_end
            return subscription.ended or to_end

        return await self._find(call, params.id, shows)

    @override
    async def go_on(self, call: Call, params: ResumeSubscription) -> Snapshot[Subscription]:
        # Stripe refuses both at once, and neither takes the other back.
        wanted: SubscriptionUpdateParams = (
            {"cancel_at_period_end": False} if params.at_period_end else {"cancel_at": ""}
        )
        return await self._change(call, params.id, wanted)

    @override
    async def find_going_on(
        self, call: Call, params: ResumeSubscription, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        def shows(subscription: Subscription) -> bool:
            at_instant = subscription.cancel_at is not None
            scheduled = subscription.cancel_at_period_end or at_instant
            return not scheduled and not subscription.ended

        return await self._find(call, params.id, shows)

    @override
    async def pause(self, call: Call, params: CollectionPause) -> Snapshot[Subscription]:
        wanted: SubscriptionUpdateParams = {"pause_collection": {"behavior": params.behavior}}
        if params.resumes_at is not None:
            wanted["pause_collection"] = {
                "behavior": params.behavior,
                "resumes_at": seconds(params.resumes_at),
            }
        return await self._change(call, params.id, wanted)

    @override
    async def find_paused(
        self, call: Call, params: CollectionPause, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        def shows(subscription: Subscription) -> bool:
            resumes_at = subscription.pause_resumes_at
            shown = resumes_at and seconds(resumes_at)
            wanted = params.resumes_at and seconds(params.resumes_at)
            return subscription.pause_behavior == params.behavior and shown == wanted

        return await self._find(call, params.id, shows)

    @override
    async def collect(self, call: Call, params: ResumeCollection) -> Snapshot[Subscription]:
        return await self._change(call, params.id, {"pause_collection": ""})

    @override
    async def find_collecting(
        self, call: Call, params: ResumeCollection, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        def shows(subscription: Subscription) -> bool:
            return subscription.pause_behavior is None

        return await self._find(call, params.id, shows)

    async def _change(
        self,
        call: Call,
        subscription: str,
        params: Mapping[str, object],
        method: str | None = None,
        whose: str = "",
    ) -> Snapshot[Subscription]:
        subject = Subject("subscription", subscription)
        path = object_path(SUBSCRIPTION, subscription)
        request = Request.change(call, path, subject, params)
        try:
            return await send_in_state(self._api, request, SUBSCRIPTION, _forbidding)
        except InvalidArgument as error:
            raise _in_our_words(error, method, whose) from None

    async def _find(
        self, call: Call, subscription: str, shows: Callable[[Subscription], bool]
    ) -> Snapshot[Subscription] | None:
        """The subscription as it is now, where it shows what was asked for."""
        return await look_for(self._api, SUBSCRIPTION, call, subscription, shows)


def _in_our_words(error: InvalidArgument, method: str | None, whose: str = "") -> BillingError:
    """The same refusal, its fields as the caller wrote them; those of `whose` are inside of it.

    NotFound where Stripe knows no such payment method.
    """

    def ours(field: str) -> str:
        if PARAMETERS.writes(field):
            return f"{whose}{PARAMETERS.field_of(field)}"
        return _OTHER_NAMES.get(field, field).replace(".deleted", ".remove")

    renamed = error.renamed(ours)
    return unless_unknown(renamed, f"{whose}default_payment_method", "payment_method", method or "")


def _forbidding(subscription: Subscription) -> str:
    """The status that allows no change any more; empty for every other."""
    return subscription.status if subscription.ended else ""


def _has_ended(subscription: Subscription) -> bool:
    """Canceled; one whose first invoice was never paid ends as `incomplete_expired` instead."""
    return subscription.ended


def _new(params: NewSubscription, tag: str) -> Mapping[str, object]:
    wanted: SubscriptionCreateParams = {
        "customer": params.customer,
        "items": [_new_item(item.price, item.quantity) for item in params.items],
    }
    if params.trial_days is not None:
        wanted["trial_period_days"] = params.trial_days
    if params.trial_end is not None:
        wanted["trial_end"] = seconds(params.trial_end)
    if params.collection_method:
        wanted["collection_method"] = params.collection_method
    if params.days_until_due is not None:
        wanted["days_until_due"] = params.days_until_due
    if params.payment_behavior:
        wanted["payment_behavior"] = params.payment_behavior
        wanted["off_session"] = _without_payer(params.payment_behavior)
    if params.proration_behavior:
        wanted["proration_behavior"] = params.proration_behavior
    if params.first_charges:
        wanted["add_invoice_items"] = [_first_charge(charge) for charge in params.first_charges]
    return {**wanted, **PARAMETERS.create(params.fields, tag)}


def _without_payer(payment_behavior: str) -> bool:
    """Whether the payer is away while a payment is attempted (docs/decisions/0026).

    A service asks us, not the payer, who could only confirm what nobody attempts yet.
    """
    return payment_behavior != "default_incomplete"


def _new_item(price: str, quantity: int | None) -> SubscriptionCreateParamsItem:
    return {"price": price} if quantity is None else {"price": price, "quantity": quantity}


def _first_charge(charge: FirstCharge) -> SubscriptionCreateParamsAddInvoiceItem:
    return {
        "price_data": {
            "currency": charge.amount.currency,
            "product": charge.product,
            "unit_amount": charge.amount.amount,
        },
        "quantity": 1,
    }


def _item_change(item: ItemChange) -> SubscriptionUpdateParamsItem:
    wanted: SubscriptionUpdateParamsItem = {}
    if item.id:
        wanted["id"] = item.id
    if item.remove:
        wanted["deleted"] = True
    if item.price:
        wanted["price"] = item.price
    if item.quantity is not None:
        wanted["quantity"] = item.quantity
    return wanted


def _shows_item(items: tuple[SubscriptionItem, ...], change: ItemChange) -> bool:
    """Whether items show a change. Of an added one Stripe alone knows the id."""
    if change.remove:
        return all(item.id != change.id for item in items)
    return any(
        change.id in ("", item.id)
        and change.price in ("", item.price)
        and change.quantity in (None, item.quantity)
        for item in items
    )
