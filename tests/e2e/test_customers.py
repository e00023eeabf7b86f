"""Customers over gRPC: searched, and with the contacts that they are linked to."""

import datetime as dt
from functools import partial

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb

from application.contacts.ports import ContactLink
from bootstrap.process import opened
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    arrived,
    bearer,
    reason_of,
    token_for,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINKED_AT = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


async def search(
    here: ServiceAndEmulator, tenant: Tenant, query: str, **more: object
) -> list[pb.Customer]:
    """One page of what a query finds."""
    request = pb.SearchCustomersRequest(query=query, **more)  # type: ignore[arg-type]  # as given
    page = await here.service.customers.SearchCustomers(
        request, metadata=tenant.metadata, timeout=10
    )
    return list(page.customers)


async def create(
    here: ServiceAndEmulator, tenant: Tenant, request_id: str, **fields: str
) -> pb.Customer:
    customer = pb.Customer(**fields)  # type: ignore[arg-type]  # texts
    return await here.service.customers.CreateCustomer(
        pb.CreateCustomerRequest(customer=customer, request_id=request_id),
        metadata=tenant.metadata,
        timeout=10,
    )


async def test_a_customer_is_found_as_soon_as_it_is_written(here: ServiceAndEmulator) -> None:
    tenant, other = await here.tenant(), await here.tenant()
    made = await create(
        here, tenant, "one", name=f"Zoë {PRIVATE} Straße", phone="+1 (555) 010-9999",
        email=f"zoe@{PRIVATE.lower()}.example",
    )  # fmt: skip
    for query in ("ZO\u00cb", f"strasse {PRIVATE[:4]}", "exam zoe", "+1 555 010", "1555"):
        assert [one.id for one in await search(here, tenant, query)] == [made.id], query
        assert await search(here, other, query) == []
    assert await search(here, tenant, "oe") == []
    update = pb.UpdateCustomerRequest(
        customer=pb.Customer(id=made.id, name=f"Mia {PRIVATE}"), request_id="two"
    )
    await here.service.customers.UpdateCustomer(update, metadata=tenant.metadata)
    assert await search(here, tenant, "strasse") == []
    assert [one.id for one in await search(here, tenant, "mia")] == [made.id]
    deletion = pb.DeleteCustomerRequest(id=made.id, request_id="three")
    await here.service.customers.DeleteCustomer(deletion, metadata=tenant.metadata)
    assert await search(here, tenant, "mia") == []


async def test_a_webhook_is_found_too_and_pages_go_on(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    for number in range(3):
        made = await here.sdk.v1.customers.create_async(
            {"name": f"Max{number} {PRIVATE}"}, tenant.options
        )
        await arrived(here, tenant, made.id, f"Max{number} {PRIVATE}")
    names, token = [], ""
    for _ in range(3):
        page = await here.service.customers.SearchCustomers(
            pb.SearchCustomersRequest(query="max", page_size=1, page_token=token),
            metadata=tenant.metadata,
        )
        names += [one.name for one in page.customers]
        token = page.next_page_token
    assert (sorted(names), token) == ([f"Max{number} {PRIVATE}" for number in range(3)], "")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SearchCustomersRequest(query=" -- "), "query"),
        (pb.SearchCustomersRequest(query="a " * 257), "query"),
        (pb.SearchCustomersRequest(query="a", page_size=101), "page_size"),
        (pb.SearchCustomersRequest(query="a", page_token="forged"), "page_token"),
    ],
)
async def test_a_bad_search_names_its_field(
    here: ServiceAndEmulator, request_: pb.SearchCustomersRequest, field: str
) -> None:
    tenant = await here.tenant()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await here.service.customers.SearchCustomers(request_, metadata=tenant.metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}:")


async def test_a_search_wants_the_scope(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    metadata = bearer(token_for(tenant.account, "customers.write"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await here.service.customers.SearchCustomers(
            pb.SearchCustomersRequest(query="a"), metadata=metadata
        )
    assert reason_of(refused.value) == "SCOPE_MISSING"


async def test_customers_are_told_with_the_contact_that_they_are_linked_to(
    here: ServiceAndEmulator,
) -> None:
    tenant, other = await here.tenant(), await here.tenant()
    linked = await create(here, tenant, "one", name=f"Ada {PRIVATE}")
    alone = await create(here, tenant, "two", name=f"Alan {PRIVATE}")
    async with opened(here.service.parsed()) as container:
        contacts = container.stores.contacts()
        for account, stripe_account, contact in (
            (tenant.account, tenant.stripe_account, "c-7"),
            (other.account, other.stripe_account, "c-8"),
        ):
            link = ContactLink(account, stripe_account, linked.id, contact, LINKED_AT)
            assert await contacts.link(link) == link

    def told(customer: pb.Customer) -> tuple[str, dt.datetime | None]:
        at = customer.contact_link_time.ToDatetime(dt.UTC)
        return customer.contact, at if customer.HasField("contact_link_time") else None

    wanted = {linked.id: ("c-7", LINKED_AT), alone.id: ("", None)}
    stub = here.service.customers
    page = await stub.ListCustomers(pb.ListCustomersRequest(), metadata=tenant.metadata)
    assert {one.id: told(one) for one in page.customers} == wanted
    found = await search(here, tenant, PRIVATE)
    assert {one.id: told(one) for one in found} == wanted

    async def is_told(id_: str, expected: tuple[str, dt.datetime | None]) -> bool:
        request = pb.GetCustomerRequest(id=id_)
        return told(await stub.GetCustomer(request, metadata=tenant.metadata)) == expected

    for id_, expected in wanted.items():
        # A link that another process has made, as here, is seen two seconds later at the latest.
        await until(partial(is_told, id_, expected))
    update = pb.UpdateCustomerRequest(
        customer=pb.Customer(id=linked.id, description="VIP"), request_id="three"
    )
    assert told(await stub.UpdateCustomer(update, metadata=tenant.metadata)) == wanted[linked.id]
