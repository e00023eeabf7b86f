"""InvoiceService: from messages to commands, and from invoices to messages."""

import datetime as dt
from typing import Any
from unittest.mock import create_autospec

import grpc
import pytest
from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1 import money_pb2
from billing_client.v1.subscription_service_pb2 import SubscriptionItemChange
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from application.invoices.commands import CreateInvoice, ListInvoices, UpdateInvoice
from application.invoices.ports import InvoiceFields, InvoiceItemFields, InvoicePreview, PayInvoice
from application.invoices.totals import CurrencyTotals, InvoiceTotal
from application.invoices.totals_port import TotalsFilter
from application.invoices.use_cases import Invoices
from application.requests.paging import Page
from application.subscriptions.ports import ItemChange
from domain.invoices import Invoice, InvoiceLine
from domain.money import Money
from interfaces.grpc.invoices.servicer import InvoiceServicer
from tests.unit.grpc.bridge import CALLER, invoke

CREATED = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
METHODS = pb.DESCRIPTOR.services_by_name["InvoiceService"].methods_by_name


def at(seconds: int) -> dt.datetime:
    return CREATED + dt.timedelta(seconds=seconds)


def stamp(seconds: int) -> Timestamp:
    return Timestamp(seconds=int(at(seconds).timestamp()))


def usd(amount: int) -> money_pb2.Money:
    return money_pb2.Money(amount=amount, currency="usd")


LINE = InvoiceLine(
    "il_1", Money(-5, "usd"), "Work", 2, "2.5", "price_1", "prod_1", "sub_1", "si_1", True,
    at(1), at(2),
)  # fmt: skip
INVOICE = Invoice(
    id="in_1",
    created=CREATED,
    currency="usd",
    status="open",
    total=Money(10, "usd"),
    amount_due=Money(9, "usd"),
    amount_paid=Money(2, "usd"),
    amount_remaining=Money(7, "usd"),
    subtotal=Money(8, "usd"),
    total_excluding_tax=Money(6, "usd"),
    customer="cus_1",
    customer_email="ada@example.com",
    number="A-1",
    billing_reason="manual",
    collection_method="send_invoice",
    subscription="sub_1",
    default_payment_method="pm_1",
    default_source="card_1",
    auto_advance=False,
    description="Memo",
    footer="Foot",
    due_date=at(3),
    finalized_at=at(4),
    paid_at=at(5),
    voided_at=at(6),
    marked_uncollectible_at=at(7),
    period_start=at(8),
    period_end=at(9),
    hosted_invoice_url="https://invoice.example/1",
    invoice_pdf="https://invoice.example/1.pdf",
    next_payment_attempt=at(10),
    attempt_count=3,
    lines=(LINE,),
    metadata={"order": "7", "billing_request": "tag"},
)
MESSAGE = pb.Invoice(
    id="in_1",
    create_time=stamp(0),
    status="open",
    number="A-1",
    customer="cus_1",
    customer_email="ada@example.com",
    currency="usd",
    subtotal=usd(8),
    total_excluding_tax=usd(6),
    total=usd(10),
    amount_due=usd(9),
    amount_paid=usd(2),
    amount_remaining=usd(7),
    lines=[
        pb.InvoiceLine(
            id="il_1", description="Work", amount=usd(-5), quantity=2, quantity_decimal="2.5",
            price="price_1", product="prod_1", subscription="sub_1", subscription_item="si_1",
            proration=True, period_start=stamp(1), period_end=stamp(2),
        )
    ],
    collection_method="send_invoice",
    due_time=stamp(3),
    description="Memo",
    footer="Foot",
    default_payment_method="pm_1",
    auto_advance=False,
    metadata={"order": "7"},
    subscription="sub_1",
    billing_reason="manual",
    period_start=stamp(8),
    period_end=stamp(9),
    finalize_time=stamp(4),
    pay_time=stamp(5),
    void_time=stamp(6),
    uncollectible_time=stamp(7),
    next_attempt_time=stamp(10),
    attempt_count=3,
    hosted_invoice_url="https://invoice.example/1",
    invoice_pdf="https://invoice.example/1.pdf",
)  # fmt: skip


@pytest.fixture
def invoices() -> Any:
    return create_autospec(Invoices, instance=True)


