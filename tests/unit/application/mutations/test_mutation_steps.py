"""What the steps of a mutation may rely on: refusals that stay, names that stay, no connection."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.mutations.failures import decode_failure, encode_failure
from application.mutations.mutations import RETRY_UNKNOWN, Mutation, Mutations
from application.mutations.steps import LEASE, Steps
from application.mutations.stripe import Call, Unanswered
from domain.connections import Mode
from domain.customers import Customer
from domain.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeLost,
    OutcomeUnknown,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
    WrongState,
)
from domain.mirror import Snapshot, Version
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    Failing,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
    no_pause,
)
from tests.support.rooms.mutations import CALLER, CONNECTION

REFUSAL: Final = PaymentDeclined("use another card", decline_code="lost_card")


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    name: str


@dataclass(frozen=True, slots=True)
class Token:
    """Something of Stripe's that is not mirrored."""

    id: str


class StepsOnFakes:
    """A mutation that makes a customer, has something of it refused, and takes it back."""

    def __init__(self) -> None:
        self.clock, self.log, self.mirror = FakeClock(), FakeMutationLog(), FakeMirror()
        self.sent: list[str] = []
        self.tags: list[str] = []
        self.refusals: list[Exception] = []
        self.runs = 0

    def process(self, *, connected: bool = True) -> tuple[Mutations, Mutation[Order, Token]]:
        connections = Connections(
            FakeConnections(*([CONNECTION] if connected else [])), FakeStripeAccounts(),
            self.mirror, self.clock, Mode.TEST,
        )  # fmt: skip
        mutations = Mutations(
            self.log,
            connections,
            MirrorWriter(self.mirror),
            self.clock,
            Tasks(),
            FakeObjects(self.clock),
        )
        return mutations, mutations.method(
            "StepsOnFakes.Order", Order, Token, self._steps if connected else self._alone,
            connected=connected,
        )  # fmt: skip

    async def recover(self) -> int:
        self.clock.instant += RETRY_UNKNOWN * 4
        return await self.process()[0].recover()

    async def _steps(self, steps: Steps, order: Order) -> Token:
        self.runs += 1
        await steps.call("create", CUSTOMERS, order, self._create, self._never)
        try:
            return await steps.call_unmirrored("charge", Token, order, self._charge, self._nothing)
        except PaymentDeclined:
            await steps.call("delete", CUSTOMERS, order, self._delete, self._never)
            raise

    async def _alone(self, steps: Steps, order: Order) -> Token:
        self.runs += 1
        self.tags.append(steps.tag("note"))
        assert (steps.account, steps.stripe_account) == ("acme", "")
        assert steps.started_at == NOON
        return Token(order.name)

    async def _create(self, _: Call, params: Order) -> Snapshot[Customer]:
        self.sent.append("create")
        return self._snapshot(Customer("cus_1", NOON, name=params.name))

    async def _charge(self, *_: object) -> Token:
        self.sent.append("charge")
        if self.refusals:
            raise self.refusals.pop(0)
        return Token("tok_1")

    async def _delete(self, *_: object) -> Snapshot[Customer]:
        self.sent.append("delete")
        return self._snapshot(None)

    async def _never(self, *_: object) -> Snapshot[Customer] | None:
        raise AssertionError("nothing is to be looked for")

    async def _nothing(self, *_: object) -> Token | None:
        return None

    def _snapshot(self, customer: Customer | None) -> Snapshot[Customer]:
        number = len(self.sent)
        return Snapshot("acct_1", "cus_1", Version.of_event(number * 10_000), customer)


@pytest.fixture
def desk() -> StepsOnFakes:
    return StepsOnFakes()


async def run(desk: StepsOnFakes, *, connected: bool = True) -> Token:
    return await desk.process(connected=connected)[1].run(CALLER, "r-1", Order("Ada"))


async def test_a_refusal_is_followed_by_what_takes_the_rest_back(desk: StepsOnFakes) -> None:
    desk.refusals = [REFUSAL]
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as caught:
            await run(desk)
        assert caught.value.decline_code == "lost_card"
    assert desk.sent == ["create", "charge", "delete"]


async def test_a_refusal_stays_one_where_taking_back_was_cut_short(desk: StepsOnFakes) -> None:
    desk.refusals = [REFUSAL]  # asked again, it would be granted
    places = 0
    while True:
        one = StepsOnFakes()
        one.refusals = [REFUSAL]
        one.log.pause = one.mirror.pause = Failing({places: asyncio.CancelledError()})
        (told,) = await asyncio.gather(run(one), return_exceptions=True)
        if isinstance(told, PaymentDeclined):
            break
        places += 1
        one.log.pause = one.mirror.pause = no_pause
        await one.recover()
        (told,) = await asyncio.gather(run(one), return_exceptions=True)
        if one.sent.count("charge") > 1:  # cut before the refusal was written down
            assert isinstance(told, Token)
            assert "delete" not in one.sent
        else:
            assert isinstance(told, PaymentDeclined), (places, told)
            assert one.sent[-1] == "delete"
    assert places > 10


