"""The promises of `application.jobs.outbox`."""

import asyncio
import datetime as dt
from collections.abc import Sequence

import msgspec
import pytest

from application.jobs.outbox import (
    LONGEST_PAUSE,
    MAX_JOBS,
    ClaimedJob,
    FailedJob,
    Outbox,
    OutboxCounts,
)
from domain.jobs import Job
from tests.contract.samples import NOON, SECOND
from tests.contract.test_plans import assert_ordered, plans_of, plans_or_nothing
from tests.support.servers.stores import Opener, Stores

LEASE = 30 * SECOND
NOTICE = "support.payment_notice"
PAID = "events.invoice_paid"


def job(
    id_: str = "job-1",
    *,
    kind: str = NOTICE,
    account: str = "acme",
    created_at: dt.datetime = NOON,
    amount: int = 1,
) -> Job:
    payload = {"amount": amount, "text": "für 1 €", "none": None, "nested": {"list": [1, "a"]}}
    return Job(id_, kind, account, created_at, payload)


def paid(number: int, *, account: str = "acme", created_at: dt.datetime = NOON) -> Job:
    return job(f"paid-{number:06}", kind=PAID, account=account, created_at=created_at)


async def claim(
    outbox: Outbox, owner: str = "one", *, now: dt.datetime = NOON, limit: int = 100
) -> Sequence[ClaimedJob]:
    return await outbox.claim(owner, now=now, lease=LEASE, limit=limit)


def ids(claimed: Sequence[ClaimedJob]) -> list[str]:
    return [one.job.id for one in claimed]


async def watched(outbox: Outbox, account: str = "acme", after: int = 0) -> list[str]:
    return [one.job.id for one in await outbox.watch(account, after=after, limit=MAX_JOBS)]


async def test_a_job_comes_out_as_it_went_in(stores: Stores) -> None:
    await stores.outbox.append([job()])
    assert await claim(stores.outbox) == [ClaimedJob(job(), 0)]


async def test_a_job_of_large_numbers_can_be_published_as_json(stores: Stores) -> None:
    """As every job is: it tells an instant in milliseconds, beyond 32 bits."""
    kept = job(amount=1_900_000_000_000)
    await stores.outbox.append([kept])
    (claimed,) = await claim(stores.outbox)
    assert msgspec.json.encode(claimed.job) == msgspec.json.encode(kept)


async def test_a_repeat_changes_nothing(stores: Stores) -> None:
    await stores.outbox.append([job(), job("job-2")])
    await stores.outbox.append([job(amount=9, created_at=NOON + SECOND), job("job-3")])
    claimed = await claim(stores.outbox, now=NOON + SECOND)
    assert [one.job for one in claimed] == [job(), job("job-2"), job("job-3")]


async def test_a_repeat_within_one_call_is_one_job(stores: Stores) -> None:
    await stores.outbox.append([job(), job(amount=9), paid(1), paid(1)])
    assert [one.job for one in await claim(stores.outbox)] == [job()]
    assert await watched(stores.outbox) == ["paid-000001"]


async def test_a_repeat_of_a_published_job_is_a_repeat(stores: Stores) -> None:
    await stores.outbox.append([job()])
    await claim(stores.outbox)
    await stores.outbox.mark_published("one", ["job-1"], now=NOON)
    await stores.outbox.append([job()])
    assert await claim(stores.outbox, now=NOON + 2 * LEASE) == []


async def test_of_fifty_equal_appends_at_once_one_counts(stores: Stores) -> None:
    await asyncio.gather(*(stores.outbox.append([job(), paid(1)]) for _ in range(50)))
    assert ids(await claim(stores.outbox)) == ["job-1"]
    assert await watched(stores.outbox) == ["paid-000001"]