async def ask(invoices: Any, method: str, request: Any) -> Any:
    reply, code, _ = await invoke(InvoiceServicer(invoices), METHODS[method], request)
    assert code is grpc.StatusCode.OK
    return reply


async def test_every_field_of_an_invoice_is_told(invoices: Any) -> None:
    invoices.get.return_value = INVOICE
    assert await ask(invoices, "GetInvoice", pb.GetInvoiceRequest(id="in_1")) == MESSAGE
    invoices.get.assert_awaited_once_with(CALLER, "in_1")
    not_told = {field.name for field in pb.Invoice.DESCRIPTOR.fields} - {
        field.name for field, _ in MESSAGE.ListFields()
    }
    assert not_told == {"days_until_due"}  # which Stripe does not tell


async def test_an_invoice_without_anything_set(invoices: Any) -> None:
    zero = Money(0, "usd")
    invoices.get.return_value = Invoice("in_2", CREATED, "usd", "draft", zero, zero, zero, zero)
    reply = await ask(invoices, "GetInvoice", pb.GetInvoiceRequest(id="in_2"))
    assert [field.name for field, _ in reply.ListFields()] == [
        "id", "create_time", "status", "currency", "total", "amount_due", "amount_paid",
        "amount_remaining",
    ]  # fmt: skip


async def test_list_invoices(invoices: Any) -> None:
    invoices.list.return_value = Page([INVOICE], "next")
    request = pb.ListInvoicesRequest(
        page_size=7, page_token="token", customer="cus_1", subscription="sub_1",
        statuses=["open", "paid"], created_after=stamp(1), created_before=stamp(2),
    )  # fmt: skip
    reply = await ask(invoices, "ListInvoices", request)
    query = ListInvoices(7, "token", "cus_1", "sub_1", ("open", "paid"), at(1), at(2))
    invoices.list.assert_awaited_once_with(CALLER, query, [])
    without_lines = pb.Invoice()
    without_lines.CopyFrom(MESSAGE)
    without_lines.ClearField("lines")
    assert (list(reply.invoices), reply.next_page_token) == ([without_lines], "next")


async def test_totals(invoices: Any) -> None:
    parts = [InvoiceTotal(n, Money(n * 10, "usd")) for n in range(1, 7)]
    invoices.totals.return_value = [CurrencyTotals("usd", *parts)]
    request = pb.GetInvoiceTotalsRequest(
        customer="cus_1", created_after=stamp(1), created_before=Timestamp(nanos=-1)
    )
    reply = await ask(invoices, "GetInvoiceTotals", request)
    _, where, found = invoices.totals.await_args.args
    assert where == TotalsFilter("cus_1", at(1), None)
    assert [violation.field for violation in found] == ["created_before"]
    (told,) = reply.currencies
    names = ("draft", "open", "past_due", "paid", "void", "uncollectible")
    assert [(getattr(told, name).count, getattr(told, name).amount) for name in names] == [
        (n, usd(n * 10)) for n in range(1, 7)
    ]


async def test_create_invoice(invoices: Any) -> None:
    invoices.create.return_value = INVOICE
    request = pb.CreateInvoiceRequest(
        invoice=pb.Invoice(
            customer="cus_1", currency="usd", collection_method="send_invoice", days_until_due=0,
            due_time=stamp(1), description="Memo", footer="Foot", default_payment_method="pm_1",
            auto_advance=False, metadata={"order": "7"},
        ),
        items=[
            pb.InvoiceItem(description="Work", quantity=2, unit_amount=usd(-5)),
            pb.InvoiceItem(price="price_1"),
            pb.InvoiceItem(product="prod_1", unit_amount=usd(0)),
        ],
        request_id="r-1",
    )  # fmt: skip
    assert await ask(invoices, "CreateInvoice", request) == MESSAGE
    fields = InvoiceFields(
        "send_invoice", 0, at(1), "Memo", "Foot", "pm_1", auto_advance=False,
        metadata={"order": "7"},
    )  # fmt: skip
    items = (
        InvoiceItemFields("Work", 2, -5),
        InvoiceItemFields("", 1, None, "price_1"),
        InvoiceItemFields("", 1, 0, "", "prod_1"),
    )
    command = CreateInvoice("cus_1", "usd", fields, items)
    invoices.create.assert_awaited_once_with(CALLER, "r-1", command, [])


