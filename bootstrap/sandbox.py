"""The sandbox: an emulator and a service of one's own, as two processes that end with this one."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import secrets
import shlex
import socket
import sys
import tempfile
import time
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
from application.contacts.administration import ContactAdministration
from application.requests.callers import OPERATOR
from bootstrap.environment import FILE
from bootstrap.process import Ports, opened
from bootstrap.sandbox_store import BRANCH, PLAN_AMOUNT, PLAN_NAME, fill
from bootstrap.settings import SECRETS, Settings, environment_name, problems
from bootstrap.tokens import list_scopes
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from sandbox.demo import Business, World, introduce, open_accounts, open_plan, open_unconnected
from sandbox.demo import run as run_demo
from sandbox.demo.plan import SPAN_SECONDS
from sandbox.emulator.control_client import ControlError
from sandbox.emulator.core.grants import CLIENT_ID
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


NEWCOMER: Final = "ledger-labs"
"""An account whose owner has not connected it yet."""

NEWCOMERS_STRIPE_ACCOUNT: Final = "acct_1LedgerLabs"
REDIRECT_URI: Final = "https://platform.example/connected"
CONTACT: Final = "grace"
PHONE_NUMBERS: Final = [
    {"country": country, "kind": kind, "currency": currency, "tiers": [
        {"up_to": 10, "price": price}, {"up_to": None, "price": further},
    ]}
    for country, kind, price, further in (
        ("US", "local", "1.15", "1.00"), ("US", "toll_free", "2.15", "2.00"),
        ("DE", "local", "1.50", "1.30"), ("GB", "mobile", "1.35", "1.20"),
    )
    for currency in ("usd", "eur")
]  # fmt: skip
"""What phone numbers cost for a month in the sandbox, in any tier and either currency."""

PRICES: Final = {"sms.us": "0.0079", "call.us": "0.014", "email": "0.001", "seat": "3.00"}
"""What usage costs in the sandbox, in US dollars a unit."""

TOKEN_LIFETIME: Final = dt.timedelta(hours=12)

_CALL: Final = """\
call() {
  buf curl --protocol grpc --http2-prior-knowledge -H "authorization: Bearer $BILLING_TOKEN" \\
    -d "$2" "http://$BILLING_ADDRESS/billing.v1.$1"
}"""
"""How the shell calls a method: `call Service/Method '{...}'`, through gRPC reflection."""

_CONSENT: Final = """\
consent() {
  curl -s "$EMULATOR_URL/_emulator/authorizations" \\
    -d "{\\"page\\": \\"$1\\", \\"account\\": \\"$2\\"}" |
    python -c 'import json, sys; print(json.load(sys.stdin)["redirect"])'
}"""
"""How an owner consents on an authorize page: `consent PAGE acct_...` tells where he is sent."""

_CUSTOMERS: Final = """\
import os, sys, grpc
from billing_client.v1 import customer_service_pb2 as pb, customer_service_pb2_grpc as rpc

token = [("authorization", "Bearer " + os.environ["BILLING_TOKEN"])]
with grpc.insecure_channel(os.environ["BILLING_ADDRESS"]) as channel:
    customers = rpc.CustomerServiceStub(channel)
    print(customers.ListCustomers(pb.ListCustomersRequest(account=sys.argv[1]), metadata=token))
