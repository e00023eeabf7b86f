"""OAuth on the real SDK: an owner is asked, a code is exchanged once, access is given back."""

from urllib.parse import parse_qs, urlsplit

import pytest

from application.connecting.ports import Deauthorized, Grant
from application.mutations.stripe import Call, Unanswered
from domain.errors import FailedPrecondition, RateLimited, Reason, Unavailable
from infrastructure.clock import SystemClock
from infrastructure.stripe.connecting.gateway import StripeOauth
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.messages import AccountSpec, FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeApi, Served

CALL = Call("", "key", "tag")
BACK = "https://platform.example/back"
TOKEN = "/oauth/token"
DEAUTHORIZE = "/oauth/deauthorize"


@pytest.fixture
def oauth(make_api: MakeApi, emulator: RunningEmulator) -> StripeOauth:
    return oauth_of(make_api, emulator, CLIENT_ID)


def oauth_of(make_api: MakeApi, emulator: RunningEmulator, client_id: str) -> StripeOauth:
    api = make_api(connect_base=emulator.url)
    return StripeOauth(api, StripeConnectedAccounts(api), client_id)


async def test_the_whole_round(oauth: StripeOauth, emulator: RunningEmulator) -> None:
    account = await emulator.control.create_account(AccountSpec(connected=False))
    page = oauth.authorize_url(BACK, "state")
    assert page.startswith(f"{emulator.url}/oauth/authorize?")
    back = parse_qs(urlsplit(await emulator.control.consent(page, account)).query)
    assert back["state"] == ["state"]
    assert await oauth.find_deauthorized(CALL, account, SystemClock().now()) == Deauthorized()
    assert await oauth.exchange(CALL, back["code"][0]) == Grant(account, False, "read_write")
    assert await oauth.find_deauthorized(CALL, account, SystemClock().now()) is None
    assert await oauth.deauthorize(CALL, account) == Deauthorized()
    again = Call("", "another key", "tag")
    assert await oauth.deauthorize(again, account) == Deauthorized(already=True)


@pytest.mark.parametrize("code", ["ac_unknown", "late", "used", "live"])
async def test_a_code_that_stripe_does_not_take(
    oauth: StripeOauth, emulator: RunningEmulator, code: str
) -> None:
    account = await emulator.control.create_account(AccountSpec(connected=False))
    if code != "ac_unknown":
        kind, code = code, await emulator.control.authorize(account, livemode=code == "live")
        if kind == "late":
            await emulator.control.advance_clock(301)
        if kind == "used":
            await oauth.exchange(CALL, code)
    with pytest.raises(FailedPrecondition) as refused:
        await oauth.exchange(CALL, code)
    assert (refused.value.reason, refused.value.subject) == (Reason.CODE_REFUSED, "code")
    assert code not in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (FaultSpec(kind="drop_after", route=TOKEN), Unanswered),
        (FaultSpec(kind="drop_before", route=TOKEN), Unanswered),
        (FaultSpec(kind="cut", route=TOKEN), Unanswered),
        (FaultSpec(kind="fail", status=500, route=TOKEN), Unanswered),
        (FaultSpec(kind="fail", status=429, route=TOKEN), RateLimited),
    ],
)
async def test_an_exchange_is_sent_once_whatever_becomes_of_it(
    oauth: StripeOauth, emulator: RunningEmulator, served: Served, fault: FaultSpec,
    error: type[Exception],
) -> None:  # fmt: skip
    account = await emulator.control.create_account(AccountSpec(connected=False))
    code = await emulator.control.authorize(account)
    await emulator.control.add_fault(fault)
    with pytest.raises(error) as caught:
        await oauth.exchange(CALL, code)
    assert type(caught.value) is error
    assert await served(f"POST {TOKEN}") == 1


async def test_a_lost_answer_of_a_deauthorisation_is_asked_for_again(
    oauth: StripeOauth, emulator: RunningEmulator
) -> None:
    account = await emulator.control.create_account()
    await emulator.control.add_fault(FaultSpec(kind="drop_after", route=DEAUTHORIZE))
    assert await oauth.deauthorize(CALL, account) == Deauthorized()


async def test_another_client_takes_nothing_back(
    make_api: MakeApi, emulator: RunningEmulator
) -> None:
    account = await emulator.control.create_account()
    other = oauth_of(make_api, emulator, "ca_other")
    with pytest.raises(FailedPrecondition) as refused:
        await other.deauthorize(CALL, account)
    assert refused.value.reason is Reason.STRIPE_REFUSED
    assert await other.find_deauthorized(CALL, account, SystemClock().now()) is None


async def test_a_key_that_stripe_does_not_take_is_the_operators_affair(
    make_api: MakeApi, emulator: RunningEmulator
) -> None:
    api = make_api(connect_base=emulator.url, secret_key="sk_test_wrong")
    with pytest.raises(Unavailable) as refused:
        await StripeOauth(api, StripeConnectedAccounts(api), CLIENT_ID).exchange(CALL, "ac_1")
    assert not isinstance(refused.value, Unanswered)
