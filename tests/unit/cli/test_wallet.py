"""`billing wallet open` and `prove`, on a journal in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from application.wallet.administration import WalletAdministration
from application.wallet.ties import ReloadTies
from application.wallet.whose import Wallets
from domain.accounts import Account
from interfaces.cli.exits import Refused
from interfaces.cli.wallet.app import wallet_app
from tests.support.fakes.journal import JournalInMemory
from tests.support.fakes.processes import FakeProcessLog
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.ledger import Books, grant, hold


class TwoAccounts:
    """Accounts, of which two are there."""

    there = (Account("acme", "Acme", "usd"), Account("lily", "Lily", "usd", "acme"))

    async def get(self, account: str) -> Account | None:
        return next((one for one in self.there if one.id == account), None)

    async def list_all(self, *, after: str, limit: int) -> list[Account]:
        return [one for one in self.there if one.id > after][:limit]


class Terminal:
    """Runs the commands on wallets in memory."""

    def __init__(self) -> None:
        self.journal = JournalInMemory()
        accounts: Any = TwoAccounts()
        no_stripe: Any = None
        self.wallets = WalletAdministration(
            accounts,
            Wallets(accounts, "usd"),
            self.journal,
            ReloadTies(self.journal, FakeProcessLog(), no_stripe, FakeClock()),
            FakeClock(),
        )

    def invoke(self, *arguments: str) -> Result:
        def run_here(work: Callable[[WalletAdministration], Awaitable[Any]], _: Path | None) -> Any:
            async def done() -> Any:
                return await work(self.wallets)

            return asyncio.run(done())

        def no_service(_: object) -> Any:
            raise AssertionError("the service is not asked")

        return CliRunner().invoke(wallet_app(no_service, run_here), [*arguments])


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_a_wallet_is_opened_once(terminal: Terminal) -> None:
    for _ in range(2):
        result = terminal.invoke("open", "acme", "1099")
        assert (result.exit_code, result.stdout) == (0, "acme began with 10.99 USD: entry 1\n")
    result = terminal.invoke("open", "lily", "--json", "--", "-5")
    assert json.loads(result.stdout) == {"wallet": "lily@acme", "sequence": 1, "amount": -5}
    result = terminal.invoke("open", "acme", "7")
    assert isinstance(result.exception, Refused)
    assert "opened with another balance" in str(result.exception)
    assert isinstance(terminal.invoke("open", "nobody", "7").exception, Refused)
    assert "AMOUNT: at most" in str(terminal.invoke("open", "acme", "9" * 20).exception)


def test_wallets_are_proved(terminal: Terminal) -> None:
    books = terminal.journal.books["acme"] = Books()
    books.append(grant("g", 500), hold("h", 200))
    result = terminal.invoke("prove")
    assert result.exit_code == 0
    assert "acme" in result.stdout
    assert "lily@acme" in result.stdout
    proofs = json.loads(terminal.invoke("prove", "acme", "--json").stdout)["wallets"]
    assert [(one["entries"], one["available"], one["held"]) for one in proofs] == [(2, 300, 200)]
    assert proofs[0]["sums"] == {"available/usd": 300, "held/usd": 200, "grants/usd": -500}


def test_what_was_changed_in_the_store_ends_with_1(terminal: Terminal) -> None:
    books = terminal.journal.books["acme"] = Books()
    books.append(grant("g", 500), hold("h", 200))
    books.entries[0] = replace(books.entries[0], available_after=900)
    for flags in ((), ("--json",)):
        result = terminal.invoke("prove", "acme", *flags)
        assert result.exit_code == 1
        assert "digest" in result.stdout
