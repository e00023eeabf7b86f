"""Whatever id a merchant chose, every store keeps it as it is, and apart from every other."""

from dataclasses import replace
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.contacts.ports import ContactLink
from application.events.event_log import EventFilter
from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mirror.ports import Filter
from application.notes.ports import NoteFilter
from application.support.ports import SystemMessage
from domain.contacts import contact_id_for
from domain.customers import Customer
from domain.jobs import Job, job_id
from tests.contract.samples import (
    NOON,
    OURS,
    THEIRS,
    charge,
    event,
    facet,
    list_ids,
    store_new,
    tombstone,
)
from tests.contract.test_notes import listed as listed_notes
from tests.contract.test_notes import note
from tests.contract.test_subscription_history import change
from tests.support.contract.odd_ids import DOTS, ODD_IDS, object_ids
from tests.support.servers.stores import Stores

IDS = [*ODD_IDS, *DOTS]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ids=st.lists(object_ids | st.sampled_from(IDS), unique=True, min_size=1, max_size=6))
async def test_rows_of_any_ids_come_back(stores: Stores, ids: list[str]) -> None:
    own, other = f"acct_{uuid4().hex}", f"acct_{uuid4().hex}"
    rows = [Customer(id=id_, created=NOON, name=id_) for id_ in ids]
    for account in (own, other):
        await store_new(stores.mirror, CUSTOMERS, *rows, stripe_account=account)
    await stores.mirror.replace(
        CUSTOMERS, [(tombstone(id_, stripe_account=other), 1) for id_ in ids]
    )
    found = await stores.mirror.fetch(CUSTOMERS, own, ids)
    assert {id_: row.snapshot and row.snapshot.object for id_, row in found.items()} == dict(
        zip(ids, rows, strict=True)
    )
    for row in rows:
        assert set(await stores.mirror.fetch(CUSTOMERS, own, [row.id])) == {row.id}
    listed = await list_ids(stores.mirror, CUSTOMERS, limit=1, stripe_account=own)
    assert listed == sorted(ids, reverse=True), "pages go on after any id"
    assert await list_ids(stores.mirror, CUSTOMERS, stripe_account=other) == []


async def test_lists_are_narrowed_to_any_customer(stores: Stores) -> None:
    charges = [charge(f"ch_{place:03}", customer=id_) for place, id_ in enumerate(IDS)]
    await store_new(stores.mirror, CHARGES, *charges)
    for one in charges:
        where = Filter(equals={"customer": one.customer or ""})
        assert await list_ids(stores.mirror, CHARGES, where) == [one.id]


async def test_facets_are_kept_with_any_row(stores: Stores) -> None:
    await stores.mirror.derive(CHARGES, [facet(id_, invoice=id_) for id_ in IDS])
    found = await stores.mirror.fetch(CHARGES, OURS, IDS)
    told = {id_: row.derived["balance"].values["invoice"] for id_, row in found.items()}
    assert told == {id_: id_ for id_ in IDS}


async def test_links_and_contacts_of_any_customer(stores: Stores) -> None:
    links = [
        ContactLink(
            account, stripe_account, id_, contact_id_for(account, stripe_account, id_), NOON
        )
        for account, stripe_account in (("acme", OURS), ("acme-acct_1Ours", THEIRS))
        for id_ in IDS
    ]
    for link in links:
        assert await stores.contacts.link(link) == link
    for link in links:
        key = (link.account, link.stripe_account)
        assert await stores.contacts.links(*key, [link.customer]) == {link.customer: link}
        assert await stores.contacts.link_of(*key, link.contact) == link
    assert len(await stores.contacts.links("acme", OURS, IDS)) == len(IDS)
    for link in links:
        assert await stores.contacts.unlink(link.account, link.stripe_account, link.customer)


async def test_notes_about_any_customer(stores: Stores) -> None:
    notes = [note(place, customer=id_) for place, id_ in enumerate(IDS)]
    for one in notes:
        await stores.notes.add(one)
    for one in notes:
        assert await listed_notes(stores, NoteFilter(customer=one.customer)) == [one]


async def test_events_about_any_object(stores: Stores) -> None:
    events = [replace(event(f"evt_{place}"), object_id=id_) for place, id_ in enumerate(IDS)]
    for one in events:
        await stores.inbox.append(one)
    for one in events:
        told = await stores.event_log.about(OURS, one.object_id, after=None, limit=10)
        assert [other.id for other in told] == [one.id]
        where = EventFilter(stripe_account=OURS, object_id=one.object_id)
        (record,) = await stores.event_log.list(where, after=None, limit=10)
        assert (record.id, record.object_id) == (one.id, one.object_id)


async def test_jobs_and_messages_about_any_object(stores: Stores) -> None:
    kind = "events.customer_created"
    jobs = [
        Job(job_id(kind, "acme", "customer_created", id_), kind, "acme", NOON, {"customer": id_})
        for id_ in IDS
    ]
    for _ in range(2):
        await stores.outbox.append(jobs)
    watched = await stores.outbox.watch("acme", after=0, limit=100)
    assert [one.job for one in watched] == jobs
    for job in jobs:
        await stores.support.post(SystemMessage(job.id, "acme", "ada", "Paid.", NOON))
    posted = await stores.support.messages("acme", "ada", limit=100)
    assert {one.message.id for one in posted} == {job.id for job in jobs}


async def test_the_history_of_any_subscription(stores: Stores) -> None:
    history = stores.subscription_history
    changes = [change(f"evt_{place}", subscription=id_) for place, id_ in enumerate(IDS)]
    await history.append(changes)
    for id_, one in zip(IDS, changes, strict=True):
        assert await history.of_subscription(OURS, id_, after=None, limit=10) == [one]
