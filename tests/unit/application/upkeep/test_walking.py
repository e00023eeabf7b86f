"""Walking: to the end, patiently, and one page ahead."""

import asyncio
from contextlib import aclosing

import pytest

from application.background.retries import LAST_WAIT_SECONDS, Retries
from application.mirror.lists import Page, Place
from application.upkeep.walk import walk
from domain.errors import Conflict, FailedPrecondition, RateLimited, Reason, Unavailable
from domain.mirror import Version

V = Version(0, 0)


def unavailable() -> Unavailable:
    return Unavailable(Reason.STRIPE_UNAVAILABLE, "away")


class Naps:
    """Remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class Numbers:
    """A list of pages, each of one number; the last is `count`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []
        self.failing: dict[int, Exception] = {}

    async def read(self, place: Place) -> Page[int]:
        number = place.before_ms or 1
        self.asked.append(number)
        if error := self.failing.pop(number, None):
            raise error
        await asyncio.sleep(0)
        return Page([number], V, Place(number + 1) if number < self.count else None)


async def test_every_page_in_order_and_no_request_after_the_end() -> None:
    numbers = Numbers(5)
    async with aclosing(walk(numbers.read, Place(), Retries())) as pages:
        assert [page.items[0] async for page in pages] == [1, 2, 3, 4, 5]
    assert numbers.asked == [1, 2, 3, 4, 5]


async def test_the_next_page_is_read_while_one_is_worked_on() -> None:
    numbers = Numbers(5)
    async with aclosing(walk(numbers.read, Place(), Retries())) as pages:
        await anext(pages)
        await asyncio.sleep(0)
        assert numbers.asked == [1, 2]
        await asyncio.sleep(0)
        assert numbers.asked == [1, 2], "one page ahead, not more"


async def test_leaving_leaves_no_request_under_way() -> None:
    numbers = Numbers(5)
    before = asyncio.all_tasks()
    async with aclosing(walk(numbers.read, Place(), Retries())) as pages:
        await anext(pages)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("error", [unavailable(), Conflict(Reason.OVERLOADED, "busy")])
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    numbers, naps = Numbers(3), Naps()
    numbers.failing = {2: error}
    async with aclosing(walk(numbers.read, Place(), Retries(sleep=naps))) as pages:
        assert [page.items[0] async for page in pages] == [1, 2, 3]
    assert naps.taken == [1.0]


async def test_stripes_own_wait_is_kept() -> None:
    numbers, naps = Numbers(1), Naps()
    numbers.failing = {1: RateLimited(Reason.STRIPE_RATE_LIMITED, "", retry_after_seconds=7)}
    async with aclosing(walk(numbers.read, Place(), Retries(sleep=naps))) as pages:
        assert len([page async for page in pages]) == 1
    assert naps.taken == [7.0]


async def test_tries_and_waits_are_bounded() -> None:
    naps, tries = Naps(), 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise unavailable()

    with pytest.raises(Unavailable):
        await Retries(tries=10, sleep=naps)(fail)
    assert tries == 10
    assert naps.taken == [1, 2, 4, 8, 16, 32, *[LAST_WAIT_SECONDS] * 3]


async def test_what_no_wait_mends_is_raised_at_once() -> None:
    numbers, naps = Numbers(1), Naps()
    revoked = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "", subject="connection")
    numbers.failing = {1: revoked}
    with pytest.raises(FailedPrecondition):
        async with aclosing(walk(numbers.read, Place(), Retries(sleep=naps))) as pages:
            await anext(pages)
    assert naps.taken == []


async def test_a_list_that_stands_still_is_no_end() -> None:
    async def stuck(_: Place) -> Page[int]:
        return Page([1], V, Place(1))

    async with aclosing(walk(stuck, Place(), Retries())) as pages:
        await anext(pages)
        with pytest.raises(Unavailable):
            await anext(pages)
