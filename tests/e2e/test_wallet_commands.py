"""`billing wallet` as processes, on a service that runs."""

import asyncio
import json

import pytest

from tests.support.rooms.wallets_end_to_end import family_with_credit, payer
from tests.support.servers.service import ServiceAndEmulator, run_command

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_commands_adjust_show_and_prove(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    account = some.parent.account
    settings = {
        **here.service.settings,
        "BILLING_ADDRESS": f"127.0.0.1:{here.service.ports['grpc']}",
    }

    async def command(*arguments: str, code: int = 0) -> str:
        ended, out, error = await run_command("wallet", *arguments, **settings)
        assert ended == code, error
        return out if code == 0 else error

    adjust = ("grant", "250", "--reason", "goodwill", "--request-id", "r-1")
    twice = await asyncio.gather(*(command("adjust", account, *adjust) for _ in range(2)))
    assert all("12.50 USD" in told for told in twice)
    shown, entries, statement, proofs, refused = await asyncio.gather(
        command("show", account, "--json"),
        command("entries", account, "--json", "--limit", "1"),
        command("statement", account),
        command("prove", account, "--json"),
        command("adjust", some.child.account, *adjust, code=1),
    )
    assert json.loads(shown)["available"]["amount"] == "1250"
    listed = json.loads(entries)
    assert ([one["kind"] for one in listed["entries"]], listed["more"]) == (["grant"], True)
    assert "closing_balance" in statement
    (proof,) = json.loads(proofs)["wallets"]
    assert (proof["entries"], proof["available"], proof["difference_count"]) == (2, 1_250, 0)
    assert "NOT_CREDITOR" in refused


async def test_commands_reload_list_and_give_back(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    one = await payer(some, some.child)
    account = some.child.account
    settings = {
        **here.service.settings,
        "BILLING_ADDRESS": f"127.0.0.1:{here.service.ports['grpc']}",
    }

    async def command(token: str, *arguments: str, code: int = 0) -> str:
        environment = {**settings, "BILLING_TOKEN": token}
        ended, out, error = await run_command("wallet", "reload", *arguments, **environment)
        assert ended == code, error
        return out if code == 0 else error

    owner, creditor = some.child.token, some.parent.token
    started = json.loads(await command(owner, "start", account, "2000", "--json"))
    assert (started["state"], started["client_secret"]) == ("RELOAD_STATE_CREDITED", "")
    reload = started["id"]
    bad = await one.attach("chargeCustomerFail")
    declined = await command(owner, "start", account, "500", "--payment-method", bad, "--json")
    waiting = json.loads(declined)["id"]
    shown = await command(owner, "show", account, waiting)
    assert "requires action" in shown
    assert "generic_decline" in shown
    refused = await command(creditor, "cancel", account, waiting, code=1)
    assert "NOT_OWNER" in refused
    retried = await command(owner, "retry", account, waiting, "--payment-method", one.card)
    assert "credited" in retried
    again = await command(owner, "cancel", account, waiting, code=1)
    assert "WRONG_STATE" in again
    given = await command(
        creditor, "refund", account, reload, "700", "--reason", "asked for", "--json"
    )
    assert json.loads(given)["gone"]["amount"] == "700"
    listed = json.loads(await command(creditor, "list", account, "--json", "--limit", "1"))
    assert ([entry["id"] for entry in listed["reloads"]], listed["more"]) == ([waiting], True)
    ended, out, error = await run_command("wallet", "prove", account, **settings)
    assert ended == 0, error + out
