"""Backfill: all history, whatever happens between two pages."""

import asyncio
from contextlib import aclosing

import pytest

from application.background.retries import Retries
from application.mirror.nouns import CHARGES, CUSTOMERS, INVOICES, NOUNS
from application.upkeep.backfill import Backfill, Progress
from domain.errors import Conflict, Reason, Unavailable
from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.upkeep import Flows, no_wait


async def progress_of(flows: Flows) -> Progress:
    progress = await flows.backfill.progress(flows.account)
    assert progress is not None
    return progress


async def test_the_mirror_equals_a_fresh_read(flows: Flows) -> None:
    await flows.live_a_little()
    done = await flows.backfilled()
    assert done.finished
    assert done.nouns_done == done.nouns_total == len(NOUNS)
    fresh = await flows.at_stripe()
    absent = ("coupon", "dispute", "payout")
    assert all(len(fresh[noun.name]) for noun in NOUNS if noun.name not in absent)
    assert done.read == done.stored == sum(map(len, fresh.values()))
    await flows.assert_right()


async def test_a_second_backfill_counts_the_rows_that_it_puts_right(flows: Flows) -> None:
    await flows.live_a_little()
    first = await flows.backfilled()
    await flows.backfill.reset(flows.account)
    again = await flows.backfilled()
    assert (again.read, again.stored) == (first.read, 0), "all read, and all found right"
    made = await flows.post("/v1/customers", name="new")
    (known, *_) = (await flows.mirrored())[CUSTOMERS.name]
    await flows.post(f"/v1/customers/{known}", name="changed unseen")
    await flows.backfill.reset(flows.account)
    third = await flows.backfilled()
    assert third.stored == len({made["id"], known})
    await flows.assert_right()


