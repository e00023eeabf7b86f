"""Every noun over the wire: what Stripe lists, shows and tells of it is one and the same."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import asdict
from typing import Any

import pytest
import stripe

from application.events.inbox import ReceivedEvent
from application.events.readings import Irrelevant, Observed
from application.mirror.lists import Place
from application.mirror.nouns import INVOICES, NOUNS, STRIPE_ACCOUNTS, SUBSCRIPTIONS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from domain.connections import Mode
from domain.mirror import MirroredObject, Snapshot
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.readers.events import StripeEventReader
from infrastructure.stripe.readers.lists import StripeLister
from infrastructure.stripe.readers.objects import StripeObjectReader
from infrastructure.stripe.translations import TRANSLATIONS
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import Served

SILENT = {"disputed"}
"""What becomes of a charge without an event of its own: it is its dispute's that tells."""


def _fields(snapshot: Snapshot[Any], but: Set[str]) -> dict[str, Any]:
    """The fields of an object, but for some."""
    if snapshot.object is None:
        return {}
    return {name: value for name, value in asdict(snapshot.object).items() if name not in but}


@pytest.fixture
def reader(api: StripeApi) -> ObjectReader:
    return StripeObjectReader(api)


class Account:
    """A connected account, in which things happen."""

    def __init__(self, sdk: stripe.StripeClient, id_: str) -> None:
        self.sdk = sdk.v1
        self.id = id_
        self.options: Any = {"stripe_account": id_}

    async def customer(self) -> str:
        """A customer who can pay."""
        made = await self.sdk.customers.create_async({"email": "ada@example.com"}, self.options)
        method = await self.sdk.payment_methods.attach_async(
            "pm_card_visa", {"customer": made.id}, self.options
        )
        settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
        await self.sdk.customers.update_async(made.id, settings, self.options)
        return made.id

    async def charge(self, source: str) -> str:
        """A payment by card."""
        params: Any = {"amount": 900, "currency": "usd", "source": source}
        return (await self.sdk.charges.create_async(params, self.options)).id

    async def prices(self, count: int) -> list[str]:
        """Monthly prices of a product."""
        product = await self.sdk.products.create_async({"name": "Seat"}, self.options)
        params: Any = {
            "currency": "usd",
            "unit_amount": 1_000,
            "product": product.id,
            "recurring": {"interval": "month"},
        }
        made = [await self.sdk.prices.create_async(params, self.options) for _ in range(count)]
        return [price.id for price in made]

    async def subscribe(self, items: int) -> stripe.Subscription:
        """A paid subscription with so many items."""
        params: Any = {
            "customer": await self.customer(),
            "items": [{"price": price} for price in await self.prices(items)],
            "metadata": {"crm": "7"},
        }
        return await self.sdk.subscriptions.create_async(params, self.options)

    async def discount(self) -> None:
        """A discount of a subscription, one of an item of it, and their coupon."""
        coupon = await self.sdk.coupons.create_async(
            {"percent_off": 12.5, "duration": "forever"}, self.options
        )
        subscription = await self.subscribe(1)
        item = subscription["items"].data[0].id
        off: Any = [{"coupon": coupon.id}]
        change: Any = {"discounts": off, "items": [{"id": item, "discounts": off}]}
        await self.sdk.subscriptions.update_async(subscription.id, change, self.options)

    async def live(self) -> None:
        """A bit of everything, with changes, deletions and ends."""
        subscription = await self.subscribe(1)
        change: Any = {"metadata": {"crm": "", "tier": "gold"}, "cancel_at_period_end": True}
        await self.sdk.subscriptions.update_async(subscription.id, change, self.options)
        await self.sdk.subscriptions.cancel_async(subscription.id, {}, self.options)
        await self.charge("tok_bypassPending")
        await self.sdk.payouts.create_async({"amount": 50, "currency": "usd"}, self.options)
        await self.charge("tok_createDispute")
        refund: Any = {"charge": await self.charge("tok_visa"), "amount": 200}
        await self.sdk.refunds.create_async(refund, self.options)
        draft = await self.sdk.invoices.create_async(
            {"customer": await self.customer()}, self.options
        )
        await self.sdk.invoices.delete_async(draft.id, {}, self.options)
        unsold = await self.sdk.products.create_async({"name": "Nothing"}, self.options)
        await self.sdk.products.delete_async(unsold.id, {}, self.options)


@pytest.fixture
async def account(emulator: RunningEmulator, account: str) -> AsyncIterator[Account]:
    async with emulator.sdk() as sdk:
        yield Account(sdk, account)


async def read(reader: ObjectReader, noun: Noun[Any], account: Account, id_: str) -> Snapshot[Any]:
    return await reader.read(noun, account.id, id_, not_before_ms=None, priority=Priority.REREAD)


async def listed(api: StripeApi, noun: Noun[Any], account: Account) -> Sequence[Snapshot[Any]]:
    """What a list shows of a noun's objects."""
    lister = StripeLister(api, Mode.TEST)
    page = await lister.page(noun, account.id, Place(), since_ms=None, priority=Priority.REREAD)
    assert page.next is None
    return page.items


