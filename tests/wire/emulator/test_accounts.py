"""Accounts, the two modes and what they keep apart."""

import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import LIVE_KEY, RunningEmulator
from sandbox.emulator.settings import PLATFORM_ACCOUNT


async def test_the_own_account_is_the_platforms_or_the_connected_one(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(
        AccountSpec(id="acct_1Connected", currency="eur", country="de", timezone="Europe/Berlin")
    )
    assert account == "acct_1Connected"
    assert (await client.v1.accounts.retrieve_current_async()).id == PLATFORM_ACCOUNT
    own = await client.v1.accounts.retrieve_current_async(options={"stripe_account": account})
    assert (own.id, own.default_currency, own.country) == (account, "eur", "DE")
    assert own.settings is not None
    assert own.settings.dashboard.timezone == "Europe/Berlin"
    listed = await client.v1.accounts.list_async()
    assert [item.id for item in listed.data] == [account]


async def test_accounts_are_made_and_changed_over_the_api(client: stripe.StripeClient) -> None:
    made = await client.v1.accounts.create_async({"country": "FR", "email": "a@example.com"})
    changed = await client.v1.accounts.update_async(made.id, {"metadata": {"crm": "1"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"crm": "1"}
    events = await client.v1.events.list_async(options={"stripe_account": made.id})
    assert [event.type for event in events.data] == ["account.updated"]


async def test_a_review_of_an_account_is_told_once(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    for _ in range(2):
        await control.happen(
            "accounts", account, "review", {"charges_enabled": "false"}, account=account
        )
    found = await client.v1.accounts.retrieve_async(account)
    assert (found.charges_enabled, found.payouts_enabled) == (False, True)
    events = await client.v1.events.list_async(options={"stripe_account": account})
    (event,) = events.data
    assert event.type == "account.updated"
    assert event.data.to_dict()["previous_attributes"] == {
        "capabilities": {"card_payments": "active"}, "charges_enabled": True,
    }  # fmt: skip


async def test_objects_of_accounts_and_modes_never_meet(
    emulator: RunningEmulator, client: stripe.StripeClient
) -> None:
    account = await emulator.control.create_account()
    here = await client.v1.customers.create_async({"name": "platform, test"})
    there = await client.v1.customers.create_async({"name": "other"}, {"stripe_account": account})
    async with emulator.sdk(LIVE_KEY) as live:
        real = await live.v1.customers.create_async({"name": "platform, live"})
        assert real.livemode is True
        assert [one.id for one in (await live.v1.customers.list_async()).data] == [real.id]
    mine = await client.v1.customers.list_async()
    theirs = await client.v1.customers.list_async(options={"stripe_account": account})
    assert [one.id for one in mine.data] == [here.id]
    assert [one.id for one in theirs.data] == [there.id]


async def test_headers_echo_what_was_asked(
    emulator: RunningEmulator, client: stripe.StripeClient
) -> None:
    account = await emulator.control.create_account()
    await emulator.control.set_clock(1_700_000_000)
    made = await client.v1.customers.create_async(
        {}, {"stripe_account": account, "idempotency_key": "k1"}
    )
    assert made.last_response is not None
    headers = made.last_response.headers
    assert headers["Stripe-Account"] == account
    assert headers["Idempotency-Key"] == "k1"
    assert headers["Stripe-Version"] == "2026-10-28.endive"
    assert headers["Request-Id"].startswith("req_")
    assert headers["Date"].startswith("Tue, 14 Nov 2023 22:13:2")
    assert made.created in range(1_700_000_000, 1_700_000_003)


async def test_snapshots_count_and_add_up(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(currency="eur"))
    for amount in (1000, 2000):
        await client.v1.charges.create_async(
            {"amount": amount, "currency": "eur", "source": "tok_visa"},
            {"stripe_account": account},
        )
    rows = {(row.account, row.object): row for row in await control.snapshot()}
    charges = rows[account, "charge"]
    assert (charges.count, charges.statuses) == (2, {"succeeded": 2})
    assert charges.sums["amount"] == {"eur": 3000}
    assert rows[account, "balance_transaction"].sums["fee"] == {"eur": 59 + 88}
