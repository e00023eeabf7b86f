"""Received Stripe events, explanations of objects, and billing events."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import event_service_pb2 as pb

from application.events.event_log import EventRecord
from application.events.explanation import (
    Basis,
    ExplainedEvent,
    FacetFacts,
    RowFacts,
    RowState,
    Telling,
)
from application.events.inbox import EventState
from application.events.use_cases import EventQuery, Explanation, ObjectQuery
from application.events.watch import BillingEvent, Watched
from application.requests.paging import Page
from domain.errors import FieldViolation
from domain.mirror import Version
from domain.periods import from_milliseconds
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

STATES: Final[Mapping[EventState, pb.Event.State.ValueType]] = {
    EventState.PENDING: pb.Event.STATE_PENDING,
    EventState.PROCESSED: pb.Event.STATE_PROCESSED,
    EventState.IGNORED: pb.Event.STATE_IGNORED,
    EventState.DEAD: pb.Event.STATE_DEAD,
}
ROW_STATES: Final[Mapping[RowState, pb.MirroredRow.State.ValueType]] = {
    RowState.LIVE: pb.MirroredRow.STATE_LIVE,
    RowState.DELETED: pb.MirroredRow.STATE_DELETED,
    RowState.FACETS_ONLY: pb.MirroredRow.STATE_FACETS_ONLY,
}
TELLINGS: Final[Mapping[Telling, pb.ExplainedEvent.Telling.ValueType]] = {
    Telling.STATE: pb.ExplainedEvent.TELLING_STATE,
    Telling.DELETION: pb.ExplainedEvent.TELLING_DELETION,
    Telling.HINT: pb.ExplainedEvent.TELLING_HINT,
    Telling.NOTHING: pb.ExplainedEvent.TELLING_NOTHING,
    Telling.UNREADABLE: pb.ExplainedEvent.TELLING_UNREADABLE,
}
BASES: Final[Mapping[Basis | None, pb.ExplainedEvent.Basis.ValueType]] = {
    None: pb.ExplainedEvent.BASIS_UNSPECIFIED,
    Basis.PREVIOUS_ATTRIBUTES: pb.ExplainedEvent.BASIS_PREVIOUS_ATTRIBUTES,
    Basis.PRECEDING_EVENT: pb.ExplainedEvent.BASIS_PRECEDING_EVENT,
}
_STATE_BY_VALUE: Final[Mapping[int, EventState | None]] = {
    pb.Event.STATE_UNSPECIFIED: None,
    **{value: state for state, value in STATES.items()},
}
_VIEWS: Final = (pb.EVENT_VIEW_UNSPECIFIED, pb.EVENT_VIEW_BASIC, pb.EVENT_VIEW_FULL)


def event_message(record: EventRecord, payload: bytes | None = None) -> pb.Event:
    """An event, with its payload where there is one to show."""
    return pb.Event(
        id=record.id,
        stripe_account=record.stripe_account,
        type=record.type,
        api_version=record.api_version,
        create_time=timestamp_message(from_milliseconds(record.created)),
        receive_time=timestamp_message(record.received_at),
        object_type=record.object_type,
        object_id=record.object_id,
        payload_size=record.size,
        state=STATES[record.state],
        decision=record.decision,
        effects=record.effects,
        attempts=record.attempts,
        error=record.error,
        next_attempt_time=timestamp_message(record.due_at) if record.due_at else None,
        payload=payload or b"",
    )


def page_message(page: Page[EventRecord]) -> pb.ListEventsResponse:
    """A page of events."""
    return pb.ListEventsResponse(
        events=map(event_message, page.items), next_page_token=page.next_page_token
    )


def explanation_message(explanation: Explanation) -> pb.ExplainObjectResponse:
    """How an object came to be as it is mirrored."""
    return pb.ExplainObjectResponse(
        stripe_account=explanation.stripe_account,
        row=_row_message(explanation.row) if explanation.row else None,
        events=map(_explained_message, explanation.events.items),
        next_page_token=explanation.events.next_page_token,
    )


def watched_message(watched: Watched) -> pb.WatchEventsResponse:
    """A billing event or a bookmark."""
    return pb.WatchEventsResponse(
        resume_token=watched.resume_token,
        event=_billing_event_message(watched.event) if watched.event else None,
    )


def read_list(request: pb.ListEventsRequest, violations: list[FieldViolation]) -> EventQuery:
    """Which events to list."""
    if request.state not in _STATE_BY_VALUE:
        violations.append(FieldViolation("state", "one of PENDING, PROCESSED, IGNORED, DEAD"))
    return _query(request, violations, _STATE_BY_VALUE.get(request.state))


def read_retry_dead(
    request: pb.RetryDeadEventsRequest, violations: list[FieldViolation]
) -> EventQuery:
    """Which dead events to retry."""
    return _query(request, violations, None)


def read_view(request: pb.GetEventRequest, violations: list[FieldViolation]) -> bool:
    """Whether the payload is asked for."""
    if request.view not in _VIEWS:
        violations.append(FieldViolation("view", "one of BASIC, FULL"))
    return request.view == pb.EVENT_VIEW_FULL


def read_explain(request: pb.ExplainObjectRequest) -> ObjectQuery:
    """Which object to explain."""
    return ObjectQuery(
        object_type=request.object_type,
        object_id=request.object_id,
        stripe_account=request.stripe_account,
        page_size=request.page_size,
        page_token=request.page_token,
    )


def _query(
    request: pb.ListEventsRequest | pb.RetryDeadEventsRequest,
    violations: list[FieldViolation],
    state: EventState | None,
) -> EventQuery:
    return EventQuery(
        stripe_account=request.stripe_account,
        state=state,
        type=request.type,
        object_id=request.object_id,
        received_from=read_instant(request, "received_after", violations),
        received_until=read_instant(request, "received_before", violations),
    )


def _row_message(row: RowFacts) -> pb.MirroredRow:
    return pb.MirroredRow(
        state=ROW_STATES[row.state],
        revision=row.revision,
        version=_version_message(row.version) if row.version else None,
        unknown_fields=row.unknown,
        facets=map(_facet_message, row.facets),
    )


def _facet_message(facet: FacetFacts) -> pb.RowFacet:
    return pb.RowFacet(
        name=facet.name,
        source_type=facet.source_type,
        source_id=facet.source_id,
        fields=facet.fields,
        version=_version_message(facet.version),
    )


def _version_message(version: Version) -> pb.RowVersion:
    message = pb.RowVersion(
        earliest_time=timestamp_message(from_milliseconds(version.low)),
        latest_time=timestamp_message(from_milliseconds(version.high)),
    )
    if version.sent_at is not None:
        message.read_time.CopyFrom(timestamp_message(from_milliseconds(version.sent_at)))
    if version.known_at is not None:
        message.known_time.CopyFrom(timestamp_message(from_milliseconds(version.known_at)))
    return message


def _explained_message(event: ExplainedEvent) -> pb.ExplainedEvent:
    return pb.ExplainedEvent(
        event=event_message(event.record),
        telling=TELLINGS[event.telling],
        changed_fields=event.changed,
        basis=BASES[event.basis],
    )


def _billing_event_message(event: BillingEvent) -> pb.BillingEvent:
    amount = event.amount
    money = None if amount is None else money_message(amount.amount, amount.currency)
    return pb.BillingEvent(
        id=event.id,
        fact=event.fact,
        account=event.account,
        stripe_account=event.stripe_account,
        object_id=event.object_id,
        customer=event.customer or "",
        amount=money,
        occur_time=timestamp_message(event.occurred_at),
    )
