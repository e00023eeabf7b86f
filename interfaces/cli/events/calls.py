"""The calls of EventService that commands make, each on a channel of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from billing_client.v1 import event_service_pb2 as pb
from billing_client.v1 import event_service_pb2_grpc as pb_grpc

from interfaces.cli.client import Connect

PAGE: Final = 50
"""How many events of an object are asked for at once."""

MAX_RETRIES: Final = 1_000
"""How many calls retry_dead makes at most, of up to 20,000 events each."""

_READ: Final = ("events.read",)
_WRITE: Final = ("events.write",)


class EventCalls:
    """The calls. An empty account is the token's own; an operator's: all of them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @asynccontextmanager
    async def _stub(
        self, scopes: Sequence[str]
    ) -> AsyncGenerator["pb_grpc.EventServiceAsyncStub", None]:
        async with self._connect(scopes) as channel:
            yield pb_grpc.EventServiceStub(channel)

    async def list(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        """A page of events."""
        async with self._stub(_READ) as stub:
            return await stub.ListEvents(request)

    async def get(self, account: str, event: str, *, full: bool) -> pb.Event:
        """One event, with its payload where `full` asks for it."""
        view = pb.EVENT_VIEW_FULL if full else pb.EVENT_VIEW_BASIC
        async with self._stub((*_READ, "events.payload") if full else _READ) as stub:
            return await stub.GetEvent(pb.GetEventRequest(account=account, id=event, view=view))

    async def retry(self, account: str, event: str) -> pb.Event:
        """The event, once it is due again."""
        async with self._stub(_WRITE) as stub:
            return await stub.RetryEvent(pb.RetryEventRequest(account=account, id=event))

    async def retry_dead(self, request: pb.RetryDeadEventsRequest) -> tuple[int, bool]:
        """How many are tried again, and whether there may be more."""
        count = 0
        async with self._stub(_WRITE) as stub:
            for _ in range(MAX_RETRIES):
                reply = await stub.RetryDeadEvents(request)
                count += reply.retried_count
                if not reply.more:
                    return count, False
        return count, True

    async def explain(
        self, request: pb.ExplainObjectRequest, limit: int
    ) -> pb.ExplainObjectResponse:
        """The row and up to `limit` events about it; a page token where there are more."""
        whole = pb.ExplainObjectResponse()
        async with self._stub(_READ) as stub:
            while True:
                request.page_size = min(PAGE, limit - len(whole.events))
                reply = await stub.ExplainObject(request)
                events = [*whole.events, *reply.events]
                whole.CopyFrom(reply)
                del whole.events[:]
                whole.events.extend(events)
                request.page_token = reply.next_page_token
                if not reply.next_page_token or len(events) >= limit:
                    return whole

    async def watch(self, request: pb.WatchEventsRequest) -> AsyncIterator[pb.WatchEventsResponse]:
        """Events and bookmarks, until the service ends the call."""
        async with self._stub(("events.watch",)) as stub:
            async for reply in stub.WatchEvents(request):
                yield reply
