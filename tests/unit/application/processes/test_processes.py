"""Processes go on by themselves, forwards or backwards, and each of their changes is made once."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from application.mutations.failures import is_definite
from application.mutations.ports import Lease
from application.mutations.steps import KEY_LIFETIME
from application.mutations.stripe import Unanswered
from application.processes.ports import Course, Watch
from application.processes.processes import AT_ONCE, LEASE, Processes
from application.processes.progress import TRIES
from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FailedPrecondition,
    NotFound,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
)
from tests.support.fakes.stores import Failing, no_pause
from tests.support.rooms.processes import ID, TransferWorld, carried_on
from tests.support.rooms.transfers import Learnt, TransferRun, transfer

WAITS = b'{"name":"Ada","waits":true}'
DECLINED = PaymentDeclined("use another card", decline_code="lost_card")
FORWARD = ["open", "held", "authorised", "subscribed", "captured", "completed"]


@pytest.fixture
def world() -> TransferWorld:
    return TransferWorld()


async def test_it_goes_through_its_stages_on_two_stripe_accounts(world: TransferWorld) -> None:
    record = await world.begin()
    assert world.states == FORWARD
    assert record.progress.course is Course.COMPLETED
    assert world.sends == ["create acct_1", "create acct_2", "update acct_1"]
    assert world.entries.names == ["hold", "settle"]
    assert world.log.kept[ID].due_at is None
    assert len({call.tag for _, call, _ in world.stripe.sends}) == 3
    # One write to begin, one an entry, two a call, one to end; and one so that it is durable that
    # the pivot is done before the entry that stands on it. States cost none of their own.
    assert world.log.writes == 1 + 2 + 3 * 2 + 1 + 1


async def test_a_repeat_changes_nothing(world: TransferWorld) -> None:
    first = await world.begin()
    again = await world.service().start(transfer(world.clock.now() + dt.timedelta(days=400)))
    await world.service().advance(ID)
    assert again == first
    assert len(world.sends) == 3


async def test_a_definite_refusal_takes_back_what_was_done_backwards(world: TransferWorld) -> None:
    world.transfers.refusal = DECLINED
    record = await world.begin()
    assert world.states == ["open", "held", "authorised", "compensating", "canceled"]
    assert world.progress.history[-2].why == "PAYMENT_DECLINED"
    assert record.progress.course is Course.TAKEN_BACK
    assert world.sends == ["create acct_1", "delete acct_1"]
    assert world.entries.names == ["hold", "release"]
    world.transfers.refusal = None
    await world.service().advance(ID)
    assert len(world.sends) == 2, "it rests"


async def test_the_pivots_own_refusal_takes_back_and_what_comes_after_it_does_not(
    world: TransferWorld,
) -> None:
    sends = 0

    async def pause(where: str) -> None:
        nonlocal sends
        sends += where == "stripe.request"
        if sends == 3 and where == "stripe.request":
            world.stripe.refusals = [FailedPrecondition(Reason.STRIPE_REFUSED, "no", subject="x")]

    world.stripe.pause = pause
    await world.begin()
    assert world.sends[-2:] == ["delete acct_2", "delete acct_1"]
    assert world.stripe.customers == {}

    other = TransferWorld()

    async def refuse(_: str) -> None:
        if other.sends[-1:] == ["update acct_1"]:
            other.entries.error = FailedPrecondition(Reason.WRONG_STATE, "no", subject="x")

    other.log.pause = refuse
    await other.begin()
    assert other.progress.state == "captured"
    assert (other.progress.tries, other.progress.trouble) == (1, "WRONG_STATE")
    assert other.log.kept[ID].due_at == other.clock.now() + dt.timedelta(seconds=45)


async def test_a_refusal_after_the_pivot_needs_attention_in_the_end_and_goes_on_when_told(
    world: TransferWorld,
) -> None:
    async def post(name: str, _: str) -> None:
        if name == "settle":
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "away")

    posted, world.entries.post = world.entries.post, post  # type: ignore[method-assign]
    await world.begin()
    began = world.clock.now()
    await world.until_it_rests()
    assert world.progress.attention == "STRIPE_UNAVAILABLE"
    assert (world.progress.state, world.transfers.told) == ("needs_attention", [ID])
    assert dt.timedelta(hours=6) < world.clock.now() - began < dt.timedelta(hours=24)
    assert world.progress.tries == TRIES
    assert await world.wake("cus_1") == 0
    await world.service().advance(ID)
    assert world.progress.state == "needs_attention", "until an operator decides"
    world.entries.post = posted  # type: ignore[method-assign]
    await world.service().resume(ID, "the store is there again")
    assert world.states[-3:] == ["needs_attention", "captured", "completed"]


async def test_what_only_people_can_mend_needs_them_at_once(world: TransferWorld) -> None:
    async def tend(run: TransferRun) -> None:
        run.data = Learnt(tended=7)
        run.ask_people("ODD")

    world.transfers.tending = tend
    await world.begin()
    assert (world.progress.state, world.progress.attention) == ("needs_attention", "ODD")
    assert (world.transfers.told, world.log.kept[ID].due_at) == ([ID], None)
    assert b"7" in world.progress.data, "what was learnt is kept"
    world.transfers.tending = None
    await world.service().resume(ID, "it is no odder than others")
    assert world.states[-2:] == ["needs_attention", "completed"]


async def test_what_is_saved_is_durable_before_anything_else(world: TransferWorld) -> None:
    async def tend(run: TransferRun) -> None:
        run.data = Learnt(tended=run.data.tended + 1)
        await run.save()
        assert world.log.kept[ID].record.progress.data == b'{"tended":1}'

    world.transfers.tending = tend
    await world.begin()
    assert world.progress.data == b'{"tended":1}'


async def test_an_operator_closes_what_was_settled_by_other_means(world: TransferWorld) -> None:
    world.entries.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "away")
    await world.begin()
    await world.until_it_rests()
    await world.service().close(ID, "closed", "paid by bank transfer")
    assert world.progress.state == "closed"
    assert world.progress.history[-1].why == "paid by bank transfer"
    assert (world.progress.course, world.log.kept[ID].due_at) == (Course.COMPLETED, None)


async def test_a_lost_answer_is_asked_for_again_before_anything_else(world: TransferWorld) -> None:
    world.stripe.made, world.stripe.outcomes = True, [Unanswered("cut")]
    await world.begin()
    assert world.progress.state == "held"
    await world.until_it_rests()
    assert world.progress.state == "completed"
    assert len(world.stripe.customers) == 2


async def test_nothing_is_released_while_an_outcome_is_unknown(world: TransferWorld) -> None:
    """A call is under way, and its caller wants it taken back."""
    world.stripe.made, world.stripe.outcomes = True, [Unanswered("cut")]
    await world.begin()

    async def away(where: str) -> None:
        if where == "stripe.request":
            raise Unanswered("cut")

    world.stripe.pause = away

    async def cancel(run: TransferRun) -> None:
        run.turn_back(DECLINED)

    await world.service().act(ID, cancel)
    assert world.entries.names == ["hold"]
    assert (world.progress.turning, world.progress.state) == (True, "held")
    world.stripe.pause = no_pause
    await world.later(KEY_LIFETIME + dt.timedelta(hours=1))  # what was made is found
    await world.until_it_rests()
    assert world.entries.names == ["hold", "release"]
    assert (world.stripe.customers, world.progress.state) == ({}, "canceled")
    assert "create acct_2" not in world.sends


async def test_it_waits_for_the_customer_and_goes_on_by_an_event(world: TransferWorld) -> None:
    await world.begin(WAITS)
    assert world.progress.state == "awaiting_customer"
    assert world.record.watches == (Watch("acct_1", "cus_1"),)
    assert world.log.kept[ID].due_at == world.clock.now() + dt.timedelta(seconds=10)
    assert await world.wake("cus_1", "acct_2") == 0
    for _ in range(30):  # an event that tells nothing, thirty times
        assert await world.wake("cus_1") == 1
        await world.later(dt.timedelta())
    assert (world.progress.polls, world.progress.tries) == (1, 0)
    await world.paid()
    await world.later(dt.timedelta())
    assert world.progress.state == "completed"
    assert world.states == ["open", "held", "awaiting_customer", *FORWARD[2:]]


async def test_without_events_it_looks_itself_less_and_less_often(world: TransferWorld) -> None:
    await world.begin(WAITS)
    pauses = []
    for _ in range(4):
        due_at = world.log.kept[ID].due_at
        assert due_at is not None
        pauses.append(round((due_at - world.clock.now()).total_seconds()))
        await world.later(due_at - world.clock.now())
    assert pauses == [10, 20, 40, 80]
    await world.paid(told=False)
    await world.until_it_rests()
    assert world.progress.state == "completed"


async def test_what_is_waited_for_in_vain_is_taken_back_at_its_time(world: TransferWorld) -> None:
    began = world.clock.now()
    await world.begin(WAITS)
    await world.until_it_rests()
    assert world.progress.state == "expired"
    assert world.clock.now() - began == pytest.approx(
        dt.timedelta(hours=1), abs=dt.timedelta(seconds=1)
    )
    assert (world.stripe.customers, world.entries.names) == ({}, ["hold", "release"])


async def test_an_event_between_watch_and_read_is_not_missed(world: TransferWorld) -> None:
    async def pause(where: str) -> None:
        if where == "processes.write" and world.record.watches and len(world.sends) == 1:
            world.log.pause = no_pause
            await world.paid()

    world.log.pause = pause
    await world.begin(WAITS)
    assert world.progress.state == "completed"


async def test_an_event_while_it_is_carried_on_has_it_looked_at_again(world: TransferWorld) -> None:
    async def pause(where: str) -> None:
        if where == "processes.release":
            world.log.pause = no_pause
            await world.paid()

    world.log.pause = pause
    await world.begin(WAITS)
    assert world.progress.state == "awaiting_customer"
    await world.later(dt.timedelta())
    assert world.progress.state == "completed"


async def test_our_own_pace_uses_up_no_try(world: TransferWorld) -> None:
    slow = RateLimited(Reason.STRIPE_RATE_LIMITED, "slowly", retry_after_seconds=7)
    world.stripe.refusals = [slow] * 20
    await world.begin()
    assert world.log.kept[ID].due_at == world.clock.now() + dt.timedelta(seconds=7)
    await world.until_it_rests()
    assert world.progress.state == "completed"


async def test_a_compensation_is_tried_again_even_where_it_is_refused(world: TransferWorld) -> None:
    world.transfers.refusal = DECLINED
    refusal = Unavailable(Reason.STRIPE_UNAVAILABLE, "away")

    async def pause(where: str) -> None:
        if where == "stripe.request" and world.sends[-1:] == ["create acct_1"]:
            world.stripe.refusals = [refusal]

    world.stripe.pause = pause
    await world.begin()
    assert (world.progress.state, world.progress.tries) == ("compensating", 1)
    world.stripe.pause = no_pause
    await world.until_it_rests()
    assert world.progress.state == "canceled"
    assert world.stripe.customers == {}


async def test_an_object_of_another_process_turns_it_back(world: TransferWorld) -> None:
    other = transfer(world.clock.now(), WAITS, "r-2")
    service = world.service()
    await service.start(other)
    await service.advance(other.id)
    assert world.log.kept[other.id].record.watches == (Watch("acct_1", "cus_1"),)
    world.stripe.customers.clear()  # Stripe gives the same id again
    await world.begin(WAITS)
    assert world.progress.history[-2].why == "ALREADY_EXISTS"
    assert world.progress.state == "canceled"


async def test_a_defect_is_tried_again_and_ends_no_other(
    world: TransferWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.entries.error = KeyError("a defect")
    await world.begin()
    assert (world.progress.state, world.progress.trouble) == ("open", "DEFECT")
    assert "a process broke" in caplog.text
    world.entries.error = None
    await world.until_it_rests()
    assert world.progress.state == "completed"


async def test_many_who_carry_it_on_at_once_make_each_change_once(world: TransferWorld) -> None:
    async def pause(_: str) -> None:
        await asyncio.sleep(0)

    world.pause(pause)
    services = [world.service() for _ in range(5)]
    records = [transfer(world.clock.now()) for _ in services]
    await asyncio.gather(
        *(service.start(record) for service, record in zip(services, records, strict=True))
    )
    await asyncio.gather(*(service.advance(ID) for service in services for _ in range(5)))
    await world.until_it_rests()
    assert world.sends == ["create acct_1", "create acct_2", "update acct_1"]


async def test_an_order_waits_for_whoever_is_at_it_and_keeps_nothing_where_it_raises(
    world: TransferWorld,
) -> None:
    await world.begin(WAITS)

    async def refused(run: TransferRun) -> None:
        run.enter("nonsense")
        run.data = None  # type: ignore[assignment]
        raise DECLINED

    with pytest.raises(PaymentDeclined):
        await world.service().act(ID, refused)
    assert world.progress.state == "awaiting_customer"
    assert world.log.kept[ID].lease is None
    assert world.log.kept[ID].due_at is not None

    async def cancel(run: TransferRun) -> str:
        run.turn_back(DECLINED)
        return run.id

    service = world.service()
    assert await asyncio.gather(service.act(ID, cancel), service.act(ID, cancel)) == [ID, ID]
    assert world.progress.state == "canceled"
    with pytest.raises(NotFound):
        await service.act("transfer_x", cancel)


async def test_a_refused_order_leaves_what_somebody_died_at_to_be_carried_on(
    world: TransferWorld,
) -> None:
    """Of one that rests only the lease of who died tells that something is left to do."""
    await world.begin()
    assert world.progress.course is Course.COMPLETED
    died = Lease("who died", world.clock.now() + LEASE)
    assert await world.log.take(ID, died, now=world.clock.now()) is not None

    async def refused(_: TransferRun) -> None:
        raise DECLINED

    tended = 0

    async def tend(_: TransferRun) -> None:
        nonlocal tended
        tended += 1

    world.transfers.tending = tend
    world.clock.instant += 2 * LEASE
    with pytest.raises(PaymentDeclined):
        await world.service().act(ID, refused)
    await carried_on(world.service())
    assert tended == 1
    assert world.log.kept[ID].due_at is None


async def test_past_the_pivot_nothing_turns_back(world: TransferWorld) -> None:
    await world.begin()

    async def cancel(run: TransferRun) -> None:
        run.turn_back(DECLINED)

    await world.service().act(ID, cancel)
    assert (world.progress.state, world.progress.turning) == ("completed", False)
    assert len(world.stripe.customers) == 2


async def test_a_process_that_rests_follows_its_objects(world: TransferWorld) -> None:
    seen: list[str] = []

    async def tend(run: TransferRun) -> None:
        await run.watch("acct_1", "cus_1")
        seen.append(run.record.progress.state)
        if len(seen) == 3:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "away")
        if len(seen) == 4:
            run.enter("disputed")
        if len(seen) == 1:
            run.look_at(run.record.created_at + dt.timedelta(days=30))

    world.transfers.tending = tend
    await world.begin()
    assert world.log.kept[ID].due_at == world.record.created_at + dt.timedelta(days=30)
    assert await world.wake("cus_1") == 1
    await world.later(dt.timedelta())
    assert world.log.kept[ID].due_at is None
    await world.wake("cus_1")
    await world.later(dt.timedelta())
    assert world.progress.tries == 1
    await world.until_it_rests()
    assert (world.progress.state, len(seen), world.progress.tries) == ("disputed", 4, 0)


async def test_a_kind_that_this_release_does_not_know_is_left_alone(
    world: TransferWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await world.begin(WAITS)
    known = world.service()
    unknown = Processes(
        world.log, known._writer, world.objects, world.clock, known._tasks, asyncio.Event()
    )
    world.clock.instant += dt.timedelta(seconds=10)
    await carried_on(unknown)
    assert "unknown kind" in caplog.text
    assert world.progress.state == "awaiting_customer"
    await world.paid()
    await world.until_it_rests()
    assert world.progress.state == "completed"


ENDS: list[Any] = [None, DECLINED]


@pytest.mark.parametrize("refusal", ENDS)
@pytest.mark.parametrize("how", ["dies", "store fails", "no answer"])
async def test_wherever_it_is_cut_it_ends_as_if_it_had_not_been(
    refusal: BillingError | None, how: str
) -> None:
    errors = {
        "dies": asyncio.CancelledError(),
        "store fails": Unavailable(Reason.STORE_UNAVAILABLE, "away"),
        "no answer": Unanswered("cut"),
    }
    whole = TransferWorld()
    whole.transfers.refusal = refusal
    await whole.begin()
    places = 0
    while True:
        world = TransferWorld()
        world.transfers.refusal = refusal
        failing = Failing({places: errors[how]})
        world.pause(failing)
        await asyncio.gather(world.begin(), return_exceptions=True)
        if len(failing.calls) <= places:
            break
        world.pause(no_pause)
        world.clock.instant += LEASE
        if ID not in world.log.kept:  # it was never begun: its caller asks again
            await world.begin()
        await world.until_it_rests()
        where = (places, failing.calls[places])
        assert world.progress.state == whole.progress.state, where
        assert sorted(world.entries.names) == sorted(whole.entries.names), where
        assert world.stripe.customers.keys() == whole.stripe.customers.keys(), where
        assert len({call.tag for _, call, _ in world.stripe.sends}) == len(whole.sends), where
        assert world.log.kept[ID].lease is None
        places += 1
    assert places > 20


async def test_whoever_lost_the_lease_changes_nothing_more(world: TransferWorld) -> None:
    async def stolen(where: str) -> None:
        if where == "stripe.answer":
            world.stripe.pause = no_pause
            world.clock.instant += LEASE * 2
            await world.service().advance(ID)

    world.stripe.pause = stolen
    await world.begin()
    assert world.progress.state == "completed"
    assert len(world.stripe.customers) == 2
    assert len({call.tag for _, call, _ in world.stripe.sends}) == 3


def test_errors_are_as_expected() -> None:
    """What turns a process back is a definite refusal, a watched object's too."""
    assert is_definite(AlreadyExists(Reason.ALREADY_EXISTS, "x"))
    assert not is_definite(Conflict(Reason.REQUEST_IN_FLIGHT, "x"))


