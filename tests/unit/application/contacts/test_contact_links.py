"""Contact links: one to one, and how an account's contacts are filled."""

import datetime as dt
from typing import Any

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.contacts import use_cases as use_case
from application.contacts.ports import ContactLink
from application.contacts.use_cases import ContactLinks, MappingChange
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import STANDARD_FIELDS, Contact, ContactField, ContactSync
from domain.customers import Customer
from domain.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    Reason,
    Unavailable,
)
from domain.mirror import Snapshot, Version
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
    no_pause,
    store_down,
)

ACME = Caller("crm", "acme", frozenset())
OTHER = Caller("crm", "other", frozenset())
NOBODY = Caller("crm", "nobody", frozenset())


class ContactLinksOnFakes:
    """What outlives a process, and its present use case."""

    def __init__(self) -> None:
        self.clock, self.log, self.contacts = FakeClock(), FakeMutationLog(), FakeContacts()
        self.mirror = FakeMirror()
        self.links = self.process()

    def process(self) -> ContactLinks:
        kept = [
            Connection(account, stripe, Mode.TEST, ConnectionKind.MANUAL, NOON)
            for account, stripe in (("acme", "acct_1"), ("other", "acct_2"))
        ]
        connections = Connections(
            FakeConnections(*kept), FakeStripeAccounts(), self.mirror, self.clock, Mode.TEST
        )
        self.mutations = Mutations(
            self.log,
            connections,
            MirrorWriter(self.mirror),
            self.clock,
            Tasks(),
            FakeObjects(self.clock),
        )
        tokens = PageTokens(b"k", self.clock)
        reader = MirrorReader(self.mirror, tokens)
        return ContactLinks(self.contacts, self.mirror, reader, connections, self.mutations, tokens)

    async def customers(self, *ids: str, deleted: bool = False, at: int = 0) -> None:
        """Mirror customers, each created a second after the one before."""
        for number, id_ in enumerate(ids):
            created = NOON + dt.timedelta(seconds=at + number)
            found = None if deleted else Customer(id_, created)
            version = Version.of_event(10**13 if deleted else 1)
            told = [Snapshot("acct_1", id_, version, found)]
            await MirrorWriter(self.mirror).observe(CUSTOMERS, told)


@pytest.fixture
async def desk() -> ContactLinksOnFakes:
    made = ContactLinksOnFakes()
    await made.customers("cus_1", "cus_2")
    for contact in ("ada", "bob"):
        await made.contacts.add(Contact(contact, "acme", {"name": contact}))
    return made


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def test_a_customer_and_a_contact_are_linked(desk: ContactLinksOnFakes) -> None:
    link = await desk.links.link(ACME, "r-1", "cus_1", "ada")
    assert link == ContactLink("acme", "acct_1", "cus_1", "ada", NOON)
    desk.clock.advance(seconds=9)
    for request in ("r-1", "r-2"):
        assert await desk.links.link(ACME, request, "cus_1", "ada") == link
    assert await desk.links.get(ACME, customer="cus_1") == link
    assert await desk.links.get(ACME, contact="ada") == link


async def test_either_may_be_linked_elsewhere(desk: ContactLinksOnFakes) -> None:
    await desk.links.link(ACME, "r-1", "cus_1", "ada")
    with pytest.raises(AlreadyExists) as taken:
        await desk.links.link(ACME, "r-2", "cus_1", "bob")
    assert taken.value.reason is Reason.CUSTOMER_LINKED
    assert taken.value.metadata == {"customer": "cus_1", "contact": "ada"}
    with pytest.raises(AlreadyExists) as taken:
        await desk.links.link(ACME, "r-3", "cus_2", "ada")
    assert taken.value.reason is Reason.CONTACT_LINKED
    assert taken.value.metadata == {"contact": "ada", "customer": "cus_1"}
    assert len(desk.contacts.linked_to) == 1


async def test_both_must_exist(desk: ContactLinksOnFakes) -> None:
    await desk.customers("cus_2", deleted=True)
    await desk.contacts.add(Contact("theirs", "other"))
    for number, (customer, contact, missing) in enumerate(
        (
            ("cus_9", "ada", "customer"),
            ("cus_2", "ada", "customer"),
            ("cus_1", "zoe", "contact"),
            ("cus_1", "theirs", "contact"),
        )
    ):
        with pytest.raises(NotFound) as refused:
            await desk.links.link(ACME, f"r-{number}", customer, contact)
        assert refused.value.metadata["resource"] == missing
    with pytest.raises(NotFound):
        await desk.links.link(OTHER, "r-1", "cus_1", "theirs")
    assert desk.contacts.linked_to == {}


