"""What the commands do with the settings, the store and the running service."""

import asyncio
import contextlib
import datetime as dt
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import grpc
import typer
import uvloop
from pydantic import SecretStr
from rich.console import Console

from application.accounts.administration import AccountAdministration
from application.contacts.administration import ContactAdministration
from bootstrap import process
from bootstrap.settings import Settings, environment_name, ignored_names, load
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from infrastructure.telemetry.logs import configure
from interfaces.cli.client import authorised

T = TypeVar("T")

_log = logging.getLogger(__name__)

_TOKEN_LIFETIME: Final = dt.timedelta(minutes=5)
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to call, not to listen
"""Where to call a service of this machine that listens at all of its addresses."""


def serve_until_stopped(*, child: bool) -> None:
    """Run the service until SIGTERM. A `child` says where it listens in JSON."""
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


def print_settings() -> None:
    """Print every setting as `Settings` declares it."""
    console = Console(highlight=False)
    for field, setting in Settings.model_fields.items():
        default = setting.default
        if setting.is_required():
            note = ", required"
        elif isinstance(default, SecretStr) or default == "":
            note = ""
        else:
            note = f", default {str(default).lower() if isinstance(default, bool) else default}"
        console.print(f"[bold]{environment_name(field)}[/bold]{note}")
        console.print(f"    {setting.description}", markup=False)


def administer(work: Callable[[AccountAdministration], Awaitable[T]]) -> T:
    """Do something with the accounts of the store that the settings name."""

    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.account_administration())

    return asyncio.run(run(load()))


def keep_contacts(work: Callable[[ContactAdministration], Awaitable[T]]) -> T:
    """Do something with the contacts of the store that the settings name."""

    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.contact_administration())

    return asyncio.run(run(load()))


def connect(
    account: str, scopes: Sequence[str]
) -> contextlib.AbstractAsyncContextManager[grpc.aio.Channel]:
    """A channel to the running service, with tokens for an account (or OPERATOR) and scopes."""
    settings = load()
    tokens = CallerTokens(settings.callers, SystemClock())
    host, _, port = settings.grpc_address.rpartition(":")
    address = f"{_LOOPBACK.get(host, host)}:{port}"
    return authorised(address, lambda: tokens.issue("operator", account, scopes, _TOKEN_LIFETIME))
