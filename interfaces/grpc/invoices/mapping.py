"""Invoices."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1 import money_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from application.invoices.commands import CreateInvoice, ListInvoices, UpdateInvoice
from application.invoices.ports import InvoiceFields, InvoiceItemFields, InvoicePreview, PayInvoice
from application.invoices.totals import CurrencyTotals, InvoiceTotal
from application.invoices.totals_port import TotalsFilter
from application.requests.paging import Page
from application.subscriptions.ports import ItemChange
from domain.errors import FieldViolation
from domain.invoices import Invoice, InvoiceLine
from domain.money import Money
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_FOR_CREATION: Final = frozenset(
    {
        "customer", "currency", "collection_method", "days_until_due", "due_time", "description",
        "footer", "default_payment_method", "auto_advance", "metadata",
    }
)  # fmt: skip


def invoice_message(invoice: Invoice) -> pb.Invoice:
    """An invoice, without what is Billing's own."""
    return pb.Invoice(
        id=invoice.id,
        create_time=timestamp_message(invoice.created),
        status=invoice.status,
        number=invoice.number or "",
        customer=invoice.customer or "",
        customer_email=invoice.customer_email or "",
        currency=invoice.currency,
        lines=map(_line_message, invoice.lines),
        collection_method=invoice.collection_method or "",
        description=invoice.description or "",
        footer=invoice.footer or "",
        default_payment_method=invoice.default_payment_method or invoice.default_source or "",
        auto_advance=invoice.auto_advance,
        metadata=callers_own(invoice.metadata),
        subscription=invoice.subscription or "",
        billing_reason=invoice.billing_reason or "",
        subtotal=_money(invoice.subtotal),
        total_excluding_tax=_money(invoice.total_excluding_tax),
        total=_money(invoice.total),
        amount_due=_money(invoice.amount_due),
        amount_paid=_money(invoice.amount_paid),
        amount_remaining=_money(invoice.amount_remaining),
        due_time=_timestamp(invoice.due_date),
        period_start=_timestamp(invoice.period_start),
        period_end=_timestamp(invoice.period_end),
        finalize_time=_timestamp(invoice.finalized_at),
        pay_time=_timestamp(invoice.paid_at),
        void_time=_timestamp(invoice.voided_at),
        uncollectible_time=_timestamp(invoice.marked_uncollectible_at),
        next_attempt_time=_timestamp(invoice.next_payment_attempt),
        attempt_count=invoice.attempt_count or 0,
        hosted_invoice_url=invoice.hosted_invoice_url or "",
        invoice_pdf=invoice.invoice_pdf or "",
    )


def preview_message(invoice: Invoice) -> pb.Invoice:
    """An invoice that does not exist: without ids of its own."""
    message = invoice_message(invoice)
    message.ClearField("id")
    for line in message.lines:
        line.ClearField("id")
    return message


def page_message(page: Page[Invoice]) -> pb.ListInvoicesResponse:
    """A page of invoices, without lines: with all of them it could be larger than a reply may."""
    return pb.ListInvoicesResponse(
        invoices=[invoice_message(replace(invoice, lines=())) for invoice in page.items],
        next_page_token=page.next_page_token,
    )


def totals_message(totals: Sequence[CurrencyTotals]) -> pb.InvoiceTotals:
    """The totals of every currency."""
    return pb.InvoiceTotals(
        currencies=[
            pb.CurrencyInvoiceTotals(
                currency=one.currency,
                draft=_total_message(one.draft),
                open=_total_message(one.open),
                past_due=_total_message(one.past_due),
                paid=_total_message(one.paid),
                void=_total_message(one.void),
                uncollectible=_total_message(one.uncollectible),
            )
            for one in totals
        ]
    )


