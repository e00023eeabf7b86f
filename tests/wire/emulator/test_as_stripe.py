"""Where Stripe is stricter, or answers otherwise, than one would think: recorded or documented.

What each answer looks like, field by field, `conftest.WatchedClient` asks of all tests here.
"""

from typing import Any

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from tests.support.rooms.subscriptions_at_emulator import monthly, payer, subscribed

DAY = 86_400


async def drafted(
    client: stripe.StripeClient, amount: int = 500, *, customer: str = "", **more: Any
) -> stripe.Invoice:
    """A draft over an amount, of a customer who pays by card."""
    owner = customer or await payer(client)
    params: Any = {"customer": owner, **more}
    invoice = await client.v1.invoices.create_async(params)
    await client.v1.invoices.add_lines_async(
        invoice.id, {"lines": [{"amount": amount, "description": "Work"}]}
    )
    return await client.v1.invoices.retrieve_async(invoice.id)


def told(refused: pytest.ExceptionInfo[stripe.StripeError]) -> tuple[Any, Any, Any]:
    """(status, code, parameter) of a refusal."""
    error = refused.value
    return error.http_status, error.code, getattr(error, "param", None)


async def test_a_paid_invoice_cannot_be_sent(client: stripe.StripeClient) -> None:
    draft = await drafted(client, collection_method="send_invoice", days_until_due=7)
    await client.v1.invoices.send_invoice_async(draft.id)
    again = await client.v1.invoices.send_invoice_async(draft.id)
    assert again.status == "open"
    await client.v1.invoices.pay_async(draft.id, {"paid_out_of_band": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.invoices.send_invoice_async(draft.id)
    assert told(refused) == (400, None, None)


@pytest.mark.parametrize("due", ["days_until_due", "due_date"])
async def test_a_draft_is_charged_automatically_again_by_that_alone(
    client: stripe.StripeClient, control: ControlClient, due: str
) -> None:
    in_a_week = 7 if due == "days_until_due" else await control.now() + 7 * DAY
    draft = await drafted(client, collection_method="send_invoice", **{due: in_a_week})
    assert draft.due_date is not None
    changed = await client.v1.invoices.update_async(
        draft.id, {"collection_method": "charge_automatically"}
    )
    assert (changed.collection_method, changed.due_date) == ("charge_automatically", None)
    opened = await client.v1.invoices.finalize_invoice_async(draft.id)
    assert opened.due_date is None


async def test_a_draft_that_is_sent_is_due_in_days_of_its_creation(
    client: stripe.StripeClient,
) -> None:
    draft = await drafted(client, collection_method="send_invoice", days_until_due=7)
    assert draft.due_date == draft.created + 7 * DAY
    later = await client.v1.invoices.update_async(draft.id, {"days_until_due": 9})
    assert later.due_date == draft.created + 9 * DAY


async def test_less_than_the_least_amount_is_owed_on_the_balance(
    client: stripe.StripeClient,
) -> None:
    draft = await drafted(client, 30)
    small = await client.v1.invoices.finalize_invoice_async(draft.id)
    assert (small.status, small.total, small.amount_due, small.amount_paid) == ("paid", 30, 0, 0)
    assert (small.starting_balance, small.ending_balance) == (0, 30)
    owner = str(draft.customer)
    assert (await client.v1.customers.retrieve_async(owner)).balance == 30
    assert (await client.v1.charges.list_async()).data == []
    following = await drafted(client, 500, customer=owner)
    paid = await client.v1.invoices.pay_async(following.id)
    assert (paid.total, paid.amount_due, paid.amount_paid) == (500, 530, 530)
    assert (await client.v1.customers.retrieve_async(owner)).balance == 0


async def test_credit_that_leaves_too_little_to_charge(client: stripe.StripeClient) -> None:
    owner = await payer(client)
    await client.v1.customers.update_async(owner, {"balance": -480})
    draft = await drafted(client, 500, customer=owner)
    paid = await client.v1.invoices.finalize_invoice_async(draft.id)
    assert (paid.status, paid.amount_due, paid.ending_balance) == ("paid", 0, 20)


async def test_the_description_of_a_finalized_invoice(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    await client.v1.invoices.finalize_invoice_async(draft.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.invoices.update_async(
            draft.id, {"metadata": {"a": "b"}, "description": "June"}
        )
    assert told(refused) == (400, None, "description")
    unchanged = await client.v1.invoices.retrieve_async(draft.id)
    assert (unchanged.description, unchanged.to_dict()["metadata"]) == (None, {})
    changed = await client.v1.invoices.update_async(draft.id, {"metadata": {"a": "b"}})
    assert changed.to_dict()["metadata"] == {"a": "b"}


async def test_refusals_of_an_invoices_state_carry_no_code(client: stripe.StripeClient) -> None:
    draft, paid = await drafted(client), await drafted(client)
    await client.v1.invoices.pay_async(paid.id)
    bad = await drafted(client)
    await client.v1.invoices.finalize_invoice_async(bad.id)
    await client.v1.invoices.mark_uncollectible_async(bad.id)
    invoices = client.v1.invoices
    for refuse, identifier in (
        (invoices.finalize_invoice_async, paid.id),
        (invoices.pay_async, paid.id),
        (invoices.void_invoice_async, draft.id),
        (invoices.void_invoice_async, paid.id),
        (invoices.mark_uncollectible_async, draft.id),
        (invoices.mark_uncollectible_async, bad.id),
        (invoices.delete_async, paid.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await refuse(identifier)
        assert told(refused) == (400, None, None), (refuse, identifier)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await invoices.add_lines_async(paid.id, {"lines": [{"amount": 1}]})
    assert told(refused) == (400, "invoice_not_editable", None), "the one that has a code"


async def test_addresses_change_leaf_by_leaf(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async(
        {
            "address": {"line1": "1 Main St", "city": "Ghent", "country": "BE"},
            "shipping": {"name": "Ada", "phone": "1", "address": {"line1": "2 Main St"}},
        }
    )
    changed = await client.v1.customers.update_async(
        made.id,
        {
            "address": {"city": "Bruges", "line1": ""},
            "shipping": {"name": "Eve", "address": {"city": "Ghent"}},
        },
    )
    found: Any = changed.to_dict()
    assert found["address"] == {
        "line1": None, "line2": None, "city": "Bruges", "postal_code": None, "state": None,
        "country": "BE",
    }  # fmt: skip
    shipping = found["shipping"]
    assert (shipping["name"], shipping["phone"]) == ("Eve", "1")
    assert (shipping["address"]["line1"], shipping["address"]["city"]) == ("2 Main St", "Ghent")
    event = (await client.v1.events.list_async({"type": "customer.updated"})).data[0]
    before = event.data["previous_attributes"].to_dict()
    assert before["address"] == {"city": "Ghent", "line1": "1 Main St"}
    gone = await client.v1.customers.update_async(made.id, {"address": ""})
    assert gone.address is None


async def test_billing_details_change_leaf_by_leaf(client: stripe.StripeClient) -> None:
    method = await client.v1.payment_methods.create_async(
        {
            "type": "card",
            "card": {"token": "tok_visa"},
            "billing_details": {"name": "Ada", "address": {"city": "Ghent"}},
        }
    )
    changed = await client.v1.payment_methods.update_async(
        method.id, {"billing_details": {"address": {"country": "BE"}}}
    )
    found: Any = changed.billing_details.to_dict()
    assert found["name"] == "Ada"
    assert (found["address"]["city"], found["address"]["country"]) == ("Ghent", "BE")
    assert found["address"]["line1"] is None


async def test_refunds_of_an_unknown_charge_and_of_too_much(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": "ch_nothing"})
    assert told(refused) == (404, "resource_missing", "id")
    charge = await client.v1.charges.create_async(
        {"amount": 900, "currency": "usd", "source": "tok_visa"}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": charge.id, "amount": 901})
    assert told(refused) == (400, None, "amount")


async def test_paid_out_of_band(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 700)
    await client.v1.invoices.finalize_invoice_async(draft.id)
    paid = await client.v1.invoices.pay_async(draft.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_due, paid.amount_paid) == ("paid", 700, 700)
    assert (paid.attempted, paid.attempt_count) == (False, 0)
    intent = (await client.v1.payment_intents.list_async()).data[0]
    assert intent.status == "canceled"
    assert intent.cancellation_reason in (
        "abandoned", "automatic", "duplicate", "expired", "failed_invoice", "fraudulent",
        "requested_by_customer", "void_invoice",
    )  # fmt: skip


async def test_an_amount_has_a_price_and_a_product_of_its_own(client: stripe.StripeClient) -> None:
    owner = await payer(client)
    params: Any = {"customer": owner, "amount": 700, "currency": "usd", "description": "Work"}
    first = await client.v1.invoice_items.create_async(params)
    equal = await client.v1.invoice_items.create_async(params)
    other = await client.v1.invoice_items.create_async({**params, "amount": 701})
    named = [item.to_dict()["pricing"]["price_details"] for item in (first, equal, other)]
    assert named[0] == named[1]
    assert named[0]["price"] != named[2]["price"]
    assert (first.quantity, str(first.quantity_decimal)) == (1, "1")
    price = await client.v1.prices.retrieve_async(named[0]["price"], {"expand": ["product"]})
    assert (price.active, price.type, price.unit_amount) == (False, "one_time", 700)
    assert isinstance(price.product, stripe.Product)
    assert (price.product.id, price.product.name) == (named[0]["product"], "Work")
    draft = await client.v1.invoices.create_async(
        {"customer": owner, "pending_invoice_items_behavior": "include"}
    )
    lines: Any = draft.to_dict()["lines"]["data"]
    assert [line["pricing"]["price_details"] for line in lines] == named[::-1]
    assert [str(line["quantity_decimal"]) for line in lines] == ["1", "1", "1"]
    added = await client.v1.invoices.add_lines_async(
        draft.id, {"lines": [{"amount": -50, "description": "Credit"}]}
    )
    shown: Any = added.to_dict()["lines"]["data"]
    assert all(line["pricing"]["price_details"]["product"] for line in shown)
    assert added.total == 2051


async def test_subscriptions_are_flexible_unless_asked_for(client: stripe.StripeClient) -> None:
    flexible = await subscribed(client)
    assert flexible.billing_mode.type == "flexible"
    assert flexible.billing_mode.flexible is not None
    assert flexible.billing_mode.flexible.proration_discounts == "included"
    assert flexible.billing_mode.updated_at == flexible.created
    classic = await subscribed(client, billing_mode={"type": "classic"})
    assert (classic.billing_mode.type, classic.billing_mode.flexible) == ("classic", None)
    assert classic.billing_schedules == []


async def test_a_canceled_subscription_has_a_code_of_its_own(client: stripe.StripeClient) -> None:
    made = await subscribed(client)
    await client.v1.subscriptions.cancel_async(made.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.update_async(made.id, {"description": "late"})
    assert told(refused) == (400, "invalid_canceled_subscription_fields", None)
    changed = await client.v1.subscriptions.update_async(made.id, {"metadata": {"a": "b"}})
    assert changed.to_dict()["metadata"] == {"a": "b"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.cancel_async(made.id)
    assert told(refused) == (404, "resource_missing", "id")


async def test_two_items_cannot_have_one_price(client: stripe.StripeClient) -> None:
    price, other = await monthly(client), await monthly(client, 300)
    customer = await payer(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.create_async(
            {"customer": customer, "items": [{"price": price}, {"price": price, "quantity": 2}]}
        )
    assert told(refused) == (400, None, "plan")
    assert (await client.v1.subscriptions.list_async({"status": "all"})).data == []
    made = await client.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price}]}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.update_async(made.id, {"items": [{"price": price}]})
    assert told(refused) == (400, None, "plan")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscription_items.create_async({"subscription": made.id, "price": price})
    assert told(refused) == (400, None, "plan")
    standing = made["items"].data[0].id
    swapped = await client.v1.subscriptions.update_async(
        made.id, {"items": [{"id": standing, "price": other}, {"price": price}]}
    )
    assert {item.price.id for item in swapped["items"].data} == {price, other}


async def test_a_metered_price_takes_no_quantity(client: stripe.StripeClient) -> None:
    meter = await client.v1.billing.meters.create_async(
        {
            "display_name": "Calls",
            "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
        }
    )
    price = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 5,
            "product_data": {"name": "Calls"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    customer = await payer(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.create_async(
            {"customer": customer, "items": [{"price": price.id, "quantity": 2}]}
        )
    assert told(refused) == (400, None, "items[0][quantity]")
    made = await client.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price.id}]}
    )
    item = made["items"].data[0]
    assert "quantity" not in item
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.update_async(
            made.id, {"items": [{"id": item.id, "quantity": 2}]}
        )
    assert told(refused) == (400, None, "items[0][quantity]")


async def test_what_is_to_happen_lies_ahead(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    made = await subscribed(client)
    now = await control.now()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.update_async(
            made.id, {"pause_collection": {"behavior": "void", "resumes_at": now - 10}}
        )
    assert told(refused) == (400, None, "pause_collection[resumes_at]")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.subscriptions.update_async(made.id, {"trial_end": now - 10})
    assert told(refused) == (400, None, "trial_end")
    unchanged = await client.v1.subscriptions.retrieve_async(made.id)
    assert (unchanged.pause_collection, unchanged.status) == (None, "active")


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"name": "A\0da"}, "name"),
        ({"metadata": {"crm": "\0"}}, "metadata[crm]"),
        ({"metadata": {"c\0rm": "1"}}, "metadata[crm]"),
        ({"address": {"city": "Ghent\0"}}, "address[city]"),
    ],
)
async def test_nul_is_refused(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.create_async(params)
    assert told(refused) == (400, None, param)
    assert (await client.v1.customers.list_async()).data == []


async def test_items_of_several_intervals_have_periods_and_invoices_of_their_own(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(1_704_067_200)  # 2024-01-01T00:00:00Z
    month, year = await monthly(client, 1_000), await monthly(client, 9_000, interval="year")
    params: Any = {"customer": await payer(client), "items": [{"price": year}, {"price": month}]}
    made = await client.v1.subscriptions.create_async(params)
    periods = {
        item.price.id: item.current_period_end - item.current_period_start
        for item in made["items"].data
    }
    assert periods == {month: 31 * DAY, year: 366 * DAY}
    preview = await client.v1.invoices.create_preview_async({"subscription": made.id})
    assert preview.total == 1_000, "the yearly item is not due"
    await control.advance_clock(366 * DAY + 7_200)
    listed = await client.v1.invoices.list_async({"subscription": made.id, "limit": 100})
    assert [one.total for one in listed.data[::-1]] == [10_000, *[1_000] * 11, 10_000]
    assert all(one.status == "paid" for one in listed.data)
    leaving = await client.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    ends = sorted(item.current_period_end for item in leaving["items"].data)
    assert leaving.cancel_at == ends[0] < ends[1], "the earliest item's"
    await control.advance_clock(32 * DAY)
    assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "canceled"


async def test_an_item_of_another_interval_joins(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(1_704_067_200)
    made = await subscribed(client)
    before = made["items"].data[0]
    await control.advance_clock(10 * DAY)
    year = await monthly(client, 36_600, interval="year")
    item = await client.v1.subscription_items.create_async({"subscription": made.id, "price": year})
    assert item.current_period_end == before.current_period_start + 366 * DAY
    changed = await client.v1.subscriptions.retrieve_async(made.id)
    assert changed.billing_cycle_anchor == made.billing_cycle_anchor
    kept = {one.id: one.current_period_end for one in changed["items"].data}
    assert kept[before.id] == before.current_period_end
    pending = await client.v1.invoice_items.list_async({"pending": True})
    assert [one.amount // 100 for one in pending.data] == [356], "what is left of the year"


async def test_classic_subscriptions_have_one_interval(client: stripe.StripeClient) -> None:
    month, year = await monthly(client), await monthly(client, 9_000, interval="year")
    params: Any = {
        "customer": await payer(client),
        "items": [{"price": month}, {"price": year}],
        "billing_mode": {"type": "classic"},
    }
    with pytest.raises(stripe.InvalidRequestError, match="the same billing interval"):
        await client.v1.subscriptions.create_async(params)
