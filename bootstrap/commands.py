"""What the commands do with the settings and the store."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import typer
import uvloop

from application.accounts.administration import AccountAdministration
from application.contacts.administration import ContactAdministration
from application.wallet.administration import WalletAdministration
from bootstrap import process, settings_table
from bootstrap.live import load_to_serve
from bootstrap.settings import Settings, ignored_names, load
from infrastructure.telemetry.logs import configure
from interfaces.cli import output

T = TypeVar("T")

_log = logging.getLogger(__name__)


def serve_until_stopped(*, child: bool, env_file: Path | None = None) -> None:
    """Run the service until SIGTERM. A `child` says where it listens in JSON."""
    settings = load_to_serve(env_file)
    configure(level=settings.log_level.upper(), console=settings.log_format == "console")
    for name in ignored_names(env_file):
        _log.warning("what the environment names so is no setting", extra={"setting": name})

    def ready(ports: process.Ports) -> None:
        if child:
            typer.echo(json.dumps({"grpc": ports.grpc, "http": ports.http}))
        else:
            typer.echo(
                f"gRPC on port {ports.grpc}, webhooks on port {ports.http}, mode {settings.mode}"
            )

    uvloop.run(process.serve(settings, ready))


def print_settings(*, as_json: bool) -> None:
    """Print every setting as `Settings` declares it."""
    if as_json:
        output.print_json(settings_table.as_json())
        return
    output.say("The service reads these from the environment, or from --env-file:")
    output.print_table(settings_table.settings_table(settings_table.service_rows()))
    output.say("\nCommands that ask the service read these in the place of flags:")
    output.print_table(settings_table.settings_table(settings_table.command_rows()))


def administer(
    work: Callable[[AccountAdministration], Awaitable[T]], env_file: Path | None = None
) -> T:
    """Do something with the accounts of the store that the settings name."""

    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.account_administration())

    return asyncio.run(run(load(env_file)))


def keep_wallets(
    work: Callable[[WalletAdministration], Awaitable[T]], env_file: Path | None = None
) -> T:
    """Do something with the wallets of the store that the settings name."""

    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.wallet_administration())

    return asyncio.run(run(load(env_file)))


def keep_contacts(
    work: Callable[[ContactAdministration], Awaitable[T]], env_file: Path | None = None
) -> T:
    """Do something with the contacts of the store that the settings name."""

    async def run(settings: Settings) -> T:
        async with process.opened(settings) as container:
            return await work(container.contact_administration())

    return asyncio.run(run(load(env_file)))