def read_list(request: pb.ListInvoicesRequest, violations: list[FieldViolation]) -> ListInvoices:
    """What to list."""
    return ListInvoices(
        page_size=request.page_size,
        page_token=request.page_token,
        customer=request.customer,
        subscription=request.subscription,
        statuses=tuple(request.statuses),
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_totals(
    request: pb.GetInvoiceTotalsRequest, violations: list[FieldViolation]
) -> TotalsFilter:
    """Which invoices to add up."""
    return TotalsFilter(
        customer=request.customer,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_create(
    request: pb.CreateInvoiceRequest, violations: list[FieldViolation]
) -> CreateInvoice:
    """What to create."""
    invoice = request.invoice
    violations += [
        FieldViolation(f"invoice.{field.name}", "must be empty: a caller cannot set it")
        for field, _ in invoice.ListFields()
        if field.name not in _FOR_CREATION
    ]
    return CreateInvoice(
        invoice.customer,
        invoice.currency,
        _fields(invoice, violations),
        tuple(
            read_item(item, invoice.currency, f"items[{place}]", violations)
            for place, item in enumerate(request.items)
        ),
    )


def read_update(
    request: pb.UpdateInvoiceRequest, violations: list[FieldViolation]
) -> UpdateInvoice:
    """What to change; paths of the mask as they were written."""
    return UpdateInvoice(
        request.invoice.id, _fields(request.invoice, violations), tuple(request.update_mask.paths)
    )


def read_payment(request: pb.PayInvoiceRequest) -> PayInvoice:
    """What to pay, and with what."""
    return PayInvoice(request.id, request.payment_method, request.paid_out_of_band)


def read_preview(request: pb.PreviewInvoiceRequest) -> InvoicePreview:
    """What to preview."""
    return InvoicePreview(
        request.customer,
        request.subscription,
        tuple(
            ItemChange(
                item.id,
                item.price,
                item.quantity if item.HasField("quantity") else None,
                item.remove,
            )
            for item in request.items
        ),
    )


def _fields(invoice: pb.Invoice, violations: list[FieldViolation]) -> InvoiceFields:
    days, advances = (
        getattr(invoice, name) if invoice.HasField(name) else None
        for name in ("days_until_due", "auto_advance")
    )
    return InvoiceFields(
        collection_method=invoice.collection_method or None,
        days_until_due=days,
        due_date=read_instant(invoice, "due_time", violations, path="invoice.due_time"),
        description=invoice.description or None,
        footer=invoice.footer or None,
        default_payment_method=invoice.default_payment_method or None,
        auto_advance=advances,
        metadata=dict(invoice.metadata) or None,
    )


def read_item(
    item: pb.InvoiceItem, currency: str, path: str, violations: list[FieldViolation]
) -> InvoiceItemFields:
    """An item; its amount must be in the invoice's currency, which is all that it keeps."""
    amount = item.unit_amount if item.HasField("unit_amount") else None
    if amount is not None and amount.currency != currency:
        violations.append(FieldViolation(f"{path}.unit_amount.currency", "must be the invoice's"))
    return InvoiceItemFields(
        description=item.description,
        quantity=item.quantity or 1,
        unit_amount=None if amount is None else amount.amount,
        price=item.price,
        product=item.product,
    )


def _line_message(line: InvoiceLine) -> pb.InvoiceLine:
    return pb.InvoiceLine(
        id=line.id,
        description=line.description or "",
        amount=_money(line.amount),
        quantity=line.quantity or 0,
        quantity_decimal=line.quantity_decimal or "",
        price=line.price or "",
        product=line.product or "",
        subscription=line.subscription or "",
        subscription_item=line.subscription_item or "",
        proration=line.proration,
        period_start=_timestamp(line.period_start),
        period_end=_timestamp(line.period_end),
    )


def _total_message(total: InvoiceTotal) -> pb.InvoiceTotal:
    return pb.InvoiceTotal(count=total.count, amount=_money(total.amount))


def _money(amount: Money | None) -> money_pb2.Money | None:
    return None if amount is None else money_message(amount.amount, amount.currency)


def _timestamp(instant: dt.datetime | None) -> Timestamp | None:
    return None if instant is None else timestamp_message(instant)
