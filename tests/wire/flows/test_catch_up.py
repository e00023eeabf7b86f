"""Catch-up: what no webhook brought is fetched, and the watermark says no more than is so."""

from dataclasses import replace

import pytest

from application.events.inbox import EventState, ReceivedEvent
from application.mirror.nouns import CUSTOMERS
from application.upkeep.catch_up import RETENTION, TASK
from application.upkeep.watermark import OVERLAP
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import Unavailable
from domain.periods import to_milliseconds
from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.upkeep import Flows

DAY = 86_400


async def test_events_come_in_as_webhooks_bring_them_and_once(flows: Flows) -> None:
    await flows.live_a_little(customers=3)
    first = await flows.catch_up.poll(flows.source)
    assert first.listed == first.new > 20
    assert flows.arrived.is_set()
    again = await flows.catch_up.poll(flows.source)
    assert (again.listed, again.new) == (first.listed, 0), "the overlap is read again and dropped"
    await flows.project()
    assert (await flows.mirrored())[CUSTOMERS.name].keys() == {*await flows.ids(CUSTOMERS)}


async def test_an_event_is_stored_whole(flows: Flows) -> None:
    customer = await flows.post("/v1/customers", name="Ada")
    page = await flows.lister.events(
        flows.account, flows.place, since_ms=0, priority=flows.priority
    )
    await flows.catch_up.poll(flows.source)
    stored, error = await flows.stores.inbox.get(page.items[0].id) or (None, "")
    assert stored is not None
    assert error == ""
    assert stored.state is EventState.PENDING
    assert (stored.stripe_account, stored.object_type, stored.object_id, stored.type) == (
        flows.account, "customer", customer["id"], "customer.created",
    )  # fmt: skip
    assert stored.api_version.endswith(".endive")


async def test_more_than_a_page_and_a_run_that_is_cut_goes_on(flows: Flows) -> None:
    for number in range(250):
        await flows.post("/v1/customers", name=f"{number}")
    stall = FaultSpec("fail", status=503, route="/v1/events", count=None)
    appended = 0

    async def break_down() -> None:
        nonlocal appended
        appended += 1
        if appended == 1:
            await flows.emulator.control.add_fault(stall)

    original = flows.stores.inbox.append

    # The lists fail from the moment on that the first page's events are being stored.
    class Breaking:
        async def append(self, event: ReceivedEvent) -> bool:
            await break_down()
            return await original(event)

    flows.catch_up._inbox = Breaking()  # type: ignore[assignment]  # the one method that it uses
    with pytest.raises(Unavailable):
        await flows.catch_up.poll(flows.source)
    assert await flows.catch_up.data_through(flows.account) is None
    stored = appended
    assert 100 <= stored < 250
    await flows.emulator.control.clear_faults()
    before = (await flows.emulator.control.stats()).routes["GET /v1/events"]
    polled = await flows.catch_up.poll(flows.source)
    assert polled.data_through is not None
    assert polled.listed == 250 - stored
    after = (await flows.emulator.control.stats()).routes["GET /v1/events"]
    assert after - before == (2 if stored == 100 else 1)
    await flows.project()
    right = await flows.at_stripe()
    assert (await flows.mirrored())[CUSTOMERS.name] == right[CUSTOMERS.name]


async def test_the_watermark_is_in_stripes_time(flows: Flows) -> None:
    await flows.pass_time(40 * DAY)
    await flows.post("/v1/customers", name="future")
    polled = await flows.catch_up.poll(flows.source)
    now = await flows.emulator.control.now()
    assert polled.data_through is not None
    assert now - 10 <= polled.data_through.timestamp() <= now


