"""ContactLinkService."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing_client.v1 import contact_link_service_pb2 as pb
from billing_client.v1 import contact_link_service_pb2_grpc as pb_grpc
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

from application.contacts.link_all_calls import ContactLinkJobs
from application.contacts.use_cases import ContactLinks
from interfaces.grpc.contacts import mapping
from interfaces.grpc.core.calls import Context, current_caller


class ContactLinkServicer(pb_grpc.ContactLinkServiceServicer):
    """Which contact of the CRM each customer is, and how contacts are filled."""

    def __init__(self, links: ContactLinks, jobs: ContactLinkJobs) -> None:
        self._links = links
        self._jobs = jobs

    @override
    async def LinkContact(self, request: pb.LinkContactRequest, context: Context) -> pb.ContactLink:
        link = await self._links.link(
            current_caller(), request.request_id, request.customer, request.contact
        )
        return mapping.link_message(link)

    @override
    async def UnlinkContact(self, request: pb.UnlinkContactRequest, context: Context) -> Empty:
        await self._links.unlink(current_caller(), request.request_id, request.customer)
        return Empty()

    @override
    async def GetContactLink(
        self, request: pb.GetContactLinkRequest, context: Context
    ) -> pb.ContactLink:
        link = await self._links.get(
            current_caller(), customer=request.customer, contact=request.contact
        )
        return mapping.link_message(link)

    @override
    async def ListUnlinkedCustomers(
        self, request: pb.ListUnlinkedCustomersRequest, context: Context
    ) -> pb.ListUnlinkedCustomersResponse:
        page = await self._links.list_unlinked(
            current_caller(), page_size=request.page_size, page_token=request.page_token
        )
        return mapping.unlinked_message(page)

    @override
    async def StartLinking(self, request: pb.StartLinkingRequest, context: Context) -> pb.Linking:
        return mapping.linking_message(await self._jobs.start(current_caller()))

    @override
    async def GetLinking(self, request: pb.GetLinkingRequest, context: Context) -> pb.Linking:
        return mapping.linking_message(await self._jobs.get(current_caller()))

    @override
    async def WatchLinking(
        self, request: pb.WatchLinkingRequest, context: Context
    ) -> AsyncGenerator[pb.Linking, None]:
        async with aclosing(self._jobs.watch(current_caller())) as operations:
            async for operation in operations:
                yield mapping.linking_message(operation)

    @override
    async def CancelLinking(self, request: pb.CancelLinkingRequest, context: Context) -> pb.Linking:
        return mapping.linking_message(await self._jobs.cancel(current_caller()))

    @override
    async def ListContactFields(
        self, request: pb.ListContactFieldsRequest, context: Context
    ) -> pb.ListContactFieldsResponse:
        fields = await self._links.fields(current_caller())
        return pb.ListContactFieldsResponse(fields=map(mapping.field_message, fields))

    @override
    async def GetContactMapping(
        self, request: pb.GetContactMappingRequest, context: Context
    ) -> pb.ContactMapping:
        return mapping.mapping_message(await self._links.mapping(current_caller()))

    @override
    async def UpdateContactMapping(
        self, request: pb.UpdateContactMappingRequest, context: Context
    ) -> pb.ContactMapping:
        settings = await self._links.update_mapping(
            current_caller(),
            request.request_id,
            mapping.read_change(request.contact_mapping),
            tuple(request.update_mask.paths),
        )
        return mapping.mapping_message(settings)