async def told(api: StripeApi, account: Account) -> list[ReceivedEvent]:
    """All events of an account, oldest first, as if they had been received."""
    request = Request("get", "/v1/events", Subject("event"), account.id, params={"limit": 100})
    page = json.loads((await api.request(request)).body)
    assert not page["has_more"]
    return [
        ReceivedEvent(
            id=event["id"],
            stripe_account=account.id,
            type=event["type"],
            api_version=event["api_version"],
            created=event["created"] * 1_000,
            object_type=event["data"]["object"]["object"],
            object_id=event["data"]["object"].get("id", ""),
            payload=json.dumps(event).encode(),
            received_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
        for event in reversed(page["data"])
    ]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.name)
async def test_an_object_is_read_as_it_is_listed(
    api: StripeApi, reader: ObjectReader, account: Account, noun: Noun[Any]
) -> None:
    await account.live()
    await account.discount()
    found = await listed(api, noun, account)
    assert found
    for one in found:
        shown = await read(reader, noun, account, one.id)
        assert shown.object == one.object
        assert isinstance(shown.object, noun.type)
        assert shown.unknown == one.unknown == frozenset()
        assert shown.stripe_account == account.id
        assert shown.version.sent_at is not None


async def test_the_last_event_of_an_object_shows_what_a_read_shows(
    api: StripeApi, reader: ObjectReader, account: Account
) -> None:
    await account.live()
    last: dict[str, tuple[Noun[Any], Snapshot[MirroredObject]]] = {}
    for event in await told(api, account):
        said = StripeEventReader().read(event, account.id)
        if isinstance(said, Observed):
            assert not said.incomplete
            last[said.snapshot.id] = (said.noun, said.snapshot)
        else:
            assert isinstance(said, Irrelevant), event.type
    assert {noun.name for noun, _ in last.values()} >= {
        "charge", "customer", "dispute", "invoice", "invoice_payment", "payment_intent", "payout",
        "price", "product", "refund", "subscription",
    }  # fmt: skip
    for noun, snapshot in last.values():
        shown = await read(reader, noun, account, snapshot.id)
        assert shown.unknown == frozenset()
        # An event leaves out what comes only where it is asked for.
        expanded = () if snapshot.deleted else TRANSLATIONS[noun.name].expand
        untold = {name for name in expanded if "." not in name}
        assert snapshot.unknown == untold
        untold |= SILENT
        assert _fields(snapshot, untold) == _fields(shown, untold)
    assert {noun.name for noun, snapshot in last.values() if snapshot.deleted} == {
        "invoice", "product",
    }  # fmt: skip


async def test_an_event_of_an_account_shows_what_a_read_shows(
    api: StripeApi, reader: ObjectReader, account: Account
) -> None:
    before = await read(reader, STRIPE_ACCOUNTS, account, account.id)
    await account.sdk.accounts.update_async(account.id, {"default_currency": "eur"})
    (event,) = await told(api, account)
    assert event.type == "account.updated"
    said = StripeEventReader().read(event, account.id)
    assert isinstance(said, Observed)
    assert said.snapshot.befores == (before.object,)
    after = await read(reader, STRIPE_ACCOUNTS, account, account.id)
    assert after.object == said.snapshot.object != before.object
    assert said.snapshot.unknown == frozenset()


async def test_an_event_followed_the_state_that_it_says(api: StripeApi, account: Account) -> None:
    await account.live()
    states: dict[str, list[MirroredObject | None]] = defaultdict(list)
    chained = set()
    for event in await told(api, account):
        said = StripeEventReader().read(event, account.id)
        if not isinstance(said, Observed):
            continue
        for before in said.snapshot.befores:
            assert before is not None, event.type
            assert before in states[before.id], event.type
            chained.add(said.noun.name)
        states[said.snapshot.id].append(said.snapshot.object)
    assert chained >= {"charge", "customer", "invoice", "subscription"}


@pytest.mark.parametrize(("items", "pages"), [(1, 0), (10, 0), (11, 1), (20, 1)])
async def test_items_beyond_those_shown_are_read_too(
    reader: ObjectReader, account: Account, served: Served, items: int, pages: int
) -> None:
    made = await account.subscribe(items)
    found = await read(reader, SUBSCRIPTIONS, account, made.id)
    assert found.object is not None
    assert len({item.id for item in found.object.items}) == items
    assert not found.unknown
    assert await served("GET /v1/subscription_items") == pages
    invoice = await read(reader, INVOICES, account, found.object.latest_invoice)
    assert invoice.object is not None
    assert len({line.id for line in invoice.object.lines}) == items
    assert {line.subscription for line in invoice.object.lines} == {made.id}
    assert sum(line.amount.amount for line in invoice.object.lines) == invoice.object.total.amount
    assert await served("GET /v1/invoices/{id}/lines") == pages


async def test_a_long_list_takes_several_pages(
    reader: ObjectReader, account: Account, served: Served
) -> None:
    customer = await account.customer()
    made = await account.sdk.invoices.create_async({"customer": customer}, account.options)
    for number in range(101):
        item: Any = {"customer": customer, "invoice": made.id, "currency": "usd", "amount": number}
        await account.sdk.invoice_items.create_async(item, account.options)
    found = await read(reader, INVOICES, account, made.id)
    assert found.object is not None
    assert sorted(line.amount.amount for line in found.object.lines) == list(range(101))
    assert await served("GET /v1/invoices/{id}/lines") == 2


async def test_an_event_that_is_cut_short_asks_for_a_read(api: StripeApi, account: Account) -> None:
    await account.subscribe(11)
    cut = {
        said.noun.name
        for event in await told(api, account)
        if isinstance(said := StripeEventReader().read(event, account.id), Observed)
        and said.incomplete
    }
    assert cut == {"invoice", "subscription"}
