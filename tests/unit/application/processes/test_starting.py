"""An RPC begins a process, once, and answers with how it stands however late it is asked again."""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import KEPT, Mutations
from application.mutations.steps import LEASE, Steps
from application.processes.ports import ProcessRecord
from application.processes.starting import Frozen, ProcessMethod
from domain.connections import Mode
from domain.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Reason
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.stores import Failing, FakeConnections, FakeStripeAccounts, no_pause
from tests.support.rooms.mutations import CALLER, CONNECTION
from tests.support.rooms.processes import TransferWorld
from tests.support.rooms.transfers import Terms


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks for."""

    name: str


class Asking:
    """Callers of a method that begins transfers."""

    def __init__(self) -> None:
        self.world, self.log = TransferWorld(), FakeMutationLog()
        self.frozen = 0
        self.claims: tuple[str, ...] = ()
        self.begun_by: Callable[[Wish], str] | None = None
        self.refusal: Exception | None = None

    def method(self) -> tuple[Mutations, ProcessMethod[Wish, Terms]]:
        """The method, in a process of the service of its own."""
        world = self.world
        connections = Connections(
            FakeConnections(CONNECTION), FakeStripeAccounts(), world.mirror, world.clock, Mode.TEST
        )
        writer = MirrorWriter(world.mirror)
        mutations = Mutations(self.log, connections, writer, world.clock, Tasks(), world.objects)
        return mutations, ProcessMethod(
            "Transfers.Begin", Wish, world.transfers, self._freeze, mutations=mutations,
            processes=world.service(), clock=world.clock, begun_by=self.begun_by,
        )  # fmt: skip

    async def ask(self, name: str = "Ada", request_id: str = "r-1") -> ProcessRecord:
        return await self.method()[1].run(CALLER, request_id, Wish(name))

    async def _freeze(self, steps: Steps, wish: Wish) -> Frozen[Terms]:
        self.frozen += 1
        if self.refusal is not None:
            raise self.refusal
        terms = Terms(wish.name, waits=wish.name == "Waits")
        return Frozen(terms, steps.stripe_account, self.claims)


@pytest.fixture
def asking() -> Asking:
    return Asking()


async def test_the_first_call_makes_it_and_carries_it_on(asking: Asking) -> None:
    record = await asking.ask()
    assert (record.progress.state, record.stripe_account) == ("completed", "acct_1")
    assert (record.account, record.key.request_id) == ("acme", "r-1")
    assert record == asking.world.record


async def test_a_repeat_answers_with_the_process_as_it_stands_by_then(asking: Asking) -> None:
    assert (await asking.ask("Waits")).progress.state == "awaiting_customer"
    assert (await asking.ask("Waits")).progress.state == "awaiting_customer"
    await asking.world.paid()
    await asking.world.later(dt.timedelta())
    assert (await asking.ask("Waits")).progress.state == "completed"
    asking.world.clock.instant += KEPT * 2
    await asking.method()[0].recover()
    assert asking.log.records == {}
    assert (await asking.ask("Waits")).progress.state == "completed", "long after the mutation"
    assert (asking.frozen, len(asking.world.sends)) == (1, 3)


async def test_what_begins_one_process_begins_no_other_under_another_id(asking: Asking) -> None:
    asking.begun_by = lambda wish: wish.name
    record = await asking.ask("Ada", "r-1")
    assert record.key.request_id == "Ada"
    assert (await asking.ask("Ada", "r-1")).id == record.id
    with pytest.raises(AlreadyExists) as caught:
        await asking.ask("Ada", "r-2")
    assert caught.value.metadata == {"process": record.id}
    assert (asking.frozen, len(asking.world.sends)) == (1, 3)


async def test_of_two_at_once_one_begins_it(asking: Asking) -> None:
    asking.begun_by = lambda wish: wish.name
    _, method = asking.method()
    asks = (method.run(CALLER, f"r-{number}", Wish("Ada")) for number in range(9))
    answers = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(one, ProcessRecord) for one in answers) == 1
    assert sum(isinstance(one, AlreadyExists) for one in answers) == 8


async def test_another_wish_under_a_used_id_is_refused_however_late(asking: Asking) -> None:
    await asking.ask()
    for _ in range(2):
        with pytest.raises(InvalidArgument) as caught:
            await asking.ask("Eve")
        assert caught.value.reason is Reason.REQUEST_ID_REUSED
        asking.world.clock.instant += KEPT * 2
        await asking.method()[0].recover()
    with pytest.raises(InvalidArgument) as caught:
        await asking.ask(request_id="no/slash")
    assert caught.value.reason is Reason.INVALID_FIELDS


async def test_what_cannot_be_frozen_makes_no_process(asking: Asking) -> None:
    asking.refusal = FailedPrecondition(Reason.WRONG_STATE, "no method", subject="x")
    for _ in range(2):
        with pytest.raises(FailedPrecondition):
            await asking.ask()
    assert (asking.frozen, asking.world.log.kept) == (1, {})


async def test_a_claim_of_an_open_process_refuses_another_and_names_it(asking: Asking) -> None:
    asking.claims = ("cart/1",)
    first = await asking.ask("Waits")
    for _ in range(2):
        with pytest.raises(AlreadyExists) as caught:
            await asking.ask("Waits", "r-2")
        assert caught.value.metadata == {"process": first.id}
    await asking.world.paid()
    await asking.world.later(dt.timedelta())
    assert (await asking.ask("Ada", "r-3")).progress.state == "completed"


async def test_equal_calls_at_once_begin_one(asking: Asking) -> None:
    method = asking.method()[1]
    records = await asyncio.gather(*(method.run(CALLER, "r-1", Wish("Ada")) for _ in range(50)))
    assert {record.id for record in records} == {asking.world.record.id}
    assert (asking.frozen, len(asking.world.sends)) == (1, 3)


async def test_wherever_its_call_dies_it_comes_to_its_end() -> None:
    places = 0
    while True:
        one = Asking()
        failing = Failing({places: asyncio.CancelledError()})
        one.world.pause(failing)
        one.log.pause = failing
        await asyncio.gather(one.ask(), return_exceptions=True)
        if len(failing.calls) <= places:
            break
        one.world.pause(no_pause)
        one.log.pause = no_pause
        one.world.clock.instant += LEASE
        if not one.log.records:
            await one.ask()
        await one.method()[0].recover()
        await one.world.until_it_rests()
        assert (await one.ask()).progress.state == "completed", places
        assert len(one.world.stripe.customers) == 2
        places += 1
    assert places > 25
