"""`billing payouts` against a service in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner, Result

from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.payouts.balance import Balances
from domain.balances import BalanceReading, CurrencyReading
from domain.connections import Mode
from domain.payout_summary import Step
from domain.periods import to_milliseconds
from interfaces.cli.client import Connect, authorised
from interfaces.cli.exits import Refused
from interfaces.cli.payouts.app import payouts_app
from interfaces.cli.payouts.waterfall import places_of, waterfall_table
from interfaces.cli.target import Target
from interfaces.grpc.payouts.servicer import PayoutServicer
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
)
from tests.support.rooms.payouts import CONNECTION, SECOND, PayoutsOn, payout, transaction
from tests.support.servers.grpc import Running, running_server
from tests.unit.application.payouts.test_balance import FakeReadings, FakeTransactions


@dataclass
class Terminal:
    """The commands, and what the service behind them has."""

    room: PayoutsOn
    running: Running

    async def run(self, *arguments: str, columns: int = 200) -> Result:
        app = payouts_app(self._reach)
        environment = {"COLUMNS": str(columns), "TERM": "dumb"}
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)

    async def printed(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.exception
        return result.stdout

    def _reach(self, _: Target) -> Connect:
        def connect(scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
            return authorised(address, lambda: self.running.token(account="acme", scopes=scopes))

        address = f"127.0.0.1:{self.running.port}"
        return connect


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    room = PayoutsOn(FakeMirror())
    platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
    balances = Balances(
        room.connections,
        MirroredAccounts(FakeConnections(CONNECTION), platform, Mode.TEST),
        room.stripe,
        FakeTransactions(),
        room.mirror,
        FakeReadings(),
        FakeClock(),
    )
    async with running_server(payouts=PayoutServicer(room.payouts, balances)) as running:
        yield Terminal(room, running)


async def explained(room: PayoutsOn) -> None:
    """A payout of two sales and a refund."""
    await room.hold(payout(amount=9_180, balance_transaction="txn_4"))
    await room.book(
        [
            transaction("txn_1", "charge", 8_000, 250),
            transaction("txn_2", "charge", 2_000, 70),
            transaction("txn_3", "refund", -500),
            transaction("txn_4", "payout", -9_180),
        ],
        "po_1",
    )
    await room.read("po_1", 4)


async def test_payouts_are_listed(terminal: Terminal) -> None:
    assert await terminal.printed("list") == "no such payouts\n"
    await terminal.room.hold(
        payout("po_1", 1_099),
        payout("po_2", 700, "jpy", status="failed", failure_code="account_closed",
               automatic=False, arrival_date=NOON - SECOND),
    )  # fmt: skip
    text = await terminal.printed("list", "--account", "acme")
    assert text.index("po_1") < text.index("po_2")
    for words in ("10.99 USD", "700 JPY", "failed: account closed", "manual standard"):
        assert words in text
    narrowed = ("--status", "failed", "--status", "paid", "--manual", "--since", "2020-01-01")
    found = json.loads(await terminal.printed("list", *narrowed, "--json"))
    assert ([one["id"] for one in found["payouts"]], found["more"]) == (["po_2"], False)
    first = json.loads(await terminal.printed("list", "--limit", "1", "--json"))
    assert ([one["id"] for one in first["payouts"]], first["more"]) == (["po_1"], True)


async def test_tables_fit_eighty_columns(terminal: Terminal) -> None:
    long = "po_1OaFDbEcg9tTZuTgNYmX0PKB"
    await explained(terminal.room)
    await terminal.room.hold(
        payout(long, 1_234_567_890, status="failed", failure_code="bank_account_restricted")
    )
    large = CurrencyReading("usd", 12_345_678_901, 30, 200, 7, {}, {})
    terminal.room.stripe.balances = [
        BalanceReading(to_milliseconds(NOON), to_milliseconds(NOON), (large,))
    ]
    for command in (["list"], ["show", "po_1"], ["show", long], ["balance"]):
        result = await terminal.run(*command, columns=80)
        assert result.exit_code == 0, result.exception
        assert max(map(len, result.stdout.splitlines())) <= 80, result.stdout
    assert long in (await terminal.run("list", columns=80)).stdout


async def test_a_payout_is_shown_with_all_it_consists_of(terminal: Terminal) -> None:
    await explained(terminal.room)
    text = await terminal.printed("show", "po_1")
    for words in (
        "STRIPE TEST BANK …6789 USD ba_1", "charge", "payout (this one)", "-91.80 USD", "sales",
        "-3.20 USD", "paid out",
    ):  # fmt: skip
        assert words in text
    assert "█" not in text, "there is no terminal"
    assert "\x1b" not in text
    found = json.loads(await terminal.printed("show", "po_1", "--json"))
    nets = [int(row["net"]["amount"]) for row in found["summary"]["rows"]]
    assert (sum(nets), nets[-1], found["no_summary_reason"]) == (0, -9_180, "")
    assert found["details"]["destination"]["last4"] == "6789"


async def test_a_payout_that_nobody_can_explain_says_why(terminal: Terminal) -> None:
    await terminal.room.hold(payout("po_1", automatic=False), payout("po_2"))
    assert "Stripe does not tell" in await terminal.printed("show", "po_1")
    assert "ask again" in await terminal.printed("show", "po_2")
    found = json.loads(await terminal.printed("show", "po_2", "--json"))
    assert (found["summary"], found["no_summary_reason"]) == (None, "PAYOUT_NOT_RECONCILED")
    result = await terminal.run("show", "po_3")
    assert isinstance(result.exception, Refused)
    assert "billing payouts list" in str(result.exception)


async def test_the_balance_is_shown_beside_the_mirror(terminal: Terminal) -> None:
    await terminal.room.book([transaction("txn_1", "charge", 500, created=NOON - 60 * SECOND)])
    at = to_milliseconds(NOON)
    usd = CurrencyReading("usd", 480, 30, 200, 7, {"card": 480}, {"card": 30})
    terminal.room.stripe.balances = [BalanceReading(at - 2_000, at + 2_000, (usd,))] * 2
    text = await terminal.printed("balance")
    for words in ("4.80 USD", "0.30 USD", "2.00 USD", "0.07 USD", "5.00 USD", "0.10 USD"):
        assert words in text
    assert "between 2026-" in text
    found = json.loads(await terminal.printed("balance", "--json"))
    assert found["currencies"][0]["difference"]["amount"] == "10"


def drawn(*, terminal: bool) -> str:
    steps = [Step("sales", 10_000, 10_000), Step("refunds", -500, 9_500), Step("fees", -320, 9_180)]
    console = Console(
        force_terminal=terminal, width=120, color_system="truecolor" if terminal else None
    )
    with console.capture() as capture:
        console.print(waterfall_table(steps, "usd", bars=terminal))
    return capture.get()


def test_a_terminal_shows_bars_in_colours() -> None:
    text = drawn(terminal=True)
    assert text.count("█") == 40 + 2 + 1 + 37
    assert "\x1b[32m" in text, "what came is green"
    assert "\x1b[31m" in text, "what went is red"
    plain = drawn(terminal=False)
    assert "█" not in plain
    assert "\x1b" not in plain


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(10, 80))
def test_bars_are_to_one_scale_and_none_leaves_it(amounts: list[int], width: int) -> None:
    steps, total = [], 0
    for amount in amounts:
        total += amount
        steps.append(Step("sales", amount, total))
    places = places_of(steps, width)
    sums = [0, *(step.total for step in steps)]
    span = max(max(sums) - min(sums), 1)
    for amount, (start, cells) in zip([*amounts, total], places, strict=True):
        assert 0 <= start <= start + cells <= width
        assert (cells > 0) == (amount != 0)
        assert abs(cells - abs(amount) * width / span) <= 1
