"""Charges made directly, and what can be done to them."""

import pytest
import stripe


async def test_a_legacy_charge_from_a_token(client: stripe.StripeClient) -> None:
    charge = await client.v1.charges.create_async(
        {
            "amount": 1000,
            "currency": "USD",
            "source": "tok_mastercard",
            "description": "x",
            "expand": ["balance_transaction"],
        }
    )
    assert (charge.status, charge.currency, charge.payment_intent) == ("succeeded", "usd", None)
    assert charge.payment_method is not None
    assert charge.payment_method.startswith("card_")
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.source == charge.id
    assert "refunds" not in charge


async def test_a_customers_default_source_is_charged(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    charge = await client.v1.charges.create_async(
        {"amount": 1000, "currency": "usd", "customer": customer.id, "expand": ["customer"]}
    )
    assert isinstance(charge.customer, stripe.Customer)
    assert charge.customer.default_source == charge.payment_method
    bare = await client.v1.customers.create_async({})
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.charges.create_async(
            {"amount": 1000, "currency": "usd", "customer": bare.id}
        )
    assert refused.value.code == "missing"


async def test_a_declined_token(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.charges.create_async(
            {"amount": 1000, "currency": "usd", "source": "tok_chargeDeclinedInsufficientFunds"}
        )
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"
    assert isinstance(declined.value.error.charge, str)
    failed = await client.v1.charges.retrieve_async(declined.value.error.charge)
    assert (failed.paid, failed.status) == (False, "failed")


async def test_capture_later(client: stripe.StripeClient) -> None:
    charge = await client.v1.charges.create_async(
        {"amount": 1000, "currency": "usd", "source": "tok_visa", "capture": False}
    )
    assert (charge.captured, charge.balance_transaction) == (False, None)
    captured = await client.v1.charges.capture_async(charge.id, {"amount": 700})
    assert (captured.captured, captured.amount_captured) == (True, 700)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.charges.capture_async(charge.id)
    assert refused.value.code == "charge_already_captured"


async def test_an_update_says_what_was_before(client: stripe.StripeClient) -> None:
    charge = await client.v1.charges.create_async(
        {"amount": 1000, "currency": "usd", "source": "tok_visa", "description": "old"}
    )
    await client.v1.charges.update_async(charge.id, {"description": "new"})
    event = (await client.v1.events.list_async({"type": "charge.updated"})).data[0]
    assert event.data["object"]["description"] == "new"
    assert event.data["previous_attributes"].to_dict() == {"description": "old"}
    assert event.request is not None
    assert event.request.id is not None


async def test_events_keep_the_object_as_it_was(client: stripe.StripeClient) -> None:
    charge = await client.v1.charges.create_async(
        {"amount": 1000, "currency": "usd", "source": "tok_visa"}
    )
    await client.v1.refunds.create_async({"charge": charge.id})
    event = (await client.v1.events.list_async({"type": "charge.succeeded"})).data[0]
    assert event.data["object"]["amount_refunded"] == 0
