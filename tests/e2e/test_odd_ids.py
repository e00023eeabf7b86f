"""Ids that merchants chose: what one call gives, every call takes."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from tests.support.contract.odd_ids import DOTS, LONGEST, NO_IDS
from tests.support.contract.tenant import Fields, Ground, fresh
from tests.support.servers.service import reason_of, until, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOMERS: Final = ("user-7", "desk@example.com", "tier/2", "größe", "-x", "Gold plan", LONGEST)
PRICE: Final = "Gold plan 12 monthly"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A tenant with customers and a price of such ids, all in the mirror."""
    async with world(tmp_path_factory.mktemp("service")) as here:
        made = Ground(here, await here.tenant())
        v1, options = here.sdk.v1, made.tenant.options
        for id_ in CUSTOMERS:
            chosen: Any = {"id": id_, "name": "Chosen"}
            await v1.customers.create_async(chosen, options)
        price: Any = {
            "id": PRICE, "currency": "usd", "unit_amount": 1_200,
            "recurring": {"interval": "month"}, "product_data": {"name": "Gold"},
        }  # fmt: skip
        await v1.prices.create_async(price, options)

        async def all_listed() -> bool:
            return len(await listed(made)) == len(CUSTOMERS)

        assert await until(all_listed)
        yield made


async def listed(ground: Ground, **query: Any) -> list[str]:
    """The ids of all customers, page by page."""
    found: list[str] = []
    token = ""
    while True:
        page = await ground.call(
            "CustomerService.ListCustomers", {"page_token": token, "page_size": 1, **query}
        )
        found += [one.id for one in page.customers]
        token = page.next_page_token
        if not token:
            return found


async def test_a_list_gives_them_on_pages_that_go_on(ground: Ground) -> None:
    assert sorted(await listed(ground)) == sorted(CUSTOMERS)


@pytest.mark.parametrize("customer", CUSTOMERS)
async def test_every_call_takes_what_a_list_gives(ground: Ground, customer: str) -> None:
    call, mutate = ground.call, ground.mutate
    assert (await call("CustomerService.GetCustomer", {"id": customer})).id == customer
    changed = {"id": customer, "description": "Changed"}
    answer = await mutate("CustomerService.UpdateCustomer", customer=changed)
    assert (answer.id, answer.description) == (customer, "Changed")
    card = await ground.card(customer)
    default = {"customer": customer, "id": card}
    await mutate("PaymentMethodService.SetDefaultPaymentMethod", **default)
    methods = await call("PaymentMethodService.ListPaymentMethods", {"customer": customer})
    assert [one.id for one in methods.payment_methods] == [card]
    plan = {"customer": customer, "items": [{"price": PRICE}], "trial_days": 3}
    subscription = await mutate("SubscriptionService.CreateSubscription", **plan)
    assert (subscription.customer, subscription.items[0].price) == (customer, PRICE)
    bill = {"customer": customer, "currency": "usd"}
    item = {"description": "Work", "unit_amount": {"amount": 700, "currency": "usd"}}
    draft = await mutate("InvoiceService.CreateInvoice", invoice=bill, items=[item])
    assert draft.customer == customer
    note = await mutate("NoteService.CreateNote", customer=customer, text="x")
    contact = await ground.contact()
    link = {"customer": customer, "contact": contact}
    await mutate("ContactLinkService.LinkContact", **link)
    await mutate("ContactLinkService.UnlinkContact", customer=customer)
    for method, held, ids in (
        ("SubscriptionService.ListSubscriptions", "subscriptions", {subscription.id}),
        ("InvoiceService.ListInvoices", "invoices", {draft.id}),
        ("NoteService.ListNotes", "notes", {note.id}),
    ):
        found = getattr(await call(method, {"customer": customer}), held)
        assert ids <= {one.id for one in found}, method
        assert {one.customer for one in found} == {customer}, method


async def test_operators_look_at_them_too(ground: Ground) -> None:
    for customer in CUSTOMERS:
        about = {"object_type": "customer", "object_id": customer}
        explained = await ground.call("EventService.ExplainObject", about)
        assert explained.events[0].event.object_id == customer
        told = await ground.call("EventService.ListEvents", {"object_id": customer})
        assert {one.object_id for one in told.events} == {customer}


REFUSED: Final[list[tuple[str, Fields]]] = [
    ("CustomerService.GetCustomer", {"id": None}),
    ("CustomerService.UpdateCustomer", {"customer": {"id": None, "description": "x"}}),
    ("CustomerService.DeleteCustomer", {"id": None}),
    ("InvoiceService.GetInvoice", {"id": None}),
    ("InvoiceService.FinalizeInvoice", {"id": None}),
    ("InvoiceService.DeleteInvoice", {"id": None}),
    ("SubscriptionService.GetSubscription", {"id": None}),
    ("SubscriptionService.CancelSubscription", {"id": None}),
    ("ChargeService.GetCharge", {"id": None}),
    ("ChargeService.RefundCharge", {"id": None}),
    ("PaymentMethodService.ListPaymentMethods", {"customer": None}),
    ("PaymentMethodService.DetachPaymentMethod", {"customer": None, "id": "card_1"}),
    ("PaymentMethodService.DetachPaymentMethod", {"customer": "user-7", "id": None}),
    ("PaymentMethodService.SetDefaultPaymentMethod", {"customer": None, "id": "pm_1"}),
    ("ContactLinkService.LinkContact", {"customer": None, "contact": "ada"}),
    ("NoteService.CreateNote", {"customer": None, "text": "x"}),
]


async def reason(ground: Ground, name: str, fields: Fields, id_: str) -> str:
    """Why a call is refused with an id in place of each None; every one of them is."""
    asked = {
        key: {**value, "id": id_} if isinstance(value, dict) else id_ if value is None else value
        for key, value in fields.items()
    }
    if not name.partition(".")[2].startswith(("Get", "List")):
        asked["request_id"] = fresh()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ground.call(name, asked)
    return reason_of(refused.value)


@pytest.mark.parametrize("id_", ["nobody/..", "größer", "\N{GRINNING FACE}" * 254, *DOTS[:2]])
async def test_unknown_ones_are_not_found(ground: Ground, id_: str) -> None:
    for name, fields in REFUSED:
        assert await reason(ground, name, fields, id_) == "NOT_FOUND", name


async def test_dots_alone_go_into_no_path(ground: Ground) -> None:
    in_parameters = ("ChargeService.RefundCharge", "PaymentMethodService.SetDefaultPaymentMethod")
    before = await ground.world.emulator.control.stats()
    for name, fields in REFUSED:
        if name not in in_parameters:
            await reason(ground, name, fields, "..")
    assert await ground.world.emulator.control.stats() == before


async def test_what_is_no_id_is_an_invalid_argument(ground: Ground) -> None:
    for name, fields in REFUSED:
        for id_ in NO_IDS[-2:]:
            assert await reason(ground, name, fields, id_) == "INVALID_FIELDS", name
