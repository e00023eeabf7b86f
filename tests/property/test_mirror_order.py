"""The mirror ends equal to Stripe, whatever the order, repetition and concurrency.

Nothing is assumed away: changes within one second, states that come back (A, B, A), deletion and
creation anew under the same id, answers that are overtaken, clocks that disagree, events and
answers from a month ahead, events that tell nothing, processes that die, leases that run out under
their holders.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from application.events.readings import Observed
from application.mirror.nouns import CUSTOMERS
from domain.mirror import Snapshot
from tests.property.seed import SEED
from tests.property.world import ACCOUNT, ID, CustomerAtStripe, Events, Service, Stage
from tests.support.fakes.stores import no_pause

NAMES = "ab"


@pytest.fixture(autouse=True)
def _decode_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker thread would make the order of things depend on the machine."""

    async def in_place(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", in_place)


# --- every order of delivery, exhaustively


def live(world: CustomerAtStripe, script: str) -> None:
    """A life: a letter is a change to that name, `x` the deletion, `|` the next second."""
    for act in script:
        match act:
            case "|":
                world.advance(1000 - world.now_ms % 1000)
            case "x":
                world.delete()
            case name:
                world.change(name)


LIVES = [
    "a|b|c|a|b|c",  # one change a second
    "abcabc",  # all within one second
    "ab|ab|ab",  # pairs, each state coming back
    "a|x|b|x|c",  # deleted and created anew, seconds apart
    "axbx",  # all of that within one second
    "ax|bcx|a",
    "aba|aab",
]


@pytest.mark.parametrize("lies", ["0", "1", "23", "024"])
@pytest.mark.parametrize("script", ["abcabc", "a|x|b|x|c", "axbx"])
async def test_every_order_of_delivery_ends_equal_whatever_is_ahead(script: str, lies: str) -> None:
    await _every_order(script, 1, frozenset(map(int, lies)))


@pytest.mark.parametrize("script", LIVES)
@pytest.mark.parametrize("copies", [1, 2, 3])
async def test_every_order_of_delivery_ends_equal(script: str, copies: int) -> None:
    await _every_order(script, copies, frozenset())


async def _every_order(script: str, copies: int, lies: frozenset[int]) -> None:
    for number, order in enumerate(_orders(script, copies)):
        world = CustomerAtStripe(lies=lies)
        live(world, script)
        service = Service(world, no_pause)
        projector = service.projector()
        for position, (one, copy) in enumerate(order):
            await service.inbox.append(world.event(one, copy))
            world.advance(5)
            if (number + position) % 3:  # one by one, and several in a batch
                await projector.project_batch()
        await service.settle()
        service.assert_right()


def _orders(script: str, copies: int) -> Iterator[Sequence[tuple[int, int]]]:
    """Every order of the events; copies come on the heels of, and long after, the first."""
    count = len(script.replace("|", ""))
    for order in permutations(range(count)):
        first = [(one, 0) for one in order]
        if copies > 1:
            first = [delivery for one in order for delivery in ((one, 0), (one, 1))]
        yield first + [(one, 2) for one in reversed(order)] if copies > 2 else first


# --- two writers, interleaved at every await, exhaustively


@pytest.mark.parametrize("script", ["ab", "a|b", "aba", "ax", "a|x|b", "axb"])
async def test_two_writers_at_once_never_lose_the_later_observation(script: str) -> None:
    """Whatever the turns of two writers of one row, it is as if one had come after the other."""
    world = CustomerAtStripe()
    live(world, script)
    observations = [*_told(world), await world.read(no_pause)]
    for one, other in permutations(observations, 2):
        serial = [await _serially(one, other), await _serially(other, one)]
        ends = [end async for end in _every_interleaving(one, other)]
        assert len(ends) >= 70  # 4 pauses each: 8 over 4
        for end in ends:
            assert end in serial


def _told(world: CustomerAtStripe) -> list[Snapshot[Any]]:
    events = Events(world, frozenset())
    readings = [events.read(world.event(number), ACCOUNT) for number in range(len(world.told))]
    return [reading.snapshot for reading in readings if isinstance(reading, Observed)]


async def _serially(*observations: Snapshot[Any]) -> Any:
    service = Service(CustomerAtStripe(), no_pause)
    verdicts = [await service.writer.observe(CUSTOMERS, [one]) for one in observations]
    return _row(service), sorted(verdict.decision for (verdict,) in verdicts)


async def _every_interleaving(*observations: Snapshot[Any]) -> Any:
    """What comes of each sequence of turns; found by trying the last choice's alternatives."""
    choices: list[int] = []
    while True:
        stage = Stage()
        service = Service(CustomerAtStripe(), stage.pause)
        verdicts: list[Any] = []

        async def write(
            one: Snapshot[Any], service: Service = service, verdicts: list[Any] = verdicts
        ) -> None:
            verdicts.extend(await service.writer.observe(CUSTOMERS, [one]))

        for one in observations:
            await stage.enter(write(one))
        taken: list[tuple[int, int]] = []
        while players := stage.players:
            choice = choices[len(taken)] if len(taken) < len(choices) else 0
            taken.append((choice, len(players)))
            await stage.go_on(players[choice])
        await stage.finish()
        yield _row(service), sorted(verdict.decision for verdict in verdicts)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        choices = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]


