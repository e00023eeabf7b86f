"""`billing accounts` on a store of its own."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bootstrap import cli
from bootstrap.process import opened
from bootstrap.settings import Settings, environment_name, load
from domain.connections import Connection
from domain.operations import OperationKind, OperationState
from interfaces.cli.exits import ExitCode
from sandbox.emulator.settings import PLATFORM_KEY

STRIPE: Final = ("--stripe-account", "acct_1Acme")


@dataclass(frozen=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str

    def row(self, account: str) -> list[str]:
        """The cells of an account's row."""
        lines = self.out.splitlines()
        (place,) = (at for at, line in enumerate(lines) if line.startswith(f"│ {account} "))
        first, second = (
            [cell.strip() for cell in line.strip("│").split("│")] for line in lines[place:][:2]
        )
        return [*first[:4], second[0], *first[4:]]

    @property
    def error(self) -> str:
        """The one line that a failure says."""
        assert self.code in (ExitCode.FAILED, ExitCode.NOT_FOUND)
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


Billing = Callable[..., Outcome]


@pytest.fixture
def billing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    stripe_url: str,
) -> Billing:  # fmt: skip
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    monkeypatch.setenv("STRIPE_SECRET_KEY", PLATFORM_KEY)
    monkeypatch.setenv("BILLING_STRIPE_URL", stripe_url)
    monkeypatch.setenv("BILLING_CALLER_KEYS", f"tests:{'x' * 32}")
    monkeypatch.setenv("BILLING_WEBHOOK_SECRETS_CONNECT", "whsec_12345678")
    monkeypatch.setenv("BILLING_SQLITE_PATH", str(tmp_path / "new" / "billing.db"))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", ["billing", "accounts", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run


def connection(account: str) -> Connection | None:
    """An account's connection as the store has it."""

    async def read() -> Connection | None:
        async with opened(load()) as container:
            _, found = await container.account_administration().show(account)
            return found

    return asyncio.run(read())


def test_an_account_is_added_and_shown(billing: Billing) -> None:
    added = billing("add", "acme", "--name", "Acme Ltd", "--currency", "eur", *STRIPE)
    assert (added.code, added.err) == (0, "")
    expected = ["acme", "Acme Ltd", "eur", "", "acct_1Acme", "test", "active"]
    assert added.row("acme") == expected
    assert billing("show", "acme").row("acme") == expected


def test_an_account_without_a_connection(billing: Billing) -> None:
    added = billing("add", "acme", "--name", "Acme")
    assert added.row("acme") == ["acme", "Acme", "usd", "", "not connected", "", ""]


