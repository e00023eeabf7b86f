"""Going round all accounts: what fails for one is told, and ends no other's work."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.connections.sources import for_each
from domain.errors import Reason, Unavailable


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize(
    ("failures", "raised"),
    [
        ({1: "store", 3: "store"}, "store"),
        ({1: "store", 3: "defect"}, "defect"),
        ({1: "defect", 3: "store"}, "defect"),
    ],
)
async def test_what_fails_for_some_is_done_for_all_others(
    failures: dict[int, str], raised: str
) -> None:
    errors = {
        "store": Unavailable(Reason.STORE_UNAVAILABLE, "store"),
        "defect": ValueError("defect"),
    }
    done: list[int] = []

    async def work(number: int) -> None:
        if number in failures:
            raise errors[failures[number]]
        await asyncio.sleep(0)
        done.append(number)

    with pytest.raises((Unavailable, ValueError)) as caught:
        await for_each(numbers(20), work)
    assert sorted(done) == [number for number in range(20) if number not in failures]
    assert caught.value is errors[raised]


async def test_what_the_items_themselves_raise_is_raised_as_it_is() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise Unavailable(Reason.STORE_UNAVAILABLE, "store")

    async def work(_: int) -> None:
        await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="store"):
        await for_each(broken(), work)
