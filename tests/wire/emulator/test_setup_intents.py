"""Setup intents: saved at once, after authentication, or not."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient


async def test_confirmed_at_once(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    intent = await client.v1.setup_intents.create_async(
        {"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True}
    )
    assert intent.status == "succeeded"
    assert intent.client_secret is not None
    methods = await client.v1.customers.payment_methods.list_async(customer.id)
    assert [one.id for one in methods.data] == [intent.payment_method]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.setup_intents.confirm_async(intent.id)
    assert refused.value.code == "setup_intent_unexpected_state"


async def test_confirmed_later_with_authentication(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    customer = await client.v1.customers.create_async({})
    intent = await client.v1.setup_intents.create_async({"customer": customer.id})
    assert intent.status == "requires_payment_method"
    asked = await client.v1.setup_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_authenticationRequired"}
    )
    assert asked.status == "requires_action"
    await control.happen("setup_intents", intent.id, "authenticate")
    saved = await client.v1.setup_intents.retrieve_async(intent.id, {"expand": ["payment_method"]})
    assert saved.status == "succeeded"
    assert isinstance(saved.payment_method, stripe.PaymentMethod)
    assert saved.payment_method.customer == customer.id
    events = await client.v1.events.list_async({"type": "setup_intent.*"})
    assert [event.type for event in events.data][::-1] == [
        "setup_intent.created",
        "setup_intent.requires_action",
        "setup_intent.succeeded",
    ]


async def test_a_card_that_is_declined(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    with pytest.raises(stripe.CardError):
        await client.v1.setup_intents.create_async(
            {"customer": customer.id, "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    failed = (await client.v1.setup_intents.list_async({"customer": customer.id})).data[0]
    assert failed.status == "requires_payment_method"
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "card_declined"
    assert (await client.v1.setup_intents.cancel_async(failed.id)).status == "canceled"


async def test_the_types_that_are_allowed_are_shown(client: stripe.StripeClient) -> None:
    intent = await client.v1.setup_intents.create_async(
        {"allowed_payment_method_types": ["card", "sepa_debit"]}
    )
    assert intent.payment_method_types == ["card", "sepa_debit"]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.setup_intents.create_async({"allowed_payment_method_types": ["seashells"]})
