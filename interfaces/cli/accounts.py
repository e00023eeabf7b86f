"""`billing accounts`: the accounts of the embedded setting."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer
from rich.text import Text

from application.accounts.administration import PAGE, AccountAdministration
from domain.accounts import Account
from domain.connections import Connection
from domain.errors import BillingError
from interfaces.cli.output import JsonOption, print_json, print_table, say, table_of
from interfaces.cli.refusals import FLAGS, refused_here
from interfaces.cli.target import EnvFileOption

T = TypeVar("T")

Run = Callable[[Callable[[AccountAdministration], Awaitable[T]], Path | None], T]
"""Opens the store of the settings (and of an env file), does something with the accounts in it."""

_Row: TypeAlias = tuple[Account, Connection | None]
_FLAGS = {**FLAGS, "id": "ACCOUNT"}


def accounts_app(run: Run[list[_Row]]) -> typer.Typer:
    """The commands, on whatever store `run` opens."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Keep the accounts, only if your platform does not write tenants into _accounts.",
    )
    for add in (_add_add, _add_list, _add_show):
        add(app, run)
    return app


def _add_add(app: typer.Typer, run: Run[list[_Row]]) -> None:
    @app.command()
    def add(
        account: Annotated[str, typer.Argument(help="Id: letters, digits, - or _.")],
        name: Annotated[str, typer.Option(help="Name for people.")],
        currency: Annotated[str, typer.Option(help="ISO 4217 code, such as usd.")] = "usd",
        parent: Annotated[
            str, typer.Option(help="Id of the main account, for a sub-account.", show_default=False)
        ] = "",
        stripe_account: Annotated[
            str,
            typer.Option(
                help="Connect this Stripe account (acct_...) without OAuth.", show_default=False
            ),
        ] = "",
        owner: Annotated[
            str, typer.Option(help="Your id of the person whose it is.", show_default=False)
        ] = "",
        tier: Annotated[str, typer.Option(help="Its plan with you.", show_default=False)] = "",
        flag: Annotated[
            list[str] | None,
            typer.Option(help="What it may do, such as listings. Repeatable.", show_default=False),
        ] = None,
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Add an account, and connect its Stripe account."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            added = await administration.add(
                account, name, currency, parent, stripe_account,
                owner=owner, tier=tier, flags=flag or (),
            )  # fmt: skip
            return [added]

        _print(_done(run, work, env_file), as_json=as_json)


def _add_list(app: typer.Typer, run: Run[list[_Row]]) -> None:
    @app.command("list")
    def list_accounts(
        after: Annotated[str, typer.Option(help="Start after this id.", show_default=False)] = "",
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """List accounts, a hundred at a time, in order of id."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            return list(await administration.list(after=after))

        rows = _done(run, work, env_file)
        if as_json or rows:
            _print(rows, as_json=as_json, many=True)
        else:
            say(f"no accounts after {after}" if after else "no accounts: billing accounts add ...")
        if len(rows) == PAGE and not as_json:
            say(f"there may be more: --after {rows[-1][0].id}")


def _add_show(app: typer.Typer, run: Run[list[_Row]]) -> None:
    @app.command()
    def show(
        account: Annotated[str, typer.Argument(help="Id of the account.")],
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show one account and its connection."""

        async def work(administration: AccountAdministration) -> list[_Row]:
            return [await administration.show(account)]

        _print(_done(run, work, env_file), as_json=as_json)


def _done(
    run: Run[list[_Row]],
    work: Callable[[AccountAdministration], Awaitable[list[_Row]]],
    env_file: Path | None,
) -> list[_Row]:
    """What the work gives. Raises Refused, with flags in the place of fields."""
    try:
        return run(work, env_file)
    except BillingError as error:
        raise refused_here(error, _FLAGS) from None


def _print(rows: list[_Row], *, as_json: bool, many: bool = False) -> None:
    found = [_values(row) for row in rows]
    if as_json:
        print_json({"accounts": found} if many else found[0])
        return
    columns = ("account\nStripe account", "name", "currency", "parent", "mode", "state")
    table = table_of(*columns, ids=(columns[0], "parent", "currency", "mode", "state"))
    for values in found:
        linked = values["stripe_account"] or "not connected"
        table.add_row(
            Text(f"{values['account']}\n{linked}"),
            *(Text(values[name] or "") for name in columns[1:]),
        )
    print_table(table)


def _values(row: _Row) -> dict[str, Any]:
    account, connection = row
    return {
        "account": account.id, "name": account.name, "currency": account.currency,
        "parent": account.parent, "owner": account.owner, "tier": account.tier,
        "flags": [*account.flags],
        "stripe_account": connection.stripe_account if connection else None,
        "mode": connection.mode.value if connection else None,
        "state": connection.state.value if connection else None,
    }  # fmt: skip
