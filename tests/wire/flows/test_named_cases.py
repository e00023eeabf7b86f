"""Cases that mirrors of Stripe are known to get wrong, each by its name, on both stores."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import pytest
from typing_extensions import override

from application.connections.deauthorization import Deauthorizing
from application.connections.use_cases import Connections
from application.contacts.ports import ContactLink, SourceVersion
from application.events.inbox import ReceivedEvent
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.nouns import CHARGES, CUSTOMERS, INVOICES, PAYMENT_INTENTS, SUBSCRIPTIONS
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.requests.callers import Caller
from application.upkeep.backfill import Backfill
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.mirror import MirroredObject, Snapshot
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.expected.outcomes import changes, facets, facts, notices
from tests.support.rooms.upkeep import CARD, Flows, last
from tests.support.servers.webhook import listening

T = TypeVar("T", bound=MirroredObject)

TENANT: Final = "acme"
CALLER: Final = Caller("service", TENANT, frozenset())
STAYS: Final = {"enabled": True, "allow_redirects": "never"}


async def connect(flows: Flows) -> Connection:
    """Connect the account to the tenant, now."""
    now = flows.clock.now()
    link = Connection(TENANT, flows.account, Mode.TEST, ConnectionKind.OAUTH, now)
    await flows.stores.connections.put(link)
    return link


async def link(flows: Flows, customer: str) -> None:
    """Link a customer to the contact `ada`."""
    contacts, now = flows.stores.contacts, flows.clock.now()
    await contacts.fill(
        TENANT, "ada", {"name": "Ada"}, SourceVersion(0, 0, 0), stripe_account="crm", create=True
    )
    await contacts.link(ContactLink(TENANT, flows.account, customer, "ada", now))


async def told(flows: Flows, *kinds: str) -> list[ReceivedEvent]:
    """The account's events of these types, the oldest first."""
    page = await flows.lister.events(
        flows.account, Place(), since_ms=0, priority=Priority.CATCH_UP, types=kinds
    )
    return list(page.items)[::-1]


async def deliver(flows: Flows, *batches: Sequence[ReceivedEvent]) -> None:
    """Let events arrive, batch by batch, each projected with its effects before the next comes."""
    projector = flows.projector(effects=flows.effects())
    for batch in batches:
        for event in batch:
            await flows.stores.inbox.append(replace(event, received_at=flows.clock.now()))
        while await projector.project_batch():
            pass


async def shown(flows: Flows, noun: Noun[Any], id_: str) -> Any:
    """What the mirror shows of an object; None of a tombstone."""
    row = (await flows.stores.mirror.fetch(noun, flows.account, [id_]))[id_]
    assert row.snapshot is not None
    return row.snapshot.object


async def at_stripe(flows: Flows, noun: Noun[Any], id_: str) -> Any:
    """What Stripe shows of an object; None of one that is deleted."""
    read = await flows.objects.read(
        noun, flows.account, id_, not_before_ms=None, priority=Priority.REREAD
    )
    return read.object


async def this_second(flows: Flows) -> None:
    """The next changes are all made in one second of Stripe's."""
    await flows.set_time(await flows.emulator.control.now() + 10)


async def customer_with_card(flows: Flows) -> str:
    customer = await flows.post("/v1/customers", name="Ada")
    method = await flows.post(f"/v1/payment_methods/{CARD}/attach", customer=customer["id"])
    settings = {"default_payment_method": method["id"]}
    await flows.post(f"/v1/customers/{customer['id']}", invoice_settings=settings)
    return str(customer["id"])


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("together", [True, False])
async def test_two_updates_in_one_second_in_both_orders(
    flows: Flows, forwards: bool, together: bool
) -> None:
    await this_second(flows)
    made = await flows.post("/v1/customers", name="one")
    for name in ("two", "three"):
        await flows.post(f"/v1/customers/{made['id']}", name=name)
    events = await told(flows, "customer.created", "customer.updated")
    assert len({event.created for event in events}) == 1
    created, *updates = events
    updates = updates if forwards else updates[::-1]
    await deliver(flows, [created], *([updates] if together else [[one] for one in updates]))
    assert (await shown(flows, CUSTOMERS, made["id"])).name == "three"


