"""The work of a new capability: registered, and the engine knows nothing of its kind."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import pytest
from typing_extensions import override

from application.operations.work import Step, Work, begin_anew
from domain.errors import FailedPrecondition, Reason
from domain.operations import (
    ID_CHARACTERS,
    Operation,
    OperationKind,
    OperationOptions,
    OperationProgress,
    OperationState,
)
from tests.support.fakes.operations import ACCOUNT, CALLER, NewWorld, StripeAndStores
from tests.support.fakes.stores import store_down

KIND = OperationKind.LINK_CONTACTS
PAGES = 4


@dataclass
class Printing(Work):
    """Prints pages, one a second, and then the report. `calls` are what the engine has asked for.

    All that it has done is in the world: processes come and go.
    """

    world: StripeAndStores
    calls: list[str] = field(default_factory=list)
    printed: list[int] = field(default_factory=list)
    reported: str = ""
    error: Exception | None = None

    kind = KIND

    @override
    async def prepare(self, operation: Operation) -> None:
        self.calls.append("prepare")
        await begin_anew(self.world.checkpoints, operation, self.world.time.clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        self.calls.append("steps")
        checkpoint = await self.world.checkpoints.load(ACCOUNT, self.kind)
        for page in range(checkpoint.state.get("page", 0), PAGES):
            await self.world.time.sleep(1)
            if self.error is not None:
                raise self.error
            self.printed.append(page)
            kept = replace(checkpoint, state={"page": page + 1})
            checkpoint = await self.world.checkpoints.save(kept, now=self.world.time.clock.now())
            yield Step(OperationProgress(phase="print", read=page + 1, total=PAGES))
        self.reported = "report"
        await self.world.time.sleep(1)
        yield Step(OperationProgress(phase="print", read=PAGES, total=PAGES), self.reported)

    @override
    async def report(self, operation: Operation) -> str:
        return self.reported

    @override
    async def tidy(self, operation: Operation) -> None:
        self.calls.append("tidy")


def ended(world: StripeAndStores) -> bool:
    return world.stored(KIND).ended


async def test_it_is_prepared_followed_and_tidied_up_after(new_world: NewWorld) -> None:
    world = new_world()
    printing = Printing(world)
    process = world.process(works=[printing])
    begun = await process.operations.start(CALLER, KIND)
    assert len(begun.id) == ID_CHARACTERS
    await world.time.elapse(2.5)
    found = await process.operations.get(CALLER, KIND)
    assert (found.progress.phase, found.progress.read, found.progress.total) == ("print", 2, PAGES)
    await world.time.until(lambda: ended(world))
    done = world.stored(KIND)
    assert (done.state, done.report_id) == (OperationState.SUCCEEDED, "report")
    assert printing.calls == ["prepare", "steps", "tidy"]


async def test_the_next_process_goes_on_and_prepares_nothing(new_world: NewWorld) -> None:
    world = new_world()
    printing = Printing(world)
    process = world.process(works=[printing])
    await process.operations.start(CALLER, KIND)
    await world.time.elapse(2.5)
    await process.stop()
    world.process(works=[printing]).run()
    await world.time.until(lambda: ended(world))
    assert printing.printed == list(range(PAGES))
    assert printing.calls == ["prepare", "steps", "steps", "tidy"]


async def test_what_is_reported_already_is_not_done_again(new_world: NewWorld) -> None:
    world = new_world()
    printing = Printing(world)
    process = world.process(works=[printing])
    await process.operations.start(CALLER, KIND)
    await world.time.until(lambda: bool(printing.reported))
    await process.stop()
    assert not ended(world)
    world.process(works=[printing]).run()
    await world.time.until(lambda: ended(world))
    assert world.stored(KIND).report_id == "report"
    assert printing.calls == ["prepare", "steps", "tidy"]


async def test_what_no_waiting_mends_ends_it_and_what_waiting_mends_does_not(
    new_world: NewWorld,
) -> None:
    world = new_world()
    printing = Printing(world, error=store_down())
    process = world.process(works=[printing])
    await process.operations.start(CALLER, KIND)
    await world.time.elapse(60)
    assert world.stored(KIND).state is OperationState.RUNNING
    printing.error = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect it again")
    await world.time.until(lambda: ended(world))
    assert world.stored(KIND).error_reason == Reason.STRIPE_CONNECTION_REVOKED
    assert printing.calls[-1] == "tidy"


async def test_cancelled_it_is_tidied_up_after(new_world: NewWorld) -> None:
    world = new_world()
    printing = Printing(world)
    process = world.process(works=[printing])
    await process.operations.start(CALLER, KIND)
    await world.time.elapse(2.5)
    await process.operations.cancel(CALLER, KIND)
    assert printing.calls.count("tidy") >= 1
    assert len(printing.printed) == 2


@pytest.mark.parametrize("kind", list(OperationKind))
async def test_each_kinds_own_work_keeps_a_checkpoint_of_that_name(
    new_world: NewWorld, kind: OperationKind
) -> None:
    """By it is known that the same work is being done elsewhere."""
    world = new_world()
    options = OperationOptions(account="acme")
    await world.process().operations.start(CALLER, kind, options)
    await world.time.until(lambda: world.stored(kind).ended)
    assert world.stored(kind).state is OperationState.SUCCEEDED
    assert (ACCOUNT, kind.value) in world.checkpoints.kept
    assert await world.log().is_elsewhere(world.stored(kind))
