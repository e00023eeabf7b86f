"""A wallet comes to what was asked of it: by the rules alone, on both stores, and by many at once.

BILLING_TEST_EFFORT multiplies the operations; 80 makes 100,000 of those that run at once.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from application.wallet.ports import Journal
from application.wallet.proof import prove
from domain.ledger_amounts import MILLION
from domain.ledger_commands import Command, PostHold, PostUsage
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Appended, Outcome, Refusal, Refused
from domain.wallets import Wallet
from tests.property.ledger_model import Asking, Expected, Hints, Model, came_to
from tests.property.seed import EFFORT, FIGURES, SEED
from tests.support.fakes.journal import JournalInMemory
from tests.support.rooms.ledger import Books
from tests.support.servers.stores import Opener

SPENDERS: Final = 64
OPERATIONS: Final = 1_280 * EFFORT
_WALLETS: Final = 3

Post = Callable[[Wallet, Sequence[Command]], Sequence[Outcome]]


class Wallets(RuleBasedStateMachine):
    """One wallet, which is asked for this and that, in batches of any size."""

    post: Post = staticmethod(lambda _, __: ())
    entries: Callable[[str], Sequence[Entry]] = staticmethod(lambda _: ())
    count = 0

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        type(self).count += 1
        self.wallet = Wallet(f"acme{type(self).count}", None, "usd")
        self.books = Books(self.wallet)
        self.model = Model()
        self.asking = Asking(Random(seed), self.model)  # noqa: S311 - not for secrets
        self.pending: list[tuple[Command, Expected]] = []

    @rule(count=st.integers(1, 8))
    def ask(self, count: int) -> None:
        for _ in range(count):
            asked = self.asking.any()
            self.pending.append((asked, self.model.ask(asked)))

    @rule()
    def send(self) -> None:
        if not self.pending:
            return
        commands = [asked for asked, _ in self.pending]
        outcomes = self.post(self.wallet, commands)
        assert [came_to(outcome) for outcome in outcomes] == [told for _, told in self.pending]
        assert list(outcomes) == list(self.books.post(*commands))
        self.pending.clear()

    @invariant()
    def it_comes_to_what_was_asked(self) -> None:
        if self.pending or not self.books.entries:
            return
        last = self.books.entries[-1]
        assert (last.available_after, last.held_after) == (self.model.available, self.model.held)
        assert last.carry_after == self.model.exact % MILLION
        assert sum(entry.exact for entry in self.books.entries) == self.model.exact

    def teardown(self) -> None:
        if hasattr(self, "pending"):
            self.send()
            self.it_comes_to_what_was_asked()
            assert list(self.entries(self.wallet.name)) == self.books.entries


def run(post: Post, entries: Callable[[str], Sequence[Entry]], examples: int) -> None:
    """Run the machine on a store."""
    kept = staticmethod(entries)
    machine = type("Kept", (Wallets,), {"post": staticmethod(post), "entries": kept, "count": 0})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None),
    )


def test_the_rules_alone() -> None:
    journal = JournalInMemory()

    async def entries(name: str) -> Sequence[Entry]:
        found = await prove(journal, name)
        assert found.holds, found.differences
        return journal.books[name].entries if name in journal.books else []

    run(
        lambda wallet, asked: _at_once(journal.append(wallet, asked)),
        lambda name: _at_once(entries(name)),
        40 * EFFORT,
    )


R = TypeVar("R")


def _at_once(work: Coroutine[Any, Any, R]) -> R:
    """What a coroutine gives that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: R = ended.value
        return result
    raise AssertionError("it waits")


