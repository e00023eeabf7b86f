"""What `application.events.event_log` promises of events that are given another chance."""

import asyncio

import pytest

from application.events.event_log import EventFilter
from application.events.inbox import EventState, Settled
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_event_log import (
    LATER,
    LEASE,
    become,
    hold,
    kill,
    listed,
    receive,
    settle,
    told,
)
from tests.support.servers.stores import Opener, Stores

ALL = EventFilter()
MOST_ROUNDS = 100


async def test_a_dead_event_is_claimed_again_and_can_be_settled(stores: Stores) -> None:
    await receive(stores, told("evt_1"))
    await hold(stores)
    await settle(stores, Settled("evt_1", EventState.PENDING, "waits", "broke", LATER))
    await hold(stores)
    await kill(stores, "evt_1")
    assert await hold(stores, now=LATER + 10 * LEASE) == []
    assert await stores.event_log.retry(["evt_1"], now=LATER) == 1
    retried = await become(stores, "evt_1")
    assert (retried.state, retried.attempts, retried.error) == (EventState.PENDING, 0, "broke")
    assert retried.due_at == LATER
    assert await stores.inbox.backlog() == 1
    (claimed,) = await stores.inbox.claim("two", now=LATER, lease=LEASE, limit=9, max_bytes=99)
    assert (claimed.event.id, claimed.attempts) == ("evt_1", 0)
    await settle(stores, Settled("evt_1", EventState.PROCESSED, "applied"), owner="two")
    done = await become(stores, "evt_1")
    assert (done.state, done.error) == (EventState.PROCESSED, "")


async def test_an_event_that_waits_is_due_at_once_with_attempts_anew(stores: Stores) -> None:
    await receive(stores, told("evt_1"))
    await hold(stores)
    waits = Settled("evt_1", EventState.PENDING, "waits", "broke", LATER + 600 * SECOND)
    await settle(stores, waits)
    assert await hold(stores) == []
    assert await stores.event_log.retry(["evt_1"], now=LATER) == 1
    retried = await become(stores, "evt_1")
    assert (retried.attempts, retried.error, retried.due_at) == (0, "broke", LATER)
    assert await hold(stores) == ["evt_1"]


async def test_attempts_start_anew_also_where_an_event_is_due_already(stores: Stores) -> None:
    await receive(stores, told("evt_1"))
    await hold(stores)
    await settle(stores, Settled("evt_1", EventState.PENDING, "waits", "broke", NOON))
    assert await stores.event_log.retry(["evt_1"], now=LATER) == 1
    assert (await become(stores, "evt_1")).attempts == 0


async def test_a_repeat_retries_nothing(stores: Stores) -> None:
    await receive(stores, told("evt_1"), told("evt_2"), told("evt_3"))
    await hold(stores)
    await kill(stores, "evt_1")
    waits = Settled("evt_2", EventState.PENDING, "waits", "broke", LATER + 600 * SECOND)
    await settle(stores, waits, Settled("evt_3", EventState.PENDING, "waits", "broke", NOON))
    ids = ["evt_1", "evt_2", "evt_3"]
    assert await stores.event_log.retry([*ids, *ids], now=LATER) == 3
    before = [await become(stores, id_) for id_ in ids]
    assert await stores.event_log.retry(ids, now=LATER) == 0
    assert await stores.event_log.retry(ids, now=LATER + SECOND) == 0
    assert [await become(stores, id_) for id_ in ids] == before


async def test_what_is_held_done_fresh_or_unknown_is_left_alone(stores: Stores) -> None:
    await receive(
        stores,
        *(told(f"evt_{number}", number) for number in range(4)),
        told("evt_mode", state=EventState.IGNORED),
    )
    await hold(stores)
    await settle(
        stores,
        Settled("evt_0", EventState.PROCESSED, "applied"),
        Settled("evt_1", EventState.IGNORED, "not mirrored"),
        Settled("evt_2", EventState.PENDING, "waits", "broke", LATER),
    )
    await hold(stores)  # evt_2 again, with an attempt behind it; evt_3 is held still
    await receive(stores, told("evt_fresh"))
    ids = ["evt_0", "evt_1", "evt_2", "evt_3", "evt_mode", "evt_fresh"]
    before = [await become(stores, id_) for id_ in ids]
    assert await stores.event_log.retry([*ids, "evt_unknown"], now=LATER) == 0
    assert await stores.event_log.retry_dead(ALL, now=LATER, limit=9) == 0
    assert [await become(stores, id_) for id_ in ids] == before
    await settle(
        stores, *(Settled(id_, EventState.PROCESSED, "applied") for id_ in ("evt_2", "evt_3"))
    )
    assert await stores.event_log.retry([], now=LATER) == 0


