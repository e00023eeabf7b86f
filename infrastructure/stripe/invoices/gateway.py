"""Invoices: how they are changed at Stripe (API reference, "Invoices", "Invoice Line Items")."""

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

import msgspec
from stripe.params import (
    InvoiceAddLinesParamsLine,
    InvoiceCreateParams,
    InvoicePayParams,
    InvoiceUpdateParams,
)
from typing_extensions import override

from application.invoices.fields import FIELDS
from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceFields,
    InvoiceGateway,
    InvoiceItemFields,
    NewInvoice,
    NewInvoiceLines,
    PayInvoice,
)
from application.mutations.stripe import REQUEST_TAG, Call
from domain.errors import BillingError, InvalidArgument, NotFound
from domain.invoices import Invoice
from domain.mirror import Snapshot
from domain.payment_methods import is_legacy
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.elements import holds_tag, read_elements
from infrastructure.stripe.core.errors import Subject, names_nothing, unless_unknown
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.core.parameters import (
    DEFAULT_METHOD,
    Parameters,
    as_they_are,
    seconds,
)
from infrastructure.stripe.core.send import (
    after_sending,
    find_tagged,
    look,
    look_for,
    send,
    send_in_state,
)
from infrastructure.stripe.invoices.translation import INVOICE, LineShape

_NOUN: Final = INVOICE.noun.name
_METHOD: Final = "payment_method"
_LINE_SHAPE: Final = msgspec.json.Decoder(LineShape)
_SOURCE: Final = {"source": "payment_method"}
"""Stripe's parameter of a legacy source: callers name payment methods and sources alike."""

PARAMETERS: Final = Parameters(
    FIELDS,
    InvoiceUpdateParams,
    {
        **as_they_are(
            "collection_method",
            "days_until_due",
            "description",
            "footer",
            "auto_advance",
            "metadata",
        ),
        "due_time": {"due_date": seconds},
        "default_payment_method": DEFAULT_METHOD,
    },
)


class StripeInvoices(InvoiceGateway):
    """Invoices at Stripe."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: NewInvoice) -> Snapshot[Invoice]:
        wanted: InvoiceCreateParams = {
            "customer": params.customer,
            "currency": params.currency,
            "pending_invoice_items_behavior": "exclude",
        }
        written = {**wanted, **PARAMETERS.create(params.fields, call.tag)}
        request = Request.change(call, INVOICE.path, Subject(_NOUN), written)
        try:
            return await send(self._api, request, INVOICE)
        except InvalidArgument as error:
            if names_nothing(error, "customer"):
                raise NotFound("customer", params.customer) from None
            raise _of_method(error, params.fields) from None

    @override
    async def find_created(
        self, call: Call, params: NewInvoice, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await find_tagged(self._api, INVOICE, call, sent_at)

    @override
    async def add_lines(self, call: Call, params: NewInvoiceLines) -> Snapshot[Invoice]:
        lines = [_line(item, params.currency, call.tag) for item in params.items]
        try:
            return await self._act(call, params.invoice, "add_lines", ("draft",), {"lines": lines})
        except InvalidArgument as error:
            raise error.renamed(_item_path) from None

    @override
    async def find_lines_added(
        self, call: Call, params: NewInvoiceLines, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        try:
            added = await self._has_tagged_line(call, params.invoice)
        except NotFound:
            return None
        return await self._read(call, params.invoice) if added else None

    @override
    async def update(self, call: Call, params: InvoiceChange) -> Snapshot[Invoice]:
        wanted = PARAMETERS.change(params.fields)
        try:
            return await self._act(call, params.id, "", ("draft",), wanted)
        except InvalidArgument as error:
            raise _of_method(error, params.fields) from None

    @override
    async def find_updated(
        self, call: Call, params: InvoiceChange, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        def shows(invoice: Invoice) -> bool:
            return FIELDS.shown_by(invoice, params.fields)

        return await look_for(self._api, INVOICE, call, params.id, shows)

    @override
    async def finalize(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return await self._act(call, params.id, "finalize", ("draft",))

    @override
    async def find_finalized(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._read_unless(call, params.id, "draft")

    @override
    async def send(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return await self._act(call, params.id, "send", ("draft", "open", "uncollectible"))

    @override
    async def find_sent(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._read_unless(call, params.id, "draft")

    @override
    async def pay(self, call: Call, params: PayInvoice) -> Snapshot[Invoice]:
        wanted: InvoicePayParams = {}
        if params.paid_out_of_band:
            wanted["paid_out_of_band"] = True
        elif is_legacy(params.payment_method):
            wanted["source"] = params.payment_method
        elif params.payment_method:
            wanted["payment_method"] = params.payment_method
        try:
            return await self._act(call, params.id, "pay", ("open", "uncollectible"), wanted)
        except InvalidArgument as error:
            renamed = error.renamed(lambda field: _SOURCE.get(field, field))
            raise unless_unknown(
                renamed, "payment_method", _METHOD, params.payment_method
            ) from None

    @override
    async def find_paid(
        self, call: Call, params: PayInvoice, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._read_in(call, params.id, "paid")

    @override
    async def void(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return await self._act(call, params.id, "void", ("open", "uncollectible"))

    @override
    async def find_voided(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._read_in(call, params.id, "void")

    @override
    async def mark_uncollectible(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return await self._act(call, params.id, "mark_uncollectible", ("open",))

    @override
    async def find_marked_uncollectible(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._read_in(call, params.id, "uncollectible")

    @override
    async def delete(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        subject = Subject(_NOUN, params.id)
        request = Request.deletion(call, object_path(INVOICE, params.id), subject)
        try:
            return await send_in_state(self._api, request, INVOICE, _unless(("draft",)))
        except NotFound:
            with after_sending():
                tombstone = await self._tombstone(call, params.id)
            if tombstone is None:
                raise
            return tombstone

    @override
    async def find_deleted(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        return await self._tombstone(call, params.id)

    async def _act(
        self,
        call: Call,
        invoice: str,
        action: str,
        allowed: Collection[str],
        params: Mapping[str, object] | None = None,
    ) -> Snapshot[Invoice]:
        """Post to an invoice, which its statuses `allowed` permit."""
        path = "/".join(filter(None, (object_path(INVOICE, invoice), action)))
        request = Request.change(call, path, Subject(_NOUN, invoice), params)
        return await send_in_state(self._api, request, INVOICE, _unless(allowed))

    async def _has_tagged_line(self, call: Call, invoice: str) -> bool:
        """Whether some line bears the call's tag: lines are added all at once or not at all."""
        path, subject = f"{object_path(INVOICE, invoice)}/lines", Subject(_NOUN, invoice)
        request = Request("get", path, subject, call.stripe_account)
        decode = partial(read_elements, read=_LINE_SHAPE.decode)
        async for elements, _ in self._api.pages(request, decode):
            lines = [element.value for element in elements if element.value is not None]
            tagged = any((line.metadata or {}).get(REQUEST_TAG) == call.tag for line in lines)
            if tagged or any(holds_tag(element, call.tag) for element in elements):
                return True
        return False

    async def _read_in(self, call: Call, invoice: str, status: str) -> Snapshot[Invoice] | None:
        return await look_for(
            self._api, INVOICE, call, invoice, lambda present: present.status == status
        )

    async def _read_unless(self, call: Call, invoice: str, status: str) -> Snapshot[Invoice] | None:
        return await look_for(
            self._api, INVOICE, call, invoice, lambda present: present.status != status
        )

    async def _read(self, call: Call, invoice: str) -> Snapshot[Invoice] | None:
        """The invoice; None where there is none (any more)."""
        return await look(self._api, INVOICE, call.stripe_account, invoice)

    async def _tombstone(self, call: Call, invoice: str) -> Snapshot[Invoice] | None:
        """A tombstone where there is no such invoice: Stripe forgets deleted drafts altogether."""
        request = Request(
            "get",
            object_path(INVOICE, invoice),
            Subject(_NOUN, invoice),
            call.stripe_account,
            keep_missing=True,
        )
        present = await observe(self._api, request, INVOICE)
        return present if present.deleted else None


