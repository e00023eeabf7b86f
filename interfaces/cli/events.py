"""`billing events`: what Stripe told, what became of it, another chance for what failed."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeAlias

import grpc
import typer
from billing_client.v1 import event_service_pb2 as pb
from billing_client.v1 import event_service_pb2_grpc as pb_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from application.events.inbox import EventState
from application.requests.callers import OPERATOR
from interfaces.cli.client import Connect, run
from interfaces.cli.event_tables import (
    event_table,
    events_table,
    line,
    readable,
    row_table,
    timeline,
)

PAGE: Final = 50
"""How many events of an object are asked for at once."""

MAX_RETRIES: Final = 1_000
"""How many calls retry-dead makes at most, of up to 20,000 events each."""

PAUSE_SECONDS: Final = 1.0
"""How long a watch waits before it goes on after the service ended it."""

_READ: Final = ("events.read",)
_WRITE: Final = ("events.write",)

AccountOption: TypeAlias = Annotated[
    str, typer.Option("--account", help="Act as this account; else as an operator, of all.")
]
StripeAccountOption: TypeAlias = Annotated[
    str, typer.Option("--stripe-account", help="Of one Stripe account (acct_...), or platform.")
]
TypeOption: TypeAlias = Annotated[str, typer.Option("--type", help="Such as invoice.paid.")]
ObjectOption: TypeAlias = Annotated[
    str, typer.Option("--object", help="About this object; needs --stripe-account or --account.")
]
SinceOption: TypeAlias = Annotated[
    dt.datetime | None, typer.Option("--since", help="Received at or after this time, in UTC.")
]
UntilOption: TypeAlias = Annotated[
    dt.datetime | None, typer.Option("--until", help="Received before this time, in UTC.")
]


def events_app(connect: Connect) -> typer.Typer:
    """The commands, on the service that `connect` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Follow, explain and retry Stripe's events.",
    )
    service = _Service(connect)

    @app.command("list")
    def list_events(
        account: AccountOption = "",
        stripe_account: StripeAccountOption = "",
        state: Annotated[EventState | None, typer.Option(help="Where it stands.")] = None,
        type_: TypeOption = "",
        object_id: ObjectOption = "",
        since: SinceOption = None,
        until: UntilOption = None,
        limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
    ) -> None:
        """List received events, the last one first."""
        request = pb.ListEventsRequest(
            page_size=limit,
            stripe_account=stripe_account,
            state=pb.Event.State.Value(f"STATE_{state.upper() if state else 'UNSPECIFIED'}"),
            type=type_,
            object_id=object_id,
            received_after=_timestamp(since),
            received_before=_timestamp(until),
        )
        reply = run(service.list(account, request))
        _print(events_table(reply.events))
        if reply.next_page_token:
            _say("there may be more: narrow the list, or raise --limit")

    @app.command()
    def show(
        event: Annotated[str, typer.Argument(help="Id of the event, evt_...")],
        account: AccountOption = "",
        payload: Annotated[
            bool, typer.Option("--payload", help="Print what Stripe sent: personal data.")
        ] = False,
    ) -> None:
        """Show one event, and what became of it."""
        found = run(service.get(account, event, full=payload))
        _print(event_table(found))
        if payload:
            _print(readable(found.payload))

    @app.command()
    def retry(
        event: Annotated[str, typer.Argument(help="Id of the event, evt_...")],
        account: AccountOption = "",
    ) -> None:
        """Try a dead or waiting event again now."""
        _print(event_table(run(service.retry(account, event))))

    @app.command("retry-dead")
    def retry_dead(
        account: AccountOption = "",
        stripe_account: StripeAccountOption = "",
        type_: TypeOption = "",
        object_id: ObjectOption = "",
        since: SinceOption = None,
        until: UntilOption = None,
    ) -> None:
        """Try all dead events again now, or those of a filter."""
        request = pb.RetryDeadEventsRequest(
            stripe_account=stripe_account,
            type=type_,
            object_id=object_id,
            received_after=_timestamp(since),
            received_before=_timestamp(until),
        )
        count, more = run(service.retry_dead(account, request))
        _say(f"{count:,} events are tried again" + ("; there are more" if more else ""))

    @app.command()
    def explain(
        object_type: Annotated[str, typer.Argument(help="As Stripe names it: invoice, charge.")],
        object_id: Annotated[
            str, typer.Argument(help="Id of the object, such as in_...; after -- if it is -...")
        ],
        account: AccountOption = "",
        stripe_account: StripeAccountOption = "",
        limit: Annotated[
            int, typer.Option(min=1, max=10_000, help="How many events at most.")
        ] = 200,
    ) -> None:
        """Tell how an object came to be as it is mirrored: names of fields, no values."""
        request = pb.ExplainObjectRequest(
            stripe_account=stripe_account, object_type=object_type, object_id=object_id
        )
        row, events, more = run(service.explain(account, request, limit))
        _print(row_table(row) if row else "the mirror has no row of it")
        _print(timeline(events))
        if more:
            _say("there are more events: raise --limit")

    @app.command()
    def watch(
        account: AccountOption = "",
        fact: Annotated[
            list[str] | None, typer.Option(help="Only this fact, such as invoice_paid; several.")
        ] = None,
        oldest: Annotated[
            bool, typer.Option("--oldest", help="Begin with the oldest that is kept.")
        ] = False,
        resume: Annotated[str, typer.Option(help="Go on behind this token of a watch.")] = "",
    ) -> None:
        """Print an account's billing events as they happen, until interrupted."""
        request = pb.WatchEventsRequest(facts=fact, from_oldest=oldest, resume_token=resume)
        run(_watch(service, account, request))

    return app


