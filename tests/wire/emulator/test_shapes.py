"""Every noun that the emulator answers has the fields that Stripe's SDK says, and no others."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from sandbox.emulator.registry import NOUNS
from sandbox.emulator.running import RunningEmulator
from sandbox.emulator.triggers import TRIGGERS, trigger
from tests.support.emulator.shapes import differences

UNSEEN = {
    "oauth": "answers OAuth's own shapes, which are no object",
    "previewed_line_item": "is shown as a line_item",
}
"""Nouns of the emulator that no answer of Stripe's names."""


def objects(value: Any) -> Iterator[str]:
    """What `object` says, in an answer and in all that stands in it."""
    if isinstance(value, dict):
        if isinstance(value.get("object"), str):
            yield value["object"]
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


async def test_every_noun_is_as_the_sdk_says(
    emulator: RunningEmulator, client: stripe.StripeClient
) -> None:
    """The client of these tests refuses any other answer; here it sees all nouns, and all events
    with what they are about."""
    for kind in TRIGGERS:
        await trigger(kind, emulator.url)
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    await client.v1.customers.payment_sources.create_async(customer.id, {"source": "tok_visa"})
    coupon = await client.v1.coupons.create_async({"percent_off": 10, "duration": "once"})
    await client.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": False}
    )
    await client.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["payout.paid"]}
    )
    await client.v1.charges.create_async(
        {"amount": 9_000_000, "currency": "usd", "source": "tok_bypassPending"}
    )
    payout = await client.v1.payouts.create_async(
        {"amount": 1_000, "currency": "usd", "expand": ["destination"]}
    )
    await client.v1.billing.meters.create_async(
        {
            "display_name": "Calls",
            "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
        }
    )
    logo = io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    logo.name = "logo.png"
    file = await client.v1.files.create_async({"file": logo, "purpose": "business_logo"})
    link = await client.v1.file_links.create_async({"file": file.id})
    draft: Any = {
        "customer": customer.id,
        "discounts": [{"coupon": coupon.id}],
        "expand": ["discounts", "customer.sources"],
    }
    seen = set(objects((await client.v1.invoices.create_async(draft)).to_dict(recursive=True)))
    seen |= {file.object, link.object, *objects(payout.to_dict(recursive=True))}
    seen |= set(objects((await client.v1.balance.retrieve_async()).to_dict()))
    seen |= set(objects((await client.v1.accounts.retrieve_current_async()).to_dict()))
    seen |= set(objects((await client.v1.country_specs.retrieve_async("US")).to_dict()))
    for noun in NOUNS.all:
        if any((one.method, one.path) == ("GET", "") for one in noun.actions):
            seen |= set(objects(await listed(client, noun.collection)))
    assert {noun.object for noun in NOUNS.all} - UNSEEN.keys() <= seen


async def listed(client: stripe.StripeClient, collection: str) -> dict[str, Any]:
    """The first page of a list; empty for what is no list, or only one of something's."""
    if collection in ("balance", "subscription_items"):
        return {}
    answer = await client.raw_request_async("get", f"/v1/{collection}?limit=100")
    return client.deserialize(answer, api_mode="V1").to_dict(recursive=True)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"was_detached": False}, ["payment_method.was_detached: not Stripe's"]),
        ({"metadata": None}, []),
        ({"type": None}, ["payment_method.type: always there at Stripe"]),
        (
            {"billing_details": {"address": None, "town": "Ghent"}},
            ["payment_method.billing_details.town: not Stripe's"],
        ),
    ],
)
async def test_what_the_client_of_these_tests_refuses(
    client: stripe.StripeClient, change: dict[str, Any], found: list[str]
) -> None:
    method = await client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    answer: dict[str, Any] = method.to_dict(recursive=True)
    assert list(differences(answer)) == []
    assert list(differences({**answer, **change})) == found
    assert list(differences({"object": "list", "data": [{**answer, **change}]})) == found
