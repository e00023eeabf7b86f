"""`billing token`: a token for a caller of the gRPC services."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

Issue = Callable[[str, str, Sequence[str], dt.timedelta], str]
"""Signs a token for (subject, account, scopes, lifetime); without scopes, for all there are."""


def add_token_command(app: typer.Typer, issue: Issue) -> None:
    """Add the command to an app; `issue` signs with the deployment's first caller key."""

    @app.command()
    def token(
        account: Annotated[str, typer.Argument(help="Whose it is; - for an operator.")],
        scope: Annotated[
            list[str] | None,
            typer.Option(help="May be given several times; without it, all of them."),
        ] = None,
        subject: Annotated[str, typer.Option(help="Who calls, as it stands in logs.")] = "operator",
        minutes: Annotated[int, typer.Option(min=1, max=1_440, help="How long it holds.")] = 60,
    ) -> None:
        """Print a bearer token, signed with the first of BILLING_CALLER_KEYS."""
        typer.echo(issue(subject, account, scope or (), dt.timedelta(minutes=minutes)))