async def test_charges_know_their_invoice_and_their_fee(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    await flows.backfilled()
    invoices = (await flows.mirrored())[INVOICES.name]
    charges = await flows.stores.mirror.fetch(CHARGES, flows.account, await flows.ids(CHARGES))
    attributed = [row for row in charges.values() if "invoice" in row.derived]
    assert {row.derived["invoice"].values["invoice"] for row in attributed} == invoices.keys()
    for row in attributed:
        values = row.derived["invoice"].values
        assert values["billing_reason"] == "subscription_create"
        assert values["subscription_metadata"]["plan"].startswith("p")
        assert values["subscription"]
        assert len(values["products"]) == 1
    for row in charges.values():
        values = row.derived["settlement"].values
        assert values["net"] == values["amount"] - values["fee"]
        assert values["fee"] > 0


async def test_many_pages_and_more_than_a_page_within_a_second(flows: Flows) -> None:
    # The emulator makes hundreds a second, Stripe at most a hundred.
    for start in range(0, 450, 50):
        await asyncio.gather(*(flows.post("/v1/customers", name=f"{start + n}") for n in range(50)))
    done = await flows.backfilled()
    assert done.stored == 450 + 1, "and the account itself"
    await flows.assert_right()


async def test_objects_deleted_and_made_between_pages(flows: Flows) -> None:
    ids = [(await flows.post("/v1/customers", name=f"{n}"))["id"] for n in range(250)]
    deleted = 0
    async with aclosing(flows.backfill.run(flows.account)) as pages:
        async for page in pages:
            if page.noun != CUSTOMERS.name:
                continue
            # The cursor's own object goes, some before it, and something new comes on top.
            place = await flows.stores.checkpoints.load(flows.account, "backfill")
            cursor = place.state["nouns"][CUSTOMERS.name]["place"]["after"]
            for id_ in {cursor, ids[-1 - deleted]} & {*ids}:
                await flows.delete(f"/v1/customers/{id_}")
                ids.remove(id_)
                deleted += 1
            await flows.post("/v1/customers", name="late")
    assert deleted >= 3
    mirrored = (await flows.mirrored())[CUSTOMERS.name]
    assert mirrored.keys() >= {*ids}
    # What was deleted or made meanwhile, its events tell.
    await flows.caught_up()
    await flows.assert_right()


async def test_killed_at_every_page_it_goes_on_there(flows: Flows) -> None:
    await flows.live_a_little()
    for number in range(230):
        await flows.post("/v1/customers", name=f"{number}")
    progress, runs = None, 0
    while progress is None or (not progress.finished and runs < 100):
        runs += 1
        # A process of its own: it knows only what the store knows.
        backfill = Backfill(
            flows.lister, flows.importer, flows.stores.checkpoints, flows.clock,
            retries=Retries(sleep=no_wait),
        )  # fmt: skip
        async with aclosing(backfill.run(flows.account)) as pages:
            progress = await anext(pages)
    assert runs > len(NOUNS) + 2, "each run ended at its first page"
    assert progress.finished
    assert progress.read == sum(map(len, (await flows.at_stripe()).values()))
    await flows.assert_right()


async def test_killed_while_a_page_is_brought_in(flows: Flows) -> None:
    for number in range(150):
        await flows.post("/v1/customers", name=f"{number}")
    for steps in range(1, 40):
        run = asyncio.create_task(flows.backfilled())
        for _ in range(steps * 20):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert (await flows.backfilled()).finished
    await flows.assert_right()


async def test_refusals_and_cut_pages_in_the_middle(flows: Flows) -> None:
    await flows.live_a_little()
    for number in range(150):
        await flows.post("/v1/customers", name=f"{number}")
    control = flows.emulator.control
    for kind, status in (("fail", 429), ("cut", 200), ("fail", 500), ("drop_after", 200)):
        spec = FaultSpec(kind, status=status, method="GET", count=None, probability=0.2)  # type: ignore[arg-type]  # of the kinds
        await control.add_fault(spec)
    done = await flows.backfilled()
    faults = await control.faults()
    await control.clear_faults()
    assert done.finished
    assert sum(fault.hits for fault in faults) > 3
    await flows.assert_right()


async def test_a_refused_run_is_not_a_finished_one(flows: Flows) -> None:
    for number in range(150):
        await flows.post("/v1/customers", name=f"{number}")
    await flows.emulator.control.add_fault(
        FaultSpec("fail", status=503, route="/v1/invoices", count=None)
    )
    with pytest.raises(Unavailable):
        await flows.backfilled()
    progress = await progress_of(flows)
    assert not progress.finished
    assert progress.noun == INVOICES.name
    await flows.emulator.control.clear_faults()
    assert (await flows.backfilled()).finished
    await flows.assert_right()


async def test_the_later_of_two_runs_takes_over(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    async with aclosing(flows.backfill.run(flows.account)) as first:
        await anext(first)
        assert (await flows.backfilled()).finished
        with pytest.raises(Conflict) as refused:
            await anext(first)
    assert refused.value.reason is Reason.REQUEST_IN_FLIGHT


async def test_a_finished_one_reads_again_only_when_reset(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    await flows.backfilled()
    before = (await flows.emulator.control.stats()).requests
    assert (await flows.backfilled()).finished
    assert (await flows.emulator.control.stats()).requests == before
    await flows.post("/v1/customers", name="new")
    await flows.backfill.reset(flows.account)
    assert not (await progress_of(flows)).finished
    assert (await flows.backfilled()).read == sum(map(len, (await flows.at_stripe()).values()))
    await flows.assert_right()


async def test_beside_live_webhooks(flows: Flows) -> None:
    ids = [(await flows.post("/v1/customers", name=f"{n}"))["id"] for n in range(220)]

    async def live() -> None:
        for round_ in range(12):
            for id_ in ids[round_::40]:
                await flows.post(f"/v1/customers/{id_}", name=f"changed {round_}")
            await flows.delete(f"/v1/customers/{ids.pop()}")
            await flows.caught_up()

    await asyncio.gather(flows.backfilled(), live())
    await flows.caught_up()
    await flows.assert_right()
