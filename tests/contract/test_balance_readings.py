"""The promises of `application.payouts.ports.BalanceReadings`."""

import asyncio
from functools import partial

import pytest

from domain.balances import HOUR_MS, BalanceReading, CurrencyReading, Tie
from tests.contract.samples import OURS, THEIRS
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.servers.stores import Opener, Stores

START = 490_000 * HOUR_MS


def reading(start_ms: int = START, available: int = 5) -> BalanceReading:
    usd = CurrencyReading(
        "usd", available, -2, 3, 1, {"card": available}, {"card": -2}, Tie(start_ms - 9, 44)
    )
    big = CurrencyReading("idr", 5_000_000_000_000, 0)
    return BalanceReading(start_ms, start_ms + 4_000, (big, usd))


async def test_the_latest_reading_is_the_last(stores: Stores) -> None:
    readings = stores.balance_readings
    assert await readings.last(OURS) is None
    for hour in (3, 1, 2):
        await readings.keep(OURS, reading(START + hour * HOUR_MS))
    await readings.keep(THEIRS, reading(START + 9 * HOUR_MS))
    assert await readings.last(OURS) == reading(START + 3 * HOUR_MS)


async def test_one_an_hour_is_kept_the_latest(stores: Stores) -> None:
    readings = stores.balance_readings
    for second in (5, 7, 6, 7):
        await readings.keep(OURS, reading(START + second * 1_000, second))
    (kept,) = await readings.between(OURS, START, START + HOUR_MS, limit=9)
    assert kept == reading(START + 7_000, 7) == await readings.last(OURS)


async def test_of_two_processes_the_later_reading_stays(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        await asyncio.gather(
            *(
                (first, second)[number % 2].balance_readings.keep(OURS, reading(START + number))
                for number in range(16)
            )
        )
        assert await first.balance_readings.last(OURS) == reading(START + 15)


async def test_a_time_is_from_inclusive_to_exclusive(stores: Stores) -> None:
    readings = stores.balance_readings
    kept = [reading(START + hour * HOUR_MS + 1_500) for hour in range(5)]
    for each in kept:
        await readings.keep(OURS, each)
    first, last = kept[1].start_ms, kept[3].start_ms
    assert await readings.between(OURS, first, last, limit=9) == kept[1:3]
    assert await readings.between(OURS, first, last + 1, limit=2) == kept[1:3]
    assert await readings.between(THEIRS, first, last, limit=9) == []
    with pytest.raises(ValueError, match="at most"):
        await readings.between(OURS, first, last, limit=1_001)


async def test_those_before_come_the_latest_first(stores: Stores) -> None:
    readings = stores.balance_readings
    kept = [reading(START + hour * HOUR_MS + 1_500) for hour in range(5)]
    for each in kept:
        await readings.keep(OURS, each)
    until = kept[3].start_ms
    assert await readings.before(OURS, until, limit=2) == [kept[2], kept[1]]
    assert await readings.before(OURS, until + 1, limit=1) == [kept[3]]
    assert await readings.before(OURS, kept[0].start_ms, limit=9) == []
    assert await readings.before(THEIRS, until, limit=9) == []
    with pytest.raises(ValueError, match="at most"):
        await readings.before(OURS, until, limit=1_001)


async def test_plans(stores: Stores) -> None:
    ask = stores.balance_readings
    for hour in range(20):
        await ask.keep(OURS, reading(START + hour * HOUR_MS))
    await assert_ordered(stores, partial(ask.last, OURS))
    await assert_ordered(stores, partial(ask.between, OURS, START, START + HOUR_MS, limit=5))
    await assert_ordered(stores, partial(ask.before, OURS, START + 9 * HOUR_MS, limit=5))
    await plans_of(stores, partial(ask.last, THEIRS))
