"""The `billing` command: joins the commands of the service and of its sandbox."""

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Annotated, Any, Final, TypeVar

import grpc
import typer
import uvloop
from pydantic import SecretStr
from rich.console import Console

from application.accounts import AccountAdministration
from application.contacts import ContactAdministration
from bootstrap import process
from bootstrap.settings import Settings, SettingsError, environment_name, ignored_names, load
from domain.errors import BillingError
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from infrastructure.telemetry.logs import configure
from interfaces.cli.accounts import accounts_app
from interfaces.cli.client import authorised
from interfaces.cli.contacts import contacts_app
from interfaces.cli.events import events_app
from interfaces.cli.mirror import add_mirror_commands
from interfaces.cli.token import add_token_command

T = TypeVar("T")

_log = logging.getLogger(__name__)

_TOKEN_LIFETIME: Final = dt.timedelta(minutes=5)
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to call, not to listen
"""Where to call a service of this machine that listens at all of its addresses."""

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

[bold]Settings[/bold] are read from the environment by all but \
[bold]demo[/bold], [bold]sandbox[/bold] and [bold]emulator[/bold]:
"""


def _manual() -> str:
    """The introduction, and every setting as `Settings` declares it."""
    lines = [_INTRODUCTION]
    for field, setting in Settings.model_fields.items():
        default = setting.default
        if setting.is_required():
            note = ", required"
        elif isinstance(default, SecretStr) or default == "":
            note = ""
        else:
            note = f", default {str(default).lower() if isinstance(default, bool) else default}"
        lines.append(f"[bold]{environment_name(field)}[/bold]{note}")
        lines.append(f"    {setting.description}")
    return "\n".join(lines)


app = typer.Typer(
    name="billing",
    help=_manual(),
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
    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(f"billing: {line}", markup=False, soft_wrap=True)
    sys.exit(1)


def _print_version(asked: bool) -> None:
    if asked:
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
    from bootstrap.sandbox import play_demo  # here, since `serve` starts faster without it

    if not _interruptible(play_demo(Console())):
        sys.exit(1)


@app.command("sandbox")
def sandbox_command(
    grpc_address: Annotated[str, typer.Option(help="Where gRPC listens.")] = "127.0.0.1:50051",
    http_address: Annotated[str, typer.Option(help="Where webhooks arrive.")] = "127.0.0.1:8080",
) -> None:
    """Keep emulator and service running on a store of their own, and say what to try."""
    from bootstrap.sandbox import keep_running

    _interruptible(keep_running(grpc_address, http_address, Console()))


@app.command()
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 12111,
    child: _Child = False,
) -> None:
    """Run the Stripe emulator alone, for Stripe's SDK to call instead of Stripe."""
    from bootstrap.sandbox import serve_emulator

    if child:
        _end_with_parent()

    def listening(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if child else f"Stripe's API is emulated at {url}")

    uvloop.run(serve_emulator(port, listening))


@app.command()
def serve(child: _Child = False) -> None:
    """Run the service until SIGTERM: gRPC, webhooks, projection, recovery."""
    if child:
        _end_with_parent()
    settings = load()
    configure(level=settings.log_level.upper(), console=settings.log_format == "console")
    for name in ignored_names():
        _log.warning("what the environment names so is no setting", extra={"setting": name})

    def ready(ports: process.Ports) -> None:
        if child:
            typer.echo(json.dumps({"grpc": ports.grpc, "http": ports.http}))
        else:
            typer.echo(
                f"gRPC on port {ports.grpc}, webhooks on port {ports.http}, mode {settings.mode}"
            )

    uvloop.run(process.serve(settings, ready))


def _issue_token(subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta) -> str:
    return CallerTokens(load().callers, SystemClock()).issue(subject, account, scopes, lifetime)


def _administer(work: Callable[[AccountAdministration], Awaitable[T]]) -> T:
    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.account_administration())

    return asyncio.run(run(load()))


def _keep_contacts(work: Callable[[ContactAdministration], Awaitable[T]]) -> T:
    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.contact_administration())

    return asyncio.run(run(load()))


def _connect(
    account: str, scopes: Sequence[str]
) -> contextlib.AbstractAsyncContextManager[grpc.aio.Channel]:
    """A channel to the running service, with tokens for an account (or OPERATOR) and scopes."""
    settings = load()
    tokens = CallerTokens(settings.callers, SystemClock())
    host, _, port = settings.grpc_address.rpartition(":")
    address = f"{_LOOPBACK.get(host, host)}:{port}"
    return authorised(address, lambda: tokens.issue("operator", account, scopes, _TOKEN_LIFETIME))


add_token_command(app, _issue_token)
add_mirror_commands(app, _connect)
app.add_typer(events_app(_connect), name="events")
app.add_typer(accounts_app(_administer), name="accounts")
app.add_typer(contacts_app(_keep_contacts), name="contacts")


def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run until done; SIGINT and SIGTERM both end it in order, so that nothing is left running."""

    async def run() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return uvloop.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


def _end_with_parent() -> None:
    """End in order when standard input does: whatever kills the parent ends this process too."""

    def watch() -> None:
        while os.read(0, 4_096):  # unbuffered: a buffer's lock would be held at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