async def test_a_link_that_is_run_again_is_the_same(desk: ContactLinksOnFakes) -> None:
    async def pause(where: str) -> None:
        if where == "log.finish":
            raise store_down()

    desk.log.pause = pause
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await desk.links.link(ACME, "r-1", "cus_1", "ada")
    (standing,) = desk.contacts.linked_to.values()
    desk.log.pause = no_pause
    await desk.customers("cus_1", deleted=True)  # what was looked at is no longer so
    desk.clock.advance(minutes=5)
    assert await desk.process().link(ACME, "r-1", "cus_1", "ada") == standing


async def test_a_contact_that_is_taken_meanwhile_is_told(desk: ContactLinksOnFakes) -> None:
    async def overtake(where: str) -> None:
        if where == "contacts.link" and not desk.contacts.linked_to:
            theirs = ContactLink("acme", "acct_1", "cus_2", "ada", NOON)
            desk.contacts.linked_to["acme", "acct_1", "cus_2"] = theirs

    desk.contacts.pause = overtake
    with pytest.raises(AlreadyExists) as taken:
        await desk.links.link(ACME, "r-1", "cus_1", "ada")
    assert taken.value.metadata["customer"] == "cus_2"


async def test_unlinking_is_success_also_without_a_link(desk: ContactLinksOnFakes) -> None:
    await desk.links.link(ACME, "r-1", "cus_1", "ada")
    for request in ("r-2", "r-2", "r-3"):
        await desk.links.unlink(ACME, request, "cus_1")
    with pytest.raises(NotFound):
        await desk.links.get(ACME, customer="cus_1")
    await desk.links.link(ACME, "r-4", "cus_2", "ada")
    await desk.customers("cus_2", deleted=True)
    for request in ("r-5", "r-6"):
        await desk.links.unlink(ACME, request, "cus_2")
    with pytest.raises(NotFound):
        await desk.links.unlink(ACME, "r-7", "cus_9")
    with pytest.raises(NotFound):
        await desk.links.unlink(OTHER, "r-8", "cus_1")


async def test_links_are_a_connections_own(desk: ContactLinksOnFakes) -> None:
    await desk.links.link(ACME, "r-1", "cus_1", "ada")
    for end in ({"customer": "cus_1"}, {"contact": "ada"}):
        with pytest.raises(NotFound):
            await desk.links.get(OTHER, **end)
        with pytest.raises(FailedPrecondition):
            await desk.links.get(NOBODY, **end)


async def unlinked(desk: ContactLinksOnFakes, size: int = 0) -> list[list[str]]:
    """The pages of the customers without a contact."""
    pages, token = [], ""
    while True:
        page = await desk.links.list_unlinked(ACME, page_size=size, page_token=token)
        pages.append([one.id for one in page.items])
        token = page.next_page_token
        if not token:
            return pages


async def test_unlinked_customers_are_listed_newest_first(desk: ContactLinksOnFakes) -> None:
    await desk.customers(*(f"cus_{number}" for number in range(3, 9)), at=2)
    await desk.links.link(ACME, "r-1", "cus_4", "ada")
    await desk.links.link(ACME, "r-2", "cus_8", "bob")
    await desk.customers("cus_6", deleted=True)
    wanted = [f"cus_{number}" for number in (7, 5, 3, 2, 1)]
    assert await unlinked(desk) == [wanted]
    for size in (1, 2, 3, 5):
        pages = await unlinked(desk, size)
        assert [id_ for page in pages for id_ in page] == wanted
        assert all(len(page) == size for page in pages[:-1])
    page = await desk.links.list_unlinked(ACME, page_size=1, page_token="")
    call = desk.links.list_unlinked(OTHER, page_size=1, page_token=page.next_page_token)
    assert await violations(call) == ["page_token"]


