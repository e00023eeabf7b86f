"""`billing wallet` as processes, on a service that runs."""

import asyncio
import json

import pytest

from tests.support.rooms.wallets_end_to_end import family_with_credit
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