def _row(service: Service) -> Any:
    row = service.mirror.rows[CUSTOMERS.name, ACCOUNT, ID]
    return row.snapshot


# --- everything at once, at random

ACTS = st.sampled_from(
    "go go go go go go deliver deliver deliver repeat change change delete project project "
    "project mutate read pass pass lapse kill".split()
)
SCRIPTS = st.lists(st.tuples(ACTS, st.integers(0, 11)), min_size=5, max_size=60)


@settings(settings.get_profile("properties"))
@given(
    script=SCRIPTS,
    skew_ms=st.sampled_from([0, 700, -3_600_000]),
    date_skew_ms=st.sampled_from([0, -900, 900]),
    late_date=st.booleans(),
    hints=st.frozensets(st.integers(0, 8), max_size=3),
    lies=st.frozensets(st.integers(0, 12), max_size=6),
    last=st.randoms(use_true_random=False),
)
def test_whatever_happens_meanwhile_the_mirror_ends_equal(
    script: list[tuple[str, int]],
    skew_ms: int,
    date_skew_ms: int,
    late_date: bool,
    hints: frozenset[int],
    lies: frozenset[int],
    last: Any,
) -> None:
    world = CustomerAtStripe(
        skew_ms=skew_ms, date_skew_ms=date_skew_ms, late_date=late_date, lies=lies
    )
    asyncio.run(_play(world, script, hints, last))


async def _play(
    world: CustomerAtStripe, script: list[tuple[str, int]], hints: frozenset[int], last: Any
) -> None:
    stage = Stage()
    service = Service(world, stage.pause, hints)
    world.change(NAMES[0])
    for act, choice in script:
        await _act(stage, service, act, choice)
    await stage.finish()
    # Only those that never came: one more copy of the last event would mend what went wrong.
    late = [n for n in range(len(world.told)) if _id(n) not in service.inbox.events]
    last.shuffle(late)
    for number in late:
        await service.inbox.append(world.event(number))
    await service.settle()
    note(f"seed {SEED}; {world.told=}")
    event(f"re-reads: {min(service.objects.reads, 5)}")
    service.assert_right()


def _id(number: int) -> str:
    return f"evt_{number}_0"


async def _act(stage: Stage, service: Service, act: str, choice: int) -> None:
    world, players = service.world, stage.players
    match act:
        case "go" if players:
            await stage.go_on(players[choice % len(players)])
        case "kill" if players:
            await stage.kill(players[choice % len(players)])
        case "change":
            world.change(NAMES[choice % len(NAMES)])
        case "delete":
            world.delete()
        case "deliver":
            missing = [n for n, _ in enumerate(world.told) if _id(n) not in service.inbox.events]
            if missing:
                await service.inbox.append(world.event(missing[choice % len(missing)]))
        case "repeat":
            await service.inbox.append(world.event(choice % len(world.told), 1 + choice % 2))
        case "project" if len(players) < 4:
            await stage.enter(service.projector().project_batch())
        case "read" if len(players) < 4:
            await stage.enter(service.observe_read())
        case "mutate" if len(players) < 4:
            await stage.enter(service.observe_read(NAMES[choice % len(NAMES)]))
        case "pass":
            world.advance(2**choice)
        case "lapse":
            world.advance(61_000 if choice % 2 else 3_000)
