"""The rate budget, on a clock that only the test moves."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest

from application.mirror.stripe import Priority
from domain.errors import RateLimited, Reason
from infrastructure.stripe.core.budget import MAX_PAUSE_SECONDS, Handle, RateBudget


class Timeout:
    """A callback that waits for its time."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualTimer:
    """A timer whose time stands still between calls of `advance`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = count()
        self._due: list[tuple[float, int, Timeout]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Handle:
        timeout = Timeout(lambda: callback(*args))
        heapq.heappush(self._due, (self._now + delay, next(self._order), timeout))
        return timeout

    def stall(self, seconds: float) -> None:
        """Move on without calling back, as a busy event loop does."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Move on, calling back at the times asked for and letting tasks run after each."""
        end = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= end:
            self._now, _, timeout = heapq.heappop(self._due)
            if timeout.callback is not None:
                timeout.callback()
            await settle()
        self._now = end


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class Scene:
    """A budget of ten a second on a manual timer, and the tasks that take from it."""

    def __init__(self, **settings: Any) -> None:
        self.timer = ManualTimer()
        self.budget = RateBudget(10, timer=lambda: self.timer, **settings)
        self.served: list[tuple[str, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(
        self,
        name: str,
        priority: Priority = Priority.CALLER,
        *,
        account: str = "acct_1",
        patience: float = 100.0,
    ) -> asyncio.Task[None]:
        async def take() -> None:
            await self.budget.take(account, priority, patience_seconds=patience)
            self.served.append((name, round(self.timer.time(), 6)))

        task = asyncio.get_running_loop().create_task(take())
        self.tasks.append(task)
        return task

    async def drain(self, account: str = "acct_1") -> None:
        """Use up the burst."""
        for _ in range(2):
            await self.budget.take(account, Priority.CALLER, patience_seconds=0)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    for task in scene.tasks:
        task.cancel()
    await asyncio.gather(*scene.tasks, return_exceptions=True)


async def test_a_burst_goes_at_once_and_then_the_rate_holds(scene: Scene) -> None:
    for number in range(6):
        scene.ask(str(number))
    await scene.timer.advance(0.35)
    assert scene.served == [("0", 0), ("1", 0), ("2", 0.1), ("3", 0.2), ("4", 0.3)]


async def test_urgent_ones_go_first_and_equals_in_order_of_arrival(scene: Scene) -> None:
    await scene.drain()
    for priority in reversed(Priority):
        scene.ask(f"{priority.name} 1", priority)
        scene.ask(f"{priority.name} 2", priority)
        await settle()
    await scene.timer.advance(10)
    assert [name for name, _ in scene.served] == [
        f"{priority.name} {number}" for priority in Priority for number in (1, 2)
    ]


async def test_a_latecomer_of_higher_priority_overtakes(scene: Scene) -> None:
    await scene.drain()
    for number in range(3):
        scene.ask(f"backfill {number}", Priority.BACKFILL)
    await scene.timer.advance(0.15)
    scene.ask("caller")
    await scene.timer.advance(0.1)
    assert scene.served == [("backfill 0", 0.1), ("caller", 0.2)]


async def test_a_late_timer_lets_nobody_jump_the_queue(scene: Scene) -> None:
    await scene.drain()
    scene.ask("first")
    await settle()
    scene.timer.stall(0.15)
    scene.ask("second")
    await settle()
    assert scene.served == [("first", 0.15)]


async def test_accounts_do_not_wait_for_each_other(scene: Scene) -> None:
    await scene.drain()
    scene.ask("first")
    scene.ask("other", account="acct_2")
    await settle()
    assert scene.served == [("other", 0)]


async def test_patience_that_cannot_suffice_is_refused_at_once(scene: Scene) -> None:
    await scene.drain()
    with pytest.raises(RateLimited) as caught:
        await scene.budget.take("acct_1", Priority.CALLER, patience_seconds=0.05)
    assert caught.value.reason is Reason.STRIPE_RATE_LIMITED
    assert caught.value.retry_after_seconds == 1


async def test_patience_ends_behind_more_urgent_ones(scene: Scene) -> None:
    await scene.drain()
    backfill = scene.ask("backfill", Priority.BACKFILL, patience=0.25)
    for number in range(5):
        scene.ask(str(number))
    await scene.timer.advance(0.3)
    assert isinstance(backfill.exception(), RateLimited)
    await scene.timer.advance(0.2)
    assert [name for name, _ in scene.served] == ["0", "1", "2", "3", "4"]


async def test_a_pause_stops_that_account_alone(scene: Scene) -> None:
    scene.budget.pause("acct_1", 3)
    scene.ask("paused")
    scene.ask("other", account="acct_2")
    await scene.timer.advance(2.99)
    assert scene.served == [("other", 0)]
    await scene.timer.advance(0.02)
    assert scene.served == [("other", 0), ("paused", 3)]


async def test_a_pause_reaches_those_who_wait_already(scene: Scene) -> None:
    await scene.drain()
    scene.ask("waiting")
    await settle()
    scene.budget.pause("acct_1", 2)
    await scene.timer.advance(1.9)
    assert scene.served == []
    await scene.timer.advance(0.2)
    assert scene.served == [("waiting", 2)]


async def test_a_shorter_pause_does_not_shorten_a_longer_one(scene: Scene) -> None:
    scene.budget.pause("acct_1", 5)
    scene.budget.pause("acct_1", 1)
    scene.ask("paused")
    await scene.timer.advance(4.9)
    assert scene.served == []


async def test_a_pause_is_bounded(scene: Scene) -> None:
    scene.budget.pause("acct_1", 1e9)
    scene.ask("paused")
    await scene.timer.advance(MAX_PAUSE_SECONDS + 0.1)
    assert scene.served == [("paused", MAX_PAUSE_SECONDS)]


async def test_a_refusal_tells_when_a_pause_ends(scene: Scene) -> None:
    scene.budget.pause("acct_1", 7)
    with pytest.raises(RateLimited) as caught:
        await scene.budget.take("acct_1", Priority.CALLER, patience_seconds=1)
    assert caught.value.retry_after_seconds == 7


async def test_who_gives_up_takes_no_token(scene: Scene) -> None:
    await scene.drain()
    leaver = scene.ask("leaver")
    scene.ask("stayer")
    await settle()
    leaver.cancel()
    await scene.timer.advance(0.15)
    assert scene.served == [("stayer", 0.1)]


async def test_waiters_are_bounded_by_priority() -> None:
    scene = Scene(max_waiters=2)
    await scene.drain()
    waiting = [scene.ask(str(number), Priority.BACKFILL) for number in range(2)]
    await settle()
    with pytest.raises(RateLimited):
        await scene.budget.take("acct_1", Priority.BACKFILL, patience_seconds=100)
    scene.ask("caller")
    await scene.timer.advance(1)
    assert [name for name, _ in scene.served] == ["caller", "0", "1"]
    await asyncio.gather(*waiting)


async def test_accounts_are_bounded_and_idle_ones_make_room() -> None:
    scene = Scene(max_accounts=2)
    await scene.budget.take("acct_1", Priority.CALLER, patience_seconds=0)
    await scene.budget.take("acct_2", Priority.CALLER, patience_seconds=0)
    with pytest.raises(RateLimited):
        await scene.budget.take("acct_3", Priority.CALLER, patience_seconds=0)
    await scene.timer.advance(0.2)
    await scene.budget.take("acct_3", Priority.CALLER, patience_seconds=0)


def test_a_rate_is_positive() -> None:
    with pytest.raises(ValueError, match="requests_per_second"):
        RateBudget(0)
