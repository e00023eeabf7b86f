"""Going round all accounts: what fails for one is told, and ends no other's work."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.fleet import for_each


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_what_fails_for_some_is_done_for_all_others() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        if number in (1, 3):
            raise ValueError(f"{number}")
        await asyncio.sleep(0)
        done.append(number)

    with pytest.raises(ExceptionGroup) as caught:
        await for_each(numbers(20), work)
    assert sorted(done) == [number for number in range(20) if number not in (1, 3)]
    assert [str(one) for one in caught.value.exceptions] == ["1", "3"]