async def test_nothing_and_too_much(stores: Stores) -> None:
    await stores.outbox.append([])
    assert await stores.outbox.mark_published("one", [], now=NOON) == 0
    assert await stores.outbox.release("one", []) == 0
    with pytest.raises(ValueError, match="at most"):
        await stores.outbox.append([job(f"job-{n}") for n in range(MAX_JOBS + 1)])
    with pytest.raises(ValueError, match="at most"):
        await claim(stores.outbox, limit=MAX_JOBS + 1)
    with pytest.raises(ValueError, match="at most"):
        await stores.outbox.watch("acme", after=0, limit=MAX_JOBS + 1)
    with pytest.raises(ValueError, match="at most"):
        await stores.outbox.purge(before=NOON, limit=MAX_JOBS + 1)


async def test_claims_come_longest_due_first_and_bounded(stores: Stores) -> None:
    for number, seconds in enumerate((3, 1, 2, 0)):
        await stores.outbox.append([job(f"job-{number}", created_at=NOON - seconds * SECOND)])
    assert ids(await claim(stores.outbox, limit=3)) == ["job-0", "job-2", "job-1"]
    assert ids(await claim(stores.outbox, limit=3)) == ["job-3"]
    assert await claim(stores.outbox, limit=3) == []


async def test_a_claimed_job_is_nobody_elses_until_its_lease_ends(stores: Stores) -> None:
    await stores.outbox.append([job()])
    assert ids(await claim(stores.outbox, "one")) == ["job-1"]
    almost = NOON + LEASE - dt.timedelta(milliseconds=1)
    assert await claim(stores.outbox, "two", now=almost) == []
    assert ids(await claim(stores.outbox, "two", now=NOON + LEASE)) == ["job-1"]
    assert await stores.outbox.mark_published("one", ["job-1"], now=NOON) == 0
    failed = FailedJob("job-1", "late", NOON)
    assert await stores.outbox.release("one", [failed]) == 0
    assert await stores.outbox.mark_published("two", ["job-1", "job-9"], now=NOON) == 1
    assert await stores.outbox.mark_published("two", ["job-1"], now=NOON) == 0


async def test_what_waits_by_a_clock_that_was_ahead_is_due_once_that_is_set_right(
    stores: Stores,
) -> None:
    ahead = NOON + dt.timedelta(days=2)
    await stores.outbox.append([job("job-1", created_at=ahead), job("job-2", created_at=ahead)])
    assert len(await claim(stores.outbox, now=ahead)) == 2  # job-1 is claimed, its holder dies
    failed = [FailedJob("job-2", "no answer", ahead + LONGEST_PAUSE)]
    await stores.outbox.release("one", failed)
    await stores.outbox.append([job("job-3", created_at=ahead + LEASE), job("job-4")])
    assert ids(await claim(stores.outbox, "two", limit=3)) == ["job-4", "job-1", "job-3"]
    assert ids(await claim(stores.outbox, "two")) == ["job-2"]
    assert await claim(stores.outbox, "three") == [], "the new lease is by the right clock"


