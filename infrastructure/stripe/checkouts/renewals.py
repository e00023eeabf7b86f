"""Renewals: how the buyer's subscription is made at Stripe, and its invoices read."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from stripe.params import SubscriptionCreateParams
from typing_extensions import override

from application.checkouts.renewals_at_stripe import NewRenewal, RenewalGateway
from application.mutations.stripe import REQUEST_TAG, Call
from domain.billing_cycles import Anchor
from domain.errors import InvalidArgument, NotFound, NotUnderstood
from domain.invoices import Invoice
from domain.mirror import Snapshot, Version
from domain.subscriptions import Subscription
from infrastructure.stripe.core.client import PAGE_SIZE, Request, StripeApi
from infrastructure.stripe.core.elements import read_elements
from infrastructure.stripe.core.errors import Subject, names_nothing
from infrastructure.stripe.core.parameters import DEFAULT_METHOD, seconds
from infrastructure.stripe.core.send import find_tagged, send
from infrastructure.stripe.invoices.translation import INVOICE
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION


class StripeRenewals(RenewalGateway):
    """Renewals at Stripe (API reference, "Subscriptions"; docs, "Billing cycle")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: NewRenewal) -> Snapshot[Subscription]:
        wanted = _new(params, call.tag)
        request = Request.change(call, SUBSCRIPTION.path, Subject("subscription"), wanted)
        try:
            return await send(self._api, request, SUBSCRIPTION)
        except InvalidArgument as error:
            if names_nothing(error, "customer"):
                raise NotFound("customer", params.customer) from None
            raise

    @override
    async def find_created(
        self, call: Call, params: NewRenewal, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        return await find_tagged(self._api, SUBSCRIPTION, call, sent_at)

    @override
    async def invoices(self, stripe_account: str, subscription: str) -> Sequence[Invoice]:
        params = {**INVOICE.list_all, "subscription": subscription, "limit": PAGE_SIZE}
        request = Request("get", INVOICE.path, Subject("invoice"), stripe_account, params=params)
        answer = await self._api.request(request)
        elements, _ = self._api.understand(
            answer, request, partial(read_elements, read=partial(_invoice, stripe_account))
        )
        found: list[Invoice] = []
        for element in elements:
            if element.value is None:
                raise NotUnderstood("invoice", element.head.shown, element.why)
            found.append(element.value)
        return found


_UNVERSIONED: Final = Version.of_event(0)  # of no account: nothing of it is mirrored


def _invoice(stripe_account: str, element: bytes) -> Invoice:
    shape = INVOICE.decode_listed(element)
    snapshot = INVOICE.snapshot(shape, stripe_account, _UNVERSIONED)
    if snapshot.object is None:
        raise ValueError("it is gone, and listed")
    return snapshot.object


def _new(params: NewRenewal, tag: str) -> Mapping[str, object]:
    wanted: SubscriptionCreateParams = {
        "customer": params.customer,
        "items": [
            {
                "price_data": {
                    "currency": params.amount.currency,
                    "product": params.product,
                    "recurring": {
                        "interval": params.interval.value,
                        "interval_count": params.interval_count,
                    },
                    "unit_amount": params.amount.amount,
                },
                "quantity": 1,
            }
        ],
        "proration_behavior": "none",
        "off_session": True,
        "metadata": {**params.metadata, REQUEST_TAG: tag},
    }
    if params.description:
        wanted["description"] = params.description
    method = {name: write(params.payment_method) for name, write in DEFAULT_METHOD.items()}
    given = {name: value for name, value in method.items() if value}
    return {**wanted, **_anchored(params.anchor), **given}


def _anchored(anchor: Anchor) -> SubscriptionCreateParams:
    """The anchor as Stripe takes it: an instant, or the day that it returns to."""
    if anchor.day_of_month is None:
        return {"billing_cycle_anchor": seconds(anchor.at)}
    at = anchor.at.astimezone(dt.UTC)
    wanted: SubscriptionCreateParams = {
        "billing_cycle_anchor_config": {
            "day_of_month": anchor.day_of_month,
            "hour": at.hour,
            "minute": at.minute,
            "second": at.second,
        }
    }
    if anchor.month is not None:
        wanted["billing_cycle_anchor_config"]["month"] = anchor.month
    return wanted
