"""Closing, restating and rebuilding, with what the emulator tells."""

import asyncio
import datetime as dt
import json
from contextlib import aclosing
from dataclasses import replace

from application.analytics.ledger import Ledger
from application.analytics.metrics import LEDGER
from application.analytics.ports import FigureRow
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Change, Filter
from domain.money import Money
from tests.support.rooms.upkeep import Flows
from tests.support.servers.stores import Stores
from tests.wire.flows.test_rebuilding import rebuild, second

__all__ = ["second"]

HOUR = 3_600


async def keep_current(flows: Flows) -> None:
    """What the loops of a service do."""
    await flows.caught_up()
    await flows.balance_transactions.refresh(flows.account, pending=True)
    await flows.closing.close(flows.source)


async def closed_through(flows: Flows) -> dt.datetime | None:
    return (await flows.closing.of(flows.account)).closed_through


async def let_hours_close(flows: Flows) -> None:
    """Let all that has happened be of a closed time."""
    await flows.pass_time(3 * HOUR)
    await keep_current(flows)
    await flows.pass_time(60)
    await keep_current(flows)


async def figures(flows: Flows) -> tuple[FigureRow, ...]:
    ledger = Ledger(flows.stores.analytics, flows.stores.changes)
    now = flows.clock.now()
    edges = [now - dt.timedelta(days=3), now + dt.timedelta(days=1)]
    return tuple(await ledger.figures(LEDGER, flows.account, edges))


async def restatements(flows: Flows) -> list[Change]:
    changes = flows.stores.changes
    return [*await changes.list(BALANCE_TRANSACTIONS, flows.account, after=None, limit=100)]


async def first_known(flows: Flows) -> dict[object, object]:
    """When each transaction was first known, by its amount."""
    groups = await flows.stores.mirror.group(
        BALANCE_TRANSACTIONS,
        flows.account,
        Filter(equals={"balance_type": "payments"}),
        by=["amount", "first_known_at"],
    )
    return {group.values[0]: group.values[1] for group in groups}


async def test_what_comes_or_changes_below_what_is_closed_is_restated(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    assert await closed_through(flows) is None
    await keep_current(flows)
    assert await closed_through(flows) is None, "nothing was imported yet"
    await flows.backfilled()
    await let_hours_close(flows)
    closed = await closed_through(flows)
    assert closed is not None
    now = flows.clock.now()
    assert now - dt.timedelta(hours=2, minutes=2) < closed <= now - dt.timedelta(hours=1)
    assert await restatements(flows) == [], "the first import restates nothing"

    (row,) = await figures(flows)
    found = (await flows.listed(BALANCE_TRANSACTIONS))[0]
    dearer = {**found, "fee": found["fee"] + 7, "net": found["net"] - 7}
    await flows.emulator.control.disguise(flows.account, found["id"], json.dumps(dearer))
    await keep_current(flows)
    (change,) = await restatements(flows)
    assert change.before is not None
    assert change.after is not None
    assert (change.id, change.before["fee"], change.after["fee"]) == (
        found["id"],
        found["fee"],
        found["fee"] + 7,
    )
    assert [after.sums for after in await figures(flows)] == [(row.sums[0], row.sums[1] + 7)]
    await flows.live_a_little(customers=1)
    await keep_current(flows)
    assert await restatements(flows) == [change], "what is of an open hour is no restatement"


async def test_a_rebuild_keeps_what_was_known(flows: Flows, second: Stores) -> None:
    await flows.live_a_little(customers=2)
    await keep_current(flows)
    await flows.backfilled()
    await let_hours_close(flows)
    before, known = await figures(flows), await first_known(flows)
    assert known
    ids = await flows.ids(BALANCE_TRANSACTIONS)
    rows = await flows.stores.mirror.fetch(BALANCE_TRANSACTIONS, flows.account, ids[:1])
    (row,) = rows.values()
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    wrong = replace(row.snapshot.object, fee=Money(999, row.snapshot.object.fee.currency))
    spoilt = replace(row.snapshot, object=wrong)
    closing = await flows.closing.of(flows.account)
    assert closing.closed_through is not None
    await flows.stores.mirror.replace(BALANCE_TRANSACTIONS, [(spoilt, row.revision)])
    async with aclosing(rebuild(flows, second).run(flows.account)) as steps:
        async for _ in steps:
            await asyncio.sleep(0)
    assert await figures(flows) == before
    assert await first_known(flows) == known
    (change,) = await restatements(flows)
    assert (change.id, change.revision) == (row.id, row.revision + 2), "the mending is told"
