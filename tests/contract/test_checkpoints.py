"""Checkpoints: of two writers that saw the same save, one is refused."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from application.background.checkpoints import Checkpoint
from domain.errors import Conflict, Reason
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.servers.stores import Opener, Stores

STATE: dict[str, Any] = {
    "place": {"before_ms": 1_900_000_000_000, "after": "cus_$1.a"},
    "done": ["charge", "customer"],
    "finished": False,
    "nothing": None,
    "customer.name": 0,
    "$odd": "é",
}


async def test_none_yet(stores: Stores) -> None:
    assert await stores.checkpoints.load(OURS, "backfill") == Checkpoint(OURS, "backfill", 0)
    assert await stores.checkpoints.of(OURS) == []


async def test_what_was_saved_is_loaded(stores: Stores) -> None:
    first = await stores.checkpoints.save(Checkpoint(OURS, "backfill", 0, STATE), now=NOON)
    assert first == Checkpoint(OURS, "backfill", 1, STATE, NOON)
    assert await stores.checkpoints.load(OURS, "backfill") == first
    later = await stores.checkpoints.save(replace(first, state={"b": 2}), now=NOON + SECOND)
    assert later == Checkpoint(OURS, "backfill", 2, {"b": 2}, NOON + SECOND)
    assert await stores.checkpoints.load(OURS, "backfill") == later, "the state is replaced whole"


async def test_a_state_stays_json(stores: Stores) -> None:
    await stores.checkpoints.save(Checkpoint(OURS, "backfill", 0, STATE), now=NOON)
    loaded = await stores.checkpoints.load(OURS, "backfill")
    assert msgspec.json.encode(loaded.state) == msgspec.json.encode(STATE)


async def test_who_has_not_seen_the_last_save_is_refused(stores: Stores) -> None:
    first = await stores.checkpoints.save(Checkpoint(OURS, "backfill", 0, {"a": 1}), now=NOON)
    second = await stores.checkpoints.save(replace(first, state={"a": 2}), now=NOON)
    for late in (Checkpoint(OURS, "backfill", 0), first, replace(second, revision=3)):
        with pytest.raises(Conflict) as refused:
            await stores.checkpoints.save(late, now=NOON)
        assert refused.value.reason is Reason.REQUEST_IN_FLIGHT
    assert await stores.checkpoints.load(OURS, "backfill") == second


async def test_old_ones_are_forgotten_the_oldest_first(stores: Stores) -> None:
    for number in range(4):
        at = NOON + number * SECOND
        await stores.checkpoints.save(Checkpoint(OURS, f"t-{number}", 0), now=at)
    await stores.checkpoints.save(Checkpoint(THEIRS, "t-0", 0), now=NOON)
    until = NOON + 3 * SECOND
    assert await stores.checkpoints.forget(OURS, before=until, limit=2) == 2
    assert [one.task for one in await stores.checkpoints.of(OURS)] == ["t-2", "t-3"]
    assert await stores.checkpoints.forget(OURS, before=until, limit=2) == 1
    assert await stores.checkpoints.forget(OURS, before=until, limit=2) == 0
    assert [one.task for one in await stores.checkpoints.of(OURS)] == ["t-3"]
    assert len(await stores.checkpoints.of(THEIRS)) == 1


@pytest.mark.parametrize("revision", [0, 1])
async def test_of_many_at_once_one_saves(stores: Stores, revision: int) -> None:
    seen = Checkpoint(OURS, "backfill", 0)
    if revision:
        seen = await stores.checkpoints.save(seen, now=NOON)
    tries = [replace(seen, state={"by": number}) for number in range(20)]
    answers = await asyncio.gather(
        *(stores.checkpoints.save(one, now=NOON) for one in tries), return_exceptions=True
    )
    won = [answer for answer in answers if isinstance(answer, Checkpoint)]
    assert len(won) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19
    assert await stores.checkpoints.load(OURS, "backfill") == won[0]


async def test_accounts_and_tasks_are_apart(stores: Stores) -> None:
    for account, task in ((OURS, "b"), (OURS, "a"), (THEIRS, "a")):
        await stores.checkpoints.save(Checkpoint(account, task, 0, {"of": account}), now=NOON)
    found = await stores.checkpoints.of(OURS)
    assert [(one.task, one.state) for one in found] == [("a", {"of": OURS}), ("b", {"of": OURS})]


async def test_they_survive_reopening(opener: Opener) -> None:
    async with opener() as stores:
        saved = await stores.checkpoints.save(Checkpoint(OURS, "backfill", 0, STATE), now=NOON)
    async with opener() as stores:
        assert await stores.checkpoints.load(OURS, "backfill") == saved


async def test_an_index_answers(stores: Stores) -> None:
    checkpoints = stores.checkpoints
    saved = await checkpoints.save(Checkpoint(OURS, "backfill", 0), now=NOON)
    await assert_ordered(stores, lambda: checkpoints.load(OURS, "backfill"))
    await assert_ordered(stores, lambda: checkpoints.of(OURS))
    await plans_or_nothing(stores, lambda: checkpoints.save(saved, now=NOON))
    await assert_ordered(stores, lambda: checkpoints.forget(OURS, before=NOON, limit=5))