async def test_paid_then_updated_in_one_batch(flows: Flows) -> None:
    """All within one second, and the edit is the first to arrive."""
    await connect(flows)
    customer = await customer_with_card(flows)
    await link(flows, customer)
    await flows.post("/v1/invoiceitems", customer=customer, amount=1_500, currency="usd")
    draft = await flows.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include"
    )
    path = f"/v1/invoices/{draft['id']}"
    await flows.post(f"{path}/finalize")
    await this_second(flows)
    await flows.post(f"{path}/pay")
    await flows.post(path, **{"metadata[note]": "thanks"})
    await deliver(flows, await told(flows, "invoice.created", "invoice.finalized"))
    events = await told(flows, "invoice.paid", "invoice.payment_succeeded", "invoice.updated")
    paid, *_, edited = [one for one in events if one.created == events[-1].created]
    assert (paid.type, edited.type) == ("invoice.updated", "invoice.updated")
    await deliver(flows, [edited, *events])
    invoice = await shown(flows, INVOICES, draft["id"])
    assert (invoice.status, invoice.metadata) == ("paid", {"note": "thanks"})
    assert invoice == await at_stripe(flows, INVOICES, draft["id"])
    happened = await flows.happened()
    said = await notices(flows.stores, TENANT, flows.account, [customer])
    assert said == happened.notices()
    assert len(said) == 1
    billed = await facts(flows.stores, TENANT, flows.account)
    assert billed == {("invoice_paid", draft["id"]): happened.facts()["invoice_paid", draft["id"]]}


@pytest.mark.parametrize("within_a_second", [True, False])
async def test_delete_then_late_update(flows: Flows, within_a_second: bool) -> None:
    await this_second(flows)
    made = await flows.post("/v1/customers", name="one")
    await flows.post(f"/v1/customers/{made['id']}", name="two")
    if not within_a_second:
        await this_second(flows)
    await flows.delete(f"/v1/customers/{made['id']}")
    created, updated, deleted = await told(
        flows, "customer.created", "customer.updated", "customer.deleted"
    )
    await deliver(flows, [created], [deleted], [updated])
    assert await shown(flows, CUSTOMERS, made["id"]) is None
    assert await flows.stores.mirror.count(CUSTOMERS, flows.account) == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
async def test_subscription_upgraded_downgraded_and_cancelled_in_one_batch(
    flows: Flows, order: Sequence[int]
) -> None:
    await connect(flows)
    customer = await customer_with_card(flows)
    prices = [
        await flows.post(
            "/v1/prices", currency="usd", unit_amount=amount, recurring={"interval": "month"},
            product_data={"name": "Plan"},
        )
        for amount in (1_000, 5_000)
    ]  # fmt: skip
    small, large = (price["id"] for price in prices)
    await this_second(flows)
    made = await flows.post("/v1/subscriptions", customer=customer, items=[{"price": small}])
    path, item = f"/v1/subscriptions/{made['id']}", made["items"]["data"][0]["id"]
    await deliver(flows, await told(flows, "customer.subscription.created"))
    for price in (large, small):
        await flows.post(path, items=[{"id": item, "price": price}])
    await flows.delete(path)
    events = await told(flows, "customer.subscription.updated", "customer.subscription.deleted")
    assert len(events) == 4, "active, upgraded, downgraded, cancelled"
    assert len({event.created for event in events}) == 1
    await deliver(flows, [events[number] for number in order])
    subscription = await shown(flows, SUBSCRIPTIONS, made["id"])
    assert (subscription.status, subscription.items[0].price) == ("canceled", small)
    assert subscription == await at_stripe(flows, SUBSCRIPTIONS, made["id"])
    happened = await flows.happened()
    assert await changes(flows.stores, flows.account, [made["id"]]) == happened.changes()
    billed = await facts(flows.stores, TENANT, flows.account)
    assert sorted(name for name, _ in billed) == ["subscription_created", "subscription_ended"]


async def test_charge_updated_must_not_null_a_fee_nor_unlink_a_contact(flows: Flows) -> None:
    await connect(flows)
    customer = await customer_with_card(flows)
    await link(flows, customer)
    await this_second(flows)
    await flows.post("/v1/invoiceitems", customer=customer, amount=1_500, currency="usd")
    draft = await flows.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include"
    )
    await flows.post(f"/v1/invoices/{draft['id']}/pay")
    (charge,) = await flows.ids(CHARGES)
    before = await told(flows, "charge.succeeded", "invoice.paid", "invoice_payment.paid")
    (captured,) = await told(flows, "charge.updated")
    await deliver(flows, before)
    await flows.balance_transactions.refresh(flows.account)
    complete = await derived(flows, charge)
    assert complete == (await flows.happened()).facets()
    assert complete["charge", charge, "settlement"]["fee"] == 74
    await this_second(flows)
    await flows.post(f"/v1/charges/{charge}", description="edited", metadata={"note": "mine"})
    await flows.post(f"/v1/customers/{customer}", name="Ada L.")
    *_, edited = await told(flows, "charge.updated")
    renamed = (await told(flows, "customer.updated"))[-1:]
    # The one that was made when there was no fee yet comes last.
    await deliver(flows, [edited], renamed, [captured])
    assert await derived(flows, charge) == complete
    found = await shown(flows, CHARGES, charge)
    assert (found.description, found.customer) == ("edited", customer)
    links = await flows.stores.contacts.links(TENANT, flows.account, [customer])
    assert links[customer].contact == "ada"


