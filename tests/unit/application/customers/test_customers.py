"""Customers: what may be asked, and what is then asked of the mirror and of Stripe."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.contacts.ports import ContactLink
from application.customers.commands import (
    LinkedCustomer,
    ListCustomers,
    SearchCustomers,
    UpdateCustomer,
)
from application.customers.ports import CustomerChange, CustomerFields
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Address, Customer
from domain.errors import InvalidArgument, NotFound
from domain.mirror import Snapshot, Version
from tests.support.fakes.customers import FakeCustomerGateway
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    Failing,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)


class CustomersOnFakes:
    """The use case and what it works with."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.mirror, self.stripe = FakeMirror(), FakeCustomerGateway(clock)
        other = replace(CONNECTION, account="other", stripe_account="acct_2")
        connections = Connections(
            FakeConnections(CONNECTION, other), FakeStripeAccounts(), self.mirror, clock, Mode.TEST
        )
        self.writer = MirrorWriter(self.mirror)
        mutations = Mutations(
            FakeMutationLog(), connections, self.writer, clock, Tasks(), FakeObjects(clock)
        )
        reader = MirrorReader(self.mirror, PageTokens(b"k", clock))
        self.contacts = FakeContacts()
        self.customers = Customers(reader, connections, mutations, self.stripe, self.contacts)

    async def linked(self, customer: str, contact: str, *, account: str = "acct_1") -> ContactLink:
        link = ContactLink("acme", account, customer, contact, NOON)
        assert await self.contacts.link(link) == link
        return link

    async def mirrored(self, *ids: str, email: str | None = None, deleted: bool = False) -> None:
        for number, id_ in enumerate(ids):
            created = NOON + dt.timedelta(seconds=number)
            found = None if deleted else Customer(id_, created, email=email)
            version = Version.of_event(10**13 if deleted else number)
            await self.writer.observe(CUSTOMERS, [Snapshot("acct_1", id_, version, found)])


@pytest.fixture
def desk() -> CustomersOnFakes:
    return CustomersOnFakes()


async def test_pages_hold_every_customer_once_newest_first(desk: CustomersOnFakes) -> None:
    ids = [f"cus_{number}" for number in range(7)]
    await desk.mirrored(*ids)
    await desk.mirrored("cus_3", deleted=True)
    found: list[str] = []
    query = ListCustomers(page_size=2)
    while True:
        page = await desk.customers.list(CALLER, query)
        found += [one.customer.id for one in page.items]
        if not page.next_page_token:
            break
        query = replace(query, page_token=page.next_page_token)
    assert found == [id_ for id_ in reversed(ids) if id_ != "cus_3"]


async def test_a_list_is_narrowed(desk: CustomersOnFakes) -> None:
    await desk.mirrored("cus_0", "cus_1", "cus_2")
    await desk.mirrored("cus_9", email="a@example.com")
    by_time = await desk.customers.list(
        CALLER,
        ListCustomers(
            created_after=NOON + dt.timedelta(seconds=1),
            created_before=NOON + dt.timedelta(seconds=2),
        ),
    )
    assert [one.customer.id for one in by_time.items] == ["cus_1"]
    by_email = await desk.customers.list(CALLER, ListCustomers(email="a@example.com"))
    assert [one.customer.id for one in by_email.items] == ["cus_9"]


async def test_a_search_gives_pages_of_what_it_finds_newest_first(desk: CustomersOnFakes) -> None:
    await desk.mirrored("cus_0", "cus_1", email="ada@example.com")
    await desk.mirrored("cus_9", email="grace@example.com")
    first = await desk.customers.search(CALLER, SearchCustomers("EXAMPLE ad", page_size=1))
    assert [one.customer.id for one in first.items] == ["cus_1"]
    rest = SearchCustomers("ad  Example", 5, first.next_page_token)
    with pytest.raises(InvalidArgument, match="page_token"):
        await desk.customers.search(CALLER, replace(rest, query="ad"))
    last = await desk.customers.search(CALLER, rest)
    assert ([one.customer.id for one in last.items], last.next_page_token) == (["cus_0"], "")
    other = replace(CALLER, account="other")
    assert (await desk.customers.search(other, SearchCustomers("ada"))).items == []
    with pytest.raises(InvalidArgument, match="page_token"):
        await desk.customers.search(other, rest)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (SearchCustomers(""), ["query"]),
        (SearchCustomers(" @-. "), ["query"]),
        (SearchCustomers("+ ()", page_size=101), ["page_size", "query"]),
        (SearchCustomers("a" * 513), ["query"]),
        (SearchCustomers(" " * 512 + "a"), ["query", "query"]),
    ],
)
async def test_a_query_that_asks_for_nothing_or_too_much(
    desk: CustomersOnFakes, query: SearchCustomers, fields: list[str]
) -> None:
    assert await violations(desk.customers.search(CALLER, query)) == fields


