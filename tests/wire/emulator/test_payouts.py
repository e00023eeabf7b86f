"""Payouts and the balance: manual, automatic by the clock, failing."""

import pytest
import stripe

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import AccountSpec

DAY = 86_400
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00:00Z
AVAILABLE = "tok_bypassPending"


async def charged(
    client: stripe.StripeClient, amount: int, source: str, account: str | None = None
) -> None:
    options: stripe.RequestOptions = {"stripe_account": account} if account else {}
    await client.v1.charges.create_async(
        {"amount": amount, "currency": "usd", "source": source}, options
    )


async def types(client: stripe.StripeClient, account: str | None = None) -> list[str]:
    options: stripe.RequestOptions = {"stripe_account": account} if account else {}
    page = await client.v1.events.list_async({"type": "payout.*", "limit": 100}, options)
    found: list[str] = [event.type for event in page.data]
    return found[::-1]


async def test_the_balance(client: stripe.StripeClient) -> None:
    await charged(client, 1000, AVAILABLE)
    await charged(client, 3000, "tok_visa")
    balance = await client.v1.balance.retrieve_async()
    assert balance.available[0].amount == 1000 - fee(1000)
    assert balance.pending[0].amount == 3000 - fee(3000)


async def test_a_manual_payout_arrives(client: stripe.StripeClient, control: ControlClient) -> None:
    await charged(client, 10_000, AVAILABLE)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payouts.create_async({"amount": 10_000, "currency": "usd"})
    assert refused.value.code == "balance_insufficient"
    payout = await client.v1.payouts.create_async(
        {"amount": 4000, "currency": "usd", "expand": ["balance_transaction"]}
    )
    assert (payout.status, payout.automatic) == ("pending", False)
    assert payout.reconciliation_status == "not_applicable"
    assert isinstance(payout.balance_transaction, stripe.BalanceTransaction)
    assert payout.balance_transaction.net == -4000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.balance_transactions.list_async({"payout": payout.id})
    assert refused.value.param == "payout"
    await control.advance_clock(2 * DAY + 60)
    assert (await client.v1.payouts.retrieve_async(payout.id)).status == "paid"
    assert await types(client) == [
        "payout.created", "payout.updated", "payout.updated", "payout.paid",
    ]  # fmt: skip
    balance = await client.v1.balance.retrieve_async()
    assert balance.available[0].amount == 6000 - fee(10_000)


async def test_automatic_payouts_hold_what_became_available(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(AccountSpec(payouts="daily"))
    await charged(client, 5000, "tok_visa", account)
    await charged(client, 7000, "tok_visa", account)
    await control.set_clock(MIDNIGHT + 2 * DAY + 60)
    options: stripe.RequestOptions = {"stripe_account": account}
    assert (await client.v1.payouts.list_async({}, options)).data == []
    await control.set_clock(MIDNIGHT + 3 * DAY + 7200)
    payouts = (await client.v1.payouts.list_async({}, options)).data
    assert len(payouts) == 1
    payout = payouts[0]
    assert payout.amount == 12_000 - fee(5000) - fee(7000)
    assert (payout.created, payout.automatic) == (MIDNIGHT + 3 * DAY, True)
    assert payout.reconciliation_status == "completed"
    held = await client.v1.balance_transactions.list_async({"payout": payout.id}, options)
    assert sorted(one.type for one in held.data) == ["charge", "charge", "payout"]
    assert sum(one.net for one in held.data) == 0
    assert "payout" not in held.data[0]
    assert "payout.reconciliation_completed" in await types(client, account)
    await control.advance_clock(5 * DAY)
    assert len((await client.v1.payouts.list_async({}, options)).data) == 1
    await client.v1.accounts.update_async(
        account,
        {"settings": {"payouts": {"schedule": {"interval": "manual"}}}},
    )
    await charged(client, 900, AVAILABLE, account)
    await control.advance_clock(3 * DAY)
    assert len((await client.v1.payouts.list_async({}, options)).data) == 1


async def test_failure_and_cancellation_return_the_money(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await charged(client, 10_000, AVAILABLE)
    before = (await client.v1.balance.retrieve_async()).available[0].amount
    first = await client.v1.payouts.create_async({"amount": 1000, "currency": "usd"})
    await control.happen("payouts", first.id, "fail", {"failure_code": "account_closed"})
    failed = await client.v1.payouts.retrieve_async(
        first.id, {"expand": ["failure_balance_transaction"]}
    )
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert failed.failure_balance_transaction.net == 1000
    second = await client.v1.payouts.create_async({"amount": 2000, "currency": "usd"})
    assert (await client.v1.payouts.cancel_async(second.id)).status == "canceled"
    assert (await client.v1.balance.retrieve_async()).available[0].amount == before
    told = await types(client)
    assert {"payout.failed", "payout.canceled"} < set(told)
    await control.advance_clock(3 * DAY)
    listed = await client.v1.payouts.list_async({"status": "failed"})
    assert [one.id for one in listed.data] == [first.id]
