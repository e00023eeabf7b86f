"""Balance transactions: listed after money moved, and again until they are available."""

import asyncio
from contextlib import suppress

from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES, REFUNDS
from domain.balance_transactions import BalanceTransaction
from tests.support.rooms.upkeep import Flows

DAY = 86_400


async def statuses(flows: Flows) -> set[str]:
    rows = (await flows.mirrored())[BALANCE_TRANSACTIONS.name].values()
    return {row.status for row in rows if isinstance(row, BalanceTransaction)}


async def test_a_fee_comes_before_or_after_its_charge(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    await flows.balance_transactions.refresh(flows.account)
    before = await flows.stores.mirror.fetch(CHARGES, flows.account, await flows.ids(CHARGES))
    assert before
    assert all(row.snapshot is None and row.derived["settlement"] for row in before.values())
    await flows.backfilled()
    after = await flows.stores.mirror.fetch(CHARGES, flows.account, await flows.ids(CHARGES))
    assert all(row.snapshot and row.derived["settlement"].values["fee"] for row in after.values())
    refunds = await flows.stores.mirror.fetch(REFUNDS, flows.account, await flows.ids(REFUNDS))
    assert refunds
    for row in refunds.values():
        assert row.derived["settlement"].values["net"] < 0


async def test_pending_ones_are_listed_until_they_are_available(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    await flows.balance_transactions.refresh(flows.account)
    assert await statuses(flows) == {"pending"}
    await flows.pass_time(DAY)
    await flows.balance_transactions.refresh(flows.account)
    await flows.pass_time(2 * DAY)
    await flows.balance_transactions.refresh(flows.account)
    assert await statuses(flows) == {"pending"}, "they are behind the watermark and its overlap"
    await flows.balance_transactions.refresh(flows.account, pending=True)
    assert await statuses(flows) == {"available"}


async def test_many_money_events_are_one_listing(flows: Flows) -> None:
    await flows.platform.stripe_account()
    task = asyncio.create_task(flows.balance_transactions.loop.run())
    try:
        await listings(flows, 1)  # the schedule's first round: the platform alone
        await flows.live_a_little(customers=1)
        for _ in range(50):
            flows.balance_transactions.note(flows.account)
        await listings(flows, 2)
        assert (await flows.mirrored())[BALANCE_TRANSACTIONS.name]
        flows.balance_transactions.note(flows.account)
        await listings(flows, 3)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (await flows.emulator.control.stats()).routes["GET /v1/balance_transactions"] == 3


async def listings(flows: Flows, count: int) -> None:
    """Wait until the list was asked so often."""
    async with asyncio.timeout(10):
        while True:
            routes = (await flows.emulator.control.stats()).routes
            if routes.get("GET /v1/balance_transactions", 0) >= count:
                break
            await asyncio.sleep(0.005)
        checkpoints = flows.stores.checkpoints
        while count > 1:
            saved = await checkpoints.load(flows.account, "balance transactions")
            if saved.revision >= count - 1:
                return
            await asyncio.sleep(0.005)
