"""Which currencies a Stripe account takes: by its country, remembered for a day."""

from typing import Any
from unittest.mock import create_autospec

import pytest

from application.checkouts.currencies import CountrySpecs, TakenCurrencies
from application.connections.stripe import StripeAccounts
from application.mirror.nouns import STRIPE_ACCOUNTS
from domain.errors import NotFound, Reason, Unavailable
from domain.mirror import Snapshot, Version
from domain.stripe_accounts import StripeAccount
from tests.support.fakes.stores import FakeClock, FakeMirror
from tests.support.rooms.store import NOON

PLACE = "acct_acme"


def account(country: str | None) -> StripeAccount:
    return StripeAccount(
        PLACE, NOON, charges_enabled=True, payouts_enabled=True, details_submitted=True,
        country=country,
    )  # fmt: skip


async def made(mirrored: str | None = None, asked: str | None = "BR") -> tuple[Any, Any, Any, Any]:
    specs, clock, mirror = create_autospec(CountrySpecs, instance=True), FakeClock(), FakeMirror()
    accounts = create_autospec(StripeAccounts, instance=True)
    if mirrored is not None:
        snapshot = Snapshot(PLACE, PLACE, Version.of_event(1), account(mirrored))
        await mirror.replace(STRIPE_ACCOUNTS, [(snapshot, 0)])
    accounts.get.return_value = account(asked)
    specs.payment_currencies.return_value = frozenset({"brl"})
    return TakenCurrencies(specs, accounts, mirror, clock), specs, accounts, clock


async def test_an_account_takes_what_its_country_takes() -> None:
    currencies, specs, accounts, clock = await made("BR")
    assert await currencies.takes(PLACE, "brl")
    assert not await currencies.takes(PLACE, "usd")
    accounts.get.assert_not_awaited()
    specs.payment_currencies.assert_awaited_once_with("BR")
    clock.advance(days=1)
    await currencies.takes(PLACE, "brl")
    assert specs.payment_currencies.await_count == 2


async def test_a_country_that_the_mirror_lacks_is_asked_once() -> None:
    currencies, _, accounts, _ = await made()
    for _ in range(2):
        assert not await currencies.takes(PLACE, "usd")
    accounts.get.assert_awaited_once_with(PLACE)


@pytest.mark.parametrize(
    "error",
    [Unavailable(Reason.STRIPE_UNAVAILABLE, "away"), NotFound("country_spec", "BR")],
)
async def test_where_nobody_can_tell_stripe_decides_later(error: Exception) -> None:
    currencies, specs, _, _ = await made("BR")
    specs.payment_currencies.side_effect = error
    assert await currencies.takes(PLACE, "usd")
    nowhere, _, _, _ = await made(asked=None)
    assert await nowhere.takes(PLACE, "usd")


async def test_a_store_that_is_away_is_told() -> None:
    currencies, specs, _, _ = await made("BR")
    specs.payment_currencies.side_effect = Unavailable(Reason.STORE_UNAVAILABLE, "away")
    with pytest.raises(Unavailable):
        await currencies.takes(PLACE, "usd")
