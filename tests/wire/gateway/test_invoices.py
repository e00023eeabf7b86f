"""Invoices at Stripe, through the real SDK."""

import datetime as dt
from typing import Any

import pytest

from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceFields,
    NewInvoice,
    PayInvoice,
)
from application.mutations.stripe import Call
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PaymentDeclined,
    Reason,
    WrongState,
)
from domain.money import Money
from infrastructure.stripe.invoices.gateway import StripeInvoices
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.support.rooms.invoices_at_stripe import DUE, SENT, Drawer, Merchant, lines, now, shown
from tests.wire.gateway.conftest import MakeCall


async def test_create_writes_every_field_and_the_tag(
    invoices: StripeInvoices, drawer: Drawer, merchant: Merchant, call: MakeCall
) -> None:
    await merchant.v1.invoice_items.create_async(
        {"customer": drawer.customer, "amount": 5, "currency": "usd"}, merchant.options
    )
    methods = await merchant.v1.customers.payment_methods.list_async(
        drawer.customer, options=merchant.options
    )
    fields = InvoiceFields(
        collection_method="send_invoice",
        due_date=DUE,
        description="Memo",
        footer="Foot",
        default_payment_method=methods.data[0].id,
        auto_advance=False,
        metadata={"order": "7"},
    )
    found = shown(await invoices.create(call(), NewInvoice(drawer.customer, "usd", fields)))
    assert (found.status, found.customer, found.currency) == ("draft", drawer.customer, "usd")
    assert (found.collection_method, found.due_date) == ("send_invoice", DUE)
    assert (found.description, found.footer) == ("Memo", "Foot")
    assert found.default_payment_method == methods.data[0].id
    assert found.metadata == {"order": "7", "billing_request": "tag-one"}
    assert (found.auto_advance, found.lines) == (False, ())


async def test_a_legacy_source_is_a_default_too(
    drawer: Drawer, merchant: Merchant, invoices: StripeInvoices, call: MakeCall
) -> None:
    source = await merchant.v1.customers.payment_sources.create_async(
        drawer.customer, {"source": "tok_visa"}, merchant.options
    )
    fields = InvoiceFields(default_payment_method=source.id, description="")
    found = shown(await invoices.create(call(), NewInvoice(drawer.customer, "usd", fields)))
    assert (found.default_source, found.default_payment_method) == (source.id, None)
    change = InvoiceChange(found.id, fields)
    assert shown(await invoices.find_updated(call(), change, now())) == found


async def test_a_customer_who_is_not_there_is_not_found(
    invoices: StripeInvoices, call: MakeCall
) -> None:
    with pytest.raises(NotFound) as caught:
        await invoices.create(call(), NewInvoice("cus_unknown", "usd", SENT))
    assert caught.value.metadata == {"resource": "customer", "id": "cus_unknown"}


async def test_find_created_finds_by_tag(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall
) -> None:
    sent_at = now()
    params = NewInvoice(drawer.customer, "usd", SENT)
    assert await invoices.find_created(call("create"), params, sent_at) is None
    made = await drawer.empty()
    assert shown(await invoices.find_created(call("create"), params, sent_at)) == made
    assert await invoices.find_created(call("other"), params, sent_at) is None


async def test_update_changes_what_is_given_and_clears_what_is_empty(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall
) -> None:
    made = await drawer.empty(
        InvoiceFields(description="Memo", footer="Foot", metadata={"a": "1", "b": "2"})
    )
    change = InvoiceFields(
        collection_method="send_invoice",
        due_date=DUE + dt.timedelta(milliseconds=5),
        description="",
        auto_advance=True,
        metadata={"a": "", "c": "3"},
    )
    wanted = InvoiceChange(made.id, change)
    assert await invoices.find_updated(call(), wanted, now()) is None
    found = shown(await invoices.update(call(), wanted))
    assert (found.description, found.footer, found.auto_advance) == (None, "Foot", True)
    assert (found.collection_method, found.due_date) == ("send_invoice", DUE)
    assert found.metadata == {"b": "2", "c": "3", "billing_request": "tag-create"}
    assert shown(await invoices.find_updated(call(), wanted, now())) == found


@pytest.mark.parametrize(
    "fields",
    [
        InvoiceFields(description="Memo"),
        InvoiceFields(footer="Foot"),
        InvoiceFields(due_date=DUE),
        InvoiceFields(collection_method="charge_automatically"),
        InvoiceFields(auto_advance=True),
        InvoiceFields(default_payment_method="pm_1"),
        InvoiceFields(metadata={"a": "1"}),
        InvoiceFields(days_until_due=14),  # which no invoice shows
    ],
)
async def test_find_updated_finds_nothing_while_a_field_differs(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, fields: InvoiceFields
) -> None:
    made = await drawer.empty()
    assert await invoices.find_updated(call(), InvoiceChange(made.id, fields), now()) is None


