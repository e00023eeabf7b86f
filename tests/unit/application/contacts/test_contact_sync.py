"""Contacts follow the mirrored customers, whatever the order of events."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from application.contacts.ports import ContactLink, SourceVersion
from domain.contacts import Contact, contact_id_for
from tests.support.fakes.breaking import Breaking
from tests.support.fakes.stores import NOON
from tests.support.rooms.effects import (
    SECOND,
    STRIPE,
    ProjectorWithEffects,
    contact_of,
    customer,
    sync,
)
from tests.support.servers.stores import sqlite_stores


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ProjectorWithEffects]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        yield ProjectorWithEffects(stores)


async def test_a_customer_becomes_and_fills_a_contact(desk: ProjectorWithEffects) -> None:
    await sync(desk)
    await desk.receive("evt_1", "customer.created", customer(name="Ada", email="a@x.test"))
    await desk.project()
    own = contact_id_for("acme", STRIPE, "cus_1")
    assert await contact_of(desk) == Contact(own, "acme", {"name": "Ada", "email": "a@x.test"})
    later = customer(name="Ada L.", metadata={"tier": "gold"})
    await desk.receive("evt_2", "customer.updated", later, at=NOON + SECOND)
    await desk.project()
    fields = {"name": "Ada L.", "email": "a@x.test", "tier": "gold"}
    assert await contact_of(desk) == Contact(own, "acme", fields)
    assert (await desk.became("evt_2"))[1:] == (
        "applied: newer than what we have",
        ("contact synced",),
    )


async def test_a_late_event_never_takes_a_contact_back(desk: ProjectorWithEffects) -> None:
    await sync(desk)
    await desk.receive("evt_2", "customer.updated", customer(name="new"), at=NOON + SECOND)
    await desk.project()
    await desk.receive("evt_1", "customer.updated", customer(name="old"))
    await desk.project()
    found = await contact_of(desk)
    assert found is not None
    assert found.fields == {"name": "new"}


async def test_a_customer_from_ahead_of_our_clock_holds_no_contact_fast(
    desk: ProjectorWithEffects,
) -> None:
    await sync(desk)
    desk.clock.instant = NOON + 30 * SECOND
    await desk.receive(
        "evt_1", "customer.created", customer(name="ahead"), at=NOON + 3_600 * SECOND
    )
    await desk.project()
    desk.objects.shows = customer(name="now")
    await desk.receive("evt_2", "customer.updated", customer(name="now"), at=NOON + SECOND)
    await desk.project()
    found = await contact_of(desk)
    assert found is not None
    assert found.fields == {"name": "now"}


async def test_a_process_that_read_an_earlier_row_never_takes_a_contact_back(
    desk: ProjectorWithEffects,
) -> None:
    await sync(desk)
    await desk.receive("evt_1", "customer.created", customer(name="old"))
    overtaken = False

    async def overtake(where: str) -> None:
        nonlocal overtaken
        if where == "fill" and not overtaken:
            overtaken = True
            await desk.receive("evt_2", "customer.updated", customer(name="new"), at=NOON + SECOND)
            await desk.project(owner="two")

    await desk.project(contacts=Breaking(desk.stores.contacts, before=overtake))
    found = await contact_of(desk)
    assert found is not None
    assert found.fields == {"name": "new"}


async def test_a_contact_that_the_crm_has_deleted_is_not_made_again(
    desk: ProjectorWithEffects,
) -> None:
    await sync(desk)
    gone = ContactLink("acme", STRIPE, "cus_1", "gone", NOON)
    await desk.stores.contacts.link(gone)
    await desk.receive("evt_1", "customer.updated", customer(name="Ada"))
    await desk.project()
    assert await desk.stores.contacts.links("acme", STRIPE, ["cus_1"]) == {"cus_1": gone}
    assert await contact_of(desk) is None
    own = contact_id_for("acme", STRIPE, "cus_1")
    assert await desk.stores.contacts.get("acme", own) is None


async def test_a_contact_of_the_crm_is_matched_and_only_its_mapped_fields_written(
    desk: ProjectorWithEffects,
) -> None:
    await sync(desk, create=False)
    await desk.stores.contacts.fill(
        "acme", "ada", {"email": "a@x.test", "owner": "bob"}, SourceVersion(0, 0, 0),
        stripe_account="crm", create=True,
    )  # fmt: skip
    await desk.receive("evt_1", "customer.created", customer(name="Ada", email="A@X.test"))
    await desk.receive("evt_2", "customer.created", customer("cus_2", email="nobody@x.test"))
    await desk.project()
    fields = {"email": "A@X.test", "owner": "bob", "name": "Ada"}
    assert await contact_of(desk) == Contact("ada", "acme", fields)
    assert await contact_of(desk, "cus_2") is None


async def test_two_customers_of_one_address_are_two_contacts(desk: ProjectorWithEffects) -> None:
    await sync(desk)
    for id_ in ("cus_1", "cus_2"):
        await desk.receive(f"evt_{id_}", "customer.created", customer(id_, email="a@x.test"))
        await desk.project()
    first, second = await contact_of(desk, "cus_1"), await contact_of(desk, "cus_2")
    assert first is not None
    assert second is not None
    assert first.id != second.id


async def test_without_settings_nothing_is_written(desk: ProjectorWithEffects) -> None:
    await desk.connect()
    await desk.receive("evt_1", "customer.created", customer(email="a@x.test"))
    await desk.project()
    assert await contact_of(desk) is None
    assert await desk.jobs() == ["events.customer_created"]
