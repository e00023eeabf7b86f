"""Invoices over gRPC: every method, done and refused, against the real process."""

from typing import Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1.money_pb2 import Money
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.rooms.invoices_end_to_end import (
    InvoiceCalls,
    desk_of,
    item,
    refused,
    refused_for_state,
)
from tests.support.servers.service import ServiceAndEmulator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def desk(here: ServiceAndEmulator) -> InvoiceCalls:
    return await desk_of(here)


async def test_a_draft_is_made_with_its_lines_and_read_at_once(desk: InvoiceCalls) -> None:
    sdk, options = desk.here.sdk.v1, desk.tenant.options
    price = await sdk.prices.create_async(
        {"currency": "usd", "unit_amount": 250, "product_data": {"name": "Seat"}}, options
    )
    await desk.here.emulator.control.pause()  # so that no webhook can have brought it
    try:
        made = await desk.draft(
            item(1_000, "Work", quantity=3),
            item(-500, "Discount"),
            pb.InvoiceItem(price=price.id, quantity=2),
            item(700, product=str(price.product)),
            collection_method="send_invoice",
            days_until_due=14,
            description="Thank you",
            footer="Ada Ltd",
            metadata={"order": "7"},
        )
        assert await desk.get(made.id) == made
    finally:
        await desk.here.delivered()
    assert (made.status, made.customer, made.currency) == ("draft", desk.customer, "usd")
    assert made.amount_due == made.total == Money(amount=3_700, currency="usd")
    assert sorted((line.amount.amount, line.quantity) for line in made.lines) == [
        (-500, 1), (500, 2), (700, 1), (3_000, 3),
    ]  # fmt: skip
    assert (made.description, made.footer, dict(made.metadata)) == (
        "Thank you", "Ada Ltd", {"order": "7"},
    )  # fmt: skip
    assert not made.auto_advance


async def test_pending_items_of_the_customer_are_left_out(desk: InvoiceCalls) -> None:
    await desk.here.sdk.v1.invoice_items.create_async(
        {"customer": desk.customer, "amount": 9_900, "currency": "usd"}, desk.tenant.options
    )
    assert (await desk.draft()).total.amount == 1_000


async def test_as_many_lines_as_there_may_be(desk: InvoiceCalls) -> None:
    made = await desk.draft(*(item(1, f"{number}") for number in range(250)))
    assert (len(made.lines), made.total.amount) == (250, 250)
    assert len((await desk.get(made.id)).lines) == 250


async def test_a_draft_advances_only_when_its_lines_are_there(desk: InvoiceCalls) -> None:
    made = await desk.draft(auto_advance=True)
    assert made.auto_advance
    assert made.total.amount == 1_000


