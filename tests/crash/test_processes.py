"""A process is killed before and after each of its steps and writes: all of its effects, or none.

The process is the toy of `tests/support/rooms/transfers.py`, on two Stripe accounts of an emulator;
its entries are jobs. Each life ends with SIGKILL at one point; the last one carries on all that was
left. Then the emulator's customers and our jobs are compared with what each process says of itself.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import stripe

from application.processes.ports import ProcessRecord
from sandbox.emulator.core.messages import AccountSpec, FaultSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from tests.contract.samples import NOON
from tests.crash.brood import KILLED, Brood, brood, every_point, prepared
from tests.crash.forks import News, opened
from tests.crash.kill_points import KillPoint
from tests.crash.transfers import Life
from tests.support.rooms.transfers import transfer

HERE: Final = "acct_Here"
THERE: Final = "acct_There"
ENDS: Final = {False: "completed", True: "canceled"}

pytestmark = pytest.mark.timeout(240)


class Transferring:
    """A store, an emulator, and lives that transfer on them."""

    def __init__(self, place: tuple[str, ...], emulator: RunningEmulator, lives: Brood) -> None:
        self.place, self.emulator = place, emulator
        self._lives = lives
        self.requests: dict[str, bool] = {}
        """Every request that was begun, and whether it is to be declined."""

    async def live(
        self, *requests: str, declined: bool = False, point: KillPoint | None = None,
        settles: bool = False,
    ) -> News:  # fmt: skip
        """One life; how it ended."""
        self.requests |= dict.fromkeys(requests, declined)
        terms = {one: _terms(one, declined) for one in requests}
        life = Life(self.place, self.emulator.url, terms, HERE, point, settles)
        return await self._lives.live(life)

    async def records(self) -> Mapping[str, ProcessRecord]:
        """The processes that are there, by request id."""
        async with opened(self.place) as stores:
            found = {
                one: await stores.process_log.get(transfer(NOON, b"{}", one).id)
                for one in self.requests
            }
        return {one: record for one, record in found.items() if record is not None}

    async def jobs(self) -> Counter[str]:
        """The entries, by name."""
        async with opened(self.place) as stores:
            claimed = await stores.outbox.claim("audit", now=NOON, lease=NOON - NOON, limit=1_000)
        return Counter(one.job.kind.removeprefix("transfer.") for one in claimed)


def _terms(name: str, declined: bool) -> str:
    terms = {"name": name, "here": HERE, "there": THERE, "declined": declined}
    return json.dumps(terms)


@pytest.fixture(params=["sqlite", "mongo"])
async def world(request: pytest.FixtureRequest, on_disk: Path) -> AsyncIterator[Transferring]:
    async with (
        prepared(request, on_disk) as place,
        emulator_process() as emulator,
        brood("tests.crash.transfers") as lives,
    ):
        for account in (HERE, THERE):
            await emulator.control.create_account(AccountSpec(id=account))
        yield Transferring(place, emulator, lives)


async def audit(world: Transferring) -> None:
    """All effects of what was completed, none of what was canceled, and each of them once."""
    records = await world.records()
    assert records.keys() == world.requests.keys()
    ends = {one: record.progress.state for one, record in records.items()}
    assert ends == {one: ENDS[declined] for one, declined in world.requests.items()}
    async with world.emulator.sdk() as sdk:
        here, there = [await _customers(sdk, account) for account in (HERE, THERE)]
        made = [await _made(sdk, account) for account in (HERE, THERE)]
    completed = [one for one, declined in world.requests.items() if not declined]
    assert here == {f"{one} authorise": "captured" for one in completed}
    assert there.keys() == {f"{one} subscribe" for one in completed}
    # What was taken back was made once, too.
    assert made[0] == Counter(f"{one} authorise" for one in world.requests)
    assert made[1] == Counter(f"{one} subscribe" for one in completed)
    taken_back = len(world.requests) - len(completed)
    entries = {"hold": len(world.requests), "settle": len(completed), "release": taken_back}
    assert await world.jobs() == Counter(entries)


async def _customers(sdk: stripe.StripeClient, account: str) -> dict[str, str | None]:
    listed = await sdk.v1.customers.list_async({"limit": 100}, {"stripe_account": account})
    found = [customer async for customer in listed.auto_paging_iter()]
    assert len({customer.name for customer in found}) == len(found)
    return {str(customer.name): customer.description for customer in found}


async def _made(sdk: stripe.StripeClient, account: str) -> Counter[str]:
    """How often customers were created, by name, as the events tell."""
    params: Any = {"limit": 100, "type": "customer.created"}
    listed = await sdk.v1.events.list_async(params, {"stripe_account": account})
    return Counter([event.data.object["name"] async for event in listed.auto_paging_iter()])


async def test_wherever_it_is_killed_all_of_its_effects_are_there_or_none(
    world: Transferring, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    for declined in (False, True):
        whole = await world.live(f"whole-{declined}", declined=declined)
        assert whole.ended == 0
        for number, point in enumerate(every_point(whole.calls)):
            news = await world.live(f"r-{declined}-{number}", declined=declined, point=point)
            assert news.ended == KILLED, point
            killed[point.step] += 1
    # Whoever was killed before its process was there asks again, as callers do.
    there = await world.records()
    for one in world.requests.keys() - there.keys():
        assert (await world.live(one, declined=world.requests[one])).ended == 0
    assert (await world.live(settles=True)).ended == 0
    await audit(world)
    assert killed.keys() >= {"log.begin", "log.write", "log.release", "stripe.create"}
    kind = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"a process killed at {killed.total()} points on {kind}: {dict(killed)}")


async def test_lost_answers_failures_and_stalls_at_stripe_double_nothing(
    world: Transferring,
) -> None:
    for fault in (
        FaultSpec(kind="drop_after", probability=0.2, count=None, noun="customer", method="POST"),
        FaultSpec(kind="fail", status=500, probability=0.2, count=None, noun="customer"),
        FaultSpec(kind="fail", status=500, after_work=True, remember=False, probability=0.2,
                  count=None, noun="customer"),
        FaultSpec(kind="stall", seconds=0.7, probability=0.1, count=None, noun="customer"),
        FaultSpec(kind="fail", status=429, probability=0.1, count=None, noun="customer"),
    ):  # fmt: skip
        await world.emulator.control.add_fault(fault)
    for declined in (False, True):
        names = [f"f-{declined}-{number}" for number in range(8)]
        assert (await world.live(*names, declined=declined)).ended == 0
    await world.emulator.control.clear_faults()
    assert (await world.live(settles=True)).ended == 0
    await audit(world)
