"""Subscriptions as the clock moves: renewals, trials, dunning, pauses, ends."""

from typing import Any

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from tests.support.rooms.subscriptions_at_emulator import (
    invoices,
    monthly,
    period,
    subscribed,
    types,
)

DAY = 86_400
START = 1_704_067_200  # 2024-01-01T00:00:00Z


async def test_the_metadata_of_an_invoice_is_a_snapshot(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client, metadata={"plan": "old"})
    await client.v1.subscriptions.update_async(made.id, {"metadata": {"plan": "new"}})
    await control.advance_clock(32 * DAY)
    metadata = []
    for invoice in await invoices(client, made.id):
        assert invoice.parent is not None
        assert invoice.parent.subscription_details is not None
        snapshot = invoice.parent.subscription_details.metadata
        assert snapshot is not None
        metadata.append(snapshot["plan"])
    assert metadata == ["old", "new"]


async def test_the_clock_renews_in_order_with_the_time_of_each(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(START + 30 * DAY)  # January 31st
    made = await subscribed(client)
    await control.advance_clock(95 * DAY)
    billed = await invoices(client, made.id)
    days = [one.created // DAY - START // DAY for one in billed]
    # The 31st of January, the 29th of February, the 31st of March, the 30th of April.
    assert days == [30, 59, 90, 120]
    assert [one.billing_reason for one in billed[1:]] == ["subscription_cycle"] * 3
    assert [one.status for one in billed] == ["paid"] * 4
    for one in billed[1:]:
        assert one.status_transitions.paid_at == one.created + 3600
    events = await client.v1.events.list_async({"type": "invoice.paid", "limit": 100})
    # Events are kept for thirty days: only the last is still listed.
    assert [event.created for event in events.data] == [billed[-1].created + 3600]
    updated = await client.v1.events.list_async({"type": "customer.subscription.updated"})
    previous = updated.data[-1].data["previous_attributes"]
    assert previous["items"]["data"][0]["current_period_end"] == billed[-1].created
    assert previous["latest_invoice"] == billed[-2].id
    numbers = [one.number for one in billed]
    assert [number.rpartition("-")[2] for number in numbers if number is not None] == [
        "0001", "0002", "0003", "0004",
    ]  # fmt: skip


async def test_a_trial_is_announced_and_ends_in_a_payment(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client, trial_period_days=10)
    assert made.status == "trialing"
    assert period(made)[1] == made.trial_end
    assert isinstance(made.latest_invoice, stripe.Invoice)
    assert (made.latest_invoice.status, made.latest_invoice.total) == ("paid", 0)
    await control.advance_clock(7 * DAY - 60)
    assert "customer.subscription.trial_will_end" not in await types(client)
    await control.advance_clock(120)
    assert "customer.subscription.trial_will_end" in await types(client)
    await control.advance_clock(3 * DAY + 3600)
    after = await client.v1.subscriptions.retrieve_async(made.id, {"expand": ["latest_invoice"]})
    assert after.status == "active"
    assert period(after)[0] == made.trial_end
    assert isinstance(after.latest_invoice, stripe.Invoice)
    assert (after.latest_invoice.status, after.latest_invoice.amount_paid) == ("paid", 1000)


async def test_a_trial_without_a_payment_method_pauses_and_resumes(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    customer = await client.v1.customers.create_async({})
    made = await client.v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": await monthly(client)}],
            "trial_period_days": 3,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    await control.advance_clock(3 * DAY + 60)
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "paused"
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await client.v1.subscriptions.update_async(made.id, {"default_payment_method": method.id})
    resumed = await client.v1.subscriptions.resume_async(made.id)
    assert resumed.status == "active"
    told = await types(client)
    assert "customer.subscription.paused" in told
    assert "customer.subscription.resumed" in told


async def test_a_declined_renewal_is_past_due_then_given_up(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client)
    method = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(made.customer)}
    )
    await client.v1.subscriptions.update_async(made.id, {"default_payment_method": method.id})
    await control.advance_clock(31 * DAY + 2 * 3600)
    failing = await client.v1.subscriptions.retrieve_async(made.id, {"expand": ["latest_invoice"]})
    assert failing.status == "past_due"
    assert isinstance(failing.latest_invoice, stripe.Invoice)
    assert failing.latest_invoice.attempt_count == 1
    assert failing.latest_invoice.next_payment_attempt is not None
    await control.advance_clock(16 * DAY)
    ended = await client.v1.subscriptions.retrieve_async(made.id)
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "payment_failed"
    told = await types(client)
    assert told.count("invoice.payment_failed") == 4
    assert told[-1] == "customer.subscription.deleted"


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("allow_incomplete", "incomplete"), ("default_incomplete", "incomplete")],
)
async def test_an_unpaid_start_expires(
    client: stripe.StripeClient, control: ControlClient, behavior: str, status: str
) -> None:
    made = await subscribed(client, card="pm_card_chargeCustomerFail", payment_behavior=behavior)
    assert made.status == status
    await control.advance_clock(23 * 3600 + 60)
    expired = await client.v1.subscriptions.retrieve_async(made.id, {"expand": ["latest_invoice"]})
    assert expired.status == "incomplete_expired"
    assert isinstance(expired.latest_invoice, stripe.Invoice)
    assert expired.latest_invoice.status == "void"


