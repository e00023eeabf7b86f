"""Connect's OAuth: a code for access, once; and the end of it."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import LIVE_KEY, RunningEmulator


async def exchanged(client: stripe.StripeClient, code: str) -> stripe.StripeObject:
    answer = await client.raw_request_async(
        "post", "/oauth/token", base="connect", grant_type="authorization_code", code=code
    )
    return client.deserialize(answer, api_mode="V1")


async def test_a_code_gives_access(
    emulator: RunningEmulator, client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(connected=False))
    with pytest.raises(stripe.PermissionError):
        await client.v1.customers.list_async(options={"stripe_account": account})
    code = await control.authorize(account)
    token = await exchanged(client, code)
    assert token["stripe_user_id"] == account
    assert (token["livemode"], token["scope"], token["token_type"]) == (
        False, "read_write", "bearer",
    )  # fmt: skip
    made = await client.v1.customers.create_async({}, {"stripe_account": account})
    async with emulator.sdk(token["access_token"]) as own:
        assert [one.id for one in (await own.v1.customers.list_async()).data] == [made.id]
    events = await client.v1.events.list_async(options={"stripe_account": account})
    assert "account.application.authorized" in [event.type for event in events.data]
    with pytest.raises(stripe.oauth_error.InvalidGrantError):
        await exchanged(client, code)


async def test_codes_expire_and_belong_to_a_mode(
    emulator: RunningEmulator, client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(connected=False))
    late = await control.authorize(account)
    await control.advance_clock(301)
    for code in (late, "ac_unknown", await control.authorize(account, livemode=True)):
        with pytest.raises(stripe.oauth_error.InvalidGrantError):
            await exchanged(client, code)
    async with emulator.sdk(LIVE_KEY) as live:
        token = await exchanged(live, await control.authorize(account, livemode=True))
        assert token["livemode"] is True


async def test_deauthorize(client: stripe.StripeClient, control: ControlClient) -> None:
    account = await control.create_account()

    async def deauthorized(client_id: str) -> None:
        await client.raw_request_async(
            "post",
            "/oauth/deauthorize",
            base="connect",
            client_id=client_id,
            stripe_user_id=account,
        )

    with pytest.raises(stripe.oauth_error.InvalidClientError):
        await deauthorized("ca_other")
    await client.v1.customers.list_async(options={"stripe_account": account})
    await deauthorized(CLIENT_ID)
    with pytest.raises(stripe.PermissionError):
        await client.v1.customers.list_async(options={"stripe_account": account})
    with pytest.raises(stripe.oauth_error.InvalidClientError):
        await deauthorized(CLIENT_ID)
