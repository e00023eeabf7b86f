"""Legacy cards under a customer."""

import pytest
import stripe


async def test_a_first_card_is_the_default_until_it_goes(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    sources = client.v1.customers.payment_sources
    first = await sources.create_async(customer.id, {"source": "tok_visa"})
    second = await sources.create_async(customer.id, {"source": "tok_mastercard"})
    assert isinstance(second, stripe.Card)
    assert (second.object, second.brand, second.last4) == ("card", "MasterCard", "4444")
    listed = await sources.list_async(customer.id, {"object": "card"})
    assert [one.id for one in listed.data] == [second.id, first.id]
    assert (await sources.list_async(customer.id, {"object": "bank_account"})).data == []
    seen = await client.v1.customers.retrieve_async(
        customer.id, {"expand": ["default_source", "sources"]}
    )
    assert isinstance(seen.default_source, stripe.Card)
    assert seen.default_source.id == first.id
    assert seen.sources is not None
    assert len(seen.sources.data) == 2
    await client.v1.customers.update_async(customer.id, {"default_source": second.id})
    charge = await client.v1.charges.create_async(
        {"amount": 500, "currency": "usd", "customer": customer.id}
    )
    assert charge.payment_method == second.id
    gone = await sources.delete_async(customer.id, second.id)
    assert gone.to_dict() == {"id": second.id, "object": "card", "deleted": True}
    assert (await client.v1.customers.retrieve_async(customer.id)).default_source == first.id
    assert (await sources.retrieve_async(customer.id, first.id)).id == first.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sources.retrieve_async(customer.id, second.id)
    assert refused.value.http_status == 404
    events = await client.v1.events.list_async({"type": "customer.source.*"})
    assert [event.type for event in events.data] == [
        "customer.source.deleted",
        "customer.source.created",
        "customer.source.created",
    ]


async def test_cards_of_others_are_not_found(client: stripe.StripeClient) -> None:
    one = await client.v1.customers.create_async({"source": "tok_visa"})
    other = await client.v1.customers.create_async({})
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.payment_sources.retrieve_async(other.id, str(one.default_source))


async def test_a_bank_account_stands_among_the_sources(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    sources = client.v1.customers.payment_sources
    bank = await sources.create_async(customer.id, {"source": "btok_us_verified"})
    assert isinstance(bank, stripe.BankAccount)
    assert (bank.id[:3], bank.last4, bank.status) == ("ba_", "6789", "verified")
    listed = await sources.list_async(customer.id, {"object": "bank_account"})
    assert [one.id for one in listed.data] == [bank.id]
    assert len((await sources.list_async(customer.id)).data) == 2
    gone = await sources.delete_async(customer.id, bank.id)
    assert gone.to_dict() == {"id": bank.id, "object": "bank_account", "deleted": True}