async def test_an_action_is_done_and_found(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall
) -> None:
    draft = InvoiceAction((await drawer.draft()).id)
    assert await invoices.find_finalized(call(), draft, now()) is None
    assert await invoices.find_sent(call(), draft, now()) is None
    opened = shown(await invoices.finalize(call("f"), draft))
    assert (opened.status, opened.number is None) == ("open", False)
    assert opened.hosted_invoice_url
    assert opened.due_date is not None
    assert shown(await invoices.find_finalized(call("f"), draft, now())) == opened
    sent = shown(await invoices.send(call("s"), draft))
    assert shown(await invoices.find_sent(call("s"), draft, now())) == sent
    assert await invoices.find_marked_uncollectible(call("m"), draft, now()) is None
    given_up = shown(await invoices.mark_uncollectible(call("m"), draft))
    assert given_up.status == "uncollectible"
    assert shown(await invoices.find_marked_uncollectible(call("m"), draft, now())) == given_up
    assert await invoices.find_voided(call("v"), draft, now()) is None
    void = shown(await invoices.void(call("v"), draft))
    assert void.status == "void"
    assert shown(await invoices.find_voided(call("v"), draft, now())) == void


@pytest.mark.parametrize("how", ["default", "method", "source", "out of band"])
async def test_an_invoice_is_paid_and_found(
    invoices: StripeInvoices, drawer: Drawer, merchant: Merchant, call: MakeCall, how: str
) -> None:
    opened = await drawer.opened()
    source = await merchant.v1.customers.payment_sources.create_async(
        drawer.customer, {"source": "tok_mastercard"}, merchant.options
    )
    payment = {
        "default": PayInvoice(opened.id),
        "method": PayInvoice(opened.id, "pm_card_amex"),
        "source": PayInvoice(opened.id, source.id),
        "out of band": PayInvoice(opened.id, paid_out_of_band=True),
    }[how]
    assert await invoices.find_paid(call(), payment, now()) is None
    paid = shown(await invoices.pay(call(), payment))
    assert (paid.status, paid.amount_paid) == ("paid", Money(1_000, "usd"))
    assert shown(await invoices.find_paid(call(), payment, now())) == paid
    charges = await merchant.v1.charges.list_async({}, merchant.options)
    brands = [charge.payment_method_details.card.brand for charge in charges.data]  # type: ignore[union-attr]  # each is by card
    assert brands == {
        "default": ["visa"], "method": ["amex"], "source": ["mastercard"], "out of band": [],
    }[how]  # fmt: skip


async def test_a_decline_is_one_and_leaves_the_invoice_open(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall
) -> None:
    opened = await drawer.opened()
    payment = PayInvoice(opened.id, "pm_card_chargeDeclinedExpiredCard")
    with pytest.raises(PaymentDeclined) as caught:
        await invoices.pay(call(), payment)
    assert caught.value.decline_code == "expired_card"
    assert await invoices.find_paid(call(), payment, now()) is None


async def test_nothing_to_pay_with_is_no_matter_of_state(
    invoices: StripeInvoices, merchant: Merchant, call: MakeCall
) -> None:
    customer = await merchant.v1.customers.create_async({}, merchant.options)
    opened = await Drawer(invoices, call, customer.id).opened()
    with pytest.raises(FailedPrecondition) as caught:
        await invoices.pay(call(), PayInvoice(opened.id))
    assert caught.value.reason is Reason.STRIPE_REFUSED
    assert "such as a payment method to charge" in caught.value.message


FORBIDDEN = {
    "draft": {"void", "mark_uncollectible"},
    "open": {"update", "add_lines", "finalize", "delete"},
    "paid": {
        "update", "add_lines", "finalize", "send", "pay", "void", "mark_uncollectible", "delete",
    },
    "void": {
        "update", "add_lines", "finalize", "send", "pay", "void", "mark_uncollectible", "delete",
    },
    "uncollectible": {"update", "add_lines", "finalize", "mark_uncollectible", "delete"},
}  # fmt: skip


