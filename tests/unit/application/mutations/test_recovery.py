"""Mutations end in one object and one reply, whatever fails or dies in between."""

import asyncio
from dataclasses import replace

import pytest

from application.customers.ports import CustomerFields
from application.mirror.nouns import CUSTOMERS
from application.mutations import mutations
from application.mutations.mutations import KEPT, RETRY_UNKNOWN
from application.mutations.ports import MutationState
from application.mutations.steps import KEY_LIFETIME, Steps
from application.mutations.stripe import Unanswered
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    OutcomeUnknown,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
)
from tests.support.fakes.stores import NOON, Failing, no_pause, store_down
from tests.support.rooms.mutations import ADA, CALLER, Gate, Platform, settle


@pytest.fixture
def platform() -> Platform:
    return Platform()


async def test_recovery_sends_the_same_key_and_the_stored_parameters(platform: Platform) -> None:
    platform.stripe.pause = Failing({1: Unanswered("cut")})  # made, but the answer is lost
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.clock.instant += RETRY_UNKNOWN - RETRY_UNKNOWN / 1_000
    assert await platform.process().mutations.recover() == 0  # not due yet
    platform.clock.instant += RETRY_UNKNOWN
    assert await platform.process().mutations.recover() == 1
    first, second = platform.stripe.sends
    assert first == second
    assert list(platform.stripe.customers) == ["cus_1"]
    assert (await platform.process().create()).id == "cus_1"
    assert platform.stripe.finds == []


async def test_recovery_acts_on_the_stripe_account_of_the_request(platform: Platform) -> None:
    platform.stripe.pause = Failing({1: Unanswered("cut")})
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    await platform.repository.put(
        Connection("acme", "acct_2", Mode.TEST, ConnectionKind.MANUAL, NOON)
    )
    assert await settle(platform) == 1
    assert {call.stripe_account for _, call, _ in platform.stripe.sends} == {"acct_1"}


@pytest.mark.parametrize("made", [True, False])
async def test_a_replayed_5xx_is_looked_up_and_then_tried_anew(
    platform: Platform, made: bool
) -> None:
    platform.stripe.outcomes = [Unanswered("500")]
    platform.stripe.made = made
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    if made:
        assert await settle(platform) == 1
    else:
        assert await settle(platform) == 0  # nothing was done: the caller may try again
        assert (await platform.process().create()).id == "cus_1"
    assert len(platform.stripe.finds) == 1
    keys = [call.idempotency_key[-2:] for _, call, _ in platform.stripe.sends]
    assert keys == (["-1", "-1"] if made else ["-1", "-1", "-2"])
    assert list(platform.stripe.customers) == ["cus_1"]
    assert platform.record.state is MutationState.DONE


@pytest.mark.parametrize("made", [True, False])
async def test_a_key_of_twenty_hours_is_not_relied_on(platform: Platform, made: bool) -> None:
    platform.stripe.pause = Failing({int(made): Unanswered("cut")})
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.stripe._kept.clear()  # Stripe has forgotten the key
    platform.clock.instant += KEY_LIFETIME
    assert await settle(platform) == 1
    assert len(platform.stripe.finds) == 1
    assert list(platform.stripe.customers) == ["cus_1"]
    keys = {call.idempotency_key[-2:] for _, call, _ in platform.stripe.sends}
    assert keys == ({"-1"} if made else {"-2"})


def all_places() -> int:
    """How many places a create passes through, in the log, the mirror and Stripe."""

    async def count() -> int:
        platform, walk = Platform(), Failing()
        platform.pause(walk)
        await platform.process().create()
        return len(walk.calls)

    return asyncio.run(count())


PLACES = all_places()


def test_the_places_of_a_create_are_all_walked() -> None:
    assert PLACES == 14  # begin, step, request, answer, fetch, replace, step, finish


@pytest.mark.parametrize("place", range(PLACES))
async def test_a_process_may_die_anywhere(platform: Platform, place: int) -> None:
    platform.pause(Failing({place: asyncio.CancelledError()}))
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.pause(no_pause)
    settled = await settle(platform)
    assert settled == (0 if place in (0, PLACES - 1) else 1)  # never begun, or done already
    assert (await platform.process().create()).id == "cus_1"
    assert list(platform.stripe.customers) == ["cus_1"]
    assert platform.mirrored() == platform.stripe.customers["cus_1"]
    assert platform.record.state is MutationState.DONE


@pytest.mark.parametrize("place", range(PLACES - 2))  # two of them are Stripe's
async def test_the_store_may_fail_anywhere(platform: Platform, place: int) -> None:
    """Whoever is told that nothing was done can rely on it."""
    walk = Failing({place: store_down()})
    platform.pause(walk)
    platform.stripe.pause = no_pause
    (told,) = await asyncio.gather(platform.process().create(), return_exceptions=True)
    assert isinstance(told, Unavailable | OutcomeUnknown)
    if isinstance(told, Unavailable):
        assert told.reason is Reason.STORE_UNAVAILABLE
        assert platform.stripe.sends == []
    platform.pause(no_pause)
    assert await settle(platform) <= 1
    if isinstance(told, OutcomeUnknown):
        assert platform.record.state is MutationState.DONE
    assert (await platform.process().create()).id == "cus_1"
    assert list(platform.stripe.customers) == ["cus_1"]


