"""`billing events explain`."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer
from billing_client.v1 import event_service_pb2 as pb

from interfaces.cli.client import Reach, run
from interfaces.cli.events.calls import EventCalls
from interfaces.cli.events.options import AccountOption
from interfaces.cli.events.tables import row_table, timeline
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.output import JsonOption, print_json, print_table, say
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks

_FLAGS: Final[Mapping[str, str]] = {**FLAGS, "object_id": "OBJECT_ID"}


def add_explain(app: typer.Typer, reach: Reach) -> None:
    """Add `explain`."""

    @app.command()
    @asks
    def explain(
        target: Target,
        object_type: Annotated[str, typer.Argument(help="As Stripe names it: invoice, charge.")],
        object_id: Annotated[
            str, typer.Argument(help="Id of the object, such as in_...; after -- if it is -...")
        ],
        account: AccountOption = "",
        stripe_account: Annotated[
            str,
            typer.Option(
                "--stripe-account", show_default=False,
                help="The Stripe account of the object (acct_...), or platform; an operator needs "
                "this or --account.",
            ),
        ] = "",
        limit: Annotated[
            int, typer.Option(min=1, max=10_000, help="How many events at most.")
        ] = 200,
        as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """Tell how an object came to be as it is mirrored: names of fields, no values."""
        request = pb.ExplainObjectRequest(
            account=account, stripe_account=stripe_account,
            object_type=object_type, object_id=object_id,
        )  # fmt: skip
        found = run(EventCalls(reach(target)).explain(request, limit), _FLAGS)
        if as_json:
            print_json(found)
        else:
            _print(found)
        if not found.HasField("row"):
            words = f"the mirror has no {object_type} {object_id} of {found.stripe_account}"
            raise Refused(words, ExitCode.NOT_FOUND)


def _print(found: pb.ExplainObjectResponse) -> None:
    if found.HasField("row"):
        print_table(row_table(found.row))
    if found.events:
        print_table(timeline(found.events))
    else:
        say("no events about it")
    if found.next_page_token:
        say("there are more events: raise --limit")