async def in_state(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, status: str
) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The id of an invoice of a status, and what can be asked of it: each send and its params."""
    if status == "paid":
        found = await drawer.paid()
    else:
        found = await (drawer.draft() if status == "draft" else drawer.opened())
    action = InvoiceAction(found.id)
    if status == "void":
        await invoices.void(call("prepare"), action)
    if status == "uncollectible":
        await invoices.mark_uncollectible(call("prepare"), action)
    # Stripe takes the memo of an open invoice, but not how it is collected.
    change = InvoiceFields(collection_method="charge_automatically")
    return found.id, {
        "update": (invoices.update, InvoiceChange(found.id, change)),
        "add_lines": (invoices.add_lines, lines(found.id)),
        "finalize": (invoices.finalize, action),
        "send": (invoices.send, action),
        "pay": (invoices.pay, PayInvoice(found.id)),
        "void": (invoices.void, action),
        "mark_uncollectible": (invoices.mark_uncollectible, action),
        "delete": (invoices.delete, action),
    }


@pytest.mark.parametrize("status", list(FORBIDDEN))
async def test_a_state_that_forbids_an_action_is_named(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, status: str
) -> None:
    id_, sends = await in_state(invoices, drawer, call, status)
    for name in sorted(FORBIDDEN[status]):
        send, params = sends[name]
        with pytest.raises(WrongState) as caught:
            await send(call(name), params)
        assert caught.value.metadata == {"resource": "invoice", "id": id_, "state": status}


@pytest.mark.parametrize("status", list(FORBIDDEN))
async def test_a_refusal_without_code_and_parameter_is_told_with_the_state_all_the_same(
    invoices: StripeInvoices,
    drawer: Drawer,
    call: MakeCall,
    emulator: RunningEmulator,
    status: str,
) -> None:
    """As Stripe refuses most of them, a paid invoice that is to be sent among them."""
    id_, sends = await in_state(invoices, drawer, call, status)
    for name in sorted(FORBIDDEN[status] | ({"send"} if status == "paid" else set())):
        method = "DELETE" if name == "delete" else "POST"
        await emulator.control.add_fault(FaultSpec(kind="fail", status=400, method=method))
        send, params = sends[name]
        with pytest.raises(WrongState) as caught:
            await send(call(name), params)
        assert caught.value.metadata == {"resource": "invoice", "id": id_, "state": status}


async def test_a_refusal_whose_state_cannot_be_read_stays_a_refusal(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, emulator: RunningEmulator
) -> None:
    paid = await drawer.paid()
    fault = FaultSpec(kind="fail", status=500, method="GET", count=None)
    await emulator.control.add_fault(fault)
    with pytest.raises(FailedPrecondition) as caught:
        await invoices.void(call(), InvoiceAction(paid.id))
    assert caught.value.reason is Reason.STRIPE_REFUSED


async def test_delete_leaves_a_tombstone_and_again_is_success(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, account: str
) -> None:
    draft = InvoiceAction((await drawer.draft()).id)
    assert await invoices.find_deleted(call(), draft, now()) is None
    for name in ("two", "three"):
        gone = await invoices.delete(call(name), draft)
        assert (gone.id, gone.stripe_account, gone.deleted) == (draft.id, account, True)
    found = await invoices.find_deleted(call(), draft, now())
    assert found is not None
    assert found.deleted


async def test_what_never_was_is_not_found(invoices: StripeInvoices, call: MakeCall) -> None:
    never = InvoiceAction("in_never")
    for send in (invoices.finalize, invoices.send, invoices.void, invoices.mark_uncollectible):
        with pytest.raises(NotFound) as caught:
            await send(call(send.__name__), never)
        assert caught.value.metadata["id"] == "in_never"
    with pytest.raises(NotFound):
        await invoices.pay(call("pay"), PayInvoice("in_never"))
    with pytest.raises(NotFound):
        await invoices.update(call("update"), InvoiceChange("in_never", SENT))
    with pytest.raises(NotFound):
        await invoices.add_lines(call("lines"), lines("in_never"))
    for find in (
        invoices.find_finalized, invoices.find_sent, invoices.find_voided,
        invoices.find_marked_uncollectible,
    ):  # fmt: skip
        assert await find(call(), never, now()) is None
    assert await invoices.find_paid(call(), PayInvoice("in_never"), now()) is None
    assert await invoices.find_updated(call(), InvoiceChange("in_never", SENT), now()) is None


@pytest.mark.parametrize("hostile", ["..", "", "a\n"])
async def test_what_can_be_no_id_is_never_sent(
    invoices: StripeInvoices, call: MakeCall, emulator: RunningEmulator, hostile: str
) -> None:
    before = await emulator.control.stats()
    for send in (invoices.delete, invoices.finalize):
        with pytest.raises(NotFound if hostile == ".." else InvalidArgument):
            await send(call(), InvoiceAction(hostile))
    assert await emulator.control.stats() == before


@pytest.mark.parametrize("hostile", ["in_1/pay", "../account", "/", "ä", "in_1?expand[]=x"])
async def test_an_id_stays_one_segment_of_the_path(
    invoices: StripeInvoices, call: MakeCall, emulator: RunningEmulator, hostile: str
) -> None:
    with pytest.raises(NotFound):
        await invoices.finalize(call(), InvoiceAction(hostile))
    assert (await emulator.control.stats()).routes == {"POST /v1/invoices/{id}/finalize": 1}


async def test_other_accounts_invoices_are_not_found(
    invoices: StripeInvoices, drawer: Drawer, emulator: RunningEmulator
) -> None:
    draft = InvoiceAction((await drawer.draft()).id)
    other = Call(await emulator.control.create_account(), "key", "tag-create")
    with pytest.raises(NotFound):
        await invoices.finalize(other, draft)
    found = await invoices.find_created(other, NewInvoice(drawer.customer, "usd", SENT), now())
    assert found is None
