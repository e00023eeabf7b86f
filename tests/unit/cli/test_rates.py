"""`billing rates` against a service in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from application.analytics.rates import ExchangeRates
from application.requests.paging import PageTokens
from interfaces.cli.client import Connect, authorised
from interfaces.cli.exits import Refused
from interfaces.cli.rates import rates_app
from interfaces.cli.target import Target
from tests.support.fakes.rates import FakeRates
from tests.support.fakes.stores import FakeClock
from tests.support.servers.grpc import Running, running_server


@dataclass
class Terminal:
    """The commands, on a file in a folder of their own."""

    rates: FakeRates
    running: Running
    file: Path

    async def run(self, *arguments: str) -> Result:
        app = rates_app(self._reach)
        environment = {"COLUMNS": "200", "TERM": "dumb"}
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)

    async def imported(self, text: str, *options: str) -> str:
        """What an import that succeeds prints."""
        self.file.write_text(text, encoding="utf-8")
        result = await self.run("import", str(self.file), "--account", "acme", *options)
        assert result.exit_code == 0, result.exception
        return result.stdout

    async def refused(self, text: str | bytes, *options: str) -> str:
        """The line that an import ends with; nothing is written then."""
        before = dict(self.rates.kept)
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = await self.run("import", str(self.file), "--account", "acme", *options)
        assert isinstance(result.exception, Refused), result.output
        assert self.rates.kept == before
        return str(result.exception)

    def _reach(self, _: Target) -> Connect:
        def connect(scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
            return authorised(address, lambda: self.running.token(account="acme", scopes=scopes))

        address = f"127.0.0.1:{self.running.port}"
        return connect


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    rates = FakeRates()
    desk = ExchangeRates(rates, PageTokens(b"key", FakeClock()), "usd")
    async with running_server(rates=desk) as running:
        yield Terminal(rates, running, tmp_path / "rates.csv")


def days(count: int, rate: str = "1.5") -> str:
    return "".join(
        f"20{year:02}-{month:02}-{day:02},eur,{rate}\n"
        for year in range(20, 30)
        for month in range(1, 13)
        for day in range(1, 29)
    )[: count * len("2020-01-01,eur,1.5\n")]


async def test_a_file_is_imported_and_again(terminal: Terminal) -> None:
    text = "\ufeffdate,currency,rate\r\n2026-01-31, eur ,1.0842\r\n\r\n2026-01-31,jpy,0.0067\r\n"
    assert await terminal.imported(text) == "2 rates in usd written, 0 known before\n"
    told = json.loads(await terminal.imported(text, "--json", "--base", "usd"))
    assert told == {"base_currency": "usd", "written_count": 0, "known_count": 2}


async def test_a_long_file_takes_several_calls(terminal: Terminal) -> None:
    assert "2,500 rates in usd written" in await terminal.imported(days(2_500))
    assert len(terminal.rates.kept) == 2_500
    # The last line is refused by the service; none of the thousands before it is written.
    wrong = days(2_400, "1.5").replace("eur", "gbp") + "2020-01-02,eur,9\n"
    told = await terminal.refused(wrong)
    assert (
        told == "line 2401: rate: 1.5 was imported for this day and currency; a rate never changes"
    )


async def test_lines_that_are_none_are_named_by_their_number(terminal: Terminal) -> None:
    told = await terminal.refused(
        "2026-01-31,eur,1.1\n2026-01-31,eur\n31.1.2026,EUR,0\n\n2026-01-31,eur,1.1,x\n"
    )
    assert told.startswith(
        "nothing is written; line 2: 3 columns are needed: date, currency, rate;"
    )
    for words in (
        "line 3: date: ",
        "currency: one that Stripe knows",
        "rate: a decimal above zero",
    ):
        assert words in told
    assert "line 5: 3 columns" in told
    assert "line 1" not in told
    many = await terminal.refused("x\n" * 50)
    assert many.count("line ") == 20
    assert many.endswith("and 30 more")


async def test_a_file_that_is_none(terminal: Terminal) -> None:
    assert await terminal.refused("date,currency,rate\n") == "the file holds no rates"
    assert "no CSV in UTF-8" in await terminal.refused(b"\xff\xfe\x00")
    assert "at most 100,000 lines" in await terminal.refused("2026-01-31,eur,1.1\n" * 100_001)
    told = await terminal.refused("2026-01-31,eur,1.1\n", "--base", "gbp")
    assert told == "base_currency: this deployment's is usd"


async def test_rates_are_listed(terminal: Terminal) -> None:
    await terminal.imported(days(250) + "2026-01-31,jpy,0.0067\n")
    result = await terminal.run("list", "--account", "acme", "--limit", "150")
    assert result.exit_code == 0, result.exception
    assert "rate in usd" in result.stdout
    assert result.stdout.count("eur") == 150
    assert "there are more" in result.stderr
    result = await terminal.run("list", "--account", "acme", "--currency", "jpy", "--json")
    assert json.loads(result.stdout) == {
        "base_currency": "usd",
        "rates": [{"date": "2026-01-31", "currency": "jpy", "rate": "0.0067"}],
        "more": False,
    }
    assert (
        json.loads((await terminal.run("list", "--account", "acme", "--json")).stdout)["more"]
        is False
    )
