"""`billing token`: a token for a caller of the gRPC services."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

Issue = Callable[[str, str, Sequence[str], dt.timedelta], str]
"""Signs a token for (subject, account, scopes, lifetime)."""

SCOPES = (
    "customers.read",
    "customers.write",
    "charges.read",
    "charges.write",
    "invoices.read",
    "invoices.write",
    "analytics.read",
    "connections.read",
    "events.read",
    "events.payload",
    "events.write",
    "events.watch",
    "mirror.read",
    "mirror.write",
    "payment_methods.read",
    "payment_methods.write",
    "subscriptions.read",
    "subscriptions.write",
    "notes.read",
    "notes.write",
    "notes.admin",
    "contacts.read",
    "contacts.write",
    "payment_links.write",
)


def add_token_command(app: typer.Typer, issue: Issue) -> None:
    """Add the command to an app; `issue` signs with the deployment's first caller key."""

    @app.command()
    def token(
        account: Annotated[str, typer.Argument(help="Whose it is; - for an operator.")],
        scope: Annotated[
            list[str], typer.Option(help="May be given several times; default: all of them.")
        ] = list(SCOPES),  # noqa: B006 - typer copies it
        subject: Annotated[str, typer.Option(help="Who calls, as it stands in logs.")] = "operator",
        minutes: Annotated[int, typer.Option(min=1, max=1_440, help="How long it holds.")] = 60,
    ) -> None:
        """Print a bearer token, signed with the first of BILLING_CALLER_KEYS."""
        typer.echo(issue(subject, account, scope, dt.timedelta(minutes=minutes)))
