"""Customers through the real SDK."""

from typing import Any

import pytest
import stripe


async def event_types(client: stripe.StripeClient) -> list[str]:
    """Types of all events, oldest first."""
    events = await client.v1.events.list_async({"limit": 100})
    return [event.type for event in reversed(events.data)]


async def test_a_created_customer_has_stripes_shape(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async(
        {
            "email": "ada@example.com",
            "name": "Ada",
            "address": {"line1": "1 Main St", "country": "US"},
            "metadata": {"contact": "c_1"},
            "preferred_locales": ["en", "fr"],
        }
    )
    assert customer.id.startswith("cus_")
    assert len(customer.id) == len("cus_QXg1o8vcGmoR32")
    assert customer.livemode is False
    assert customer.address is not None
    assert customer.address.to_dict() == {
        "line1": "1 Main St",
        "country": "US",
        "city": None,
        "line2": None,
        "postal_code": None,
        "state": None,
    }
    assert customer.preferred_locales == ["en", "fr"]
    assert (await client.v1.customers.retrieve_async(customer.id)).to_dict() == customer.to_dict()
    assert await event_types(client) == ["customer.created"]


async def test_metadata_merges_and_empty_values_remove_keys(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    changed = await client.v1.customers.update_async(made.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    events = await client.v1.events.list_async({"type": "customer.updated"})
    previous = events.data[0].data["previous_attributes"].to_dict()
    assert previous == {"metadata": {"a": "1", "c": None}}
    cleared = await client.v1.customers.update_async(made.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


async def test_an_empty_string_unsets_what_can_be_unset(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async({"name": "Ada", "email": "ada@example.com"})
    changed = await client.v1.customers.update_async(made.id, {"name": "", "email": ""})
    assert (changed.name, changed.email) == (None, None)
    empty: Any = {"balance": ""}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.update_async(made.id, empty)
    assert refused.value.code == "parameter_invalid_empty"


async def test_an_update_that_changes_nothing_makes_no_event(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async({"name": "Ada"})
    await client.v1.customers.update_async(made.id, {"name": "Ada"})
    assert await event_types(client) == ["customer.created"]


async def test_nested_settings_merge_and_default_method_expands(
    client: stripe.StripeClient,
) -> None:
    made = await client.v1.customers.create_async({"payment_method": "pm_card_visa"})
    methods = await client.v1.customers.payment_methods.list_async(made.id)
    method = methods.data[0].id
    await client.v1.customers.update_async(made.id, {"invoice_settings": {"footer": "Thanks"}})
    changed = await client.v1.customers.update_async(
        made.id,
        {
            "invoice_settings": {"default_payment_method": method},
            "expand": ["invoice_settings.default_payment_method.customer"],
        },
    )
    assert changed.invoice_settings is not None
    assert changed.invoice_settings.footer == "Thanks"
    default = changed.invoice_settings.default_payment_method
    assert isinstance(default, stripe.PaymentMethod)
    assert isinstance(default.customer, stripe.Customer)
    assert default.customer.id == made.id


async def test_a_deleted_customer_leaves_a_tombstone(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async({"name": "Ada", "email": "ada@example.com"})
    gone = await client.v1.customers.delete_async(made.id)
    assert gone.to_dict() == {"id": made.id, "object": "customer", "deleted": True}
    again = await client.v1.customers.retrieve_async(made.id)
    assert again.to_dict() == {"id": made.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.update_async(made.id, {"name": "Eve"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert (await client.v1.customers.list_async()).data == []
    event = (await client.v1.events.list_async({"type": "customer.deleted"})).data[0]
    assert event.data["object"]["name"] == "Ada"


async def test_email_filter_follows_updates(client: stripe.StripeClient) -> None:
    made = await client.v1.customers.create_async({"email": "old@example.com"})
    await client.v1.customers.update_async(made.id, {"email": "new@example.com"})
    assert (await client.v1.customers.list_async({"email": "old@example.com"})).data == []
    found = await client.v1.customers.list_async({"email": "new@example.com"})
    assert [customer.id for customer in found.data] == [made.id]
