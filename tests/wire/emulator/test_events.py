"""The list of events: filters, retention, one second for many."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient

DAY = 86_400


async def test_filters_by_type_types_and_created(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(1_700_000_000)
    made = await client.v1.customers.create_async({})
    await control.advance_clock(100)
    await client.v1.customers.update_async(made.id, {"name": "A"})
    await client.v1.customers.delete_async(made.id)
    events = client.v1.events
    assert len((await events.list_async({"type": "customer.*"})).data) == 3
    two = await events.list_async({"types": ["customer.deleted", "customer.created"]})
    assert [event.type for event in two.data] == ["customer.deleted", "customer.created"]
    late = await events.list_async({"created": {"gte": made.created + 50}})
    assert [event.type for event in late.data] == ["customer.deleted", "customer.updated"]
    event = await events.retrieve_async(two.data[0].id)
    assert event.to_dict() == two.data[0].to_dict()


async def test_events_of_a_payment_share_a_second(client: stripe.StripeClient) -> None:
    await client.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "off_session": True,
        }
    )
    seconds = [event.created for event in (await client.v1.events.list_async()).data]
    assert len(seconds) == 4
    assert max(seconds) - min(seconds) <= 1


async def test_events_are_gone_after_thirty_days(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.customers.create_async({})
    event = (await client.v1.events.list_async()).data[0]
    await control.advance_clock(30 * DAY + 1)
    assert (await client.v1.events.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.events.retrieve_async(event.id)
    assert refused.value.http_status == 404
