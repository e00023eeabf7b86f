"""Wallets: their names, and what owners and creditors may set."""

from dataclasses import replace
from typing import Any

import pytest

from domain.wallets import (
    MAX_AMOUNT,
    MAX_MULTIPLIERS,
    AutoReload,
    Buyer,
    Wallet,
    WalletSettings,
    is_multiplier,
)
from tests.support.rooms.ledger import NOON

AUTO = AutoReload(500, 1_000, "pm_1", 5_000, 20_000)


def test_a_wallet_is_named_by_its_owner_and_its_creditor() -> None:
    assert Wallet("acme", None, "usd").name == "acme"
    assert Wallet("lily", "acme", "usd").name == "lily@acme"


@pytest.mark.parametrize(
    ("account", "parent", "currency"),
    [("", None, "usd"), ("a@b", None, "usd"), ("a/b", None, "usd"), ("acme", "a b", "usd"),
     ("acme", "acme", "usd"), ("acme", "", "usd"), ("acme", None, "xxx")],
)  # fmt: skip
def test_what_is_no_wallet(account: str, parent: str | None, currency: str) -> None:
    with pytest.raises(ValueError, match=r"account|parent|currency"):
        Wallet(account, parent, currency)


@pytest.mark.parametrize("text", ["1", "10", "1.2500", "9.9999", "10.0000", "01.5"])
def test_multipliers(text: str) -> None:
    assert is_multiplier(text)


@pytest.mark.parametrize("text", ["", "0.9999", "10.0001", "1.00001", "-1", "1e0", "1,5", "nan"])
def test_what_is_no_multiplier(text: str) -> None:
    assert not is_multiplier(text)
    with pytest.raises(ValueError, match="multipliers: a decimal"):
        WalletSettings("lily@acme", NOON, None, {"sms": text})


def test_a_service_s_own_multiplier_goes_first() -> None:
    settings = WalletSettings("lily@acme", NOON, None, {"sms": "1.5", "*": "2"})
    assert [settings.multiplier(service) for service in ("sms", "voice")] == ["1.5", "2"]
    assert WalletSettings("lily@acme", NOON).multiplier("sms") == "1"


def test_an_etag_is_a_revision_s() -> None:
    first = WalletSettings("acme", NOON)
    assert first.etag == replace(first, auto_reload=AUTO).etag
    assert len({first.etag, replace(first, revision=2).etag, replace(first, wallet="b").etag}) == 3


@pytest.mark.parametrize(
    "values",
    [{"threshold": -1}, {"threshold": MAX_AMOUNT + 1}, {"amount": 0}, {"amount": 5_001},
     {"most_per_charge": 20_001}, {"most_per_day": 0}, {"payment_method": ""}, {"amount": True}],
)  # fmt: skip
def test_bounds_of_auto_reload(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+: "):
        replace(AUTO, **values)


def test_bounds_of_settings_and_buyers() -> None:
    many = {f"s{number}": "1" for number in range(MAX_MULTIPLIERS + 1)}
    for values in ({"revision": -1}, {"multipliers": many}, {"multipliers": {"S": "1"}}):
        with pytest.raises(ValueError, match=r"\w+: "):
            WalletSettings("acme", NOON, **values)  # type: ignore[arg-type]
    for buyer in (("a b", "acct_1", "cus_1"), ("acme", "", "cus_1"), ("acme", "acct_1", "")):
        with pytest.raises(ValueError, match=r"\w+: "):
            Buyer(*buyer, NOON)
