"""The rule alone, against tens of thousands of short lives: `resolve` never loses the last state.

Nothing runs here but the rule, so that a search finds what takes several coincidences at once: a
state that comes back within the second, an answer that is overtaken, an event that arrives between,
an update that does not tell what it followed, a Stripe whose time is ahead of ours.
"""

import random
from collections.abc import Callable
from typing import Final

import pytest

from domain.customers import Customer
from domain.mirror import Decision, Snapshot, Version, resolve
from domain.periods import from_milliseconds
from tests.property.seed import SEED

LIVES: Final = 10_000
PARTS: Final = 4
"""Tests that share them out, so that none takes long."""

_START: Final = 1_800_000_000_000
_PAUSES_MS: Final = (1, 1, 120, 400, 1_100)
_AT_ONCE: Final = 3
_LIES_MS: Final = (3_600_000, 30 * 86_400_000)
"""How far ahead Stripe's time lies: a wrong header's, a test clock's. No life is that long."""

Act = Callable[[], None]


class Read:
    """A request under way: for an event that could not be settled, or for its own sake (None).

    `seen` is the state, once it was looked up, and Stripe's time of that.
    """

    def __init__(self, sent_ms: int, event: int | None) -> None:
        self.sent_ms = sent_ms
        self.event = event
        self.seen: tuple[Customer | None, int] | None = None


class Life:
    """A customer at Stripe, and what a service makes of the events and answers that reach it."""

    def __init__(self, seed: str) -> None:
        self.diary: list[str] = []
        self._chance = random.Random(seed)  # noqa: S311 - a history, no secret
        self._skew_ms = self._chance.choice((0, 0, 650, -7_200_000))
        self._lies = self._chance.choice((0, 0, 0.2, 0.8))  # how often Stripe's time lies
        self._untold = self._chance.choice((0, 0.3))
        self._now_ms = _START
        self._state: Customer | None = None
        self._row: Snapshot[Customer] | None = None
        self._told: list[tuple[int, Customer | None, tuple[Customer | None, ...]]] = []
        self._missing: list[int] = []
        self._received_ms: dict[int, int] = {}
        self._unsettled: list[int] = []
        self._reads: list[Read] = []

    def comes_out_right(self) -> bool:
        """Live: some acts, then the end, when all that is due comes, in any order."""
        self._change()
        for _ in range(self._chance.randrange(4, 18)):
            self._chance.choice(self._due() * 2 + self._acts())()
        while due := self._due():
            self._chance.choice(due)()
            self._now_ms += 700
        return self._row is not None and self._row.object == self._state

    def _acts(self) -> list[Act]:
        repeat = [self._repeat] if self._received_ms else []
        send = [self._send] if len(self._reads) < _AT_ONCE else []
        return [self._change, self._change, self._delete, self._pause, *repeat, *send]

    def _due(self) -> list[Act]:
        receive = [self._receive] if self._missing else []
        retry = [self._retry] if self._unsettled and len(self._reads) < _AT_ONCE else []
        go_on = [self._go_on] if self._reads else []
        return [*receive, *retry, *go_on]

    def _change(self) -> None:
        created = self._state.created if self._state else from_milliseconds(self._second())
        self._happens(Customer("cus_1", created, name=self._chance.choice("abc")))

    def _delete(self) -> None:
        if self._state is not None:
            self._happens(None)

    def _happens(self, state: Customer | None) -> None:
        befores = self._befores(state)
        self._state = state
        self._missing.append(len(self._told))
        self._told.append((self._second(), state, befores))
        self._write(f"event {len(self._told) - 1}: {state and state.name}")
        self._now_ms += 1

    def _pause(self) -> None:
        self._now_ms += self._chance.choice(_PAUSES_MS)

    def _receive(self) -> None:
        number = self._missing.pop(self._chance.randrange(len(self._missing)))
        self._received_ms[number] = self._our_ms()
        self._decide(number)

    def _repeat(self) -> None:
        self._decide(self._chance.choice(list(self._received_ms)))

    def _decide(self, number: int) -> None:
        created, state, befores = self._told[number]
        version = Version.of_event(created, known_at_ms=self._received_ms[number])
        verdict = self._observe(version, state, befores)
        self._write(f"event {number} is decided: {verdict}")
        if verdict is Decision.REREAD:
            self._unsettled.append(number)

    def _send(self, event: int | None = None) -> None:
        self._reads.append(Read(self._our_ms(), event))
        self._write(f"a read is sent, for {event}")

    def _retry(self) -> None:
        self._send(self._unsettled.pop())

    def _go_on(self) -> None:
        """A read is looked up or, if it was, answered and observed."""
        read = self._chance.choice(self._reads)
        if read.seen is None:
            self._now_ms += self._chance.choice((0, 1, 30))
            read.seen = (self._state, self._now_ms)
            self._write(f"a read, for {read.event}, sees {self._state and self._state.name}")
            return
        self._now_ms += self._chance.choice((0, 1, 30))
        self._reads.remove(read)
        state, seen_ms = read.seen
        date_ms = self._chance.choice((seen_ms, self._now_ms)) + self._chance.choice((0, 900, -900))
        version = Version.of_read(
            date_ms=date_ms // 1000 * 1000 + self._lie_ms(),
            duration_ms=self._our_ms() - read.sent_ms + 1,
            sent_at_ms=read.sent_ms,
            not_before_ms=None if read.event is None else self._told[read.event][0],
        )
        verdict = self._observe(version, state)
        self._write(f"the answer, for {read.event}, is decided: {verdict}")
        if verdict is Decision.REREAD and read.event is not None:
            self._unsettled.append(read.event)

    def _befores(self, after: Customer | None) -> tuple[Customer | None, ...]:
        """What an update tells of the state before it; creations and deletions tell nothing."""
        if after is None or self._state is None:
            return ()
        return (None if self._chance.random() < self._untold else self._state,)

    def _lie_ms(self) -> int:
        return self._chance.choice(_LIES_MS) if self._chance.random() < self._lies else 0

    def _observe(
        self, version: Version, state: Customer | None, befores: tuple[Customer | None, ...] = ()
    ) -> Decision:
        told = Snapshot("acct_1", "cus_1", version, state, befores=befores)
        verdict, change = resolve(self._row, told)
        self._row = change or self._row
        return verdict.decision

    def _our_ms(self) -> int:
        return self._now_ms + self._skew_ms

    def _second(self) -> int:
        """Stripe's time of what happens now, if it does not lie."""
        return self._now_ms // 1000 * 1000 + self._lie_ms()

    def _write(self, entry: str) -> None:
        self.diary.append(f"{self._now_ms - _START:6} ms  {entry}")


@pytest.mark.parametrize("part", range(PARTS))
def test_the_last_state_stands_in_the_end(part: int) -> None:
    for number in range(LIVES):
        seed = f"{SEED}/{part}/{number}"
        life = Life(seed)
        assert life.comes_out_right(), "\n".join([f"life {seed}", *life.diary])
