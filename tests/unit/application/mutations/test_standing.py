"""How an object stands before a step is sent, and after a step that does not answer with it."""

import datetime as dt
import uuid
from dataclasses import replace

import pytest

from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.mutations.ports import Lease, MutationKey, MutationRecord
from application.mutations.steps import Steps
from domain.customers import Customer
from domain.errors import (
    BillingError,
    FailedPrecondition,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror

OLD = Customer("cus_1", NOON, name="Old")
NEW = replace(OLD, name="New")


class StandingOnFakes:
    """A mutation's steps, where Stripe knows `cus_1` and the mirror an older state of it."""

    def __init__(self) -> None:
        self.clock = clock = FakeClock()
        self.mirror = FakeMirror()
        self.there: dict[str, Customer] = {"cus_1": NEW}
        self.objects = FakeObjects(clock, lambda id_: self.there.get(id_))
        self.writer = MirrorWriter(self.mirror)
        record = MutationRecord(MutationKey("acme", "M", "r-1"), "acct_1", b"", "", clock.now())
        lease = Lease(uuid.uuid4().hex, clock.now() + dt.timedelta(minutes=1))
        self.steps = Steps(FakeMutationLog(), self.writer, clock, record, lease, self.objects)

    async def mirrored(self, customer: Customer) -> None:
        """Put a customer into the mirror as an old event told it."""
        told = Snapshot("acct_1", customer.id, Version.of_event(1), customer)
        await self.writer.observe(CUSTOMERS, [told])

    async def row(self) -> Customer | None:
        """The customer in the mirror; None for a deleted one."""
        rows = await self.writer.rows(CUSTOMERS, [("acct_1", "cus_1")])
        snapshot = rows["acct_1", "cus_1"].snapshot
        assert snapshot is not None
        return snapshot.object


@pytest.fixture
def desk() -> StandingOnFakes:
    return StandingOnFakes()


async def test_what_stands_at_stripe_counts_whatever_the_mirror_has(desk: StandingOnFakes) -> None:
    await desk.mirrored(OLD)
    assert await desk.steps.standing(CUSTOMERS, "cus_1") == NEW
    assert not desk.steps.sent, "a read changes nothing"


@pytest.mark.parametrize(("name", "reads"), [("Old", []), ("Older", ["cus_1"])])
async def test_a_row_that_settles_the_question_spares_the_read(
    desk: StandingOnFakes, name: str, reads: list[str]
) -> None:
    await desk.mirrored(OLD)
    standing = await desk.steps.standing(CUSTOMERS, "cus_1", settled=lambda row: row.name == name)
    assert (standing, desk.objects.reads) == (NEW if reads else OLD, reads)


async def test_an_object_that_the_mirror_lacks_is_read_whatever_would_settle_it(
    desk: StandingOnFakes,
) -> None:
    assert await desk.steps.standing(CUSTOMERS, "cus_1", settled=lambda _: True) == NEW


async def test_an_id_that_a_caller_made_up_is_not_found(desk: StandingOnFakes) -> None:
    with pytest.raises(NotFound):
        await desk.steps.standing(CUSTOMERS, "cus_never")


async def test_nobody_says_how_an_object_stands_while_stripe_does_not(
    desk: StandingOnFakes,
) -> None:
    await desk.mirrored(OLD)
    desk.objects.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "no answer")
    with pytest.raises(Unavailable):
        await desk.steps.standing(CUSTOMERS, "cus_1")


async def test_an_object_that_a_step_changed_is_read_back(desk: StandingOnFakes) -> None:
    await desk.mirrored(OLD)
    await desk.steps.read_back(CUSTOMERS, "cus_1")
    assert await desk.row() == NEW
    desk.there.clear()
    await desk.steps.read_back(CUSTOMERS, "cus_1")
    assert await desk.row() is None, "it is gone, and so the mirror says"


async def test_an_event_that_comes_in_while_an_object_is_read_back_has_it_read_again(
    desk: StandingOnFakes,
) -> None:
    now_ms = to_milliseconds(desk.clock.now())
    version = Version.of_event(now_ms // 1_000 * 1_000, known_at_ms=now_ms + 60_000)

    async def event_comes_in(_: str) -> None:
        if desk.objects.reads:
            desk.clock.advance(seconds=61)
        else:
            await desk.writer.observe(CUSTOMERS, [Snapshot("acct_1", "cus_1", version, OLD)])

    desk.objects.pause = event_comes_in
    await desk.steps.read_back(CUSTOMERS, "cus_1")
    assert (desk.objects.reads, await desk.row()) == (["cus_1", "cus_1"], NEW)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
        Unavailable(Reason.STRIPE_UNAVAILABLE, "no answer"),
        FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "no access", subject="connection"),
        NotFound("customer", "cus_1"),
    ],
    ids=lambda error: error.reason.value,
)
async def test_a_step_is_done_though_its_object_cannot_be_read_back(
    desk: StandingOnFakes, error: BillingError
) -> None:
    await desk.mirrored(OLD)
    desk.objects.error = error
    await desk.steps.read_back(CUSTOMERS, "cus_1")
    assert await desk.row() == OLD
