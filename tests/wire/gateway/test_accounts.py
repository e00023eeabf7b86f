"""Stripe accounts, and that calls on their behalf never mix."""

import asyncio

import pytest

from application.customers.ports import CustomerFields
from application.mirror.nouns import CUSTOMERS
from application.mirror.stripe import Priority
from application.mutations.stripe import Call
from domain.errors import FailedPrecondition, Reason
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator
from sandbox.emulator.settings import PLATFORM_ACCOUNT


async def test_a_connected_account_describes_itself(
    api: StripeApi, emulator: RunningEmulator
) -> None:
    made = await emulator.control.create_account(AccountSpec(country="DE", currency="eur"))
    account = await StripeConnectedAccounts(api).get(made)
    assert (account.id, account.country, account.default_currency) == (made, "DE", "eur")
    assert account.charges_enabled
    assert account.payouts_enabled
    assert account.capabilities["card_payments"] == "active"


async def test_the_platforms_own_account(api: StripeApi) -> None:
    assert (await StripeConnectedAccounts(api).platform()).id == PLATFORM_ACCOUNT


async def test_an_account_that_is_not_connected(
    api: StripeApi, emulator: RunningEmulator, account: str
) -> None:
    await emulator.control.deauthorize(account)
    with pytest.raises(FailedPrecondition) as caught:
        await StripeConnectedAccounts(api).get(account)
    assert caught.value.reason is Reason.STRIPE_CONNECTION_REVOKED


async def test_the_platforms_own_objects_are_read_by_its_id(api: StripeApi) -> None:
    platform = await StripeConnectedAccounts(api).platform()
    made = await StripeCustomers(api).create(
        Call(platform.id, "key", "tag"), CustomerFields(name="Ada")
    )
    found = await StripeObjectReader(api).read(
        CUSTOMERS, platform.id, made.id, not_before_ms=None, priority=Priority.CALLER
    )
    assert found.stripe_account == PLATFORM_ACCOUNT
    assert found.object == made.object


async def test_calls_in_flight_for_two_accounts_never_mix(
    api: StripeApi, emulator: RunningEmulator
) -> None:
    accounts = [await emulator.control.create_account() for _ in range(2)]
    customers, reader = StripeCustomers(api), StripeObjectReader(api)

    async def create(number: int) -> tuple[str, str]:
        account = accounts[number % 2]
        # The same keys and tags in both: only the account tells them apart.
        call = Call(account, f"key-{number // 2}", f"tag-{number // 2}")
        made = await customers.create(call, CustomerFields(name=account))
        assert made.stripe_account == account
        assert made.object is not None
        assert made.object.name == account
        return account, made.id

    made = await asyncio.gather(*(create(number) for number in range(60)))
    assert len(set(made)) == 60
    rows = await emulator.control.snapshot()
    counts = {row.account: row.count for row in rows if row.object == "customer"}
    assert counts == dict.fromkeys(accounts, 30)
    for account, customer in made[:4]:
        other = accounts[1 - accounts.index(account)]
        seen = await reader.read(
            CUSTOMERS, other, customer, not_before_ms=None, priority=Priority.CALLER
        )
        assert seen.deleted
