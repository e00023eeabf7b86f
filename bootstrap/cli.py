"""The `billing` command: joins the commands of the service and of its sandbox.

What a command needs is imported when it runs: `--help`, `--version` and `token` are to be quick.
"""

import datetime as dt
import errno
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from bootstrap.names import SettingsError
from domain.errors import BillingError
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.late import Late
from interfaces.cli.target import EnvFileOption
from interfaces.cli.token import add_token_command

_Child = Annotated[
    bool,
    typer.Option(
        "--child", hidden=True, help="Say where it listens in JSON; end when standard input does."
    ),
]

_INTRODUCTION: Final = """
Billing keeps a mirror of Stripe that is right, and answers over gRPC.

Start with [bold]billing demo[/bold]: it needs no settings and leaves nothing behind.
"""

_EPILOG: Final = """
[bold]billing COMMAND --help[/bold] tells a command's flags, \
[bold]billing --install-completion[/bold] completes them in your shell, \
docs/cli.md has exit codes and examples.
"""

_TRY: Final = "Try it: no settings are needed"
_OPERATE: Final = "Ask a running service: an address and a token are needed"
_SERVE: Final = "Run the service: its settings are needed"
_KEEP: Final = "Keep tenants and contacts, if your platform does not"
_SETTINGS: Final = "Settings"

