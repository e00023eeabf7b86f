"""The `billing` command: its manual, its version, its tokens, its way to fail."""

import datetime as dt
import gc
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import billing_client.v1
import pytest
import typer
from typer.testing import CliRunner

from application.events.use_cases import PAYLOAD_SCOPE
from application.notes.use_cases import ADMIN_SCOPE
from application.requests.callers import OPERATOR
from bootstrap import cli, process
from bootstrap.names import OF_COMMANDS
from bootstrap.settings import SECRETS, Settings, environment_name, ignored_names, load
from bootstrap.tokens import list_scopes
from domain.errors import Unauthenticated
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from interfaces.cli.exits import ExitCode
from interfaces.cli.late import Late
from interfaces.grpc.core.methods import methods_of
from tests.support.fakes.stores import FakeClock

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
    assert not cli.app.registered_groups, "what it would import, the manual would wait for"
    assert {"demo", "sandbox", "serve", "emulator", "token", "accounts"} <= {*registered}
    for command in registered:
        assert re.search(rf"^│ {command} +[A-Z]", manual, re.MULTILINE), command


def late_commands() -> dict[str, Late]:
    """The commands whose modules are imported when they are called."""
    commands: dict[str, Any] = getattr(typer.main.get_command(cli.app), "commands", {})
    return {name: command for name, command in commands.items() if isinstance(command, Late)}


def test_the_line_of_a_command_in_the_manual_is_the_first_of_its_own() -> None:
    late = late_commands()
    assert {"status", "events", "accounts"} <= {*late}
    for name, command in late.items():
        assert command.help == (command.load().help or "").splitlines()[0], name


@pytest.mark.parametrize("arguments", ["--help", "--version", "token --help"])
def test_what_is_asked_for_often_imports_nothing_of_the_service(arguments: str) -> None:
    imported = imported_by(*arguments.split())
    assert "interfaces.cli.token" in imported
    libraries = {"grpc", "google", "aiohttp", "stripe", "dependency_injector", "pydantic_settings"}
    heavy = {"bootstrap.settings", "bootstrap.process", "application", "infrastructure"}
    assert not imported & (libraries | heavy)


