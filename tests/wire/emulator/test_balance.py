"""The balance: its parts, and that they are what the transactions add up to, at any instant."""

import random

import pytest
import stripe

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.control_client import ControlClient, ControlError
from sandbox.emulator.core.messages import AccountSpec

DAY = 86_400
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00:00Z
AVAILABLE = "tok_bypassPending"


async def added_up(
    client: stripe.StripeClient, options: stripe.RequestOptions
) -> dict[str, tuple[int, int]]:
    """(available, pending) a currency, of the payments balance's transactions."""
    sums: dict[str, tuple[int, int]] = {}
    page = await client.v1.balance_transactions.list_async({"limit": 100}, options)
    async for one in page.auto_paging_iter():
        if one.balance_type == "payments":
            available, pending = sums.get(one.currency, (0, 0))
            is_available = one.status == "available"
            sums[one.currency] = (
                available + one.net * is_available, pending + one.net * (not is_available)
            )  # fmt: skip
    return sums


async def shown(
    client: stripe.StripeClient, options: stripe.RequestOptions
) -> dict[str, tuple[int, int]]:
    """The same as the balance says it."""
    balance = await client.v1.balance.retrieve_async({}, options)
    pending = {row.currency: row.amount for row in balance.pending}
    found = {row.currency: (row.amount, pending.pop(row.currency, 0)) for row in balance.available}
    return found | {currency: (0, amount) for currency, amount in pending.items()}


async def agree(client: stripe.StripeClient, options: stripe.RequestOptions) -> None:
    sums, said = await added_up(client, options), await shown(client, options)
    said = {code: part for code, part in said.items() if part != (0, 0)}
    assert {code: part for code, part in sums.items() if part != (0, 0)} == said


async def test_parts_of_a_balance(client: stripe.StripeClient, control: ControlClient) -> None:
    account = await control.create_account(AccountSpec(settlement_currencies=["eur"]))
    options: stripe.RequestOptions = {"stripe_account": account}
    for currency in ("usd", "eur", "jpy"):
        await client.v1.charges.create_async(
            {"amount": 10_000, "currency": currency, "source": AVAILABLE}, options
        )
    await client.v1.charges.create_async(
        {"amount": 500, "currency": "eur", "source": "tok_visa"}, options
    )
    balance = await client.v1.balance.retrieve_async({}, options)
    yen_in_dollars = 6_667
    dollars = 10_000 - fee(10_000) + yen_in_dollars - fee(yen_in_dollars)
    assert [(row.currency, row.amount) for row in balance.available] == [
        ("usd", dollars), ("eur", 10_000 - fee(10_000)),
    ]  # fmt: skip
    assert [(row.currency, row.amount) for row in balance.pending] == [
        ("usd", 0), ("eur", 500 - fee(500)),
    ]  # fmt: skip
    assert balance.instant_available is not None
    assert [row.amount for row in balance.instant_available] == [dollars, 10_000 - fee(10_000)]
    assert balance.available[0].source_types is not None
    assert balance.available[0].source_types.card == dollars
    await agree(client, options)


async def test_rates_change(client: stripe.StripeClient, control: ControlClient) -> None:
    euros: dict[str, int] = {}
    for rate in ("0.92", "1.25"):
        await control.set_rate("eur", rate)
        charge = await client.v1.charges.create_async(
            {
                "amount": 1000, "currency": "eur", "source": AVAILABLE,
                "expand": ["balance_transaction"],
            }
        )  # fmt: skip
        assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
        euros[str(charge.balance_transaction.exchange_rate)] = charge.balance_transaction.amount
    assert euros == {"1.086956": 1087, "0.8": 800}
    with pytest.raises(ControlError):
        await control.set_rate("eur", "0")


async def test_what_no_payment_brings_about(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    """Fees, reserves, other balances, categories that nobody knows yet."""
    await client.v1.charges.create_async({"amount": 10_000, "currency": "usd", "source": AVAILABLE})
    booked = await control.book(
        {
            "type": "stripe_fee", "amount": "-700", "currency": "usd",
            "fees[0][amount]": "70", "fees[0][type]": "tax", "fees[0][description]": "VAT",
        }
    )  # fmt: skip
    charged = await client.v1.balance_transactions.retrieve_async(booked)
    assert (charged.source, charged.reporting_category, charged.net) == (None, "fee", -770)
    assert [(one.type, one.amount) for one in charged.fee_details] == [("tax", 70)]
    await control.book(
        {"type": "new_kind", "amount": "5", "currency": "usd", "reporting_category": "newest"}
    )
    hold = {"type": "reserved_funds", "reporting_category": "connect_reserved_funds"}
    await control.book({**hold, "amount": "-300", "currency": "usd"})
    await control.book(
        {"type": "adjustment", "amount": "44", "currency": "usd", "balance_type": "issuing"}
    )
    balance = await client.v1.balance.retrieve_async()
    held = 10_000 - fee(10_000) - 770 + 5 - 300
    assert balance.available[0].amount == held
    assert balance.connect_reserved is not None
    assert balance.connect_reserved[0].amount == 300
    assert balance.issuing is not None
    assert balance.issuing.available[0].amount == 44
    await agree(client, {})


async def test_stripe_takes_a_fee_every_month(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(MIDNIGHT + 10 * DAY)
    account = await control.create_account(AccountSpec(monthly_fee=500))
    options: stripe.RequestOptions = {"stripe_account": account}
    await client.v1.charges.create_async(
        {"amount": 10_000, "currency": "usd", "source": AVAILABLE}, options
    )
    await control.set_clock(MIDNIGHT + 61 * DAY)
    fees = await client.v1.balance_transactions.list_async({"type": "stripe_fee"}, options)
    assert [(one.created, one.net, one.source, one.description) for one in fees.data] == [
        (MIDNIGHT + 60 * DAY, -500, None, "Billing - Usage Fee (2024-02)"),
        (MIDNIGHT + 31 * DAY, -500, None, "Billing - Usage Fee (2024-01)"),
    ]
    await agree(client, options)


@pytest.mark.parametrize("seed", range(3))
async def test_the_balance_is_what_transactions_add_up_to(
    client: stripe.StripeClient, control: ControlClient, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated, no secret
    await control.set_clock(MIDNIGHT)
    account = await control.create_account(
        AccountSpec(payouts="daily", settlement_currencies=["eur", "kwd"], monthly_fee=900)
    )
    options: stripe.RequestOptions = {"stripe_account": account}
    charges: list[str] = []
    for _ in range(25):
        match chance.randrange(6):
            case 0 | 1 | 2:
                charge = await client.v1.charges.create_async(
                    {
                        "amount": chance.randrange(10, 90) * 100,
                        "currency": chance.choice(("usd", "eur", "jpy", "kwd")),
                        "source": chance.choice(("tok_visa", AVAILABLE)),
                    },
                    options,
                )
                charges.append(charge.id)
            case 3 if charges:
                refund = await client.v1.refunds.create_async(
                    {"charge": charges.pop(chance.randrange(len(charges)))}, options
                )
                if chance.random() < 0.4:
                    await control.fail_refund(refund.id, account=account)
            case 4 if charges:
                dispute = await control.open_dispute(charges.pop(0), account=account)
                if chance.random() < 0.5:
                    await control.close_dispute(dispute, "won", account=account)
            case _:
                await control.advance_clock(chance.randrange(1, 3) * DAY)
                listed = await client.v1.payouts.list_async({}, options)
                if listed.data and listed.data[0].status != "failed":
                    await control.fail_payout(listed.data[0].id, account=account)
        await agree(client, options)