async def test_claimers_at_once_never_share_a_job(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        await first.outbox.append([job(f"job-{number}") for number in range(60)])
        claims = await asyncio.gather(
            *(
                claim(stores.outbox, f"{name} {number}", limit=7)
                for number in range(8)
                for name, stores in (("first", first), ("second", second))
            )
        )
        taken = [id_ for claimed in claims for id_ in ids(claimed)]
        while more := ids(await claim(first.outbox, "last", limit=7)):
            taken += more
    assert sorted(taken) == sorted(f"job-{number}" for number in range(60))


async def test_a_failure_is_due_again_from_its_time_and_counted(stores: Stores) -> None:
    await stores.outbox.append([job(), job("job-2")])
    now = NOON
    for attempts in range(3):
        (claimed,) = (one for one in await claim(stores.outbox, now=now) if one.job.id == "job-1")
        assert claimed.attempts == attempts
        retry_at = now + 300 * SECOND
        failed = [FailedJob("job-1", "no answer", retry_at)]
        assert await stores.outbox.release("one", failed) == 1
        assert await stores.outbox.release("one", failed) == 0
        assert "job-1" not in ids(
            await claim(stores.outbox, now=retry_at - dt.timedelta(milliseconds=1))
        )
        now = retry_at


async def test_a_failure_due_before_its_lease_would_have_ended_is_due_then(
    stores: Stores,
) -> None:
    await stores.outbox.append([job()])
    await claim(stores.outbox)
    await stores.outbox.release("one", [FailedJob("job-1", "no answer", NOON + SECOND)])
    assert ids(await claim(stores.outbox, "two", now=NOON + SECOND)) == ["job-1"]


async def test_counts_tell_what_waits(stores: Stores) -> None:
    assert await stores.outbox.counts() == OutboxCounts(0, None)
    await stores.outbox.append([job(), job("job-2", created_at=NOON - SECOND), paid(1)])
    assert await stores.outbox.counts() == OutboxCounts(2, NOON - SECOND)
    await claim(stores.outbox)
    assert (await stores.outbox.counts()).pending == 2
    await stores.outbox.mark_published("one", ["job-1", "job-2"], now=NOON)
    assert await stores.outbox.counts() == OutboxCounts(0, None)


async def test_events_are_watched_in_order_by_their_account_alone(stores: Stores) -> None:
    assert await stores.outbox.bounds() == (0, 0)
    await stores.outbox.append([paid(1), paid(2, account="other"), job(), paid(3)])
    await stores.outbox.append([paid(4)])
    found = await stores.outbox.watch("acme", after=0, limit=10)
    assert [one.job for one in found] == [paid(1), paid(3), paid(4)]
    positions = [one.position for one in found]
    assert positions == sorted(set(positions))
    first, last = await stores.outbox.bounds()
    assert (first, last) == (positions[0], positions[-1])
    assert await watched(stores.outbox, after=positions[0]) == ["paid-000003", "paid-000004"]
    assert await watched(stores.outbox, after=last) == []
    page = await stores.outbox.watch("acme", after=0, limit=2)
    assert [one.job.id for one in page] == ["paid-000001", "paid-000003"]


async def test_events_of_one_call_keep_their_order(stores: Stores) -> None:
    numbers = [5, 3, 9, 1, 7]
    await stores.outbox.append([paid(number) for number in numbers])
    assert await watched(stores.outbox) == [f"paid-{number:06}" for number in numbers]


async def test_events_are_never_published(stores: Stores) -> None:
    await stores.outbox.append([paid(1)])
    assert await claim(stores.outbox, now=NOON + LEASE) == []


async def test_no_position_appears_behind_one_that_was_read(opener: Opener) -> None:
    """Two processes append, many at once, while two readers go on from where they are."""
    expected = {f"paid-{number:06}" for number in range(600)}
    async with opener() as first, opener() as second:
        appended = 0

        async def append(stores: Stores, numbers: range) -> None:
            nonlocal appended
            for number in numbers:
                # Clocks of two processes differ: numbers must not follow them.
                skewed = NOON + (number % 7) * SECOND
                await stores.outbox.append([paid(number, created_at=skewed)])
                appended += 1

        async def read(stores: Stores) -> list[str]:
            seen: list[str] = []
            position = 0
            while True:
                finished = appended == len(expected)
                page = await stores.outbox.watch("acme", after=position, limit=50)
                for one in page:
                    assert one.position > position
                    position = one.position
                    seen.append(one.job.id)
                if finished and not page:
                    return seen

        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(read(stores)) for stores in (first, second)]
            for part in range(6):
                stores = (first, second)[part % 2]
                tasks.create_task(append(stores, range(part * 100, part * 100 + 100)))
        for reader in readers:
            seen = reader.result()
            assert len(seen) == len(expected)
            assert set(seen) == expected


async def test_purge_takes_what_is_old_and_done(stores: Stores) -> None:
    old, new = NOON - 100 * SECOND, NOON
    await stores.outbox.append([job("old", created_at=old), job("unpublished", created_at=old)])
    await stores.outbox.append([job("new", created_at=old)])
    await claim(stores.outbox)
    await stores.outbox.mark_published("one", ["old"], now=old)
    await stores.outbox.mark_published("one", ["new"], now=new)
    await stores.outbox.append([paid(n, created_at=old) for n in range(3)])
    await stores.outbox.append([paid(3, created_at=new)])
    await stores.outbox.append([paid(4, created_at=old)])
    assert await stores.outbox.purge(before=NOON, limit=1) == 2
    assert await stores.outbox.purge(before=NOON, limit=10) == 2
    assert await stores.outbox.purge(before=NOON, limit=10) == 0
    # Not the old event behind a new one: what is kept has no holes.
    assert await watched(stores.outbox) == ["paid-000003", "paid-000004"]
    assert ids(await claim(stores.outbox, now=NOON + LEASE)) == ["unpublished"]
    await stores.outbox.append([job("new", created_at=old)])
    assert await claim(stores.outbox, "two", now=NOON + LEASE) == [], "it is still kept"


