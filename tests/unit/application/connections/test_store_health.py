"""Readiness: turned by a store that is silent for too long, and by nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from application.connections.store_health import StoreHealth
from tests.support.fakes.stores import FakeDeployment, store_down

BOUND_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 0.2
INTERVAL_SECONDS: Final = 0.01


class Store:
    """A deployment's store that answers, fails or hangs."""

    def __init__(self) -> None:
        self.does: Callable[[], Awaitable[None]] = answer
        self.asked = asyncio.Semaphore(0)
        self.health = StoreHealth(
            FakeDeployment(self._pause),
            patience_seconds=PATIENCE_SECONDS,
            interval_seconds=INTERVAL_SECONDS,
        )
        self.turns: list[tuple[bool, float]] = []
        self.turned = asyncio.Event()

    async def _pause(self, _: str) -> None:
        self.asked.release()
        await self.does()

    async def note(self, ready: bool) -> None:
        self.turns.append((ready, asyncio.get_running_loop().time()))
        self.turned.set()

    async def next_turn(self) -> bool:
        async with asyncio.timeout(BOUND_SECONDS):
            await self.turned.wait()
        self.turned.clear()
        return self.turns[-1][0]

    async def asked_again(self) -> None:
        """Wait until it has been asked after this moment, and the answer has been taken."""
        async with asyncio.timeout(BOUND_SECONDS):
            while self.asked.locked() is False:
                await self.asked.acquire()
            for _ in range(4):
                await self.asked.acquire()


async def answer() -> None:
    """At once."""


async def fail() -> None:
    raise store_down()


async def hang() -> None:
    await asyncio.Event().wait()


async def break_down() -> None:
    raise ZeroDivisionError


@asynccontextmanager
async def asked(store: Store) -> AsyncIterator[None]:
    store.health.report_to(store.note)
    running = asyncio.create_task(store.health.loop.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.mark.parametrize("trouble", [fail, hang, break_down])
async def test_it_turns_after_the_patience_and_back_with_the_first_answer(
    trouble: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    async with asked(store):
        await store.asked_again()
        assert store.health.ready
        before = asyncio.get_running_loop().time()
        store.does = trouble
        assert await store.next_turn() is False
        assert not store.health.ready
        assert store.turns[0][1] - before >= PATIENCE_SECONDS - 3 * INTERVAL_SECONDS
        store.does = answer
        assert await store.next_turn() is True
        assert store.health.ready
    assert [ready for ready, _ in store.turns] == [False, True]
    said = [record.getMessage() for record in caplog.records]
    assert said.count("not ready") == said.count("ready again") == 1


async def test_a_short_outage_turns_nothing_and_its_cause_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    for _ in range(650):
        store.health.failed("database or disk is full (SQLITE_FULL)")
    async with asked(store):
        await store.asked_again()
        async with asyncio.timeout(BOUND_SECONDS):
            while len(caplog.records) < 2:
                await store.asked.acquire()
    assert store.turns == []
    lines = [(one.levelname, one.getMessage(), one.__dict__.get("error")) for one in caplog.records]
    assert lines == [
        ("ERROR", "the store fails", "database or disk is full (SQLITE_FULL)"),
        ("INFO", "the store answers again", None),
    ]
