"""Subscriptions: how they start, change and end, and what the clock makes of them."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from tests.support.rooms.subscriptions_at_emulator import (
    invoices,
    monthly,
    payer,
    period,
    subscribed,
    types,
)

DAY = 86_400
START = 1_704_067_200  # 2024-01-01T00:00:00Z


async def test_a_paid_start(client: stripe.StripeClient, control: ControlClient) -> None:
    await control.set_clock(START)
    made = await subscribed(client, metadata={"crm": "7"})
    assert made.status == "active"
    assert "current_period_end" not in made
    start, end = period(made)
    assert start in range(START, START + 5)
    assert end - start == 31 * DAY
    invoice = made.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == (
        "paid", 1000, "subscription_create",
    )  # fmt: skip
    assert invoice.parent is not None
    details = invoice.parent.subscription_details
    assert details is not None
    assert details.subscription == made.id
    assert details.metadata is not None
    assert details.metadata["crm"] == "7"
    line = invoice.lines.data[0]
    assert line.parent is not None
    assert line.parent.type == "subscription_item_details"
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == made["items"].data[0].price.id
    told = await types(client)
    after = told[told.index("invoice.created") :]
    assert after == [
        "invoice.created",
        "customer.subscription.created",
        "customer.updated",
        "payment_intent.created",
        "invoice.finalized",
        "invoice.updated",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "customer.subscription.updated",
        "invoice.payment_succeeded",
        "charge.updated",
    ]


async def test_error_if_incomplete_leaves_nothing(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError):
        await subscribed(
            client, card="pm_card_chargeCustomerFail", payment_behavior="error_if_incomplete"
        )
    assert (await client.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await client.v1.invoices.list_async()).data == []
    assert (await client.v1.charges.list_async()).data == []


async def test_a_start_that_the_customer_confirms(client: stripe.StripeClient) -> None:
    made = await subscribed(
        client,
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret", "latest_invoice.payments"],
    )
    invoice = made.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.confirmation_secret is not None
    intent = invoice.confirmation_secret.client_secret.partition("_secret_")[0]
    assert invoice.payments is not None
    assert [one.payment.payment_intent for one in invoice.payments.data] == [intent]
    await client.v1.payment_intents.confirm_async(intent, {"payment_method": "pm_card_visa"})
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "active"


async def test_a_cancellation_at_once(client: stripe.StripeClient) -> None:
    made = await subscribed(client)
    ended = await client.v1.subscriptions.cancel_async(
        made.id, {"cancellation_details": {"comment": "bye"}}
    )
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.comment == "bye"
    assert (await types(client))[-1] == "customer.subscription.deleted"
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.subscriptions.cancel_async(made.id)


async def test_a_change_of_quantity_is_prorated_on_the_next_invoice(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(START)
    made = await subscribed(client, amount=3100)
    item = made["items"].data[0]
    await control.set_clock(period(made)[0] + 15 * DAY + DAY // 2)
    changed = await client.v1.subscriptions.update_async(
        made.id, {"items": [{"id": item.id, "quantity": 3}]}
    )
    assert changed["items"].data[0].quantity == 3
    event = (await client.v1.events.list_async({"type": "customer.subscription.updated"})).data[0]
    assert event.data["previous_attributes"]["items"]["data"][0]["quantity"] == 1
    pending = await client.v1.invoice_items.list_async({"pending": True})
    assert sorted(one.amount for one in pending.data) == pytest.approx([-1550, 4650], abs=1)
    assert all(one.proration for one in pending.data)
    await control.set_clock(period(made)[1] + 4000)
    renewal = (await invoices(client, made.id))[-1]
    assert len(renewal.lines.data) == 3
    assert renewal.total == sum(one.amount for one in pending.data) + 9300


async def test_a_change_billed_at_once_and_another_interval(client: stripe.StripeClient) -> None:
    made = await subscribed(client)
    item = made["items"].data[0].id
    await client.v1.subscriptions.update_async(
        made.id, {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"}
    )
    billed = await invoices(client, made.id)
    assert [one.billing_reason for one in billed] == ["subscription_create", "subscription_update"]
    assert billed[-1].status == "paid"
    assert billed[-1].total == pytest.approx(1000, abs=1)
    yearly = await monthly(client, 9000, interval="year")
    changed = await client.v1.subscriptions.update_async(
        made.id, {"items": [{"id": item, "price": yearly, "quantity": 1}]}
    )
    start, end = period(changed)
    assert end - start in (365 * DAY, 366 * DAY)
    assert (await invoices(client, made.id))[-1].total == pytest.approx(7000, abs=2)


async def test_items_have_routes_of_their_own(client: stripe.StripeClient) -> None:
    made = await subscribed(client)
    other = await monthly(client, 500)
    added = await client.v1.subscription_items.create_async(
        {"subscription": made.id, "price": other, "quantity": 2, "proration_behavior": "none"}
    )
    assert (added.price.id, added.quantity) == (other, 2)
    assert added.current_period_end == period(made)[1]
    await client.v1.subscription_items.update_async(
        added.id, {"quantity": 5, "proration_behavior": "none"}
    )
    assert (await client.v1.subscription_items.retrieve_async(added.id)).quantity == 5
    await client.v1.subscription_items.delete_async(added.id, {"proration_behavior": "none"})
    left = await client.v1.subscription_items.list_async({"subscription": made.id})
    assert [one.id for one in left.data] == [made["items"].data[0].id]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.subscription_items.delete_async(left.data[0].id)
    assert len((await client.v1.subscription_items.list_async({"subscription": made.id})).data) == 1


async def test_more_items_than_are_shown_can_be_paged(client: stripe.StripeClient) -> None:
    prices = [await monthly(client, 100 + place) for place in range(12)]
    made = await client.v1.subscriptions.create_async(
        {"customer": await payer(client), "items": [{"price": price} for price in prices]}
    )
    items = made["items"]
    assert (len(items.data), items.has_more) == (10, True)
    assert items.url == f"/v1/subscription_items?subscription={made.id}"
    paged = [item.price.id async for item in items.auto_paging_iter()]
    assert paged == prices
    assert len(made["items"].data) == 10


async def test_discounts_and_taxes(client: stripe.StripeClient, control: ControlClient) -> None:
    coupon = await client.v1.coupons.create_async({"percent_off": 20, "duration": "once"})
    rate = await client.v1.tax_rates.create_async(
        {"display_name": "VAT", "inclusive": False, "percentage": 10}
    )
    made = await subscribed(
        client,
        discounts=[{"coupon": coupon.id}],
        default_tax_rates=[rate.id],
        expand=["latest_invoice", "discounts"],
    )
    invoice = made.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.subtotal, invoice.total, invoice.total_excluding_tax) == (1000, 880, 800)
    assert invoice.total_taxes is not None
    assert [tax.amount for tax in invoice.total_taxes] == [80]
    assert invoice.lines.data[0].discount_amounts is not None
    assert [one.amount for one in invoice.lines.data[0].discount_amounts] == [200]
    discount = made.discounts[0]
    assert isinstance(discount, stripe.Discount)
    assert discount.source.coupon == coupon.id
    await control.advance_clock(32 * DAY)
    assert (await invoices(client, made.id))[-1].total == 1100


async def test_a_deleted_customer_takes_his_subscriptions_along(
    client: stripe.StripeClient,
) -> None:
    made = await subscribed(client)
    await client.v1.customers.delete_async(str(made.customer))
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "canceled"


async def test_expansion_ends_at_the_fourth_level(client: stripe.StripeClient) -> None:
    """`data` counts, so a list of subscriptions cannot expand the products of its prices."""
    made = await subscribed(client)
    one = await client.v1.subscriptions.retrieve_async(
        made.id, {"expand": ["items.data.price.product"]}
    )
    assert isinstance(one["items"].data[0].price.product, stripe.Product)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.subscriptions.list_async({"expand": ["data.items.data.price.product"]})


async def test_nothing_to_charge(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.create_async(
            {"customer": customer.id, "items": [{"price": await monthly(client)}]}
        )
    assert refused.value.code == "resource_missing"
    sent = await client.v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": await monthly(client)}],
            "collection_method": "send_invoice",
            "days_until_due": 14,
        }
    )
    assert sent.status == "active"


async def test_another_price_without_a_quantity_is_one_of_it(client: stripe.StripeClient) -> None:
    made = await subscribed(client, items=[{"price": await monthly(client), "quantity": 4}])
    item, other = made["items"].data[0].id, await monthly(client, 500)
    changed = await client.v1.subscriptions.update_async(
        made.id, {"items": [{"id": item, "price": other}]}
    )
    assert changed["items"].data[0].quantity == 1


async def test_what_cannot_be_paid_at_once_changes_nothing(client: stripe.StripeClient) -> None:
    made = await subscribed(client)
    bad = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(made.customer)}
    )
    await client.v1.subscriptions.update_async(made.id, {"default_payment_method": bad.id})
    with pytest.raises(stripe.CardError):
        await client.v1.subscriptions.update_async(
            made.id,
            {
                "items": [{"id": made["items"].data[0].id, "quantity": 9}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )
    left = await client.v1.subscriptions.retrieve_async(made.id)
    assert left["items"].data[0].quantity == 1
    cleared = await client.v1.subscriptions.update_async(made.id, {"default_payment_method": ""})
    assert cleared.default_payment_method is None


@pytest.mark.parametrize(
    ("off_session", "code"),
    [(False, "subscription_payment_intent_requires_action"), (True, "authentication_required")],
)
async def test_a_card_that_wants_authentication_leaves_nothing(
    client: stripe.StripeClient, off_session: bool, code: str
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await subscribed(
            client, card="pm_card_authenticationRequired", off_session=off_session,
            payment_behavior="error_if_incomplete",
        )  # fmt: skip
    assert refused.value.code == code
    assert (await client.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await client.v1.invoices.list_async()).data == []
    assert (await client.v1.payment_intents.list_async()).data == []