async def derived(flows: Flows, charge: str) -> Mapping[tuple[str, str, str], Any]:
    """The derived half of a charge."""
    (intent,) = await flows.ids(PAYMENT_INTENTS)
    touched = {"charge": [charge], "payment_intent": [intent]}
    return await facets(flows.stores.mirror, flows.account, touched)


class SlowAnswers(ObjectLister):
    """A lister whose pages are long on their way, each until `arrive` is set."""

    def __init__(self, lister: ObjectLister, noun: Noun[Any]) -> None:
        self.left, self.arrive = asyncio.Event(), asyncio.Event()
        self._lister = lister
        self._noun = noun

    @override
    async def page(
        self,
        noun: Noun[T],
        stripe_account: str,
        place: Place,
        *,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        found = await self._lister.page(
            noun, stripe_account, place, since_ms=since_ms, priority=priority
        )
        if noun.name == self._noun.name:
            self.left.set()
            await self.arrive.wait()
        return found


@pytest.mark.parametrize("seconds", [0, 1, 3, 60])
@pytest.mark.parametrize("deletes", [True, False])
async def test_slow_list_page_beside_a_newer_event(
    flows: Flows, seconds: int, deletes: bool
) -> None:
    await this_second(flows)
    path = f"/v1/customers/{(await flows.post('/v1/customers', name='one'))['id']}"
    slow = SlowAnswers(flows.lister, CUSTOMERS)
    backfill = Backfill(
        slow, flows.importer, flows.stores.checkpoints, flows.clock, nouns=flows.nouns
    )
    task = asyncio.create_task(last(backfill.run(flows.account)))
    await asyncio.wait_for(slow.left.wait(), 10)
    await flows.pass_time(seconds)
    await (flows.delete(path) if deletes else flows.post(path, name="two"))
    await deliver(flows, await told(flows, "customer.updated", "customer.deleted"))
    slow.arrive.set()
    assert (await asyncio.wait_for(task, 10)).finished
    await flows.assert_right()
    names = [one.name for one in await live_customers(flows)]
    assert names == ([] if deletes else ["two"])


async def live_customers(flows: Flows) -> list[Any]:
    return list((await flows.mirrored())[CUSTOMERS.name].values())


async def test_deauthorise_late_after_reconnect(flows: Flows) -> None:
    """By the webhook, from the emulator: the first one comes when the owner is back for long."""
    control, repository = flows.emulator.control, flows.stores.connections
    accounts = StripeConnectedAccounts(flows.api)
    connections = Connections(repository, accounts, flows.stores.mirror, flows.clock, Mode.TEST)
    deauthorizing = Deauthorizing(repository, accounts, connections, Mode.TEST)
    projector = flows.projector(effects=flows.effects(), deauthorizing=deauthorizing)
    async with listening(flows):
        await connect(flows)
        await control.pause()
        await control.deauthorize(flows.account)
        code = await control.authorize(flows.account)
        await flows.sdk.raw_request_async(
            "post", "/oauth/token", base="connect", grant_type="authorization_code", code=code,
            client_secret=PLATFORM_KEY,
        )  # fmt: skip
        again = await connect(flows)
        made = await flows.post("/v1/customers", name="after")
        assert (await control.flush()).done
        while await projector.project_batch():
            pass
        assert await repository.get(TENANT, Mode.TEST) == again
        assert (await connections.of(CALLER)).state is ConnectionState.ACTIVE
        assert (await shown(flows, CUSTOMERS, made["id"])).name == "after"
        assert ("customer_created", made["id"]) in await facts(flows.stores, TENANT, flows.account)
        await control.deauthorize(flows.account)
        assert (await control.flush()).done
        while await projector.project_batch():
            pass
    kept = await repository.get(TENANT, Mode.TEST)
    assert kept == replace(again, state=ConnectionState.REVOKED)
    assert await flows.stores.inbox.backlog() == 0
