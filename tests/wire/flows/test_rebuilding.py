"""Rebuild: a second store is filled, replayed over, compared, and swapped in."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.events.lists import EventHistory
from application.mirror.nouns import CUSTOMERS
from application.upkeep.backfill import Backfill
from application.upkeep.comparison import Comparison
from application.upkeep.ports import Drift, ReportKind
from application.upkeep.rebuild import MirrorLister, ShadowFilling
from application.upkeep.reconciliation import Reconciliation
from domain.errors import FailedPrecondition
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from infrastructure.stripe.readers.events import StripeEventReader
from tests.support.rooms.upkeep import Flows, last
from tests.support.servers.stores import Stores, sqlite_stores


class Remembered(EventHistory):
    """The events of an inbox whose ids are known."""

    def __init__(self, stores: Stores, ids: Sequence[str]) -> None:
        self._stores = stores
        self._ids = sorted(ids)

    @override
    async def of_account(
        self, stripe_account: str, *, after: str, limit: int
    ) -> Sequence[ReceivedEvent]:
        wanted = [id_ for id_ in self._ids if id_ > after][:limit]
        found = [await self._stores.inbox.get(id_) for id_ in wanted]
        return [one[0] for one in found if one]


@pytest.fixture
async def second(tmp_path: Path) -> AsyncIterator[Stores]:
    """The second store; of which kind it is does not matter to the first."""
    async with sqlite_stores(tmp_path / "rebuild.db") as stores:
        yield stores


def rebuild(flows: Flows, second: Stores, events: Sequence[str] = ()) -> ShadowFilling:
    importer = flows.importer_into(second.mirror)
    backfill = Backfill(
        flows.lister, importer, second.checkpoints, flows.clock, retries=flows.retries
    )
    comparison = Comparison(flows.stores.mirror, flows.objects, flows.importer)
    swap = Reconciliation(
        MirrorLister(second.mirror, flows.clock), flows.stores.mirror, comparison,
        flows.stores.checkpoints, flows.stores.reports, flows.clock, kind=ReportKind.REBUILD,
    )  # fmt: skip
    return ShadowFilling(
        backfill, importer, second.checkpoints, swap, Remembered(flows.stores, events),
        StripeEventReader(), flows.clock, retries=flows.retries,
    )  # fmt: skip


async def spoil(flows: Flows, ids: Sequence[str]) -> None:
    """A mirror in ruins: rows that are wrong, that are missing, that never were."""
    rows = await flows.stores.mirror.fetch(CUSTOMERS, flows.account, ids)
    for number, row in enumerate(rows.values()):
        assert row.snapshot is not None
        assert row.snapshot.object is not None
        wrong = replace(row.snapshot, object=replace(row.snapshot.object, name=f"wrong {number}"))
        await flows.stores.mirror.replace(CUSTOMERS, [(wrong, row.revision)])
    some = next(iter(rows.values())).snapshot
    assert some is not None
    assert some.object is not None
    nobody = replace(some.object, id="cus_nobody")
    at = Version.of_event(to_milliseconds(nobody.created))
    await flows.stores.mirror.replace(
        CUSTOMERS, [(Snapshot(flows.account, "cus_nobody", at, nobody), 0)]
    )


async def test_a_ruined_mirror_is_right_again(flows: Flows, second: Stores) -> None:
    await flows.live_a_little(customers=3)
    for number in range(120):
        await flows.post("/v1/customers", name=f"{number}")
    await flows.caught_up()
    page = await flows.lister.events(
        flows.account, flows.place, since_ms=0, priority=flows.priority
    )
    events = [event.id for event in page.items]
    await flows.backfilled()
    await spoil(flows, (await flows.ids(CUSTOMERS))[:10])
    unseen = await flows.post("/v1/customers", name="unseen")
    phases, report = [], None
    async with aclosing(rebuild(flows, second, events).run(flows.account)) as steps:
        async for step in steps:
            phases.append(step.phase)
            report = step.report
    assert list(dict.fromkeys(phases)) == ["read", "replay", "swap"]
    assert report is not None
    assert report.kind is ReportKind.REBUILD
    drifts = sorted(finding.drift for finding in report.findings)
    assert drifts == [Drift.DIFFERENT] * 10 + [Drift.EXTRA, Drift.MISSING]
    assert unseen["id"] in {finding.id for finding in report.findings}
    await flows.assert_right()
    assert await flows.mirrored(second.mirror) == await flows.mirrored()
    with pytest.raises(FailedPrecondition):
        await last(rebuild(flows, second).run(flows.account))


async def test_stopped_at_every_step_and_beside_webhooks(flows: Flows, second: Stores) -> None:
    await flows.live_a_little(customers=2)
    ids = [(await flows.post("/v1/customers", name=f"{n}"))["id"] for n in range(120)]
    await flows.backfilled()
    await spoil(flows, ids[:5])
    report, runs = None, 0
    while report is None and runs < 100:
        runs += 1
        async with aclosing(rebuild(flows, second).run(flows.account)) as steps:
            for _ in range(runs):  # each run gets one step further than the one before
                report = (await anext(steps)).report
                if report is not None:
                    break
        if report is None and len(ids) > 20:
            await flows.post(f"/v1/customers/{ids.pop()}", name="changed meanwhile")
            await flows.delete(f"/v1/customers/{ids.pop()}")
            await flows.caught_up()
    assert report is not None
    await flows.assert_right()


async def test_what_is_not_understood_keeps_its_row_and_is_named(
    flows: Flows, second: Stores
) -> None:
    made = [await flows.post("/v1/customers", name=f"{number}") for number in range(4)]
    await flows.backfilled()
    before = await flows.mirrored()
    unseen = await flows.post("/v1/customers", name="unseen")
    for item in (made[0], unseen):
        odd = json.dumps({**item, "created": "soon"})
        await flows.emulator.control.disguise(flows.account, item["id"], odd)
    done = await last(rebuild(flows, second).run(flows.account))
    assert done.report is not None
    assert done.report.drifted == 0
    named = {one.id for one in done.report.oddities.named}
    assert named == {made[0]["id"], unseen["id"]}, "the one without a row is named too"
    assert done.oddities == done.report.oddities
    assert await flows.mirrored() == before