async def test_a_gap_of_more_than_thirty_days_says_so_and_is_mended(flows: Flows) -> None:
    kept = await flows.post("/v1/customers", name="kept")
    gone = await flows.post("/v1/customers", name="gone")
    await flows.caught_up()
    before = await flows.catch_up.data_through(flows.account)
    await flows.post(f"/v1/customers/{kept['id']}", name="changed unseen")
    await flows.delete(f"/v1/customers/{gone['id']}")
    await flows.post("/v1/customers", name="made unseen")
    await flows.pass_time(31 * DAY)
    await flows.post("/v1/customers", name="seen")
    polled = await flows.catch_up.poll(flows.source)
    assert polled.gap
    assert polled.data_through == before, "it does not move over what was lost"
    assert (await flows.catch_up.poll(flows.source)).gap, "until it is mended"
    await flows.catch_up.mend(flows.account)
    await flows.project()
    await flows.assert_right()
    after = await flows.catch_up.data_through(flows.account)
    assert after is not None
    assert before is not None
    assert after - before > RETENTION
    assert not (await flows.catch_up.poll(flows.source)).gap
    reports = await flows.stores.reports.newest(flows.account, after=None, limit=10)
    assert [(report.repair, report.drifted) for report in reports] == [(True, 1)], "the deleted one"


async def test_a_gap_that_is_mended_half_goes_on(flows: Flows) -> None:
    await flows.caught_up()
    for number in range(120):
        await flows.post("/v1/customers", name=f"{number}")
    await flows.pass_time(31 * DAY)
    await flows.catch_up.poll(flows.source)
    fault = FaultSpec("fail", status=503, route="/v1/refunds", count=None)
    await flows.emulator.control.add_fault(fault)
    with pytest.raises(Unavailable):
        await flows.catch_up.mend(flows.account)
    assert (await flows.catch_up.poll(flows.source)).gap
    await flows.emulator.control.clear_faults()
    pages = (await flows.emulator.control.stats()).routes["GET /v1/customers"]
    await flows.catch_up.mend(flows.account)
    await flows.assert_right()
    again = (await flows.emulator.control.stats()).routes["GET /v1/customers"]
    # Two pages of the comparison and two of the assertion: what was read is not read again.
    assert again - pages == 4
    assert not (await flows.catch_up.poll(flows.source)).gap


async def test_a_watermark_within_the_overlap_of_the_bound_counts_as_a_gap(flows: Flows) -> None:
    polled = await flows.catch_up.poll(flows.source)
    assert polled.data_through is not None
    checkpoint = await flows.stores.checkpoints.load(flows.account, TASK)
    for early, gap in ((-OVERLAP * 2, False), (OVERLAP / 2, True)):
        through = polled.data_through - RETENTION + OVERLAP - early
        state = {**checkpoint.state, "through_ms": to_milliseconds(through)}
        checkpoint = await flows.stores.checkpoints.save(
            replace(checkpoint, state=state), now=flows.clock.now()
        )
        assert (await flows.catch_up.poll(flows.source)).gap is gap
        checkpoint = await flows.stores.checkpoints.load(flows.account, TASK)


async def test_the_platform_and_every_active_connection_are_polled(flows: Flows) -> None:
    platform = await flows.platform.stripe_account()
    flows.api.know_platform_account(platform)
    await flows.sdk.v1.customers.create_async({"name": "ours"})
    others = [flows.account, await flows.emulator.control.create_account()]
    for number, stripe_account in enumerate(others):
        link = Connection(
            f"account-{number}", stripe_account, Mode.TEST, ConnectionKind.MANUAL, flows.clock.now()
        )
        await flows.stores.connections.put(link)
    await flows.post("/v1/customers", name="theirs")
    await flows.emulator.control.deauthorize(others[1])
    await flows.catch_up.poll_all()
    assert await flows.catch_up.data_through(platform) is not None
    assert await flows.catch_up.data_through(flows.account) is not None
    assert await flows.catch_up.data_through(others[1]) is None, "its failure is its own"
    events = await flows.lister.events("", flows.place, since_ms=0, priority=flows.priority)
    stored = await flows.stores.inbox.get(events.items[0].id)
    assert stored is not None
    assert stored[0].stripe_account == "", "as the platform's webhooks have it"


async def test_another_modes_events_are_ignored(flows: Flows) -> None:
    live = replace(flows.source)
    flows.lister._livemode = True
    await flows.post("/v1/customers", name="test mode")
    polled = await flows.catch_up.poll(live)
    assert polled.new == 1
    assert await flows.stores.inbox.backlog() == 0
