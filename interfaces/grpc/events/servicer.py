"""EventService."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing_client.v1 import event_service_pb2 as pb
from billing_client.v1 import event_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.events.use_cases import Events
from application.events.watch import Watching
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.events import mapping


class EventServicer(pb_grpc.EventServiceServicer):
    """What Stripe told, what became of it, and what it means for the business."""

    def __init__(self, events: Events, watching: Watching) -> None:
        self._events = events
        self._watching = watching

    @override
    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        page = await self._events.list(
            current_caller(),
            query,
            page_size=request.page_size,
            page_token=request.page_token,
            violations=violations,
        )
        return mapping.page_message(page)

    @override
    async def GetEvent(self, request: pb.GetEventRequest, context: Context) -> pb.Event:
        violations: list[FieldViolation] = []
        full = mapping.read_view(request, violations)
        record, payload = await self._events.get(
            current_caller(), request.id, full=full, violations=violations
        )
        return mapping.event_message(record, payload)

    @override
    async def RetryEvent(self, request: pb.RetryEventRequest, context: Context) -> pb.Event:
        return mapping.event_message(await self._events.retry(current_caller(), request.id))

    @override
    async def RetryDeadEvents(
        self, request: pb.RetryDeadEventsRequest, context: Context
    ) -> pb.RetryDeadEventsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_retry_dead(request, violations)
        count, more = await self._events.retry_all(current_caller(), query, violations)
        return pb.RetryDeadEventsResponse(retried_count=count, more=more)

    @override
    async def ExplainObject(
        self, request: pb.ExplainObjectRequest, context: Context
    ) -> pb.ExplainObjectResponse:
        query = mapping.read_explain(request)
        explanation = await self._events.explain_object(current_caller(), query)
        return mapping.explanation_message(explanation)

    @override
    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        watch = self._watching.watch(
            current_caller(),
            resume_token=request.resume_token,
            oldest=request.from_oldest,
            facts=request.facts,
        )
        async with aclosing(watch) as replies:
            async for watched in replies:
                yield mapping.watched_message(watched)
