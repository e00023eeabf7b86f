"""The `billing` command: joins the commands of the service and of its sandbox.

What a command needs is imported when it runs: `--help`, `--version` and `token` are to be quick.
"""

import datetime as dt
import gc
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from bootstrap.names import SettingsError
from domain.errors import BillingError
from interfaces.cli.late import Late
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
[bold]billing sandbox[/bold] keeps the same running for you to play with.
[bold]billing serve[/bold] is the service itself.

[bold]status[/bold], [bold]backfill[/bold], [bold]reconcile[/bold], [bold]rebuild[/bold], \
[bold]reports[/bold] and [bold]events[/bold] ask the running service; docs/mirror.md tells when.

The environment sets what [bold]billing settings[/bold] lists. [bold]demo[/bold], \
[bold]sandbox[/bold] and [bold]emulator[/bold] read none of it, [bold]token[/bold] only \
BILLING_CALLER_KEYS.
"""

app = typer.Typer(
    name="billing",
    help=_INTRODUCTION,
    no_args_is_help=True,
    add_completion=False,
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
    except (OSError, ValueError, RuntimeError) as error:
        _fail(" ".join(str(error).split()) or type(error).__name__)


def _fail(*lines: str) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(f"billing: {line}", markup=False, soft_wrap=True)
    sys.exit(1)


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


@app.command()
def demo() -> None:
    """Watch ninety days of two businesses arrive, and come back over gRPC as revenue."""
    from rich.console import Console

    from bootstrap.endings import interruptible
    from bootstrap.sandbox import play_demo

    if not interruptible(play_demo(Console())):
        sys.exit(1)


@app.command("sandbox")
def sandbox_command(
    grpc_address: Annotated[str, typer.Option(help="Where gRPC listens.")] = "127.0.0.1:50051",
    http_address: Annotated[str, typer.Option(help="Where webhooks arrive.")] = "127.0.0.1:8080",
) -> None:
    """Keep emulator and service running on a store of their own, and say what to try."""
    from rich.console import Console

    from bootstrap.endings import interruptible
    from bootstrap.sandbox import keep_running

    interruptible(keep_running(grpc_address, http_address, Console()))


@app.command()
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

    uvloop.run(server.serve(Settings(port=port), listening))


@app.command(cls=Late)
def trigger() -> typer.Typer:
    """Let an event happen at a running emulator, for tests of your own."""
    from bootstrap.trigger import trigger_app

    return trigger_app()


@app.command()
def serve(child: _Child = False) -> None:
    """Run the service until SIGTERM: gRPC, webhooks, projection, recovery."""
    gc.disable()  # until it serves: what is imported stays, and would be looked through ten times
    try:
        from bootstrap.commands import serve_until_stopped
        from bootstrap.endings import end_with_parent

        if child:
            end_with_parent()
        serve_until_stopped(child=child)
    finally:
        gc.enable()


@app.command()
def settings() -> None:
    """List the settings, which are read from the environment."""
    from bootstrap.commands import print_settings

    print_settings()


def _issue_token(subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta) -> str:
    from bootstrap.tokens import issue

    return issue(subject, account, scopes, lifetime)


add_token_command(app, _issue_token)


def _mirror_commands() -> typer.Typer:
    from bootstrap.commands import connect
    from interfaces.cli.mirror import add_mirror_commands

    commands = typer.Typer(add_completion=False)
    add_mirror_commands(commands, connect)
    return commands


@app.command(cls=Late)
def backfill() -> typer.Typer:
    """Read all that Stripe holds into the mirror."""
    return _mirror_commands()


@app.command(cls=Late)
def reconcile() -> typer.Typer:
    """Compare the mirror with Stripe; exit code 1 where it is wrong and not mended."""
    return _mirror_commands()


@app.command(cls=Late)
def rebuild() -> typer.Typer:
    """Make the mirror anew beside the present one, and mend that by it."""
    return _mirror_commands()


@app.command(cls=Late)
def reports() -> typer.Typer:
    """List the reports of comparisons, the last one first, or show one."""
    return _mirror_commands()


@app.command(cls=Late)
def status() -> typer.Typer:
    """Show how current the mirror is, what waits, and what it holds."""
    return _mirror_commands()


@app.command(cls=Late)
def events() -> typer.Typer:
    """Follow, explain and retry Stripe's events."""
    from bootstrap.commands import connect
    from interfaces.cli.events import events_app

    return events_app(connect)


@app.command(cls=Late)
def accounts() -> typer.Typer:
    """Keep the accounts, where no platform does."""
    from bootstrap.commands import administer
    from interfaces.cli.accounts import accounts_app

    return accounts_app(administer)


@app.command(cls=Late)
def contacts() -> typer.Typer:
    """Keep contacts, where no CRM does."""
    from bootstrap.commands import keep_contacts
    from interfaces.cli.contacts import contacts_app

    return contacts_app(keep_contacts)


if __name__ == "__main__":
    main()
