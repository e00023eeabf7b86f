"""Payment methods: made, attached, detached, listed."""

import pytest
import stripe


async def test_attach_list_detach(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    method = await client.v1.payment_methods.attach_async(
        "pm_card_mastercard", {"customer": customer.id}
    )
    assert method.id.startswith("pm_")
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")
    listed = await client.v1.payment_methods.list_async({"customer": customer.id, "type": "card"})
    assert [one.id for one in listed.data] == [method.id]
    detached = await client.v1.payment_methods.detach_async(method.id)
    assert detached.customer is None
    assert (await client.v1.payment_methods.list_async({"customer": customer.id})).data == []
    events = await client.v1.events.list_async({"type": "payment_method.*"})
    assert [event.type for event in events.data] == [
        "payment_method.detached",
        "payment_method.attached",
    ]


async def test_cards_are_made_of_test_numbers_and_tokens(client: stripe.StripeClient) -> None:
    number = await client.v1.payment_methods.create_async(
        {
            "type": "card",
            "card": {
                "number": "378282246310005", "exp_month": 7, "exp_year": 2031, "cvc": "1234",
            },
            "billing_details": {"email": "ada@example.com"},
        }
    )  # fmt: skip
    assert number.card is not None
    assert (number.card.brand, number.card.exp_year) == ("amex", 2031)
    token = await client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    assert token.card is not None
    assert token.card.last4 == "4242"
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_methods.create_async(
            {"type": "card", "card": {"number": "1234", "exp_month": 7, "exp_year": 2031}}
        )
    assert refused.value.code == "incorrect_number"


async def test_a_declining_card_cannot_be_attached(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_methods.attach_async(
            "pm_card_chargeDeclined", {"customer": customer.id}
        )
    assert refused.value.code == "card_declined"
    await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )


async def test_the_methods_of_a_deleted_customer_are_detached(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"payment_method": "pm_card_visa"})
    method = (await client.v1.customers.payment_methods.list_async(customer.id)).data[0]
    await client.v1.customers.delete_async(customer.id)
    assert (await client.v1.payment_methods.retrieve_async(method.id)).customer is None


async def test_bank_accounts_are_saved(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    sepa = await client.v1.payment_methods.create_async(
        {"type": "sepa_debit", "sepa_debit": {"iban": "DE89370400440532013000"}}
    )
    us = await client.v1.payment_methods.create_async(
        {
            "type": "us_bank_account",
            "us_bank_account": {
                "account_number": "000123456789", "routing_number": "110000000",
                "account_holder_type": "company",
            },
        }
    )  # fmt: skip
    for method in (sepa, us):
        await client.v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    listed = await client.v1.customers.payment_methods.list_async(customer.id)
    assert [one.type for one in listed.data] == ["us_bank_account", "sepa_debit"]
    assert sepa.sepa_debit is not None
    assert (sepa.sepa_debit.country, sepa.sepa_debit.last4) == ("DE", "3000")
    assert us.us_bank_account is not None
    assert us.us_bank_account.account_holder_type == "company"
    assert "card" not in sepa
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_methods.create_async({"type": "us_bank_account"})
    assert refused.value.code == "parameter_missing"


async def test_what_was_detached_is_never_attached_again(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}}
    )
    await client.v1.payment_methods.detach_async(method.id)
    left = await client.v1.customers.retrieve_async(customer.id)
    assert left.invoice_settings is not None
    assert left.invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await client.v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    (event,) = (await client.v1.events.list_async({"type": "payment_method.detached"})).data
    assert "was_detached" not in str(event)
