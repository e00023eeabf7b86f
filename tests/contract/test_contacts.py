"""The promises of `application.contacts.ports`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from application.contacts.ports import ContactDirectory, ContactLink, SourceVersion
from domain.contacts import Contact, ContactField, ContactSync, contact_id_for
from domain.errors import AlreadyExists
from tests.contract.samples import NOON, OURS, THEIRS
from tests.contract.test_plans import assert_ordered, plans_of, plans_or_nothing
from tests.support.servers.stores import Opener, Stores

SETTINGS = ContactSync("acme", {"email": "email", "city": "address.city"}, create=True)


async def fill(
    contacts: ContactDirectory,
    fields: Mapping[str, str],
    version: tuple[int, int, int] = (1, 1, 1),
    *,
    contact: str = "ada",
    account: str = "acme",
    stripe_account: str = OURS,
    create: bool = True,
) -> bool:
    return await contacts.fill(
        account, contact, fields, SourceVersion(*version),
        stripe_account=stripe_account, create=create,
    )  # fmt: skip


def link(customer: str = "cus_1", contact: str = "ada", account: str = "acme") -> ContactLink:
    return ContactLink(account, OURS, customer, contact, NOON)


async def test_settings_are_put_over_those_that_were_seen(
    stores: Stores,
) -> None:
    contacts = stores.contacts
    assert await contacts.sync_settings("acme") is None
    first = ContactSync("acme", {})
    assert await contacts.put_sync_settings(first) is True
    second = replace(SETTINGS, revision=2)
    assert await contacts.put_sync_settings(second) is True
    assert await contacts.sync_settings("acme") == second
    assert await contacts.sync_settings("other") is None
    for late in (first, second, replace(first, revision=4)):
        assert await contacts.put_sync_settings(late) is False
    assert await contacts.sync_settings("acme") == second


async def test_of_settings_at_once_one_stands(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        for revision in (1, 2):
            wanted = [
                ContactSync("acme", {"name": "name", "tier": f"metadata.{number}"}, True, revision)
                for number in range(10)
            ]
            stood = await asyncio.gather(
                *((first, second)[number % 2].contacts.put_sync_settings(one)
                for number, one in enumerate(wanted))
            )  # fmt: skip
            assert stood.count(True) == 1
            assert await first.contacts.sync_settings("acme") == wanted[stood.index(True)]


async def test_a_contact_is_filled_field_by_field(stores: Stores) -> None:
    contacts = stores.contacts
    assert await fill(contacts, {"name": "Ada"}, create=False) is False
    assert await contacts.get("acme", "ada") is None
    assert await fill(contacts, {"name": "Ada", "email": "a@x.test"}) is True
    assert await fill(contacts, {"email": "b@x.test"}, (2, 1, 1), create=False) is True
    whole = Contact("ada", "acme", {"name": "Ada", "email": "b@x.test"})
    assert await contacts.get("acme", "ada") == whole
    assert await contacts.get("other", "ada") is None


async def test_a_stripe_account_that_moves_leaves_each_account_contacts_of_its_own(
    stores: Stores,
) -> None:
    for account, name in (("acme", "Ada"), ("other", "Bob")):
        own = contact_id_for(account, OURS, "cus_1")
        assert await fill(stores.contacts, {"name": name}, contact=own, account=account)
    for account, name in (("acme", "Ada"), ("other", "Bob")):
        own = contact_id_for(account, OURS, "cus_1")
        assert await stores.contacts.get(account, own) == Contact(own, account, {"name": name})


async def test_an_earlier_version_never_overwrites_a_later_one(stores: Stores) -> None:
    contacts = stores.contacts
    versions = [(1, 9, 9), (2, 1, 9), (2, 2, 1), (2, 2, 2)]
    for number, version in enumerate(versions):
        assert await fill(contacts, {"name": str(number)}, version) is True
        for earlier in versions[:number]:
            assert await fill(contacts, {"name": "earlier"}, earlier) is False
        assert await fill(contacts, {"name": f"{number} again"}, version) is True
    assert await contacts.get("acme", "ada") == Contact("ada", "acme", {"name": "3 again"})
    # Another connection's versions are of another clock.
    assert await fill(contacts, {"name": "Bob"}, (0, 0, 0), stripe_account=THEIRS) is True


async def test_fills_at_once_end_with_the_latest(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        await asyncio.gather(
            *(
                fill(stores.contacts, {"name": str(number)}, (number, 0, 0))
                for number in range(20)
                for stores in (first, second)
            )
        )
        assert await first.contacts.get("acme", "ada") == Contact("ada", "acme", {"name": "19"})


def ids(found: Sequence[Contact]) -> list[str]:
    return [contact.id for contact in found]


async def test_contacts_are_found_by_address_whatever_the_case(stores: Stores) -> None:
    contacts = stores.contacts
    await fill(contacts, {"email": "Ada@X.Test"}, contact="zoe")
    await fill(contacts, {"email": "ada@x.test", "name": "Ada"}, contact="ada")
    await fill(contacts, {"email": "ÄDA@x.test"}, contact="accent")
    await fill(contacts, {"email": "ada@x.tes"}, contact="short")
    await fill(contacts, {"name": "nobody"}, contact="none")
    for account in ("other", "ACME", "acme2"):
        await fill(contacts, {"email": "ada@x.test"}, contact=f"of-{account}", account=account)
    for spelling in ("ada@x.test", "ADA@X.TEST", "aDa@x.Test"):
        found = await contacts.with_email("acme", spelling, limit=10)
        assert ids(found) == ["ada", "zoe"]
        assert found[0].fields == {"email": "ada@x.test", "name": "Ada"}
    assert ids(await contacts.with_email("acme", "ada@x.test", limit=1)) == ["ada"]
    assert ids(await contacts.with_email("acme", "äda@X.test", limit=10)) == ["accent"]
    assert ids(await contacts.with_email("ACME", "Ada@x.test", limit=10)) == ["of-ACME"]
    for nobody in ("a.a@x.test", "ada@x.test ", "", "\uff41da@x.test"):
        assert await contacts.with_email("acme", nobody, limit=10) == [], nobody


async def test_an_address_that_changes_is_found_anew(stores: Stores) -> None:
    contacts = stores.contacts
    await fill(contacts, {"email": "Old@x.test"})
    await fill(contacts, {"email": "New@x.test"}, (2, 1, 1))
    assert await contacts.with_email("acme", "old@x.test", limit=10) == []
    assert ids(await contacts.with_email("acme", "new@x.test", limit=10)) == ["ada"]


async def test_contacts_are_found_by_the_spellings_of_a_number(stores: Stores) -> None:
    contacts = stores.contacts
    await fill(contacts, {"phone": "+4930123"}, contact="zoe")
    await fill(contacts, {"phone": "030 123"}, contact="ada")
    await fill(contacts, {"phone": "030 124"}, contact="bob")
    await fill(contacts, {"phone": "+4930123"}, contact="aaa", account="other")
    forms = ["+4930123", "030 123", "030123"]
    assert ids(await contacts.with_phone("acme", forms, limit=10)) == ["ada", "zoe"]
    assert ids(await contacts.with_phone("acme", forms, limit=1)) == ["ada"]
    assert ids(await contacts.with_phone("acme", ["030 123", "030 123"], limit=10)) == ["ada"]
    assert await contacts.with_phone("acme", ["30123"], limit=10) == []
    assert await contacts.with_phone("acme", [], limit=10) == []


async def test_contacts_are_added_once_and_listed_by_id(stores: Stores) -> None:
    contacts = stores.contacts
    made = [Contact(f"c-{n}", "acme", {"email": f"C{n}@x.test", "phone": "1"}) for n in range(3)]
    for one in reversed(made):
        await contacts.add(one)
    await contacts.add(Contact("c-9", "other"))
    with pytest.raises(AlreadyExists) as refused:
        await contacts.add(Contact("c-1", "acme", {"name": "another"}))
    assert refused.value.metadata == {"id": "c-1"}
    assert await contacts.list_all("acme", after="", limit=10) == made
    assert await contacts.list_all("acme", after="c-0", limit=1) == made[1:2]
    assert await contacts.list_all("acme", after="c-2", limit=10) == []
    assert await contacts.get("acme", "c-1") == made[1]
    assert await contacts.with_email("acme", "c1@X.test", limit=10) == made[1:2]
    assert await contacts.with_phone("acme", ["1"], limit=10) == made
    # What was added is the CRM's: any customer's row may fill it.
    assert await fill(contacts, {"name": "Ada"}, (0, 0, 0), contact="c-1") is True


async def test_fields_of_an_accounts_own(stores: Stores) -> None:
    contacts = stores.contacts
    assert await contacts.custom_fields("acme") == []
    for name, label in (("tier", "Tier"), ("birthday", "Birthday"), ("tier", "Class")):
        await contacts.put_field("acme", ContactField(name, label))
    for unwritable in ("Tier", "a.b", "billing_filled", "id", "$set"):
        await contacts.put_field("acme", ContactField(unwritable, "no"))
    await contacts.put_field("other", ContactField("size", "Size"))
    assert await contacts.custom_fields("acme") == [
        ContactField("birthday", "Birthday", custom=True),
        ContactField("tier", "Class", custom=True),
    ]


async def test_a_link_stands_one_to_one(stores: Stores) -> None:
    contacts = stores.contacts
    assert await contacts.link(link()) == link()
    assert await contacts.link(ContactLink("acme", OURS, "cus_1", "bob", NOON)) == link()
    assert await contacts.link(link("cus_2")) is None
    assert await contacts.link(link("cus_2", "bob")) == link("cus_2", "bob")
    # Another account is another matter, even with the same Stripe account (taken over since).
    assert await contacts.link(link(account="other")) == link(account="other")
    found = await contacts.links("acme", OURS, ["cus_1", "cus_2", "cus_3"])
    assert found == {"cus_1": link(), "cus_2": link("cus_2", "bob")}
    assert await contacts.links("acme", THEIRS, ["cus_1"]) == {}
    assert await contacts.links("acme", OURS, []) == {}
    assert await contacts.link_of("acme", OURS, "bob") == link("cus_2", "bob")
    for elsewhere in (("other", OURS, "bob"), ("acme", THEIRS, "bob"), ("acme", OURS, "cus_2")):
        assert await contacts.link_of(*elsewhere) is None
    of_contacts = ["ada", "bob", "zoe"]
    assert await contacts.linked("acme", OURS, of_contacts) == {"ada", "bob"}
    assert await contacts.linked("acme", THEIRS, of_contacts) == frozenset()
    assert await contacts.linked("acme", OURS, []) == frozenset()
    assert await contacts.unlink("acme", OURS, "cus_1") is True
    assert await contacts.unlink("acme", OURS, "cus_1") is False
    assert await contacts.link(link("cus_3")) == link("cus_3"), "the contact is free again"


async def test_of_links_at_once_one_stands(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        standing = await asyncio.gather(
            *(
                stores.contacts.link(link("cus_1", f"contact-{number}"))
                for number in range(10)
                for stores in (first, second)
            )
        )
        (kept,) = (await first.contacts.links("acme", OURS, ["cus_1"])).values()
    assert {one and one.contact for one in standing} == {kept.contact}


async def test_every_query_uses_an_index(stores: Stores) -> None:
    contacts = stores.contacts
    for number in range(9):
        fields = {"email": f"{number}@x.test", "phone": f"+49{number}"}
        await fill(contacts, fields, contact=f"c-{number}")
        await contacts.link(link(f"cus_{number}", f"c-{number}"))
    for email in ("1@X.test", "nobody"):
        plans = await assert_ordered(stores, partial(contacts.with_email, "acme", email, limit=5))
        assert {plan.indexes[0][:2] for plan in plans} == {("account", "email")}
    await assert_ordered(stores, lambda: contacts.with_phone("acme", ["+491", "+492"], limit=5))
    await assert_ordered(stores, lambda: contacts.list_all("acme", after="c-1", limit=5))
    await contacts.put_field("acme", ContactField("tier", "Tier"))
    await assert_ordered(stores, lambda: contacts.custom_fields("acme"))
    await plans_or_nothing(stores, lambda: contacts.put_field("acme", ContactField("tier", "T")))
    await plans_or_nothing(stores, lambda: contacts.add(Contact("new", "acme")))
    await plans_of(stores, lambda: contacts.linked("acme", OURS, ["c-1", "c-2"]))
    await plans_of(stores, lambda: contacts.get("acme", "c-1"))
    await plans_of(stores, lambda: contacts.links("acme", OURS, ["cus_1", "cus_2"]))
    await assert_ordered(stores, lambda: contacts.link_of("acme", OURS, "c-1"))
    await plans_of(stores, lambda: fill(contacts, {"email": "new"}, (2, 2, 2), contact="c-1"))
    await plans_of(stores, lambda: contacts.unlink("acme", OURS, "cus_1"))
    await plans_or_nothing(stores, lambda: contacts.link(link("cus_2", "c-3")))
    await contacts.put_sync_settings(SETTINGS)
    await plans_of(stores, lambda: contacts.sync_settings("acme"))
    await plans_of(stores, lambda: contacts.put_sync_settings(replace(SETTINGS, revision=2)))
