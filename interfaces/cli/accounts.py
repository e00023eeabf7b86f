"""`billing accounts`: the accounts of the embedded setting."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from application.accounts.administration import AccountAdministration
from domain.accounts import Account
from domain.connections import Connection

T = TypeVar("T")

Run = Callable[[Callable[[AccountAdministration], Awaitable[T]]], T]
"""Opens the store, does something with the accounts in it, and closes the store."""

_Row = tuple[Account, Connection | None]


def accounts_app(run: Run[list[_Row]]) -> typer.Typer:
    """The commands, on whatever store `run` opens."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Keep the accounts, where no platform does.",
    )

    @app.command()
    def add(
        account: Annotated[str, typer.Argument(help="Id: letters, digits, - or _.")],
        name: Annotated[str, typer.Option(help="Name for people.")],
        currency: Annotated[str, typer.Option(help="ISO 4217 code, such as usd.")] = "usd",
        parent: Annotated[
            str, typer.Option(help="Id of the main account, for a sub-account.")
        ] = "",
        stripe_account: Annotated[
            str, typer.Option(help="Connect this Stripe account (acct_...) without OAuth.")
        ] = "",
    ) -> None:
        """Add an account, and connect its Stripe account."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            return [await administration.add(account, name, currency, parent, stripe_account)]

        _print(run(work))

    @app.command("list")
    def list_accounts(
        after: Annotated[str, typer.Option(help="Start after this id.")] = "",
    ) -> None:
        """List accounts, a hundred at a time, in order of id."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            return list(await administration.list(after=after))

        _print(run(work))

    @app.command()
    def show(account: Annotated[str, typer.Argument(help="Id of the account.")]) -> None:
        """Show one account and its connection."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            return [await administration.show(account)]

        _print(run(work))

    return app


def _print(rows: list[_Row]) -> None:
    table = Table()
    for column in ("account", "name", "currency", "parent", "Stripe account", "mode", "state"):
        table.add_column(column, no_wrap=column in ("account", "Stripe account"))
    for account, connection in rows:
        linked = (
            (connection.stripe_account, connection.mode, connection.state) if connection else ()
        )
        table.add_row(
            account.id, account.name, account.currency, account.parent or "",
            *(linked or ("not connected", "", "")),
        )  # fmt: skip
    Console().print(table)
