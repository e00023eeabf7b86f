"""Payment links: for a contact of the CRM, one customer and one invoice, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
from aiohttp import web
from billing_client.v1 import customer_service_pb2 as customers_pb
from billing_client.v1.contact_link_service_pb2 import ContactMapping, UpdateContactMappingRequest
from billing_client.v1.contact_link_service_pb2_grpc import ContactLinkServiceStub

from tests.support.rooms.payment_links_end_to_end import (
    EMAIL,
    SECRET,
    SHORT,
    Place,
    Shortener,
    item,
)
from tests.support.servers.service import PRIVATE, Tenant, reason_of, until, world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    shortener = Shortener()
    app = web.Application()
    app.router.add_post("/internal/short-links", shortener.shorten)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = {
        "API_BASE_URL": f"http://127.0.0.1:{runner.addresses[0][1]}/internal/",
        "APP_SECRET": SECRET,
        "BILLING_SHORT_LINKS": "internal_api",
    }
    try:
        async with world(tmp_path_factory.mktemp("service"), **settings) as made:
            yield Place(made, shortener)
        told = made.service.log.read_text()
        assert "invoice.stripe" not in told
        assert SECRET not in told
    finally:
        await runner.cleanup()


async def test_a_contact_gets_a_customer_an_invoice_and_a_short_link(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    link = await here.ask(tenant, memo="Thank you", days_until_due=7, metadata={"order": "42"})
    (customer,) = await here.customers(tenant)
    (invoice,) = await here.invoices(tenant)
    assert (link.invoice, link.customer, link.contact) == (invoice.id, customer.id, "ada")
    assert link.customer_created
    assert (customer.email, customer.name) == (EMAIL, f"Ada {PRIVATE}")
    assert await here.linked(tenant) == customer.id
    assert (invoice.status, invoice.collection_method) == ("open", "send_invoice")
    assert (invoice.amount_due, invoice.description) == (2_500, "Thank you")
    assert invoice.metadata is not None
    assert invoice.metadata["order"] == "42"
    assert invoice.metadata["billing_contact"] == "ada"
    assert invoice.auto_advance is False
    assert (link.amount_due.amount, link.amount_due.currency) == (2_500, "usd")
    assert invoice.due_date == link.due_time.seconds
    assert link.url == invoice.hosted_invoice_url == here.shortener.links[-1]
    assert link.shortened
    assert link.short_url.startswith(SHORT)
    assert await here.world.sent("POST /v1/invoices/{id}/send") == 0
    assert await here.ask(
        tenant, memo="Thank you", days_until_due=7, metadata={"order": "42"}
    ) == link, "told again"  # fmt: skip
    assert len(await here.invoices(tenant)) == 1


async def test_the_linked_customer_is_billed(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    made = here.world.sdk.v1.customers
    linked = await made.create_async({"email": "else@x.example"}, tenant.options)
    await made.create_async({"email": EMAIL}, tenant.options)
    await here.link(tenant, linked.id)
    link = await here.ask(tenant)
    assert (link.customer, link.customer_created) == (linked.id, False)
    assert len(await here.customers(tenant)) == 2


async def test_a_customer_is_found_in_the_mirror_whatever_the_case_of_its_address(
    here: Place,
) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    made = await here.world.sdk.v1.customers.create_async({"email": EMAIL.title()}, tenant.options)
    await mirrored(here, tenant, made.id)
    listed = await here.world.sent("GET /v1/customers")
    link = await here.ask(tenant)
    assert (link.customer, link.customer_created) == (made.id, False)
    assert await here.linked(tenant) == made.id
    assert await here.world.sent("GET /v1/customers") == listed


async def test_a_customer_that_the_mirror_does_not_know_yet_is_listed_at_stripe(
    here: Place,
) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.world.emulator.control.pause()
    try:
        made = await here.world.sdk.v1.customers.create_async({"email": EMAIL}, tenant.options)
        link = await here.ask(tenant)
    finally:
        await here.world.delivered()
    assert (link.customer, link.customer_created) == (made.id, False)


async def test_a_customer_is_found_by_telephone_however_it_is_written(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant, name=f"Ada {PRIVATE}", phone="+1 415 555 2671")
    create = here.world.sdk.v1.customers.create_async
    silent = await create({"phone": "+14155552671"}, tenant.options)
    made = await create({"phone": "+1 (415) 555-2671", "email": "b@x.example"}, tenant.options)
    await create({"phone": "+4930901820", "email": "c@x.example"}, tenant.options)
    for one in (silent, made):
        await mirrored(here, tenant, one.id)
    link = await here.ask(tenant)
    assert (link.customer, link.customer_created) == (made.id, False)


async def test_a_customer_of_another_contact_is_not_taken(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.contact(tenant, "zoe", email="zoe@x.example")
    taken = await here.world.sdk.v1.customers.create_async({"email": EMAIL}, tenant.options)
    await here.link(tenant, taken.id, "zoe")
    link = await here.ask(tenant)
    assert link.customer != taken.id
    assert link.customer_created
    assert await here.linked(tenant, "zoe") == taken.id


async def test_two_contacts_of_one_address_are_two_customers(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant, "ada")
    await here.contact(tenant, "zoe", email=EMAIL)
    # The customers' events link and fill contacts too, at the same time.
    await ContactLinkServiceStub(here.world.service.channel).UpdateContactMapping(
        UpdateContactMappingRequest(
            contact_mapping=ContactMapping(fields={"email": "email"}, create_contacts=True),
            request_id="mapping",
        ),
        metadata=tenant.metadata,
    )
    links = [
        await here.ask(tenant, f"{name}-{number}", contact=name)
        for number in range(2)
        for name in ("zoe", "ada")
    ]
    await here.world.delivered()
    assert [link.customer_created for link in links] == [True, True, False, False]
    assert links[0].customer == links[2].customer != links[1].customer == links[3].customer
    assert await here.linked(tenant, "zoe") == links[0].customer


async def test_a_deleted_customer_is_not_billed_and_gives_its_contact_free(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    sdk = here.world.sdk.v1.customers
    gone = await sdk.create_async({"email": EMAIL}, tenant.options)
    await here.link(tenant, gone.id)
    await mirrored(here, tenant, gone.id)
    await here.world.emulator.control.pause()  # the mirror shows it as alive
    try:
        await sdk.delete_async(gone.id, options=tenant.options)
        link = await here.ask(tenant)
    finally:
        await here.world.delivered()
    assert link.customer != gone.id
    assert link.customer_created
    assert await here.linked(tenant) == link.customer


async def test_twenty_requests_at_once_for_one_contact_make_one_customer(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    links = await asyncio.gather(*(here.ask(tenant, f"r-{number}") for number in range(20)))
    (customer,) = await here.customers(tenant)
    assert {link.customer for link in links} == {customer.id}
    assert sum(link.customer_created for link in links) == 1
    assert len({link.invoice for link in links}) == len(await here.invoices(tenant)) == 20


async def test_a_hundred_equal_requests_are_one(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    links = await asyncio.gather(*(here.ask(tenant) for _ in range(100)))
    assert all(link == links[0] for link in links)
    assert len(await here.customers(tenant)) == len(await here.invoices(tenant)) == 1


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"items": []}, "items"),
        ({"items": [item(100)] * 251}, "items"),
        ({"items": [item(100), item(10**9)]}, "items[1].unit_amount"),
        ({"items": [item(100), item(-100)]}, "items"),
        ({"currency": "xyz"}, "currency"),
        ({"currency": "eur"}, "items[0].unit_amount.currency"),
        ({"contact": ""}, "contact"),
        ({"days_until_due": -1}, "days_until_due"),
        ({"memo": "m" * 1_501}, "memo"),
        ({"metadata": {"billing_contact": "zoe"}}, "metadata"),
        ({"metadata": {f"k{number}": "v" for number in range(49)}}, "metadata"),
        ({"request_id": ""}, "request_id"),
    ],
)
async def test_what_is_refused_makes_nothing(
    here: Place, changes: dict[str, Any], fields: str
) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    error = await here.refused(tenant, **changes)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{fields}:" in (error.details() or "")
    assert await here.customers(tenant) == await here.invoices(tenant) == []


async def test_a_contact_without_an_address_is_refused_before_anything_is_made(
    here: Place,
) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant, name=f"Ada {PRIVATE}", email="nobody")
    error = await here.refused(tenant)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith("contact:")
    assert await here.customers(tenant) == await here.invoices(tenant) == []
    mute = await here.world.sdk.v1.customers.create_async({"name": "mute"}, tenant.options)
    await here.contact(tenant, "zoe", name="Zoe", email="zoe@x.example")
    await here.link(tenant, mute.id, "zoe")
    error = await here.refused(tenant, contact="zoe", request_id="two")
    assert (error.details() or "").startswith("contact:")
    assert await here.invoices(tenant) == []


async def test_contacts_of_others_and_of_nobody_are_not_found(here: Place) -> None:
    owner, stranger = await here.world.tenant(), await here.world.tenant()
    await here.contact(owner)
    for tenant, contact in ((stranger, "ada"), (owner, "nobody")):
        error = await here.refused(tenant, contact=contact)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert reason_of(error) == "NOT_FOUND"
        assert await here.customers(tenant) == []


LINES: Final = "POST /v1/invoices/{id}/add_lines"
FINALIZE: Final = "POST /v1/invoices/{id}/finalize"


@pytest.mark.parametrize("route", [LINES, FINALIZE])
async def test_what_stripe_refuses_leaves_no_draft(here: Place, route: str) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.befall(tenant, route, kind="fail", status=400)
    for _ in range(2):
        error = await here.refused(tenant)
        assert error.code() in (
            grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION,
        )  # fmt: skip
        assert await here.invoices(tenant) == []
    (customer,) = await here.customers(tenant)
    link = await here.ask(tenant, "again")
    assert (link.customer, link.customer_created) == (customer.id, False)


async def test_a_refusal_whose_draft_cannot_be_deleted_yet_is_carried_on(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.befall(tenant, LINES, kind="fail", status=400)
    await here.befall(tenant, "DELETE /v1/invoices/{id}", kind="drop_before", count=None)
    assert reason_of(await here.refused(tenant)) == "OUTCOME_UNKNOWN"
    await here.world.emulator.control.clear_faults()
    assert len(await here.invoices(tenant)) == 1
    error = await here.refused(tenant)
    assert reason_of(error) in ("STRIPE_REFUSED", "INVALID_FIELDS")
    assert await here.invoices(tenant) == []


@pytest.mark.parametrize("route", ["POST /v1/customers", "POST /v1/invoices", LINES, FINALIZE])
async def test_a_lost_answer_ends_in_one_customer_and_one_invoice(here: Place, route: str) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.befall(tenant, route, kind="drop_after", count=3)  # the gateway tries three times
    assert reason_of(await here.refused(tenant)) == "OUTCOME_UNKNOWN"
    link = await here.ask(tenant)
    assert await here.ask(tenant) == link
    (customer,) = await here.customers(tenant)
    assert (link.customer, link.customer_created) == (customer.id, True)
    (invoice,) = await here.invoices(tenant)
    assert (invoice.id, invoice.status, invoice.amount_due) == (link.invoice, "open", 2_500)


async def test_while_nobody_knows_whether_there_is_a_customer_no_other_is_made(
    here: Place,
) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    await here.befall(tenant, "POST /v1/customers", kind="drop_before", count=3)
    assert reason_of(await here.refused(tenant)) == "OUTCOME_UNKNOWN"
    second = asyncio.ensure_future(here.ask(tenant, "two"))
    done, _ = await asyncio.wait([second], timeout=0.5)
    assert not done
    assert await here.customers(tenant) == []
    link, other = await here.ask(tenant), await second
    (customer,) = await here.customers(tenant)
    assert (link.customer, link.customer_created) == (customer.id, True)
    assert (other.customer, other.customer_created) == (customer.id, False)
    assert len(await here.invoices(tenant)) == 2


async def test_without_a_shortener_the_link_is_long(here: Place) -> None:
    tenant = await here.world.tenant()
    await here.contact(tenant)
    here.shortener.up = False
    try:
        links = [await here.ask(tenant, f"r-{number}") for number in range(7)]
    finally:
        here.shortener.up = True
    for link in links:
        assert link.short_url == link.url
        assert not link.shortened
    assert await here.ask(tenant, "r-0") == links[0], "an answer stays what it was"


async def mirrored(here: Place, tenant: Tenant, customer: str) -> None:
    """Wait until the mirror shows a customer."""

    async def look() -> bool:
        try:
            await here.world.service.customers.GetCustomer(
                customers_pb.GetCustomerRequest(id=customer), metadata=tenant.metadata
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return False
        return True

    assert await until(look)
