"""Operators' commands as processes: another address, a token, and no setting of the service."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from application.requests.callers import OPERATOR
from interfaces.cli.exits import ExitCode
from tests.support.servers.service import (
    CALLER_SECRET,
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    arrived,
    run_command,
    token_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NARROW: Final = "80"
PIPED: Final = ""
TLS: Final = Path(__file__).parent.parent / "support" / "tls"


@dataclass(frozen=True)
class Operator:
    """Who knows an address and a token alone; and what there is to look at."""

    here: ServiceAndEmulator
    tenant: Tenant
    customer: str
    environment: Mapping[str, str]

    async def run(self, *arguments: str, **changes: str) -> tuple[int, str, str]:
        """What a command ends with. A change replaces a variable."""
        return await run_command(*arguments, **{**self.environment, **changes})

    async def printed(self, *arguments: str, code: int = 0, **changes: str) -> str:
        """What a command prints."""
        ended, out, err = await self.run(*arguments, **changes)
        assert (ended, err) == (code, ""), out
        return out

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        return json.loads(await self.printed(*arguments, "--json", code=code))

    async def refused(self, *arguments: str, code: ExitCode, **changes: str) -> str:
        """The one line that a command fails with."""
        ended, _, err = await self.run(*arguments, **changes)
        (line,) = err.splitlines()
        assert ended == code, line
        return line

    @property
    def account(self) -> tuple[str, str]:
        return ("--account", self.tenant.account)

    @property
    def address(self) -> str:
        return self.environment["BILLING_ADDRESS"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(here: ServiceAndEmulator) -> Operator:
    """An operator of a service that has a customer in its mirror."""
    tenant = await here.tenant()
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    await arrived(here, tenant, made.id, PRIVATE)
    environment = {
        "BILLING_ADDRESS": f"127.0.0.1:{here.service.ports['grpc']}",
        "BILLING_TOKEN": token_for(OPERATOR),
        "COLUMNS": NARROW,
    }
    return Operator(here, tenant, made.id, environment)


@pytest.mark.parametrize("columns", [NARROW, PIPED])
async def test_an_id_that_is_copied_from_a_table_is_found(operator: Operator, columns: str) -> None:
    listed = await operator.json("events", "list", *operator.account)
    (event,) = (one["id"] for one in listed["events"] if one["object_id"] == operator.customer)
    table = await operator.printed("events", "list", *operator.account, COLUMNS=columns)
    assert event in table
    assert operator.customer in table
    assert operator.tenant.stripe_account in table
    shown = await operator.printed("events", "show", event, COLUMNS=columns)
    assert event in shown
    assert operator.customer in shown
    explained = await operator.printed(
        "events", "explain", "customer", operator.customer, *operator.account, COLUMNS=columns
    )
    assert event in explained
    assert PRIVATE not in explained


async def test_the_mirror_is_read_compared_and_shown(operator: Operator) -> None:
    done, told, _ = await operator.run("backfill", *operator.account, "--json")
    assert done == 0
    assert json.loads(told)["operation"]["state"] == "STATE_SUCCEEDED"
    compared = await operator.printed("reconcile", *operator.account)
    assert compared.splitlines()[-1] == "the mirror is right"
    (report,) = (await operator.json("reports", *operator.account))["reports"]
    assert report["id"] in await operator.printed("reports", *operator.account)
    shown = await operator.json("reports", report["id"], *operator.account)
    assert shown["drifted_count"] == "0"
    status = await operator.printed("status", *operator.account)
    assert operator.tenant.stripe_account in status
    assert max(map(len, status.splitlines())) <= 80
    rows = (await operator.json("status", *operator.account))["rows"]
    assert {"noun": "customer", "count": "1"} in rows


async def test_the_books_are_proved(operator: Operator) -> None:
    here, tenant = operator.here, operator.tenant
    charge = {"amount": 900, "currency": "usd", "source": "tok_visa"}
    await here.sdk.v1.charges.create_async(charge, tenant.options)
    assert (await operator.run("backfill", *operator.account, "--restart"))[0] == 0
    printed = await operator.printed("prove", *operator.account)
    assert printed.splitlines()[-1] == "the books hold"
    assert max(map(len, printed.splitlines())) <= 80
    done, told, _ = await operator.run("prove", *operator.account, "--json")
    assert done == 0
    report = json.loads(told)["report"]
    checked = {one["check"]: one["checked_count"] for one in report["checks"]}
    assert (checked["CHECK_PARTS"], checked["CHECK_SETTLEMENTS"]) == ("1", "1")
    assert report["id"] in await operator.printed("reports", *operator.account)


async def test_what_is_not_there_has_an_exit_code_of_its_own(operator: Operator) -> None:
    missing, code = operator.customer[:-4], ExitCode.NOT_FOUND
    line = await operator.refused(
        "events", "explain", "customer", missing, *operator.account, code=code
    )
    assert f"the mirror has no customer {missing} " in line
    assert "no event evt_x" in await operator.refused("events", "show", "evt_x", code=code)
    assert "no report x" in await operator.refused("reports", "x", *operator.account, code=code)
    for command in (("status",), ("backfill",)):
        line = await operator.refused(*command, "--account", "nobody", code=code)
        assert line.startswith("billing: no account nobody; billing accounts list")


async def test_an_empty_list_says_what_there_is_none_of(operator: Operator) -> None:
    printed = await operator.printed("events", "list", "--since", "1m", "--state", "dead")
    assert printed.startswith("no dead events received since 20")
    listed = await operator.json("events", "list", "--until", "2026-01-01")
    assert listed == {"events": [], "next_page_token": ""}
    retried = await operator.printed("events", "retry-dead", "--type", "x")
    assert retried == "0 events are tried again\n"


async def test_a_flag_that_is_wrong_is_named_before_anything_is_asked(operator: Operator) -> None:
    code, _, err = await operator.run("events", "list", "--since", "tomorrow")
    assert code == ExitCode.USAGE
    assert "--since" in err
    line = await operator.refused("events", "watch", code=ExitCode.FAILED)
    assert line == "billing: this command needs --account (INVALID_FIELDS)"


async def test_a_contact_is_linked_over_the_service(operator: Operator) -> None:
    settings = {**operator.here.service.settings, "COLUMNS": NARROW}
    link = ("contacts", "link", operator.tenant.account)
    code, _, err = await run_command(
        "contacts", "add", operator.tenant.account, "ada", "--name", "A", **settings
    )
    assert (code, err) == (0, "")
    line = await operator.refused(*link, "nobody", operator.customer, code=ExitCode.NOT_FOUND)
    assert "no contact nobody" in line
    for _ in range(2):
        printed = await operator.printed(*link, "ada", operator.customer)
        assert operator.customer in printed
    _, listed, _ = await run_command(
        "contacts", "list", operator.tenant.account, "--json", **settings
    )
    (contact,) = json.loads(listed)["contacts"]
    assert contact["customer"] == operator.customer
    line = await operator.refused(*link, "ada", "--", "-7\n", code=ExitCode.FAILED)
    assert line.startswith("billing: CUSTOMER: ")


# --- the way to the service ----------------------------------------------------------------------


async def test_a_caller_key_does_instead_of_a_token(operator: Operator) -> None:
    key = {"BILLING_TOKEN": "", "BILLING_CALLER_KEYS": f"tests:{CALLER_SECRET}"}
    assert "data through" in await operator.printed("status", *operator.account, **key)
    key["BILLING_CALLER_KEYS"] = f"tests:{'x' * 32}"
    line = await operator.refused("status", code=ExitCode.FAILED, **key)
    assert f"the service at {operator.address} does not take the token" in line
    assert "BILLING_CALLER_KEYS here must begin with a key that the service has" in line


async def test_a_token_of_an_account_sees_that_alone(operator: Operator) -> None:
    own = ("--token", operator.tenant.token)
    status = await operator.printed("status", *own)
    assert operator.tenant.stripe_account in status
    line = await operator.refused("status", *own, "--account", "nobody", code=ExitCode.NOT_FOUND)
    assert "no account nobody" in line
    narrow = token_for(operator.tenant.account, "customers.read")
    line = await operator.refused("status", "--token", narrow, code=ExitCode.FAILED)
    assert "--scope mirror.read makes one that has it (SCOPE_MISSING)" in line
    line = await operator.refused("status", "--token", "nonsense", code=ExitCode.FAILED)
    assert "billing token - makes one" in line


async def test_without_an_answer_or_a_token_it_says_what_to_do(operator: Operator) -> None:
    line = await operator.refused("status", "--address", "127.0.0.1:1", code=ExitCode.NO_ANSWER)
    assert "the service does not answer at 127.0.0.1:1" in line
    assert "--address" in line
    line = await operator.refused("status", code=ExitCode.USAGE, BILLING_TOKEN="")
    assert "--token" in line


async def test_an_env_file_names_address_and_token(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{operator.environment['BILLING_TOKEN']}\n")
    file = tmp_path / "env"
    file.write_text(f"BILLING_ADDRESS={operator.address}\nBILLING_TOKEN_FILE={tmp_path}/token\n")
    without = {"BILLING_ADDRESS": "", "BILLING_TOKEN": ""}
    printed = await operator.printed("status", "--env-file", str(file), **without)
    assert "data through" in printed


async def test_tls_with_a_ca_of_ones_own(operator: Operator) -> None:
    ca = ("--tls-ca", str(TLS / "cert.pem"))
    async with behind_tls(operator.address) as address:
        assert "data through" in await operator.printed("status", "--address", address, *ca)
        for flags in ((), ("--tls",)):  # in plain text; with the well-known CAs
            await operator.refused("status", "--address", address, *flags, code=ExitCode.NO_ANSWER)


@asynccontextmanager
async def behind_tls(address: str) -> AsyncIterator[str]:
    """An address that speaks TLS and hands on to another one, as a proxy does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(hand_on, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
