"""Shadows: second stores that the live one knows nothing of, until they are discarded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from application.background.checkpoints import Checkpoint
from application.mirror.nouns import CHARGES
from application.mirror.writer import MirrorWriter
from application.upkeep.shadows import MAX_NAME_CHARACTERS, Shadows
from tests.contract.samples import NOON, OURS, THEIRS, charge, snapshot
from tests.support.servers.stores import Stores

NAME = "0f3a"
OTHER = "0f3a1"
"""It begins as the first one does."""


@pytest.fixture
async def shadows(stores: Stores) -> AsyncIterator[Shadows]:
    """The shadows of a store; none is left behind."""
    yield stores.shadows
    for account in (OURS, THEIRS):
        for name in await stores.shadows.names(account):
            await stores.shadows.discard(account, name)


async def fill(shadows: Shadows, account: str, name: str, number: int = 1) -> None:
    """Let a shadow hold a row and a checkpoint."""
    async with shadows.open(account, name) as shadow:
        told = snapshot(charge(f"ch_{number}"), stripe_account=account)
        await MirrorWriter(shadow.mirror).observe(CHARGES, [told])
        await shadow.checkpoints.save(Checkpoint(account, "backfill", 0, {"n": number}), now=NOON)


async def count(shadows: Shadows, account: str, name: str) -> int:
    async with shadows.open(account, name) as shadow:
        kept = await shadow.checkpoints.load(account, "backfill")
        rows = await shadow.mirror.count(CHARGES, account)
        assert rows == kept.revision
        return rows


async def test_a_shadow_is_empty_then_as_it_was_left(shadows: Shadows) -> None:
    assert await count(shadows, OURS, NAME) == 0
    await fill(shadows, OURS, NAME)
    assert await count(shadows, OURS, NAME) == 1


async def test_the_live_store_and_a_shadow_do_not_see_each_other(
    shadows: Shadows, stores: Stores
) -> None:
    await MirrorWriter(stores.mirror).observe(CHARGES, [snapshot(charge("ch_live"))])
    async with shadows.open(OURS, NAME) as shadow:
        assert await shadow.mirror.fetch(CHARGES, OURS, ["ch_live"]) == {}
    await fill(shadows, OURS, NAME)
    assert await stores.mirror.fetch(CHARGES, OURS, ["ch_1"]) == {}
    assert await stores.checkpoints.of(OURS) == []


async def test_shadows_are_apart_by_account_and_by_name(shadows: Shadows) -> None:
    async with AsyncExitStack() as stack:
        places = [(OURS, NAME), (OURS, OTHER), (THEIRS, NAME)]
        opened = [await stack.enter_async_context(shadows.open(*place)) for place in places]
        told = snapshot(charge("ch_1"), stripe_account=OURS)
        await MirrorWriter(opened[0].mirror).observe(CHARGES, [told])
        counts = [await one.mirror.count(CHARGES, OURS) for one in opened]
    assert counts == [1, 0, 0]


async def test_their_names_are_told_by_account(shadows: Shadows) -> None:
    assert await shadows.names(OURS) == []
    for account, name in ((OURS, OTHER), (OURS, NAME), (THEIRS, "1")):
        await fill(shadows, account, name)
    assert await shadows.names(OURS) == [NAME, OTHER]
    assert await shadows.names(THEIRS) == ["1"]


async def test_a_discarded_one_is_gone_and_no_other(shadows: Shadows, stores: Stores) -> None:
    await MirrorWriter(stores.mirror).observe(CHARGES, [snapshot(charge("ch_live"))])
    for account, name in ((OURS, NAME), (OURS, OTHER), (THEIRS, NAME)):
        await fill(shadows, account, name)
    for _ in range(2):  # again is no error
        await shadows.discard(OURS, NAME)
    assert await shadows.names(OURS) == [OTHER]
    assert await shadows.names(THEIRS) == [NAME]
    assert await count(shadows, OURS, OTHER) == 1
    assert await stores.mirror.count(CHARGES, OURS) == 1
    assert await count(shadows, OURS, NAME) == 0, "and may be made anew"


async def test_the_longest_names_fit(shadows: Shadows) -> None:
    account, name = f"acct_{'a' * 64}", "f" * MAX_NAME_CHARACTERS
    await fill(shadows, account, name)
    assert await shadows.names(account) == [name]
    await shadows.discard(account, name)
    assert await shadows.names(account) == []


@pytest.mark.parametrize(
    ("account", "name"),
    [("", NAME), ("../acct_1", NAME), ("acct_1/..", NAME), ("acct_.*", NAME), (OURS, ""),
     (OURS, "0F"), (OURS, "a/b"), (OURS, "f" * (MAX_NAME_CHARACTERS + 1))],
)  # fmt: skip
async def test_what_is_no_name_is_refused(shadows: Shadows, account: str, name: str) -> None:
    with pytest.raises(ValueError, match="needed"):
        await shadows.discard(account, name)
    with pytest.raises(ValueError, match="needed"):
        async with shadows.open(account, name):
            pass
    if account != OURS:
        with pytest.raises(ValueError, match="needed"):
            await shadows.names(account)


async def test_cut_off_while_it_opens_it_leaves_nothing_open(shadows: Shadows) -> None:
    async def use() -> None:
        async with shadows.open(OURS, NAME):
            await asyncio.Event().wait()

    for turns in range(6):
        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await shadows.discard(OURS, NAME)
        assert await shadows.names(OURS) == [], "nobody makes it again behind our back"
