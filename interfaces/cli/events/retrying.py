"""`billing events retry` and `retry-dead`."""

from typing import Annotated

import typer
from billing_client.v1 import event_service_pb2 as pb

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
from interfaces.cli.events.tables import event_table
from interfaces.cli.output import JsonOption, are, counted, print_json, print_table, say
from interfaces.cli.target import Target, asks
from interfaces.cli.times import timestamp


def add_retry(app: typer.Typer, reach: Reach) -> None:
    """Add `retry`."""

    @app.command()
    @asks
    def retry(
        target: Target,
        event: Annotated[str, typer.Argument(help="Id of the event, evt_...")],
        account: AccountOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Try a dead or waiting event again now."""
        found = run(EventCalls(reach(target)).retry(account, event))
        if as_json:
            print_json(found)
            return
        print_table(event_table(found))


def add_retry_dead(app: typer.Typer, reach: Reach) -> None:
    """Add `retry-dead`."""

    @app.command("retry-dead")
    @asks
    def retry_dead(
        target: Target,
        account: AccountOption = "",
        stripe_account: StripeAccountOption = "",
        type_: TypeOption = "",
        object_id: ObjectOption = "",
        since: SinceOption = None,
        until: UntilOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Try all dead events again now, or those of a filter."""
        request = pb.RetryDeadEventsRequest(
            account=account,
            stripe_account=stripe_account,
            type=type_,
            object_id=object_id,
            received_after=timestamp(since),
            received_before=timestamp(until),
        )
        count, more = run(EventCalls(reach(target)).retry_dead(request))
        if as_json:
            print_json({"retried_count": count, "more": more})
            return
        rest = "; there are more" if more else ""
        say(f"{counted(count, 'event')} {are(count)} tried again{rest}")
