"""Where payouts went, and balances, on the real SDK."""

import pytest

from application.mirror.stripe import Priority
from application.payouts.ports import Destination
from domain.errors import NotFound, NotUnderstood
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.payouts.gateway import StripePayouts
from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import Served

AVAILABLE = "tok_bypassPending"


@pytest.fixture
def payouts(api: StripeApi) -> StripePayouts:
    return StripePayouts(api)


async def sell(emulator: RunningEmulator, account: str, amount: int, currency: str = "usd") -> None:
    async with emulator.sdk() as sdk:
        await sdk.v1.charges.create_async(
            {"amount": amount, "currency": currency, "source": AVAILABLE},
            {"stripe_account": account},
        )


async def pay_out(emulator: RunningEmulator, account: str, amount: int) -> tuple[str, str]:
    """A payout, and what it goes to."""
    async with emulator.sdk() as sdk:
        made = await sdk.v1.payouts.create_async(
            {"amount": amount, "currency": "usd"}, {"stripe_account": account}
        )
        return made.id, str(made.destination)


async def test_a_payout_goes_to_a_bank_account(
    payouts: StripePayouts, emulator: RunningEmulator, account: str, served: Served
) -> None:
    await sell(emulator, account, 10_000)
    id_, bank = await pay_out(emulator, account, 500)
    found = await payouts.destination(account, id_)
    assert found == Destination(bank, "bank_account", "STRIPE TEST BANK", "6789", "usd", "US")
    assert await served("GET /v1/payouts/{id}") == 1


async def test_a_deleted_bank_account_says_so(
    payouts: StripePayouts, emulator: RunningEmulator, account: str
) -> None:
    await sell(emulator, account, 10_000)
    id_, bank = await pay_out(emulator, account, 500)
    async with emulator.sdk() as sdk:
        await sdk.v1.accounts.external_accounts.delete_async(account, bank)
    found = await payouts.destination(account, id_)
    assert found == Destination(bank, "bank_account", currency="usd", deleted=True)


async def test_a_payout_that_is_not_there(
    payouts: StripePayouts, emulator: RunningEmulator, account: str
) -> None:
    with pytest.raises(NotFound):
        await payouts.destination(account, "po_none")
    await sell(emulator, account, 10_000)
    id_, _ = await pay_out(emulator, account, 500)
    other = await emulator.control.create_account()
    with pytest.raises(NotFound):
        await payouts.destination(other, id_)


async def test_a_balance_in_its_parts(
    payouts: StripePayouts, emulator: RunningEmulator, served: Served
) -> None:
    account = await emulator.control.create_account(AccountSpec(settlement_currencies=["eur"]))
    await sell(emulator, account, 10_000)
    async with emulator.sdk() as sdk:
        await sdk.v1.charges.create_async(
            {"amount": 500, "currency": "eur", "source": "tok_visa"}, {"stripe_account": account}
        )
    hold = {"type": "reserved_funds", "reporting_category": "connect_reserved_funds"}
    await emulator.control.book({**hold, "amount": "-300", "currency": "usd"}, account=account)
    reading = await payouts.balance(account, priority=Priority.CALLER)
    usd, eur = reading.of("usd"), reading.of("eur")
    assert usd is not None
    assert eur is not None
    left = 10_000 - fee(10_000) - 300
    assert (usd.available, usd.pending, usd.instant_available) == (left, 0, left)
    assert (usd.reserved, dict(usd.available_by_source)) == (300, {"card": left})
    assert (eur.available, eur.pending, eur.reserved) == (0, 500 - fee(500), 0)
    assert dict(eur.pending_by_source) == {"card": 500 - fee(500)}
    assert reading.start_ms < reading.end_ms < reading.start_ms + 60_000
    assert (usd.total, usd.tie) == (left, None)
    assert await served("GET /v1/balance") == 1


async def test_a_balance_that_is_none_is_not_understood(
    payouts: StripePayouts, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infrastructure.stripe.payouts import gateway

    def twice(_: str) -> gateway._Balance:
        part = gateway._Part(1, "usd")
        return gateway._Balance([part, part], [])

    monkeypatch.setattr(gateway, "_decode_balance", twice)
    with pytest.raises(NotUnderstood):
        await payouts.balance(account, priority=Priority.CALLER)
