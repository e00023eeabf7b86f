"""Settings: what is read, and what is said of what is wrong."""

import os
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.names import SettingsError, edit_distance
from bootstrap.settings import Settings, environment_name, ignored_names, load
from domain.connections import Mode

SECRET: Final = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
GOOD: Final = {
    "STRIPE_SECRET_KEY": "sk_test_51Abc",
    "BILLING_CALLER_KEYS": f"crm:{SECRET}",
    "BILLING_WEBHOOK_SECRETS_CONNECT": "whsec_12345678",
}
ADDRESS_RULE: Final = "must be host:port, such as 127.0.0.1:50051; port 0 means any free port"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems() -> list[str]:
    """The lines that say what is wrong."""
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value).splitlines()


@pytest.mark.usefixtures("environment")
def test_three_settings_are_enough() -> None:
    settings = load()
    assert settings.stripe_secret_key.get_secret_value() == "sk_test_51Abc"
    assert settings.callers == {"crm": SECRET.encode()}
    assert settings.connect_webhook_secrets == ("whsec_12345678",)
    assert settings.platform_webhook_secrets == ()
    assert (settings.store, settings.sqlite_path) == ("sqlite", Path("var/billing.db"))
    assert (settings.grpc_address, settings.http_address) == ("127.0.0.1:50051", "127.0.0.1:8080")
    assert settings.base_currency == ""
    assert not settings.reflection
    assert not settings.reuse_port


