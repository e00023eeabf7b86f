"""Matching customers to contacts, and linking all of them."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from application.contacts import link_all as contact_linking
from application.contacts.link_all_calls import ContactLinkJobs
from application.contacts.ports import ContactLink, SourceVersion
from application.mirror.nouns import CUSTOMERS, STRIPE_ACCOUNTS
from application.mirror.writer import MirrorWriter
from application.requests.callers import Caller
from domain.connections import ConnectionState, Mode
from domain.contacts import Contact, ContactSync, contact_id_for
from domain.customers import Customer
from domain.errors import FailedPrecondition, NotFound, Reason
from domain.mirror import Snapshot, Version
from domain.oddities import Oddity
from domain.operations import Operation, OperationKind, OperationState
from domain.stripe_accounts import StripeAccount
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.operations import ACCOUNT, CALLER, LINK, StripeAndStores, Watcher
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror
from tests.support.rooms.contacts import matching

KIND = OperationKind.LINK_CONTACTS
RIVAL = Caller("crm", "rival", frozenset())


class MatchingOnFakes:
    """Contacts and a mirror."""

    def __init__(self) -> None:
        self.contacts, self.mirror = FakeContacts(), FakeMirror()
        self.matching = matching(self.contacts, self.mirror, FakeClock())

    async def contact(self, id_: str, account: str = "acme", **fields: str) -> None:
        await self.contacts.add(Contact(id_, account, fields))

    async def match(self, id_: str = "cus_1", region: str = "DE", **fields: Any) -> str | None:
        """The contact that a customer is linked to by matching."""
        link = await self.matching.link(LINK, Customer(id_, NOON, **fields), region)
        return None if link is None else link.contact


@pytest.fixture
def desk() -> MatchingOnFakes:
    return MatchingOnFakes()


async def test_the_address_counts_before_the_number(desk: MatchingOnFakes) -> None:
    await desk.contact("a-phone", phone="+4930123456")
    await desk.contact("z-mail", email="Ada@X.test")
    assert await desk.match(email="ADA@x.test", phone="030 123456") == "z-mail"
    assert await desk.match("cus_2", email="none@x.test", phone="030 123456") == "a-phone"
    assert await desk.match("cus_3", email="none@x.test", phone="030 123456") is None


async def test_a_shared_number_links_nobody_who_has_another_address(desk: MatchingOnFakes) -> None:
    await desk.contact("home", phone="+4930123456", email="bob@x.test")
    assert await desk.match(email="ada@x.test", phone="030 123456") is None
    assert await desk.match("cus_2", phone="030 123456") == "home", "the customer has no address"


async def test_what_only_looks_like_the_address_is_another_person(desk: MatchingOnFakes) -> None:
    await desk.contact("a", email="strasse@x.test")
    assert await desk.match(email="straße@x.test") is None
    assert await desk.match("cus_2", email="STRASSE@x.test") == "a"


@pytest.mark.parametrize(
    ("stored", "asked", "region", "matches"),
    [
        ("+4930123456", "030 123456", "DE", True),
        ("030 123456", "+49 30 123456", "DE", True),
        ("(415) 555-2671", "+14155552671", "US", True),
        ("+14155552671", "4155552671", "US", True),
        ("+14155552671", "(415) 555-2671", "", False),  # whose number that is nobody knows
        ("020 7946 0958", "+442079460958", "GB", True),
        ("020 7946 0958", "+442079460958", "DE", False),  # spelled alike, of another country
        ("nonsense", "nonsense", "DE", False),
        ("12", "12", "DE", False),
    ],
)
async def test_numbers_are_compared_not_their_spellings(
    desk: MatchingOnFakes, stored: str, asked: str, region: str, matches: bool
) -> None:
    await desk.contact("ada", phone=stored)
    assert (await desk.match(phone=asked, region=region) == "ada") is matches


async def test_of_several_the_next_free_one_by_lowest_id(desk: MatchingOnFakes) -> None:
    for id_ in ("c", "a", "b"):
        await desk.contact(id_, email="x@x.test")
    await desk.contact("0", "other", email="x@x.test")
    found = [await desk.match(f"cus_{number}", email="X@x.test") for number in range(4)]
    assert found == ["a", "b", "c", None]


@pytest.mark.parametrize("lives", [True, False])
async def test_a_contact_made_of_another_customer_is_that_ones_before_it_is_linked(
    desk: MatchingOnFakes, lives: bool
) -> None:
    theirs = contact_id_for("acme", ACCOUNT, "cus_2")
    await desk.contact(theirs, email="x@x.test")
    told = Customer("cus_2", NOON, email="x@x.test") if lives else None
    snapshot = Snapshot(ACCOUNT, "cus_2", Version.of_event(1), told)
    await MirrorWriter(desk.mirror).observe(CUSTOMERS, [snapshot])
    assert await desk.match("cus_1", email="x@x.test") == (None if lives else theirs)
    if lives:
        assert await desk.match("cus_2", email="x@x.test") == theirs


async def test_one_that_is_taken_meanwhile_is_left_to_whoever_was_first(
    desk: MatchingOnFakes,
) -> None:
    for id_ in ("a", "b"):
        await desk.contact(id_, email="x@x.test")

    async def overtake(where: str) -> None:
        if where == "contacts.link" and not desk.contacts.linked_to:
            theirs = ContactLink("acme", ACCOUNT, "cus_9", "a", NOON)
            desk.contacts.linked_to["acme", ACCOUNT, "cus_9"] = theirs

    desk.contacts.pause = overtake
    assert await desk.match(email="x@x.test") == "b"


async def test_a_customer_that_somebody_links_meanwhile_stays_with_that_contact(
    desk: MatchingOnFakes,
) -> None:
    await desk.contact("a", email="x@x.test")
    theirs = ContactLink("acme", ACCOUNT, "cus_1", "b", NOON)
    desk.contacts.linked_to["acme", ACCOUNT, "cus_1"] = theirs
    assert await desk.match(email="x@x.test") == "b"


async def test_who_has_neither_address_nor_number_matches_nobody(desk: MatchingOnFakes) -> None:
    await desk.contact("a", name="Ada")
    await desk.contact("b", email="", phone="")
    for fields in ({}, {"email": ""}, {"phone": ""}, {"name": "Ada"}):
        assert await desk.match(**fields) is None


async def test_the_region_is_the_stripe_accounts_country(desk: MatchingOnFakes) -> None:
    assert await desk.matching.region(ACCOUNT) == ""
    for country in (None, "DE"):
        account = StripeAccount(ACCOUNT, NOON, True, True, True, "eur", country, {})
        version = Version.of_event(1 if country is None else 2)
        told = [Snapshot(ACCOUNT, ACCOUNT, version, account)]
        await MirrorWriter(desk.mirror).observe(STRIPE_ACCOUNTS, told)
        assert await desk.matching.region(ACCOUNT) == (country or "")


@pytest.fixture
async def world() -> AsyncIterator[StripeAndStores]:
    """A world of which the mirror has nine customers, two of one address."""
    made = StripeAndStores(customers=0)
    for number in range(9):
        at = NOON - dt.timedelta(days=9 - number)
        name = f"N{number}"
        found = Customer(f"cus_{number}", at, name=name, email=f"C{number // 2}@x.test")
        told = [Snapshot(ACCOUNT, found.id, Version.of_event(1), found)]
        await MirrorWriter(made.mirror).observe(CUSTOMERS, told)
    yield made
    await made.end()


async def people(world: StripeAndStores) -> None:
    """Contacts for half of the addresses, of which one is linked already."""
    for number in (0, 1):
        fields = {"email": f"c{number}@X.test", "owner": "bob"}
        await world.contacts.add(Contact(f"contact-{number}", "acme", fields))
    before = ContactLink("acme", ACCOUNT, "cus_8", "elsewhere", NOON - dt.timedelta(days=1))
    world.contacts.linked_to["acme", ACCOUNT, "cus_8"] = before


def jobs(world: StripeAndStores, **options: Any) -> ContactLinkJobs:
    return ContactLinkJobs(world.process(**options).operations)


def linked(world: StripeAndStores) -> dict[str, str]:
    return {one.customer: one.contact for one in world.contacts.linked_to.values()}


async def done(world: StripeAndStores, by: ContactLinkJobs) -> Operation:
    """The linking once it has ended."""
    await world.time.until(lambda: world.stored(KIND).ended)
    return await by.get(CALLER)


async def test_all_customers_are_linked_filled_and_counted(world: StripeAndStores) -> None:
    await people(world)
    mapping = {"name": "name", "email": "email"}
    await world.contacts.put_sync_settings(ContactSync("acme", mapping, create=True))
    by = jobs(world)
    started = await by.start(CALLER)
    assert (started.kind, started.options.account) == (KIND, "acme")
    progress = (await done(world, by)).progress
    counts = (progress.read, progress.linked, progress.created, progress.unmatched)
    assert counts == (9, 2, 6, 0)
    assert (progress.already_linked, progress.total, progress.phase) == (1, 9, "link")
    assert linked(world)["cus_0"] == "contact-0", "the oldest customer of an address gets it"
    assert linked(world)["cus_1"] == contact_id_for("acme", ACCOUNT, "cus_1")
    assert linked(world)["cus_8"] == "elsewhere"
    filled = await world.contacts.get("acme", "contact-0")
    assert filled is not None
    assert filled.fields == {"email": "C0@x.test", "name": "N0", "owner": "bob"}
    made = await world.contacts.get("acme", contact_id_for("acme", ACCOUNT, "cus_7"))
    assert made is not None
    assert made.fields == {"email": "C3@x.test", "name": "N7"}


async def test_a_customer_that_cannot_be_linked_holds_up_no_other(
    world: StripeAndStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(world)
    mapping = {"name": "name", "email": "email"}
    await world.contacts.put_sync_settings(ContactSync("acme", mapping, create=True))
    genuine = world.contacts.link

    async def link(wanted: ContactLink) -> Any:
        if wanted.customer == "cus_3":
            raise OverflowError("too large")
        return await genuine(wanted)

    monkeypatch.setattr(world.contacts, "link", link)
    by = jobs(world)
    await by.start(CALLER)
    ended = await done(world, by)
    assert ended.state is OperationState.SUCCEEDED
    why = "cannot be linked: OverflowError"
    assert ended.progress.oddities.named == (Oddity("customer", "cus_3", why),)
    assert linked(world).keys() == {f"cus_{number}" for number in range(9)} - {"cus_3"}


async def test_without_a_mapping_it_links_and_writes_nothing(world: StripeAndStores) -> None:
    await people(world)
    by = jobs(world)
    await by.start(CALLER)
    progress = (await done(world, by)).progress
    assert (progress.linked, progress.created, progress.unmatched) == (2, 0, 6)
    found = await world.contacts.get("acme", "contact-0")
    assert found is not None
    assert found.fields == {"email": "c0@X.test", "owner": "bob"}


async def test_again_finds_all_linked_already(world: StripeAndStores) -> None:
    await people(world)
    by = jobs(world)
    first = await by.start(CALLER)
    await done(world, by)
    before = linked(world)
    world.time.clock.advance(minutes=1)
    second = await by.start(CALLER)
    assert second.id != first.id
    progress = (await done(world, by)).progress
    assert (progress.read, progress.already_linked, progress.linked) == (9, 3, 0)
    assert linked(world) == before


@pytest.mark.parametrize("number", range(0, 60, 3))
async def test_a_process_that_dies_is_replaced_and_the_counts_are_the_same(
    world: StripeAndStores, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(contact_linking, "BLOCK", 2)
    await people(world)
    mapping = {"name": "name"}
    await world.contacts.put_sync_settings(ContactSync("acme", mapping, create=True))
    calls = 0

    async def where(name: str) -> None:
        nonlocal calls
        if name.startswith("contacts."):
            calls += 1
            if calls == 10 + number:
                for process in world.processes:
                    for one in process.operations._running.values():
                        one.task.cancel()
                await world.time.sleep(3_600)

    world.where = where
    await jobs(world).start(CALLER)
    await world.time.until(lambda: calls >= 10 + number or world.stored(KIND).ended)
    for process in world.processes:
        await process.kill()
    heir = world.process()
    heir.run()
    by = ContactLinkJobs(heir.operations)
    progress = (await done(world, by)).progress
    counts = (progress.read, progress.linked, progress.created, progress.unmatched)
    assert counts == (9, 2, 6, 0)
    assert progress.already_linked == 1
    assert len(linked(world)) == 9
    for customer, contact in linked(world).items():
        found = await world.contacts.get("acme", contact)
        assert customer == "cus_8" or (found and found.fields["name"] == f"N{customer[-1]}")


async def test_it_ends_where_the_connection_does(world: StripeAndStores) -> None:
    gone = replace(LINK, state=ConnectionState.REVOKED)
    theirs = replace(LINK, account="rival")
    for present in ((gone,), (gone, theirs)):
        world.connections.kept = {("acme", Mode.TEST): LINK}
        by = jobs(world)

        async def where(name: str, present: Any = present) -> None:
            if name == "mirror.count":
                world.connections.kept = {(one.account, Mode.TEST): one for one in present}

        world.where = where
        await by.start(CALLER)
        await world.time.until(lambda: world.stored(KIND).ended)
        found = world.stored(KIND)
        assert found.state is OperationState.FAILED
        assert found.error_reason == Reason.STRIPE_NOT_CONNECTED
        assert linked(world) == {}
        for process in world.processes:
            await process.kill()


async def test_an_account_sees_only_its_own(world: StripeAndStores) -> None:
    by = jobs(world)
    for call in (by.get, by.cancel):
        with pytest.raises(NotFound):
            await call(CALLER)
    await by.start(CALLER)
    await done(world, by)
    world.connections.kept = {("rival", Mode.TEST): replace(LINK, account="rival")}
    for call in (by.get, by.cancel):
        with pytest.raises(NotFound):
            await call(RIVAL)
    async with aclosing(by.watch(RIVAL)) as watch:
        with pytest.raises(NotFound):
            await anext(watch)
    world.time.clock.advance(minutes=1)
    with pytest.raises(FailedPrecondition):
        await by.get(CALLER)
    assert (await by.start(RIVAL)).options.account == "rival"


async def test_it_is_watched_and_cancelled(world: StripeAndStores) -> None:
    await people(world)

    async def where(name: str) -> None:
        if name == "contacts.links":
            await world.time.sleep(10)

    world.where = where
    by = jobs(world)
    first = await by.start(CALLER)
    assert (await by.start(CALLER)).id == first.id
    watcher = Watcher(by.watch(CALLER))
    await world.time.elapse(1)
    cancelled = await by.cancel(CALLER)
    assert cancelled.state is OperationState.CANCELLED
    assert (await by.cancel(CALLER)) == cancelled
    await world.time.until(lambda: watcher.ended)
    states = [one.state for one in watcher.told]
    assert {*states[:-1]} == {OperationState.RUNNING}
    assert states[-1] is OperationState.CANCELLED
    assert linked(world) == {"cus_8": "elsewhere"}


async def test_a_contact_that_the_crm_deleted_after_its_link_is_not_made_again(
    world: StripeAndStores,
) -> None:
    await world.contacts.put_sync_settings(ContactSync("acme", {"name": "name"}, create=True))
    by = jobs(world)
    await by.start(CALLER)
    await done(world, by)
    own = contact_id_for("acme", ACCOUNT, "cus_0")
    del world.contacts.contacts["acme", own]
    world.time.clock.advance(minutes=1)
    await by.start(CALLER)
    await done(world, by)
    assert await world.contacts.get("acme", own) is None
    version = SourceVersion(0, 0, 0)
    assert not await world.contacts.fill(
        "acme", own, {}, version, stripe_account=ACCOUNT, create=False
    )
