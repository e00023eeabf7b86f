"""Long random histories: the service at work on real stores, and deliveries at their worst.

Two businesses act at random. Their events are doubled, held back, shuffled, and some are lost for
good; projectors die; backfills, comparisons and polls run all the while, Stripe fails now and then
and is slow. In the end the mirror is what Stripe shows, and what has followed are the facts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pprint import pformat
from random import Random
from typing import Any, Final

import pytest

from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.core.messages import DeliveryChange, FaultSpec
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.property.business import Business
from tests.property.running import Service
from tests.property.seed import EFFORT, FIGURES, SEED
from tests.support.expected.outcomes import differences, has_followed, should_follow, unsettled
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.upkeep import Flows
from tests.support.servers.stores import Opener
from tests.support.servers.webhook import listening

HISTORIES: Final = 2 * EFFORT
ACTS: Final = 150
OLDER: Final = "2025-02-24.acacia"
"""An API version of a release that the translations do not read."""

_LEAPS: Final = (1, 1, 60, 3_600, 40_000, 86_400)


COUNTED: Final[Counter[str]] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _tell() -> Iterator[None]:
    yield
    counted = ", ".join(f"{count:,} {what}" for what, count in COUNTED.items())
    FIGURES.append(f"long histories: {counted}")


@asynccontextmanager
async def two_accounts(opener: Opener) -> AsyncIterator[tuple[MovableClock, list[Flows]]]:
    """Two accounts of one emulator, and the flows that mirror them in one store."""
    clock = MovableClock()
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        settings = StripeSettings(PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001)
        api = StripeApi(settings, RateBudget(10_000), clock)
        ids = [await emulator.control.create_account() for _ in range(2)]
        arrived = asyncio.Event()
        try:
            accounts = [Flows(emulator, sdk, api, stores, id_, clock=clock) for id_ in ids]
            for flows in accounts:
                flows.arrived = arrived
            yield clock, accounts
        finally:
            await api.close()


async def live(
    accounts: Sequence[Flows], clock: MovableClock, chance: Random, *, older: float = 0
) -> list[Business]:
    """Let things happen until everything has come to rest; who did them."""
    control, service = accounts[0].emulator.control, Service(accounts, clock)
    businesses = [
        Business(one, chance, partial(_welcome, service, one, chance)) for one in accounts
    ]
    await control.change_delivery(
        DeliveryChange(
            duplicate_fraction=0.3, drop_fraction=0.15, delay_fraction=0.2,
            delay_seconds=chance.choice((1, 1_800, 7_200)), concurrency=chance.choice((1, 8)),
            reorder_window=chance.choice((1, 8, 40)), seed=chance.randrange(2**32),
            older_fraction=older, older_version=OLDER,
        )
    )  # fmt: skip
    fail = FaultSpec("fail", status=503, method="GET", probability=0.02, count=None)
    slow = FaultSpec(
        "stall", seconds=0.03, method="GET", route="/v1/customers", probability=0.5, count=None
    )
    connected_at = [chance.randrange(ACTS // 2) for _ in accounts]
    async with listening(accounts[0]):
        for flows, business in zip(accounts, businesses, strict=True):
            await service.prepare(flows)
            await business.begin()
        await control.add_fault(slow)
        await control.add_fault(fail)
        try:
            service.start()
            for number in range(ACTS):
                for flows, at in zip(accounts, connected_at, strict=True):
                    if number == at:
                        await service.connect(flows)
                await _go_on(service, businesses, chance.choice(accounts), chance)
            await service.come_to_rest()
        finally:
            await service.end()
    return businesses


async def _welcome(service: Service, flows: Flows, chance: Random, customer: str) -> None:
    """Some customers are linked to contacts by hand, the others by the sync."""
    if chance.random() < 0.5:
        await service.link(flows, customer)


async def _go_on(
    service: Service, businesses: Sequence[Business], flows: Flows, chance: Random
) -> None:
    """One thing happens, or two at once."""
    match chance.choices(
        ("act", "both", "time", "backfill", "compare", "poll", "refresh", "kill"),
        (50, 20, 10, 4, 4, 6, 4, 2),
    )[0]:
        case "act":
            await chance.choice(businesses).act()
        case "both":
            await asyncio.gather(*(business.act() for business in businesses))
        case "time":
            await service.pass_time(chance.choice(_LEAPS))
        case "backfill":
            service.beside(lambda: service.import_again(flows))
        case "compare":
            service.beside(flows.reconciled)
        case "poll":
            service.beside(lambda: flows.catch_up.poll(flows.source))
        case "refresh":
            service.beside(lambda: service.refresh(flows))
        case _:
            await service.kill_one(chance)


async def wrong(flows: Flows, *, older: bool = False) -> dict[str, Any]:
    """What is not as it should be in the end; empty where everything is right."""
    happened = await flows.happened()
    mirrored, fresh = await flows.mirrored(), await flows.at_stripe()
    of = (flows.stores, flows.account, flows.account, happened)
    should, came = await should_follow(*of), await has_followed(*of)
    if older:
        # What is read again is what is, not what was told: not all that has been can be seen, and
        # of an attempt to pay not even which one it was.
        should["changes"] = came["changes"] = {}
        came["facts"] = {
            key: one for key, one in came["facts"].items() if key[0] != "invoice_payment_failed"
        }
        should["facts"] = {key: should["facts"].get(key) for key in came["facts"]}
    report = await flows.reconciled()
    parts = {
        "rows": differences(mirrored, fresh),
        "effects": differences(should, came),
        "unsettled": await unsettled(flows.stores, [one["id"] for one in happened.events]),
        "drift": report.findings if report.drifted else (),
    }
    return {part: found for part, found in parts.items() if found}


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_a_long_history_comes_out_right(opener: Opener, number: int) -> None:
    seed = f"{SEED}/{number}"
    async with two_accounts(opener) as (clock, accounts):
        businesses = await live(accounts, clock, Random(seed))  # noqa: S311 - a history, no secret
        for flows, business in zip(accounts, businesses, strict=True):
            found = await wrong(flows)
            assert not found, f"history {seed}: {business.diary}\n{pformat(found, width=100)}"
        await _count(accounts[0], businesses)


async def test_events_of_another_release_are_mirrored_right_and_tell_nothing_wrong(
    opener: Opener,
) -> None:
    seed = f"{SEED}/older"
    async with two_accounts(opener) as (clock, accounts):
        chance = Random(seed)  # noqa: S311 - a history, no secret
        businesses = await live(accounts, clock, chance, older=0.3)
        for flows, business in zip(accounts, businesses, strict=True):
            found = await wrong(flows, older=True)
            assert not found, f"history {seed}: {business.diary}\n{pformat(found, width=100)}"


async def _count(flows: Flows, businesses: Sequence[Business]) -> None:
    delivery = await flows.emulator.control.delivery()
    COUNTED["things done"] += sum(len(one.diary) - one.refused for one in businesses)
    COUNTED["events delivered"] += delivery.succeeded
    COUNTED["delivered twice"] += delivery.duplicates
    COUNTED["lost"] += delivery.dropped
