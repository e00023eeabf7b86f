"""Invoices: drafts, their lines and items, what finalizes, pays, voids and previews them."""

from typing import Any

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient

DAY = 86_400


async def payer(client: stripe.StripeClient, card: str = "pm_card_visa") -> str:
    """A customer with a default payment method."""
    customer = await client.v1.customers.create_async({"invoice_prefix": "ADA"})
    method = await client.v1.payment_methods.attach_async(card, {"customer": customer.id})
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}}
    )
    return customer.id


async def drafted(
    client: stripe.StripeClient, *amounts: int, customer: str = "", **more: Any
) -> stripe.Invoice:
    """A draft with an item an amount."""
    owner = customer or await payer(client)
    params: Any = {"customer": owner, **more}
    invoice = await client.v1.invoices.create_async(params)
    for amount in amounts:
        await client.v1.invoice_items.create_async(
            {"customer": owner, "invoice": invoice.id, "amount": amount, "currency": "usd"}
        )
    return await client.v1.invoices.retrieve_async(invoice.id)


async def types(client: stripe.StripeClient) -> list[str]:
    """Types of all events, oldest first."""
    found: list[str] = [
        event.type for event in (await client.v1.events.list_async({"limit": 100})).data
    ]
    return found[::-1]


async def test_draft_open_paid(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 500, 700)
    assert (draft.status, draft.total, draft.number) == ("draft", 1200, None)
    assert draft.parent is None
    assert draft.lines.data[0].parent is not None
    assert draft.lines.data[0].parent.type == "invoice_item_details"
    opened = await client.v1.invoices.finalize_invoice_async(
        draft.id, {"expand": ["confirmation_secret"]}
    )
    assert (opened.status, opened.amount_remaining, opened.number) == ("open", 1200, "ADA-0001")
    assert opened.hosted_invoice_url is not None
    assert opened.confirmation_secret is not None
    payments = await client.v1.invoice_payments.list_async({"invoice": draft.id})
    assert [(one.status, one.amount_requested) for one in payments.data] == [("open", 1200)]
    paid = await client.v1.invoices.pay_async(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1200, 0)
    assert paid.status_transitions.paid_at is not None
    for gone in ("subscription", "payment_intent", "charge", "paid", "tax", "discount"):
        assert gone not in paid
    told = await types(client)
    assert told[-9:] == [
        "invoice.finalized",
        "invoice.updated",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "charge.updated",
    ]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.pay_async(draft.id)


async def test_from_a_charge_to_its_invoice(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 500)
    await client.v1.invoices.pay_async(draft.id)
    charge = (await client.v1.charges.list_async()).data[0]
    assert "invoice" not in charge
    intent = str(charge.payment_intent)
    found = await client.v1.invoice_payments.list_async(
        {
            "payment": {"type": "payment_intent", "payment_intent": intent},
            "expand": ["data.invoice", "data.payment.payment_intent"],
        }
    )
    assert len(found.data) == 1
    assert isinstance(found.data[0].invoice, stripe.Invoice)
    assert found.data[0].invoice.id == draft.id
    assert isinstance(found.data[0].payment.payment_intent, stripe.PaymentIntent)
    none = await client.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": "pi_other"}}
    )
    assert none.data == []


async def test_a_declined_payment_leaves_it_open(client: stripe.StripeClient) -> None:
    customer = await payer(client, "pm_card_chargeCustomerFail")
    draft = await drafted(client, 500, customer=customer)
    await client.v1.invoices.finalize_invoice_async(draft.id)
    with pytest.raises(stripe.CardError):
        await client.v1.invoices.pay_async(draft.id)
    after = await client.v1.invoices.retrieve_async(draft.id)
    assert (after.status, after.attempt_count, after.attempted) == ("open", 1, True)
    assert "invoice.payment_failed" in await types(client)
    paid = await client.v1.invoices.pay_async(draft.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.attempt_count) == ("paid", 2)


async def test_no_invoice_was_due_before_it_is_made(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 500, collection_method="send_invoice", days_until_due=7)
    for due in (-62_135_596_800, 0, 1_665_417_599):
        with pytest.raises(stripe.InvalidRequestError, match="in the future") as refused:
            await drafted(client, 500, collection_method="send_invoice", due_date=due)
        assert refused.value.param == "due_date"
        with pytest.raises(stripe.InvalidRequestError, match="in the future"):
            await client.v1.invoices.update_async(draft.id, {"due_date": due})