async def test_whoever_holds_an_event_beyond_its_lease_may_still_settle_it(stores: Stores) -> None:
    await receive(stores, told("evt_1"))
    await hold(stores)
    await settle(stores, Settled("evt_1", EventState.PENDING, "waits", "broke", LATER))
    await hold(stores)
    assert await stores.event_log.retry(["evt_1"], now=LATER + LEASE) == 1, "nobody's by now"
    await settle(stores, Settled("evt_1", EventState.PROCESSED, "applied"))
    assert await hold(stores, now=LATER + 10 * LEASE) == []


async def test_the_dead_are_retried_first_received_first_until_there_is_none(
    stores: Stores,
) -> None:
    ids = [f"evt_{number}" for number in range(5)]
    await receive(stores, *(told(id_, 5 - number) for number, id_ in enumerate(ids)))
    await receive(stores, told("evt_done"), told("evt_waits"))
    await hold(stores)
    await kill(stores, *ids)
    waits = Settled("evt_waits", EventState.PENDING, "waits", "broke", LATER + 600 * SECOND)
    await settle(stores, Settled("evt_done", EventState.PROCESSED, "applied"), waits)
    log = stores.event_log
    assert await log.retry_dead(ALL, now=LATER, limit=2) == 2
    assert await listed(log, EventFilter(state=EventState.DEAD)) == ["evt_0", "evt_1", "evt_2"]
    assert [await log.retry_dead(ALL, now=LATER, limit=2) for _ in range(3)] == [2, 1, 0]
    retried = [await become(stores, id_) for id_ in ids]
    assert {(one.attempts, one.error, one.due_at) for one in retried} == {(0, "broke", LATER)}
    assert sorted(await hold(stores)) == ids, "the one that waits is left alone"
    assert (await become(stores, "evt_done")).state is EventState.PROCESSED


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (ALL, ["evt_a", "evt_b", "evt_c", "evt_t"]),
        (EventFilter(state=EventState.PROCESSED), ["evt_a", "evt_b", "evt_c", "evt_t"]),
        (EventFilter(stripe_account=THEIRS), ["evt_t"]),
        (EventFilter(type="invoice.paid"), ["evt_b"]),
        (EventFilter(stripe_account=OURS, object_id="ch_2"), ["evt_c"]),
        (EventFilter(stripe_account=THEIRS, object_id="ch_2"), []),
        (EventFilter(received_from=NOON + SECOND), ["evt_c", "evt_t"]),
        (EventFilter(received_until=NOON + SECOND), ["evt_a", "evt_b"]),
    ],
)
async def test_only_the_dead_that_match_are_retried(
    stores: Stores, where: EventFilter, wanted: list[str]
) -> None:
    await receive(
        stores,
        told("evt_a", 0),
        told("evt_b", 1, type_="invoice.paid"),
        told("evt_c", 1_000, about="ch_2"),
        told("evt_t", 2_000, account=THEIRS),
    )
    await kill(stores, *await hold(stores))
    assert await stores.event_log.retry_dead(where, now=LATER, limit=9) == len(wanted)
    assert sorted(await hold(stores)) == wanted


async def test_retries_at_once_never_take_what_is_being_settled(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        ids = [f"evt_{number:02}" for number in range(40)]
        await receive(first, *(told(id_) for id_ in ids))
        assert sorted(await hold(first)) == ids
        settled, retried, _ = await asyncio.gather(
            asyncio.gather(
                *(
                    first.inbox.settle("one", [Settled(id_, EventState.PROCESSED, "applied")])
                    for id_ in ids
                )
            ),
            asyncio.gather(*(second.event_log.retry([id_], now=LATER) for id_ in ids)),
            second.event_log.retry_dead(ALL, now=LATER, limit=1_000),
        )
        assert (sum(settled), sum(retried)) == (40, 0)
        assert await hold(second, now=LATER + 10 * LEASE) == []


async def test_an_event_that_dies_while_others_are_retried_is_dead_or_due(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        ids = [f"evt_{number:02}" for number in range(40)]
        await receive(first, *(told(id_) for id_ in ids))
        assert sorted(await hold(first)) == ids
        deaths = asyncio.gather(
            *(first.inbox.settle("one", [Settled(id_, EventState.DEAD, "dead")]) for id_ in ids)
        )
        retried = 0
        for _ in range(MOST_ROUNDS):
            over = deaths.done()
            count = await second.event_log.retry_dead(ALL, now=LATER, limit=7)
            retried += count
            if over and not count:
                break
        assert sum(await deaths) == retried == 40
        assert sorted(await hold(second)) == ids


async def test_of_operators_at_once_each_dead_event_counts_for_one(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        ids = [f"evt_{number:02}" for number in range(40)]
        await receive(first, *(told(id_) for id_ in ids))
        await kill(first, *await hold(first))
        logs = (first.event_log, second.event_log)
        retried = await asyncio.gather(
            *(log.retry_dead(ALL, now=LATER, limit=30) for log in logs),
            *(log.retry(ids[10:], now=LATER) for log in logs),
        )
        rest = await first.event_log.retry_dead(ALL, now=LATER, limit=1_000)
        assert sum(retried) + rest == 40
        assert sorted(await hold(first)) == ids
