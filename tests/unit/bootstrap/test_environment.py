"""The environment, env files, and secrets in files; and the way to the service that they name."""

import os
from pathlib import Path
from typing import Final

import pytest

from bootstrap.environment import MAX_SECRET_BYTES, read_environment
from bootstrap.names import SettingsError
from bootstrap.reach import reach
from bootstrap.settings import ignored_names, load
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.target import Target

KEYS: Final = f"tests:{'x' * 32}"
SECRET: Final = "BILLING_CALLER_KEYS"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [*os.environ]:
        if name.upper().startswith(("BILLING_", "STRIPE_", "APP_SECRET", "API_BASE_URL")):
            monkeypatch.delenv(name)
    return monkeypatch


def file_of(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_environment_goes_before_the_env_file(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "# comment\nexport BILLING_STORE='mongo'\nBILLING_QUEUE=nats\nBILLING_LOG_LEVEL=\n"
    path = file_of(tmp_path, "env", text)
    environment.setenv("billing_store", "sqlite")
    given = read_environment((), path)
    assert (given.values["BILLING_STORE"], given.values["BILLING_QUEUE"]) == ("sqlite", "nats")
    assert "BILLING_LOG_LEVEL" not in given.values, "what is empty is not given"
    environment.setenv("BILLING_ENV_FILE", str(path))
    assert read_environment(()).values["BILLING_QUEUE"] == "nats"


def test_an_env_file_that_is_none_is_one_line(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("BILLING_ENV_FILE", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match=r"^BILLING_ENV_FILE: .*nothing is no file"):
        load()
    path = file_of(tmp_path, "env", b"\xff\xfe")
    with pytest.raises(SettingsError, match="no text in UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("content", "value"),
    [("s\n", "s"), ("s\r\n", "s"), ("s", "s"), ("s\n\n", "s\n"), (" s ", " s ")],
)
def test_a_secret_is_the_content_of_its_file_without_the_newline(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: str, value: str
) -> None:
    environment.setenv(f"{SECRET}_FILE", str(file_of(tmp_path, "secret", content)))
    given = read_environment((SECRET,))
    assert (given.values[SECRET], given.problems) == (value, ())


def test_a_secret_given_twice_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv(f"{SECRET}_FILE", str(file_of(tmp_path, "secret", KEYS)))
    environment.setenv(SECRET, KEYS)
    wanted = f"{SECRET}: {SECRET}_FILE is given, too; keep only one of them"
    assert read_environment((SECRET,)).problems == (wanted,)
    with pytest.raises(SettingsError) as refused:
        load()
    assert wanted in str(refused.value).splitlines()
    assert "x" * 32 not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"\xff", "is no text in UTF-8"),
     (b"x" * (MAX_SECRET_BYTES + 1), "is longer than 65,536 bytes")],
)  # fmt: skip
def test_a_secret_that_cannot_be_read_is_one_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    environment.setenv(f"{SECRET}_FILE", str(path))
    with pytest.raises(SettingsError) as refused:
        load()
    (line,) = (line for line in str(refused.value).splitlines() if SECRET in line)
    assert line.startswith(f"{SECRET}_FILE: {path} {words}")


def test_the_service_reads_its_settings_from_files_alone(tmp_path: Path) -> None:
    key = file_of(tmp_path, "key", "sk_live_51Abc\n")
    hook = file_of(tmp_path, "hook", "whsec_12345678\n")
    text = (
        f"STRIPE_SECRET_KEY_FILE={key}\n{SECRET}={KEYS}\nBILLING_GRPC_ADDRESS=127.0.0.1:7\n"
        f"BILLING_WEBHOOK_SECRETS_CONNECT_FILE={hook}\nBILLING_ODD=1\n"
    )
    path = file_of(tmp_path, "env", text)
    settings = load(path)
    assert settings.stripe_secret_key.get_secret_value() == "sk_live_51Abc"
    assert settings.connect_webhook_secrets == ("whsec_12345678",)
    assert settings.grpc_address == "127.0.0.1:7"
    assert [*settings.callers] == ["tests"]
    assert ignored_names(path) == ["BILLING_ODD"]


def test_a_misspelt_name_in_an_env_file_stops_the_start(tmp_path: Path) -> None:
    path = file_of(tmp_path, "env", "BILLING_STOER=mongo\nSTRIPE_SECRET_KEY=sk_test_1\n")
    with pytest.raises(SettingsError) as refused:
        load(path)
    lines = str(refused.value).splitlines()
    assert "BILLING_STOER: is no setting; is BILLING_STORE meant?" in lines


# --- the way to the service ----------------------------------------------------------------------


def test_without_a_token_and_a_key_a_command_says_what_it_needs() -> None:
    with pytest.raises(Refused) as refused:
        reach(Target())
    assert refused.value.code is ExitCode.USAGE
    for name in ("--token", "BILLING_TOKEN", "BILLING_CALLER_KEYS"):
        assert name in str(refused.value)


def test_a_command_needs_no_setting_of_the_service(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("STRIPE_SECRET_KEY", "nonsense")
    environment.setenv("BILLING_STOER", "mongo")
    assert reach(Target(token="t"))(())
    environment.setenv(SECRET, KEYS)
    assert reach(Target())(("mirror.read",))


def test_a_misspelt_name_that_a_command_reads_is_one_line(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_TOKN", "t")
    with pytest.raises(SettingsError) as refused:
        reach(Target(token="t"))
    assert str(refused.value) == "BILLING_TOKN: is no setting; is BILLING_TOKEN meant?"


def test_a_service_at_any_free_port_is_named_by_its_address(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("BILLING_GRPC_ADDRESS", "127.0.0.1:0")
    with pytest.raises(Refused, match="--address is needed"):
        reach(Target(token="t"))
    assert reach(Target("127.0.0.1:7", "t"))(())


def test_a_ca_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--tls-ca: .* cannot be read: No such file"):
        reach(Target(token="t", tls_ca=tmp_path / "nothing"))
