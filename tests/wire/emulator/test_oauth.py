"""Connect's OAuth: a code for access, once; and the end of it."""

from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import stripe

from sandbox.emulator.control_client import ControlClient, ControlError
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


async def test_a_code_that_comes_again_ends_what_it_gave(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(connected=False))
    code = await control.authorize(account)
    await exchanged(client, code)
    for _ in range(2):
        with pytest.raises(stripe.oauth_error.InvalidGrantError):
            await exchanged(client, code)
        with pytest.raises(stripe.PermissionError):
            await client.v1.customers.list_async(options={"stripe_account": account})
    await exchanged(client, await control.authorize(account))
    events = await client.v1.events.list_async(options={"stripe_account": account})
    ends = [one.type for one in events.data if one.type == "account.application.deauthorized"]
    assert len(ends) == 1  # of this mode


async def test_an_owner_consents_or_declines_on_the_authorize_page(
    emulator: RunningEmulator, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(connected=False))
    sdk = stripe.StripeClient(
        "sk_test_x", client_id=CLIENT_ID, base_addresses={"connect": emulator.url}
    )
    back = "https://platform.example/back?from=billing"
    page = sdk.oauth.authorize_url({"scope": "read_write", "redirect_uri": back, "state": "s&1"})
    async with aiohttp.ClientSession() as browser, browser.get(page) as shown:
        assert (shown.status, shown.content_type) == (200, "text/html")
    sent = urlsplit(await control.consent(page, account))
    assert f"{sent.scheme}://{sent.netloc}{sent.path}" == "https://platform.example/back"
    query = parse_qs(sent.query)
    assert query.pop("code")[0].startswith("ac_")
    assert query == {"from": ["billing"], "scope": ["read_write"], "state": ["s&1"]}
    declined = parse_qs(urlsplit(await control.decline(page)).query)
    assert declined.pop("error_description")
    assert declined == {"from": ["billing"], "error": ["access_denied"]}


@pytest.mark.parametrize(
    ("client_id", "asked"),
    [
        ("ca_other", {}),
        (CLIENT_ID, {"response_type": "token"}),
        (CLIENT_ID, {"scope": "everything"}),
        (CLIENT_ID, {"redirect_uri": "nowhere"}),
    ],
)
async def test_an_authorize_page_for_anything_else_is_refused(
    emulator: RunningEmulator, control: ControlClient, client_id: str, asked: dict[str, str]
) -> None:
    sdk = stripe.StripeClient(
        "sk_test_x", client_id=client_id, base_addresses={"connect": emulator.url}
    )
    wanted = {"redirect_uri": "https://platform.example/back", "scope": "read_write", **asked}
    page = sdk.oauth.authorize_url(wanted)  # type: ignore[arg-type]  # what is wrong with it
    async with aiohttp.ClientSession() as browser, browser.get(page) as shown:
        assert shown.status in (400, 401)
    with pytest.raises(ControlError):
        await control.decline(page)


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
