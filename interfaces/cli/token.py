"""`billing token`: a token for a caller of the gRPC services."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from interfaces.cli.target import EnvFileOption

Issue = Callable[[str, str, Sequence[str], dt.timedelta | None, Path | None, str], str]
"""Signs a token for (subject, account, scopes, lifetime), with the settings of the environment and
of an env file, as a caller of a name; without scopes for all there are, without a lifetime for the
longest up to an hour."""


def add_token_command(app: typer.Typer, issue: Issue, panel: str | None = None) -> None:
    """Add the command to an app; `issue` signs with a key of the deployment's."""

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
        minutes: Annotated[
            int | None,
            typer.Option(
                min=1,
                max=1_440,
                show_default=False,
                help="How long it holds; default: 60, or as long as the caller's may.",
            ),
        ] = None,
        caller: Annotated[
            str,
            typer.Option(
                help="Whose key signs, of BILLING_CALLERS; default: the first that may.",
                show_default=False,
            ),
        ] = "",
        env_file: EnvFileOption = None,
    ) -> None:
        """Print a token to call with, signed as BILLING_CALLERS or BILLING_CALLER_KEYS allow."""
        lifetime = dt.timedelta(minutes=minutes) if minutes else None
        typer.echo(issue(subject, account, scope or (), lifetime, env_file, caller))
