"""`billing sandbox`: what it prints works when pasted into another shell."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub

from sandbox.servers.children import die_with_parent
from tests.support.servers.leftovers import Leftovers
from tests.support.servers.service import bearer, command, environment, run_command

START_SECONDS: Final = 40.0
PROXY: Final = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@dataclass
class Sandbox:
    """What a sandbox printed."""

    text: str

    def fact(self, name: str) -> str:
        """A line of the top, such as `token      eyJ...`."""
        found = re.search(rf"^{name} +(\S+)$", self.text, re.MULTILINE)
        assert found, f"no {name} in {self.text}"
        return found[1]

    def thing(self, number: int) -> str:
        """The commands of a numbered thing to try, in a shell that has read the settings file."""
        found = re.search(rf"^{number}\. [^\n]+\n(.+?)\n\n", self.text, re.MULTILINE | re.DOTALL)
        assert found, f"nothing {number} in {self.text}"
        assert 1 < len(found[1].splitlines()) <= 4
        return f"{self.first}\n{found[1]}"

    @property
    def first(self) -> str:
        """What is to be run first in another shell: it reads the settings file."""
        found = re.search(r"^\. \S+/env$", self.text, re.MULTILINE)
        assert found, self.text
        return found[0]


async def start(leftovers: Leftovers, *arguments: str, **more: str) -> asyncio.subprocess.Process:
    """Start a sandbox, behind a proxy that does not work."""
    return await asyncio.create_subprocess_exec(
        *command("sandbox", *arguments), env=environment(**leftovers.environment, **PROXY, **more),
        preexec_fn=die_with_parent, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def sandbox(leftovers: Leftovers) -> AsyncIterator[Sandbox]:
    """A sandbox on free ports; ended by SIGTERM, after which nothing may be left."""
    ports = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
    process = await start(leftovers, *ports)
    assert process.stdout is not None
    try:
        text = await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C ends both."), START_SECONDS)
        yield Sandbox(text.decode())
        process.terminate()
        _, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
        assert (process.returncode, err.decode()) == (130, "")
        assert leftovers.processes() == []
        assert leftovers.files() == []
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        for left in leftovers.processes():
            left.kill()
        await process.communicate()


async def shell(text: str) -> str:
    """Run a command in a shell; what it prints. Its exit code is 0."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, env=environment(**PROXY), preexec_fn=die_with_parent,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_things_to_try_work(tmp_path: Path) -> None:
    async with sandbox(Leftovers(tmp_path)) as here:
        created = json.loads(await shell(here.thing(1)))
        assert re.fullmatch(r"cus_\w+", created["id"])
        assert created["email"] == "ada@example.com"
        assert json.loads(await shell(here.thing(1))) == created  # the same request_id

        listed = await shell(here.thing(2))
        assert created["id"] in listed
        assert "ada@example.com" in listed

        paid = json.loads(await shell(here.thing(3)))
        assert (paid["status"], paid["amount"], paid["currency"]) == ("succeeded", 4_200, "usd")

        operated = await shell(here.thing(4))
        assert "payment_intent.succeeded" in operated
        assert re.search(r"charge +│ +1 ", operated)
        assert "the mirror is right" in operated

        folder = here.first.removeprefix(". ").removesuffix("/env")
        short = here.text.replace(folder, "/tmp/billing-sandbox-12345678")  # noqa: S108
        assert max(map(len, short.splitlines())) <= 80
        assert not re.search("STRIPE_|SECRET", await shell(f"{here.first}\nenv"))

        link = json.loads(await shell(here.thing(5)))
        assert (link["contact"], link["amountDue"]["amount"]) == ("grace", "18000")
        assert link["url"].startswith("https://")
        assert link["customerCreated"]

        connected = await shell(here.thing(6))
        assert re.search(r"Stripe account .* acct_1LedgerLabs", connected)
        assert re.search(r"state .* active", connected)
        listed = await shell(f"{here.first}\nbilling connections list")
        assert "ledger-labs" in listed

        for name, form in (("webhooks", r"http://127\.0\.0\.1:\d+/webhooks/stripe"),
                           ("emulator", r"http://127\.0\.0\.1:\d+")):  # fmt: skip
            assert re.fullmatch(form, here.fact(name))
        token = await shell(f'{here.first}\necho "$BILLING_TOKEN"')
        options = [("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(here.fact("gRPC"), options) as channel:
            page = await CustomerServiceStub(channel).ListCustomers(
                pb.ListCustomersRequest(account="hudson-paper"), metadata=bearer(token.strip())
            )
        assert [customer.id for customer in page.customers] == [link["customer"], created["id"]]


async def test_a_port_in_use_ends_it_in_order(tmp_path: Path) -> None:
    leftovers = Leftovers(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await start(leftovers, "--grpc-address", address, "--http-address", "127.0.0.1:0")
        out, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert (process.returncode, out) == (1, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith(f"billing: --grpc-address: cannot listen at {address}")
    assert "--grpc-address 127.0.0.1:0 takes a free one" in line
    assert leftovers.processes() == []
    assert leftovers.files() == []


async def test_an_address_that_is_none_is_one_line(tmp_path: Path) -> None:
    leftovers = Leftovers(tmp_path)
    process = await start(leftovers, "--grpc-address", "nonsense")
    out, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert (process.returncode, out) == (1, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith("billing: --grpc-address: nonsense is no address of this machine")
    assert leftovers.files() == []


async def test_the_emulators_port_in_use_names_its_flag() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = await run_command("emulator", "--port", port)
    assert (code, out) == (1, "")
    assert err == f"billing: --port: {port} is in use; --port 0 takes a free one\n"


async def test_secret_files_of_the_shell_are_not_the_sandboxs(tmp_path: Path) -> None:
    leftovers = Leftovers(tmp_path)
    secret = {"STRIPE_SECRET_KEY_FILE": str(tmp_path / "nothing")}
    ports = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
    process = await start(leftovers, *ports, **secret)
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C ends both."), START_SECONDS)
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), START_SECONDS)
