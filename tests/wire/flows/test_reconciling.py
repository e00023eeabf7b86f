"""Reconcile: finds what is wrong, nothing else, and mends it."""

from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from application.mirror.nouns import CHARGES, CUSTOMERS, NOUNS
from application.mirror.ports import Noun
from application.upkeep.ports import Drift, Finding
from application.upkeep.reconciliation import Reconciliation
from domain.customers import Customer
from domain.errors import Unavailable
from domain.mirror import Snapshot, Version
from domain.periods import from_milliseconds
from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.upkeep import Flows, last


async def rewrite(flows: Flows, noun: Noun[Any], id_: str, **fields: Any) -> None:
    """Let a row say something else than Stripe does, with the version that it had."""
    row = (await flows.stores.mirror.fetch(noun, flows.account, [id_]))[id_]
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    wrong = replace(row.snapshot, object=replace(row.snapshot.object, **fields))
    assert not await flows.stores.mirror.replace(noun, [(wrong, row.revision)])


async def invent(flows: Flows, id_: str, *, created_ms: int) -> None:
    """Let the mirror hold a customer that Stripe does not."""
    made = Customer(id_, from_milliseconds(created_ms), name="nobody")
    version = Version.of_event(created_ms, known_at_ms=created_ms)
    snapshot = Snapshot(flows.account, id_, version, made)
    assert not await flows.stores.mirror.replace(CUSTOMERS, [(snapshot, 0)])


async def test_a_right_mirror_has_no_drift(flows: Flows) -> None:
    await flows.live_a_little()
    await flows.backfilled()
    report = await flows.reconciled()
    assert report.drifted == 0
    assert report.findings == ()
    fresh = await flows.at_stripe()
    assert {one.noun: one.compared for one in report.counts} == {
        noun.name: len(fresh[noun.name]) for noun in NOUNS
    }


async def test_missing_extra_and_different_rows_are_reported_and_mended(flows: Flows) -> None:
    await flows.live_a_little(customers=3)
    ids = [(await flows.post("/v1/customers", name=f"{n}"))["id"] for n in range(220)]
    await flows.backfilled()
    made = (await flows.mirrored())[CUSTOMERS.name][ids[100]]
    at_ms = int(made.created.timestamp() * 1000)
    await invent(flows, "cus_old", created_ms=1_000_000_000_000)
    await invent(flows, "cus_between", created_ms=at_ms)
    await rewrite(flows, CUSTOMERS, ids[7], name="wrong", email="wrong@example.com")
    charge = (await flows.ids(CHARGES))[0]
    await rewrite(flows, CHARGES, charge, status="failed")
    unseen = await flows.post("/v1/customers", name="unseen")
    await flows.delete(f"/v1/customers/{ids[50]}")
    wrong = {
        Finding("customer", "cus_old", Drift.EXTRA),
        Finding("customer", "cus_between", Drift.EXTRA),
        Finding("customer", ids[50], Drift.EXTRA),
        Finding("customer", ids[7], Drift.DIFFERENT, ("email", "name")),
        Finding("customer", unseen["id"], Drift.MISSING),
        Finding("charge", charge, Drift.DIFFERENT, ("status",)),
    }
    before = await flows.mirrored()
    told = await flows.reconciled()
    assert {_sorted(finding) for finding in told.findings} == wrong
    assert await flows.mirrored() == before, "without --repair it only tells"
    mended = await flows.reconciled(repair=True)
    assert {_sorted(finding) for finding in mended.findings} == {
        replace(finding, repaired=True) for finding in wrong
    }
    await flows.assert_right()
    assert (await flows.reconciled()).drifted == 0
    newest = await flows.stores.reports.newest(flows.account, after=None, limit=10)
    assert [report.drifted for report in newest] == [0, 6, 6]
    assert await flows.stores.reports.get(flows.account, mended.id) == mended


def _sorted(finding: Finding) -> Finding:
    return replace(finding, fields=tuple(sorted(finding.fields)))


async def test_an_empty_mirror_is_filled(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    report = await flows.reconciled(repair=True)
    assert report.drifted == sum(map(len, (await flows.at_stripe()).values()))
    await flows.assert_right()


async def test_stopped_at_every_page_it_goes_on_and_counts_once(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    for number in range(220):
        await flows.post("/v1/customers", name=f"{number}")
    await flows.backfilled()
    (row_id, *_) = await flows.ids(CUSTOMERS)
    await rewrite(flows, CUSTOMERS, row_id, name="wrong")
    runs, report = 0, None
    while report is None and runs < 100:
        runs += 1
        async with aclosing(flows.reconciliation.run(flows.account)) as steps:
            report = (await anext(steps)).report
    assert report is not None
    assert runs > len(NOUNS)
    fresh = await flows.at_stripe()
    assert {one.noun: one.compared for one in report.counts} == {
        noun.name: len(fresh[noun.name]) for noun in NOUNS
    }
    assert report.drifted == 1


async def test_a_failing_stripe_leaves_it_unfinished(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    await flows.backfilled()
    fault = FaultSpec("fail", status=429, route="/v1/prices", count=None)
    await flows.emulator.control.add_fault(fault)
    with pytest.raises(Exception, match="Stripe accepts no more requests"):
        await flows.reconciled()
    assert await flows.stores.reports.newest(flows.account, after=None, limit=1) == []
    await flows.emulator.control.clear_faults()
    assert (await flows.reconciled()).drifted == 0


async def test_nothing_is_extra_that_stripe_does_not_deny(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    await flows.backfilled()
    await invent(flows, "cus_1", created_ms=1_000_000_000_000)
    fault = FaultSpec("fail", status=500, route="/v1/customers/{id}", count=None)
    await flows.emulator.control.add_fault(fault)
    with pytest.raises(Unavailable):
        await flows.reconciled(repair=True)
    rows = await flows.stores.mirror.fetch(CUSTOMERS, flows.account, ["cus_1"])
    assert rows["cus_1"].snapshot is not None
    assert not rows["cus_1"].snapshot.deleted


async def test_changes_that_come_meanwhile_are_no_drift(flows: Flows) -> None:
    ids = [(await flows.post("/v1/customers", name=f"{n}"))["id"] for n in range(240)]
    await flows.backfilled()
    one: Reconciliation = flows.reconciliation
    drifted = 0
    async with aclosing(one.run(flows.account)) as steps:
        async for step in steps:
            drifted = step.drifted
            await flows.post(f"/v1/customers/{ids.pop()}", name="changed")
            await flows.delete(f"/v1/customers/{ids.pop(0)}")
            await flows.caught_up()
    assert drifted == 0
    assert (await last(one.run(flows.account))).drifted == 0