def _unless(allowed: Collection[str]) -> Callable[[Invoice], str]:
    """What gives the status of an invoice that is in none of those allowed."""
    return lambda invoice: "" if invoice.status in allowed else invoice.status


def _line(item: InvoiceItemFields, currency: str, tag: str) -> InvoiceAddLinesParamsLine:
    """A line as Stripe takes it.

    `amount` excludes `quantity` there ("You may only specify one of these parameters"), so several
    of something without a price are told as a price made in passing, of a product made in passing
    where none is named. A price cannot be negative: a credit is told as its amount.
    """
    line: InvoiceAddLinesParamsLine = {"metadata": {REQUEST_TAG: tag}}
    if item.description:
        line["description"] = item.description
    unit_amount = item.unit_amount or 0
    if item.price:
        line["pricing"] = {"price": item.price}
        line["quantity"] = item.quantity
    elif item.product:
        line["price_data"] = {
            "currency": currency,
            "product": item.product,
            "unit_amount": unit_amount,
        }
        line["quantity"] = item.quantity
    elif item.quantity == 1 or unit_amount < 0:
        line["amount"] = unit_amount * item.quantity
    else:
        line["price_data"] = {
            "currency": currency,
            "product_data": {"name": item.description},
            "unit_amount": unit_amount,
        }
        line["quantity"] = item.quantity
    return line


_LINE: Final = re.compile(r"lines(\[\d+\])(.*)")
_ITEM_FIELDS: Final = {
    ".amount": ".unit_amount",
    ".pricing": ".price",
    ".pricing.price": ".price",
    ".price_data": ".unit_amount",
    ".price_data.currency": ".unit_amount",
    ".price_data.product": ".product",
    ".price_data.product_data": ".description",
    ".price_data.product_data.name": ".description",
    ".price_data.unit_amount": ".unit_amount",
}
"""Stripe's names of a line's parts as `InvoiceItemFields` has them, where they differ."""


def _of_method(error: InvalidArgument, fields: InvoiceFields) -> BillingError:
    """A refusal in the words of the table; NotFound where Stripe knows no such method."""
    renamed = error.renamed(PARAMETERS.field_of)
    method = fields.default_payment_method or ""
    return unless_unknown(renamed, "default_payment_method", _METHOD, method)


def _item_path(path: str) -> str:
    line = _LINE.fullmatch(path)
    if line is None:
        return "items" if path == "lines" else path
    place, part = line.groups()
    return f"items{place}{_ITEM_FIELDS.get(part, part)}"
