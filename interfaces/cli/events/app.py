"""`billing events`: what Stripe told, what became of it, another chance for what failed."""

import typer

from interfaces.cli.client import Reach
from interfaces.cli.events.explaining import add_explain
from interfaces.cli.events.listing import add_list, add_show
from interfaces.cli.events.retrying import add_retry, add_retry_dead
from interfaces.cli.events.watching import add_watch


def events_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="List, explain, retry and follow Stripe's events.",
    )
    for add in (add_list, add_show, add_explain, add_retry, add_retry_dead, add_watch):
        add(app, reach)
    return app