def test_ids_stay_whole_in_a_narrow_terminal(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "A company with quite a long name, in fact"
    stripe_account = "acct_1032D82eZvKYlo2C"
    out = billing("add", "acme-north", "--name", name, "--stripe-account", stripe_account).out
    assert "acme-north" in out
    assert stripe_account in out


def test_accounts_are_listed_in_order_of_id(billing: Billing) -> None:
    for account in ("b", "a", "c"):
        assert billing("add", account, "--name", account).code == 0
    assert re.findall(r"^│ (\w) ", billing("list").out, re.MULTILINE) == ["a", "b", "c"]
    assert re.findall(r"^│ (\w) ", billing("list", "--after", "a").out, re.MULTILINE) == ["b", "c"]
    assert re.findall(r"^│ (\w) ", billing("list", "--after", "c").out, re.MULTILINE) == []


def test_an_empty_list_says_so(billing: Billing) -> None:
    assert billing("list").out == "no accounts: billing accounts add ...\n"
    assert billing("list", "--after", "c").out == "no accounts after c\n"
    assert json.loads(billing("list", "--json").out) == {"accounts": []}


def test_what_a_table_tells_json_tells(billing: Billing) -> None:
    billing("add", "acme", "--name", "Acme", *STRIPE)
    shown = json.loads(billing("show", "acme", "--json").out)
    assert shown == {
        "account": "acme", "name": "Acme", "currency": "usd", "parent": None,
        "owner": "", "tier": "", "flags": [],
        "stripe_account": "acct_1Acme", "mode": "test", "state": "active",
    }  # fmt: skip
    assert json.loads(billing("list", "--json").out) == {"accounts": [shown]}


def test_an_account_has_an_owner_a_tier_and_flags(billing: Billing) -> None:
    words = ("--owner", "u_1", "--tier", "pro", "--flag", "listings", "--flag", "beta")
    for _ in range(2):
        assert billing("add", "acme", "--name", "Acme", *words).code == 0
    shown = json.loads(billing("show", "acme", "--json").out)
    assert (shown["owner"], shown["tier"]) == ("u_1", "pro")
    assert shown["flags"] == ["listings", "beta"]
    assert "at most 64" in billing("add", "b", "--name", "B", "--tier", "x" * 65).error


def test_the_settings_may_stand_in_a_file(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    billing("add", "acme", "--name", "Acme")
    secret = tmp_path / "key"
    secret.write_text(f"{PLATFORM_KEY}\n")
    file = tmp_path / "billing.env"
    file.write_text(
        f"# of this host\nSTRIPE_SECRET_KEY_FILE={secret}\n"
        f"export BILLING_SQLITE_PATH='{tmp_path / 'new' / 'billing.db'}'\n"
    )
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    monkeypatch.delenv("BILLING_SQLITE_PATH")
    assert billing("show", "acme", "--env-file", str(file)).code == 0
    monkeypatch.setenv("BILLING_ENV_FILE", str(file))
    assert billing("show", "acme").code == 0


def test_a_repeat_changes_nothing(billing: Billing) -> None:
    command = ("add", "acme", "--name", "Acme", *STRIPE)
    first = billing(*command)
    before = connection("acme")
    assert billing(*command) == first
    # Also the moment: what is older than the connection has no effects.
    assert connection("acme") == before
    assert len(billing("list").out.splitlines()) == len(first.out.splitlines())


def test_a_repeat_without_the_stripe_account_shows_it(billing: Billing) -> None:
    billing("add", "acme", "--name", "Acme", *STRIPE)
    again = billing("add", "acme", "--name", "Acme")
    assert again.row("acme")[4:] == ["acct_1Acme", "test", "active"]


def test_an_account_can_be_connected_later_and_elsewhere(billing: Billing) -> None:
    billing("add", "acme", "--name", "Acme")
    assert billing("add", "acme", "--name", "Acme", *STRIPE).row("acme")[4] == "acct_1Acme"
    moved = billing("add", "acme", "--name", "Acme", "--stripe-account", "acct_2Acme")
    assert moved.row("acme")[4] == "acct_2Acme"


def test_a_connected_account_waits_for_its_backfill(billing: Billing) -> None:
    for _ in range(2):
        billing("add", "acme", "--name", "Acme", *STRIPE)

        async def read() -> object:
            async with opened(load()) as container:
                kept = await container.operation_log().find("acct_1Acme", OperationKind.BACKFILL)
                return kept and kept.operation.state

        assert asyncio.run(read()) is OperationState.PENDING


def test_a_sub_account(billing: Billing) -> None:
    billing("add", "main", "--name", "Main")
    assert billing("add", "sub", "--name", "Sub", "--parent", "main").row("sub")[3] == "main"


def test_a_stripe_account_belongs_to_one(billing: Billing) -> None:
    billing("add", "acme", "--name", "Acme", *STRIPE)
    error = billing("add", "rival", "--name", "Rival", *STRIPE).error
    assert error.startswith("billing: another account is connected to this Stripe account")
    assert error.endswith("(STRIPE_ACCOUNT_TAKEN)")
    assert billing("show", "acme").row("acme")[4] == "acct_1Acme"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "acme", "--name", "Acme", "--currency", "usx"), "--currency: "),
        (("add", "acme", "--name", "Acme", "--currency", "USD"), "--currency: "),
        (("add", "a/b", "--name", "Acme"), "ACCOUNT: "),
        (("add", "acme", "--name", ""), "--name: "),
        (("add", "acme", "--name", "x" * 257), "--name: "),
        (("add", "acme", "--name", "Acme", "--stripe-account", "1Acme"), "--stripe-account: "),
        (("add", "acme", "--name", "Acme", "--parent", "acme"), "--parent: "),
        (
            ("add", "acme", "--name", "Acme", "--parent", "nobody"),
            "no account nobody; billing accounts list",
        ),
        (("show", "nobody"), "no account nobody; billing accounts list"),
        (
            ("add", "acme", "--name", "Acme", "--stripe-account", "acct_Nobody"),
            "no Stripe account acct_Nobody; Stripe shows the platform no such account",
        ),
    ],
)
def test_what_is_refused_is_one_line(
    billing: Billing, arguments: tuple[str, ...], words: str
) -> None:
    assert billing(*arguments).error.startswith(f"billing: {words}")
    if arguments[0] == "add":
        assert billing("show", "acme").code == ExitCode.NOT_FOUND  # nothing was added


def test_all_that_is_wrong_is_told_at_once(billing: Billing) -> None:
    error = billing("add", "a/b", "--name", "", "--stripe-account", "x").error
    assert all(
        field in error
        for field in (
            "--name: ",
            "ACCOUNT: ",
            "--stripe-account: ",
        )
    )


def test_an_account_is_not_redefined(billing: Billing) -> None:
    billing("add", "acme", "--name", "Acme")
    assert billing("add", "acme", "--name", "Other").error.endswith("(ALREADY_EXISTS)")
    assert billing("show", "acme").row("acme")[1] == "Acme"


def test_only_a_main_account_has_sub_accounts(billing: Billing) -> None:
    billing("add", "main", "--name", "Main")
    billing("add", "sub", "--name", "Sub", "--parent", "main")
    error = billing("add", "grandchild", "--name", "G", "--parent", "sub").error
    assert error == "billing: --parent: a main account is needed (INVALID_FIELDS)"


def test_a_store_of_the_other_mode_is_one_line(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing("add", "acme", "--name", "Acme")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_51Abc")
    assert "the store holds test objects" in billing("list").error


def test_a_file_that_is_no_database_is_one_line(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "no.db"
    file.write_text("no database" * 1_000)
    monkeypatch.setenv("BILLING_SQLITE_PATH", str(file))
    assert billing("list").error.startswith("billing: BILLING_SQLITE_PATH: ")
    assert file.read_text() == "no database" * 1_000


def test_the_store_is_nobody_elses_to_read(billing: Billing, tmp_path: Path) -> None:
    billing("add", "acme", "--name", "Acme")
    folder = tmp_path / "new"
    assert folder.stat().st_mode & 0o077 == 0
    with sqlite3.connect(folder / "billing.db") as database:
        (count,) = database.execute('SELECT count(*) FROM "_accounts"').fetchone()
    database.close()
    assert count == 1
