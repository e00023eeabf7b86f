"""`billing callers`: the file of the callers, read, checked and cut."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Protocol

import typer

from interfaces.cli.output import JsonOption, print_json, print_table, say, table_of
from interfaces.cli.target import EnvFileOption


@dataclass(frozen=True, slots=True)
class CallerRow:
    """A caller as an operator reads it. `not_before` is in ISO 8601; empty for none."""

    name: str
    issuer: str
    scopes: str
    accounts: str
    operator: bool
    longest_minutes: int
    not_before: str
    keys: Sequence[str]


class CallersAdministration(Protocol):
    """The callers' file."""

    def rows(self) -> Sequence[CallerRow]:
        """All callers. Raises SettingsError with a line a problem where the file is wrong."""
        ...

    def cut(self, name: str) -> dt.datetime:
        """Refuse all that a caller has issued until now; from when on it is taken again.

        Raises as `rows`, ValueError for a caller that there is not, OSError where the file cannot
        be written.
        """
        ...


Find = Callable[[Path | None], CallersAdministration]
"""The file that the environment, or an env file, names."""


def callers_app(find: Find) -> typer.Typer:
    """The commands, on the file that `find` finds."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="List the callers of BILLING_CALLERS, cut a caller's old tokens.",
    )
    _add_list(app, find)
    _add_cut(app, find)
    return app


def _add_list(app: typer.Typer, find: Find) -> None:
    @app.command("list")
    def list_(env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
        """List who may call, for which accounts, and with which keys; no secret is shown."""
        rows = find(env_file).rows()
        if as_json:
            print_json([asdict(row) for row in rows])
            return
        table = table_of("caller", "issuer", "accounts", "scopes", "keys", ids=("caller",))
        for row in rows:
            accounts = f"{row.accounts}, operator" if row.operator else row.accounts
            table.add_row(row.name, row.issuer, accounts, row.scopes, ", ".join(row.keys))
        print_table(table)


def _add_cut(app: typer.Typer, find: Find) -> None:
    @app.command()
    def cut(
        caller: Annotated[str, typer.Argument(help="The caller's name in the file.")],
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Refuse every token that a caller has issued until now; the service follows by itself."""
        second = find(env_file).cut(caller)
        if as_json:
            print_json({"caller": caller, "not_before": second.isoformat()})
            return
        say(f"Tokens of {caller} from before {second.isoformat()} are refused within 5 seconds")
