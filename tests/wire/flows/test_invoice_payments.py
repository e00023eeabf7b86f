"""Invoice payments: the open and the canceled ones, of which no event tells, end as at Stripe."""

from typing import Any

import pytest

from application.mirror.nouns import INVOICE_PAYMENTS
from tests.support.rooms.upkeep import CARD, Flows

DAY = 86_400


async def finalized(flows: Flows, customer: str) -> dict[str, Any]:
    """An invoice over something, open, that nobody has paid."""
    await flows.post("/v1/invoiceitems", customer=customer, amount=700, currency="usd")
    invoice = await flows.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include",
        collection_method="send_invoice", days_until_due=30,
    )  # fmt: skip
    return await flows.post(f"/v1/invoices/{invoice['id']}/finalize")


async def statuses(flows: Flows) -> list[str]:
    rows: Any = (await flows.mirrored())[INVOICE_PAYMENTS.name]
    return sorted(row.status for row in rows.values())


async def reads(flows: Flows) -> int:
    return (await flows.emulator.control.stats()).routes.get("GET /v1/invoice_payments/{id}", 0)


@pytest.mark.parametrize("days", [0, 100])
async def test_open_ones_end_as_at_stripe(flows: Flows, days: int) -> None:
    await flows.backfilled()
    customer = (await flows.post("/v1/customers", name="Ada"))["id"]
    method = await flows.post(f"/v1/payment_methods/{CARD}/attach", customer=customer)
    void, outside, inside, left = [await finalized(flows, customer) for _ in range(4)]
    await flows.caught_up()
    assert await statuses(flows) == [], "no event tells of an open one"
    await flows.invoice_payments.refresh(flows.account)
    assert await statuses(flows) == ["open"] * 4
    for _ in range(days // 20):  # events are listed for thirty days
        await flows.pass_time(20 * DAY)
        await flows.caught_up()
        await flows.invoice_payments.refresh(flows.account)
    await flows.post(f"/v1/invoices/{void['id']}/void")
    await flows.post(f"/v1/invoices/{outside['id']}/pay", paid_out_of_band=True)
    await flows.post(f"/v1/invoices/{inside['id']}/pay", payment_method=method["id"])
    await flows.post(f"/v1/invoices/{left['id']}/mark_uncollectible")
    await flows.caught_up()
    assert await statuses(flows) == ["open", "open", "open", "paid"]
    await flows.invoice_payments.refresh(flows.account)
    assert await statuses(flows) == ["canceled", "canceled", "open", "paid"]
    assert await reads(flows) == (2 if days else 0), "what the window shows is not read"
    await flows.invoice_payments.refresh(flows.account, pending=True)
    assert await reads(flows) == (2 if days else 0)
    await flows.balance_transactions.refresh(flows.account)
    await flows.assert_right()


async def test_refreshing_everything_leaves_each_account_its_own(flows: Flows) -> None:
    customer = (await flows.post("/v1/customers", name="Ada"))["id"]
    await finalized(flows, customer)
    platform = await flows.platform.stripe_account()
    await flows.invoice_payments.refresh_all()
    assert await statuses(flows) == [], "it is not connected"
    await flows.invoice_payments.refresh(platform)
    assert await statuses(flows) == []
    await flows.invoice_payments.refresh(flows.account)
    assert await statuses(flows) == ["open"]
