"""`billing contacts` on a store of its own."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from bootstrap import cli
from bootstrap.process import opened
from bootstrap.settings import Settings, environment_name, load
from domain.contacts import ContactField
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from tests.support.fakes.stores import NOON


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
        assert (self.code, self.out) == (1, "")
        (line,) = self.err.splitlines()
        return line


Billing = Callable[..., Outcome]


@pytest.fixture
def billing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Billing:
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_51Abc")
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


def mirror(*customers: str) -> None:
    """Put customers into the mirror, as webhooks would."""

    async def work() -> None:
        async with opened(load()) as container:
            for id_ in customers:
                version = Version.of_event(1)
                told = [Snapshot("acct_1Acme", id_, version, Customer(id_, NOON))]
                await MirrorWriter(container.mirror()).observe(CUSTOMERS, told)

    asyncio.run(work())


ADA = ("--name", "Ada [bold]", "--email", "Ada@x.test", "--phone", "+4930123456")
ROW = ["ada", "Ada [bold]", "Ada@x.test", "+4930123456", "not linked"]


def test_a_contact_is_added_shown_and_linked(billing: Billing) -> None:
    added = billing("contacts", "add", "acme", "ada", *ADA)
    assert (added.code, added.err) == (0, "")
    assert added.row("ada") == ROW
    assert billing("contacts", "add", "acme", "ada", *ADA) == added, "a repeat changes nothing"
    assert billing("contacts", "show", "acme", "ada").row("ada") == ROW
    mirror("cus_1", "cus_2")
    for _ in range(2):
        assert billing("contacts", "link", "acme", "ada", "cus_1").row("ada")[4] == "cus_1"
    assert billing("contacts", "list", "acme").row("ada")[4] == "cus_1"
    error = billing("contacts", "link", "acme", "ada", "cus_2").error
    assert error.endswith("(CONTACT_LINKED)")


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
        (("add", "nobody", "ada"), "account not found"),
        (("list", "nobody"), "account not found"),
        (("field", "nobody", "tier"), "account not found"),
        (("show", "acme", "nobody"), "contact not found"),
        (("link", "acme", "nobody", "cus_1"), "customer not found"),
        (("link", "acme", "ada", "!"), "customer not found"),
        (("link", "acme", "ada", "--", "-7\n"), "customer: "),
        (("add", "acme", "a b"), "contact: "),
        (("add", "acme", "ada", "--email", "nobody"), "email: "),
        (("add", "acme", "ada", "--name", "x" * 513), "name: "),
        (("field", "acme", "Tier"), "name: "),
        (("field", "acme", "billing_filled"), "name: "),
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