async def test_a_cancellation_at_the_end_and_its_withdrawal(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client)
    asked = await client.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    assert (asked.cancel_at_period_end, asked.cancel_at) == (True, period(made)[1])
    kept = await client.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at_period_end, kept.cancel_at, kept.canceled_at) == (False, None, None)
    await client.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    await control.advance_clock(32 * DAY)
    ended = await client.v1.subscriptions.retrieve_async(made.id)
    assert (ended.status, ended.ended_at) == ("canceled", period(made)[1])
    assert len(await invoices(client, made.id)) == 1
    assert (await client.v1.subscriptions.list_async()).data == []
    listed = await client.v1.subscriptions.list_async({"status": "canceled"})
    assert [one.id for one in listed.data] == [made.id]


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")],
)
async def test_paused_collection(
    client: stripe.StripeClient, control: ControlClient, behavior: Any, status: str
) -> None:
    made = await subscribed(client)
    paused = await client.v1.subscriptions.update_async(
        made.id, {"pause_collection": {"behavior": behavior}}
    )
    assert paused.pause_collection is not None
    assert paused.pause_collection.behavior == behavior
    await control.advance_clock(32 * DAY)
    assert [one.status for one in await invoices(client, made.id)] == ["paid", status]
    resumed = await client.v1.subscriptions.update_async(made.id, {"pause_collection": ""})
    assert resumed.pause_collection is None


async def test_an_update_that_waits_for_its_payment(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client)
    failing = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(made.customer)}
    )
    await client.v1.subscriptions.update_async(made.id, {"default_payment_method": failing.id})
    change: Any = {
        "items": [{"id": made["items"].data[0].id, "quantity": 4}],
        "payment_behavior": "pending_if_incomplete",
        "proration_behavior": "always_invoice",
    }
    waiting = await client.v1.subscriptions.update_async(made.id, change)
    assert waiting["items"].data[0].quantity == 1
    assert waiting.pending_update is not None
    await control.advance_clock(23 * 3600 + 60)
    expired = await client.v1.subscriptions.retrieve_async(made.id)
    assert (expired.pending_update, expired["items"].data[0].quantity) == (None, 1)
    assert (await types(client))[-1] == "customer.subscription.pending_update_expired"
    await client.v1.subscriptions.update_async(made.id, change)
    await control.happen("subscriptions", made.id, "apply_pending")
    applied = await client.v1.subscriptions.retrieve_async(made.id)
    assert (applied.pending_update, applied["items"].data[0].quantity) == (None, 4)
    assert (await types(client))[-1] == "customer.subscription.pending_update_applied"


async def test_years_pass_in_order_and_in_bounds(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = [await subscribed(client) for _ in range(3)]
    await control.advance_clock(3 * 365 * DAY)
    for one in made:
        billed = await invoices(client, one.id)
        created = [invoice.created for invoice in billed]
        assert created == sorted(created)
        assert len(billed) in (36, 37)
        assert {invoice.status for invoice in billed[:-1]} == {"paid"}


async def test_an_unpaid_subscription_bills_drafts_until_it_is_paid(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.end_dunning_with("unpaid")
    made = await subscribed(client)
    customer = str(made.customer)
    bad = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer}
    )
    await client.v1.subscriptions.update_async(made.id, {"default_payment_method": bad.id})
    await control.advance_clock(31 * DAY + 2 * 3600 + 16 * DAY)
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "unpaid"
    owed = (await invoices(client, made.id))[-1]
    await control.advance_clock(20 * DAY)
    assert (await invoices(client, made.id))[-1].status == "draft"
    good = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    await client.v1.invoices.pay_async(owed.id, {"payment_method": good.id})
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "active"


async def test_a_repeating_discount_ends_by_the_calendar(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(START + 30 * DAY)  # January 31st
    await client.v1.coupons.create_async(
        {"id": "THIRD", "percent_off": 25.5, "duration": "repeating", "duration_in_months": 1}
    )
    made = await subscribed(client, discounts=[{"coupon": "THIRD"}])
    await client.v1.coupons.delete_async("THIRD")
    found = await client.v1.subscriptions.retrieve_async(
        made.id, {"expand": ["discounts.source.coupon"]}
    )
    assert found.discounts is not None
    (discount,) = found.discounts
    assert isinstance(discount, stripe.Discount)
    assert discount.end is not None
    assert (discount.end // DAY - START // DAY, discount.subscription) == (59, made.id)
    assert isinstance(discount.source.coupon, stripe.Coupon)
    await control.advance_clock(35 * DAY)
    first, second = await invoices(client, made.id)
    assert first.subtotal - first.total == round(first.subtotal * 0.255)
    assert second.total == second.subtotal


async def test_an_items_discount_is_off_its_line_alone(client: stripe.StripeClient) -> None:
    await client.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "forever"})
    made = await subscribed(client)
    item = made["items"].data[0]
    await client.v1.subscription_items.update_async(item.id, {"discounts": [{"coupon": "HALF"}]})
    found = await client.v1.subscriptions.retrieve_async(
        made.id, {"expand": ["items.data.discounts"]}
    )
    (discount,) = found["items"].data[0].discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.subscription_item, discount.source.coupon) == (item.id, "HALF")


async def test_a_customers_discount_is_off_what_has_none_of_its_own(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "forever"})
    made = await subscribed(client)
    customer = str(made.customer)
    await control.give_discount(customer, "HALF")
    found = await client.v1.customers.retrieve_async(
        customer, {"expand": ["discount.source.coupon"]}
    )
    assert found.discount is not None
    assert isinstance(found.discount.source.coupon, stripe.Coupon)
    await control.advance_clock(32 * DAY)
    billed = await invoices(client, made.id)
    assert [one.total * 2 == one.subtotal for one in billed] == [False, True]
    assert billed[1].lines.data[0].discount_amounts is not None
    assert [one.amount for one in billed[1].lines.data[0].discount_amounts] == [billed[1].total]
    await client.v1.customers.delete_discount_async(customer)
    assert (await client.v1.customers.retrieve_async(customer)).discount is None
    told = [one for one in await types(client) if one.startswith("customer.discount")]
    assert told[-1] == "customer.discount.deleted"
