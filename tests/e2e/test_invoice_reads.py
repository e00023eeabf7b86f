"""Invoices over gRPC: lists, totals and previews, against the real process."""

import datetime as dt
from typing import Any

import pytest
import pytest_asyncio
from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1.subscription_service_pb2 import SubscriptionItemChange

from tests.support.rooms.invoices_end_to_end import InvoiceCalls, desk_of, item, refused
from tests.support.servers.service import ServiceAndEmulator, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(here: ServiceAndEmulator) -> InvoiceCalls:
    return await desk_of(here)


async def test_invoices_are_listed_newest_first_and_narrowed(desk: InvoiceCalls) -> None:
    made = [await desk.draft(), await desk.opened(), await desk.paid()]

    async def listed(**narrowed: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListInvoicesRequest(page_size=2, page_token=token, **narrowed)
            page = await desk.ask("ListInvoices", request)
            found += [invoice.id for invoice in page.invoices]
            token = page.next_page_token
            if not token:
                return found

    everything = await listed()
    assert sorted(everything) == sorted(invoice.id for invoice in made)
    assert await listed(customer=desk.customer) == everything
    assert await listed(statuses=["open"]) == [made[1].id]
    several = await listed(statuses=["draft", "paid"], customer=desk.customer)
    assert sorted(several) == sorted([made[0].id, made[2].id])
    assert await listed(customer="cus_other") == []
    assert await listed(created_before=made[0].create_time) == []
    wrong = pb.ListInvoicesRequest(statuses=["late"], customer="cus_1", subscription="sub_1")
    refusal = await refused(desk.ask("ListInvoices", wrong))
    assert refusal.fields == ["subscription", "statuses"]
    forged = pb.ListInvoicesRequest(page_token="forged")
    assert (await refused(desk.ask("ListInvoices", forged))).reason == "INVALID_PAGE_TOKEN"


async def test_totals_say_what_each_status_comes_to(desk: InvoiceCalls) -> None:
    await desk.draft()
    await desk.paid()
    await desk.opened()
    due = await desk.draft(item(300, "Now"), collection_method="send_invoice", days_until_due=0)
    await desk.ask("FinalizeInvoice", pb.FinalizeInvoiceRequest(id=due.id))
    given_up, void = await desk.opened(), await desk.opened()
    await desk.ask("MarkInvoiceUncollectible", pb.MarkInvoiceUncollectibleRequest(id=given_up.id))
    await desk.ask("VoidInvoice", pb.VoidInvoiceRequest(id=void.id))

    async def overdue() -> pb.CurrencyInvoiceTotals | None:
        totals = await desk.ask("GetInvoiceTotals", pb.GetInvoiceTotalsRequest())
        (usd,) = totals.currencies
        return usd if usd.past_due.count else None

    usd = await until(overdue)
    assert usd.currency == "usd"
    found = {
        name: (getattr(usd, name).count, getattr(usd, name).amount.amount)
        for name in ("draft", "open", "past_due", "paid", "void", "uncollectible")
    }
    assert found == {
        "draft": (1, 1_000), "open": (2, 1_300), "past_due": (1, 300), "paid": (1, 1_000),
        "void": (1, 1_000), "uncollectible": (1, 1_000),
    }  # fmt: skip
    other = pb.GetInvoiceTotalsRequest(customer="cus_other")
    assert not (await desk.ask("GetInvoiceTotals", other)).currencies
    before = pb.GetInvoiceTotalsRequest()
    before.created_after.FromDatetime(PAST)
    before.created_before.FromDatetime(PAST + dt.timedelta(days=1))
    assert not (await desk.ask("GetInvoiceTotals", before)).currencies
    wrong = pb.GetInvoiceTotalsRequest(customer="no\nid")
    assert (await refused(desk.ask("GetInvoiceTotals", wrong))).fields == ["customer"]


async def test_the_next_invoice_is_previewed_and_not_kept(desk: InvoiceCalls) -> None:
    await desk.with_card("pm_card_visa")
    sdk, options = desk.here.sdk.v1, desk.tenant.options
    price = await sdk.prices.create_async(
        {
            "currency": "usd", "unit_amount": 800, "product_data": {"name": "Plan"},
            "recurring": {"interval": "month"},
        },
        options,
    )  # fmt: skip
    made = await sdk.subscriptions.create_async(
        {"customer": desk.customer, "items": [{"price": price.id}]}, options
    )
    for number in range(12):  # more lines than Stripe shows at first
        await sdk.invoice_items.create_async(
            {
                "customer": desk.customer,
                "amount": 10,
                "currency": "usd",
                "description": f"{number}",
            },
            options,
        )
    await desk.here.delivered()

    async def previewed() -> pb.Invoice | None:
        """Known to the mirror at last, the subscription is found by its customer."""
        request = pb.PreviewInvoiceRequest(customer=desk.customer)
        found: pb.Invoice = await desk.ask("PreviewInvoice", request)
        return found if found.subscription else None

    invoice = await until(previewed)
    assert (invoice.id, invoice.subscription, invoice.total.amount) == ("", made.id, 920)
    assert len(invoice.lines) == 13
    changed = pb.PreviewInvoiceRequest(
        subscription=made.id,
        items=[SubscriptionItemChange(id=made["items"].data[0].id, quantity=3)],
    )
    assert (await desk.ask("PreviewInvoice", changed)).total.amount == 2_520
    listed = await desk.ask("ListInvoices", pb.ListInvoicesRequest(statuses=["draft"]))
    assert not listed.invoices


async def test_previews_that_cannot_be(desk: InvoiceCalls) -> None:
    nothing = pb.PreviewInvoiceRequest(customer=desk.customer)
    refusal = await refused(desk.ask("PreviewInvoice", nothing))
    assert (refusal.reason, refusal.metadata["stripe_code"]) == (
        "STRIPE_REFUSED", "invoice_upcoming_none",
    )  # fmt: skip
    unknown = pb.PreviewInvoiceRequest(subscription="sub_unknown")
    refusal = await refused(desk.ask("PreviewInvoice", unknown))
    assert (refusal.reason, refusal.metadata["resource"]) == ("NOT_FOUND", "subscription")
    empty = pb.PreviewInvoiceRequest(items=[SubscriptionItemChange(quantity=1)])
    assert (await refused(desk.ask("PreviewInvoice", empty))).fields == [
        "customer", "items", "items[0].price",
    ]  # fmt: skip
