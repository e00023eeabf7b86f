"""Mutations are carried out once, and their callers learn what came of them."""

import asyncio
from typing import Any, cast

import pytest

from application.customers.commands import UpdateCustomer
from application.customers.ports import CustomerFields
from application.mirror.nouns import CUSTOMERS
from application.mirror.stripe import ObjectReader
from application.mirror.writer import MirrorWriter
from application.mutations import mutations
from application.mutations.ports import MutationState
from application.mutations.steps import KEY_LIFETIME
from application.mutations.stripe import Unanswered
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.customers import Customer
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON, Failing, no_pause, store_down
from tests.support.rooms.mutations import CALLER, CONNECTION, Gate, Platform, settle


@pytest.fixture
def platform() -> Platform:
    return Platform()


async def test_a_repeat_returns_the_stored_reply(platform: Platform) -> None:
    first = await platform.process().create()
    platform.stripe.customers["cus_1"] = Customer("cus_1", NOON, name="changed since")
    assert await platform.process().create() == first
    assert len(platform.stripe.sends) == 1


async def test_other_requests_are_other_mutations(platform: Platform) -> None:
    process = platform.process()
    ids = {(await process.create(f"r-{number}")).id for number in range(3)}
    assert len(ids) == 3
    await platform.repository.put(
        Connection("other", "acct_2", Mode.TEST, ConnectionKind.MANUAL, NOON)
    )
    await process.create("r-1", caller=Caller("service", "other", frozenset()))
    keys = {call.idempotency_key for _, call, _ in platform.stripe.sends}
    assert len(keys) == len({call.tag for _, call, _ in platform.stripe.sends}) == 4


@pytest.mark.parametrize("same_process", [True, False])
async def test_another_payload_under_the_same_id_is_refused(
    platform: Platform, same_process: bool
) -> None:
    process = platform.process()
    await process.create()
    other = process if same_process else platform.process()
    with pytest.raises(InvalidArgument) as refusal:
        await other.create(fields=CustomerFields(name="Bob"))
    assert refusal.value.reason is Reason.REQUEST_ID_REUSED
    assert len(platform.stripe.sends) == 1


async def test_another_payload_is_refused_while_the_first_runs(platform: Platform) -> None:
    process, gate = platform.process(), Gate("stripe.request")
    platform.stripe.pause = gate
    first = asyncio.create_task(process.create())
    await gate.reached.wait()
    with pytest.raises(InvalidArgument):
        await process.create(fields=CustomerFields(name="Bob"))
    gate.open.set()
    await first