def test_the_base_currency_is_read_in_either_case(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BASE_CURRENCY", "EUR")
    assert load().base_currency == "eur"


def test_everything_missing_is_told_at_once() -> None:
    assert problems() == [
        "STRIPE_SECRET_KEY: is required",
        "BILLING_CALLER_KEYS: is required, or BILLING_CALLERS",
        "BILLING_WEBHOOK_SECRETS_CONNECT: is required, or BILLING_WEBHOOK_SECRETS_PLATFORM",
    ]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    (line,) = problems()
    assert line.startswith(f"{name}: is ")


@pytest.mark.parametrize("name", GOOD)
def test_empty_is_missing(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "")
    (line,) = problems()
    assert line.startswith(f"{name}: is ")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("STRIPE_SECRET_KEY", "pk_test_51Abc", "must be a secret key of Stripe"),
        ("STRIPE_SECRET_KEY", "sk_prod_51Abc", "must be a secret key of Stripe"),
        ("STRIPE_SECRET_KEY", "sk_test_", "must be a secret key of Stripe"),
        ("STRIPE_SECRET_KEY", " sk_test_51Abc", "must be a secret key of Stripe"),
        ("STRIPE_SECRET_KEY", "sk_test_51Abc\n", "must be a secret key of Stripe"),
        ("BILLING_CALLER_KEYS", SECRET, "key 1: "),
        ("BILLING_CALLER_KEYS", f"crm:{SECRET[:31]}", "key 1: a secret of 32 bytes"),
        ("BILLING_CALLER_KEYS", f"crm:{SECRET},{SECRET}", "key 2: "),
        ("BILLING_CALLER_KEYS", f"crm:{SECRET},crm:{SECRET}", "key 2: "),
        ("BILLING_CALLER_KEYS", f"{SECRET}:crm", "key 1: "),
        ("BILLING_CALLER_KEYS", f"c r m:{SECRET}", "key 1: "),
        ("BILLING_CALLER_KEYS", " , ", "at least one key"),
        ("BILLING_WEBHOOK_SECRETS_CONNECT", "hunter2hunter2", "must be signing secrets of Stripe"),
        (
            "BILLING_WEBHOOK_SECRETS_CONNECT",
            "whsec_12345678,x",
            "must be signing secrets of Stripe",
        ),
        ("BILLING_WEBHOOK_SECRETS_PLATFORM", "whsec_", "must be signing secrets of Stripe"),
        ("BILLING_WEBHOOK_SECRETS_CONNECT", ",", "is required"),
        ("BILLING_STORE", "postgres", "Input should be 'sqlite' or 'mongo'"),
        ("BILLING_MONGO_URL", "http://db1", "must be an address such as mongodb://"),
        ("BILLING_MONGO_DATABASE", "a.b", ""),
        ("BILLING_GRPC_ADDRESS", "50051", ADDRESS_RULE),
        ("BILLING_GRPC_ADDRESS", ":50051", ADDRESS_RULE),
        ("BILLING_GRPC_ADDRESS", "127.0.0.1:65536", ADDRESS_RULE),
        ("BILLING_HTTP_ADDRESS", "http://127.0.0.1:80", ADDRESS_RULE),
        ("BILLING_HTTP_ADDRESS", "::1:80", ADDRESS_RULE),
        (
            "BILLING_REUSE_PORT",
            "true",
            "needs BILLING_STORE=mongo: only one process may use SQLite",
        ),
        ("BILLING_REUSE_PORT", "perhaps", "Input should be a valid boolean"),
        ("BILLING_REFLECTION", "perhaps", "Input should be a valid boolean"),
        ("BILLING_STRIPE_URL", "https://api.stripe.com/", "must be an address such as https://"),
        ("BILLING_STRIPE_URL", "api.stripe.com", "must be an address such as https://"),
        ("BASE_CURRENCY", "dollars", "the ISO 4217 code of a currency"),
        ("API_BASE_URL", "api.example.com", "must be an address such as https://"),
        ("API_BASE_URL", "https://api.example.com?key=1", "must be an address such as https://"),
        ("BILLING_SHORT_LINKS_URL", "ftp://s.example.com", "must be an address such as https://"),
        ("BILLING_SHORT_LINKS", "on", "Input should be 'off' or 'internal_api'"),
        ("BILLING_SHORT_LINKS", "internal_api", "internal_api needs API_BASE_URL"),
        ("BILLING_STRIPE_REQUESTS_PER_SECOND", "-1", ""),
        ("BILLING_STRIPE_REQUESTS_PER_SECOND", "many", "Input should be a valid integer"),
        ("BILLING_DRAIN_SECONDS", "601", ""),
        ("BILLING_DRAIN_SECONDS", "nan", "Input should be a finite number"),
        ("BILLING_LOG_LEVEL", "chatty", "Input should be 'debug'"),
        ("BILLING_LOG_FORMAT", "xml", "Input should be 'json' or 'console'"),
    ],
)
def test_what_is_malformed_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    environment.setenv(name, value)
    (line,) = problems()
    assert line.startswith(f"{name}: {rule}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_SECRET_KEY", "pk_live_hunter2"),
        ("STRIPE_SECRET_KEY", "sk_live_hunter2!"),
        # The name forgotten, the two swapped, a comma in the secret, a line end after it:
        ("BILLING_CALLER_KEYS", "hunter2hunter2hunter2hunter2hunter2hunter2"),
        ("BILLING_CALLER_KEYS", "hunter2hunter2hunter2hunter2hunter2hunter2:crm"),
        ("BILLING_CALLER_KEYS", f"crm:{SECRET},hunter2"),
        ("BILLING_CALLER_KEYS", f"crm:{SECRET},hunter2:x"),
        ("BILLING_CALLER_KEYS", "crm:hunter2"),
        ("BILLING_CALLER_KEYS", f"hunter2:{SECRET},hunter2:{SECRET}"),
        ("BILLING_WEBHOOK_SECRETS_CONNECT", "hunter2"),
        ("BILLING_WEBHOOK_SECRETS_PLATFORM", "whsec_12345678,whsec_hunter2!"),
        ("BILLING_MONGO_URL", "mongo://billing:hunter2@db1"),
        ("BILLING_STRIPE_URL", "https://user:hunter2@example.com/path"),
        ("API_BASE_URL", "https://user:hunter2@example.com/path"),
    ],
)
def test_no_secret_is_told(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    (line,) = problems()
    assert "hunter2" not in line
    assert SECRET not in line


@pytest.mark.usefixtures("environment")
def test_settings_do_not_show_their_secrets() -> None:
    shown = repr(load())
    assert "stripe_secret_key" in shown
    assert not any(secret in shown for secret in ("51Abc", SECRET, "12345678"))


def test_problems_of_all_kinds_are_told_together(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("STRIPE_SECRET_KEY")
    environment.setenv("BILLING_STORE", "mongo")
    environment.setenv("BILLING_GRPC_ADDRESS", "nowhere")
    assert [line.partition(":")[0] for line in problems()] == [
        "STRIPE_SECRET_KEY", "BILLING_MONGO_URL", "BILLING_GRPC_ADDRESS",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "mode", "requests"),
    [
        ("sk_test_51Abc", Mode.TEST, 25),
        ("rk_test_51Abc", Mode.TEST, 25),
        ("sk_live_51Abc", Mode.LIVE, 100),
        ("rk_live_51Abc", Mode.LIVE, 100),
    ],
)
def test_the_keys_prefix_decides_the_mode(
    environment: pytest.MonkeyPatch, key: str, mode: Mode, requests: int
) -> None:
    environment.setenv("STRIPE_SECRET_KEY", key)
    settings = load()
    assert (settings.mode, settings.requests_per_second) == (mode, requests)


def test_a_budget_can_be_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_STRIPE_REQUESTS_PER_SECOND", "7")
    assert load().requests_per_second == 7


def test_either_endpoint_will_do(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BILLING_WEBHOOK_SECRETS_CONNECT")
    environment.setenv("BILLING_WEBHOOK_SECRETS_PLATFORM", "whsec_11111111, whsec_22222222")
    assert load().platform_webhook_secrets == ("whsec_11111111", "whsec_22222222")


def test_several_callers_keep_their_order(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_CALLER_KEYS", f"new:{SECRET}, old:{SECRET[::-1]}")
    assert list(load().callers) == ["new", "old"]


def test_mongo_needs_an_address(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_STORE", "mongo")
    assert problems() == ["BILLING_MONGO_URL: is required with BILLING_STORE=mongo"]


def test_mongo_with_shared_ports(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_STORE", "mongo")
    environment.setenv("BILLING_MONGO_URL", "mongodb://u:p@db1,db2/?replicaSet=rs0")
    environment.setenv("BILLING_REUSE_PORT", "1")
    settings = load()
    assert settings.reuse_port
    assert settings.mongo_database == "billing"
    assert "u:p" not in repr(settings)


def test_a_host_may_be_a_name_or_ipv6(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_GRPC_ADDRESS", "[::1]:0")
    environment.setenv("BILLING_HTTP_ADDRESS", "billing.internal:8080")
    settings = load()
    assert (settings.grpc_address, settings.http_address) == ("[::1]:0", "billing.internal:8080")


def test_every_setting_says_what_it_is() -> None:
    for field, setting in Settings.model_fields.items():
        assert setting.description, field
        assert len(setting.description) <= 74, field  # a line of the manual at 80 columns


@pytest.mark.usefixtures("environment")
def test_prices_of_numbers_are_told_under_the_internal_api_or_where_a_setting_says(
    environment: pytest.MonkeyPatch,
) -> None:
    assert (load().phone_numbers, load().asks_internal_api) == ("off", False)
    environment.setenv("BILLING_PHONE_NUMBERS", "file")
    assert not load().asks_internal_api, "a file needs nobody's address"
    environment.setenv("BILLING_PHONE_NUMBERS", "internal_api")
    for name, value, missing in (
        ("API_BASE_URL", "https://api.example.com", "API_BASE_URL or BILLING_PHONE_NUMBERS_URL"),
        ("APP_SECRET", "x" * 32, "APP_SECRET of at least 32 bytes"),
    ):
        with pytest.raises(SettingsError, match=missing):
            load()
        environment.setenv(name, value)
    assert load().phone_numbers_address == "https://api.example.com/phone-numbers/prices"
    assert load().asks_internal_api
    environment.setenv("BILLING_PHONE_NUMBERS_URL", "https://n.example.com/prices/")
    assert load().phone_numbers_address == "https://n.example.com/prices"


def test_short_links_are_made_under_the_internal_api_or_where_a_setting_says(
    environment: pytest.MonkeyPatch,
) -> None:
    assert load().short_links == "off"
    environment.setenv("BILLING_SHORT_LINKS", "internal_api")
    environment.setenv("API_BASE_URL", "https://api.example.com/internal/")
    for secret in ("", SECRET[:31]):
        environment.setenv("APP_SECRET", secret)
        assert problems() == [
            "BILLING_SHORT_LINKS: internal_api needs APP_SECRET of at least 32 bytes"
        ]
    environment.setenv("APP_SECRET", SECRET)
    assert load().short_links_address == "https://api.example.com/internal/short-links"
    environment.setenv("BILLING_SHORT_LINKS_URL", "https://s.example.com/links")
    assert load().short_links_address == "https://s.example.com/links"
    environment.delenv("API_BASE_URL")
    assert load().short_links_address == "https://s.example.com/links"
    assert SECRET not in repr(load())


# --- names that are no setting ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BILLING_STOER", "BILLING_STORE"),
        ("BILLING_STOR", "BILLING_STORE"),
        ("BILLING_STORES", "BILLING_STORE"),
        ("billing_stoer", "BILLING_STORE"),
        ("BILLING_GRPC_ADRES", "BILLING_GRPC_ADDRESS"),
        ("BILLING_WEBHOOK_SECRET_CONNECT", "BILLING_WEBHOOK_SECRETS_CONNECT"),
        ("BILLING_SHORT_LINKS_URI", "BILLING_SHORT_LINKS_URL"),
        ("BILLING_APP_SECRETS", "BILLING_APP_SECRET"),
    ],
)
def test_a_misspelt_setting_stops_the_start(
    environment: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    environment.setenv(name, "hunter2")
    assert problems() == [f"{name}: is no setting; is {meant} meant?"]
    assert ignored_names() == []
    environment.setenv(name, "")
    load()


def test_it_is_told_together_with_what_it_leaves_out(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BILLING_CALLER_KEYS")
    environment.setenv("BILLING_CALLERS_KEY", f"crm:{SECRET}")
    assert problems() == [
        "BILLING_CALLER_KEYS: is required, or BILLING_CALLERS",
        "BILLING_CALLERS_KEY: is no setting; is BILLING_CALLER_KEYS meant?",
    ]


def test_any_other_unknown_name_is_named_and_ignored(environment: pytest.MonkeyPatch) -> None:
    for name in ("BILLING_COLOUR", "BILLING_STOREROOM", "BILLING", "COLOUR", "XBILLING_STOER"):
        environment.setenv(name, "blue")
    load()
    assert ignored_names() == ["BILLING_COLOUR", "BILLING_STOREROOM"]


def test_every_setting_is_known_by_all_its_names(environment: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        environment.delenv(name)
    environment.setenv("BILLING_STRIPE_SECRET_KEY", "sk_test_51Abc")
    environment.setenv("billing_caller_keys", f"crm:{SECRET}")
    environment.setenv("BILLING_WEBHOOK_SECRETS_PLATFORM", "whsec_12345678")
    for field in Settings.model_fields:
        environment.setenv(environment_name(field), os.environ.get(environment_name(field), ""))
    assert load().callers == {"crm": SECRET.encode()}
    assert ignored_names() == []


@pytest.mark.parametrize(
    "name",
    [
        # of Kubernetes, beside a service that is called `billing`:
        "BILLING_SERVICE_HOST", "BILLING_SERVICE_PORT", "BILLING_SERVICE_PORT_GRPC",
        "BILLING_PORT", "BILLING_PORT_50051_TCP", "BILLING_PORT_50051_TCP_ADDR",
        # of the tests:
        "BILLING_TEST_MONGO_URL", "BILLING_TEST_SEED", "BILLING_FUZZ_BODIES",
    ],
)  # fmt: skip
def test_what_somebody_else_reads_is_passed_over(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "x")
    load()
    assert ignored_names() == []


def test_every_name_that_the_tests_read_is_passed_over(environment: pytest.MonkeyPatch) -> None:
    tests = Path(__file__).parents[2]
    read = re.compile(r"""(?:environ\.get\(|_VARIABLE: Final = )"(BILLING_\w+)\"""")
    names = {name for file in tests.rglob("*.py") for name in read.findall(file.read_text())}
    assert len(names) > 4
    for name in names:
        environment.setenv(name, "1")
    load()
    assert ignored_names() == []


_WORDS: Final = st.text("ABC_", max_size=8)


@given(_WORDS, _WORDS, _WORDS)
def test_edits_are_a_distance(one: str, other: str, third: str) -> None:
    edits = edit_distance(one, other)
    assert edits == edit_distance(other, one)
    assert (edits == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edits <= max(len(one), len(other))
    assert edits <= edit_distance(one, third) + edit_distance(third, other)


@given(_WORDS, st.integers(0, 8), st.sampled_from("ABC_"))
def test_one_character_more_less_or_other_is_one_edit(word: str, at: int, character: str) -> None:
    longer = word[:at] + character + word[at:]
    assert edit_distance(word, longer) == 1
    replaced = word[:at] + "X" + word[at + 1 :]
    assert edit_distance(word, replaced) == 1
