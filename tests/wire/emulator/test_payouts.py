"""Payouts and the balance: manual, automatic by the clock, failing."""

from datetime import UTC, datetime

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
    assert payout.trace_id is not None
    assert payout.trace_id.status == "pending"
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


async def paid_out(
    client: stripe.StripeClient, options: stripe.RequestOptions
) -> list[stripe.Payout]:
    """Oldest first."""
    return list((await client.v1.payouts.list_async({"limit": 100}, options)).data)[::-1]


@pytest.mark.parametrize(
    ("schedule", "day", "days"),
    [
        ("weekly", "", ["2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29"]),
        ("weekly", "friday", ["2024-01-05", "2024-01-12", "2024-01-19", "2024-01-26"]),
        ("monthly", "31", ["2024-01-31", "2024-02-29", "2024-03-31"]),
    ],
)
async def test_schedules(
    client: stripe.StripeClient,
    control: ControlClient,
    schedule: str,
    day: str,
    days: list[str],
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    spec = AccountSpec(payouts="weekly" if schedule == "weekly" else "monthly", payout_day=day)
    account = await control.create_account(spec)
    options: stripe.RequestOptions = {"stripe_account": account}
    for _ in range(30 if schedule == "weekly" else 13):
        await charged(client, 1000, AVAILABLE, account)
        await control.advance_clock(DAY if schedule == "weekly" else 7 * DAY)
    made = [datetime.fromtimestamp(one.created, UTC) for one in await paid_out(client, options)]
    assert [f"{instant:%Y-%m-%d}" for instant in made] == days


async def test_a_schedule_is_changed_with_its_anchor(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    update = client.v1.accounts.update_async
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await update(account, {"settings": {"payouts": {"schedule": {"interval": "weekly"}}}})
    assert refused.value.param == "settings[payouts][schedule][weekly_anchor]"
    changed = await update(
        account,
        {"settings": {"payouts": {"schedule": {"interval": "monthly", "monthly_anchor": 15}}}},
    )
    assert changed.settings is not None
    assert changed.settings.payouts is not None
    assert changed.settings.payouts.schedule.to_dict() == {
        "delay_days": 2, "interval": "monthly", "monthly_anchor": 15,
    }  # fmt: skip


async def test_a_payout_a_currency_and_a_debit_below_zero(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(
        AccountSpec(payouts="daily", settlement_currencies=["eur"])
    )
    options: stripe.RequestOptions = {"stripe_account": account}
    for currency in ("usd", "eur"):
        await client.v1.charges.create_async(
            {"amount": 10_000, "currency": currency, "source": AVAILABLE}, options
        )
    await control.set_clock(MIDNIGHT + DAY + 10)
    both = await paid_out(client, options)
    assert {one.currency: one.amount for one in both} == dict.fromkeys(
        ("eur", "usd"), 10_000 - fee(10_000)
    )
    assert len({one.destination for one in both}) == 2
    charges = (await client.v1.charges.list_async({}, options)).data
    await client.v1.refunds.create_async({"charge": charges[0].id}, options)
    await control.set_clock(MIDNIGHT + 4 * DAY + 7200)
    debit = (await paid_out(client, options))[-1]
    assert (debit.amount, debit.currency) == (-10_000, charges[0].currency)
    held = await client.v1.balance_transactions.list_async({"payout": debit.id}, options)
    assert sorted((one.type, one.net) for one in held.data) == [
        ("payout", 10_000), ("refund", -10_000),
    ]  # fmt: skip


async def test_what_a_payout_holds_is_whole_once_it_is_reconciled(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(AccountSpec(payouts="daily"))
    options: stripe.RequestOptions = {"stripe_account": account}
    await charged(client, 5000, AVAILABLE, account)
    await control.set_clock(MIDNIGHT + DAY + 10)
    payout = (await paid_out(client, options))[0]
    assert payout.reconciliation_status == "in_progress"
    listing = client.v1.balance_transactions.list_async
    assert [one.type for one in (await listing({"payout": payout.id}, options)).data] == ["payout"]
    for _ in range(2):
        await control.reconcile_payout(payout.id, account=account)
    assert len((await listing({"payout": payout.id}, options)).data) == 2
    assert (await types(client, account)).count("payout.reconciliation_completed") == 2


async def test_a_failure_after_arrival_shows_in_the_next_payout(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(AccountSpec(payouts="daily"))
    options: stripe.RequestOptions = {"stripe_account": account}
    await charged(client, 5000, AVAILABLE, account)
    await control.set_clock(MIDNIGHT + 4 * DAY + 3600)
    first = (await paid_out(client, options))[0]
    assert first.status == "paid"
    assert first.trace_id is not None
    assert first.trace_id.status == "supported"
    await control.fail_payout(first.id, "no_account", account=account)
    await control.set_clock(MIDNIGHT + 5 * DAY + 7200)
    failed, second = await paid_out(client, options)
    assert (failed.status, failed.failure_code) == ("failed", "no_account")
    assert failed.failure_message
    assert second.amount == first.amount
    held = await client.v1.balance_transactions.list_async({"payout": second.id}, options)
    assert sorted((one.reporting_category, one.net) for one in held.data) == [
        ("payout", -first.amount), ("payout_reversal", first.amount),
    ]  # fmt: skip
    back = next(one for one in held.data if one.reporting_category == "payout_reversal")
    assert (back.id, back.created) == (
        failed.failure_balance_transaction,
        MIDNIGHT + 4 * DAY + 3600,
    )
    before = await client.v1.balance_transactions.list_async({"payout": first.id}, options)
    assert sum(one.net for one in before.data) == 0


async def test_an_instant_payout_costs(client: stripe.StripeClient, control: ControlClient) -> None:
    await charged(client, 100_000, AVAILABLE)
    held = 100_000 - fee(100_000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payouts.create_async(
            {"amount": held, "currency": "usd", "method": "instant"}
        )
    assert refused.value.code == "balance_insufficient"
    payout = await client.v1.payouts.create_async(
        {
            "amount": 10_000,
            "currency": "usd",
            "method": "instant",
            "expand": ["balance_transaction"],
        }
    )
    transaction = payout.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.amount, transaction.fee, transaction.net) == (-10_000, 100, -10_100)
    assert (payout.method, payout.reconciliation_status) == ("instant", "not_applicable")
    await control.advance_clock(1801)
    assert (await client.v1.payouts.retrieve_async(payout.id)).status == "paid"
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payouts.reverse_async(payout.id)
    await control.fail_payout(payout.id)
    assert (await client.v1.balance.retrieve_async()).available[0].amount == held


async def test_a_payout_is_reversed(client: stripe.StripeClient, control: ControlClient) -> None:
    await charged(client, 10_000, AVAILABLE)
    payout = await client.v1.payouts.create_async({"amount": 4000, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="status of pending"):
        await client.v1.payouts.reverse_async(payout.id)
    await control.advance_clock(2 * DAY + 60)
    reversal = await client.v1.payouts.reverse_async(payout.id, {"expand": ["original_payout"]})
    assert (reversal.amount, reversal.status) == (-4000, "pending")
    assert isinstance(reversal.original_payout, stripe.Payout)
    assert reversal.original_payout.reversed_by == reversal.id
    assert (await types(client))[-2:] == ["payout.updated", "payout.created"]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payouts.reverse_async(payout.id)
    await control.advance_clock(2 * DAY + 60)
    assert (await client.v1.payouts.retrieve_async(reversal.id)).status == "paid"
    balance = await client.v1.balance.retrieve_async()
    assert balance.available[0].amount == 10_000 - fee(10_000)


async def test_a_failed_payout_needs_no_reversal(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await charged(client, 10_000, AVAILABLE)
    payout = await client.v1.payouts.create_async({"amount": 4000, "currency": "usd"})
    await control.advance_clock(2 * DAY + 60)
    reversal = await client.v1.payouts.reverse_async(payout.id)
    await control.fail_payout(payout.id)
    assert (await client.v1.payouts.retrieve_async(reversal.id)).status == "canceled"
    await control.advance_clock(3 * DAY)
    balance = await client.v1.balance.retrieve_async()
    assert balance.available[0].amount == 10_000 - fee(10_000)


async def test_the_bank_account_of_a_payout(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    options: stripe.RequestOptions = {"stripe_account": account}
    await charged(client, 10_000, AVAILABLE, account)
    payout = await client.v1.payouts.create_async(
        {"amount": 4000, "currency": "usd", "expand": ["destination"]}, options
    )
    bank = payout.destination
    assert isinstance(bank, stripe.BankAccount)
    assert (bank.last4, bank.currency, bank.account) == ("6789", "usd", account)
    external = client.v1.accounts.external_accounts
    assert [one.id for one in (await external.list_async(account)).data] == [bank.id]
    assert (await external.retrieve_async(account, bank.id)).id == bank.id
    await external.delete_async(account, bank.id)
    seen = await client.v1.payouts.retrieve_async(payout.id, {"expand": ["destination"]}, options)
    assert isinstance(seen.destination, stripe.BankAccount)
    assert seen.destination.deleted
    assert seen.destination.currency == "usd"
    next_one = await client.v1.payouts.create_async({"amount": 1000, "currency": "usd"}, options)
    assert next_one.destination != bank.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payouts.create_async(
            {"amount": 1, "currency": "usd", "destination": bank.id}, options
        )
    assert refused.value.param == "destination"


async def test_automatic_payouts_cannot_be_canceled(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(AccountSpec(payouts="daily"))
    options: stripe.RequestOptions = {"stripe_account": account}
    await charged(client, 5000, AVAILABLE, account)
    await control.set_clock(MIDNIGHT + DAY + 10)
    payout = (await paid_out(client, options))[0]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payouts.cancel_async(payout.id, {}, options)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payouts.retrieve_async("po_unknown")
    assert (refused.value.http_status, refused.value.param) == (404, "payout")


async def test_source_types_are_kept_apart(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 3600)
    account = await control.create_account(AccountSpec(payouts="daily"))
    options: stripe.RequestOptions = {"stripe_account": account}
    await charged(client, 5000, AVAILABLE, account)
    debit = {"type": "payment", "amount": "700", "currency": "usd", "source_type": "bank_account"}
    await control.book(debit, account=account)
    balance = await client.v1.balance.retrieve_async({}, options)
    assert balance.available[0].source_types is not None
    assert balance.available[0].source_types.to_dict() == {
        "card": 5000 - fee(5000), "bank_account": 700,
    }  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payouts.create_async(
            {"amount": 701, "currency": "usd", "source_type": "bank_account"}, options
        )
    assert refused.value.code == "balance_insufficient"
    await control.set_clock(MIDNIGHT + DAY + 10)
    made = await paid_out(client, options)
    assert {one.source_type: one.amount for one in made} == {
        "card": 5000 - fee(5000), "bank_account": 700,
    }  # fmt: skip