async def test_a_call_looks_at_so_many_customers_and_asks_once_a_block(
    desk: ContactLinksOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "MAX_SCANNED", 4)
    monkeypatch.setattr(use_case, "_BLOCK", 2)
    ids = [f"cus_{number}" for number in range(3, 15)]
    await desk.customers(*ids, at=2)
    for number, id_ in enumerate(ids):
        await desk.contacts.link(ContactLink("acme", "acct_1", id_, f"c-{number}", NOON))
    asked: list[str] = []

    async def pause(where: str) -> None:
        asked.append(where)

    desk.mirror.pause = desk.contacts.pause = pause
    assert await unlinked(desk) == [[], [], [], ["cus_2", "cus_1"]]
    calls = {where: asked.count(where) // 2 for where in asked}
    assert calls == {"mirror.list": 7, "contacts.links": 7}


async def test_the_fields_of_contacts(desk: ContactLinksOnFakes) -> None:
    await desk.contacts.put_field("acme", ContactField("tier", "Tier"))
    await desk.contacts.put_field("acme", ContactField("email", "their own name for it"))
    fields = await desk.links.fields(ACME)
    assert fields == [*STANDARD_FIELDS, ContactField("tier", "Tier", custom=True)]
    assert await desk.links.fields(OTHER) == [*STANDARD_FIELDS]


FIELDS = {"email": "email", "city": "address.city", "tier": "metadata.tier"}


async def test_a_mapping_is_kept_with_an_etag(desk: ContactLinksOnFakes) -> None:
    await desk.contacts.put_field("acme", ContactField("tier", "Tier"))
    update = desk.links.update_mapping
    empty = await desk.links.mapping(NOBODY)  # it needs no connection
    assert (empty.mapping, empty.create) == ({}, False)
    first = await update(ACME, "r-1", MappingChange(FIELDS, True, ""), ())
    assert first == ContactSync("acme", FIELDS, True, 1)
    assert await desk.links.mapping(ACME) == first
    assert await update(ACME, "r-2", MappingChange(FIELDS, True, "old"), ()) == first, "no change"
    change = MappingChange({"name": "name"}, False, first.etag)
    second = await update(ACME, "r-3", change, ("create_contacts",))
    assert second == ContactSync("acme", FIELDS, False, 2)
    assert second.etag != first.etag
    with pytest.raises(Conflict) as conflict:
        await update(ACME, "r-4", MappingChange({"name": "name"}, False, first.etag), ())
    assert conflict.value.reason is Reason.ETAG_MISMATCH
    third = await update(ACME, "r-5", MappingChange({"name": "name"}, False, ""), ())
    assert third == ContactSync("acme", {"name": "name"}, False, 3)
    cleared = await update(ACME, "r-6", MappingChange({}, False, third.etag), ("fields",))
    assert cleared.mapping == {}
    assert await update(ACME, "r-1", MappingChange(FIELDS, True, ""), ()) == first, "a repeat"


async def test_a_mapping_that_somebody_changes_meanwhile_is_not_lost(
    desk: ContactLinksOnFakes,
) -> None:
    async def overtake(where: str) -> None:
        if where == "contacts.put_sync_settings" and "acme" not in desk.contacts.settings:
            desk.contacts.settings["acme"] = ContactSync("acme", {"phone": "phone"}, False, 1)

    desk.contacts.pause = overtake
    change = MappingChange(None, True, "")
    settings = await desk.links.update_mapping(
        ACME, "r-1", MappingChange({"name": "name"}, False, ""), ("fields",)
    )
    assert settings == ContactSync("acme", {"name": "name"}, False, 2)
    settings = await desk.links.update_mapping(ACME, "r-2", change, ())
    assert settings == ContactSync("acme", {"name": "name"}, True, 3)


@pytest.mark.parametrize(
    ("change", "mask", "fields"),
    [
        (MappingChange({"tier": "email"}, False, ""), (), ["contact_mapping.fields.tier"]),
        (MappingChange({"name": "password"}, False, ""), (), ["contact_mapping.fields.name"]),
        (
            MappingChange({"a.b": "email", "id": "nothing", "name": "name"}, False, ""), (),
            ["contact_mapping.fields.a.b", *["contact_mapping.fields.id"] * 2],
        ),
        (MappingChange({}, False, ""), (), ["update_mask"]),
        (MappingChange({"name": "name"}, False, ""), ("*",), ["update_mask"]),
        (MappingChange({}, True, ""), (), ["contact_mapping.fields"]),
        (MappingChange({}, True, ""), ("fields", "create_contacts"), ["contact_mapping.fields"]),
    ],
)  # fmt: skip
async def test_mappings_that_are_none(
    desk: ContactLinksOnFakes, change: MappingChange, mask: tuple[str, ...], fields: list[str]
) -> None:
    assert await violations(desk.links.update_mapping(ACME, "r-1", change, mask)) == fields
    assert desk.contacts.settings == {}


async def test_too_many_fields(desk: ContactLinksOnFakes) -> None:
    for number in range(51):
        await desk.contacts.put_field("acme", ContactField(f"f{number}", ""))
    fields = {f"f{number}": "name" for number in range(51)}
    call = desk.links.update_mapping(ACME, "r-1", MappingChange(fields, False, ""), ())
    assert await violations(call) == ["contact_mapping.fields"]


async def test_every_violation_at_once(desk: ContactLinksOnFakes) -> None:
    links = desk.links
    assert await violations(links.link(ACME, "", "x\ny", "")) == [
        "request_id", "customer", "contact",
    ]  # fmt: skip
    assert await violations(links.unlink(ACME, "", "")) == ["request_id", "customer"]
    assert await violations(links.get(ACME)) == ["customer"]
    assert await violations(links.get(ACME, contact="a b")) == ["contact"]
    call = links.list_unlinked(ACME, page_size=101, page_token="")
    assert await violations(call) == ["page_size"]