async def test_no_answer_is_no_refusal(desk: StepsOnFakes) -> None:
    desk.refusals = [Unanswered("cut")]
    with pytest.raises(OutcomeUnknown):
        await run(desk)
    assert await desk.recover() == 1
    assert desk.sent == ["create", "charge", "charge"]
    assert await run(desk) == Token("tok_1")


async def test_what_is_not_mirrored_is_kept_and_not_asked_for_again(desk: StepsOnFakes) -> None:
    assert [await run(desk), await run(desk)] == [Token("tok_1")] * 2
    assert desk.sent == ["create", "charge"]


async def test_what_needs_no_stripe_needs_no_connection(desk: StepsOnFakes) -> None:
    mutations = desk.process(connected=False)[0]
    other = mutations.method("StepsOnFakes.Other", Order, Token, desk._alone)
    with pytest.raises(FailedPrecondition) as caught:
        await other.run(CALLER, "r-1", Order("Ada"))
    assert caught.value.reason is Reason.STRIPE_NOT_CONNECTED
    assert await run(desk, connected=False) == Token("Ada")
    assert await run(desk, connected=False) == Token("Ada")
    assert desk.runs == 1


async def test_a_mutation_names_what_it_makes_the_same_in_each_run(desk: StepsOnFakes) -> None:
    desk.log.pause = Failing({2: asyncio.CancelledError()})  # it dies as it writes its reply
    with pytest.raises(OutcomeUnknown):
        await run(desk, connected=False)
    desk.log.pause = no_pause
    desk.clock.instant += LEASE
    assert await run(desk, connected=False) == Token("Ada")
    assert len(desk.tags) == 2
    assert len(set(desk.tags)) == 1


async def test_a_step_knows_whether_it_was_sent() -> None:
    desk = StepsOnFakes()
    mutations = desk.process()[0]
    seen: list[bool] = []

    async def guarded(steps: Steps, order: Order) -> Token:
        seen.append(steps.was_sent("charge"))
        return await steps.call_unmirrored("charge", Token, order, desk._charge, desk._nothing)

    desk.refusals = [Unanswered("cut")]
    mutation = mutations.method("StepsOnFakes.Guarded", Order, Token, guarded)
    with pytest.raises(OutcomeUnknown):
        await mutation.run(CALLER, "r-1", Order("Ada"))
    await mutation.run(CALLER, "r-1", Order("Ada"))
    assert seen == [False, True]


def test_a_refusal_is_told_again_with_all_that_it_told() -> None:
    """Stripe's request id is what the support of Stripe asks for."""
    for error in (
        NotFound("invoice", "in_1"),
        InvalidArgument([FieldViolation("items[0].price", "names nothing")]),
        PaymentDeclined("use another card", decline_code="lost_card"),
        WrongState("invoice", "in_1", "paid"),
        FailedPrecondition(Reason.STRIPE_REFUSED, "no", subject="stripe"),
    ):
        error.metadata["stripe_request_id"] = "req_1"
        again = decode_failure(encode_failure(error))
        assert (type(again), vars(again)) == (type(error), vars(error))


def test_a_wrong_state_is_told_again_as_it_was() -> None:
    error = cast("Any", decode_failure(encode_failure(WrongState("invoice", "in_1", "paid"))))
    assert isinstance(error, WrongState)
    assert error.metadata == {"resource": "invoice", "id": "in_1", "state": "paid"}
    assert (error.state, error.subject) == ("paid", "invoice")


@dataclass(frozen=True, slots=True)
class Secretive:
    """An answer that must not be kept."""

    id: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class Nested:
    """One that hides it."""

    inner: list[Secretive]


async def stepping(desk: StepsOnFakes, steps: Any, request_id: str = "r-1") -> Token:
    """Run a mutation of these steps, in a process of its own."""
    mutation = desk.process()[0].method("StepsOnFakes.Steps", Order, Token, steps)
    return await mutation.run(CALLER, request_id, Order("Ada"))


@pytest.mark.parametrize("answer_type", [Secretive, Nested])
async def test_no_answer_with_a_client_secret_is_kept_nor_asked_for(
    desk: StepsOnFakes, answer_type: Any
) -> None:
    async def steps(steps: Steps, order: Order) -> Token:
        with pytest.raises(TypeError, match="client_secret"):
            await steps.call_unmirrored("a", answer_type, order, desk._charge, desk._nothing)
        with pytest.raises(TypeError, match="client_secret"):
            await steps.known("b", answer_type, desk._charge)
        with pytest.raises(TypeError, match="client_secret"):
            await steps.once("c", answer_type, order, desk._charge)
        return Token("none")

    assert await stepping(desk, steps) == Token("none")
    assert desk.sent == []


