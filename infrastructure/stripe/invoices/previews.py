"""Invoices that are yet to come, computed by Stripe (API reference, "Create a preview invoice").

Since its release 2025-03-31 (basil) Stripe wants the subscription named: it no longer looks for the
next invoice among all that a customer has.
"""

import re
from typing import Final

from stripe.params import (
    InvoiceCreatePreviewParams,
    InvoiceCreatePreviewParamsSubscriptionDetailsItem,
)
from typing_extensions import override

from application.invoices.ports import InvoicePreview, InvoicePreviews
from application.subscriptions.ports import ItemChange
from domain.errors import InvalidArgument, NotFound
from domain.invoices import Invoice
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.errors import Subject, names_nothing
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.invoices.translation import INVOICE


class StripeInvoicePreviews(InvoicePreviews):
    """Previews by the API. Nothing is kept: there is no key under which Stripe would repeat one."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def preview(self, stripe_account: str, params: InvoicePreview) -> Invoice:
        wanted: InvoiceCreatePreviewParams = {}
        if params.customer:
            wanted["customer"] = params.customer
        if params.subscription:
            wanted["subscription"] = params.subscription
        if params.items:
            wanted["subscription_details"] = {"items": [_item(item) for item in params.items]}
        path, subject = f"{INVOICE.path}/create_preview", Subject(INVOICE.noun.name)
        request = Request("post", path, subject, stripe_account, params=wanted)
        try:
            preview = (await observe(self._api, request, INVOICE)).object
        except InvalidArgument as error:
            for noun in ("customer", "subscription"):
                if names_nothing(error, noun):
                    raise NotFound(noun, getattr(params, noun)) from None
            raise _as_asked(error) from None
        if preview is None:
            raise NotFound(INVOICE.noun.name, "")
        return preview


def _item(change: ItemChange) -> InvoiceCreatePreviewParamsSubscriptionDetailsItem:
    item: InvoiceCreatePreviewParamsSubscriptionDetailsItem = {}
    if change.id:
        item["id"] = change.id
    if change.price:
        item["price"] = change.price
    if change.quantity is not None:
        item["quantity"] = change.quantity
    if change.remove:
        item["deleted"] = True
    return item


_ITEM: Final = re.compile(r"subscription_details\.items(.*)")


def _as_asked(error: InvalidArgument) -> InvalidArgument:
    """A refusal with its fields named as `InvoicePreview` has them."""
    return error.renamed(lambda field: _ITEM.sub(r"items\1", field).replace(".deleted", ".remove"))
