"""The whole demo against an emulator and a service that can be made wrong."""

import io
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import pytest_asyncio
from rich.console import Console

from sandbox.demo import Business, World, introduce, run
from sandbox.demo.play import Bounds
from sandbox.emulator.running import RunningEmulator, emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY, Settings
from tests.support.servers.stand_in_service import SECRET, MirrorService, mirror_service

BUSINESSES = (
    Business(
        "Hudson Supply", "a1", "acct_1DemoNewYork", "US", "usd", "America/New_York", "token-ny"
    ),
    Business("Yanaka Paper", "a2", "acct_1DemoTokyo", "JP", "jpy", "Asia/Tokyo", "token-tokyo"),
)
IMPATIENT = Bounds(delivery=1.0, rest=0.2)


@dataclass
class Theatre:
    """All that a demo needs, and what it printed to something that is no terminal."""

    emulator: RunningEmulator
    service: MirrorService
    world: World
    printed: str = ""

    async def play(self, bounds: Bounds | None = None, world: World | None = None) -> bool:
        out = io.StringIO()
        console = Console(file=out, width=80, force_terminal=False)
        held = await run(world or self.world, console, bounds or Bounds(), desk=False)
        self.printed = out.getvalue()
        return held

    @property
    def last_words(self) -> str:
        """The verdict, on one line again."""
        text = " ".join(self.printed.split())
        return text[max(text.rfind("mirror ="), text.rfind("mirror ≠")) :]


@asynccontextmanager
async def staged() -> AsyncIterator[Theatre]:
    """A theatre in which nothing was played."""
    tenants = {business.token: business.stripe_account for business in BUSINESSES}
    async with (
        emulator_in_process(Settings(seed=1)) as emulator,
        emulator.sdk() as sdk,
        mirror_service(sdk, tenants) as service,
    ):
        world = World(
            emulator_url=emulator.url,
            platform_key=PLATFORM_KEY,
            grpc_address=service.grpc_address,
            webhook_url=service.webhook_url,
            webhook_secret=SECRET,
            businesses=BUSINESSES,
        )
        yield Theatre(emulator, service, world)


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    async with staged() as empty:
        yield empty


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> Theatre:
    """What is left of the whole demo, for those who only look at it."""
    async with staged() as theatre:
        assert await theatre.play()
    return theatre


def test_mirror_equals_stripe(played: Theatre) -> None:
    assert re.fullmatch(
        r"mirror = Stripe: all 10 figures and \d+ rows are equal\.", played.last_words
    )
    for shown in (
        "90/90",
        "gross volume, USD",
        "gross volume, JPY",
        "Asia/Tokyo",
        "twice",
        "ties to",
    ):
        assert shown in played.printed
    assert max(len(line.rstrip()) for line in played.printed.splitlines()) <= 80
    assert not any(secret in played.printed for secret in (PLATFORM_KEY, SECRET, "token-"))


def test_webhooks_come_twice_and_out_of_order(played: Theatre) -> None:
    events = played.service.events
    times = Counter(event["id"] for event in events)
    assert len(times) > 2_000
    assert 0.05 < sum(count > 1 for count in times.values()) / len(times) < 0.15
    first = {event["id"]: place for place, event in reversed(list(enumerate(events)))}
    created = [event["created"] for event in events]
    early = sum(later < earlier for earlier, later in pairwise(created))
    assert early > 0.2 * len(created)
    places = {
        (event["data"]["object"]["id"], event["type"]): first[event["id"]] for event in events
    }
    updated_first = [
        identifier
        for (identifier, kind), place in places.items()
        if kind == "charge.updated" and place < places[identifier, "charge.succeeded"]
    ]
    assert len(updated_first) > 50


def test_customers_change_several_times_within_a_second(played: Theatre) -> None:
    changes = Counter(
        (event["data"]["object"]["id"], event["created"])
        for event in {event["id"]: event for event in played.service.events}.values()
        if event["type"] == "customer.updated"
    )
    assert max(changes.values()) >= 3


async def test_an_introduction_alone_makes_deliveries_work_and_may_be_repeated(
    theatre: Theatre,
) -> None:
    await introduce(theatre.world)
    await introduce(theatre.world)
    async with theatre.emulator.sdk() as sdk:
        assert len((await sdk.v1.accounts.list_async()).data) == len(BUSINESSES)
        (endpoint,) = (await sdk.v1.webhook_endpoints.list_async()).data
        await sdk.v1.customers.create_async(
            {"name": "Early"}, {"stripe_account": BUSINESSES[0].stripe_account}
        )
    assert endpoint.url == theatre.service.webhook_url
    assert (await theatre.emulator.control.flush()).done
    assert [event["type"] for event in theatre.service.events] == ["customer.created"]


async def test_one_charge_that_the_mirror_misses_is_found(theatre: Theatre) -> None:
    missed: list[str] = []

    def first_charge(identifier: str) -> bool:
        if not missed and identifier.startswith("ch_"):
            missed.append(identifier)
        return identifier in missed

    theatre.service.ignores = first_charge
    assert not await theatre.play(IMPATIENT)
    assert theatre.last_words.startswith("mirror ≠ Stripe: ")
    assert "charges" in theatre.last_words
    assert "live customers" not in theatre.last_words


async def test_a_customer_that_the_mirror_misses_is_found(theatre: Theatre) -> None:
    theatre.service.ignores = lambda identifier: identifier.startswith("cus_")
    assert not await theatre.play(IMPATIENT)
    assert "live customers" in theatre.last_words
    assert "gross volume" not in theatre.last_words


async def test_webhooks_that_are_refused_are_told(theatre: Theatre) -> None:
    assert not await theatre.play(IMPATIENT, replace(theatre.world, webhook_secret="whsec_another"))
    assert "webhooks were not delivered" in theatre.printed
    assert theatre.last_words.startswith("mirror ≠ Stripe: ")


async def test_a_service_that_is_not_there_is_one_line(theatre: Theatre) -> None:
    assert not await theatre.play(IMPATIENT, replace(theatre.world, grpc_address="127.0.0.1:1"))
    assert "The demo stopped. From the service: UNAVAILABLE" in theatre.printed


async def test_an_emulator_that_is_not_there_is_one_line(theatre: Theatre) -> None:
    assert not await theatre.play(
        IMPATIENT, replace(theatre.world, emulator_url="http://127.0.0.1:1")
    )
    assert "The demo stopped. From the emulator: " in theatre.printed


async def test_a_secret_has_the_form_of_one(theatre: Theatre) -> None:
    assert not await theatre.play(IMPATIENT, replace(theatre.world, webhook_secret="hush"))
    assert "a signing secret begins with whsec_" in " ".join(theatre.printed.split())
    assert theatre.service.events == []
