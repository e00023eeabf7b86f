"""The promises of `application.processes.ports`."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from application.mutations.ports import Lease, Step
from application.processes.ports import (
    LONGEST_LEASE,
    Change,
    Course,
    Entry,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
    Progress,
    Watch,
)
from application.processes.processes import process_id
from domain.errors import AlreadyExists
from tests.contract.samples import NOON, SECOND
from tests.support.servers.stores import Opener, Stores, sqlite_stores

KEY: Final = ProcessKey("account-1", "reload", "request-1")
HELD: Final = Lease("one", NOON + 30 * SECOND)
OTHER: Final = Lease("two", NOON + 60 * SECOND)
INTENT: Final = Watch("acct_1", "pi_1")
NOTHING: Final = Change()


def process(number: int = 1, **changes: object) -> ProcessRecord:
    """A process that has done nothing yet."""
    key = replace(KEY, request_id=f"request-{number}")
    progress = Progress("frozen", history=(Entry("frozen", NOON),))
    made = ProcessRecord(process_id(key), key, "acct_1", "hash", b'{"amount":1}', NOON, progress)
    return replace(made, **changes)  # type: ignore[arg-type]  # as given


ID: Final = process().id


async def resting(log: ProcessLog, number: int, *watches: Watch) -> str:
    """A process that waits for events only; its id."""
    made, _ = await log.begin(process(number), HELD)
    assert await log.release(made.id, HELD, Change(watches=watches), due_at=None, wakes=0, now=NOON)
    return made.id


async def due(log: ProcessLog, now: dt.datetime, limit: int = 10) -> Sequence[str]:
    return await log.find_due(now=now, limit=limit)


async def test_a_new_process_is_stored_under_the_lease(stores: Stores) -> None:
    log = stores.process_log
    assert await log.begin(process(), HELD) == (process(), True)
    assert await log.take(ID, OTHER, now=NOON) == (process(), False)
    assert await log.get(ID) == await log.find(KEY) == process()
    assert await due(log, HELD.until - SECOND) == []
    assert await due(log, HELD.until) == [ID], "whoever died is found"


async def test_an_unknown_process_is_told(stores: Stores) -> None:
    log = stores.process_log
    assert await log.take("reload_x", HELD, now=NOON) is None
    assert await log.get("reload_x") is None
    assert await log.find(KEY) is None
    assert not await log.renew("reload_x", HELD)
    assert not await log.write("reload_x", HELD, NOTHING)
    assert not await log.release("reload_x", HELD, NOTHING, due_at=None, wakes=0, now=NOON)


async def test_a_request_begins_one_process_for_good(stores: Stores) -> None:
    log = stores.process_log
    answers = await asyncio.gather(
        *(log.begin(process(payload_hash=f"{n}"), Lease(f"{n}", OTHER.until)) for n in range(20))
    )
    assert [made for _, made in answers].count(True) == 1
    (stored,) = {record.payload_hash for record, _ in answers}
    later = process(payload_hash="later", created_at=NOON + dt.timedelta(days=400))
    assert await log.begin(later, OTHER) == (process(payload_hash=stored), False)
    for key in (
        replace(KEY, account="account-2"),
        replace(KEY, kind="checkout"),
        replace(KEY, request_id="REQUEST-1"),
    ):
        other = process(key=key, id=process_id(key))
        assert await log.begin(other, HELD) == (other, True)


async def test_a_lease_is_taken_over_when_it_ends_and_by_one(stores: Stores) -> None:
    log = stores.process_log
    await log.begin(process(), HELD)
    assert await log.take(ID, HELD, now=NOON) == (process(), True)
    leases = [Lease(f"owner {number}", OTHER.until) for number in range(20)]
    taken = await asyncio.gather(*(log.take(ID, lease, now=HELD.until) for lease in leases))
    (winner,) = [lease for lease, took in zip(leases, taken, strict=True) if took and took[1]]
    assert not await log.renew(ID, HELD)
    assert not await log.write(ID, HELD, Change(step=Step("late", b"{}"), watches=(INTENT,)))
    assert not await log.release(ID, HELD, NOTHING, due_at=NOON, wakes=0, now=NOON)
    assert await log.get(ID) == process()
    assert await log.write(ID, winner, NOTHING)


@pytest.mark.parametrize("renewed_by", ["renew", "write"])
async def test_whoever_is_at_it_keeps_the_lease(stores: Stores, renewed_by: str) -> None:
    log, longer = stores.process_log, replace(HELD, until=HELD.until + 30 * SECOND)
    await log.begin(process(), HELD)
    if renewed_by == "renew":
        assert await log.renew(ID, longer)
    else:
        assert await log.write(ID, longer, Change(step=Step("a", b"{}")))
    assert (await log.take(ID, OTHER, now=HELD.until) or ((), True))[1] is False
    assert await due(log, HELD.until) == []
    assert await due(log, longer.until) == [ID]


async def test_a_change_is_kept_exactly(stores: Stores) -> None:
    log = stores.process_log
    await log.begin(process(), HELD)
    step = Step(
        "$pay.now", b'{"a":"$x"}', attempt=2, sent_at=NOON, answer=bytes(range(256)),
        stripe_account="acct_2",
    )  # fmt: skip
    progress = Progress(
        "$awaiting", Course.BACKWARD, 3, b'{"$intent":"pi"}', b"\x00\xff", turning=True, tries=4,
        polls=5, paused_until=NOON + SECOND, look_at=NOON + dt.timedelta(days=30),
        trouble="STRIPE_UNAVAILABLE",
        history=(Entry("frozen", NOON), Entry("$awaiting", NOON + dt.timedelta(milliseconds=7))),
    )  # fmt: skip
    watches = (Watch("acct_1", "pi_1"), Watch("acct_1", 'ch"\n,1'), Watch("acct_2", "pi_1"))
    assert await log.write(ID, HELD, Change(progress, step, watches))
    expected = replace(
        process(), progress=progress, steps={step.name: step}, watches=tuple(sorted(watches))
    )
    assert await log.get(ID) == expected
    # What a later change does not name stays as it is.
    answered = replace(step, failure=b"{}", answer=None)
    other = Step("b", b"1")
    assert await log.write(ID, HELD, Change(step=other))
    assert await log.write(ID, HELD, Change(step=answered, watches=watches[:1]))
    expected = replace(expected, steps={step.name: answered, "b": other})
    found = await log.get(ID)
    assert found == expected
    assert list(found.steps) == ["$pay.now", "b"]


async def test_an_object_belongs_to_one_process_and_a_refused_change_changes_nothing(
    stores: Stores,
) -> None:
    log = stores.process_log
    for number in (1, 2):
        await log.begin(process(number), HELD)
    other = process(2).id
    assert await log.write(ID, HELD, Change(watches=(INTENT,)))
    assert await log.write(ID, HELD, Change(watches=(INTENT,)))
    refused = Change(Progress("x"), Step("a", b"{}"), (Watch("acct_1", "ch_1"), INTENT))
    with pytest.raises(AlreadyExists):
        await log.write(other, HELD, refused)
    with pytest.raises(AlreadyExists):
        await log.release(other, HELD, refused, due_at=None, wakes=0, now=NOON)
    assert await log.get(other) == process(2)
    assert await log.write(other, HELD, Change(watches=(Watch("acct_2", "pi_1"),)))
    assert await log.write(other, HELD, Change(watches=(Watch("acct_1", "ch_1"),)))


async def test_of_many_that_watch_an_object_at_once_one_does(stores: Stores) -> None:
    log = stores.process_log
    ids = [(await log.begin(process(number), HELD))[0].id for number in range(10)]
    answers = await asyncio.gather(
        *(log.write(each, HELD, Change(watches=(INTENT,))) for each in ids), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(AlreadyExists) == 9
    assert answers.count(True) == 1


async def test_a_released_process_is_free_and_due_from_its_time(stores: Stores) -> None:
    log, later = stores.process_log, NOON + 300 * SECOND
    await log.begin(process(), HELD)
    progress = Progress("awaiting", history=(Entry("awaiting", NOON),))
    assert await log.release(ID, HELD, Change(progress), due_at=later, wakes=0, now=NOON)
    assert await due(log, later - SECOND) == []
    assert await due(log, later) == [ID]
    assert not await log.write(ID, HELD, NOTHING)
    assert await log.take(ID, OTHER, now=NOON) == (process(progress=progress), True)


async def test_an_event_wakes_whoever_watches_its_object_at_once_and_nobody_else(
    stores: Stores,
) -> None:
    log, now = stores.process_log, NOON + SECOND
    watching = await resting(log, 1, INTENT, Watch("acct_1", "ch_1"))
    await resting(log, 2, Watch("acct_2", "pi_1"))
    await resting(log, 3)
    assert await due(log, NOON + dt.timedelta(days=999)) == []
    assert await log.wake([Watch("acct_1", "pi_2"), Watch("acct_3", "pi_1")], now=now) == 0
    assert await log.wake([INTENT, Watch("acct_1", "ch_1")], now=now) == 1
    assert await due(log, now - SECOND) == []
    assert await due(log, now) == [watching]
    assert await log.wake([INTENT], now=now + 60 * SECOND) == 1
    assert await due(log, now) == [watching], "it is not put off by another event"


async def test_an_event_brings_a_later_look_forward(stores: Stores) -> None:
    log = stores.process_log
    await log.begin(process(), HELD)
    await log.release(
        ID, HELD, Change(watches=(INTENT,)), due_at=NOON + 300 * SECOND, wakes=0, now=NOON
    )
    assert await log.wake([INTENT], now=NOON + SECOND) == 1
    assert await due(log, NOON + SECOND) == [ID]


@pytest.mark.parametrize("due_at", [None, NOON + dt.timedelta(hours=6)])
async def test_an_event_while_it_is_held_is_not_missed(
    stores: Stores, due_at: dt.datetime | None
) -> None:
    log = stores.process_log
    await log.begin(process(), HELD)
    await log.write(ID, HELD, Change(watches=(INTENT,)))
    assert await log.wake([INTENT], now=NOON) == 1
    assert await due(log, NOON + SECOND) == [], "whoever holds it is at it"
    found = await log.get(ID)
    assert found is not None
    assert found.wakes == 1
    assert await log.release(ID, HELD, NOTHING, due_at=due_at, wakes=0, now=NOON + SECOND)
    assert await due(log, NOON + SECOND) == [ID]
    # What was known when it was taken is no news.
    taken = await log.take(ID, OTHER, now=NOON + SECOND)
    assert taken is not None
    assert await log.release(
        ID, OTHER, NOTHING, due_at=due_at, wakes=taken[0].wakes, now=NOON + 2 * SECOND
    )
    assert await due(log, NOON + 3 * SECOND) == []


async def test_a_thousand_events_at_once_ask_for_many_objects(stores: Stores) -> None:
    log = stores.process_log
    ids = [await resting(log, n, Watch("acct_1", f"pi_{n}")) for n in range(5)]
    asked = [Watch("acct_1", f"pi_{number}") for number in range(4_000)]
    assert await log.wake(asked, now=NOON) == 5
    assert sorted(await due(log, NOON)) == sorted(ids)


async def test_due_processes_come_longest_due_first_and_bounded(stores: Stores) -> None:
    log = stores.process_log
    ids = []
    for number, seconds in enumerate((5, 1, 4, 2, 3)):
        made, _ = await log.begin(process(number), HELD)
        at = NOON + seconds * SECOND
        await log.release(made.id, HELD, NOTHING, due_at=at, wakes=0, now=NOON)
        ids.append(made.id)
    assert await due(log, NOON + 3 * SECOND) == [ids[1], ids[3], ids[4]]
    assert await due(log, NOON + 9 * SECOND, limit=2) == [ids[1], ids[3]]


async def test_what_a_clock_that_was_ahead_has_put_off_or_holds_is_due_at_once(
    stores: Stores,
) -> None:
    log, ahead = stores.process_log, NOON + dt.timedelta(days=2)
    held = Lease("one", ahead + 30 * SECOND)
    for number in (1, 2, 3):
        await log.begin(process(number), held)
    for number, due_at in ((2, ahead + dt.timedelta(hours=6)), (3, None)):
        await log.release(process(number).id, held, NOTHING, due_at=due_at, wakes=0, now=ahead)
    assert await due(log, NOON) == [process(2).id, ID]
    assert await due(log, NOON, limit=1) == [process(2).id]
    assert (await log.take(ID, OTHER, now=NOON) or ((), False))[1] is True
    assert await due(log, NOON) == [process(2).id]
    far = NOON + LONGEST_LEASE + dt.timedelta(days=30)
    await log.release(ID, OTHER, NOTHING, due_at=far, wakes=0, now=NOON)
    assert await due(log, NOON) == [process(2).id], "a process may well be put off for a month"


async def test_what_needs_attention_is_listed_for_as_long_as_it_does(stores: Stores) -> None:
    log = stores.process_log
    for number, seconds in ((1, 5), (2, 3), (3, 4)):
        made, _ = await log.begin(process(number), HELD)
        since = Entry("needs_attention", NOON + seconds * SECOND, "STRIPE_REFUSED")
        progress = Progress("needs_attention", attention="STRIPE_REFUSED", history=(since,))
        await log.release(made.id, HELD, Change(progress), due_at=None, wakes=0, now=NOON)
    listed = [record.id for record in await log.find_attention(limit=10)]
    assert listed == [process(n).id for n in (2, 3, 1)]
    assert [record.id for record in await log.find_attention(limit=1)] == listed[:1]
    await log.take(listed[0], OTHER, now=NOON)
    await log.write(listed[0], OTHER, Change(Progress("charging")))
    assert [record.id for record in await log.find_attention(limit=10)] == listed[1:]


async def test_a_claim_belongs_to_one_process_until_that_rests(stores: Stores) -> None:
    log = stores.process_log
    first = process(1, claims=("cart/1", "wallet/$x"))
    assert await log.begin(first, HELD) == (first, True)
    assert await log.get(first.id) == first
    for claims in (("cart/1",), ("other", "wallet/$x")):
        with pytest.raises(AlreadyExists) as caught:
            await log.begin(process(2, claims=claims), HELD)
        assert caught.value.metadata == {"process": first.id}
        assert await log.get(process(2).id) is None
    assert await log.begin(first, OTHER) == (first, False), "its own request is no other"
    assert await log.begin(process(3, claims=("other",)), HELD) == (
        process(3, claims=("other",)), True,
    )  # fmt: skip
    back = Progress("compensating", Course.BACKWARD, history=(Entry("compensating", NOON),))
    assert await log.write(first.id, HELD, Change(back))
    with pytest.raises(AlreadyExists):
        await log.begin(process(2, claims=("cart/1",)), HELD)
    rests = replace(back, course=Course.TAKEN_BACK)
    assert await log.release(first.id, HELD, Change(rests), due_at=None, wakes=0, now=NOON)
    second = process(2, claims=("cart/1",))
    assert await log.begin(second, HELD) == (second, True)
    assert await log.get(first.id) == replace(first, progress=rests, claims=())


async def test_of_many_that_claim_the_same_at_once_one_is_made(stores: Stores) -> None:
    records = [process(number, claims=("cart/1",)) for number in range(20)]
    answers = await asyncio.gather(
        *(stores.process_log.begin(record, HELD) for record in records), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, AlreadyExists)]
    assert len(refused) == 19


async def test_an_accounts_processes_are_listed_newest_first_page_by_page(stores: Stores) -> None:
    log = stores.process_log
    for number in range(7):
        await log.begin(process(number, created_at=NOON + (number // 2) * SECOND), HELD)
    other = replace(KEY, account="account-2")
    await log.begin(process(9, key=other, id=process_id(other)), HELD)
    kind = replace(KEY, kind="checkout")
    await log.begin(process(9, key=kind, id=process_id(kind)), HELD)
    listed: list[ProcessRecord] = []
    after = None
    while page := await log.list("account-1", "reload", after=after, limit=3):
        listed += page
        after = (page[-1].created_at, page[-1].id)
    wanted = sorted(
        (process(number, created_at=NOON + (number // 2) * SECOND) for number in range(7)),
        key=lambda record: (record.created_at, record.id), reverse=True,
    )  # fmt: skip
    assert listed == wanted
    assert await log.list("account-3", "reload", after=None, limit=3) == []


async def test_what_is_open_at_a_stripe_account_is_found(stores: Stores) -> None:
    log = stores.process_log
    elsewhere = process(3, stripe_account="acct_10", created_at=NOON + 3 * SECOND)
    unrelated = process(4, stripe_account="acct_10")
    back = replace(process(5), created_at=NOON + 5 * SECOND)
    back = replace(back, progress=replace(back.progress, course=Course.BACKWARD))
    for record in (process(1), process(2), elsewhere, unrelated, back):
        await log.begin(record, HELD)
    await log.write(elsewhere.id, HELD, Change(watches=(INTENT, Watch("acct_10", "pi_1"))))
    await log.write(process(1).id, HELD, Change(watches=(Watch("acct_1", "pi_2"),)))
    rested = replace(process(2).progress, course=Course.COMPLETED)
    change = Change(rested, watches=(Watch("acct_1", "pi_3"),))
    assert await log.release(process(2).id, HELD, change, due_at=None, wakes=0, now=NOON)
    found = [record.id for record in await log.find_open("acct_1", limit=10)]
    assert found == [process(1).id, elsewhere.id, back.id]
    assert len(await log.find_open("acct_1", limit=2)) == 2
    assert await log.find_open("acct_", limit=10) == []


async def test_processes_survive_reopening(opener: Opener) -> None:
    step = Step("create", b"{}", sent_at=NOON)
    async with opener() as first:
        await first.process_log.begin(process(), HELD)
        await first.process_log.write(ID, HELD, Change(step=step, watches=(INTENT,)))
    async with opener() as second:
        expected = process(steps={"create": step}, watches=(INTENT,))
        assert await second.process_log.get(ID) == expected
        assert await second.process_log.wake([INTENT], now=NOON) == 1


async def test_every_query_uses_an_index(stores: Stores) -> None:
    log = stores.process_log
    for number in range(20):
        await resting(log, number, Watch("acct_1", f"pi_{number}"))
    held = Lease("one", NOON)

    async def all_of_them() -> None:
        await log.take(ID, held, now=NOON)
        await log.write(ID, held, Change(step=Step("a", b"{}"), watches=(Watch("a", "b"),)))
        await log.renew(ID, held)
        await log.release(ID, held, NOTHING, due_at=NOON, wakes=0, now=NOON)
        await log.wake([INTENT, Watch("acct_1", "pi_9")], now=NOON)
        await log.get(ID)
        await log.find(KEY)
        await log.find_due(now=NOON, limit=5)
        await log.find_attention(limit=5)
        await log.find_open("acct_1", limit=5)
        await log.list("account-1", "reload", after=(NOON, ID), limit=3)
        await log.begin(process(88, claims=("a",)), held)

    for plan in await stores.explain(all_of_them):
        scans = plan.scans and "json_each" not in plan.text
        assert not scans, plan.text
        assert not plan.sorts, plan.text


async def test_a_file_of_before_learns_which_processes_are_open(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    rests = replace(process(2).progress, course=Course.TAKEN_BACK)
    async with sqlite_stores(path) as stores:
        await stores.process_log.begin(process(1), HELD)
        await stores.process_log.begin(process(2), HELD)
        await stores.process_log.write(process(2).id, HELD, Change(rests))
    with closing(sqlite3.connect(path)) as file:
        file.execute('DROP INDEX "billing.processes open"')
        file.execute('ALTER TABLE "billing.processes" DROP COLUMN open')
        file.commit()
    async with sqlite_stores(path) as stores:
        assert await stores.process_log.find_open("acct_1", limit=5) == [process(1)]
