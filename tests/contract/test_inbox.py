"""The promises of `application.events.inbox`."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest

from application.events.inbox import LONGEST_PAUSE, ClaimedEvent, EventState, Inbox, Settled
from tests.contract.samples import NOON, SECOND, event
from tests.support.servers.stores import Opener, Stores

LEASE = 30 * SECOND
MANY_BYTES = 10_000_000


async def claim(
    inbox: Inbox,
    owner: str = "one",
    *,
    now: dt.datetime = NOON,
    limit: int = 100,
    max_bytes: int = MANY_BYTES,
) -> Sequence[ClaimedEvent]:
    return await inbox.claim(owner, now=now, lease=LEASE, limit=limit, max_bytes=max_bytes)


def ids(claimed: Sequence[ClaimedEvent]) -> list[str]:
    return [one.event.id for one in claimed]


def done(event_id: str = "evt_1") -> Settled:
    return Settled(event_id, EventState.PROCESSED, "applied")


def failed(event_id: str = "evt_1", *, retry_at: dt.datetime) -> Settled:
    return Settled(event_id, EventState.PENDING, "failed", "it broke", retry_at)


async def test_an_event_is_kept_byte_for_byte(stores: Stores) -> None:
    received = event(payload=bytes(range(256)) * 20)
    assert await stores.inbox.append(received) is True
    assert await stores.inbox.get("evt_1") == (received, "")
    assert [one.event for one in await claim(stores.inbox)] == [received]


async def test_an_event_that_is_dead_as_it_comes_waits_for_an_operator(stores: Stores) -> None:
    bad = replace(
        event(), type="", object_type="", object_id="", state=EventState.DEAD,
        decision="not understood", error="created: is missing",
    )  # fmt: skip
    assert await stores.inbox.append(bad) is True
    assert await stores.inbox.get("evt_1") == (replace(bad, error=""), "created: is missing")
    assert await claim(stores.inbox) == []
    assert await stores.event_log.counts(None) == {EventState.PENDING: 0, EventState.DEAD: 1}
    assert await stores.event_log.retry(["evt_1"], now=NOON) == 1
    again = replace(bad, state=EventState.PENDING, error="")
    assert [one.event.id for one in await claim(stores.inbox)] == [again.id]


async def test_an_event_that_cannot_be_kept_holds_up_no_other(stores: Stores) -> None:
    bad = replace(event("evt_2"), type="half a character: \ud800")
    events = [event("evt_1"), bad, event("evt_3")]
    kept = await asyncio.gather(*map(stores.inbox.append, events), return_exceptions=True)
    assert (kept[0], kept[2]) == (True, True)
    assert isinstance(kept[1], UnicodeEncodeError)
    assert ids(await claim(stores.inbox)) == ["evt_1", "evt_3"]


async def test_an_unknown_event_is_none(stores: Stores) -> None:
    assert await stores.inbox.get("evt_1") is None


async def test_a_repeat_writes_nothing(stores: Stores) -> None:
    await stores.inbox.append(event())
    again = event(payload=b"other", received_at=NOON + SECOND)
    assert await stores.inbox.append(again) is False
    assert await stores.inbox.get("evt_1") == (event(), "")
    assert await stores.inbox.backlog() == 1


async def test_a_repeat_of_a_processed_event_is_a_repeat(stores: Stores) -> None:
    await stores.inbox.append(event())
    await claim(stores.inbox)
    await stores.inbox.settle("one", [done()])
    assert await stores.inbox.append(event()) is False
    assert await claim(stores.inbox, now=NOON + 2 * LEASE) == []


async def test_of_a_hundred_equal_appends_at_once_one_is_new(stores: Stores) -> None:
    answers = await asyncio.gather(*(stores.inbox.append(event()) for _ in range(100)))
    assert sorted(answers) == [False] * 99 + [True]
    assert await stores.inbox.backlog() == 1


async def test_appends_at_once_are_all_kept(stores: Stores) -> None:
    answers = await asyncio.gather(
        *(stores.inbox.append(event(f"evt_{number // 2}")) for number in range(400))
    )
    assert answers.count(True) == 200
    assert await stores.inbox.backlog() == 200


async def test_an_ignored_event_is_kept_but_never_claimed(stores: Stores) -> None:
    ignored = event(state=EventState.IGNORED)
    assert await stores.inbox.append(ignored) is True
    assert await stores.inbox.get("evt_1") == (ignored, "")
    assert await claim(stores.inbox) == []
    assert await stores.inbox.backlog() == 0


async def test_claims_come_oldest_received_first(stores: Stores) -> None:
    for number, seconds in enumerate((3, 1, 2, 0)):
        await stores.inbox.append(
            event(f"evt_{number}", received_at=NOON - 10 * SECOND + seconds * SECOND)
        )
    assert ids(await claim(stores.inbox, limit=3)) == ["evt_3", "evt_1", "evt_2"]
    assert ids(await claim(stores.inbox, limit=3)) == ["evt_0"]


async def test_a_claim_has_at_most_limit_events(stores: Stores) -> None:
    for number in range(5):
        await stores.inbox.append(event(f"evt_{number}"))
    assert [len(await claim(stores.inbox, limit=2)) for _ in range(4)] == [2, 2, 1, 0]
    assert await stores.inbox.backlog() == 5


async def test_a_claim_ends_where_its_bytes_do(stores: Stores) -> None:
    for number in range(6):
        received_at = NOON - 10 * SECOND + number * SECOND
        await stores.inbox.append(
            event(f"evt_{number}", received_at=received_at, payload=b"x" * 100)
        )
    taken = ids(await claim(stores.inbox, max_bytes=250))
    # All but the last fit; whether the one that breaks the bound is the last is the store's.
    assert taken == ["evt_0", "evt_1", "evt_2"][: len(taken)]
    assert len(taken) >= 2
    rest = ids(await claim(stores.inbox, max_bytes=600))
    assert taken + rest == [f"evt_{number}" for number in range(6)]


async def test_one_large_event_alone_is_still_claimed(stores: Stores) -> None:
    await stores.inbox.append(event("evt_1", payload=b"x" * 1_000))
    await stores.inbox.append(event("evt_2", received_at=NOON + SECOND))
    assert ids(await claim(stores.inbox, max_bytes=10)) == ["evt_1"]


async def test_a_claimed_event_is_nobody_elses_until_its_lease_ends(stores: Stores) -> None:
    await stores.inbox.append(event())
    assert ids(await claim(stores.inbox, "one")) == ["evt_1"]
    almost = NOON + LEASE - dt.timedelta(milliseconds=1)
    assert await claim(stores.inbox, "two", now=almost) == []
    assert await claim(stores.inbox, "one", now=almost) == []
    assert ids(await claim(stores.inbox, "two", now=NOON + LEASE)) == ["evt_1"]


async def test_what_waits_by_a_clock_that_was_ahead_is_due_once_that_is_set_right(
    stores: Stores,
) -> None:
    ahead = NOON + dt.timedelta(days=2)
    for id_ in ("evt_1", "evt_2"):
        await stores.inbox.append(event(id_, received_at=ahead))
    assert len(await claim(stores.inbox, now=ahead)) == 2  # evt_2 is claimed, and its holder dies
    await stores.inbox.settle("one", [failed(retry_at=ahead + LONGEST_PAUSE)])
    assert ids(await claim(stores.inbox, "two")) == ["evt_1", "evt_2"]
    assert await claim(stores.inbox, "three") == [], "the new lease is by the right clock"


async def test_claimers_at_once_never_share_an_event(stores: Stores) -> None:
    for number in range(60):
        await stores.inbox.append(event(f"evt_{number}"))
    claims = await asyncio.gather(
        *(claim(stores.inbox, f"owner {number}", limit=7) for number in range(20))
    )
    taken = [id_ for claimed in claims for id_ in ids(claimed)]
    assert len(taken) == len(set(taken))
    assert all(len(claimed) <= 7 for claimed in claims)
    # Who came away empty in the crowd finds the rest afterwards.
    while more := ids(await claim(stores.inbox, "last", limit=7)):
        taken += more
    assert sorted(taken) == sorted(f"evt_{number}" for number in range(60))


async def test_two_processes_never_share_an_event(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        for number in range(30):
            await first.inbox.append(event(f"evt_{number}"))
        claims = await asyncio.gather(
            *(
                claim(stores.inbox, f"{name} {number}", limit=5)
                for number in range(4)
                for name, stores in (("first", first), ("second", second))
            )
        )
    taken = [id_ for claimed in claims for id_ in ids(claimed)]
    assert len(taken) == len(set(taken)) > 0


@pytest.mark.parametrize("state", [EventState.PROCESSED, EventState.IGNORED, EventState.DEAD])
async def test_an_ended_event_is_done_with(stores: Stores, state: EventState) -> None:
    await stores.inbox.append(event())
    await claim(stores.inbox)
    outcome = Settled("evt_1", state, "because", "it broke")
    assert await stores.inbox.settle("one", [outcome]) == 1
    found = await stores.inbox.get("evt_1")
    assert found is not None
    settled, error = found
    assert (settled.state, settled.decision, error) == (state, "because", "it broke")
    assert settled.payload == event().payload
    assert await stores.inbox.backlog() == 0
    assert await claim(stores.inbox, now=NOON + 2 * LEASE) == []


async def test_a_failure_is_tried_again_from_its_time_and_counted(stores: Stores) -> None:
    await stores.inbox.append(event())
    now = NOON
    for attempts in range(3):
        (claimed,) = await claim(stores.inbox, now=now)
        assert claimed.attempts == attempts
        retry_at = now + 300 * SECOND
        assert await stores.inbox.settle("one", [failed(retry_at=retry_at)]) == 1
        assert await claim(stores.inbox, now=retry_at - dt.timedelta(milliseconds=1)) == []
        now = retry_at
    found = await stores.inbox.get("evt_1")
    assert found is not None
    assert (found[0].state, found[0].decision, found[1]) == (
        EventState.PENDING,
        "failed",
        "it broke",
    )
    assert await stores.inbox.backlog() == 1


async def test_a_retry_before_the_lease_would_have_ended_is_due_then(stores: Stores) -> None:
    await stores.inbox.append(event())
    await claim(stores.inbox)
    await stores.inbox.settle("one", [failed(retry_at=NOON + SECOND)])
    assert ids(await claim(stores.inbox, "two", now=NOON + SECOND)) == ["evt_1"]


async def test_whoever_lost_the_lease_writes_nothing(stores: Stores) -> None:
    await stores.inbox.append(event())
    await claim(stores.inbox, "one")
    await claim(stores.inbox, "two", now=NOON + LEASE)
    assert await stores.inbox.settle("one", [done()]) == 0
    assert await stores.inbox.settle("one", [failed(retry_at=NOON)]) == 0
    found = await stores.inbox.get("evt_1")
    assert found == (event(), "")
    assert await claim(stores.inbox, "three", now=NOON + LEASE + SECOND) == []
    assert await stores.inbox.settle("two", [done()]) == 1


async def test_events_settle_one_by_one(stores: Stores) -> None:
    for number in range(4):
        await stores.inbox.append(event(f"evt_{number}", received_at=NOON + number * SECOND))
    assert len(await claim(stores.inbox, "one", limit=2)) == 2
    assert len(await claim(stores.inbox, "two", limit=1)) == 1
    outcomes = [done(f"evt_{number}") for number in range(4)]
    assert await stores.inbox.settle("one", [*outcomes, done("evt_9")]) == 2
    states = [await stores.inbox.get(f"evt_{number}") for number in range(4)]
    assert [found and found[0].state for found in states] == ["processed"] * 2 + ["pending"] * 2
    assert await stores.inbox.settle("one", []) == 0


async def test_settling_again_changes_nothing(stores: Stores) -> None:
    await stores.inbox.append(event("evt_1"))
    await stores.inbox.append(event("evt_2"))
    await claim(stores.inbox)
    outcomes = [done("evt_1"), failed("evt_2", retry_at=NOON + SECOND)]
    assert await stores.inbox.settle("one", outcomes) == 2
    assert await stores.inbox.settle("one", outcomes) == 0
    (again,) = await claim(stores.inbox, now=NOON + SECOND)
    assert (again.event.id, again.attempts) == ("evt_2", 1)


async def test_events_leases_and_attempts_survive_reopening(opener: Opener) -> None:
    async with opener() as first:
        for number in range(3):
            await first.inbox.append(event(f"evt_{number}", received_at=NOON + number * SECOND))
        await claim(first.inbox, limit=2)
        await first.inbox.settle("one", [failed("evt_0", retry_at=NOON)])
    async with opener() as second:
        assert await second.inbox.backlog() == 3
        taken = await claim(second.inbox, "two")
        assert [(one.event.id, one.attempts) for one in taken] == [("evt_0", 1), ("evt_2", 0)]
        assert ids(await claim(second.inbox, "two", now=NOON + LEASE, limit=9)) == [
            "evt_0",
            "evt_1",
            "evt_2",
        ]
