"""The promises of `application.analytics.ports.Rates`."""

import asyncio
import datetime as dt
from functools import partial

import pytest

from application.analytics.ports import MAX_RATES
from domain.rates import Place, Rate
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.servers.stores import Opener, Stores

DAY = dt.date(2026, 1, 31)
ONE_DAY = dt.timedelta(days=1)


def rate(day: int = 0, currency: str = "eur", value: str = "1.0842") -> Rate:
    return Rate(DAY + day * ONE_DAY, currency, value)


async def test_a_rate_is_written_once(stores: Stores) -> None:
    rates = stores.rates
    assert await rates.standing("acme", "usd", [rate().place]) == []
    await rates.add("acme", "usd", [rate()])
    await rates.add("acme", "usd", [rate(value="2"), rate(1, value="3.10")])
    found = await rates.standing("acme", "usd", [rate().place, rate(1).place, rate(2).place])
    assert sorted(found, key=lambda each: each.date) == [rate(), rate(1, value="3.10")]
    await rates.add("acme", "usd", [])
    assert await rates.standing("acme", "usd", []) == []


async def test_accounts_and_base_currencies_are_apart(stores: Stores) -> None:
    rates = stores.rates
    await rates.add("acme", "usd", [rate()])
    await rates.add("acme", "gbp", [rate(value="0.8")])
    await rates.add("acme/usd", "usd", [rate(value="7")])
    for account, base, kept in (
        ("acme", "usd", [rate()]),
        ("acme", "gbp", [rate(value="0.8")]),
        ("acme/usd", "usd", [rate(value="7")]),
        ("rival", "usd", []),
    ):
        assert await rates.standing(account, base, [rate().place]) == kept
        assert await rates.list(account, base, None, after=None, limit=9) == kept
        assert await rates.find(account, base, ["eur"], DAY, DAY) == kept


async def test_of_two_that_write_at_once_one_succeeds(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        values = [str(number) for number in range(1, 9)]
        await asyncio.gather(
            *(
                (first, second)[number % 2].rates.add("acme", "usd", [rate(value=value), rate(1)])
                for number, value in enumerate(values)
            )
        )
        (kept,) = await first.rates.standing("acme", "usd", [rate().place])
        assert kept.rate in values
        assert await second.rates.standing("acme", "usd", [rate().place]) == [kept]


async def test_they_are_listed_in_order_of_currency_and_day(stores: Stores) -> None:
    kept = [rate(day, currency) for currency in ("chf", "eur", "jpy") for day in range(-40, 3)]
    await stores.rates.add("acme", "usd", kept[::-1])
    for currency in (None, "eur"):
        wanted = [each for each in kept if currency in (None, each.currency)]
        found: list[Rate] = []
        after: Place | None = None
        while page := await stores.rates.list("acme", "usd", currency, after=after, limit=7):
            found += page
            after = page[-1].place
        assert found == wanted
    for limit in (0, MAX_RATES + 1):
        with pytest.raises(ValueError, match="limit"):
            await stores.rates.list("acme", "usd", None, after=None, limit=limit)


async def test_they_are_found_by_currency_and_days(stores: Stores) -> None:
    kept = [rate(day, currency) for currency in ("chf", "eur", "jpy") for day in range(-3, 3)]
    await stores.rates.add("acme", "usd", kept)
    found = await stores.rates.find("acme", "usd", ["jpy", "chf", "chf"], DAY - ONE_DAY, DAY)
    assert sorted(found, key=lambda each: (each.currency, each.date)) == [
        rate(-1, "chf"), rate(0, "chf"), rate(-1, "jpy"), rate(0, "jpy"),
    ]  # fmt: skip
    assert await stores.rates.find("acme", "usd", [], DAY, DAY) == []


async def test_plans(stores: Stores) -> None:
    await stores.rates.add("acme", "usd", [rate(day) for day in range(20)])
    ask = stores.rates
    await plans_of(stores, lambda: ask.standing("acme", "usd", [rate().place, rate(1).place]))
    for currency in (None, "eur"):
        for after in (None, rate(3).place):
            listing = partial(ask.list, "acme", "usd", currency, after=after, limit=5)
            await assert_ordered(stores, listing)
    await plans_of(stores, lambda: ask.find("acme", "usd", ["eur", "jpy"], DAY, DAY))
