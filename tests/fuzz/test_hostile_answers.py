"""Answers of the platform's internal API and of Stripe's OAuth that nobody well-behaved gives."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from aiohttp import web

from application.connecting.ports import Grant
from application.mutations.stripe import Call, Unanswered
from application.payment_links.short_links import NoShortLink
from domain.connections import STRIPE_ACCOUNT_ID
from domain.errors import BillingError, Reason
from domain.ledger_amounts import is_price
from domain.phone_numbers import NumberKind, NumberPrice
from infrastructure.clock import SystemClock
from infrastructure.internal_api.client import MAX_BODY_BYTES, InternalApi
from infrastructure.internal_api.number_prices import InternalNumberPrices
from infrastructure.internal_api.prices import InternalPrices
from infrastructure.internal_api.short_links import MAX_CHARACTERS, InternalShortLinks
from infrastructure.stripe.connecting.gateway import StripeOauth
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from tests.fuzz.inputs import MARK, hostile_json, tells_nothing, tries
from tests.fuzz.odd_values import Chance

LONG: Final = f"https://pay.example/{MARK}"
SECRET: Final = f"{MARK}-{'s' * 32}"
TIERS: Final = [{"up_to": 2, "price": "1.15"}, {"up_to": None, "price": "0.995"}]
HEADERS: Final = (
    {}, {"Content-Type": "text/html"}, {"Content-Encoding": "gzip"}, {"Set-Cookie": f"a={MARK}"},
    {"Location": f"http://127.0.0.1:1/{MARK}"}, {"Retry-After": "99999999999"},
    {"Content-Type": "application/json; charset=utf-16"},
)  # fmt: skip
STATUSES: Final = (*[200] * 8, 201, 204, 206, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503, 599)


class Answering:
    """A real HTTP server that gives one answer after the other."""

    def __init__(self) -> None:
        self.url = ""
        self.next = web.Response
        self.asked = 0

    def give(self, chance: Chance, right: dict[str, Any]) -> None:
        """What it answers from now on."""
        body = hostile_json(chance, right)
        status, headers = chance.choice(STATUSES), chance.choice(HEADERS)
        self.next = lambda: web.Response(status=status, body=body, headers=headers)

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        return self.next()


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    made = Answering()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


Ask = Callable[[InternalApi, str], Awaitable[object]]


async def ask_price(api: InternalApi, url: str) -> object:
    price = await InternalPrices(api, url, "usd").price("sms")
    assert price is None or is_price(price)
    return price


async def ask_number(api: InternalApi, url: str) -> object:
    price = await InternalNumberPrices(api, url).price("DE", NumberKind.LOCAL, "usd")
    assert price is None or isinstance(price, NumberPrice)
    if price is not None:
        assert (price.country, price.kind, price.currency) == ("DE", NumberKind.LOCAL, "usd")
        assert price.price_of(1) >= 0
        assert price.price_of(10**9) >= price.price_of(1)
    return price


async def ask_link(api: InternalApi, url: str) -> object:
    short = await InternalShortLinks(api, url).shorten(LONG)
    assert short.startswith("https://")
    assert short.isascii()
    assert short.isprintable()
    assert len(short) <= MAX_CHARACTERS <= MAX_BODY_BYTES
    return short


ASKED: Final[dict[str, tuple[Ask, dict[str, Any]]]] = {
    "price": (ask_price, {"service": "sms", "currency": "usd", "price": "0.0079"}),
    "number": (
        ask_number, {"country": "DE", "kind": "local", "currency": "usd", "tiers": TIERS},
    ),
    "link": (ask_link, {"short_url": "https://l.example/a"}),
}  # fmt: skip


async def outcome_of(asked: Awaitable[object]) -> str:
    """What came of it: an answer, or why there was none, which tells nothing of what was answered.

    Any other exception is a defect.
    """
    try:
        return "told none" if await asked is None else "answered"
    except NoShortLink as error:
        tells_nothing(error)
        return "no short link"
    except (BillingError, Unanswered) as error:
        tells_nothing(error)
        return error.reason.value if isinstance(error, BillingError) else "unanswered"


@pytest.mark.parametrize("kind", ASKED)
async def test_answers_of_the_internal_api_are_right_or_none(
    answering: Answering, kind: str
) -> None:
    ask, right = ASKED[kind]
    counts: Counter[str] = Counter()
    api = InternalApi(SECRET, SystemClock())
    try:
        for tried in tries(f"internal {kind}"):
            with tried as chance:
                answering.give(chance, right)
                before = answering.asked
                counts[await outcome_of(ask(api, answering.url))] += 1
                assert answering.asked - before <= 1, "a request is sent once"
    finally:
        await api.close()
    assert {*counts} <= {"answered", "told none", "PRICE_UNAVAILABLE", "no short link"}


RIGHT_TOKEN: Final = {
    "stripe_user_id": "acct_1Owner", "livemode": False, "scope": "read_write",
    "access_token": MARK, "refresh_token": f"rt_{MARK}", "token_type": "bearer",
}  # fmt: skip


async def granted(exchange: Awaitable[Grant]) -> Grant:
    """A grant, whose Stripe account may be one."""
    grant = await exchange
    assert STRIPE_ACCOUNT_ID.fullmatch(grant.stripe_account)
    assert MARK not in repr(grant)
    return grant


async def test_answers_to_a_code_are_a_grant_or_unknown(answering: Answering) -> None:
    """Neither a token nor a code is told by what is raised, and the code is sent once."""
    settings = StripeSettings(
        secret_key=f"sk_test_{MARK}", api_base=answering.url, connect_base=answering.url,
        first_backoff_seconds=0.0001,
    )  # fmt: skip
    api = StripeApi(settings, RateBudget(100_000), SystemClock())
    oauth = StripeOauth(api, StripeConnectedAccounts(api), "ca_1")
    counts: Counter[str] = Counter()
    try:
        for number, tried in enumerate(tries("oauth answer")):
            with tried as chance:
                answering.give(chance, RIGHT_TOKEN)
                before = answering.asked
                call = Call("", f"key{number}", "tag")
                counts[await outcome_of(granted(oauth.exchange(call, f"ac_{MARK}")))] += 1
                assert answering.asked - before == 1, "a code is sent once"
    finally:
        await api.close()
    assert Reason.INTERNAL.value not in counts