async def test_customers_come_with_their_links_looked_up_at_once(desk: CustomersOnFakes) -> None:
    await desk.mirrored("cus_0", "cus_1", "cus_2", email="ada@example.com")
    first, last = await desk.linked("cus_0", "c-0"), await desk.linked("cus_2", "c-2")
    await desk.linked("cus_1", "c-1", account="acct_2")
    desk.contacts.pause = seen = Failing()
    wanted = {"cus_0": first, "cus_1": None, "cus_2": last}
    for page in (
        await desk.customers.list(CALLER, ListCustomers()),
        await desk.customers.search(CALLER, SearchCustomers("ada")),
    ):
        assert {one.customer.id: one.link for one in page.items} == wanted
    assert seen.calls == ["contacts.links"] * 4, "before and after one look-up a page"
    assert (await desk.customers.get(CALLER, "cus_2")).link == last
    nothing = await desk.customers.search(CALLER, SearchCustomers("nobody"))
    assert (nothing.items, len(seen.calls)) == ([], 6)


async def test_a_changed_customer_comes_with_its_link_a_new_one_has_none(
    desk: CustomersOnFakes,
) -> None:
    created = await desk.customers.create(CALLER, "r-1", CustomerFields(name="Ada"))
    assert created == LinkedCustomer(created.customer)
    link = await desk.linked("cus_1", "c-1")
    change = UpdateCustomer("cus_1", CustomerFields(name="Grace"))
    assert (await desk.customers.update(CALLER, "r-2", change)).link == link


async def test_another_tenants_customers_are_not_found(desk: CustomersOnFakes) -> None:
    await desk.mirrored("cus_1", "cus_2")
    other = replace(CALLER, account="other")
    assert (await desk.customers.list(other, ListCustomers())).items == []
    with pytest.raises(NotFound):
        await desk.customers.get(other, "cus_1")
    page = await desk.customers.list(CALLER, ListCustomers(page_size=1))
    with pytest.raises(InvalidArgument):
        await desk.customers.list(other, ListCustomers(page_token=page.next_page_token))


async def test_get(desk: CustomersOnFakes) -> None:
    await desk.mirrored("cus_1")
    assert (await desk.customers.get(CALLER, "cus_1")).customer.id == "cus_1"
    await desk.mirrored("cus_1", deleted=True)
    for id_ in ("cus_1", "cus_2"):
        with pytest.raises(NotFound) as missing:
            await desk.customers.get(CALLER, id_)
        assert missing.value.metadata == {"resource": "customer", "id": id_}


@pytest.mark.parametrize("id_", ["", "cus_1\n", "\x00", "a\x7fb", "\x85", "x" * 256])
async def test_ids_that_are_none(desk: CustomersOnFakes, id_: str) -> None:
    for call in (
        desk.customers.get(CALLER, id_),
        desk.customers.delete(CALLER, "r-1", id_),
    ):
        assert await violations(call) == ["id"]
    change = UpdateCustomer(id_, CustomerFields(name="Ada"))
    assert await violations(desk.customers.update(CALLER, "r-1", change)) == ["customer.id"]


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (ListCustomers(page_size=-1), ["page_size"]),
        (ListCustomers(page_size=101, email="x" * 513), ["page_size", "email"]),
        (ListCustomers(created_after=NOON, created_before=NOON), ["created_before"]),
        (ListCustomers(page_token="forged"), ["page_token"]),
    ],
)
async def test_lists_that_are_none(
    desk: CustomersOnFakes, query: ListCustomers, fields: list[str]
) -> None:
    assert await violations(desk.customers.list(CALLER, query)) == fields


WRONG = CustomerFields(
    email="nobody",
    name="n" * 257,
    phone="1" * 21,
    description="d" * 5_001,
    address=Address(line1="l" * 501, postal_code="p" * 501, country="USA"),
    metadata={
        "billing_request": "x", "a[b]": "y", "": "z", "k" * 41: "", "long": "v" * 501,
        "a\0": "v", "a": "v\0",
    },
)  # fmt: skip
WRONG_FIELDS = [
    "customer.email", "customer.name", "customer.phone", "customer.description",
    "customer.address.line1", "customer.address.postal_code", "customer.address.country",
    *["customer.metadata"] * 7,
]  # fmt: skip


