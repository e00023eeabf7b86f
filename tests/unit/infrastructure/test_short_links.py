"""The circuit breaker of short links: what concurrent calls find while it is open and half open."""

import asyncio
from collections.abc import Mapping

import pytest
from typing_extensions import override

from application.payment_links.short_links import NoShortLink
from infrastructure.internal_api.client import InternalApi, InternalApiError
from infrastructure.internal_api.short_links import InternalShortLinks
from tests.support.fakes.stores import FakeClock

SHORT = "https://s.example/a1"
OPEN = "the circuit is open"


class Api(InternalApi):
    """An internal API whose every answer waits for the test, which says whether it is a failure."""

    def __init__(self) -> None:
        super().__init__("secret", FakeClock())
        self.waiting: list[asyncio.Future[bytes]] = []

    @override
    async def post(self, url: str, document: Mapping[str, object]) -> bytes:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]

    def answer(self, *, well: bool) -> None:
        """Answer all that waits."""
        for waiting in self.waiting:
            if well:
                waiting.set_result(f'{{"short_url": "{SHORT}"}}'.encode())
            else:
                waiting.set_exception(InternalApiError("HTTP 500"))
        self.waiting.clear()


class Links:
    """Short links whose circuit opens at the second failure, for ten seconds of `now`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.api = Api()
        self.links = InternalShortLinks(
            self.api, "https://api.example", failures_to_open=2, recovery_seconds=10
        )

    async def asked(self, calls: int) -> list[asyncio.Task[str]]:
        """Calls that are under way, each up to its answer or its refusal."""
        tasks = [asyncio.create_task(self.links.shorten("https://x.example")) for _ in range(calls)]
        await asyncio.sleep(0)  # each task takes its first step
        return tasks

    async def opened(self) -> None:
        """Open the circuit."""
        tasks = await self.asked(2)
        self.api.answer(well=False)
        assert await outcomes(tasks) == ["HTTP 500"] * 2
        assert await outcomes(await self.asked(3)) == [OPEN] * 3
        assert self.api.waiting == []


async def outcomes(tasks: list[asyncio.Task[str]]) -> list[str]:
    """The short link of each call, or why there is none."""
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, str | NoShortLink) for one in ended)
    return [str(one) for one in ended]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Links:
    desk = Links()
    monkeypatch.setattr("circuitbreaker.monotonic", lambda: desk.now)
    return desk


async def test_a_closed_circuit_lets_all_through(desk: Links) -> None:
    tasks = await desk.asked(9)
    assert len(desk.api.waiting) == 9
    desk.api.answer(well=True)
    assert await outcomes(tasks) == [SHORT] * 9


async def test_of_many_calls_at_once_one_tries_and_closes_the_circuit_for_all(desk: Links) -> None:
    await desk.opened()
    desk.now += 10
    tasks = await desk.asked(9)
    assert len(desk.api.waiting) == 1
    assert await outcomes(tasks[1:]) == [OPEN] * 8, "nobody waits for the one who tries"
    desk.api.answer(well=True)
    assert await tasks[0] == SHORT
    tasks = await desk.asked(9)
    assert len(desk.api.waiting) == 9
    desk.api.answer(well=True)
    assert await outcomes(tasks) == [SHORT] * 9


async def test_a_try_that_fails_opens_it_again_and_the_next_one_is_alone_too(desk: Links) -> None:
    await desk.opened()
    for _ in range(2):
        desk.now += 10
        tasks = await desk.asked(5)
        assert len(desk.api.waiting) == 1
        desk.api.answer(well=False)
        assert await outcomes(tasks) == ["HTTP 500", *[OPEN] * 4]
        assert await outcomes(await desk.asked(5)) == [OPEN] * 5
        assert desk.api.waiting == []


async def test_a_try_that_is_cut_off_closes_nothing_and_lets_another_try_later(desk: Links) -> None:
    await desk.opened()
    desk.now += 10
    (trying,) = await desk.asked(1)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    desk.api.waiting.clear()
    assert await outcomes(await desk.asked(3)) == [OPEN] * 3
    desk.now += 10
    tasks = await desk.asked(3)
    assert len(desk.api.waiting) == 1
    desk.api.answer(well=True)
    assert await outcomes(tasks) == [SHORT, OPEN, OPEN]


async def test_a_call_from_before_does_not_end_the_try_of_another(desk: Links) -> None:
    (early,) = await desk.asked(1)
    late_answer = desk.api.waiting.pop()
    await desk.opened()
    desk.now += 10
    (trying,) = await desk.asked(1)
    late_answer.set_exception(InternalApiError("HTTP 500"))
    assert await outcomes([early]) == ["HTTP 500"]
    assert await outcomes(await desk.asked(3)) == [OPEN] * 3
    desk.api.answer(well=True)
    assert await trying == SHORT