async def test_every_wrong_field_is_told_at_once(desk: InvoiceCalls) -> None:
    request = pb.CreateInvoiceRequest(
        invoice=pb.Invoice(
            id="in_1", currency="xxx", status="paid", description="d" * 1_501, days_until_due=3
        ),
        items=[pb.InvoiceItem(quantity=-1)],
        request_id="not one",
    )
    refusal = await refused(desk.ask("CreateInvoice", request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert refusal.fields == [
        "invoice.id", "invoice.status", "request_id", "invoice.customer", "invoice.currency",
        "invoice.description", "invoice.days_until_due", "items[0].quantity", "items[0]",
        "items[0].description",
    ]  # fmt: skip


async def test_refused_lines_take_the_draft_with_them(desk: InvoiceCalls) -> None:
    request = pb.CreateInvoiceRequest(
        invoice=desk.new(), items=[item(100, "a"), pb.InvoiceItem(price="price_unknown")]
    )
    refusal = await refused(desk.ask("CreateInvoice", request))
    assert (refusal.reason, refusal.fields) == ("INVALID_FIELDS", ["items[1].price"])
    params: Any = {"customer": desk.customer}
    left = await desk.here.sdk.v1.invoices.list_async(params, desk.tenant.options)
    assert left.data == []
    listed = await desk.ask("ListInvoices", pb.ListInvoicesRequest())
    assert not listed.invoices


async def test_a_customer_who_is_none_of_ours_is_not_found(
    here: ServiceAndEmulator, desk: InvoiceCalls
) -> None:
    other = await desk_of(here)
    for customer in ("cus_unknown", other.customer):
        refusal = await refused(desk.draft(customer=customer))
        assert (refusal.reason, refusal.metadata["id"]) == ("NOT_FOUND", customer)


async def test_a_draft_is_changed_as_its_mask_says(desk: InvoiceCalls) -> None:
    made = await desk.draft(description="One", footer="Two", metadata={"a": "1", "b": "2"})
    request = pb.UpdateInvoiceRequest(
        invoice=pb.Invoice(id=made.id, description="New", metadata={"a": "", "c": "3"}),
        update_mask=FieldMask(paths=["description", "footer", "metadata"]),
    )
    changed = await desk.ask("UpdateInvoice", request)
    assert (changed.description, changed.footer) == ("New", "")
    assert dict(changed.metadata) == {"b": "2", "c": "3"}
    assert await desk.get(made.id) == changed
    sent = pb.Invoice(id=made.id, collection_method="send_invoice", days_until_due=0)
    changed = await desk.ask("UpdateInvoice", pb.UpdateInvoiceRequest(invoice=sent))
    assert changed.collection_method == "send_invoice"


async def test_what_is_no_draft_is_not_changed(desk: InvoiceCalls) -> None:
    for invoice in (await desk.opened(), await desk.paid()):
        wanted = pb.UpdateInvoiceRequest(invoice=pb.Invoice(id=invoice.id, description="New"))
        await refused_for_state(desk.ask("UpdateInvoice", wanted), invoice.status)
    masked = pb.UpdateInvoiceRequest(
        invoice=pb.Invoice(id=invoice.id), update_mask=FieldMask(paths=["customer"])
    )
    refusal = await refused(desk.ask("UpdateInvoice", masked))
    assert refusal.fields == ["update_mask"]


async def test_a_finalized_invoice_can_be_paid_on_its_page(desk: InvoiceCalls) -> None:
    opened = await desk.opened()
    assert opened.status == "open"
    assert opened.number
    assert opened.hosted_invoice_url.startswith("https://")
    assert opened.due_time.seconds - opened.finalize_time.seconds == 14 * 86_400
    assert await desk.get(opened.id) == opened
    again = pb.FinalizeInvoiceRequest(id=opened.id)
    await refused_for_state(desk.ask("FinalizeInvoice", again), "open")
    paid = await desk.paid()
    again = pb.FinalizeInvoiceRequest(id=paid.id)
    await refused_for_state(desk.ask("FinalizeInvoice", again), "paid")


async def test_an_invoice_is_mailed(desk: InvoiceCalls) -> None:
    draft = await desk.draft(collection_method="send_invoice", days_until_due=1)
    sent = await desk.ask("SendInvoice", pb.SendInvoiceRequest(id=draft.id))
    assert sent.status == "open"
    charged = await desk.draft()
    refusal = await refused(desk.ask("SendInvoice", pb.SendInvoiceRequest(id=charged.id)))
    assert refusal.reason == "STRIPE_REFUSED"
    await desk.ask("VoidInvoice", pb.VoidInvoiceRequest(id=draft.id))
    again = pb.SendInvoiceRequest(id=draft.id)
    await refused_for_state(desk.ask("SendInvoice", again), "void")


async def test_an_invoice_is_paid_by_default_by_choice_by_a_legacy_card_or_outside(
    desk: InvoiceCalls,
) -> None:
    sdk, options = desk.here.sdk.v1, desk.tenant.options
    nothing = pb.PayInvoiceRequest(id=(await desk.opened()).id)
    assert (await refused(desk.ask("PayInvoice", nothing))).reason == "STRIPE_REFUSED"
    method = await desk.with_card("pm_card_visa")
    source = await sdk.customers.payment_sources.create_async(
        desk.customer, {"source": "tok_visa"}, options
    )
    for how in (
        {},
        {"payment_method": method},
        {"payment_method": source.id},
        {"paid_out_of_band": True},
    ):
        request = pb.PayInvoiceRequest(id=(await desk.opened()).id, **how)  # type: ignore[arg-type]  # as given
        paid = await desk.ask("PayInvoice", request)
        assert (paid.status, paid.amount_remaining.amount) == ("paid", 0)
        assert paid.amount_paid.amount == 1_000
        assert await desk.get(paid.id) == paid


async def test_a_decline_tells_its_code_and_what_to_do(desk: InvoiceCalls) -> None:
    opened = await desk.opened()
    card = "pm_card_chargeDeclinedInsufficientFunds"
    request = pb.PayInvoiceRequest(id=opened.id, payment_method=card, request_id="declined")
    for _ in range(2):
        refusal = await refused(desk.ask("PayInvoice", request))
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.reason == "PAYMENT_DECLINED"
        assert refusal.metadata["decline_code"] == "insufficient_funds"
        assert "too little funds" in refusal.message
    other = pb.PayInvoiceRequest(id=opened.id, payment_method="pm_card_visa")
    assert (await desk.ask("PayInvoice", other)).status == "paid"


async def test_only_what_is_due_is_paid(desk: InvoiceCalls) -> None:
    draft, paid = await desk.draft(), await desk.paid()
    await desk.with_card("pm_card_visa")
    void = await desk.ask("VoidInvoice", pb.VoidInvoiceRequest(id=(await desk.opened()).id))
    for invoice in (draft, paid, void):
        request = pb.PayInvoiceRequest(id=invoice.id)
        await refused_for_state(desk.ask("PayInvoice", request), invoice.status)
    both = pb.PayInvoiceRequest(id=paid.id, payment_method="pm_1", paid_out_of_band=True)
    assert (await refused(desk.ask("PayInvoice", both))).fields == ["paid_out_of_band"]


async def test_an_invoice_is_given_up_and_voided(desk: InvoiceCalls) -> None:
    opened = await desk.opened()
    given_up = await desk.ask(
        "MarkInvoiceUncollectible", pb.MarkInvoiceUncollectibleRequest(id=opened.id)
    )
    assert (given_up.status, given_up.HasField("uncollectible_time")) == ("uncollectible", True)
    again = pb.MarkInvoiceUncollectibleRequest(id=opened.id)
    await refused_for_state(desk.ask("MarkInvoiceUncollectible", again), "uncollectible")
    void = await desk.ask("VoidInvoice", pb.VoidInvoiceRequest(id=opened.id))
    assert (void.status, void.HasField("void_time")) == ("void", True)
    assert await desk.get(opened.id) == void
    for invoice in (await desk.draft(), await desk.paid(), void):
        request = pb.VoidInvoiceRequest(id=invoice.id)
        await refused_for_state(desk.ask("VoidInvoice", request), invoice.status)
        marked = pb.MarkInvoiceUncollectibleRequest(id=invoice.id)
        await refused_for_state(desk.ask("MarkInvoiceUncollectible", marked), invoice.status)


async def test_a_draft_is_deleted_once_and_the_same_request_again_is_success(
    desk: InvoiceCalls,
) -> None:
    draft, opened = await desk.draft(), await desk.opened()
    request = pb.DeleteInvoiceRequest(id=draft.id, request_id="delete")
    for _ in range(2):
        assert await desk.ask("DeleteInvoice", request) == Empty()
    assert (await refused(desk.get(draft.id))).code is grpc.StatusCode.NOT_FOUND
    later = pb.DeleteInvoiceRequest(id=draft.id)
    assert (await refused(desk.ask("DeleteInvoice", later))).reason == "NOT_FOUND"
    request = pb.DeleteInvoiceRequest(id=opened.id)
    await refused_for_state(desk.ask("DeleteInvoice", request), "open")
    assert (await desk.get(opened.id)).status == "open"


BY_ID = {
    "GetInvoice": pb.GetInvoiceRequest,
    "FinalizeInvoice": pb.FinalizeInvoiceRequest,
    "SendInvoice": pb.SendInvoiceRequest,
    "PayInvoice": pb.PayInvoiceRequest,
    "VoidInvoice": pb.VoidInvoiceRequest,
    "MarkInvoiceUncollectible": pb.MarkInvoiceUncollectibleRequest,
    "DeleteInvoice": pb.DeleteInvoiceRequest,
}


async def test_unknown_and_other_tenants_invoices_are_not_found(
    here: ServiceAndEmulator, desk: InvoiceCalls
) -> None:
    other = await desk_of(here)
    draft = await other.draft()
    for invoice_id in ("in_unknown", draft.id):
        for method, request in BY_ID.items():
            refusal = await refused(desk.ask(method, request(id=invoice_id)))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND"), (
                method
            )
        wanted = pb.UpdateInvoiceRequest(invoice=pb.Invoice(id=invoice_id, description="x"))
        assert (await refused(desk.ask("UpdateInvoice", wanted))).reason == "NOT_FOUND"
    assert await other.get(draft.id) == draft
    foreign = pb.GetInvoiceRequest(account=other.tenant.account, id=draft.id)
    assert (await refused(desk.ask("GetInvoice", foreign))).reason == "NOT_FOUND"
