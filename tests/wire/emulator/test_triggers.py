"""`billing trigger`: each event follows from real objects at a running emulator."""

import asyncio
import json

import pytest
import stripe
from typer.testing import CliRunner

from bootstrap import cli
from interfaces.cli.exits import Refused
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import LIVE_KEY, RunningEmulator
from sandbox.emulator.triggers import TRIGGERS, TriggerError, trigger


@pytest.mark.parametrize("kind", sorted(TRIGGERS))
async def test_each_event_follows(
    emulator: RunningEmulator, client: stripe.StripeClient, kind: str
) -> None:
    triggered = await trigger(kind, emulator.url)
    event = await client.v1.events.retrieve_async(triggered.event)
    assert (event.type, event.data["object"]["id"]) == (kind, triggered.object)
    listed = await client.v1.events.list_async({"type": kind})
    assert triggered.event in [one.id for one in listed.data]


async def test_of_a_connected_account_and_a_customer_of_its_own(
    emulator: RunningEmulator, control: ControlClient, client: stripe.StripeClient
) -> None:
    account = await control.create_account(AccountSpec(id="acct_1Japan", currency="jpy"))
    options: stripe.RequestOptions = {"stripe_account": account}
    customer = await client.v1.customers.create_async({"name": "Ada"}, options)
    triggered = await trigger("invoice.paid", emulator.url, account=account, customer=customer.id)
    assert (triggered.account, triggered.objects["customer"]) == (account, customer.id)
    invoice = await client.v1.invoices.retrieve_async(triggered.object, None, options)
    assert (invoice.status, invoice.currency, invoice.customer) == ("paid", "jpy", customer.id)
    assert len((await client.v1.customers.list_async(None, options)).data) == 1
    assert (await client.v1.events.list_async()).data == [], "the platform has none of it"


async def test_the_events_of_others_are_not_taken_for_ones_own(emulator: RunningEmulator) -> None:
    both = await asyncio.gather(
        *(trigger("payment_intent.succeeded", emulator.url) for _ in range(8))
    )
    assert [one.object for one in both] == [one.objects["payment_intent"] for one in both]
    assert len({one.event for one in both}) == 8


async def test_live_mode(emulator: RunningEmulator) -> None:
    triggered = await trigger("charge.expired", emulator.url, key=LIVE_KEY)
    async with emulator.sdk(LIVE_KEY) as live:
        event = await live.v1.events.retrieve_async(triggered.event)
    assert event.livemode is True


async def test_what_the_emulator_refuses(emulator: RunningEmulator) -> None:
    with pytest.raises(TriggerError, match="/v1/account: 403 "):
        await trigger("invoice.paid", emulator.url, account="acct_nobody")
    with pytest.raises(TriggerError, match="No such customer: 'cus_nobody'"):
        await trigger("invoice.paid", emulator.url, customer="cus_nobody")


async def run(*arguments: str) -> tuple[int, str, str]:
    """(exit code, output, errors) of `billing trigger`, beside the emulator on this loop."""
    command = ["trigger", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, command)
    if isinstance(result.exception, Refused):
        return result.exception.code, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


async def test_the_command_prints_whole_ids(
    emulator: RunningEmulator, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    bare = emulator.url.removeprefix("http://")
    code, output, _ = await run("payment_intent.succeeded", "--address", bare)
    assert code == 0
    printed = dict(line.split() for line in output.splitlines())
    event = await client.v1.events.retrieve_async(printed["event"])
    assert event.type == printed["type"] == "payment_intent.succeeded"
    assert event.data["object"]["id"] == printed["object"] == printed["payment_intent"]
    assert event.data["object"]["customer"] == printed["customer"]


async def test_the_command_prints_json(emulator: RunningEmulator) -> None:
    code, output, _ = await run("invoice.paid", "--address", emulator.url, "--json")
    assert code == 0
    told = json.loads(output)
    assert told["type"] == "invoice.paid"
    assert told["object"] == told["objects"]["invoice"]


async def test_an_unknown_event_lists_the_known_ones() -> None:
    code, output, errors = await run("invoice.eaten")
    assert (code, output) == (2, "")
    assert "invoice.eaten" in errors
    assert errors.splitlines()[1:] == sorted(TRIGGERS)
    assert await run() == (0, "\n".join(sorted(TRIGGERS)) + "\n", "")


async def test_what_is_refused_and_who_does_not_answer(emulator: RunningEmulator) -> None:
    nobody = ("invoice.paid", "--address", emulator.url, "--customer", "cus_nobody")
    code, _, errors = await run(*nobody)
    assert code == 1
    assert "No such customer: 'cus_nobody'" in errors
    code, _, errors = await run("invoice.paid", "--address", "http://127.0.0.1:9")
    assert code == 4
    assert "no emulator answers at http://127.0.0.1:9" in errors
