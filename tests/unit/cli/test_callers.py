"""`billing callers`, and tokens of registered callers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bootstrap import cli
from bootstrap.names import SettingsError
from bootstrap.settings import Settings, environment_name, load
from bootstrap.tokens import list_scopes
from infrastructure.clock import SystemClock
from infrastructure.security.callers_file import CallersFile
from infrastructure.security.registered_tokens import RegisteredTokens
from tests.support.servers.callers import DOCUMENT, SHOP_SECRET, write_callers


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    written = write_callers(tmp_path)
    monkeypatch.setenv("BILLING_CALLERS", str(written))
    monkeypatch.setenv("COLUMNS", "200")
    return written


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_callers_are_listed_without_their_secrets() -> None:
    table = printed("callers", "list")
    rows = json.loads(printed("callers", "list", "--json"))
    assert [row["name"] for row in rows] == ["shop", "ops", "ledger"]
    assert rows[2]["keys"] == ["ed (EdDSA)", "ec (ES256)"]
    assert (rows[1]["accounts"], rows[1]["operator"]) == ("none", True)
    for row in rows:
        assert row["name"] in table
    assert SHOP_SECRET not in table + json.dumps(rows)


def test_a_cut_is_written_into_the_file(path: Path) -> None:
    before = printed("token", "acme", "--scope", "customers.read").strip()
    file = CallersFile(path, list_scopes())
    tokens = RegisteredTokens(file.read(), SystemClock())
    assert tokens.verify(before).caller == "shop"
    cut = json.loads(printed("callers", "cut", "shop", "--json"))
    assert cut["not_before"] == json.loads(printed("callers", "list", "--json"))[0]["not_before"]
    tokens.use(file.read())
    with pytest.raises(Exception, match="does not verify"):
        tokens.verify(before)


def test_a_wrong_file_is_told_line_by_line(path: Path) -> None:
    path.write_text(DOCUMENT.replace('scopes = "all"', 'scopes = "al"'))
    with pytest.raises(SettingsError) as raised:
        printed("callers", "list")
    lines = str(raised.value).splitlines()
    assert [line.partition(": scopes")[0] for line in lines] == [
        "BILLING_CALLERS: line 1: caller shop",
        "BILLING_CALLERS: line 11: caller ops",
    ]


def test_nobody_cuts_a_caller_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no caller of this name: nobody"):
        printed("callers", "cut", "nobody")


def test_a_token_is_signed_by_the_first_caller_that_may(path: Path) -> None:
    tokens = RegisteredTokens(CallersFile(path, list_scopes()).read(), SystemClock())
    operator = tokens.verify(printed("token", "-").strip())
    assert (operator.caller, operator.scopes) == ("ops", {*list_scopes()})
    assert tokens.verify(printed("token", "acme").strip()).caller == "shop"
    with pytest.raises(ValueError, match="public keys"):
        printed("token", "acme", "--caller", "ledger", "--scope", "customers.read")
    with pytest.raises(ValueError, match="shop, ops, ledger"):
        printed("token", "acme", "--caller", "sop")
    with pytest.raises(ValueError, match="15 minutes"):
        printed("token", "-", "--minutes", "30")


def test_the_file_and_the_keys_are_not_given_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_51Abc")
    monkeypatch.setenv("BILLING_WEBHOOK_SECRETS_CONNECT", "whsec_12345678")
    assert load().callers == {}
    monkeypatch.setenv("BILLING_CALLER_KEYS", f"first:{'1' * 32}")
    told = "BILLING_CALLER_KEYS: BILLING_CALLERS is given, too; keep only one of them"
    for command in (lambda: load(), lambda: printed("token", "acme")):
        with pytest.raises(SettingsError) as raised:
            command()
        assert str(raised.value) == told
