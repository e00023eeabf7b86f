"""The `billing` command: its manual, its version, its tokens, its way to fail."""

import datetime as dt
import importlib
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import billing.v1
import pytest
import typer
from typer.testing import CliRunner

from application.callers import OPERATOR
from application.events import PAYLOAD_SCOPE
from application.notes import ADMIN_SCOPE
from bootstrap import cli
from bootstrap.settings import Settings, environment_name, ignored_names, load
from domain.errors import Unauthenticated
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from interfaces.cli.token import SCOPES
from interfaces.grpc.methods import methods_of
from tests.support.fakes import FakeClock

FIRST: Final = "1" * 32
SECOND: Final = "2" * 32
SETTINGS: Final = {
    "STRIPE_SECRET_KEY": "sk_test_51Abc",
    "BILLING_CALLER_KEYS": f"first:{FIRST},second:{SECOND}",
    "BILLING_WEBHOOK_SECRETS_CONNECT": "whsec_12345678",
    "COLUMNS": "80",
    "TERM": "dumb",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def printed(*arguments: str) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_manual_names_every_command() -> None:
    manual = printed("--help")
    commands = cli.app.registered_commands
    registered = [
        command.name or str(getattr(command.callback, "__name__", "")) for command in commands
    ]
    groups = [str(group.name) for group in cli.app.registered_groups]
    assert {"demo", "sandbox", "serve", "emulator", "token", "accounts"} <= {*registered, *groups}
    for command in (*registered, *groups):
        assert re.search(rf"^│ {command} +[A-Z]", manual, re.MULTILINE), command


def test_the_manual_names_every_setting_with_its_default() -> None:
    lines = [line.strip() for line in printed("--help").splitlines()]
    for field, setting in Settings.model_fields.items():
        name = environment_name(field)
        (place,) = (number for number, line in enumerate(lines) if line.partition(",")[0] == name)
        assert lines[place + 1] == setting.description
        if setting.is_required():
            assert lines[place] == f"{name}, required"
        elif name == "BILLING_STORE":
            assert lines[place] == f"{name}, default sqlite"


def test_the_manual_fits_80_columns_and_says_where_to_begin() -> None:
    manual = printed("--help")
    assert max(map(len, manual.splitlines())) <= 80
    assert manual.index("billing demo") < manual.index("billing serve") < manual.index("STRIPE_")


@pytest.mark.parametrize(
    "arguments",
    [("demo",), ("sandbox",), ("emulator",), ("serve",), ("token",), ("accounts",),
     ("accounts", "add"), ("accounts", "list"), ("accounts", "show"), ("events",),
     ("events", "list"), ("events", "show"), ("events", "retry"), ("events", "retry-dead"),
     ("events", "explain"), ("events", "watch")],
)  # fmt: skip
def test_every_command_explains_itself(arguments: tuple[str, ...]) -> None:
    manual = printed(*arguments, "--help")
    assert f"Usage: billing {' '.join(arguments)}" in manual
    assert "--child" not in manual


def test_version() -> None:
    assert printed("--version") == f"{version('billing-service')}\n"


def test_no_command_shows_the_manual() -> None:
    result = CliRunner().invoke(cli.app)
    assert result.exit_code == 2
    assert "billing demo" in result.output


def test_a_token_is_signed_with_the_first_key() -> None:
    token = printed("token", "acme").strip()
    verified = CallerTokens({"first": FIRST.encode()}, SystemClock()).verify(token)
    assert (verified.subject, verified.account) == ("operator", "acme")
    assert verified.scopes == {*SCOPES}
    with pytest.raises(Unauthenticated):
        CallerTokens({"first": SECOND.encode()}, SystemClock()).verify(token)


def test_a_token_is_as_narrow_as_asked_for() -> None:
    options = ("--scope", "customers.read", "--subject", "crm", "--minutes", "5")
    token = printed("token", "acme", *options).strip()
    keys = {"first": FIRST.encode()}
    verified = CallerTokens(keys, SystemClock()).verify(token)
    assert verified.subject == "crm"
    assert verified.scopes == {"customers.read"}
    later = FakeClock(SystemClock().now() + dt.timedelta(minutes=6))
    with pytest.raises(Unauthenticated):
        CallerTokens(keys, later).verify(token)


def test_a_token_may_be_an_operators() -> None:
    token = printed("token", "-").strip()
    verified = CallerTokens({"first": FIRST.encode()}, SystemClock()).verify(token)
    assert verified.account == OPERATOR


def test_a_token_may_have_every_scope_of_the_contract() -> None:
    (folder,) = billing.v1.__path__
    names = sorted(path.stem for path in Path(folder).glob("*_service_pb2.py"))
    files = [importlib.import_module(f"billing.v1.{name}") for name in names]
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    of_methods = {method.scope for method in methods_of(services).values()}
    assert set(SCOPES) == {*of_methods, PAYLOAD_SCOPE, ADMIN_SCOPE}


def fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[str]:
    """Run a command that fails; the lines that it says, on standard error only."""
    monkeypatch.setattr("sys.argv", ["billing", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (1, "")
    assert "Traceback" not in err
    return err.splitlines()


def test_a_command_reads_no_name_that_would_be_taken_for_a_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_more = typer.Typer()
    one_more.command()(_reads_its_colour)
    assert [*_names_read_by(typer.main.get_command(one_more))] == ["BILLING_COLOUR"]
    for name in _names_read_by(typer.main.get_command(cli.app)):
        monkeypatch.setenv(name, "1")
    load()
    assert ignored_names() == []


def _reads_its_colour(
    colour: Annotated[str, typer.Option(envvar="BILLING_COLOUR")] = "",
) -> None:
    """A command as none is today."""
    del colour


def _names_read_by(command: Any) -> Iterator[str]:
    """The names in the environment that stand for options of a command and of those below it."""
    for parameter in command.params:
        names = parameter.envvar or ()
        yield from (names,) if isinstance(names, str) else names
    for below in getattr(command, "commands", {}).values():
        yield from _names_read_by(below)


@pytest.mark.parametrize("command", [("serve",), ("token", "acme"), ("accounts", "list")])
def test_a_misspelt_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BILLING_STOER", "mongo")
    assert fail(monkeypatch, capsys, *command) == [
        "billing: BILLING_STOER: is no setting; is BILLING_STORE meant?"
    ]


@pytest.mark.parametrize("command", [("serve",), ("token", "acme"), ("accounts", "list")])
def test_a_missing_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("BILLING_CALLER_KEYS")
    assert fail(monkeypatch, capsys, *command) == ["billing: BILLING_CALLER_KEYS: is required"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("token", "no/account"), "account"),
        (("token", "acme", "--scope", "a b"), "scopes"),
        (("token", "acme", "--subject", ""), "subject"),
    ],
)
def test_a_token_that_nobody_would_take_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    (line,) = fail(monkeypatch, capsys, *arguments)
    assert line.startswith("billing: ")
    assert words in line
