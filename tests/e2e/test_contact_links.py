"""Contact links over gRPC, against the real process."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from billing_client.v1 import contact_link_service_pb2 as pb
from billing_client.v1.contact_link_service_pb2_grpc import ContactLinkServiceStub
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from bootstrap.process import opened
from domain.contacts import Contact, ContactField
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    arrived,
    reason_of,
    until,
)

if TYPE_CHECKING:
    from billing_client.v1.contact_link_service_pb2_grpc import ContactLinkServiceAsyncStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


def stub(here: ServiceAndEmulator) -> "ContactLinkServiceAsyncStub":
    return ContactLinkServiceStub(here.service.channel)


async def contacts(here: ServiceAndEmulator, tenant: Tenant, **fields: Mapping[str, str]) -> None:
    """Contacts of the CRM, by id."""
    async with opened(here.service.parsed()) as container:
        directory = container.stores.contacts()
        for id_, values in fields.items():
            await directory.add(Contact(id_, tenant.account, values))


async def fields_of(here: ServiceAndEmulator, tenant: Tenant, contact: str) -> Mapping[str, str]:
    async with opened(here.service.parsed()) as container:
        found = await container.stores.contacts().get(tenant.account, contact)
    return found.fields if found else {}


async def customer(here: ServiceAndEmulator, tenant: Tenant, **fields: str) -> str:
    """A new customer that has arrived in the mirror."""
    given = {"name": PRIVATE, **fields}
    made = await here.sdk.v1.customers.create_async(given, tenant.options)  # type: ignore[arg-type]  # as given
    await arrived(here, tenant, made.id, given["name"])
    return made.id


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    """What a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


def link(
    here: ServiceAndEmulator, tenant: Tenant, customer_id: str, contact: str, request_id: str
) -> Any:
    request = pb.LinkContactRequest(customer=customer_id, contact=contact, request_id=request_id)
    return stub(here).LinkContact(request, metadata=tenant.metadata)