async def test_sent_invoices_fall_due(client: stripe.StripeClient, control: ControlClient) -> None:
    draft = await drafted(client, 500, collection_method="send_invoice", days_until_due=7)
    sent = await client.v1.invoices.send_invoice_async(draft.id)
    assert sent.status == "open"
    assert sent.effective_at is not None
    assert sent.due_date == sent.effective_at + 7 * DAY
    told = await types(client)
    assert told[-3:] == ["invoice.finalized", "invoice.updated", "invoice.sent"]
    late = await client.v1.invoices.list_async({"due_date": {"lt": sent.due_date}})
    assert late.data == []
    await control.advance_clock(7 * DAY + 10)
    assert (await types(client))[-1] == "invoice.overdue"
    outside = await client.v1.invoices.pay_async(draft.id, {"paid_out_of_band": True})
    assert (outside.status, outside.amount_remaining) == ("paid", 0)
    assert (await client.v1.charges.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await drafted(client, collection_method="send_invoice")
    assert (refused.value.code, refused.value.param) == (None, None)


async def test_void_and_uncollectible(client: stripe.StripeClient) -> None:
    first, second = await drafted(client, 500), await drafted(client, 600)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.void_invoice_async(first.id)
    for draft in (first, second):
        await client.v1.invoices.finalize_invoice_async(draft.id)
    void = await client.v1.invoices.void_invoice_async(first.id)
    assert void.status == "void"
    assert void.status_transitions.voided_at is not None
    payments = await client.v1.invoice_payments.list_async({"invoice": first.id})
    assert [one.status for one in payments.data] == ["canceled"]
    bad = await client.v1.invoices.mark_uncollectible_async(second.id)
    assert bad.status == "uncollectible"
    late = await client.v1.invoices.pay_async(second.id)
    assert late.status == "paid"
    listed = await client.v1.invoices.list_async({"status": "void"})
    assert [one.id for one in listed.data] == [first.id]


async def test_a_deleted_draft_lets_its_items_wait_again(client: stripe.StripeClient) -> None:
    customer = await payer(client)
    item = await client.v1.invoice_items.create_async(
        {"customer": customer, "amount": 900, "currency": "usd", "description": "Work"}
    )
    draft = await client.v1.invoices.create_async(
        {"customer": customer, "pending_invoice_items_behavior": "include"}
    )
    assert [line.description for line in draft.lines.data] == ["Work"]
    assert (await client.v1.invoice_items.retrieve_async(item.id)).invoice == draft.id
    gone = await client.v1.invoices.delete_async(draft.id)
    assert gone.deleted is True
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.retrieve_async(draft.id)
    assert (await client.v1.invoice_items.retrieve_async(item.id)).invoice is None
    final = await drafted(client, 500)
    await client.v1.invoices.finalize_invoice_async(final.id)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.delete_async(final.id)


async def test_items_change_the_draft_that_they_stand_on(client: stripe.StripeClient) -> None:
    price = await client.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 250, "product_data": {"name": "Hour"}}
    )
    draft = await drafted(client)
    item = await client.v1.invoice_items.create_async(
        {
            "customer": str(draft.customer),
            "invoice": draft.id,
            "pricing": {"price": price.id},
            "quantity": 3,
        }
    )
    assert (await client.v1.invoices.retrieve_async(draft.id)).total == 750
    lines = await client.v1.invoices.line_items.list_async(
        draft.id, {"expand": ["data.pricing.price_details.product"]}
    )
    pricing = lines.data[0].pricing
    assert pricing is not None
    assert pricing.price_details is not None
    assert pricing.price_details.price == price.id
    assert isinstance(pricing.price_details.product, stripe.Product)
    await client.v1.invoice_items.update_async(item.id, {"quantity": 2})
    assert (await client.v1.invoices.retrieve_async(draft.id)).total == 500
    await client.v1.invoice_items.delete_async(item.id)
    empty = await client.v1.invoices.retrieve_async(draft.id)
    assert (empty.total, empty.lines.data) == (0, [])
    zero = await client.v1.invoices.finalize_invoice_async(draft.id)
    assert (zero.status, zero.amount_due) == ("paid", 0)


async def test_long_invoices_show_ten_lines_and_page_the_rest(client: stripe.StripeClient) -> None:
    draft = await drafted(client, *range(100, 125))
    assert (len(draft.lines.data), draft.lines.has_more) == (10, True)
    assert draft.lines.url == f"/v1/invoices/{draft.id}/lines"
    amounts = [line.amount async for line in draft.lines.auto_paging_iter()]
    assert amounts == list(range(124, 99, -1))
    assert draft.total == sum(amounts)
    page = await client.v1.invoices.line_items.list_async(draft.id, {"limit": 20})
    assert (len(page.data), page.has_more) == (20, True)


