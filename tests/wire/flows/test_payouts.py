"""Payouts and balances over the real SDK, an emulator and both stores."""

from collections.abc import Sequence
from typing import Any

import pytest

from application.connections.sources import Source
from application.mirror.stripe import Priority
from application.payouts.balance import Balances
from domain.errors import NotYet, Reason, Unavailable
from domain.payout_summary import SummaryRow
from domain.payouts import RECONCILED
from infrastructure.stripe.payouts.gateway import StripePayouts
from infrastructure.stripe.readers.lists import StripeLister
from sandbox.emulator.core.messages import AccountSpec
from tests.support.rooms.payouts import CALLER, PayoutsOn
from tests.support.rooms.upkeep import Flows
from tests.wire.flows.test_named_cases import deliver, told
from tests.wire.flows.test_payout_membership import AVAILABLE, DAY, MIDNIGHT, paid_out, row_of


def room_of(flows: Flows) -> PayoutsOn:
    """PayoutService's use case over the flows' mirror, which has payouts really read."""
    return PayoutsOn(flows.stores.mirror, flows.account, flows.payout_membership)


def told_by(rows: Sequence[SummaryRow]) -> list[tuple[str, int, int, bool]]:
    return [(row.category, row.count, row.net, row.own) for row in rows]


async def reconcile(flows: Flows, payout: str) -> None:
    await flows.emulator.control.happen("payouts", payout, "reconcile", account=flows.account)


@pytest.mark.parametrize("pages_first", [0, 1, 2])
async def test_a_reading_cut_off_at_any_page_tells_nothing_until_it_is_resumed(
    flows: Flows, pages_first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = await paid_out(flows, 210)
    await flows.caught_up()
    room, left = room_of(flows), pages_first
    page_of_payout = StripeLister.page_of_payout

    async def cut(self: StripeLister, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if not left:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "cut off")
        left -= 1
        return await page_of_payout(self, *arguments, **options)

    with pytest.raises(NotYet):
        await room.payouts.summarize(CALLER, payout)
    monkeypatch.setattr(StripeLister, "page_of_payout", cut)
    with pytest.raises(Unavailable):
        await flows.payout_membership.read_due(flows.account)
    with pytest.raises(NotYet):
        await room.payouts.summarize(CALLER, payout)
    monkeypatch.setattr(StripeLister, "page_of_payout", page_of_payout)
    before = await served(flows)
    await flows.payout_membership.read_due(flows.account)
    assert await served(flows) - before == 3 - pages_first, "no page is read twice"
    summary = await room.payouts.summarize(CALLER, payout)
    assert [(row.category, row.count) for row in summary.rows] == [("charge", 210), ("payout", 1)]
    assert sum(row.net for row in summary.rows) == 0


async def served(flows: Flows) -> int:
    stats = await flows.emulator.control.stats()
    return stats.routes.get("GET /v1/balance_transactions", 0)


async def test_a_payout_that_completes_reconciliation_twice(flows: Flows) -> None:
    payout = await paid_out(flows, 3)
    await flows.caught_up()
    room = room_of(flows)
    assert await flows.payout_membership.read(flows.account, payout)
    before = await room.payouts.summarize(CALLER, payout)
    await reconcile(flows, payout)
    await flows.caught_up()
    await flows.payout_membership.ask(flows.account, [payout])
    assert (await room.payouts.summarize(CALLER, payout)).rows == before.rows
    await flows.payout_membership.read_due(flows.account)
    after = await room.payouts.summarize(CALLER, payout)
    assert told_by(after.rows) == told_by(before.rows)
    assert after.payout.reconciliation_status == RECONCILED


async def test_payout_failed_arrives_before_payout_paid(flows: Flows) -> None:
    payout = await paid_out(flows, 1)
    await flows.pass_time(3 * DAY)
    failed = {"failure_code": "account_closed"}
    await flows.emulator.control.happen("payouts", payout, "fail", failed, account=flows.account)
    kinds = ("payout.created", "payout.updated", "payout.paid", "payout.failed")
    events = await told(flows, *kinds)
    assert [event.type for event in events if event.type in kinds[2:]] == [*kinds[2:]]
    await deliver(flows, *([event] for event in reversed(events)))
    row = await row_of(flows, payout)
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    assert (row.snapshot.object.status, row.snapshot.object.failure_code) == (
        "failed", "account_closed",
    )  # fmt: skip


async def test_the_money_of_a_failed_payout_is_in_a_later_one(flows: Flows) -> None:
    payout = await paid_out(flows, 2)
    await flows.pass_time(3 * DAY)
    await flows.emulator.control.happen("payouts", payout, "fail", account=flows.account)
    await flows.post("/v1/charges", amount=5_000, currency="usd", source=AVAILABLE)
    await flows.pass_time(DAY)
    await flows.caught_up()
    listed = (await flows.get("/v1/payouts"))["data"]
    (later,) = [one for one in listed if one["id"] != payout]
    await reconcile(flows, later["id"])
    await flows.caught_up()
    assert await flows.payout_membership.read(flows.account, later["id"])
    summary = await room_of(flows).payouts.summarize(CALLER, later["id"])
    amount = (await flows.get(f"/v1/payouts/{payout}"))["amount"]
    rows = {row.category: row.net for row in summary.rows}
    assert rows["payout_reversal"] == amount
    assert rows["payout"] == -later["amount"]
    assert sum(rows.values()) == 0


async def test_a_balance_ties_to_the_transactions_and_shows_what_is_missing(flows: Flows) -> None:
    await flows.set_time(MIDNIGHT + 3_600)
    flows.account = await flows.emulator.control.create_account(
        AccountSpec(settlement_currencies=["eur", "jpy"])
    )
    flows.source = Source(flows.account, ours=False, since=None)
    room = room_of(flows)
    balances = Balances(
        room.connections,
        flows.mirrored_accounts,
        StripePayouts(flows.api),
        flows.balance_transactions,
        flows.stores.mirror,
        flows.stores.balance_readings,
        flows.clock,
    )
    for currency in ("usd", "eur", "jpy"):
        await flows.post("/v1/charges", amount=9_000, currency=currency, source="tok_visa")
    ties = []
    for hour in range(3):
        answer = await balances.of(CALLER)
        assert [(one.reading.currency, one.difference) for one in answer.currencies] == [
            ("eur", 0), ("jpy", 0), ("usd", 0),
        ]  # fmt: skip
        assert all(one.mirrored == one.reading.total for one in answer.currencies)
        ties.append(answer.currencies[0].since_ms)
        await flows.post("/v1/charges", amount=700 + hour, currency="eur", source="tok_visa")
        await flows.pass_time(3_600)
    assert ties[0] is None
    assert sorted({*ties[1:]}) == ties[1:], "each ties to the one an hour before"
    kept = await flows.stores.balance_readings.between(
        flows.account, MIDNIGHT * 1_000, (MIDNIGHT + DAY) * 1_000, limit=9
    )
    assert [one.agrees for one in kept] == [True] * 3
    lost = await balances.read(flows.account, Priority.CALLER, patience_seconds=0)
    assert {one.difference for one in lost.currencies} == {None}, "nothing is read past it"
    euros = next(one for one in lost.currencies if one.reading.currency == "eur")
    assert euros.mirrored < euros.reading.total
    assert {one.difference for one in (await balances.of(CALLER)).currencies} == {0}
