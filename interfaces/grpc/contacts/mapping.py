"""Contact links, linking all customers, and how contacts are filled."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from billing_client.v1 import contact_link_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from application.contacts.ports import ContactLink
from application.contacts.use_cases import MappingChange
from application.requests.paging import Page
from domain.contacts import ContactField, ContactSync
from domain.customers import Customer
from domain.operations import Operation, OperationState
from interfaces.grpc.core.timestamps import timestamp_message
from interfaces.grpc.customers.mapping import customer_message
from interfaces.grpc.mirror.mapping import reason_value

STATES: Final[Mapping[OperationState, pb.Linking.State.ValueType]] = {
    OperationState.PENDING: pb.Linking.STATE_PENDING,
    OperationState.RUNNING: pb.Linking.STATE_RUNNING,
    OperationState.SUCCEEDED: pb.Linking.STATE_SUCCEEDED,
    OperationState.FAILED: pb.Linking.STATE_FAILED,
    OperationState.CANCELLED: pb.Linking.STATE_CANCELLED,
}


def link_message(link: ContactLink) -> pb.ContactLink:
    """A link."""
    return pb.ContactLink(
        customer=link.customer,
        contact=link.contact,
        link_time=timestamp_message(link.linked_at),
    )


def unlinked_message(page: Page[Customer]) -> pb.ListUnlinkedCustomersResponse:
    """A page of customers without a contact."""
    return pb.ListUnlinkedCustomersResponse(
        customers=map(customer_message, page.items), next_page_token=page.next_page_token
    )


def linking_message(operation: Operation) -> pb.Linking:
    """An operation that links all customers."""
    progress = operation.progress
    return pb.Linking(
        id=operation.id,
        state=STATES[operation.state],
        customer_count=progress.total,
        read_count=progress.read,
        linked_count=progress.linked,
        created_count=progress.created,
        unmatched_count=progress.unmatched,
        already_linked_count=progress.already_linked,
        request_time=timestamp_message(operation.requested_at),
        start_time=_timestamp(operation.started_at),
        finish_time=_timestamp(operation.finished_at),
        error_reason=reason_value(operation.error_reason),
        error_message=operation.error,
    )


def field_message(field: ContactField) -> pb.ContactField:
    """A field of contacts."""
    return pb.ContactField(name=field.name, label=field.label, custom=field.custom)


def mapping_message(settings: ContactSync) -> pb.ContactMapping:
    """How an account's contacts are filled."""
    return pb.ContactMapping(
        fields=settings.mapping, create_contacts=settings.create, etag=settings.etag
    )


def read_change(message: pb.ContactMapping) -> MappingChange:
    """What a mapping is to become."""
    return MappingChange(dict(message.fields), message.create_contacts, message.etag)


def _timestamp(instant: dt.datetime | None) -> Timestamp | None:
    return None if instant is None else timestamp_message(instant)
