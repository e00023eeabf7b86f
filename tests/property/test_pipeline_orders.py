"""The whole pipeline ends equal to Stripe in whatever order a history is delivered.

The events are the emulator's, translated by the real reader; projector, enrichment and effects run
over in-memory stores; what has to be read again is read from the emulator, through the real SDK.
Mirror, derived halves, billing events, messages and subscription histories are compared with what
Stripe shows and with the facts of the history.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import permutations
from pprint import pformat
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.property.histories import PLOTS, History, Plot, lived
from tests.property.replays import Delivery, Order, new_replay
from tests.property.seed import EFFORT, FIGURES, SEED
from tests.support.fakes.effects import memory_stores
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.upkeep import Flows

COPIES: Final = 3
AT_MOST: Final = 6
_EXAMPLES: Final = 40 * EFFORT

pytestmark = pytest.mark.timeout(120 * EFFORT)


class Theatre:
    """An emulator on an event loop of its own, and what was lived there.

    `delivered` and `asked` count, by plot, deliveries and the requests to Stripe that they took.
    """

    def __init__(self, runner: asyncio.Runner, stack: AsyncExitStack) -> None:
        self.delivered: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self._runner = runner
        self._stack = stack
        self._clock = MovableClock()
        self._flows: Flows | None = None
        self._histories: dict[str, History] = {}

    def history(self, name: str) -> History:
        """The history of a plot, lived once."""
        if name not in self._histories:
            self._histories[name] = self._runner.run(self._live(PLOTS[name]))
        return self._histories[name]

    def play(self, name: str, orders: Iterable[Order], chance: Random) -> None:
        """Deliver a history in each of the orders; AssertionError where one comes out wrong."""
        history = self.history(name)
        self._runner.run(self._play(name, history, orders, chance))

    async def _live(self, plot: Plot) -> History:
        flows = self._flows = self._flows or await self._opened()
        account = await flows.emulator.control.create_account()
        return await lived(replace(flows, account=account, stores=memory_stores()), plot)

    async def _opened(self) -> Flows:
        emulator = await self._stack.enter_async_context(emulator_in_process())
        sdk = await self._stack.enter_async_context(emulator.sdk())
        wanted = StripeSettings(PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001)
        api = StripeApi(wanted, RateBudget(10_000), self._clock)
        self._stack.push_async_callback(api.close)
        return Flows(emulator, sdk, api, memory_stores(), "acct_nobody", clock=self._clock)

    async def _play(
        self, name: str, history: History, orders: Iterable[Order], chance: Random
    ) -> None:
        flows = self._flows
        assert flows is not None
        control = flows.emulator.control
        before = (await control.stats()).requests
        for number, order in enumerate(orders):
            if number % 16 == 0:
                # What is read again overlaps with the history in time, or comes long after it.
                await control.set_clock(history.end + chance.choice((0, 0, 1, 2, 3, 60)))
                self._clock.set(history.end + 2)  # all that was read meanwhile was read before
            replay = new_replay(history, flows, self._clock)
            await replay.run(order)
            wrong = await replay.wrong(order)
            assert not wrong, f"seed {SEED}: delivered as {order}\n{pformat(wrong, width=100)}"
            self.delivered[name] += sum(map(len, order))
        self.asked[name] += (await control.stats()).requests - before


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        one = Theatre(runner, stack)
        try:
            yield one
        finally:
            runner.run(stack.aclose())
    shares = (f"{name} {one.asked[name] / count:.0%}" for name, count in one.delivered.items())
    FIGURES.append(f"orders: {one.delivered.total():,} deliveries; asked of Stripe again:")
    FIGURES.append(f"  {', '.join(shares)}")


@pytest.fixture(autouse=True)
def _decode_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker thread would make the order of things depend on the machine."""

    async def in_place(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", in_place)


def chance_of(what: str) -> Random:
    """The chances that a test takes, the same for the same seed."""
    return Random(f"{SEED}/{what}")  # noqa: S311 - an order of delivery, no secret


def in_batches(deliveries: Sequence[Delivery], chance: Random) -> Order:
    """Deliveries, one by one and several at once."""
    order: list[list[Delivery]] = []
    for delivery in deliveries:
        if order and chance.random() < 0.4:
            order[-1].append(delivery)
        else:
            order.append([delivery])
    return order


@pytest.mark.parametrize("name", PLOTS)
def test_every_order_of_delivery_ends_equal(theatre: Theatre, name: str) -> None:
    count, chance = theatre.history(name).deliveries, chance_of(name)
    assert 2 <= count <= AT_MOST
    orders = permutations([(number, 0) for number in range(count)])
    theatre.play(name, (in_batches(order, chance) for order in orders), chance)


def test_every_order_of_three_events_with_three_copies_ends_equal(theatre: Theatre) -> None:
    """All 1,680; of six events there are 10^11, of which the next test draws some."""
    name = "there and back"
    history, chance = theatre.history(name), chance_of("copies")
    assert len(history.events) == history.deliveries == 3
    orders = list(_orders_of_copies(dict.fromkeys(range(3), COPIES)))
    assert len(orders) == 1_680
    theatre.play(name, (in_batches(order, chance) for order in orders), chance)


def _orders_of_copies(left: dict[int, int]) -> Iterator[list[Delivery]]:
    """Every order of events that are left so often; the last copy of each is its twin."""
    if not any(left.values()):
        yield []
    for number, count in left.items():
        if count:
            for rest in _orders_of_copies({**left, number: count - 1}):
                yield [(number, COPIES - count), *rest]


@st.composite
def _some_order(draw: st.DrawFn, deliveries: int) -> Order:
    copies = [draw(st.integers(1, COPIES)) for _ in range(deliveries)]
    every = [(number, copy) for number, count in enumerate(copies) for copy in range(count)]
    order: list[list[Delivery]] = [[]]
    for delivery in draw(st.permutations(every)):
        apart = draw(st.booleans())
        if order[-1] and apart:
            order.append([])
        order[-1].append(delivery)
    return order


@pytest.mark.parametrize("name", PLOTS)
@settings(settings.get_profile("properties"), max_examples=_EXAMPLES)
@given(data=st.data())
def test_copies_in_any_order_end_equal(theatre: Theatre, name: str, data: st.DataObject) -> None:
    order = data.draw(_some_order(theatre.history(name).deliveries))
    theatre.play(name, [order], chance_of(repr(order)))