async def test_a_customer_is_linked_and_unlinked(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await contacts(here, tenant, ada={}, bob={})
    first, second = await customer(here, tenant), await customer(here, tenant)
    made = await link(here, tenant, first, "ada", "r-1")
    assert (made.customer, made.contact) == (first, "ada")
    for request_id in ("r-1", "r-2"):
        assert await link(here, tenant, first, "ada", request_id) == made
    links, metadata = stub(here), tenant.metadata
    for end in ({"customer": first}, {"contact": "ada"}):
        found = await links.GetContactLink(pb.GetContactLinkRequest(**end), metadata=metadata)  # type: ignore[arg-type]  # either end
        assert found == made

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await link(here, tenant, first, "bob", "r-3")
    assert told(caught.value) == ("CUSTOMER_LINKED", {"customer": first, "contact": "ada"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await link(here, tenant, second, "ada", "r-4")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert told(caught.value) == ("CONTACT_LINKED", {"customer": first, "contact": "ada"})

    for request_id in ("u-1", "u-1", "u-2"):
        request = pb.UnlinkContactRequest(customer=first, request_id=request_id)
        await links.UnlinkContact(request, metadata=metadata)
    gone = pb.GetContactLinkRequest(customer=first)
    assert await refused(links.GetContactLink(gone, metadata=metadata)) == NOT_FOUND
    assert (await link(here, tenant, second, "ada", "r-5")).customer == second


def told(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str]]:
    """The reason of a refusal and its metadata."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for synchronous calls
    assert status is not None
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info.reason, dict(info.metadata)


async def test_of_a_hundred_links_at_once_one_stands(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await contacts(here, tenant, **{f"c-{number}": {} for number in range(10)})
    id_ = await customer(here, tenant)

    async def one(number: int) -> str:
        try:
            made = await link(here, tenant, id_, f"c-{number % 10}", f"r-{number}")
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "CUSTOMER_LINKED":
                raise
            return told(error)[1]["contact"]
        return str(made.contact)

    assert len({*await asyncio.gather(*map(one, range(100)))}) == 1


async def test_what_is_refused(here: ServiceAndEmulator) -> None:
    tenant, stranger = await here.tenant(), await here.tenant()
    await contacts(here, tenant, ada={})
    id_ = await customer(here, tenant)
    links, metadata = stub(here), tenant.metadata
    assert await refused(link(here, tenant, "cus_unknown", "ada", "r-1")) == NOT_FOUND
    assert await refused(link(here, tenant, id_, "nobody", "r-2")) == NOT_FOUND
    assert await refused(link(here, stranger, id_, "ada", "r-3")) == NOT_FOUND
    unlink = pb.UnlinkContactRequest(customer="cus_unknown", request_id="r-4")
    assert await refused(links.UnlinkContact(unlink, metadata=metadata)) == NOT_FOUND
    foreign = pb.GetContactLinkRequest(account=tenant.account, contact="ada")
    assert await refused(links.GetContactLink(foreign, metadata=stranger.metadata)) == NOT_FOUND
    for call in (
        link(here, tenant, "", "", ""),
        links.UnlinkContact(pb.UnlinkContactRequest(), metadata=metadata),
        links.GetContactLink(pb.GetContactLinkRequest(), metadata=metadata),
        links.ListUnlinkedCustomers(
            pb.ListUnlinkedCustomersRequest(page_size=-1), metadata=metadata
        ),
    ):
        assert await refused(call) == INVALID
    forged = pb.ListUnlinkedCustomersRequest(page_token="forged")
    wanted = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    assert await refused(links.ListUnlinkedCustomers(forged, metadata=metadata)) == wanted
    for call in (
        links.GetLinking(pb.GetLinkingRequest(), metadata=metadata),
        links.CancelLinking(pb.CancelLinkingRequest(), metadata=metadata),
        anext(aiter(links.WatchLinking(pb.WatchLinkingRequest(), metadata=metadata))),
    ):
        assert await refused(call) == NOT_FOUND


async def test_all_customers_are_linked(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    domain = f"{PRIVATE.lower()}.example"
    await contacts(
        here, tenant,
        ada={"email": f"Ada@{domain}", "owner": "bob"}, phone={"phone": "+1 415-555-2671"},
        taken={"email": f"taken@{domain}"},
    )  # fmt: skip
    by_email = await customer(here, tenant, email=f"aDA@{domain}")
    by_phone = await customer(here, tenant, phone="+14155552671")
    before = await customer(here, tenant, email=f"taken@{domain}")
    nobody = await customer(here, tenant, name=f"{PRIVATE} II", email=f"new@{domain}")
    await link(here, tenant, before, "taken", "r-1")
    links, metadata = stub(here), tenant.metadata

    async def unlinked() -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListUnlinkedCustomersRequest(page_size=2, page_token=token)
            page = await links.ListUnlinkedCustomers(request, metadata=metadata)
            found += [one.id for one in page.customers]
            token = page.next_page_token
            if not token:
                return found

    assert sorted(await unlinked()) == sorted([by_email, by_phone, nobody])

    async def run() -> pb.Linking:
        started = await links.StartLinking(pb.StartLinkingRequest(), metadata=metadata)
        watch = links.WatchLinking(pb.WatchLinkingRequest(), metadata=metadata)
        seen = [one async for one in watch]
        assert {one.id for one in seen} == {started.id}
        last: pb.Linking = await links.GetLinking(pb.GetLinkingRequest(), metadata=metadata)
        assert seen[-1] == last
        assert last.state == pb.Linking.STATE_SUCCEEDED
        return last

    first = await run()
    counts = (first.read_count, first.linked_count, first.already_linked_count)
    assert counts == (4, 2, 1)
    assert (first.created_count, first.unmatched_count, first.customer_count) == (0, 1, 4)
    assert await unlinked() == [nobody]
    assert await fields_of(here, tenant, "ada") == {"email": f"Ada@{domain}", "owner": "bob"}

    await links.UpdateContactMapping(
        pb.UpdateContactMappingRequest(
            contact_mapping=pb.ContactMapping(
                fields={"name": "name", "email": "email"}, create_contacts=True
            ),
            request_id="map",
        ),
        metadata=metadata,
    )
    second = await run()
    assert second.id != first.id
    assert (second.read_count, second.created_count, second.already_linked_count) == (4, 1, 3)
    assert await unlinked() == []
    found = await links.GetContactLink(pb.GetContactLinkRequest(customer=nobody), metadata=metadata)
    wanted = {"name": f"{PRIVATE} II", "email": f"new@{domain}"}
    assert await fields_of(here, tenant, found.contact) == wanted
    cancelled = await links.CancelLinking(pb.CancelLinkingRequest(), metadata=metadata)
    assert cancelled == second, "what has ended stays as it is"


async def test_a_mapping_is_validated_kept_and_used(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    links, metadata = stub(here), tenant.metadata
    async with opened(here.service.parsed()) as container:
        field = ContactField("tier", "Tier")
        await container.stores.contacts().put_field(tenant.account, field)
    listed = await links.ListContactFields(pb.ListContactFieldsRequest(), metadata=metadata)
    known = {one.name: one.custom for one in listed.fields}
    assert (known["email"], known["tier"]) == (False, True)
    empty = await links.GetContactMapping(pb.GetContactMappingRequest(), metadata=metadata)
    assert not empty.fields
    assert empty.etag

    def update(request_id: str, etag: str = "", mask: tuple[str, ...] = (), **mapping: Any) -> Any:
        request = pb.UpdateContactMappingRequest(
            contact_mapping=pb.ContactMapping(etag=etag, **mapping),
            update_mask=FieldMask(paths=mask),
            request_id=request_id,
        )
        return links.UpdateContactMapping(request, metadata=metadata)

    fields = {"name": "name", "tier": "metadata.tier"}
    first = await update("r-1", empty.etag, fields=fields, create_contacts=True)
    assert dict(first.fields) == fields
    assert await links.GetContactMapping(pb.GetContactMappingRequest(), metadata=metadata) == first
    stale = update("r-2", empty.etag, fields={"name": "email"})
    assert await refused(stale) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await update("r-3", fields={"nonsense": "name", "name": "password"})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "contact_mapping.fields.nonsense" in str(caught.value.details())
    assert "contact_mapping.fields.name" in str(caught.value.details())
    assert await refused(update("r-4", mask=("*",), fields=fields)) == INVALID

    made = await here.sdk.v1.customers.create_async(
        {"name": PRIVATE, "metadata": {"tier": "gold"}}, tenant.options
    )

    async def contact() -> str | None:
        request = pb.GetContactLinkRequest(customer=made.id)
        try:
            return str((await links.GetContactLink(request, metadata=metadata)).contact)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None

    found = await until(contact)
    assert await fields_of(here, tenant, found) == {"name": PRIVATE, "tier": "gold"}
    off = await update("r-5", first.etag, mask=("fields", "create_contacts"))
    assert (dict(off.fields), off.create_contacts) == ({}, False)