@pytest.mark.parametrize("request_id", ["", "a" * 65, "a b", "é", "a\n", "a/b"])
async def test_request_ids_that_are_none(platform: Platform, request_id: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await platform.process().create(request_id)
    assert [violation.field for violation in refusal.value.violations] == ["request_id"]


async def test_a_hundred_equal_calls_at_once_are_one_send(platform: Platform) -> None:
    process = platform.process()
    replies = await asyncio.gather(*(process.create() for _ in range(100)))
    assert len(set(map(repr, replies))) == 1
    assert len(platform.stripe.sends) == 1


async def test_a_request_in_flight_in_another_process_is_aborted(platform: Platform) -> None:
    gate = Gate("stripe.request")
    platform.stripe.pause = gate
    first = asyncio.create_task(platform.process().create())
    await gate.reached.wait()
    with pytest.raises(Conflict) as refusal:
        await platform.process().create()
    assert refusal.value.reason is Reason.REQUEST_IN_FLIGHT
    gate.open.set()
    assert (await first).name == "Ada"


async def test_when_the_deadline_passes_the_mutation_still_finishes(platform: Platform) -> None:
    gate, process = Gate("stripe.answer"), platform.process()
    platform.stripe.pause = gate
    deadline = asyncio.get_running_loop().time() + 0.1
    with pytest.raises(OutcomeUnknown) as unknown:
        await process.create(caller=Caller("service", "acme", frozenset(), "", deadline))
    assert unknown.value.metadata == {"request_id": "r-1"}
    gate.open.set()
    assert await process.tasks.drain(5.0) == 0
    assert platform.record.state is MutationState.DONE
    assert (await process.create()).id == "cus_1"
    assert len(platform.stripe.sends) == 1


async def test_a_caller_who_goes_leaves_the_mutation_running(platform: Platform) -> None:
    gate, process = Gate("stripe.answer"), platform.process()
    platform.stripe.pause = gate
    call = asyncio.create_task(process.create())
    await gate.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.open.set()
    await process.tasks.drain(5.0)
    assert platform.record.state is MutationState.DONE


async def test_a_mutation_cut_short_by_the_end_of_the_process_is_unknown(
    platform: Platform,
) -> None:
    gate, process = Gate("stripe.answer"), platform.process()
    platform.stripe.pause = gate
    call = asyncio.create_task(process.create())
    await gate.reached.wait()
    assert await process.tasks.drain(0.01) == 1
    with pytest.raises(OutcomeUnknown):
        await call
    platform.stripe.pause = no_pause
    assert await settle(platform) == 1
    assert list(platform.stripe.customers) == ["cus_1"]


@pytest.mark.parametrize("where", ["stripe.request", "stripe.answer", "log.save_step"])
async def test_a_run_that_is_cut_leaves_nobody_waiting_for_its_lease(
    platform: Platform, where: str
) -> None:
    gate, process = Gate(where), platform.process()
    platform.pause(gate)
    call = asyncio.create_task(process.create())
    await gate.reached.wait()
    platform.pause(no_pause)
    assert await process.tasks.drain(0.01) == 1
    with pytest.raises(OutcomeUnknown):
        await call
    assert (await platform.process().create()).id == "cus_1"
    assert list(platform.stripe.customers) == ["cus_1"]


async def test_a_run_that_is_cut_is_carried_on_at_once(platform: Platform) -> None:
    gate, process = Gate("stripe.answer"), platform.process()
    platform.stripe.pause = gate
    call = asyncio.create_task(process.create())
    await gate.reached.wait()
    await process.tasks.drain(0.01)
    with pytest.raises(OutcomeUnknown):
        await call
    platform.stripe.pause = no_pause
    assert await platform.process().mutations.recover() == 1
    assert list(platform.stripe.customers) == ["cus_1"]


async def test_a_store_that_does_not_answer_holds_no_end_up(platform: Platform) -> None:
    gate, process = Gate("stripe.answer"), platform.process()
    platform.stripe.pause = gate
    call = asyncio.create_task(process.create())
    await gate.reached.wait()

    async def down(_: str) -> None:
        raise store_down()

    platform.log.pause = down
    assert await process.tasks.drain(0.01) == 1
    with pytest.raises(OutcomeUnknown):
        await call


async def test_a_run_is_bounded(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "BOUND", mutations.BOUND * 0.0005)
    platform.stripe.pause = Gate("stripe.answer")
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()


@pytest.mark.parametrize(
    "failure",
    [
        InvalidArgument([FieldViolation("customer.email", "Stripe refuses it")]),
        NotFound("customer", "cus_9"),
        PaymentDeclined("declined", decline_code="insufficient_funds"),
        FailedPrecondition(Reason.STRIPE_REFUSED, "no"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_definite_failure_is_stored_and_met_again(
    platform: Platform, failure: BillingError
) -> None:
    platform.stripe.outcomes = [failure]
    for _ in range(2):
        with pytest.raises(type(failure)) as met:
            await platform.process().create()
        assert (met.value.reason, str(met.value)) == (failure.reason, str(failure))
    assert len(platform.stripe.sends) == 1
    assert await settle(platform) == 0


@pytest.mark.parametrize(
    "refusal",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "401"),
        FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "403"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "429", retry_after_seconds=1),
    ],
    ids=str,
)
async def test_a_refusal_unexecuted_leaves_the_request_open(
    platform: Platform, refusal: BillingError
) -> None:
    platform.stripe.refusals = [refusal]
    with pytest.raises(type(refusal)):
        await platform.process().create()
    platform.clock.instant += KEY_LIFETIME * 2
    assert await settle(platform) == 0  # nothing was sent: nobody but the caller goes on
    assert (await platform.process().create()).id == "cus_1"
    assert platform.stripe.finds == []  # a fresh try, whatever its age


async def test_a_refusal_of_a_later_send_leaves_the_outcome_unknown(platform: Platform) -> None:
    platform.stripe.pause = Failing({1: Unanswered("cut")})
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    platform.stripe.refusals = [
        RateLimited(Reason.STRIPE_RATE_LIMITED, "429", retry_after_seconds=1)
    ]
    with pytest.raises(OutcomeUnknown):
        await platform.process().create()
    assert await settle(platform) == 1


async def test_without_a_connection_nothing_is_stored(platform: Platform) -> None:
    platform.repository.kept.clear()
    with pytest.raises(FailedPrecondition):
        await platform.process().create()
    assert platform.log.records == {}
    await platform.repository.put(CONNECTION)
    assert (await platform.process().create()).id == "cus_1"


async def test_the_answer_is_mirrored_before_it_is_given(platform: Platform) -> None:
    process = platform.process()
    created = await process.create()
    assert (await process.customers.get(CALLER, created.id)).customer == created
    platform.clock.advance(milliseconds=5)
    change = UpdateCustomer(created.id, CustomerFields(name="Countess"))
    updated = await process.customers.update(CALLER, "r-2", change)
    assert await process.customers.get(CALLER, created.id) == updated
    platform.clock.advance(milliseconds=5)
    await process.customers.delete(CALLER, "r-3", created.id)
    with pytest.raises(NotFound):
        await process.customers.get(CALLER, created.id)


async def test_an_answer_overtaken_by_an_event_is_settled_by_a_read(platform: Platform) -> None:
    process = platform.process()
    created = await process.create()
    process.mutations._objects = cast("ObjectReader", Reread(platform))
    now_ms = to_milliseconds(platform.clock.now())
    second = now_ms // 1000 * 1000
    late = Snapshot(
        "acct_1", created.id, Version.of_event(second, known_at_ms=now_ms + 60_000), created
    )
    await MirrorWriter(platform.mirror).observe(CUSTOMERS, [late])
    change = UpdateCustomer(created.id, CustomerFields(name="Countess"))
    updated = await process.customers.update(CALLER, "r-2", change)
    assert await process.customers.get(CALLER, created.id) == updated


class Reread:
    """Reads a customer of the platform's, much later."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def read(self, _noun: Any, stripe_account: str, object_id: str, **_: Any) -> Any:
        self._platform.clock.advance(minutes=2)
        now_ms = to_milliseconds(self._platform.clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=1, sent_at_ms=now_ms)
        return Snapshot(
            stripe_account, object_id, version, self._platform.stripe.customers[object_id]
        )


async def test_finding_it_deleted_already_is_success(platform: Platform) -> None:
    process = platform.process()
    await process.create()
    for request_id in ("r-2", "r-3"):
        await process.customers.delete(CALLER, request_id, "cus_1")
    assert platform.mirrored() is None


def test_a_method_is_declared_once(platform: Platform) -> None:
    process = platform.process()
    with pytest.raises(ValueError, match="declared twice"):
        process.mutations.method(
            "CustomerService.CreateCustomer",
            CustomerFields,
            Customer,
            process.customers._create_steps,
        )


async def test_a_revoked_connection_sends_nothing(platform: Platform) -> None:
    await platform.repository.put(
        Connection(
            "acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON, ConnectionState.REVOKED
        )
    )
    with pytest.raises(FailedPrecondition):
        await platform.process().create()
    assert platform.stripe.sends == []
