"""`billing events list` and `show`."""

import json
from typing import Annotated, Any

import typer
from billing_client.v1 import event_service_pb2 as pb

from application.events.inbox import EventState
from interfaces.cli.client import Reach, run
from interfaces.cli.events.calls import EventCalls
from interfaces.cli.events.options import (
    AccountOption,
    ObjectOption,
    SinceOption,
    StripeAccountOption,
    TypeOption,
    UntilOption,
)
from interfaces.cli.events.tables import event_table, events_table, readable
from interfaces.cli.output import JsonOption, plain, print_json, print_table, say
from interfaces.cli.target import Target, asks
from interfaces.cli.times import shown, timestamp


def add_list(app: typer.Typer, reach: Reach) -> None:
    """Add `list`."""

    @app.command("list")
    @asks
    def list_events(
        target: Target,
        account: AccountOption = "",
        stripe_account: StripeAccountOption = "",
        state: Annotated[EventState | None, typer.Option(help="Only in this state.")] = None,
        type_: TypeOption = "",
        object_id: ObjectOption = "",
        since: SinceOption = None,
        until: UntilOption = None,
        limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
        as_json: JsonOption = False,
    ) -> None:
        """List received events, the last one first."""
        request = pb.ListEventsRequest(
            account=account,
            page_size=limit,
            stripe_account=stripe_account,
            state=pb.Event.State.Value(f"STATE_{state.upper() if state else 'UNSPECIFIED'}"),
            type=type_,
            object_id=object_id,
            received_after=timestamp(since),
            received_before=timestamp(until),
        )
        reply = run(EventCalls(reach(target)).list(request))
        if as_json:
            print_json(reply)
            return
        if not reply.events:
            say(f"no {_described(request)}")
            return
        print_table(events_table(reply.events))
        if reply.next_page_token:
            say("there may be more: narrow the list, or raise --limit")


def add_show(app: typer.Typer, reach: Reach) -> None:
    """Add `show`."""

    @app.command()
    @asks
    def show(
        target: Target,
        event: Annotated[str, typer.Argument(help="Id of the event, evt_...")],
        account: AccountOption = "",
        payload: Annotated[
            bool, typer.Option("--payload", help="Print what Stripe sent: personal data.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Show one event, and what became of it."""
        found = run(EventCalls(reach(target)).get(account, event, full=payload))
        if as_json:
            print_json(_with_payload(found))
            return
        print_table(event_table(found))
        if payload:
            say(readable(found.payload))


def _with_payload(event: pb.Event) -> dict[str, Any]:
    """An event as JSON, its payload readable: JSON in it, or text."""
    values: dict[str, Any] = plain(event)
    values["payload"] = None
    if event.payload:
        try:
            values["payload"] = json.loads(event.payload)
        except ValueError:
            values["payload"] = event.payload.decode(errors="replace")
    return values


def _described(request: pb.ListEventsRequest) -> str:
    """What was asked for, where there is none of it."""
    state = pb.Event.State.Name(request.state).removeprefix("STATE_").lower()
    words = ["events" if state == "unspecified" else f"{state} events"]
    words += [f"of the type {request.type}"] if request.type else []
    words += [f"about {request.object_id}"] if request.object_id else []
    words += [f"of {whose}" for whose in (request.account, request.stripe_account) if whose]
    if request.HasField("received_after"):
        words.append(f"received since {shown(request.received_after)}")
    if request.HasField("received_before"):
        words.append(f"received before {shown(request.received_before)}")
    return " ".join(words)
