"""Stripe's time lies ahead of ours: an event from the future, an answer whose `Date` is days ahead.

No row is frozen until that day comes, on either store, and what mends mirrors sees and mends it.
"""

from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest

from application.events.inbox import ReceivedEvent
from application.mirror.nouns import CUSTOMERS
from application.mirror.stripe import Priority
from application.upkeep.ports import Drift
from domain.customers import Customer
from domain.mirror import Snapshot
from tests.support.rooms.upkeep import Flows, last
from tests.support.servers.stores import sqlite_stores
from tests.wire.flows.test_named_cases import at_stripe, deliver, shown, told
from tests.wire.flows.test_rebuilding import rebuild

HOUR: Final = 3_600
DAY: Final = 24 * HOUR


async def renamed(flows: Flows, id_: str, name: str, *, ahead: int = 0) -> ReceivedEvent:
    """Give a customer a name, with Stripe's time so far ahead of ours; the event of it."""
    control = flows.emulator.control
    before = {event.id for event in await told(flows, "customer.updated")}
    await control.advance_clock(ahead)
    await flows.post(f"/v1/customers/{id_}", name=name)
    (event,) = [one for one in await told(flows, "customer.updated") if one.id not in before]
    await control.advance_clock(-ahead)
    return event


async def read(flows: Flows, id_: str) -> Snapshot[Customer]:
    return await flows.objects.read(
        CUSTOMERS, flows.account, id_, not_before_ms=None, priority=Priority.CALLER
    )


async def customer(flows: Flows) -> str:
    return str((await flows.post("/v1/customers", name="first"))["id"])


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_an_event_from_the_future_stops_no_other(
    flows: Flows, order: tuple[int, ...]
) -> None:
    id_ = await customer(flows)
    events = [
        await renamed(flows, id_, "ahead", ahead=HOUR),
        await renamed(flows, id_, "far ahead", ahead=30 * DAY),
        await renamed(flows, id_, "now"),
    ]
    await deliver(flows, *([events[number]] for number in order))
    assert (await shown(flows, CUSTOMERS, id_)).name == "now"


async def repaired(flows: Flows, _folder: Path) -> None:
    report = await flows.reconciled()
    assert [finding.drift for finding in report.findings] == [Drift.DIFFERENT]
    assert (await flows.reconciled(repair=True)).drifted == 1


async def backfilled(flows: Flows, _folder: Path) -> None:
    await flows.backfill.reset(flows.account)
    await flows.backfilled()


async def rebuilt(flows: Flows, folder: Path) -> None:
    events = [event.id for event in await told(flows, "customer.updated")]
    async with sqlite_stores(folder / "rebuild.db") as second:
        step = await last(rebuild(flows, second, events).run(flows.account))
    assert step.report is not None
    assert [finding.drift for finding in step.report.findings] == [Drift.DIFFERENT]


@pytest.mark.parametrize("mend", [repaired, backfilled, rebuilt])
async def test_a_row_from_the_future_is_wrong_and_mended(
    flows: Flows, tmp_path: Path, mend: Callable[[Flows, Path], Awaitable[None]]
) -> None:
    await flows.backfilled()
    id_ = await customer(flows)
    await deliver(flows, [await renamed(flows, id_, "ahead", ahead=HOUR)])
    assert (await shown(flows, CUSTOMERS, id_)).name == "ahead"
    await renamed(flows, id_, "now")  # and its event is lost
    await mend(flows, tmp_path)
    assert (await shown(flows, CUSTOMERS, id_)).name == "now"
    assert (await flows.reconciled()).drifted == 0


async def test_answers_whose_date_is_days_ahead_freeze_no_row(flows: Flows) -> None:
    id_ = await customer(flows)
    control = flows.emulator.control
    await control.advance_clock(3 * DAY)
    await flows.backfilled()
    await control.advance_clock(-3 * DAY)
    await deliver(flows, [await renamed(flows, id_, "by an event")])
    assert (await shown(flows, CUSTOMERS, id_)).name == "by an event"
    await control.advance_clock(3 * DAY)
    await flows.reconciled(repair=True)
    await control.advance_clock(-3 * DAY)
    await renamed(flows, id_, "our own change")
    await flows.writer.observe(CUSTOMERS, [await read(flows, id_)])
    assert (await shown(flows, CUSTOMERS, id_)).name == "our own change"


@pytest.mark.parametrize("early", [True, False])
async def test_what_is_made_and_deleted_in_the_future_is_gone(flows: Flows, early: bool) -> None:
    """As on a test clock. The deletion may come first, and an update long after it."""
    control = flows.emulator.control
    await control.advance_clock(30 * DAY)
    id_ = await customer(flows)
    await flows.post(f"/v1/customers/{id_}", name="second")
    await flows.delete(f"/v1/customers/{id_}")
    made, changed, gone = await told(
        flows, "customer.created", "customer.updated", "customer.deleted"
    )
    await control.advance_clock(-30 * DAY)
    await deliver(flows, *([gone], [made], [changed]) if early else ([made], [gone], [changed]))
    assert await at_stripe(flows, CUSTOMERS, id_) is None
    assert await shown(flows, CUSTOMERS, id_) is None