async def test_a_broken_step_after_a_send_is_not_forgotten(platform: Platform) -> None:
    platform.stripe.pause = Failing({1: KeyError("a defect")})
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    assert await settle(platform) == 1
    assert list(platform.stripe.customers) == ["cus_1"]


async def test_recovery_goes_on_past_what_it_does_not_know(platform: Platform) -> None:
    """Methods of another release neither stop the recovery nor take its places for ever."""
    platform.stripe.pause = Failing({n * 2 + 1: Unanswered("cut") for n in range(25)})
    for number in range(25):
        with pytest.raises(OutcomeUnknown):
            await platform.process().create(f"r-{number}")
    strangers = list(platform.log.records.values())[:21]
    for logged in strangers:
        key = logged.record.key
        renamed = replace(key, method="OtherService.Gone")
        del platform.log.records[key]
        logged.record = type(logged.record)(renamed, "acct_1", b"{}", "h", logged.record.created_at)
        platform.log.records[renamed] = logged
    platform.stripe.pause = no_pause
    settled = await settle(platform)
    settled += await platform.process().mutations.recover()
    assert settled == 4
    assert all(logged.retry_at for logged in strangers)  # whoever knows them finds them


async def test_recovery_leaves_alone_what_runs_here(platform: Platform) -> None:
    gate, process = Gate("log.begin"), platform.process()
    platform.stripe.pause = Failing({1: Unanswered("cut")})
    with pytest.raises(OutcomeUnknown):
        await process.create()
    platform.clock.instant += RETRY_UNKNOWN
    platform.log.pause = gate
    other = asyncio.create_task(process.create(fields=CustomerFields(name="Bob")))
    await gate.reached.wait()
    platform.log.pause = no_pause
    assert await process.mutations.recover() == 0
    gate.open.set()
    with pytest.raises(InvalidArgument):
        await other


async def test_finished_mutations_are_forgotten_after_their_time(platform: Platform) -> None:
    await platform.process().create()
    platform.clock.instant = platform.record.created_at + KEPT
    await platform.process().mutations.recover()
    assert len(platform.log.records) == 1
    platform.clock.advance(milliseconds=1)
    await platform.process().mutations.recover()
    assert platform.log.records == {}


async def test_what_cannot_be_settled_is_tried_less_and_less(platform: Platform) -> None:
    platform.stripe.pause = Failing({1: Unanswered("cut")})
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    pauses = []
    for _ in range(70):
        platform.stripe.refusals = [FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "cut")]
        (logged,) = platform.log.records.values()
        assert logged.retry_at is not None
        pauses.append(logged.retry_at - platform.clock.now())
        platform.clock.instant = logged.retry_at
        await platform.process().mutations.recover()
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (RETRY_UNKNOWN, mutations.LAST_RETRY_UNKNOWN)


async def test_a_failure_that_could_not_be_stored_is_not_told_yet(platform: Platform) -> None:
    """Else a repeat might end otherwise than its caller was told."""
    platform.stripe.outcomes = [PaymentDeclined("declined", decline_code="do_not_honor")]
    platform.log.pause = FailingAt("log.finish")
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.log.pause = no_pause
    await settle(platform)
    with pytest.raises(PaymentDeclined):
        await platform.process().create()


async def test_a_lease_that_could_not_be_given_back_leaves_the_outcome_unknown(
    platform: Platform,
) -> None:
    """Recovery takes such a request for one whose process died, and carries it out."""
    platform.stripe.refusals = [
        RateLimited(Reason.STRIPE_RATE_LIMITED, "429", retry_after_seconds=1)
    ]
    platform.log.pause = FailingAt("log.release")
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.log.pause = no_pause
    assert await settle(platform) == 1
    assert list(platform.stripe.customers) == ["cus_1"]


class FailingAt:
    """A pause at which the store does not answer, at one place."""

    def __init__(self, where: str) -> None:
        self._where = where

    async def __call__(self, where: str) -> None:
        if where == self._where:
            raise store_down()


async def test_a_step_is_sent_as_it_was_stored_though_it_is_worked_out_anew(
    platform: Platform,
) -> None:
    names = iter("ab")
    gateway = platform.stripe

    async def steps(steps: Steps, _payload: CustomerFields) -> str:
        fields = CustomerFields(name=next(names))
        made = await steps.call("make", CUSTOMERS, fields, gateway.create, gateway.find_created)
        return made.id

    gateway.pause = Failing({1: Unanswered("cut")})
    process = platform.process()
    method = process.mutations.method("Test.Make", CustomerFields, str, steps)
    with pytest.raises(OutcomeUnknown):
        await method.run(CALLER, "r-1", ADA)
    assert await method.run(CALLER, "r-1", ADA) == "cus_1"
    assert gateway.sends[0] == gateway.sends[1]
