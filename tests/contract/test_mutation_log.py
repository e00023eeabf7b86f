"""The promises of `application.mutations.ports`."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from application.mutations.ports import (
    LONGEST_PAUSE,
    Lease,
    MutationKey,
    MutationLog,
    MutationState,
    Step,
)
from tests.contract.samples import KEY, NOON, SECOND, record
from tests.support.servers.stores import Opener, Stores

HELD = Lease("one", NOON + 30 * SECOND)
OTHER = Lease("two", NOON + 60 * SECOND)
LATER = NOON + 30 * SECOND


def other_key(number: int) -> MutationKey:
    return replace(KEY, request_id=f"request-{number}")


async def finished(log: MutationLog, key: MutationKey, *, created_at: dt.datetime) -> None:
    await log.begin(record(key, created_at=created_at), HELD, now=NOON)
    assert await log.finish(key, HELD, reply=b"{}", failure=None)


async def open_keys(log: MutationLog, *, now: dt.datetime, limit: int = 10) -> list[str]:
    return [found.key.request_id for found in await log.find_open(now=now, limit=limit)]


async def test_a_new_record_is_stored_under_the_lease(stores: Stores) -> None:
    log = stores.mutation_log
    assert await log.begin(record(), HELD, now=NOON) == (record(), True)
    assert await log.begin(record(), OTHER, now=NOON) == (record(), False)


@pytest.mark.parametrize(
    "key",
    [
        replace(KEY, account="account-2"),
        replace(KEY, method="/billing.v1.CustomerService/DeleteCustomer"),
        replace(KEY, request_id="request-2"),
        # Not by what the parts are together.
        MutationKey("account-1/", KEY.method.removeprefix("/"), KEY.request_id),
    ],
)
async def test_each_part_of_the_key_tells_requests_apart(stores: Stores, key: MutationKey) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    assert await log.begin(record(key), OTHER, now=NOON) == (record(key), True)


async def test_of_many_equal_requests_at_once_one_holds_the_lease(stores: Stores) -> None:
    leases = [Lease(f"owner {number}", LATER) for number in range(40)]
    answers = await asyncio.gather(
        *(stores.mutation_log.begin(record(), lease, now=NOON) for lease in leases)
    )
    assert sorted(held for _, held in answers) == [False] * 39 + [True]
    assert all(stored == record() for stored, _ in answers)
    (winner,) = [lease for lease, (_, held) in zip(leases, answers, strict=True) if held]
    saved = [await stores.mutation_log.save_step(KEY, lease, Step("s", b"{}")) for lease in leases]
    assert [lease for lease, done in zip(leases, saved, strict=True) if done] == [winner]


async def test_a_lease_is_taken_over_when_it_ends(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    await log.save_step(KEY, HELD, Step("create", b"{}"))
    almost = HELD.until - dt.timedelta(milliseconds=1)
    assert (await log.begin(record(), OTHER, now=almost))[1] is False
    stored, held = await log.begin(record(), OTHER, now=HELD.until)
    assert (stored.steps, held) == ({"create": Step("create", b"{}")}, True)
    assert await log.save_step(KEY, HELD, Step("late", b"{}")) is False
    assert await log.finish(KEY, HELD, reply=b"{}", failure=None) is False
    assert await log.release(KEY, HELD, retry_at=NOON) is False
    assert await log.save_step(KEY, OTHER, Step("charge", b"{}")) is True


async def test_of_many_that_take_over_at_once_one_does(stores: Stores) -> None:
    await stores.mutation_log.begin(record(), HELD, now=NOON)
    leases = [Lease(f"owner {number}", LATER + 30 * SECOND) for number in range(30)]
    answers = await asyncio.gather(
        *(stores.mutation_log.begin(record(), lease, now=LATER) for lease in leases)
    )
    assert [held for _, held in answers].count(True) == 1


async def test_the_holder_may_begin_again(stores: Stores) -> None:
    await stores.mutation_log.begin(record(), HELD, now=NOON)
    assert await stores.mutation_log.begin(record(), HELD, now=NOON) == (record(), True)


async def test_another_payload_is_told_and_takes_nothing_over(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    other = record(payload_hash="other")
    assert await log.begin(other, OTHER, now=NOON + 3_600 * SECOND) == (record(), False)
    assert await log.save_step(KEY, HELD, Step("create", b"{}")) is True


async def test_steps_are_kept_exactly_and_in_order(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    first = Step("create.customer", b'{"email":"$x","n":{}}')
    second = Step(
        "$pay", b"[]", attempt=2, sent_at=NOON + dt.timedelta(milliseconds=7),
        stripe_account="acct_2",
    )  # fmt: skip
    for step in (first, second):
        assert await log.save_step(KEY, HELD, step) is True
    answered = replace(first, attempt=3, sent_at=NOON, answer=bytes(range(256)))
    assert await log.save_step(KEY, HELD, answered) is True
    stored, _ = await log.begin(record(), HELD, now=NOON)
    assert stored == replace(record(), steps={"create.customer": answered, "$pay": second})
    assert list(stored.steps) == ["create.customer", "$pay"]


async def test_a_step_prolongs_the_lease(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    longer = Lease("one", HELD.until + 30 * SECOND)
    assert await log.save_step(KEY, longer, Step("create", b"{}")) is True
    assert (await log.begin(record(), OTHER, now=HELD.until))[1] is False
    assert await open_keys(log, now=HELD.until) == []
    assert await open_keys(log, now=longer.until) == ["request-1"]
    assert (await log.begin(record(), OTHER, now=longer.until))[1] is True


@pytest.mark.parametrize(
    ("reply", "failure"), [(b'{"id":"cus_1"}', None), (None, b'{"reason":"NOT_FOUND"}')]
)
async def test_a_finished_record_keeps_its_outcome(
    stores: Stores, reply: bytes | None, failure: bytes | None
) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    await log.save_step(KEY, HELD, Step("create", b"{}"))
    assert await log.finish(KEY, HELD, reply=reply, failure=failure) is True
    expected = replace(
        record(),
        state=MutationState.DONE,
        steps={"create": Step("create", b"{}")},
        reply=reply,
        failure=failure,
    )
    for lease in (HELD, OTHER):
        assert await log.begin(record(), lease, now=LATER) == (expected, False)
    assert await log.finish(KEY, HELD, reply=b"other", failure=None) is False
    assert await log.save_step(KEY, HELD, Step("late", b"{}")) is False
    assert await log.release(KEY, HELD, retry_at=NOON) is False
    assert await log.begin(record(), OTHER, now=LATER) == (expected, False)
    assert await open_keys(log, now=NOON + 9_999 * SECOND) == []


async def test_an_unknown_record_is_held_by_nobody(stores: Stores) -> None:
    log = stores.mutation_log
    assert await log.save_step(KEY, HELD, Step("create", b"{}")) is False
    assert await log.finish(KEY, HELD, reply=b"{}", failure=None) is False
    assert await log.release(KEY, HELD, retry_at=NOON) is False


async def test_a_released_record_is_open_at_once_and_shown_from_its_time(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    assert await log.release(KEY, HELD, retry_at=NOON + 300 * SECOND) is True
    # Neither the end of the former lease nor anything else before that time shows it.
    assert await open_keys(log, now=NOON + 299 * SECOND) == []
    assert await open_keys(log, now=NOON + 300 * SECOND) == ["request-1"]
    assert await log.save_step(KEY, HELD, Step("late", b"{}")) is False
    assert await log.begin(record(), OTHER, now=NOON) == (record(), True)
    assert await open_keys(log, now=OTHER.until - SECOND) == []


async def test_what_waits_by_a_clock_that_was_ahead_is_due_once_that_is_set_right(
    stores: Stores,
) -> None:
    log, ahead = stores.mutation_log, NOON + dt.timedelta(days=2)
    held = Lease("one", ahead + 30 * SECOND)
    for number in range(2):
        await log.begin(record(other_key(number)), held, now=ahead)
    await log.release(other_key(1), held, retry_at=ahead + LONGEST_PAUSE)
    assert await open_keys(log, now=NOON) == ["request-0", "request-1"]
    assert await open_keys(log, now=NOON, limit=1) == ["request-0"]
    assert (await log.begin(record(other_key(0)), OTHER, now=NOON))[1] is True
    assert await open_keys(log, now=NOON) == ["request-1"]


async def test_what_only_its_caller_may_carry_on_is_never_shown(stores: Stores) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    assert await log.release(KEY, HELD, retry_at=None) is True
    assert await open_keys(log, now=NOON + 10_000_000 * SECOND) == []
    assert await log.begin(record(), OTHER, now=NOON) == (record(), True)
    # Begun again, it may be orphaned again.
    assert await open_keys(log, now=OTHER.until) == ["request-1"]


async def test_open_records_come_longest_due_first_and_bounded(stores: Stores) -> None:
    log = stores.mutation_log
    for number, seconds in enumerate((5, 1, 4, 2, 3)):
        key = replace(other_key(number), account=f"account-{number}")
        await log.begin(record(key), HELD, now=NOON)
        await log.release(key, HELD, retry_at=NOON + seconds * SECOND)
    await log.begin(record(other_key(8)), Lease("died", NOON), now=NOON - SECOND)
    await log.begin(record(other_key(9)), HELD, now=NOON)
    await finished(log, other_key(10), created_at=NOON)
    expected = ["request-8", "request-1", "request-3", "request-4"]
    assert await open_keys(log, now=NOON + 3 * SECOND) == expected
    assert await open_keys(log, now=NOON + 3 * SECOND, limit=2) == expected[:2]


async def test_purge_deletes_old_records_that_were_given_back_for_good(stores: Stores) -> None:
    log = stores.mutation_log
    for number, retry_at in enumerate((None, NOON, None)):
        await log.begin(record(other_key(number)), HELD, now=NOON)
        await log.release(other_key(number), HELD, retry_at=retry_at)
    await log.begin(record(other_key(3)), HELD, now=NOON)
    assert await log.purge(before=NOON, limit=5) == 0
    after = NOON + SECOND
    assert [await log.purge(before=after, limit=1) for _ in range(3)] == [1, 1, 0]
    assert await open_keys(log, now=NOON) == ["request-1"]
    stored, held = await log.begin(record(other_key(3)), OTHER, now=NOON)
    assert (stored.key.request_id, held) == ("request-3", False)


async def test_purge_deletes_old_done_records_only_and_at_most_limit(stores: Stores) -> None:
    log = stores.mutation_log
    for number in range(5):
        await finished(log, other_key(number), created_at=NOON + number * SECOND)
    await log.begin(record(other_key(9), created_at=NOON - SECOND), HELD, now=NOON)
    before = NOON + 4 * SECOND
    assert [await log.purge(before=before, limit=3) for _ in range(3)] == [3, 1, 0]
    # The one created at the instant itself, and the open one, stand.
    for number, state in ((4, MutationState.DONE), (9, MutationState.OPEN)):
        stored, held = await log.begin(record(other_key(number)), OTHER, now=NOON)
        assert (stored.state, held) == (state, False)
    assert (await log.begin(record(other_key(0)), OTHER, now=NOON))[1] is True


async def test_records_survive_reopening(opener: Opener) -> None:
    step = Step("create", b"{}", sent_at=NOON)
    async with opener() as first:
        await first.mutation_log.begin(record(), HELD, now=NOON)
        await first.mutation_log.save_step(KEY, HELD, step)
        await finished(first.mutation_log, other_key(2), created_at=NOON)
    async with opener() as second:
        stored, held = await second.mutation_log.begin(record(), OTHER, now=NOON)
        assert (stored, held) == (replace(record(), steps={"create": step}), False)
        stored, held = await second.mutation_log.begin(record(other_key(2)), OTHER, now=NOON)
        assert (stored.state, stored.reply, held) == (MutationState.DONE, b"{}", False)