async def test_auto_advance_finalizes_and_collects_within_the_hour(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    draft = await drafted(client, 500, auto_advance=True)
    assert draft.automatically_finalizes_at == draft.created + 3600
    await control.advance_clock(3700)
    paid = await client.v1.invoices.retrieve_async(draft.id)
    assert paid.status == "paid"
    assert paid.status_transitions.finalized_at == draft.created + 3600


async def test_a_credit_balance_pays(client: stripe.StripeClient) -> None:
    customer = await payer(client)
    await client.v1.customers.update_async(customer, {"balance": -300})
    draft = await drafted(client, 1000, customer=customer)
    assert (draft.starting_balance, draft.amount_due) == (-300, 700)
    paid = await client.v1.invoices.pay_async(draft.id)
    assert (paid.total, paid.amount_paid, paid.ending_balance) == (1000, 700, 0)
    assert (await client.v1.customers.retrieve_async(customer)).balance == 0


async def test_what_can_be_changed_when(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 500)
    changed = await client.v1.invoices.update_async(
        draft.id, {"description": "June", "metadata": {"a": "b"}, "footer": "Thanks"}
    )
    assert (changed.description, changed.footer) == ("June", "Thanks")
    assert changed.metadata is not None
    assert changed.metadata["a"] == "b"
    await client.v1.invoices.finalize_invoice_async(draft.id)
    await client.v1.invoices.update_async(draft.id, {"metadata": {"a": ""}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.invoices.update_async(draft.id, {"collection_method": "send_invoice"})
    assert (refused.value.code, refused.value.param) == (None, "collection_method")


async def test_previews_keep_nothing(client: stripe.StripeClient) -> None:
    customer = await payer(client)
    price = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 800,
            "product_data": {"name": "Plan"},
            "recurring": {"interval": "month"},
        }
    )
    fresh = await client.v1.invoices.create_preview_async(
        {"customer": customer, "subscription_details": {"items": [{"price": price.id}]}}
    )
    assert (fresh.total, fresh.status) == (800, "draft")
    made = await client.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price.id}]}
    )
    before = len(await types(client))
    item = made["items"].data[0]
    upcoming = await client.v1.invoices.create_preview_async(
        {
            "subscription": made.id,
            "subscription_details": {"items": [{"id": item.id, "quantity": 3}]},
            "invoice_items": [{"amount": 100, "currency": "usd"}],
        }
    )
    assert upcoming.total == 2500
    assert upcoming.lines.data[0].period.start == item.current_period_end
    assert len(await types(client)) == before
    assert len((await client.v1.invoices.list_async()).data) == 1
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.invoices.create_preview_async({"customer": customer})
    assert refused.value.code == "invoice_upcoming_none"


async def test_search_and_snapshot(client: stripe.StripeClient, control: ControlClient) -> None:
    draft = await drafted(client, 500)
    await client.v1.invoices.pay_async(draft.id)
    await control.advance_clock(60)
    found = await client.v1.invoices.search_async({"query": 'number:"ADA-0001"'})
    assert [one.id for one in found.data] == [draft.id]
    rows = {row.object: row for row in await control.snapshot()}
    assert rows["invoice"].sums["amount_paid"] == {"usd": 500}
    assert rows["invoice"].statuses == {"paid": 1}
    assert rows["invoice_payment"].statuses == {"paid": 1}


async def test_an_invoice_that_wants_authentication(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    draft = await drafted(client, 500)
    asked = await client.v1.invoices.pay_async(
        draft.id, {"payment_method": "pm_card_authenticationRequired", "off_session": False}
    )
    assert asked.status == "open"
    assert "invoice.payment_action_required" in await types(client)
    payments = await client.v1.invoice_payments.list_async({"invoice": draft.id})
    await control.happen(
        "payment_intents", str(payments.data[0].payment.payment_intent), "authenticate"
    )
    assert (await client.v1.invoices.retrieve_async(draft.id)).status == "paid"


async def test_each_update_says_what_was_before(client: stripe.StripeClient) -> None:
    """Overlaid with `previous_attributes`, an event's object is the one of the event before."""
    draft = await drafted(client, 500)
    await client.v1.invoices.pay_async(draft.id)
    page = await client.v1.events.list_async({"type": "invoice.*", "limit": 100})
    told = [event.to_dict(recursive=True) for event in page.data][::-1]
    seen = draft.to_dict(recursive=True)
    for event in told[2:]:
        now = event["data"]["object"]
        previous = event["data"].get("previous_attributes", {})
        if event["type"] == "invoice.updated":
            before = {**now, **previous}
            for name in ("status", "amount_paid", "amount_remaining", "number", "attempt_count"):
                assert before[name] == seen[name], (event["type"], name)
            seen = now
    assert seen["status"] == "paid"
    assert [event["type"] for event in told].count("invoice.updated") == 3
