"""What is closed: never too much, never back, and nobody is told before writers are."""

import datetime as dt
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.events.inbox import EventState, ReceivedEvent
from application.upkeep import backfill, catch_up
from application.upkeep.closing import AnnouncedClosings, ClosingState
from domain.errors import Conflict
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON, no_pause, store_down
from tests.support.rooms.closing import ACCOUNT, NOBODY, SOURCE, Kept

HOUR: Final = dt.timedelta(hours=1)
MINUTE: Final = dt.timedelta(minutes=1)


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_nothing_is_closed_before_the_first_import_has_ended(kept: Kept) -> None:
    await kept.come_to(NOON, NOON)
    await kept.save(backfill.TASK, started_ms=1)
    assert await kept.settle() is None
    told = await kept.told()
    assert (told.importing, told.imported_at, told.data_through) == (True, None, NOON)
    await kept.imported()
    now = kept.clock.now()
    assert await kept.settle() == NOON - HOUR
    assert (await kept.told()).imported_at == now
    await kept.save(backfill.TASK, started_ms=3)
    assert not (await kept.told()).importing, "a later one is not the first"


@pytest.mark.parametrize(
    ("data_through", "transactions", "closed"),
    [
        (NOON, NOON + 5 * HOUR, NOON),
        (NOON + 59 * MINUTE, NOON + 5 * HOUR, NOON),
        (NOON + 5 * HOUR, NOON + HOUR, NOON),
        (NOON + 5 * HOUR, NOON + HOUR - MINUTE, NOON - HOUR),
    ],
)
async def test_the_hour_below_the_least_is_closed(
    kept: Kept, data_through: dt.datetime, transactions: dt.datetime, closed: dt.datetime
) -> None:
    await kept.imported()
    await kept.come_to(data_through, transactions)
    assert await kept.settle() == closed


async def test_a_pending_event_holds_it_and_a_dead_one_does_not(kept: Kept) -> None:
    await kept.imported()
    await kept.come_to(NOON, NOON + HOUR)
    for id_, hours, state in (("evt_1", 3, EventState.PENDING), ("evt_2", 9, EventState.DEAD)):
        created = to_milliseconds(NOON - hours * HOUR - MINUTE)
        kept.events.add(ReceivedEvent(id_, ACCOUNT, "t", "", created, "", "", b"", NOON, state))
    assert await kept.settle() == NOON - 4 * HOUR
    assert (await kept.told()).dead_letters == 1
    del kept.events.records["evt_1"]
    assert await kept.settle() == NOON


async def test_writers_hear_of_it_a_minute_before_anybody_is_told(kept: Kept) -> None:
    await kept.imported()
    await kept.come_to(NOON, NOON + HOUR)
    writers = AnnouncedClosings(kept.checkpoints)
    assert await writers.closing(ACCOUNT) is None
    await kept.closing.close(SOURCE)
    assert await writers.closing(ACCOUNT) == to_milliseconds(NOON)
    assert (await kept.told()).closed_through is None
    kept.clock.advance(seconds=59)
    await kept.closing.close(SOURCE)
    assert (await kept.told()).closed_through is None
    kept.clock.advance(seconds=1)
    await kept.closing.close(SOURCE)
    assert (await kept.told()).closed_through == NOON


async def test_it_never_goes_back(kept: Kept) -> None:
    await kept.imported()
    await kept.come_to(NOON, NOON + HOUR)
    assert await kept.settle() == NOON
    await kept.come_to(NOON - 9 * HOUR, NOON)
    assert await kept.settle() == NOON
    await kept.save(catch_up.TASK)
    assert await kept.settle() == NOON, "a watermark that is lost tells nothing"
    await kept.come_to(kept.clock.now() + 2 * HOUR, kept.clock.now() + 2 * HOUR)
    assert await kept.settle() == NOON, "nor one that is ahead of the clock"


_LOOKS = st.tuples(st.integers(-100_000, 200_000), st.none() | st.integers(0, 50))


@given(st.lists(_LOOKS, max_size=20))
def test_whatever_comes_neither_goes_back(looks: list[tuple[int, int | None]]) -> None:
    state, now = ClosingState(imported=0), 0
    for passed, candidate in looks:
        now += passed
        moved = state.moved(now, candidate)
        assert moved.announced >= state.announced
        assert moved.through >= state.through
        assert moved.through <= moved.announced
        assert moved.through in (state.through, state.announced), "only what was announced is told"
        state = moved


async def test_an_accounts_failures_are_its_own(kept: Kept) -> None:
    await kept.imported()
    await kept.come_to(NOON, NOON + HOUR)

    async def conflict(where: str) -> None:
        if where == "checkpoints.save":
            raise Conflict(NOBODY, "another process")

    kept.checkpoints.pause = conflict
    await kept.closing.close_all()

    async def down(_: str) -> None:
        raise store_down()

    kept.checkpoints.pause = down
    await kept.closing.close_all()
    kept.checkpoints.pause = no_pause
    assert await kept.settle() == NOON
