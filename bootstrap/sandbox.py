"""The sandbox: an emulator and a service of one's own, as two processes that end with this one."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import secrets
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from rich.console import Console
from stripe import StripeError
from typing_extensions import override

from application.accounts.administration import AccountAdministration
from bootstrap.process import Ports, opened
from bootstrap.settings import Settings, environment_name, problems
from bootstrap.tokens import list_scopes
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from sandbox.demo import Business, World, introduce, open_accounts
from sandbox.demo import run as run_demo
from sandbox.emulator.control_client import ControlError
from sandbox.emulator.settings import PLATFORM_KEY

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0

BUSINESSES: Final = (
    Business(
        name="Hudson Paper Supply", account="hudson-paper", stripe_account="acct_1HudsonPaper",
        country="US", currency="usd", time_zone="America/New_York", token="",
    ),
    Business(
        name="Sumida Books", account="sumida-books", stripe_account="acct_1SumidaBooks",
        country="JP", currency="jpy", time_zone="Asia/Tokyo", token="",
    ),
)  # fmt: skip


class SandboxError(RuntimeError):
    """Something of the sandbox failed: a process that did not start, or what was asked of it."""


async def play_demo(console: Console) -> bool:
    """The demo, on an emulator and a service of its own; whether mirror = Stripe."""
    async with started() as world:
        return await run_demo(world, console)


async def keep_running(grpc_address: str, http_address: str, console: Console) -> None:
    """Emulator and service, until cancelled, and what to try with them.

    Raises SandboxError.
    """
    async with started(grpc_address=grpc_address, http_address=http_address) as world:
        try:
            await introduce(world)
        except (ControlError, StripeError) as error:
            raise SandboxError(f"the emulator does not answer: {error}") from error
        print_things_to_try(world, console)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def started(
    *, grpc_address: str = "127.0.0.1:0", http_address: str = "127.0.0.1:0"
) -> AsyncIterator[World]:
    """Start both, with the two businesses connected; end both, and remove their files.

    Raises SandboxError.
    """
    with tempfile.TemporaryDirectory(prefix="billing-sandbox-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            stripe = await stack.enter_async_context(
                _process("the emulator", "emulator", "--port", "0", env={})
            )
            settings = _settings(Path(folder), stripe["url"], grpc_address, http_address)
            await open_accounts(stripe["url"], BUSINESSES)
            await _add_accounts(settings)
            listening = await stack.enter_async_context(
                _process("the service", "serve", env=_environment(settings))
            )
            ports = Ports(int(listening["grpc"]), int(listening["http"]))
            yield _world(settings, ports, _environment_file(Path(folder), settings, ports))


class _OwnSettings(Settings):
    """Settings that come from here alone: what the shell is set up for must not be touched."""

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _settings(folder: Path, stripe_url: str, grpc_address: str, http_address: str) -> Settings:
    try:
        return _OwnSettings(
            stripe_secret_key=SecretStr(PLATFORM_KEY),
            caller_keys=SecretStr(f"sandbox:{secrets.token_hex(32)}"),
            webhook_secrets_connect=SecretStr(f"whsec_{secrets.token_hex(16)}"),
            sqlite_path=folder / "billing.db",
            grpc_address=grpc_address,
            http_address=http_address,
            stripe_url=stripe_url,
            reflection=True,
            log_level="warning",
        )
    except ValidationError as error:
        raise SandboxError("; ".join(problems(error))) from None


async def _add_accounts(settings: Settings) -> None:
    async with opened(settings) as container:
        administration: AccountAdministration = container.account_administration()
        for business in BUSINESSES:
            await administration.add(
                business.account, business.name, business.currency, "", business.stripe_account
            )


def _environment_file(folder: Path, settings: Settings, ports: Ports) -> Path:
    """The settings as a file for the shell, for commands that ask the service; nobody else's."""
    told = {**_environment(settings), "BILLING_GRPC_ADDRESS": f"127.0.0.1:{ports.grpc}"}
    file = folder / "settings.sh"
    file.touch(mode=0o600)
    file.write_text("".join(f"export {key}={shlex.quote(told[key])}\n" for key in told))
    return file


