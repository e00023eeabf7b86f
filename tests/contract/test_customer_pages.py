"""A page of customers with their contacts costs one query of each of the two collections."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.contacts.ports import ContactLink
from application.customers.commands import LinkedCustomer, ListCustomers, SearchCustomers
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from infrastructure.sqlite import contacts
from tests.contract.samples import NOON, OURS, SECOND, THEIRS, store_new
from tests.support.fakes.customers import FakeCustomerGateway
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeStripeAccounts
from tests.support.servers.service import until
from tests.support.servers.stores import Opener, Plan, Stores

CALLER = Caller("service", "acme", frozenset())
PAGE = 50


@pytest.fixture
async def customers(stores: Stores) -> Customers:
    """The use case over the store, with 60 customers, every third linked."""
    clock = FakeClock()
    connections = Connections(
        FakeConnections(Connection("acme", OURS, Mode.TEST, ConnectionKind.MANUAL, NOON)),
        FakeStripeAccounts(), stores.mirror, clock, Mode.TEST,
    )  # fmt: skip
    await store_new(
        stores.mirror,
        CUSTOMERS,
        *(
            Customer(f"cus_{number}", NOON + number * SECOND, name=f"Ada the {number}")
            for number in range(60)
        ),
    )
    for number in range(0, 60, 3):
        linked_at = NOON + timedelta(days=number)
        await stores.contacts.link(
            ContactLink("acme", OURS, f"cus_{number}", f"c-{number}", linked_at)
        )
        for account, stripe_account in (("other", OURS), ("acme", THEIRS)):
            await stores.contacts.link(
                ContactLink(account, stripe_account, f"cus_{number + 1}", "c-x", linked_at)
            )
    return Customers(
        MirrorReader(stores.mirror, PageTokens(b"k", clock)),
        connections,
        Mutations(
            stores.mutation_log,
            connections,
            MirrorWriter(stores.mirror),
            clock,
            Tasks(),
            FakeObjects(clock),
        ),
        FakeCustomerGateway(clock),
        stores.contacts,
    )


async def asked(stores: Stores, action: Callable[[], Awaitable[Any]]) -> tuple[Any, Sequence[Plan]]:
    """What an action answers, and all queries that it sends."""
    answers = []

    async def act() -> None:
        answers.append(await action())

    plans = await stores.explain(act)
    return answers[0], plans


@pytest.mark.parametrize("way", ["list", "search"])
async def test_a_page_is_one_query_of_customers_and_one_of_links(
    stores: Stores, customers: Customers, way: str
) -> None:
    page, plans = await asked(
        stores,
        lambda: (
            customers.list(CALLER, ListCustomers(page_size=PAGE))
            if way == "list"
            else customers.search(CALLER, SearchCustomers("ada", page_size=PAGE))
        ),
    )
    assert len(page.items) == PAGE
    assert [one.link.contact if one.link else "" for one in page.items] == [
        "" if number % 3 else f"c-{number}" for number in range(59, 9, -1)
    ]
    assert page.items[2].link.linked_at == NOON + timedelta(days=57)
    about = [
        [name for name in ("billing.customers", "billing.contact_links") if name in plan.text]
        for plan in plans
    ]
    assert about == [["billing.customers"], ["billing.contact_links"]]
    for plan in plans:
        assert not plan.scans, plan.text
        assert not plan.sorts, plan.text


async def test_one_customer_is_one_query_of_each(stores: Stores, customers: Customers) -> None:
    for id_, contact in (("cus_3", "c-3"), ("cus_4", None)):
        found, plans = await asked(stores, partial(customers.get, CALLER, id_))
        assert isinstance(found, LinkedCustomer)
        assert (found.link and found.link.contact) == contact
        assert len(plans) == 2
        assert not any(plan.scans for plan in plans)


async def test_a_link_and_its_end_are_seen_at_once(stores: Stores, customers: Customers) -> None:
    async def contact() -> str:
        link = (await customers.get(CALLER, "cus_4")).link
        return link.contact if link else ""

    assert [await contact(), await contact()] == ["", ""]
    made = ContactLink("acme", OURS, "cus_4", "c-4", NOON)
    assert await stores.contacts.link(made) == made
    assert [await contact(), await contact()] == ["c-4", "c-4"]
    assert await stores.contacts.unlink("acme", OURS, "cus_4")
    assert await contact() == ""
    other = ContactLink("acme", OURS, "cus_4", "c-5", NOON)
    assert await stores.contacts.link(other) == other
    assert await contact() == "c-5"
    assert await stores.contacts.link(made) == other, "linked already"
    assert await contact() == "c-5"


async def test_a_link_made_by_another_process_is_seen_soon(
    opener: Opener, customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "_REMEMBERED_SECONDS", 0.1)
    assert (await customers.get(CALLER, "cus_4")).link is None
    made = ContactLink("acme", OURS, "cus_4", "c-4", NOON)
    async with opener() as elsewhere:
        assert await elsewhere.contacts.link(made) == made

    async def seen() -> ContactLink | None:
        return (await customers.get(CALLER, "cus_4")).link

    assert await until(seen) == made
