"""Lines of drafts, and previews, through the real SDK."""

import pytest

from application.invoices.ports import InvoiceItemFields, InvoicePreview
from application.mutations.stripe import Unanswered
from application.subscriptions.ports import ItemChange
from domain.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from domain.money import Money
from infrastructure.stripe.core import client
from infrastructure.stripe.invoices.gateway import StripeInvoices
from infrastructure.stripe.invoices.previews import StripeInvoicePreviews
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.support.rooms.invoices_at_stripe import WORK, Drawer, Merchant, lines, now, shown
from tests.wire.gateway.conftest import MakeCall, Served


async def test_lines_are_added_as_they_were_meant(drawer: Drawer, merchant: Merchant) -> None:
    price = await merchant.price()
    product = str(price.product)
    items = (
        InvoiceItemFields(description="Days", quantity=3, unit_amount=700),
        InvoiceItemFields(description="Once", unit_amount=100),
        InvoiceItemFields(description="Credits", quantity=2, unit_amount=-50),
        InvoiceItemFields(quantity=4, price=price.id),
        InvoiceItemFields(description="Named", quantity=2, unit_amount=0, product=product),
        *(InvoiceItemFields(description=f"{n}", unit_amount=1) for n in range(20)),
    )
    found = await drawer.draft(*items)
    assert (found.total, len(found.lines)) == (Money(3_120, "usd"), 25)
    told = {
        line.description: (line.amount.amount, line.quantity, line.product == product)
        for line in found.lines
    }
    assert told["Days"] == (2_100, 3, False)
    assert told["Once"] == (100, 1, False)
    assert told["Credits"] == (-100, 1, False)
    assert told[None] == (1_000, 4, True)
    assert told["Named"] == (0, 2, True)


async def test_refused_lines_are_named_as_items_and_none_is_added(
    invoices: StripeInvoices, drawer: Drawer, merchant: Merchant, call: MakeCall
) -> None:
    draft = await drawer.empty()
    euro = await merchant.price("eur")
    for item, field in (
        (InvoiceItemFields(price="price_unknown"), "items[1].price"),
        (InvoiceItemFields(price=euro.id), "items[1].price"),
        (InvoiceItemFields(product="prod_unknown", unit_amount=1), "items[1].product"),
        (InvoiceItemFields(product=str(euro.product), unit_amount=-1), "items[1].unit_amount"),
        (InvoiceItemFields(price=euro.id, quantity=-1), "items[1].quantity"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await invoices.add_lines(call(field + repr(item)), lines(draft.id, WORK, item))
        assert [violation.field for violation in caught.value.violations] == [field]
    with pytest.raises(InvalidArgument) as caught:
        await invoices.add_lines(call("many"), lines(draft.id, *[WORK] * 251))
    assert [violation.field for violation in caught.value.violations] == ["items"]
    left = await merchant.v1.invoices.retrieve_async(draft.id, options=merchant.options)
    assert left.lines.data == []


async def test_find_lines_added_finds_by_the_tag_of_a_line_over_pages(
    invoices: StripeInvoices,
    drawer: Drawer,
    call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
    served: Served,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 2)
    made = await drawer.empty()
    wanted = lines(made.id)
    assert await invoices.find_lines_added(call("mine"), wanted, now()) is None
    await invoices.add_lines(call("mine"), wanted)
    for name in ("a", "b", "c", "d"):
        await invoices.add_lines(call(name), wanted)
    before = await served("GET /v1/invoices/{id}/lines")
    found = shown(await invoices.find_lines_added(call("mine"), wanted, now()))
    assert len(found.lines) == 5
    assert await served("GET /v1/invoices/{id}/lines") == before + 3
    assert await invoices.find_lines_added(call("none"), wanted, now()) is None
    assert await invoices.find_lines_added(call("mine"), lines("in_never"), now()) is None


async def test_a_lost_answer_is_found_under_the_same_key(
    invoices: StripeInvoices, drawer: Drawer, call: MakeCall, emulator: RunningEmulator
) -> None:
    draft = await drawer.empty()
    fault = FaultSpec(
        kind="drop_after", method="POST", route="/v1/invoices/{id}/add_lines", count=3
    )
    await emulator.control.add_fault(fault)
    wanted = lines(draft.id)
    with pytest.raises(Unanswered):
        await invoices.add_lines(call(), wanted)
    found = shown(await invoices.find_lines_added(call(), wanted, now()))
    assert shown(await invoices.add_lines(call(), wanted)) == found
    assert len(found.lines) == 1


async def test_a_preview_is_whole_and_nothing_of_it_is_kept(
    previews: StripeInvoicePreviews, merchant: Merchant, account: str, drawer: Drawer
) -> None:
    price = await merchant.price(recurring={"interval": "month"})
    made = await merchant.v1.subscriptions.create_async(
        {"customer": drawer.customer, "items": [{"price": price.id}]}, merchant.options
    )
    for _ in range(11):
        await merchant.v1.invoice_items.create_async(
            {"customer": drawer.customer, "amount": 1, "currency": "usd"}, merchant.options
        )
    before = await merchant.v1.invoices.list_async({}, merchant.options)
    found = await previews.preview(account, InvoicePreview(subscription=made.id))
    assert (found.subscription, found.total, len(found.lines)) == (
        made.id, Money(261, "usd"), 12,
    )  # fmt: skip
    item = made["items"].data[0].id
    changes = (ItemChange(item, quantity=3), ItemChange(price=price.id))
    found = await previews.preview(account, InvoicePreview(drawer.customer, made.id, changes))
    assert found.total == Money(1_011, "usd")
    found = await previews.preview(
        account, InvoicePreview(subscription=made.id, items=(ItemChange(item, remove=True),))
    )
    assert found.total == Money(11, "usd")
    after = await merchant.v1.invoices.list_async({}, merchant.options)
    assert [one.id for one in after.data] == [one.id for one in before.data]


async def test_previews_that_stripe_refuses(
    previews: StripeInvoicePreviews, merchant: Merchant, account: str, emulator: RunningEmulator
) -> None:
    customer = await merchant.customer()
    with pytest.raises(FailedPrecondition) as caught:
        await previews.preview(account, InvoicePreview(customer))
    assert caught.value.metadata["stripe_code"] == "invoice_upcoming_none"
    assert caught.value.message.endswith("name a subscription that continues")
    for preview, noun in (
        (InvoicePreview("cus_unknown"), "customer"),
        (InvoicePreview(subscription="sub_unknown"), "subscription"),
    ):
        with pytest.raises(NotFound) as missed:
            await previews.preview(account, preview)
        assert missed.value.metadata["resource"] == noun
    unknown = InvoicePreview(customer, items=(ItemChange(price="price_unknown"),))
    with pytest.raises(InvalidArgument) as refused:
        await previews.preview(account, unknown)
    assert [violation.field for violation in refused.value.violations] == ["items[0].price"]
    await emulator.control.add_fault(FaultSpec(kind="fail", status=500, count=None))
    with pytest.raises(Unavailable):
        await previews.preview(account, InvoicePreview(customer))