def _world(settings: Settings, ports: Ports, environment_file: Path) -> World:
    tokens = CallerTokens(settings.callers, SystemClock())
    lifetime = dt.timedelta(hours=12)
    return World(
        emulator_url=settings.stripe_url,
        platform_key=settings.stripe_secret_key.get_secret_value(),
        grpc_address=f"127.0.0.1:{ports.grpc}",
        webhook_url=f"http://127.0.0.1:{ports.http}/webhooks/stripe",
        webhook_secret=settings.connect_webhook_secrets[0],
        environment_file=environment_file,
        businesses=tuple(
            replace(
                business, token=tokens.issue("sandbox", business.account, list_scopes(), lifetime)
            )
            for business in BUSINESSES
        ),
    )


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as a process reads them: exactly what an operator would export."""
    return {
        "STRIPE_SECRET_KEY": settings.stripe_secret_key.get_secret_value(),
        "BILLING_CALLER_KEYS": settings.caller_keys.get_secret_value(),
        "BILLING_WEBHOOK_SECRETS_CONNECT": settings.webhook_secrets_connect.get_secret_value(),
        "BILLING_SQLITE_PATH": str(settings.sqlite_path),
        "BILLING_GRPC_ADDRESS": settings.grpc_address,
        "BILLING_HTTP_ADDRESS": settings.http_address,
        "BILLING_STRIPE_URL": settings.stripe_url,
        "BILLING_REFLECTION": "true",
        "BILLING_LOG_LEVEL": settings.log_level,
    }


@contextlib.asynccontextmanager
async def _process(
    name: str, *arguments: str, env: Mapping[str, str]
) -> AsyncIterator[dict[str, str]]:
    """A `billing` command in a process of its own; yields the line of JSON that it says first."""
    ours = {environment_name(field) for field in Settings.model_fields}
    clean = {
        key: value
        for key, value in os.environ.items()
        if key.upper() not in ours and not key.upper().startswith("BILLING_")
    }
    process = await asyncio.create_subprocess_exec(
        # -P: modules of the folder that somebody happens to be in are not ours.
        sys.executable, "-P", "-m", "bootstrap.cli", *arguments, "--child",
        env={**clean, **env},
        stdin=asyncio.subprocess.PIPE,  # when it closes, the child knows that its parent has gone
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches the parent alone, which ends them in order
    )  # fmt: skip
    try:
        yield await _first_line(name, process)
    finally:
        await _end(process)


async def _first_line(name: str, process: asyncio.subprocess.Process) -> dict[str, str]:
    if process.stdout is None:
        raise SandboxError(f"{name} has no output")
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        raise SandboxError(f"{name} did not start within {START_SECONDS:.0f} s") from None
    if not line:
        raise SandboxError(f"{name} did not start; what it said stands above")
    said: dict[str, str] = json.loads(line)
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def print_things_to_try(world: World, console: Console) -> None:
    """Where everything is, and five things to try, ready to be pasted into another shell."""
    business = world.businesses[0]
    beside = Path(sys.executable).parent
    console.print(f"gRPC       {world.grpc_address}")
    console.print(f"webhooks   {world.webhook_url}")
    console.print(f"emulator   {world.emulator_url}")
    console.print(f"token      {business.token}", soft_wrap=True, highlight=False)
    things = (
        (
            "Create a customer, through reflection",
            f"""{beside}/buf curl --protocol grpc --http2-prior-knowledge \\
  -H 'authorization: Bearer {business.token}' \\
  -d '{{"customer": {{"email": "ada@example.com"}}, "request_id": "try-1"}}' \\
  http://{world.grpc_address}/billing.v1.CustomerService/CreateCustomer""",
        ),
        (
            "List customers with the Python client",
            f"""{beside}/python - <<'PY'
import grpc
from billing_client.v1 import customer_service_pb2 as pb, customer_service_pb2_grpc as rpc
direct = [("grpc.enable_http_proxy", 0)]
with grpc.insecure_channel("{world.grpc_address}", direct) as channel:
    print(rpc.CustomerServiceStub(channel).ListCustomers(
        pb.ListCustomersRequest(), metadata=[("authorization", "Bearer {business.token}")]))
PY""",
        ),
        (
            "Let a payment happen at the emulator: its webhooks arrive at once",
            f"""curl --noproxy '*' -u {world.platform_key}: \\
  -H 'Stripe-Account: {business.stripe_account}' \\
  -d amount=4200 -d currency={business.currency} -d payment_method=pm_card_visa \\
  -d confirm=true -d 'automatic_payment_methods[enabled]=true' \\
  -d 'automatic_payment_methods[allow_redirects]=never' \\
  {world.emulator_url}/v1/payment_intents""",
        ),
        (
            "Be the operator: what came in, import the rest, is the mirror right, how it stands",
            f"""( . {world.environment_file}
{beside}/billing events list
{beside}/billing backfill --account {business.account}
{beside}/billing reconcile --account {business.account}
{beside}/billing status --account {business.account} )""",
        ),
        (
            "Bill a contact of the CRM: a customer, an invoice, and the address where it is paid",
            f"""( . {world.environment_file}
{beside}/billing contacts add {business.account} grace --email grace@example.com )
{beside}/buf curl --protocol grpc --http2-prior-knowledge \\
  -H 'authorization: Bearer {business.token}' \\
  -d '{{"contact": "grace", "currency": "{business.currency}", "request_id": "try-5",
    "items": [{{"description": "Two hours", "quantity": 2,
      "unit_amount": {{"amount": 9000, "currency": "{business.currency}"}}}}]}}' \\
  http://{world.grpc_address}/billing.v1.PaymentLinkService/CreatePaymentLink""",
        ),
    )
    for number, (title, command) in enumerate(things, 1):
        console.print(f"\n[bold]{number}. {title}[/bold]")
        console.print(command, soft_wrap=True, highlight=False, markup=False)
    console.print("\nCtrl-C ends both.")
