"""The sandbox's internal API, asked as the service asks the platform's."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from application.background.clock import Clock
from domain.errors import Unavailable
from domain.phone_numbers import NumberKind
from infrastructure.clock import SystemClock
from infrastructure.internal_api.client import InternalApi, InternalApiError
from infrastructure.internal_api.number_prices import InternalNumberPrices
from infrastructure.internal_api.prices import InternalPrices
from sandbox.internal_api.server import PHONE_NUMBERS, PRICES, PROVISIONING, Platform, serving
from tests.support.rooms.store import GERMAN

SECRET = "an-app-secret-of-more-than-32-bytes!!"
TIERS = [{"up_to": 2, "price": "1.15"}, {"up_to": None, "price": "0.995"}]


@pytest.fixture
def platform() -> Platform:
    return Platform(SECRET, "usd", {"sms": "0.0079"}, {("DE", "local", "usd"): TIERS})


@pytest.fixture
async def url(platform: Platform) -> AsyncIterator[str]:
    async with serving(platform) as address:
        yield address


@pytest.fixture
async def api() -> AsyncIterator[InternalApi]:
    made = InternalApi(SECRET, SystemClock())
    yield made
    await made.close()


async def test_it_tells_prices(url: str, api: InternalApi) -> None:
    prices = InternalPrices(api, url + PRICES, "usd")
    assert (await prices.price("sms"), await prices.price("fax")) == ("0.0079", None)
    numbers = InternalNumberPrices(api, url + PHONE_NUMBERS)
    assert await numbers.price("DE", NumberKind.LOCAL, "usd") == GERMAN
    assert await numbers.price("DE", NumberKind.MOBILE, "usd") is None


async def test_what_is_provisioned_is_kept_once(
    url: str, api: InternalApi, platform: Platform
) -> None:
    for count in (1, 2):
        await api.post(url + PROVISIONING, {"id": "job-1", "count": count})
    assert platform.provisioned == {"job-1": {"id": "job-1", "count": 1}}
    with pytest.raises(InternalApiError, match="400"):
        await api.post(url + PROVISIONING, {"count": 1})


async def test_it_believes_nobody_without_the_secret(url: str, platform: Platform) -> None:
    clock: Clock = SystemClock()
    stranger = InternalApi("another-secret-of-more-than-32-bytes!", clock)
    try:
        with pytest.raises(Unavailable):
            await InternalNumberPrices(stranger, url + PHONE_NUMBERS).price(
                "DE", NumberKind.LOCAL, "usd"
            )
        with pytest.raises(InternalApiError, match="401"):
            await stranger.post(url + PROVISIONING, {"id": "job-1"})
    finally:
        await stranger.close()
    async with aiohttp.ClientSession() as session, session.post(url + PROVISIONING) as answer:
        assert answer.status == 401
    assert platform.provisioned == {}
