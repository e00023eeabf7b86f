"""Every event wakes whoever watches its object, or one that it refers to, and does nothing else."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from application.effects.happenings import EventWithFacts, ProjectedEvent
from application.events.inbox import ReceivedEvent
from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mutations.ports import Lease
from application.processes.ports import Change, Watch
from application.processes.processes import LEASE
from application.processes.wakes import ProcessWakes
from domain.invoices import Invoice
from domain.money import Money
from domain.refunds import Refund
from tests.contract.samples import event as received
from tests.support.fakes.processes import FakeProcessLog
from tests.support.fakes.stores import NOON, FakeClock
from tests.support.rooms.effects import STRIPE, ProjectorWithEffects, invoice
from tests.support.rooms.processes import ID, TransferWorld, carried_on
from tests.support.rooms.transfers import transfer
from tests.support.servers.stores import sqlite_stores

REFUND = Refund("re_1", NOON, Money(1, "usd"), charge="ch_1", payment_intent="pi_1")


class Listening(FakeProcessLog):
    """Tells which objects were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[Watch]] = []

    async def wake(self, objects: Sequence[Watch], **_: Any) -> int:
        self.asked.append(objects)
        return len(objects)


def event(object_id: str, told: Any = None, stripe_account: str = "acct_1") -> EventWithFacts:
    raw: ReceivedEvent = received()
    noun = CHARGES if told is not None else CUSTOMERS
    projected = ProjectedEvent(raw, stripe_account, noun, object_id, None)
    return EventWithFacts(projected, told, frozenset(), ())


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (REFUND, {"re_1", "ch_1", "pi_1"}),
        (Refund("re_1", NOON, Money(1, "usd")), {"re_1"}),
        (None, {"re_1"}),
    ],
)
async def test_an_event_names_its_object_and_what_that_refers_to(
    told: Any, named: set[str]
) -> None:
    log, woken = Listening(), asyncio.Event()
    await ProcessWakes(log, FakeClock(), woken).after([event("re_1", told)], {})
    assert [{watch.object_id for watch in asked} for asked in log.asked] == [named]
    assert {watch.stripe_account for watch in log.asked[0]} == {"acct_1"}
    assert woken.is_set()


def test_what_refers_to_a_subscription_says_so_by_that_name() -> None:
    assert {"subscription"} <= {*Invoice.__dataclass_fields__}
    assert {"charge", "payment_intent"} <= {*Refund.__dataclass_fields__}


async def test_many_events_are_one_question_and_none_is_none() -> None:
    log = Listening()
    wakes = ProcessWakes(log, FakeClock(), asyncio.Event())
    await wakes.after(
        [event(f"cus_{n % 5}", stripe_account=f"acct_{n % 3}") for n in range(99)], {}
    )
    await wakes.after([], {})
    assert [len(asked) for asked in log.asked] == [15]


@pytest.mark.parametrize("account", ["", STRIPE], ids=["the platform's own", "not connected"])
async def test_it_hears_of_every_event_of_whatever_account_and_age(
    tmp_path: Path, account: str
) -> None:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        desk, woken = ProjectorWithEffects(stores), asyncio.Event()
        desk.more_followers.append(ProcessWakes(stores.process_log, desk.clock, woken))
        where = account or "acct_platform"
        made = transfer(desk.clock.now())
        lease = Lease("one", desk.clock.now() + LEASE)
        await stores.process_log.begin(made, lease)
        watching = Change(watches=(Watch(where, "in_1"),))
        await stores.process_log.release(
            made.id, lease, watching, due_at=None, wakes=0, now=desk.clock.now()
        )
        old = NOON - dt.timedelta(days=29)
        await desk.receive("evt_1", "invoice.paid", invoice("in_1"), at=old, account=account)
        await desk.project()
        assert await stores.process_log.find_due(now=desk.clock.now(), limit=5) == [made.id]
        assert woken.is_set()


async def test_an_event_makes_a_waiting_process_go_on_and_one_of_elsewhere_does_not() -> None:
    world = TransferWorld()
    await world.begin(b'{"name":"Ada","waits":true}')
    woken = asyncio.Event()
    wakes = ProcessWakes(world.log, world.clock, woken)
    await world.paid(told=False)
    await wakes.after([event("cus_1", stripe_account="acct_2"), event("cus_9")], {})
    assert not woken.is_set()
    await wakes.after([event("cus_1")], {})
    assert woken.is_set()
    assert world.log.kept[ID].due_at == world.clock.now()
    await carried_on(world.service())
    assert world.progress.state == "completed"