async def _renewed(world: TransferWorld, until: dt.datetime) -> None:
    for _ in range(1_000):
        lease = world.log.kept[ID].lease
        if lease is not None and lease.until >= until:
            return
        await asyncio.sleep(0)
    raise AssertionError("the lease is not renewed")


async def test_a_lease_is_renewed_for_as_long_as_a_run_takes(
    world: TransferWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.processes.processes.RENEW_SECONDS", 0.0)
    others: list[bool] = []

    async def slow(where: str) -> None:
        if where != "stripe.request":
            return
        for _ in range(5):
            world.clock.instant += LEASE / 2
            now = world.clock.instant
            await _renewed(world, now + LEASE)
            taken = await world.log.take(ID, Lease("another", now + LEASE), now=now)
            others.append(taken is None or taken[1])

    world.stripe.pause = slow
    await world.begin()
    assert world.progress.state == "completed"
    assert others == [False] * 15


async def test_nothing_of_an_order_is_kept_where_its_service_dies(world: TransferWorld) -> None:
    await world.begin(WAITS)
    before = world.record
    under_way = asyncio.Event()

    async def order(run: TransferRun) -> None:
        run.data = Learnt(tended=99)
        run.enter("half done")
        under_way.set()
        await asyncio.sleep(3_600)

    service = world.service()
    given = asyncio.create_task(service.act(ID, order))
    await under_way.wait()
    assert await service._tasks.drain(0) == 1
    await asyncio.gather(given, return_exceptions=True)
    assert world.record.progress == before.progress
    assert world.log.kept[ID].lease is None, "handed over"
    await world.paid()
    await world.until_it_rests()
    assert world.progress.state == "completed"


async def test_a_state_that_waits_until_a_time_that_has_passed_is_no_busy_loop(
    world: TransferWorld,
) -> None:
    async def tend(run: TransferRun) -> None:
        run.wait("overdue", until=run.record.created_at - dt.timedelta(days=1))

    world.transfers.tending = tend
    await world.begin()
    assert world.log.kept[ID].due_at == world.clock.now() + dt.timedelta(seconds=10)


async def test_nobody_waits_for_the_slowest(world: TransferWorld) -> None:
    stuck = asyncio.Event()

    async def pause(where: str) -> None:
        if where == "stripe.request" and not stuck.is_set() and not world.stripe.sends:
            stuck.set()
            await asyncio.sleep(3_600)

    for number in range(3 * AT_ONCE):
        record = transfer(world.clock.now(), request_id=f"r-{number}")
        await world.log.begin(record, Lease("dead", world.clock.now()))
    world.stripe.pause = pause
    service = world.service()
    assert await service.keep_up() == 3 * AT_ONCE
    assert await service._tasks.drain(0.5) == 1 + 1
    states = [kept.record.progress.state for kept in world.log.kept.values()]
    assert states.count("completed") == 3 * AT_ONCE - 1


async def test_none_is_begun_once_the_service_stops(world: TransferWorld) -> None:
    await world.log.begin(transfer(world.clock.now()), Lease("dead", world.clock.now()))
    service = world.service()
    service.loop.stop()
    assert await service.keep_up() == 0
    assert world.sends == []
