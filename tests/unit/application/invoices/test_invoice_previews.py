"""Previews: whose next invoice is asked of Stripe."""

import datetime as dt

import pytest

from application.invoices.ports import InvoicePreview
from application.mirror.nouns import SUBSCRIPTIONS
from application.subscriptions.ports import ItemChange
from domain.errors import InvalidArgument
from domain.mirror import Snapshot, Version
from domain.subscriptions import Subscription, SubscriptionItem
from tests.support.fakes.stores import NOON
from tests.support.rooms.invoices import CALLER, InvoicesOnFakes


@pytest.fixture
def desk() -> InvoicesOnFakes:
    return InvoicesOnFakes()


async def subscribed(
    desk: InvoicesOnFakes, id_: str, days: int, *, customer: str = "cus_1"
) -> None:
    end = NOON + dt.timedelta(days=days)
    item = SubscriptionItem("si_1", "price_1", None, 1, "usd", current_period_end=end)
    found = Subscription(id_, NOON, customer, "active", items=(item,))
    told = Snapshot("acct_1", id_, Version.of_event(1), found)
    await desk.writer.observe(SUBSCRIPTIONS, [told])


async def test_the_preview_of_a_customer_is_of_his_next_invoice(desk: InvoicesOnFakes) -> None:
    await subscribed(desk, "sub_1", 20)
    await subscribed(desk, "sub_2", 10)
    await subscribed(desk, "sub_3", 5, customer="cus_2")
    await desk.invoices.preview(CALLER, InvoicePreview("cus_1"))
    await desk.invoices.preview(CALLER, InvoicePreview("cus_9"))
    named = InvoicePreview("cus_1", "sub_1", (ItemChange("si_1", quantity=2),))
    await desk.invoices.preview(CALLER, named)
    assert desk.previews.asked == [
        InvoicePreview("cus_1", "sub_2"), InvoicePreview("cus_9"), named,
    ]  # fmt: skip


async def test_previews_that_are_none(desk: InvoicesOnFakes) -> None:
    for preview, fields in (
        (InvoicePreview(), ["customer"]),
        (InvoicePreview("a\n", "b\n"), ["customer", "subscription"]),
        (InvoicePreview("cus_1", "", (ItemChange("si_1", quantity=1),)), ["items"]),
        (InvoicePreview("", "sub_1", (ItemChange(),)), ["items[0].price"]),
    ):
        with pytest.raises(InvalidArgument) as refusal:
            await desk.invoices.preview(CALLER, preview)
        assert [violation.field for violation in refusal.value.violations] == fields
    assert desk.previews.asked == []