app = typer.Typer(
    name="billing",
    help=_INTRODUCTION,
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error is one line that says what to do, never a traceback."""
    try:
        app()
    except SettingsError as error:
        _fail(*str(error).splitlines())
    except BillingError as error:
        _fail(f"{error.message} ({error.reason})")
    except Refused as error:
        _fail(" ".join(str(error).split()), code=error.code)
    except (OSError, ValueError, RuntimeError) as error:
        _fail(" ".join(str(error).split()) or type(error).__name__)


def _fail(*lines: str, code: ExitCode = ExitCode.FAILED) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(f"billing: {line}", markup=False, emoji=False, soft_wrap=True)
    sys.exit(code)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("billing-service"))
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(rich_help_panel=_TRY)
def demo() -> None:
    """Watch ninety days of two businesses arrive, and come back over gRPC as revenue."""
    from rich.console import Console

    from bootstrap.endings import interruptible
    from bootstrap.sandbox import play_demo

    if not interruptible(play_demo(Console())):
        sys.exit(1)


@app.command("sandbox", rich_help_panel=_TRY)
def sandbox_command(
    grpc_address: Annotated[
        str, typer.Option(help="Where gRPC listens; port 0 takes a free one.")
    ] = "127.0.0.1:50051",
    http_address: Annotated[
        str, typer.Option(help="Where webhooks arrive; port 0 takes a free one.")
    ] = "127.0.0.1:8080",
) -> None:
    """Keep emulator and service running on a store of their own, and say what to try."""
    from rich.console import Console

    from bootstrap.endings import interruptible
    from bootstrap.sandbox import keep_running

    interruptible(keep_running(grpc_address, http_address, Console()))


@app.command(rich_help_panel=_TRY)
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 12111,
    child: _Child = False,
) -> None:
    """Run the Stripe emulator alone, for Stripe's SDK to call instead of Stripe."""
    import uvloop

    from bootstrap.endings import end_with_parent
    from sandbox.emulator import server
    from sandbox.emulator.settings import Settings

    if child:
        end_with_parent()

    def listening(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if child else f"Stripe's API is emulated at {url}")

    try:
        uvloop.run(server.serve(Settings(port=port), listening))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Refused(f"--port: {port} is in use; --port 0 takes a free one") from None


@app.command(cls=Late, rich_help_panel=_TRY)
def trigger() -> typer.Typer:
    """Let an event happen at a running emulator, for tests of your own."""
    from bootstrap.trigger import trigger_app

    return trigger_app()


def _mirror_commands() -> typer.Typer:
    from bootstrap.reach import reach
    from interfaces.cli.mirror.app import add_mirror_commands

    commands = typer.Typer(add_completion=False)
    add_mirror_commands(commands, reach)
    return commands


@app.command(cls=Late, rich_help_panel=_OPERATE)
def status() -> typer.Typer:
    """Show how current the mirror is, what waits and why, and what it holds."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def events() -> typer.Typer:
    """List, explain, retry and follow Stripe's events."""
    from bootstrap.reach import reach
    from interfaces.cli.events.app import events_app

    return events_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def backfill() -> typer.Typer:
    """Read all that Stripe holds into the mirror."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def reconcile() -> typer.Typer:
    """Compare the mirror with Stripe; exit code 1 where it is wrong and not mended."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def rebuild() -> typer.Typer:
    """Rebuild the mirror next to the live one, then swap it in row by row."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def prove() -> typer.Typer:
    """Prove the books from their rows, and against the bank; exit code 1 on a difference."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def reports() -> typer.Typer:
    """List the reports of comparisons and proofs, the last one first, or show one."""
    return _mirror_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def overview() -> typer.Typer:
    """Show what came in, what is left of it, how payments go, and what moved MRR."""
    from bootstrap.reach import reach
    from interfaces.cli.overview import add_overview

    commands = typer.Typer(add_completion=False)
    add_overview(commands, reach)
    return commands


def _subscriber_commands() -> typer.Typer:
    from bootstrap.reach import reach
    from interfaces.cli.subscribers import subscribers_app

    return subscribers_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def mrr() -> typer.Typer:
    """Show monthly recurring revenue, what moved it, and who came and went."""
    return _subscriber_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def cohorts() -> typer.Typer:
    """Show which part of the customers of each month still subscribes, month by month."""
    return _subscriber_commands()


@app.command(cls=Late, rich_help_panel=_OPERATE)
def connections() -> typer.Typer:
    """Connect accounts to their Stripe accounts, check and end that."""
    from bootstrap.reach import reach
    from interfaces.cli.connections import connections_app

    return connections_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def rates() -> typer.Typer:
    """Import and list exchange rates."""
    from bootstrap.reach import reach
    from interfaces.cli.rates import rates_app

    return rates_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def products() -> typer.Typer:
    """List and show products with their prices, and what they brought."""
    from bootstrap.reach import reach
    from interfaces.cli.products import products_app

    return products_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def prices() -> typer.Typer:
    """Replace a price by one that follows it."""
    from bootstrap.reach import reach
    from interfaces.cli.prices import prices_app

    return prices_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def payouts() -> typer.Typer:
    """List payouts, show what one consists of, and the balance."""
    from bootstrap.reach import reach
    from interfaces.cli.payouts.app import payouts_app

    return payouts_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def restatements() -> typer.Typer:
    """List what changed figures of a closed time, the last known first."""
    from bootstrap.reach import reach
    from interfaces.cli.restatements import restatements_app

    return restatements_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def catalogue() -> typer.Typer:
    """List what the store offers to an account, at what the account pays."""
    from bootstrap.reach import reach
    from interfaces.cli.catalogue import catalogue_app

    return catalogue_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def checkouts() -> typer.Typer:
    """List checkouts, show one with its time line, and decide about it."""
    from bootstrap.reach import reach
    from interfaces.cli.checkouts import checkouts_app

    return checkouts_app(reach)


@app.command(cls=Late, rich_help_panel=_OPERATE)
def wallet() -> typer.Typer:
    """Show wallets, what has happened to them, reload, adjust and prove them."""
    from bootstrap.commands import keep_wallets
    from bootstrap.reach import reach
    from interfaces.cli.wallet.app import wallet_app

    return wallet_app(reach, keep_wallets)


@app.command(rich_help_panel=_SERVE)
def serve(env_file: EnvFileOption = None, child: _Child = False) -> None:
    """Run the service until SIGTERM: gRPC, webhooks, projection, recovery."""
    gc.disable()  # until it serves: what is imported stays, and would be looked through ten times
    try:
        from bootstrap.commands import serve_until_stopped
        from bootstrap.endings import end_with_parent

        if child:
            end_with_parent()
        serve_until_stopped(child=child, env_file=env_file)
    finally:
        gc.enable()


def _issue_token(
    subject: str,
    account: str,
    scopes: Sequence[str],
    lifetime: dt.timedelta | None,
    env_file: Path | None,
    caller: str,
) -> str:
    from bootstrap.tokens import issue

    return issue(subject, account, scopes, lifetime, env_file, caller)


add_token_command(app, _issue_token, _SERVE)


@app.command(cls=Late, rich_help_panel=_SERVE)
def callers() -> typer.Typer:
    """List the callers of BILLING_CALLERS, cut a caller's old tokens."""
    from bootstrap.callers import find_callers
    from interfaces.cli.callers import callers_app

    return callers_app(find_callers)


@app.command(cls=Late, rich_help_panel=_KEEP)
def accounts() -> typer.Typer:
    """Keep the accounts, only if your platform does not write tenants into _accounts."""
    from bootstrap.commands import administer
    from interfaces.cli.accounts import accounts_app

    return accounts_app(administer)


@app.command(cls=Late, rich_help_panel=_KEEP)
def contacts() -> typer.Typer:
    """Keep the contacts, only if no CRM writes them into crm.contacts."""
    from bootstrap.commands import keep_contacts
    from bootstrap.reach import reach
    from interfaces.cli.contacts import contacts_app

    return contacts_app(keep_contacts, reach)


@app.command(rich_help_panel=_SETTINGS)
def settings(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.", show_default=False)
    ] = False,
) -> None:
    """List every setting: its name, its default, what it does, and what needs it."""
    from bootstrap.commands import print_settings

    print_settings(as_json=as_json)


if __name__ == "__main__":
    main()
