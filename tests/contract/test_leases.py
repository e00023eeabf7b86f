"""Leases: on every store, one at a time has one, and a crash hands none on before its end."""

import asyncio
import datetime as dt
from typing import Final

from application.background.leases import KEPT, LEASE, Leases
from tests.contract.samples import OURS, THEIRS
from tests.support.fakes.stores import FakeClock
from tests.support.servers.stores import Opener, Stores

MOMENT: Final = dt.timedelta(milliseconds=1)


async def test_one_owner_at_a_time(stores: Stores) -> None:
    leases = Leases(stores.checkpoints, FakeClock())
    assert await leases.take(OURS, "ada", "one")
    assert await leases.take(OURS, "ada", "one"), "again under the same owner"
    assert not await leases.take(OURS, "ada", "two")
    await leases.release(OURS, "ada", "two")
    assert not await leases.take(OURS, "ada", "two"), "nobody gives back what is another's"
    await leases.release(OURS, "ada", "one")
    await leases.release(OURS, "ada", "one")
    assert await leases.take(OURS, "ada", "two")


async def test_names_and_accounts_are_apart(stores: Stores) -> None:
    leases = Leases(stores.checkpoints, FakeClock())
    for account, name in ((OURS, "ada"), (OURS, "zoe"), (THEIRS, "ada")):
        assert await leases.take(account, name, name + account)
    assert await stores.checkpoints.of(OURS) == [], "they are no long work"


async def test_a_lease_ends(stores: Stores) -> None:
    clock = FakeClock()
    leases = Leases(stores.checkpoints, clock)
    await leases.take(OURS, "ada", "one")
    clock.instant += LEASE - MOMENT
    assert not await leases.take(OURS, "ada", "two")
    clock.instant += MOMENT
    assert await leases.take(OURS, "ada", "two")
    assert not await leases.take(OURS, "ada", "one")
    await leases.release(OURS, "ada", "one")
    assert not await leases.take(OURS, "ada", "three")


async def test_a_lease_by_a_clock_that_was_ahead_ends_once_that_is_set_right(
    stores: Stores,
) -> None:
    clock = FakeClock()
    leases = Leases(stores.checkpoints, clock)
    await leases.take(OURS, "ada", "one")
    clock.instant -= dt.timedelta(minutes=5)
    assert not await leases.take(OURS, "ada", "two"), "a process whose clock is a little behind"
    clock.instant -= MOMENT
    assert await leases.take(OURS, "ada", "two")
    assert not await leases.take(OURS, "ada", "one")


async def test_rows_of_leases_do_not_pile_up(stores: Stores) -> None:
    clock = FakeClock()
    leases = Leases(stores.checkpoints, clock)
    space = f"{OURS}/leases"
    for number in range(8):
        await leases.take(OURS, f"old-{number}", "one")
        await leases.release(OURS, f"old-{number}", "one")
    assert len(await stores.checkpoints.of(space)) == 8
    clock.instant += KEPT / 2
    await leases.take(OURS, "young", "one")
    clock.instant += KEPT / 2 + MOMENT
    for name, kept in (("new-1", 5), ("new-2", 3), ("new-3", 4)):
        assert await leases.take(OURS, name, "two")
        assert len(await stores.checkpoints.of(space)) == kept
    assert await leases.take(OURS, "old-0", "three"), "one that was removed is made anew"


async def test_of_many_at_once_over_two_processes_one_has_it(opener: Opener) -> None:
    clock = FakeClock()
    async with opener() as first, opener() as second:
        desks = [Leases(stores.checkpoints, clock) for stores in (first, second)]
        for round_ in range(3):
            taken = await asyncio.gather(
                *(desks[n % 2].take(OURS, "ada", f"{round_}-{n}") for n in range(20))
            )
            assert sum(taken) == 1
            await desks[0].release(OURS, "ada", f"{round_}-{taken.index(True)}")
