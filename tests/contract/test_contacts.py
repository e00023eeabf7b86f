"""The promises of `application.ports.contacts`."""

import asyncio
from collections.abc import Mapping
from functools import partial

from application.ports.contacts import ContactDirectory, ContactLink, SourceVersion
from domain.contacts import Contact, ContactSync
from tests.contract.samples import NOON, OURS, THEIRS
from tests.contract.test_plans import assert_ordered, plans_of, plans_or_nothing
from tests.support.stores import Opener, Stores

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


async def test_settings_are_an_accounts_own_and_the_last_stand(stores: Stores) -> None:
    contacts = stores.contacts
    assert await contacts.sync_settings("acme") is None
    await contacts.put_sync_settings(ContactSync("acme", {}))
    await contacts.put_sync_settings(SETTINGS)
    assert await contacts.sync_settings("acme") == SETTINGS
    assert await contacts.sync_settings("other") is None


async def test_a_contact_is_filled_field_by_field(stores: Stores) -> None:
    contacts = stores.contacts
    assert await fill(contacts, {"name": "Ada"}, create=False) is False
    assert await contacts.get("acme", "ada") is None
    assert await fill(contacts, {"name": "Ada", "email": "a@x.test"}) is True
    assert await fill(contacts, {"email": "b@x.test"}, (2, 1, 1), create=False) is True
    whole = Contact("ada", "acme", {"name": "Ada", "email": "b@x.test"})
    assert await contacts.get("acme", "ada") == whole
    assert await contacts.get("other", "ada") is None


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


async def test_contacts_are_found_by_mail_first_and_phone_then(stores: Stores) -> None:
    contacts = stores.contacts
    await fill(contacts, {"email": "b@x.test"}, contact="bob")
    await fill(contacts, {"email": "a@x.test", "phone": "+4930123"}, contact="ada")
    await fill(contacts, {"email": "a@x.test"}, contact="zoe")
    await fill(contacts, {"email": "a@x.test"}, contact="aaa", account="other")

    async def found(emails: list[str], phones: list[str]) -> str | None:
        contact = await contacts.find("acme", emails=emails, phones=phones)
        return None if contact is None else contact.id

    assert await found(["a@x.test"], []) == "ada", "of several the lowest id"
    assert await found(["b@x.test"], ["+4930123"]) == "bob"
    assert await found(["c@x.test"], ["030", "+4930123"]) == "ada"
    assert await found(["A@X.TEST", "b@x.test"], []) == "bob"
    assert await found([], []) is None
    assert await found(["c@x.test"], ["030"]) is None


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
    for emails, phones in ((["1@x.test"], ["+493"]), (["no"], ["+493"]), (["a", "b"], ["c", "d"])):
        await assert_ordered(stores, partial(contacts.find, "acme", emails=emails, phones=phones))
    await plans_of(stores, lambda: contacts.get("acme", "c-1"))
    await plans_of(stores, lambda: contacts.links("acme", OURS, ["cus_1", "cus_2"]))
    await plans_of(stores, lambda: fill(contacts, {"email": "new"}, (2, 2, 2), contact="c-1"))
    await plans_of(stores, lambda: contacts.unlink("acme", OURS, "cus_1"))
    await plans_or_nothing(stores, lambda: contacts.link(link("cus_2", "c-3")))
    await contacts.put_sync_settings(SETTINGS)
    await plans_of(stores, lambda: contacts.sync_settings("acme"))
