"""`billing contacts` on a store of its own."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap import cli
from bootstrap.process import opened
from bootstrap.settings import Settings, environment_name, load
from domain.contacts import ContactField
from interfaces.cli.exits import ExitCode
from sandbox.emulator.settings import PLATFORM_KEY


@dataclass(frozen=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str

    def row(self, first: str) -> list[str]:
        """The cells of the row that begins so."""
        (line,) = (line for line in self.out.splitlines() if line.startswith(f"│ {first} "))
        return [cell.strip() for cell in line.strip("│").split("│")]

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
        monkeypatch.setattr("sys.argv", ["billing", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    added = run("accounts", "add", "acme", "--name", "Acme", "--stripe-account", "acct_1Acme")
    assert added.code == 0
    return run


ADA = ("--name", "Ada [bold]", "--email", "Ada@x.test", "--phone", "+4930123456")
ROW = ["ada", "Ada [bold]", "Ada@x.test", "+4930123456", "not linked"]


def test_a_contact_is_added_and_shown(billing: Billing) -> None:
    added = billing("contacts", "add", "acme", "ada", *ADA)
    assert (added.code, added.err) == (0, "")
    assert added.row("ada") == ROW
    assert billing("contacts", "add", "acme", "ada", *ADA) == added, "a repeat changes nothing"
    assert billing("contacts", "show", "acme", "ada").row("ada") == ROW
    shown = json.loads(billing("contacts", "show", "acme", "ada", "--json").out)
    assert shown == {
        "contact": "ada", "name": "Ada [bold]", "email": "Ada@x.test", "phone": "+4930123456",
        "customer": None,
    }  # fmt: skip
    listed = billing("contacts", "list", "acme", "--json").out
    assert json.loads(listed) == {"contacts": [shown]}


def test_an_empty_list_says_so(billing: Billing) -> None:
    assert billing("contacts", "list", "acme").out == "no contacts of acme\n"


def test_contacts_are_listed_in_order_of_id(billing: Billing) -> None:
    for contact in ("b", "a", "c"):
        assert billing("contacts", "add", "acme", contact).code == 0

    def listed(*more: str) -> list[str]:
        out = billing("contacts", "list", "acme", *more).out
        return re.findall(r"^│ (\w) ", out, re.MULTILINE)

    assert listed() == ["a", "b", "c"]
    assert listed("--after", "a") == ["b", "c"]


def test_a_field_of_an_accounts_own(billing: Billing) -> None:
    billing("contacts", "field", "acme", "tier")
    listed = billing("contacts", "field", "acme", "birthday", "--label", "Date of birth")
    assert listed.row("tier") == ["tier", "tier"]
    assert listed.row("birthday") == ["birthday", "Date of birth"]

    async def known() -> object:
        async with opened(load()) as container:
            return await container.stores.contacts().custom_fields("acme")

    assert asyncio.run(known()) == [
        ContactField("birthday", "Date of birth", custom=True),
        ContactField("tier", "tier", custom=True),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nobody", "ada"), "no account nobody; billing accounts list"),
        (("list", "nobody"), "no account nobody; billing accounts list"),
        (("field", "nobody", "tier"), "no account nobody; billing accounts list"),
        (("show", "acme", "nobody"), "no contact nobody"),
        (("add", "acme", "a b"), "CONTACT: "),
        (("add", "acme", "ada", "--email", "nobody"), "--email: "),
        (("add", "acme", "ada", "--name", "x" * 513), "--name: "),
        (("field", "acme", "Tier"), "NAME: "),
        (("field", "acme", "billing_filled"), "NAME: "),
    ],
)
def test_what_is_refused_is_one_line(
    billing: Billing, arguments: tuple[str, ...], words: str
) -> None:
    assert billing("contacts", *arguments).error.startswith(f"billing: {words}")


def test_a_contact_is_not_redefined(billing: Billing) -> None:
    billing("contacts", "add", "acme", "ada", *ADA)
    again = billing("contacts", "add", "acme", "ada", "--name", "Other")
    assert again.error.endswith("(ALREADY_EXISTS)")
    assert billing("contacts", "show", "acme", "ada").row("ada") == ROW