"""
"""How to call the service from Python."""


class SandboxError(RuntimeError):
    """Something of the sandbox failed: a process that did not start, or what was asked of it."""


async def play_demo(console: Console) -> bool:
    """The demo, on an emulator and a service of its own; whether mirror = Stripe.

    It begins in the past before the service looks: a balance that was read later than what is then
    made would tie to nothing.
    """
    async with started(at=int(time.time()) - SPAN_SECONDS) as world:
        return await run_demo(world, console)


async def keep_running(grpc_address: str, http_address: str, console: Console) -> None:
    """Emulator and service, until cancelled, and what to try with them.

    Raises SandboxError.
    """
    _check_free("--grpc-address", grpc_address)
    _check_free("--http-address", http_address)
    async with started(grpc_address=grpc_address, http_address=http_address) as world:
        try:
            await introduce(world)
        except (ControlError, StripeError) as error:
            raise SandboxError(f"the emulator does not answer: {error}") from error
        print_things_to_try(world, console)
        await asyncio.Event().wait()


def _check_free(flag: str, address: str) -> None:
    """Raises SandboxError that names the flag, where the address is none or is in use."""
    host, _, port = address.rpartition(":")
    try:
        infos = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        for family, kind, protocol, _name, place in infos[:1]:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except (ValueError, OverflowError, socket.gaierror):
        words = f"{flag}: {address} is no address of this machine; such as 127.0.0.1:50051"
        raise SandboxError(words) from None
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise SandboxError(
            f"{flag}: cannot listen at {address}: {words}; "
            f"another port: {flag} 127.0.0.1:0 takes a free one"
        ) from None


@contextlib.asynccontextmanager
async def started(
    *,
    grpc_address: str = "127.0.0.1:0",
    http_address: str = "127.0.0.1:0",
    at: int | None = None,
) -> AsyncIterator[World]:
    """Start both, with the two businesses connected; end both, and remove their files.

    The emulator's clock begins at `at`, in Unix seconds; None: now.
    Raises SandboxError.
    """
    with tempfile.TemporaryDirectory(prefix="billing-sandbox-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            stripe = await stack.enter_async_context(
                _process("the emulator", "emulator", "--port", "0", env={})
            )
            settings = _settings(Path(folder), stripe["url"], grpc_address, http_address)
            await open_accounts(stripe["url"], BUSINESSES, at)
            await open_unconnected(stripe["url"], NEWCOMERS_STRIPE_ACCOUNT)
            try:
                plan = await open_plan(stripe["url"], PLATFORM_KEY, PLAN_NAME, PLAN_AMOUNT)
            except StripeError as error:
                raise SandboxError(f"the emulator does not answer: {error}") from error
            await _fill(settings, plan)
            listening = await stack.enter_async_context(
                _process("the service", "serve", env=_environment(settings))
            )
            ports = Ports(int(listening["grpc"]), int(listening["http"]))
            yield _world(settings, ports, Path(folder))


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
            connect_client_id=CLIENT_ID,
            connect_redirect_uris=REDIRECT_URI,
            base_currency="usd",
            price_list="file",
            price_list_file=_write_prices(folder),
            phone_numbers="file",
            phone_numbers_file=_write_phone_numbers(folder),
        )
    except ValidationError as error:
        words = "; ".join(problems(error))
        for field, flag in (("grpc_address", "--grpc-address"), ("http_address", "--http-address")):
            words = words.replace(environment_name(field), flag)
        raise SandboxError(words) from None


def _write_prices(folder: Path) -> Path:
    """What usage costs in the sandbox."""
    path = folder / "prices.json"
    path.write_text(json.dumps({"currency": "usd", "prices": PRICES}), encoding="utf-8")
    return path


def _write_phone_numbers(folder: Path) -> Path:
    """What phone numbers cost in the sandbox."""
    path = folder / "phone_numbers.json"
    path.write_text(json.dumps({"prices": PHONE_NUMBERS}), encoding="utf-8")
    return path


async def _fill(settings: Settings, plan: str) -> None:
    """The accounts of the businesses, a contact of the first that can be billed, and the store.

    `plan` is the price at Stripe by which a subscription's seller is charged.
    """
    async with opened(settings) as container:
        administration: AccountAdministration = container.account_administration()
        for business in BUSINESSES:
            await administration.add(
                business.account, business.name, business.currency, "", business.stripe_account
            )
        await administration.add(NEWCOMER, "Ledger Labs", "usd", "", "")
        first = BUSINESSES[0]
        await administration.add(BRANCH.account, BRANCH.name, first.currency, first.account, "")
        await fill(container.stores.store_catalogue(), plan)
        contacts: ContactAdministration = container.contact_administration()
        await contacts.add(BUSINESSES[0].account, CONTACT, {"email": "grace@example.com"})


def _write_environment(folder: Path, world: World, operator: str) -> Path:
    """What commands and clients need, as a file for the shell; nobody else may read it."""
    beside = Path(sys.executable).parent
    values = {
        "BILLING_ADDRESS": world.grpc_address,
        "BILLING_TOKEN": operator,
        "EMULATOR_URL": world.emulator_url,
        "EMULATOR_KEY": world.platform_key,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    # A proxy that the shell is set up for does not know this machine's own ports.
    lines += ['export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"', 'export NO_PROXY="$no_proxy"']
    lines += [f'export PATH={shlex.quote(str(beside))}:"$PATH"']
    lines += [_CALL, _CONSENT]
    file = folder / "env"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")
    (folder / "customers.py").write_text(_CUSTOMERS)
    return file


def _world(settings: Settings, ports: Ports, folder: Path) -> World:
    tokens = CallerTokens(settings.callers, SystemClock())

    def token(account: str) -> str:
        return tokens.issue("sandbox", account, list_scopes(), TOKEN_LIFETIME)

    world = World(
        emulator_url=settings.stripe_url,
        platform_key=settings.stripe_secret_key.get_secret_value(),
        grpc_address=f"127.0.0.1:{ports.grpc}",
        webhook_url=f"http://127.0.0.1:{ports.http}/webhooks/stripe",
        webhook_secret=settings.connect_webhook_secrets[0],
        businesses=tuple(
            replace(business, token=token(business.account)) for business in BUSINESSES
        ),
        branch=replace(BRANCH, token=token(BRANCH.account)),
    )
    operator = token(OPERATOR)
    file = _write_environment(folder, world, operator)
    return replace(world, environment_file=file, operator=operator)


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as a process reads them: exactly what an operator would export."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {environment_name(name): _text(value) for name, value in given.items()}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextlib.asynccontextmanager
async def _process(
    name: str, *arguments: str, env: Mapping[str, str]
) -> AsyncIterator[dict[str, str]]:
    """A `billing` command in a process of its own; yields the line of JSON that it says first."""
    ours = {environment_name(field) for field in Settings.model_fields}
    ours |= {f"{name}{FILE}" for name in SECRETS}
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
    """Where everything is, and six things to try, ready to be pasted into another shell."""
    business, folder = world.businesses[0], world.environment_file.parent
    things = (
        (
            "Create a customer, through gRPC reflection",
            f"""call CustomerService/CreateCustomer '{{"account": "{business.account}",
  "request_id": "try-1", "customer": {{"email": "ada@example.com"}}}}'""",
        ),
        (
            "List customers with the Python client",
            f"""cat {folder}/customers.py
python {folder}/customers.py {business.account}""",
        ),
        (
            "Pay at the emulator: the webhooks arrive at once",
            f"""curl -u "$EMULATOR_KEY:" -H "Stripe-Account: {business.stripe_account}" \\
  -d amount=4200 -d currency={business.currency} -d payment_method=pm_card_visa \\
  -d confirm=true -d return_url=https://example.com \\
  "$EMULATOR_URL/v1/payment_intents\"""",
        ),
        (
            "Be the operator: what came in, read all anew, is the mirror right",
            f"""billing events list
billing backfill --account {business.account} --restart
billing reconcile --account {business.account}
billing status --account {business.account}""",
        ),
        (
            "Bill a contact: a customer, an invoice, and the address where it is paid",
            f"""call PaymentLinkService/CreatePaymentLink '{{"account": "{business.account}",
  "request_id": "try-5", "contact": "{CONTACT}", "currency": "{business.currency}",
  "items": [{{"description": "Two hours", "quantity": 2,
    "unit_amount": {{"amount": 9000, "currency": "{business.currency}"}}}}]}}'""",
        ),
        (
            "Connect an account: its owner consents at the emulator",
            f"""page=$(billing connections begin --account {NEWCOMER} --session s \\
  --redirect-uri {REDIRECT_URI})
back=$(consent "$page" {NEWCOMERS_STRIPE_ACCOUNT})
billing connections complete "$back" --account {NEWCOMER} --session s""",
        ),
        (
            "The store: what a sub-account is offered, and what it has bought",
            f"""billing catalogue --account {BRANCH.account}
billing checkouts list --account {BRANCH.account}""",
        ),
    )
    console.print(f"gRPC       {world.grpc_address}")
    console.print(f"webhooks   {world.webhook_url}")
    console.print(f"emulator   {world.emulator_url}")
    console.print("\nIn another shell, first:", highlight=False)
    console.print(f". {world.environment_file}", soft_wrap=True, highlight=False)
    for number, (title, command) in enumerate(things, 1):
        console.print(f"\n[bold]{number}. {title}[/bold]", highlight=False)
        console.print(command, soft_wrap=True, highlight=False, markup=False)
    console.print("\nCtrl-C ends both.")
