"""`billing events watch`."""

import asyncio
from typing import Annotated, Final

import grpc
import typer
from billing_client.v1 import event_service_pb2 as pb

from interfaces.cli.client import Reach, run
from interfaces.cli.events.calls import EventCalls
from interfaces.cli.events.tables import line
from interfaces.cli.output import print_json_line, say
from interfaces.cli.target import Target, asks

PAUSE_SECONDS: Final = 1.0
"""How long a watch waits before it goes on after the service ended it."""


def add_watch(app: typer.Typer, reach: Reach) -> None:
    """Add `watch`."""

    @app.command()
    @asks
    def watch(
        target: Target,
        account: Annotated[
            str,
            typer.Option(
                "--account", show_default=False,
                help="The account whose events to follow; default: the one that the token "
                "belongs to. An operator names one.",
            ),
        ] = "",
        fact: Annotated[
            list[str] | None,
            typer.Option(help="Only this fact, such as invoice_paid; may be given several times."),
        ] = None,
        oldest: Annotated[
            bool, typer.Option("--oldest", help="Begin with the oldest event that is kept.")
        ] = False,
        resume: Annotated[
            str, typer.Option(help="Go on after this token of a watch.", show_default=False)
        ] = "",
        as_json: Annotated[
            bool, typer.Option("--json", help="Print a line of JSON an event.", show_default=False)
        ] = False,
    ) -> None:  # fmt: skip
        """Print an account's billing events as they happen, until interrupted."""
        request = pb.WatchEventsRequest(
            account=account, facts=fact, from_oldest=oldest, resume_token=resume
        )
        run(_watch(EventCalls(reach(target)), request, as_json=as_json))


async def _watch(calls: EventCalls, request: pb.WatchEventsRequest, *, as_json: bool) -> None:
    """Print events without end, also over the ends that every call has.

    A call that told nothing is not made again: what it failed with is not going to pass.
    """
    while True:
        told = False
        try:
            async for reply in calls.watch(request):
                told = True
                request.resume_token = reply.resume_token
                if as_json and reply.HasField("event"):
                    print_json_line(reply)
                elif reply.HasField("event"):
                    say(line(reply.event))
        except grpc.aio.AioRpcError as error:
            if not told or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