async def test_every_violation_at_once(desk: CustomersOnFakes) -> None:
    assert await violations(desk.customers.create(CALLER, "r-1", WRONG)) == WRONG_FIELDS
    change = UpdateCustomer("", WRONG, ("email", "id"))
    assert await violations(desk.customers.update(CALLER, "r-1", change)) == [
        "customer.id", "update_mask", *WRONG_FIELDS,
    ]  # fmt: skip
    assert desk.stripe.sends == []


@pytest.mark.parametrize(
    "fields",
    [
        CustomerFields(email="a" * 500 + "@example.com"),
        CustomerFields(name="n" * 256, phone="1" * 20, description="d" * 5_000),
        CustomerFields(address=Address("l" * 500, "", None, "", "", "de")),
        CustomerFields(metadata={f"k{number}": "v" * 500 for number in range(49)}),
        CustomerFields(),
    ],
)
async def test_the_limits_themselves_are_allowed(
    desk: CustomersOnFakes, fields: CustomerFields
) -> None:
    assert (await desk.customers.create(CALLER, "r-1", fields)).customer.id == "cus_1"


@pytest.mark.parametrize(
    "email", ["a@b.c", "ada.lovelace+x@sub.example.com", "ünïcode@exämple.de", "'quoted'@e.org"]
)
async def test_addresses(desk: CustomersOnFakes, email: str) -> None:
    created = await desk.customers.create(CALLER, "r-1", CustomerFields(email=email))
    assert created.customer.email == email


@pytest.mark.parametrize("email", ["a", "@b.c", "a@", "a@b", "a@b.", "a@.c", "a b@c.d", "a@b@c.d"])
async def test_what_is_no_address(desk: CustomersOnFakes, email: str) -> None:
    call = desk.customers.create(CALLER, "r-1", CustomerFields(email=email))
    assert await violations(call) == ["customer.email"]


async def test_too_many_keys(desk: CustomersOnFakes) -> None:
    fields = CustomerFields(metadata={f"k{number}": "v" for number in range(50)})
    assert await violations(desk.customers.create(CALLER, "r-1", fields)) == ["customer.metadata"]


VALUES = CustomerFields(email="a@example.com", name="", phone=None, metadata={"plan": "gold"})


@pytest.mark.parametrize(
    ("values", "mask", "told"),
    [
        (VALUES, ("email",), CustomerFields(email="a@example.com")),
        (VALUES, ("name", "phone"), CustomerFields(name="", phone="")),  # empty clears
        (VALUES, ("address",), CustomerFields(address=Address())),
        (VALUES, ("metadata",), CustomerFields(metadata={"plan": "gold"})),
        (VALUES, (), CustomerFields(email="a@example.com", metadata={"plan": "gold"})),
    ],
)
async def test_the_mask_says_what_counts(
    desk: CustomersOnFakes, values: CustomerFields, mask: tuple[str, ...], told: CustomerFields
) -> None:
    await desk.customers.create(CALLER, "r-1", CustomerFields(name="Ada", phone="1"))
    await desk.customers.update(CALLER, "r-2", UpdateCustomer("cus_1", values, mask))
    method, _, sent = desk.stripe.sends[-1]
    assert (method, sent) == ("update", CustomerChange("cus_1", told))


async def test_what_is_cleared_is_gone(desk: CustomersOnFakes) -> None:
    await desk.customers.create(CALLER, "r-1", CustomerFields(name="Ada", phone="1"))
    change = UpdateCustomer("cus_1", CustomerFields(), ("phone",))
    updated = await desk.customers.update(CALLER, "r-2", change)
    assert (updated.customer.name, updated.customer.phone) == ("Ada", None)
    assert await desk.customers.get(CALLER, "cus_1") == updated


@pytest.mark.parametrize("mask", [(), ("id",), ("email", "created"), ("address.line1",), ("",)])
async def test_masks_that_are_none(desk: CustomersOnFakes, mask: tuple[str, ...]) -> None:
    change = UpdateCustomer("cus_1", CustomerFields(), mask)
    assert await violations(desk.customers.update(CALLER, "r-1", change)) == ["update_mask"]


async def test_a_malformed_request_id_is_told_beside_the_other_violations(
    desk: CustomersOnFakes,
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.customers.create(CALLER, "", CustomerFields(email="nobody"))
    told = [violation.field for violation in refused.value.violations]
    assert told == ["request_id", "customer.email"]