def test_a_token_is_made_without_the_settings_of_the_service() -> None:
    imported = imported_by("token", "acme")
    assert "bootstrap.tokens" in imported
    assert not imported & {"bootstrap.settings", "bootstrap.process", "pydantic_settings", "stripe"}


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command has imported by its end, in a process of its own."""
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    run = "from bootstrap.cli import main; sys.argv[0] = 'billing'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code + run, *arguments], capture_output=True, text=True, check=True
    )
    return {*done.stderr.split()}


def test_every_setting_is_listed_with_its_default() -> None:
    cells = [
        [cell.strip() for cell in line.split("│")] for line in printed("settings").splitlines()
    ]
    names = {row[1] for row in cells if len(row) > 2}
    listed = json.loads(printed("settings", "--json"))
    by_name = {row["name"]: row for row in listed["service"]}
    assert {*by_name} == {environment_name(field) for field in Settings.model_fields}
    for field, setting in Settings.model_fields.items():
        row = by_name[environment_name(field)]
        assert row["name"] in names
        assert row["purpose"] == setting.description
        assert (row["required_by"] == "always") == setting.is_required()
        assert row["by_file"] == (row["name"] in SECRETS)
    assert by_name["BILLING_STORE"]["default"] == "sqlite"
    assert by_name["BILLING_MONGO_URL"]["required_by"] == "BILLING_STORE=mongo"
    assert by_name["BILLING_REFLECTION"]["default"] == "false"
    assert {row["name"] for row in listed["commands"]} == OF_COMMANDS - {"BILLING_TOKEN_FILE"}


def test_the_manual_fits_80_columns_and_says_where_to_begin() -> None:
    manual = printed("--help")
    assert max(map(len, manual.splitlines())) <= 80
    places = [manual.index(f"│ {name} ") for name in ("demo", "status", "serve", "settings")]
    assert places == sorted(places), "what needs nothing comes first, the settings last"
    assert manual.index("billing demo") < places[0]
    assert max(map(len, printed("settings").splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [("demo",), ("sandbox",), ("emulator",), ("serve",), ("settings",), ("token",),
     ("backfill",), ("reconcile",), ("rebuild",), ("reports",), ("status",),
     ("contacts",), ("contacts", "add"), ("contacts", "link"), ("accounts",),
     ("callers",), ("callers", "list"), ("callers", "cut"), ("accounts", "add"),
     ("accounts", "list"), ("accounts", "show"), ("events",),
     ("events", "list"), ("events", "show"), ("events", "retry"), ("events", "retry-dead"),
     ("events", "explain"), ("events", "watch")],
)  # fmt: skip
def test_every_command_explains_itself(arguments: tuple[str, ...]) -> None:
    manual = printed(*arguments, "--help")
    assert f"Usage: billing {' '.join(arguments)}" in manual
    assert "--child" not in manual
    assert "completion" not in manual


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
    assert verified.scopes == {*list_scopes()}
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
    (folder,) = billing_client.v1.__path__
    names = sorted(path.stem for path in Path(folder).glob("*_service_pb2.py"))
    files = [importlib.import_module(f"billing_client.v1.{name}") for name in names]
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    of_methods = {method.scope for method in methods_of(services).values()}
    assert set(list_scopes()) == {*of_methods, PAYLOAD_SCOPE, ADMIN_SCOPE}


def fail(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    code: ExitCode = ExitCode.FAILED,
) -> list[str]:
    """Run a command that fails; the lines that it says, on standard error only."""
    monkeypatch.setattr("sys.argv", ["billing", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (code, "")
    assert "Traceback" not in err
    return err.splitlines()


def test_a_command_reads_no_name_that_would_be_taken_for_a_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_more = typer.Typer()
    one_more.command()(_reads_its_colour)
    assert [*_names_read_by(typer.main.get_command(one_more))] == ["BILLING_COLOUR"]
    names = {*_names_read_by(typer.main.get_command(cli.app))}
    assert names == OF_COMMANDS - {"BILLING_TOKEN_FILE", "BILLING_TLS"}
    for name in OF_COMMANDS - {"BILLING_TOKEN_FILE", "BILLING_ENV_FILE"}:
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
    below = getattr(command, "commands", {}).values()
    for command in (one.load() if isinstance(one, Late) else one for one in below):
        yield from _names_read_by(command)


@pytest.mark.parametrize("command", [("serve",), ("accounts", "list")])
def test_a_misspelt_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BILLING_STOER", "mongo")
    assert fail(monkeypatch, capsys, *command) == [
        "billing: BILLING_STOER: is no setting; is BILLING_STORE meant?"
    ]


def test_a_token_needs_the_callers_keys_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    monkeypatch.setenv("BILLING_STOER", "mongo")
    assert printed("token", "acme")
    monkeypatch.setenv("billing_caller_keys", SETTINGS["BILLING_CALLER_KEYS"])  # in either case
    monkeypatch.delenv("BILLING_CALLER_KEYS")
    assert printed("token", "acme")
    monkeypatch.delenv("billing_caller_keys")
    monkeypatch.setenv("BILLING_CALLER_KEY", SETTINGS["BILLING_CALLER_KEYS"])
    assert fail(monkeypatch, capsys, "token", "acme") == [
        "billing: BILLING_CALLER_KEYS: is required, or BILLING_CALLERS",
        "billing: BILLING_CALLER_KEY: is no setting; is BILLING_CALLER_KEYS meant?",
    ]
    monkeypatch.setenv("BILLING_CALLER_KEYS", "first:short")
    monkeypatch.delenv("BILLING_CALLER_KEY")
    assert fail(monkeypatch, capsys, "token", "acme") == [
        "billing: BILLING_CALLER_KEYS: key 1: a secret of 32 bytes at least is needed"
    ]


@pytest.mark.parametrize("command", [("serve",), ("token", "acme"), ("accounts", "list")])
def test_a_missing_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("BILLING_CALLER_KEYS")
    assert fail(monkeypatch, capsys, *command) == [
        "billing: BILLING_CALLER_KEYS: is required, or BILLING_CALLERS"
    ]


def test_a_service_that_does_not_start_leaves_the_collector_at_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BILLING_CALLER_KEYS")
    fail(monkeypatch, capsys, "serve")
    assert gc.isenabled()


def test_a_service_that_serves_has_the_collector_at_work_and_seldom() -> None:
    thresholds = gc.get_threshold()
    gc.disable()
    gc.set_threshold(700)  # another test's service may have run in this process
    try:
        process._spare_the_collector()
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 700
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("token", "no/account"), "account"),
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


def test_scopes_that_no_method_has_are_refused_with_those_that_are_near(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--scope", "custmers.read", "--scope", "notes.read", "--scope", "a b")
    (line,) = fail(monkeypatch, capsys, "token", "acme", *options, code=ExitCode.USAGE)
    assert "--scope: no method has the scope 'custmers.read'; is customers.read " in line
    assert "--scope: no method has the scope 'a b'; there are analytics.read, " in line
    assert "'notes.read'" not in line


def test_every_command_that_prints_a_table_prints_json() -> None:
    without = {"demo", "sandbox", "emulator", "serve", "token"}
    for path, command in _leaves(typer.main.get_command(cli.app)):
        names = {name for parameter in command.params for name in parameter.opts}
        assert ("--json" in names) == (path not in without), path


def test_every_command_that_asks_the_service_takes_an_address_and_a_token() -> None:
    asking = {"status", "backfill", "reconcile", "rebuild", "prove", "reports"}
    asking |= {
        f"events {name}" for name in ("list", "show", "explain", "retry", "retry-dead", "watch")
    }
    asking |= {"rates import", "rates list", "products list", "products show", "prices replace"}
    asking |= {"mrr", "cohorts", "products revenue"}
    asking |= {"payouts list", "payouts show", "payouts balance"}
    asking |= {
        f"connections {name}" for name in ("begin", "complete", "list", "verify", "disconnect")
    }
    asking |= {"restatements", "overview", "contacts link", "catalogue"}
    asking |= {f"checkouts {name}" for name in ("list", "show", "resolve")}
    asking |= {f"wallet {name}" for name in ("show", "entries", "statement", "adjust")}
    asking |= {
        f"wallet reload {name}"
        for name in ("start", "show", "list", "retry", "cancel", "refund", "resolve")
    }
    flags = {"--address", "--token", "--tls", "--tls-ca", "--env-file"}
    for path, command in _leaves(typer.main.get_command(cli.app)):
        names = {name for parameter in command.params for name in parameter.opts}
        assert (flags <= names) == (path in asking), path


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The commands that do something, with their names."""
    loaded = command.load() if isinstance(command, Late) else command
    below = getattr(loaded, "commands", {})
    if not below:
        yield " ".join(path), loaded
    for name, child in below.items():
        yield from _leaves(child, (*path, name))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("billing ev", {"events"}), ("billing events l", {"list"}),
     ("billing status --add", {"--address"}), ("billing contacts li", {"link", "list"})],
)  # fmt: skip
def test_a_shell_completes_commands_and_flags(words: str, wanted: set[str]) -> None:
    asked = {
        "_BILLING_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    code = "from bootstrap.cli import main; import sys; sys.argv = ['billing']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, **asked},
    )  # fmt: skip
    assert {*done.stdout.split()} == wanted, done.stderr
