"""Two processes on one MongoDB database: what is to happen once happens once, whoever is asked."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pymongo
import pytest
import pytest_asyncio
from billing_client.v1 import contact_link_service_pb2 as links_pb

from tests.e2e.test_every_mutation import assert_effect, changes, events_of, lose
from tests.support.contract.every_mutation import MUTATING, TABLE, Mutation
from tests.support.contract.tenant import METHODS, Fields, Ground
from tests.support.servers.on_mongo import mongo_world, neighbour_of
from tests.support.servers.service import ServiceAndEmulator, Tenant, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS: Final = 6
PATIENCE_SECONDS: Final = 20.0
MORE_THAN_A_BLOCK: Final = 130
"""So many customers are linked in two blocks, with a checkpoint between them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    async with mongo_world(mongo_url, tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(
    here: ServiceAndEmulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    """The same world, seen through a second process."""
    async with neighbour_of(here, tmp_path_factory.mktemp("neighbour")) as service:
        yield dataclasses.replace(here, service=service)


def both(
    here: ServiceAndEmulator, there: ServiceAndEmulator, tenant: Tenant
) -> tuple[Ground, Ground]:
    """A tenant's ground, through each of the processes."""
    return Ground(here, tenant), Ground(there, tenant)


async def patiently(ground: Ground, name: str, fields: Fields) -> Any:
    """The reply, asked for again as long as another process is at the same request."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await ground.call(name, fields)
            except grpc.aio.AioRpcError as error:
                if reason_of(error) != "REQUEST_IN_FLIGHT":
                    raise
            await asyncio.sleep(0.01)


async def all_at_once(grounds: tuple[Ground, Ground], name: str, *all_fields: Fields) -> list[Any]:
    """The replies to requests, sent in turns to the one process and to the other."""
    return await asyncio.gather(
        *(patiently(grounds[n % 2], name, fields) for n, fields in enumerate(all_fields))
    )


@pytest.mark.parametrize("name", MUTATING)
async def test_equal_calls_to_both_are_one(
    here: ServiceAndEmulator, there: ServiceAndEmulator, name: str
) -> None:
    one, grounds = TABLE[name], both(here, there, await here.tenant())
    ground, other = grounds
    fields = {**await one.make(ground), "request_id": "same"}
    before, events = await changes(here), await events_of(ground, one)
    replies = await all_at_once(grounds, name, *[fields] * CALLS)
    assert all(same(one, reply, replies[0]) for reply in replies)
    after = await changes(here)
    sent = {route: count - before.get(route, 0) for route, count in after.items()}
    assert {route: count for route, count in sent.items() if count} == dict.fromkeys(one.routes, 1)
    assert await events_of(ground, one) - events == bool(one.event)
    for seen in grounds:
        await assert_effect(seen, one, fields, replies[0])
    assert same(one, await other.call(name, fields), replies[0])


def same(one: Mutation, reply: Any, other: Any) -> bool:
    """Whether two replies are of one effect: a process answers as it stands by then."""
    return bool(reply.id == other.id if one.process else reply == other)


async def test_a_lost_answer_ends_in_one_effect(here: ServiceAndEmulator) -> None:
    lost = [(name, route) for name, one in TABLE.items() if not one.process for route in one.routes]
    outcomes = await asyncio.gather(
        *(lose(here, name, route) for name, route in lost), return_exceptions=True
    )
    failed = [one for one in zip(lost, outcomes, strict=True) if one[1] is not None]
    assert failed == []
    assert await here.emulator.control.faults() == []


async def test_no_secret_of_a_setup_intent_is_stored(here: ServiceAndEmulator) -> None:
    ground = Ground(here, await here.tenant())
    made = await ground.mutate(
        "PaymentMethodService.CreateSetupIntent", customer=await ground.customer()
    )
    assert "_secret_" in made.client_secret
    await here.delivered()
    url, name = (here.service.settings[f"BILLING_MONGO_{part}"] for part in ("URL", "DATABASE"))
    found = []
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        for collection in client[name].list_collection_names():
            kept = client[name][collection].find(hint="_id_")
            found += [collection for one in kept if made.client_secret in str(one)]
    assert set(found) <= {"billing.events"}, "an event is kept as Stripe has signed it"


async def test_twenty_requests_for_one_contact_are_one_customer(
    here: ServiceAndEmulator, there: ServiceAndEmulator
) -> None:
    tenant = await here.tenant()
    grounds = both(here, there, tenant)
    wanted = {
        "contact": await grounds[0].contact(), "currency": "usd",
        "items": [{"description": "Work", "unit_amount": {"amount": 900, "currency": "usd"}}],
    }  # fmt: skip
    links = await all_at_once(
        grounds, "PaymentLinkService.CreatePaymentLink",
        *({**wanted, "request_id": f"r-{number}"} for number in range(20)),
    )  # fmt: skip
    (customer,) = (await grounds[0].stripe("/v1/customers", limit=100))["data"]
    assert {link.customer for link in links} == {customer["id"]}
    assert sum(link.customer_created for link in links) == 1
    invoices = (await grounds[0].stripe("/v1/invoices", limit=100))["data"]
    assert {link.invoice for link in links} == {one["id"] for one in invoices}
    assert len(invoices) == 20
    assert {one["status"] for one in invoices} == {"open"}


async def test_of_many_links_of_one_contact_one_stands(
    here: ServiceAndEmulator, there: ServiceAndEmulator
) -> None:
    grounds = both(here, there, await here.tenant())
    contact = await grounds[0].contact()
    customers = [await grounds[0].customer() for _ in range(8)]

    async def link(ground: Ground, customer: str) -> str:
        fields = {"customer": customer, "contact": contact, "request_id": customer}
        try:
            return str((await patiently(ground, "ContactLinkService.LinkContact", fields)).customer)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "CONTACT_LINKED":
                raise
            return ""

    made = await asyncio.gather(
        *(link(grounds[number % 2], one) for number, one in enumerate(customers))
    )
    (stands,) = filter(None, made)
    for ground in grounds:
        found = await ground.call("ContactLinkService.GetContactLink", {"contact": contact})
        assert found.customer == stands


async def test_of_many_changes_of_one_mapping_one_is_made(
    here: ServiceAndEmulator, there: ServiceAndEmulator
) -> None:
    grounds = both(here, there, await here.tenant())
    update = "ContactLinkService.UpdateContactMapping"
    sources = ("name", "email", "phone", "description")

    async def change(ground: Ground, source: str, etag: str) -> bool:
        mapping = {"fields": {"name": source}, "etag": etag}
        fields = {"contact_mapping": mapping, "request_id": f"{source}-{etag}"}
        try:
            return bool((await patiently(ground, update, fields)).fields)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "ETAG_MISMATCH":
                raise
            return False

    for _ in range(2):
        seen = await grounds[0].call("ContactLinkService.GetContactMapping", {})
        others = [one for one in sources if dict(seen.fields) != {"name": one}]
        made = await asyncio.gather(
            *(change(grounds[n % 2], one, seen.etag) for n, one in enumerate(others))
        )
        assert made.count(True) == 1
        now = [await g.call("ContactLinkService.GetContactMapping", {}) for g in grounds]
        assert now[0] == now[1]
        assert dict(now[0].fields) == {"name": others[made.index(True)]}


async def test_linking_is_one_operation_seen_through_both(
    here: ServiceAndEmulator, there: ServiceAndEmulator
) -> None:
    grounds = both(here, there, await here.tenant())
    contact = await grounds[0].contact()
    customers = [await grounds[0].customer() for _ in range(MORE_THAN_A_BLOCK)]
    await grounds[0].mutate(
        "ContactLinkService.UpdateContactMapping",
        contact_mapping={"fields": {"name": "name", "email": "email"}, "create_contacts": True},
    )
    cancelled = await start(grounds)
    told = await grounds[1].call("ContactLinkService.CancelLinking", {})
    assert (told.id, told.state) == (cancelled, links_pb.Linking.STATE_CANCELLED)
    for ground in grounds:
        assert await watched(ground) == told

    operation = await start(grounds)
    assert operation != cancelled
    seen = [await watched(ground) for ground in grounds]
    assert seen[0] == seen[1]
    assert (seen[0].id, seen[0].state) == (operation, links_pb.Linking.STATE_SUCCEEDED)
    counts = (seen[0].linked_count, seen[0].created_count, seen[0].already_linked_count)
    assert seen[0].read_count == sum(counts) == len(customers)
    linked = {
        (await grounds[1].call("ContactLinkService.GetContactLink", {"customer": one})).contact
        for one in customers
    }
    assert len(linked) == len(customers), "no contact is two customers"
    assert contact in linked


async def start(grounds: tuple[Ground, Ground]) -> str:
    """The one linking that is under way, once both processes were asked to start one."""
    asked = await all_at_once(grounds, "ContactLinkService.StartLinking", *[{}] * CALLS)
    (operation,) = {one.id for one in asked}
    return str(operation)


async def watched(ground: Ground) -> links_pb.Linking:
    """The last that is told of the linking, once it has ended."""
    method, stub = METHODS["ContactLinkService.WatchLinking"]
    watch = getattr(stub(ground.world.service.channel), method.name)
    request = links_pb.WatchLinkingRequest()
    told = watch(request, metadata=ground.tenant.metadata, timeout=PATIENCE_SECONDS)
    last: links_pb.Linking = [one async for one in told][-1]
    return last
