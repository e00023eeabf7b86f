"""Live mode does not start with what is too weak for real money: one line each, no value shown."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from bootstrap.live import is_loopback, is_weak, live_problems, load_to_serve
from bootstrap.names import SettingsError
from bootstrap.settings import Settings, environment_name, load
from tests.support.servers.callers import SHOP_SECRET, write_callers, write_strong_callers


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with which a live deployment starts."""
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_51Abc")
    monkeypatch.setenv("BILLING_CALLERS", str(write_strong_callers(tmp_path)))
    monkeypatch.setenv("BILLING_WEBHOOK_SECRETS_CONNECT", f"whsec_{secrets.token_hex(32)}")
    return monkeypatch


def lines(live: pytest.MonkeyPatch, chosen: Mapping[str, str]) -> list[str]:
    for name, value in chosen.items():
        live.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_to_serve()
    for value in chosen.values():
        assert len(value) < 12 or value not in str(raised.value)
    return str(raised.value).splitlines()


def test_what_is_right_starts(live: pytest.MonkeyPatch) -> None:
    assert load_to_serve()
    live.setenv("BILLING_STORE", "mongo")
    live.setenv("BILLING_MONGO_URL", "mongodb://127.0.0.1:27017,[::1]:27017/?replicaSet=a")
    assert load_to_serve()


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ({"BILLING_GRPC_ADDRESS": "0.0.0.0:50051"}, "BILLING_GRPC_ADDRESS: live mode needs"),
        ({"BILLING_GRPC_ADDRESS": "[::]:50051"}, "BILLING_GRPC_ADDRESS: live mode needs"),
        ({"API_BASE_URL": "http://api.example.com"}, "API_BASE_URL: live mode needs https://"),
        ({"BILLING_SHORT_LINKS_URL": "http://10.0.0.1/s"}, "BILLING_SHORT_LINKS_URL: live mode"),
        (
            {"BILLING_QUEUE": "nats", "BILLING_NATS_URL": "tls://a:4222,nats://b:4222"},
            "BILLING_NATS_URL: live mode needs tls://",
        ),
        (
            {"BILLING_STORE": "mongo", "BILLING_MONGO_URL": "mongodb://u:p@db1,db2/?replicaSet=a"},
            "BILLING_MONGO_URL: live mode needs tls=true",
        ),
        (
            {"BILLING_STORE": "mongo", "BILLING_MONGO_URL": "mongodb+srv://db/?tlsInsecure=true"},
            "BILLING_MONGO_URL: live mode needs tls=true",
        ),
        ({"BILLING_STRIPE_URL": "https://stripe.example.com"}, "BILLING_STRIPE_URL: live mode"),
        ({"BILLING_REFLECTION": "true"}, "BILLING_REFLECTION: live mode"),
        ({"BILLING_LOG_LEVEL": "debug"}, "BILLING_LOG_LEVEL: live mode"),
        ({"APP_SECRET": "0" * 64}, "APP_SECRET: live mode needs a secret"),
        ({"BILLING_WEBHOOK_SECRETS_PLATFORM": "whsec_sandboxsandbox123"}, "_PLATFORM: live mode"),
    ],
)
def test_what_is_weak_does_not_start_and_is_one_line(
    live: pytest.MonkeyPatch, chosen: Mapping[str, str], line: str
) -> None:
    (told,) = lines(live, chosen)
    assert line in told


def test_all_of_it_is_told_at_once(live: pytest.MonkeyPatch) -> None:
    told = lines(live, {"BILLING_REFLECTION": "1", "BILLING_GRPC_ADDRESS": "0.0.0.0:1"})
    assert len(told) == 2


def test_the_keys_of_test_mode_are_refused(live: pytest.MonkeyPatch) -> None:
    live.delenv("BILLING_CALLERS")
    live.setenv("BILLING_CALLER_KEYS", f"crm:{secrets.token_hex(32)}")
    (line,) = lines(live, {})
    assert line.startswith("BILLING_CALLER_KEYS: live mode needs BILLING_CALLERS")
    live.setenv("STRIPE_SECRET_KEY", "sk_test_51Abc")
    assert load_to_serve()


def test_a_callers_weak_secret_is_told_by_line_and_name(
    live: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_callers(tmp_path)
    told = lines(live, {})
    assert [line.partition(": live")[0] for line in told] == [
        "BILLING_CALLERS: line 1: caller shop: key 2026a",
        "BILLING_CALLERS: line 11: caller ops: key o1",
    ]
    assert SHOP_SECRET not in "".join(told)


def test_grpc_may_be_plain_where_tls_ends_before_it(live: pytest.MonkeyPatch) -> None:
    live.setenv("BILLING_GRPC_ADDRESS", "0.0.0.0:50051")
    live.setenv("BILLING_TLS", "terminated")
    assert load_to_serve().tls_is_terminated
    live.setenv("BILLING_TLS", "true")  # a word for commands, which opens nothing here
    assert not load().tls_is_terminated
    assert lines(live, {})


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ({"BILLING_TLS": "mesh"}, "BILLING_TLS: must be terminated"),
        ({"BILLING_TLS_CERT": "a"}, "BILLING_TLS_KEY: is required with BILLING_TLS_CERT"),
        ({"BILLING_TLS_KEY": "a"}, "BILLING_TLS_KEY: needs BILLING_TLS_CERT"),
        ({"BILLING_TLS_CLIENT_CA": "a"}, "BILLING_TLS_CLIENT_CA: needs BILLING_TLS_CERT"),
        ({"BILLING_HTTP_TLS_KEY": "a"}, "BILLING_HTTP_TLS_KEY: needs BILLING_HTTP_TLS_CERT"),
    ],
)
def test_tls_settings_need_each_other(
    live: pytest.MonkeyPatch, chosen: Mapping[str, str], line: str
) -> None:
    (told,) = lines(live, chosen)
    assert told.startswith(line)


def test_nothing_of_this_matters_in_test_mode(live: pytest.MonkeyPatch) -> None:
    live.setenv("STRIPE_SECRET_KEY", "sk_test_51Abc")
    live.setenv("BILLING_GRPC_ADDRESS", "0.0.0.0:50051")
    live.setenv("BILLING_REFLECTION", "true")
    assert live_problems(load_to_serve()) == []


def test_random_secrets_are_not_weak() -> None:
    assert not any(is_weak(secrets.token_hex(32)) for _ in range(1_000))
    assert is_weak("a" * 64)
    assert is_weak("sandbox-secret-with-many-different-letters")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("127.9.9.9", True),
     ("0.0.0.0", False),  # noqa: S104 - to be told from others
     ("::", False), ("example.com", False), ("localhost.example.com", False)],
)  # fmt: skip
def test_this_machine_is_told_from_others(host: str, local: bool) -> None:
    assert is_loopback(host) is local