async def test_the_last_event_stays_and_positions_go_on(stores: Stores) -> None:
    await stores.outbox.append([paid(number) for number in range(3)])
    _, last = await stores.outbox.bounds()
    assert await stores.outbox.purge(before=NOON + SECOND, limit=100) == 2
    assert await stores.outbox.bounds() == (last, last)
    await stores.outbox.append([paid(9)])
    first, after = await stores.outbox.bounds()
    assert first == last < after


async def test_jobs_leases_and_positions_survive_reopening(opener: Opener) -> None:
    async with opener() as first:
        await first.outbox.append([job(), job("job-2", created_at=NOON + SECOND), paid(1)])
        await claim(first.outbox)
        bounds = await first.outbox.bounds()
    async with opener() as second:
        assert await second.outbox.bounds() == bounds
        assert ids(await claim(second.outbox, "two", now=NOON + SECOND)) == ["job-2"]
        await second.outbox.append([job(), paid(1), paid(2)])
        assert await watched(second.outbox, after=bounds[1]) == ["paid-000002"]


async def test_every_query_uses_an_index_and_sorts_nothing(stores: Stores) -> None:
    outbox = stores.outbox
    await outbox.append([job(f"job-{number}") for number in range(20)])
    await outbox.append([paid(number) for number in range(20)])
    await plans_or_nothing(stores, lambda: outbox.append([job("a"), paid(77), paid(1)]))

    async def claim_five() -> None:
        assert len(await claim(outbox, limit=5)) == 5

    await assert_ordered(stores, claim_five)
    done = ["job-0", "job-1"]
    await plans_of(stores, lambda: outbox.mark_published("one", done, now=NOON))
    failed = [FailedJob("job-2", "no answer", NOON)]
    await plans_of(stores, lambda: outbox.release("one", failed))
    await assert_ordered(stores, outbox.counts)
    await assert_ordered(stores, lambda: outbox.watch("acme", after=3, limit=5))
    for plan in await assert_ordered(stores, outbox.bounds):
        assert plan.covered, plan.text
    await assert_ordered(stores, lambda: outbox.purge(before=NOON + SECOND, limit=5))


async def test_a_position_that_was_read_has_no_lower_one_appear_later(opener: Opener) -> None:
    """Three writers at once, who repeat each other's events, and a reader beside them."""
    rounds, seen = 12, list[str]()

    async def write(outbox: Outbox, writer: int) -> None:
        for turn in range(rounds):
            shared = [paid(1_000 + turn), paid(2_000 + turn // 2)]
            own = [paid(10_000 * (writer + 1) + 10 * turn + place) for place in range(5)]
            await outbox.append([shared[writer % 2], *own, *shared])

    async def read(outbox: Outbox, written: asyncio.Event) -> None:
        last, more = 0, True
        while more or not written.is_set():
            more = False
            for one in await outbox.watch("acme", after=last, limit=7):
                assert one.position > last
                seen.append(one.job.id)
                last, more = one.position, True
            await asyncio.sleep(0)

    async with opener() as reader, opener() as two, opener() as three:
        written = asyncio.Event()
        reading = asyncio.create_task(read(reader.outbox, written))
        writers = (reader.outbox, two.outbox, three.outbox)
        await asyncio.gather(*(write(outbox, number) for number, outbox in enumerate(writers)))
        written.set()
        await asyncio.wait_for(reading, 20)
        everything = await watched(reader.outbox)
    assert seen == everything
    assert len(seen) == len({*seen}) == rounds + rounds // 2 + 3 * 5 * rounds
