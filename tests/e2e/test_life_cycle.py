"""How the service starts, refuses to start, drains, dies, and comes back."""

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import grpc
import pytest
import pytest_asyncio
import stripe
from billing_client.v1 import customer_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import LIVE_KEY
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.servers.children import die_with_parent
from tests.support.servers.callers import write_strong_callers
from tests.support.servers.service import (
    CONNECT_SECRET,
    PRIVATE,
    START_SECONDS,
    Service,
    ServiceAndEmulator,
    Tenant,
    arrived,
    command,
    environment,
    reason_of,
    run_command,
    until,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceAndEmulator]:
    async with world(tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def here(shared: ServiceAndEmulator) -> ServiceAndEmulator:
    """The module's world: the service runs, and Stripe has forgotten the test before."""
    if not shared.service.running:
        await shared.service.start()
    await shared.emulator.control.reset()
    await shared.subscribe()
    return shared


async def create(here: ServiceAndEmulator, tenant: Tenant, request_id: str) -> pb.Customer:
    """CreateCustomer, with the same content each time."""
    return await here.service.customers.CreateCustomer(
        pb.CreateCustomerRequest(customer=pb.Customer(name=PRIVATE), request_id=request_id),
        metadata=tenant.metadata,
        timeout=20,
    )


async def begin_stalled(
    here: ServiceAndEmulator, tenant: Tenant, seconds: float
) -> "asyncio.Task[pb.Customer]":
    """A creation that Stripe has received, and works on for so long."""
    control = here.emulator.control
    await control.add_fault(FaultSpec("stall", seconds=seconds, method="POST"))
    call = asyncio.create_task(create(here, tenant, "stalled"))

    async def received() -> bool:
        return not await control.faults()

    await until(received)
    return call


async def at_stripe(here: ServiceAndEmulator, tenant: Tenant) -> list[str]:
    """The ids of the customers that a tenant's Stripe account has."""
    listed = await here.sdk.v1.customers.list_async({"limit": 100}, tenant.options)
    return [customer.id for customer in listed.data]


async def events_of(here: ServiceAndEmulator, tenant: Tenant) -> list[str]:
    """A tenant's events as Stripe would deliver them."""
    listed = await here.sdk.v1.events.list_async({"limit": 100}, tenant.options)
    assert listed.last_response is not None
    data = json.loads(listed.last_response.body)["data"]
    return [json.dumps({**event, "account": tenant.stripe_account}) for event in data]


async def deliver(session: aiohttp.ClientSession, url: str, body: str) -> int:
    """Deliver one event; the status of the answer."""
    header = stripe.WebhookSignature.generate_signature_header(body, CONNECT_SECRET)
    async with session.post(url, data=body, headers={"Stripe-Signature": header}) as answer:
        return answer.status


async def test_sigterm_lets_a_change_finish(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    call = await begin_stalled(here, tenant, 1.5)
    here.service.terminate()
    made = await call
    assert await here.service.ended() == 0
    assert await at_stripe(here, tenant) == [made.id]
    await here.service.start()
    assert await create(here, tenant, "stalled") == made
    assert await at_stripe(here, tenant) == [made.id]


async def test_sigterm_lets_a_change_finish_that_nobody_waits_for_any_more(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    call = await begin_stalled(here, tenant, 2.0)
    call.cancel()
    assert await here.service.stop() > 1
    (made,) = await at_stripe(here, tenant)
    before = await here.sent("POST /v1/customers")
    await here.service.start()
    assert (await create(here, tenant, "stalled")).id == made
    assert await here.sent("POST /v1/customers") == before  # its answer had been written down


async def test_sigterm_without_work_is_swift_though_connections_are_open(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    await arrived(here, tenant, made.id, PRIVATE)  # both clients now hold their connections open
    assert await here.service.stop() < 3


async def test_new_calls_are_refused_while_it_drains(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    call = await begin_stalled(here, tenant, 2.0)
    here.service.terminate()

    async def refused() -> bool:
        try:
            await here.service.customers.ListCustomers(
                pb.ListCustomersRequest(), metadata=tenant.metadata, timeout=5
            )
        except grpc.aio.AioRpcError as error:
            return reason_of(error) == "SHUTTING_DOWN"
        return False

    assert await until(refused)
    assert not call.done()
    await call
    assert await here.service.ended() == 0


async def test_sigkill_after_the_200_loses_nothing(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await here.emulator.control.pause()  # what arrives, arrives by this test's own hand
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    (event,) = await events_of(here, tenant)
    async with aiohttp.ClientSession() as session:
        assert await deliver(session, here.service.webhook_url, event) == 200
        await here.service.kill()
    await here.service.start()
    assert (await arrived(here, tenant, made.id, PRIVATE)).id == made.id


async def test_sigterm_amid_a_batch_leaves_no_event_waiting(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    control = here.emulator.control
    await control.pause()
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    (event,) = await events_of(here, tenant)
    foreign = json.dumps({**json.loads(event), "api_version": "2019-01-01"})  # must be re-read
    await control.add_fault(FaultSpec("stall", seconds=1.0, method="GET"))
    async with aiohttp.ClientSession() as session:
        assert await deliver(session, here.service.webhook_url, foreign) == 200

    async def being_read() -> bool:
        return not await control.faults()

    await until(being_read)
    assert await here.service.stop() < 5
    await here.service.start()
    # Had the batch been dropped, its lease would have to run out first: a minute.
    assert (await arrived(here, tenant, made.id, PRIVATE)).id == made.id


async def test_a_store_of_the_other_mode_is_refused(
    here: ServiceAndEmulator, tmp_path: Path
) -> None:
    await here.service.stop()
    live = {
        **here.service.settings, "STRIPE_SECRET_KEY": LIVE_KEY,
        "BILLING_CALLERS": str(write_strong_callers(tmp_path)), "BILLING_CALLER_KEYS": "",
        "BILLING_STRIPE_URL": "", "BILLING_LOG_LEVEL": "info",
    }  # fmt: skip
    code, out, err = await run_command("serve", **live)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "test" in line
    assert "live" in line
    assert "STRIPE_SECRET_KEY" in line
    assert LIVE_KEY not in line
    code, _, _ = await run_command("accounts", "list", **live)
    assert code == 1


@pytest.mark.parametrize(("setting", "port"), [
    ("BILLING_GRPC_ADDRESS", "grpc"), ("BILLING_HTTP_ADDRESS", "http"),
])  # fmt: skip
async def test_a_port_in_use_is_one_line(
    here: ServiceAndEmulator, tmp_path: Path, setting: str, port: str
) -> None:
    address = f"127.0.0.1:{here.service.ports[port]}"
    settings = {**here.service.settings, setting: address, "BILLING_LOG_LEVEL": "info"}
    settings["BILLING_SQLITE_PATH"] = str(tmp_path / "own.db")
    code, out, err = await run_command("serve", **settings)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"billing: {setting}: cannot listen at {address}")


async def test_a_store_that_cannot_be_opened_is_one_line(
    here: ServiceAndEmulator, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no database" * 99)
    causes = {
        tmp_path / "file": "file is not a database (SQLITE_NOTADB)",
        tmp_path / "file" / "billing.db": "what should be its folder is a file",
    }
    settings = [{**here.service.settings, "BILLING_SQLITE_PATH": str(path)} for path in causes]
    runs = await asyncio.gather(*(run_command("serve", **one) for one in settings))
    for (code, out, err), cause in zip(runs, causes.values(), strict=True):
        assert (code, out) == (1, "")
        (line,) = err.splitlines()
        assert line.startswith("billing: BILLING_SQLITE_PATH: cannot be ")
        assert line.endswith(f": {cause} (STORE_UNAVAILABLE)")


async def test_a_second_process_on_the_same_file_is_refused_and_commands_are_not(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    (code, out, err), listed = await asyncio.gather(
        run_command("serve", **here.service.settings),
        run_command("accounts", "list", **here.service.settings),
    )
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"billing: BILLING_SQLITE_PATH: process {here.service.pid} on ")
    assert (listed[0], listed[2]) == (0, "")
    assert tenant.account in listed[1]
    await create(here, tenant, "goes-on")


async def test_a_store_that_does_not_answer_turns_readiness_and_not_liveness(
    here: ServiceAndEmulator,
) -> None:
    base = f"http://127.0.0.1:{here.service.ports['http']}"
    health = health_pb2_grpc.HealthStub(here.service.channel)
    lines = len(here.service.log.read_text().splitlines())
    path = here.service.settings["BILLING_SQLITE_PATH"]

    async def readiness() -> tuple[int, int]:
        async with session.get(f"{base}/readyz") as answer:
            told = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            return answer.status, told.status

    async def turned(wanted: tuple[int, int]) -> bool:
        return await readiness() == wanted

    async with aiohttp.ClientSession() as session:
        ready, not_ready = (200, 1), (503, 2)
        assert await readiness() == ready
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as hog:
            hog.execute("BEGIN IMMEDIATE")
            await until(lambda: turned(not_ready), 20)
            async with session.get(f"{base}/healthz") as answer:
                assert answer.status == 200
            assert await deliver(session, here.service.webhook_url, _DELIVERY) == 503
        await until(lambda: turned(ready), 20)
        assert await deliver(session, here.service.webhook_url, _DELIVERY) == 200

    async def recovered() -> list[str]:
        said = [json.loads(line) for line in here.service.log.read_text().splitlines()[lines:]]
        told = [f"{one['event']}: {one.get('error', '')}" for one in said]
        store = [
            line for line in told if line.startswith(("the store", "ready again", "not ready"))
        ]
        return store if "the store answers again: " in store else []

    assert sorted(await until(recovered, 20)) == [
        "not ready: the store has not answered for 5 s",
        "ready again: ",
        "the store answers again: ",
        "the store fails: database is locked (SQLITE_BUSY)",
        "the store fails: no answer within 5 s",
    ]


_DELIVERY: Final = json.dumps(
    {
        "id": "evt_1Late", "object": "event", "account": "acct_1Nobody", "created": 1_790_000_000,
        "type": "customer.created", "livemode": False, "api_version": "2019-01-01",
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    }
)  # fmt: skip


async def test_an_unknown_name_is_one_warning(here: ServiceAndEmulator, tmp_path: Path) -> None:
    settings = {**here.service.settings, "BILLING_SQLITE_PATH": str(tmp_path / "own.db")}
    more = {"BILLING_COLOUR": "hunter2", "BILLING_SERVICE_HOST": "10.0.0.1"}
    service = Service({**settings, **more}, tmp_path / "colour.log")
    await service.start()
    await service.stop()
    said = [json.loads(line) for line in (tmp_path / "colour.log").read_text().splitlines()]
    (warning,) = [line for line in said if line["level"] == "warning"]
    assert warning["setting"] == "BILLING_COLOUR"
    assert "hunter2" not in str(said)


async def test_it_says_where_it_listens_and_ends_at_ctrl_c(
    here: ServiceAndEmulator, tmp_path: Path
) -> None:
    settings = {**here.service.settings, "BILLING_SQLITE_PATH": str(tmp_path / "own.db")}
    process = await asyncio.create_subprocess_exec(
        *command("serve"), env=environment(**settings), preexec_fn=die_with_parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), START_SECONDS)).decode()
    said = re.fullmatch(r"gRPC on port (\d+), webhooks on port (\d+), mode test\n", line)
    assert said, line
    url = f"http://127.0.0.1:{said[2]}/healthz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err


async def test_it_ends_with_its_parent(here: ServiceAndEmulator, tmp_path: Path) -> None:
    """Whatever kills the sandbox closes its child's standard input."""
    settings = {**here.service.settings, "BILLING_SQLITE_PATH": str(tmp_path / "own.db")}
    service = Service(settings, tmp_path / "orphan.log")
    await service.start()
    service.abandon()
    assert await service.ended() == 0


async def test_settings_stop_the_start_line_by_line() -> None:
    code, out, err = await run_command("serve", STRIPE_SECRET_KEY=PLATFORM_KEY, BILLING_STORE="x")
    assert (code, out) == (1, "")
    names = [line.removeprefix("billing: ").partition(":")[0] for line in err.splitlines()]
    assert names == ["BILLING_CALLER_KEYS", "BILLING_WEBHOOK_SECRETS_CONNECT", "BILLING_STORE"]
