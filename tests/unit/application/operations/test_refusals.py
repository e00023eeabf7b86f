"""What is refused for now is tried again; what no waiting can mend ends an operation."""

import pytest

from application.operations.run import LAST_PAUSE_SECONDS
from domain.errors import BillingError, FailedPrecondition, RateLimited, Reason, Unavailable
from domain.operations import OperationState
from tests.support.fakes.operations import (
    ACCOUNT,
    BACKFILL,
    CALLER,
    NewWorld,
    StripeAndStores,
    ended,
    slow,
    start,
)
from tests.support.fakes.stores import NOON


def refusing(world: StripeAndStores, error: BillingError | Exception, *, page: int = 2) -> None:
    """Let Stripe refuse every page but the first ones."""

    async def where(name: str) -> None:
        if name == "stripe.page" and len(world.stripe.asked) > page:
            raise error

    world.where = where


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "too fast", retry_after_seconds=7),
    ],
    ids=["unavailable", "rate limited"],
)
async def test_a_refused_one_is_neither_finished_nor_failed(
    new_world: NewWorld, error: BillingError
) -> None:
    world = new_world()
    refusing(world, error)
    process = world.process()
    await start(process)
    await world.time.elapse(3)
    found = await process.operations.get(CALLER, BACKFILL)
    assert found.state is OperationState.RUNNING
    assert (found.error_reason, found.error) == (error.reason, error.message)
    least = 7 if isinstance(error, RateLimited) else 5
    assert found.next_try_at is not None
    assert least <= (found.next_try_at - NOON).total_seconds() < least + 0.1
    assert found.progress.read == 6
    assert world.stored() == found, "other processes see it too"
    await world.time.elapse(3_600)
    assert (await process.operations.get(CALLER, BACKFILL)).state is OperationState.RUNNING
    pauses = [seconds for seconds in world.time.slept if seconds > 2]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PAUSE_SECONDS
    assert len(pauses) < 20
    slow(world)
    await world.time.until(lambda: ended(world))
    done = world.stored()
    assert (done.state, done.error, done.next_try_at) == (OperationState.SUCCEEDED, "", None)
    world.assert_right()


async def test_it_says_for_what_it_waits_from_the_first_refusal_on(new_world: NewWorld) -> None:
    """The work tries by itself for half a minute before the operation waits as a whole."""
    world = new_world()
    world.tries = 6
    refusing(world, Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer"))
    process = world.process()
    await start(process)
    for pause in (1, 2, 4):
        await world.time.elapse(pause - 0.5)
        found = await process.operations.get(CALLER, BACKFILL)
        assert (found.state, found.error) == (OperationState.RUNNING, "Stripe does not answer")
        assert found.next_try_at is not None
        assert found.next_try_at > world.time.clock.now()
        await world.time.elapse(0.5)
    slow(world)
    await world.time.until(lambda: ended(world))
    assert world.stored().error == ""


async def test_after_a_refusal_that_passed_the_pauses_are_short_again(new_world: NewWorld) -> None:
    world = new_world(customers=30)
    refused = 0

    async def where(name: str) -> None:
        nonlocal refused
        if name == "stripe.page" and len(world.stripe.asked) % 4 == 0:
            refused += 1
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "now and then")

    world.where = where
    await start(world.process())
    await world.time.until(lambda: ended(world))
    assert refused > 2
    assert {seconds for seconds in world.time.slept if seconds > 2} == {5.0}


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect it again"),
         "STRIPE_CONNECTION_REVOKED", "connect it again"),
        (RuntimeError("Xanthippe"), "INTERNAL", "a defect in Billing; the log tells more"),
    ],
    ids=["revoked", "defect"],
)  # fmt: skip
async def test_what_no_waiting_can_mend_fails(
    new_world: NewWorld, error: Exception, reason: str, words: str
) -> None:
    world = new_world()
    refusing(world, error)
    process = world.process()
    await start(process)
    await world.time.until(lambda: ended(world))
    failed = world.stored()
    assert failed.state is OperationState.FAILED
    assert (failed.error_reason, failed.error) == (reason, words)
    assert failed.finished_at is not None
    assert failed.progress.read == 6
    slow(world)
    again = await start(process)
    assert again.id != failed.id
    await world.time.until(lambda: ended(world))
    world.assert_right()


async def test_it_keeps_away_from_work_that_others_are_at(new_world: NewWorld) -> None:
    world = new_world(customers=60)
    slow(world)
    process = world.process()
    await start(process)
    await world.time.elapse(4)
    # Somebody takes the backfill over, as catch-up does to mend a gap, and goes on with it.
    theirs = await world.checkpoints.load(ACCOUNT, "backfill")
    for _ in range(10):
        theirs = await world.checkpoints.save(theirs, now=world.time.clock.now())
        await world.time.elapse(10)
    found = await process.operations.get(CALLER, BACKFILL)
    assert (found.state, found.error_reason) == (OperationState.RUNNING, "REQUEST_IN_FLIGHT")
    assert (await world.checkpoints.load(ACCOUNT, "backfill")).revision == theirs.revision
    await world.time.until(lambda: ended(world))
    assert world.stored().state is OperationState.SUCCEEDED
    world.assert_right()