class _Service:
    """The calls, each on a channel of its own. An empty account is an operator's."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @asynccontextmanager
    async def _stub(
        self, account: str, scopes: Sequence[str]
    ) -> AsyncGenerator["pb_grpc.EventServiceAsyncStub", None]:
        async with self._connect(account or OPERATOR, scopes) as channel:
            yield pb_grpc.EventServiceStub(channel)

    async def list(self, account: str, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        async with self._stub(account, _READ) as stub:
            return await stub.ListEvents(request)

    async def get(self, account: str, event: str, *, full: bool) -> pb.Event:
        view = pb.EVENT_VIEW_FULL if full else pb.EVENT_VIEW_BASIC
        scopes = (*_READ, "events.payload") if full else _READ
        async with self._stub(account, scopes) as stub:
            return await stub.GetEvent(pb.GetEventRequest(id=event, view=view))

    async def retry(self, account: str, event: str) -> pb.Event:
        async with self._stub(account, _WRITE) as stub:
            return await stub.RetryEvent(pb.RetryEventRequest(id=event))

    async def retry_dead(
        self, account: str, request: pb.RetryDeadEventsRequest
    ) -> tuple[int, bool]:
        """How many are tried again, and whether there may be more."""
        count = 0
        async with self._stub(account, _WRITE) as stub:
            for _ in range(MAX_RETRIES):
                reply = await stub.RetryDeadEvents(request)
                count += reply.retried_count
                if not reply.more:
                    return count, False
        return count, True

    async def explain(
        self, account: str, request: pb.ExplainObjectRequest, limit: int
    ) -> tuple[pb.MirroredRow | None, Sequence[pb.ExplainedEvent], bool]:
        """The row, up to `limit` events about it, and whether there are more."""
        events: list[pb.ExplainedEvent] = []
        async with self._stub(account, _READ) as stub:
            while True:
                request.page_size = min(PAGE, limit - len(events))
                reply = await stub.ExplainObject(request)
                events += reply.events
                request.page_token = reply.next_page_token
                if not reply.next_page_token or len(events) >= limit:
                    row = reply.row if reply.HasField("row") else None
                    return row, events, bool(reply.next_page_token)

    async def watch(
        self, account: str, request: pb.WatchEventsRequest
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        async with self._stub(account, ("events.watch",)) as stub:
            async for reply in stub.WatchEvents(request):
                yield reply


async def _watch(service: _Service, account: str, request: pb.WatchEventsRequest) -> None:
    """Print events without end, also over the ends that every call has.

    A call that told nothing is not made again: what it failed with is not going to pass.
    """
    while True:
        told = False
        try:
            async for reply in service.watch(account, request):
                told = True
                request.resume_token = reply.resume_token
                if reply.HasField("event"):
                    typer.echo(line(reply.event))
        except grpc.aio.AioRpcError as error:
            if not told or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _timestamp(instant: dt.datetime | None) -> Timestamp | None:
    """What was typed, which bears no zone, as UTC."""
    if instant is None:
        return None
    found = Timestamp()
    found.FromDatetime(instant.replace(tzinfo=dt.UTC))
    return found


def _print(what: Table | str) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(what, soft_wrap=isinstance(what, str))


def _say(words: str) -> None:
    typer.echo(words)