async def test_create_invoice_refuses_what_is_not_the_callers_to_set(invoices: Any) -> None:
    invoices.create.return_value = INVOICE
    euros = money_pb2.Money(amount=1, currency="eur")
    request = pb.CreateInvoiceRequest(
        invoice=MESSAGE,
        items=[pb.InvoiceItem(), pb.InvoiceItem(unit_amount=euros)],
    )
    request.invoice.due_time.nanos = -1
    await ask(invoices, "CreateInvoice", request)
    _, _, command, found = invoices.create.await_args.args
    settable = {
        "customer", "currency", "collection_method", "due_time", "description", "footer",
        "default_payment_method", "auto_advance", "metadata",
    }  # fmt: skip
    theirs = [field.name for field, _ in MESSAGE.ListFields() if field.name not in settable]
    assert [violation.field for violation in found] == [
        *(f"invoice.{name}" for name in theirs),
        "invoice.due_time",
        "items[1].unit_amount.currency",
    ]
    assert command.fields.due_date is None


async def test_update_invoice_passes_the_mask_as_written(invoices: Any) -> None:
    invoices.update.return_value = INVOICE
    paths = ["description", "*", "lines", "due_time"]
    request = pb.UpdateInvoiceRequest(
        invoice=pb.Invoice(id="in_1", description="New", auto_advance=True),
        update_mask=FieldMask(paths=paths),
        request_id="r-1",
    )
    await ask(invoices, "UpdateInvoice", request)
    values = InvoiceFields(description="New", auto_advance=True)
    command = UpdateInvoice("in_1", values, tuple(paths))
    invoices.update.assert_awaited_once_with(CALLER, "r-1", command, [])


@pytest.mark.parametrize(
    ("method", "kind", "verb"),
    [
        ("FinalizeInvoice", pb.FinalizeInvoiceRequest, "finalize"),
        ("SendInvoice", pb.SendInvoiceRequest, "send"),
        ("VoidInvoice", pb.VoidInvoiceRequest, "void"),
        ("MarkInvoiceUncollectible", pb.MarkInvoiceUncollectibleRequest, "mark_uncollectible"),
    ],
)
async def test_actions(invoices: Any, method: str, kind: Any, verb: str) -> None:
    use_case = getattr(invoices, verb)
    use_case.return_value = INVOICE
    assert await ask(invoices, method, kind(id="in_1", request_id="r-1")) == MESSAGE
    use_case.assert_awaited_once_with(CALLER, "r-1", "in_1")


async def test_pay_and_delete(invoices: Any) -> None:
    invoices.pay.return_value = INVOICE
    request = pb.PayInvoiceRequest(
        id="in_1", payment_method="pm_1", paid_out_of_band=True, request_id="r-1"
    )
    assert await ask(invoices, "PayInvoice", request) == MESSAGE
    payment = PayInvoice("in_1", "pm_1", paid_out_of_band=True)
    invoices.pay.assert_awaited_once_with(CALLER, "r-1", payment)
    await ask(invoices, "DeleteInvoice", pb.DeleteInvoiceRequest(id="in_1", request_id="r-2"))
    invoices.delete.assert_awaited_once_with(CALLER, "r-2", "in_1")


async def test_a_preview_has_no_ids_of_its_own(invoices: Any) -> None:
    invoices.preview.return_value = INVOICE
    request = pb.PreviewInvoiceRequest(
        customer="cus_1",
        subscription="sub_1",
        items=[
            SubscriptionItemChange(id="si_1", quantity=0),
            SubscriptionItemChange(price="price_1"),
            SubscriptionItemChange(id="si_2", remove=True),
        ],
    )
    reply = await ask(invoices, "PreviewInvoice", request)
    changes = (
        ItemChange("si_1", quantity=0),
        ItemChange(price="price_1"),
        ItemChange("si_2", remove=True),
    )
    invoices.preview.assert_awaited_once_with(CALLER, InvoicePreview("cus_1", "sub_1", changes))
    assert (reply.id, reply.lines[0].id, reply.total) == ("", "", usd(10))