def test_a_store_tells_what_the_rules_tell(opener: Opener) -> None:
    """Two processes, where the store has two, take turns at one wallet."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        journals = [runner.run(stack.enter_async_context(opener())).journal for _ in range(2)]
        turns = Random(SEED)  # noqa: S311 - not for secrets

        async def entries(name: str) -> Sequence[Entry]:
            found = await prove(journals[0], name)
            assert found.holds, found.differences
            listed: list[Entry] = []
            while page := await journals[1].list(name, after=len(listed), limit=1_000):
                listed += page
            return listed

        try:
            run(
                lambda wallet, asked: runner.run(turns.choice(journals).append(wallet, asked)),
                lambda name: runner.run(entries(name)),
                6 * EFFORT,
            )
        finally:
            runner.run(stack.aclose())


class Crowd:
    """Spenders that all spend at once, and what each was answered."""

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._journals = journals
        self._hints = {f"account{number}@acme": Hints() for number in range(_WALLETS)}
        self.wallets = [Wallet(f"account{number}", "acme", "usd") for number in range(_WALLETS)]
        self.answers: dict[str, list[tuple[Command, Outcome]]] = {name: [] for name in self._hints}

    async def spend(self, spender: int, operations: int) -> None:
        """Ask, wait for the answer, and so on; now and then for a few things in one call."""
        dice = Random(f"{SEED}/{spender}")  # noqa: S311 - not for secrets
        askings = {name: Asking(dice, hints, f"{spender}-") for name, hints in self._hints.items()}
        while operations > 0:
            wallet = dice.choice(self.wallets)
            asked = [askings[wallet.name].any() for _ in range(dice.choice((1, 1, 1, 1, 4)))]
            outcomes = await dice.choice(self._journals).append(wallet, asked)
            for command, outcome in zip(asked, outcomes, strict=True):
                self.answers[wallet.name].append((command, outcome))
                if isinstance(outcome, Appended):
                    self._hints[wallet.name].learn(command)
            operations -= len(asked)


@pytest.mark.timeout(3_600)
async def test_many_that_ask_at_once(opener: Opener) -> None:
    """64 spenders, two writers: the order of the journal explains all that was answered."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(opener()) for _ in range(2)]
        started = time.perf_counter()
        crowd = Crowd([stores.journal for stores in opened])
        each = OPERATIONS // SPENDERS
        await asyncio.gather(*(crowd.spend(spender, each) for spender in range(SPENDERS)))
        spent = time.perf_counter() - started
        count = 0
        for name, answers in crowd.answers.items():
            await explained(opened[0].journal, name, answers)
            count += len(answers)
        told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(_kinds(crowd).items()))
        FIGURES.append(f"ledger, {opened[0].kind}: {count:,} operations, {spent:.0f} s: {told}")


def _kinds(crowd: Crowd) -> Counter[str]:
    return Counter(
        str(came_to(outcome)) if isinstance(outcome, Refused) else type(outcome).__name__.lower()
        for answers in crowd.answers.values()
        for _, outcome in answers
    )


async def explained(
    journal: Journal, name: str, answers: Sequence[tuple[Command, Outcome]]
) -> None:
    """In the order of the journal the model comes to the same, and nothing answered is not so."""
    proof = await prove(journal, name)
    assert proof.holds, proof.differences
    appended = {
        outcome.entry.sequence: (command, outcome.entry)
        for command, outcome in answers
        if isinstance(outcome, Appended)
    }
    assert sorted(appended) == [*range(1, proof.entries + 1)], "each was answered once"
    model, by_key = Model(), {}
    for sequence in range(1, proof.entries + 1):
        command, entry = appended[sequence]
        assert entry.key == command.key
        assert model.ask(command) is Appended, (sequence, command)
        assert (entry.available_after, entry.held_after) == (model.available, model.held)
        by_key[entry.key] = entry
    assert (proof.available, proof.held) == (model.available, model.held)
    for command, outcome in answers:
        if isinstance(outcome, Refused):
            unique = isinstance(command, PostUsage | PostHold)
            assert not (unique and command.key in by_key), "refused, and there"
            reused = outcome.refusal is Refusal.KEY_REUSED
            assert not reused or command.payload_hash != by_key[command.key].payload_hash
        else:
            assert outcome.entry == by_key[command.key]
    head = await journal.head(name)
    assert head == ((by_key and appended[proof.entries][1]) or None)
