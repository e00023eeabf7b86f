"""Pages as Stripe gives them: whole, in a window, and past a cursor that is gone."""

import pytest

from application.mirror.lists import Place
from application.mirror.nouns import CUSTOMERS, INVOICES, SUBSCRIPTIONS
from domain.errors import Unavailable
from domain.invoices import Invoice
from domain.subscriptions import Subscription
from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.upkeep import Flows

DAY_MS = 86_400_000


async def test_a_window_holds_what_was_made_in_it(flows: Flows) -> None:
    ids = []
    for _ in range(3):
        ids.append((await flows.post("/v1/customers", name="x"))["id"])
        await flows.pass_time(86_400)
    now_ms = await flows.emulator.control.now() * 1_000
    page = await flows.lister.page(
        CUSTOMERS, flows.account, Place(now_ms - DAY_MS - DAY_MS // 2),
        since_ms=now_ms - 2 * DAY_MS - DAY_MS // 2, priority=flows.priority,
    )  # fmt: skip
    assert [one.id for one in page.items] == [ids[1]]
    assert page.next is None


async def test_nested_lists_are_complete(flows: Flows) -> None:
    customer = await flows.post("/v1/customers", name="x")
    for number in range(14):
        await flows.post(
            "/v1/invoiceitems", customer=customer["id"], amount=100 + number, currency="usd"
        )
    await flows.post(
        "/v1/invoices", customer=customer["id"], pending_invoice_items_behavior="include"
    )
    page = await flows.lister.page(
        INVOICES, flows.account, flows.place, since_ms=None, priority=flows.priority
    )
    (snapshot,) = page.items
    assert isinstance(snapshot.object, Invoice)
    assert len(snapshot.object.lines) == 14
    assert "lines" not in snapshot.unknown


async def test_ended_subscriptions_are_listed_too(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    page = await flows.lister.page(
        SUBSCRIPTIONS, flows.account, flows.place, since_ms=None, priority=flows.priority
    )
    found = [one.object for one in page.items]
    assert {one.status for one in found if isinstance(one, Subscription)} == {"active", "canceled"}


async def test_a_cursor_that_is_gone_begins_its_second_anew(flows: Flows) -> None:
    made = await flows.post("/v1/customers", name="x")
    await flows.pass_time(10)
    gone = await flows.post("/v1/customers", name="y")
    await flows.delete(f"/v1/customers/{gone['id']}")
    place = Place((gone["created"] + 1) * 1_000, gone["id"])
    page = await flows.lister.page(
        CUSTOMERS, flows.account, place, since_ms=None, priority=flows.priority
    )
    assert [one.id for one in page.items] == [made["id"]]


async def test_a_cut_page_is_no_page(flows: Flows) -> None:
    await flows.post("/v1/customers", name="x")
    await flows.emulator.control.add_fault(FaultSpec("cut", route="/v1/customers", count=None))
    with pytest.raises(Unavailable):
        await flows.lister.page(
            CUSTOMERS, flows.account, flows.place, since_ms=None, priority=flows.priority
        )


async def test_events_of_some_types(flows: Flows) -> None:
    await flows.live_a_little(customers=1)
    wanted = ["customer.created", "charge.succeeded"]
    page = await flows.lister.events(
        flows.account, flows.place, since_ms=0, priority=flows.priority, types=wanted
    )
    assert {event.type for event in page.items} == {*wanted}
    with pytest.raises(ValueError, match="at most 20"):
        await flows.lister.events(
            flows.account, flows.place, since_ms=0, priority=flows.priority, types=["x"] * 21
        )
