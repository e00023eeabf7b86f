"""`billing token`: a token for a caller of the gRPC services."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from interfaces.cli.target import EnvFileOption

Issue = Callable[[str, str, Sequence[str], dt.timedelta, Path | None], str]
"""Signs a token for (subject, account, scopes, lifetime), with the keys of the environment and an
env file; without scopes, for all there are."""


def add_token_command(app: typer.Typer, issue: Issue, panel: str | None = None) -> None:
    """Add the command to an app; `issue` signs with the deployment's first caller key."""

    @app.command(rich_help_panel=panel)
    def token(
        account: Annotated[
            str, typer.Argument(help="The account that it belongs to; - for an operator's.")
        ],
        scope: Annotated[
            list[str] | None,
            typer.Option(help="May be given several times; without it, all of them."),
        ] = None,
        subject: Annotated[str, typer.Option(help="Who calls, as it stands in logs.")] = "operator",
        minutes: Annotated[int, typer.Option(min=1, max=1_440, help="How long it holds.")] = 60,
        env_file: EnvFileOption = None,
    ) -> None:
        """Print a token to call with, signed with the first of BILLING_CALLER_KEYS."""
        lifetime = dt.timedelta(minutes=minutes)
        typer.echo(issue(subject, account, scope or (), lifetime, env_file))