async def test_a_step_acts_on_the_stripe_account_that_it_names_under_a_key_of_its_own(
    desk: StepsOnFakes,
) -> None:
    calls: list[Call] = []

    async def send(call: Call, _: Order) -> Token:
        calls.append(call)
        if len(calls) < 3:
            raise Unanswered("cut")
        return Token(call.stripe_account)

    async def steps(steps: Steps, order: Order) -> Token:
        # Whatever is wanted later, what was sent to an account is asked for there again.
        other = steps.at("acct_2" if len(calls) < 2 else "acct_3")
        assert other.account == steps.account
        return await other.call_unmirrored("pay", Token, order, send, desk._nothing)

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await stepping(desk, steps)
    assert await stepping(desk, steps) == Token("acct_2")
    assert len(set(calls)) == 1
    (logged,) = desk.log.records.values()
    assert logged.record.steps["pay"].stripe_account == "acct_2"


async def test_what_changed_our_own_store_alone_is_carried_on_too(desk: StepsOnFakes) -> None:
    posted: list[str] = []

    async def steps(steps: Steps, order: Order) -> Token:
        async def post() -> Token:
            posted.append(steps.tag("post"))
            return Token("entry_1")

        entry = await steps.own("post", Token, post)
        await steps.call_unmirrored("charge", Token, order, desk._charge, desk._nothing)
        return entry

    desk.refusals = [RateLimited(Reason.STRIPE_RATE_LIMITED, "later", retry_after_seconds=1)]
    with pytest.raises(OutcomeUnknown):
        await stepping(desk, steps)
    (logged,) = desk.log.records.values()
    assert logged.retry_at is not None
    assert await stepping(desk, steps) == Token("entry_1")
    assert len(posted) == 1


async def test_a_change_of_our_own_that_was_cut_is_made_again_under_its_key() -> None:
    places = 0
    while True:
        one, posted = StepsOnFakes(), []

        async def steps(steps: Steps, _: Order, posted: list[str] = posted) -> Token:
            async def post() -> Token:
                posted.append(steps.tag("post"))
                return Token("entry_1")

            return await steps.own("post", Token, post)

        one.log.pause = Failing({places: asyncio.CancelledError()})
        (told,) = await asyncio.gather(stepping(one, steps), return_exceptions=True)
        if isinstance(told, Token):
            break
        places += 1
        one.log.pause = no_pause
        one.clock.instant += LEASE
        assert await stepping(one, steps) == Token("entry_1")
        assert len(set(posted)) == 1
    assert places > 5


async def test_a_refusal_by_our_own_store_stays_one(desk: StepsOnFakes) -> None:
    asked: list[int] = []

    async def steps(steps: Steps, _: Order) -> Token:
        async def post() -> Token:
            asked.append(1)
            raise REFUSAL

        try:
            return await steps.own("post", Token, post)
        except PaymentDeclined:
            with pytest.raises(PaymentDeclined):
                await steps.own("post", Token, post)
            raise

    with pytest.raises(PaymentDeclined):
        await stepping(desk, steps)
    assert len(asked) == 1


async def test_what_works_once_is_never_sent_again_and_its_lost_answer_is_told_for_good() -> None:
    places = 0
    while True:
        one = StepsOnFakes()

        async def steps(steps: Steps, order: Order, one: StepsOnFakes = one) -> Token:
            return await steps.once("redeem", Token, order, one._charge)

        one.log.pause = Failing({places: asyncio.CancelledError()})
        (first,) = await asyncio.gather(stepping(one, steps), return_exceptions=True)
        one.log.pause = no_pause
        one.clock.instant += LEASE
        (second,) = await asyncio.gather(stepping(one, steps), return_exceptions=True)
        (third,) = await asyncio.gather(stepping(one, steps), return_exceptions=True)
        assert len(one.sent) <= 1
        assert repr(second) == repr(third)
        assert isinstance(second, Token | OutcomeLost)
        assert isinstance(second, Token) or places
        (logged,) = one.log.records.values()
        assert b"Ada" not in logged.record.steps["redeem"].params
        if isinstance(first, Token):
            break
        places += 1
    assert places > 5


async def test_what_works_once_and_was_surely_not_sent_is_sent(desk: StepsOnFakes) -> None:
    async def steps(steps: Steps, order: Order) -> Token:
        return await steps.once("redeem", Token, order, desk._charge)

    desk.refusals = [Unavailable(Reason.STRIPE_UNAVAILABLE, "no connection")]
    with pytest.raises(Unavailable):
        await stepping(desk, steps)
    assert await stepping(desk, steps) == Token("tok_1")
    desk.refusals = [Unanswered("cut")]
    for _ in range(2):
        with pytest.raises(OutcomeLost):
            await stepping(desk, steps, "r-2")
    assert len(desk.sent) == 3
