"""Which transactions a payout holds, read by the real SDK's lists from the emulator."""

from application.connections.sources import Source
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.ports import Filter
from application.mirror.stripe import Priority
from domain.mirror import Row
from domain.payouts import MEMBERSHIP, Payout
from sandbox.emulator.core.messages import AccountSpec
from tests.support.rooms.upkeep import Flows

DAY = 86_400
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00:00Z
AVAILABLE = "tok_bypassPending"


async def paid_out(flows: Flows, charges: int) -> str:
    """The automatic payout of some charges of an account that is paid out daily; reconciled."""
    await flows.set_time(MIDNIGHT + 3_600)
    flows.account = await flows.emulator.control.create_account(AccountSpec(payouts="daily"))
    flows.source = Source(flows.account, ours=False, since=None)
    for number in range(charges):
        amount = 1_000 + number
        await flows.post("/v1/charges", amount=amount, currency="usd", source=AVAILABLE)
    await flows.set_time(MIDNIGHT + DAY + 7_200)
    (payout,) = (await flows.get("/v1/payouts"))["data"]
    found: str = payout["id"]
    return found


async def row_of(flows: Flows, payout: str) -> Row[Payout]:
    return (await flows.stores.mirror.fetch(PAYOUTS, flows.account, [payout]))[payout]


async def test_a_payout_of_several_pages_adds_up_to_nothing_left(flows: Flows) -> None:
    payout = await paid_out(flows, 120)
    await flows.caught_up()
    membership = flows.payout_membership
    assert await membership.read(flows.account, payout, priority=Priority.CATCH_UP)
    row = await row_of(flows, payout)
    values = row.derived[MEMBERSHIP].values
    assert (values["transactions"], values["not_understood"]) == (121, 0)
    groups = await flows.stores.mirror.group(
        BALANCE_TRANSACTIONS, flows.account, Filter({"payout": payout}),
        by=["reporting_category"], sums=["amount", "fee", "net"],
    )  # fmt: skip
    by_category = {group.values[0]: group for group in groups}
    assert {name: group.count for name, group in by_category.items()} == {
        "charge": 120,
        "payout": 1,
    }
    assert sum(group.sums[2] for group in groups) == 0, "the payout's own row is among them"
    page = await flows.stores.mirror.list(
        BALANCE_TRANSACTIONS,
        flows.account,
        Filter({"payout": payout, "reporting_category": "payout"}),
        order=BALANCE_TRANSACTIONS.orders[0],
        after=None,
        limit=9,
    )
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    assert [one.id for one in page.rows] == [row.snapshot.object.balance_transaction]


async def test_a_manual_payout_is_not_asked_for(flows: Flows) -> None:
    await flows.post("/v1/charges", amount=9_000, currency="usd", source=AVAILABLE)
    payout = (await flows.post("/v1/payouts", amount=500, currency="usd"))["id"]
    await flows.caught_up()
    assert not await flows.payout_membership.read(flows.account, payout)
    assert MEMBERSHIP not in (await row_of(flows, payout)).derived


async def test_a_failed_payout_has_two_dates(flows: Flows) -> None:
    payout = await paid_out(flows, 1)
    await flows.pass_time(2 * DAY)
    told = {"failure_code": "account_closed"}
    await flows.emulator.control.happen("payouts", payout, "fail", told, account=flows.account)
    await flows.caught_up()
    await flows.balance_transactions.refresh(flows.account)
    row = await row_of(flows, payout)
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    assert row.snapshot.object.status == "failed"
    failure = row.derived["reversal"].values
    assert failure["balance_transaction"] == row.snapshot.object.failure_balance_transaction
    assert failure["created"] > row.snapshot.object.created.timestamp() * 1_000
