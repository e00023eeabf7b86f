"""What has come of a history in a store, in the shapes in which `Happened` says what should have.

An outcome is a mapping of parts; `differences` names those that are wrong, and how.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from application.events.inbox import EventState
from application.mirror.nouns import NOUN_BY_NAME
from application.mirror.ports import Mirror
from application.support.payment_notices import PAYMENT_NOTICE
from domain.jobs import Job
from domain.mirror import Row
from tests.support.expected.happened import FacetKey, FactKey, Happened, Json, Notice
from tests.support.servers.stores import Stores

Outcome: TypeAlias = dict[str, dict[Any, Any]]

_ALL: Final = 1_000
_LATE: Final = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


async def should_follow(
    stores: Stores, tenant: str, stripe_account: str, happened: Happened
) -> Outcome:
    """The outcome of a history that was delivered whole to a tenant connected from its start.

    Who pays is told so where he is linked to a contact, by then or later; who was deleted before
    anybody knew him never is.
    """
    customers = [one["id"] for one in happened.told("customer.created")]
    linked = await stores.contacts.links(tenant, stripe_account, customers)
    return {
        "facts": happened.facts(),
        "notices": {id_: one for id_, one in happened.notices().items() if one[0] in linked},
        "facets": happened.facets(),
        "changes": happened.changes(),
        "contacts": {
            one["id"]: {"name": one["name"], "email": one["email"]}
            for one in happened.objects["customer"]
        },
    }


async def has_followed(
    stores: Stores, tenant: str, stripe_account: str, happened: Happened
) -> Outcome:
    """What the store holds of that; objects that Stripe does not show are not looked for."""
    ids = {noun: [one["id"] for one in found] for noun, found in happened.objects.items()}
    customers = {one["customer"] for one in happened.objects["invoice"]}
    return {
        "facts": await facts(stores, tenant, stripe_account),
        "notices": await notices(stores, tenant, stripe_account, customers),
        "facets": await facets(stores.mirror, stripe_account, ids),
        "changes": await changes(stores, stripe_account, ids["subscription"]),
        "contacts": await contacts(stores, tenant, stripe_account, ids["customer"]),
    }


def differences(
    should: Mapping[str, Mapping[Any, Any]], came: Mapping[str, Mapping[Any, Any]]
) -> dict[str, list[tuple[Any, Any, Any]]]:
    """By part, what differs: its key, what should have come of it (None: nothing), what did."""
    found = {
        part: [
            (key, should[part].get(key), came[part].get(key))
            for key in should[part].keys() | came[part].keys()
            if should[part].get(key) != came[part].get(key)
        ]
        for part in should
    }
    return {part: wrong for part, wrong in found.items() if wrong}


async def facts(stores: Stores, tenant: str, stripe_account: str) -> dict[FactKey, Json]:
    """What the tenant's billing events say, by the fact that they name."""
    found: dict[FactKey, Json] = {}
    for job in await _billing_events(stores, tenant):
        told = dict(job.payload)
        fact, owner = told.pop("fact"), told.pop("stripe_account")
        del told["occurred_at_ms"]  # of several events that tell a fact, that of the first to come
        kind, account, name, subject = job.id.split("/", 3)
        assert (kind, account, name) == (f"events.{fact}", tenant, fact)
        assert (job.kind, owner) == (kind, stripe_account)
        found[fact, subject] = told
    return found


async def notices(
    stores: Stores, tenant: str, stripe_account: str, customers: Iterable[str]
) -> dict[str, Notice]:
    """The system messages to the contacts of customers, by the invoice that they are about."""
    linked = await stores.contacts.links(tenant, stripe_account, sorted(customers))
    said: dict[str, Notice] = {}
    for customer, link in linked.items():
        posted = await stores.support.messages(tenant, link.contact, limit=_ALL)
        ids = [one.message.id for one in posted]
        assert len(set(ids)) == len(ids), "a message stands once"
        said |= {one.message.id.rpartition("/")[2]: (customer, one.message.text) for one in posted}
    told = await _notified(stores, tenant)
    assert told == set(said), "the support service is told of each message"
    return said


async def facets(
    mirror: Mirror, stripe_account: str, ids: Mapping[str, Sequence[str]]
) -> dict[FacetKey, Json]:
    """The derived halves of rows, by noun, id and name of the part."""
    return {
        (noun, row.id, name): dict(facet.values)
        for noun, row in await _rows(mirror, stripe_account, ids)
        for name, facet in row.derived.items()
    }


async def rows(
    mirror: Mirror, stripe_account: str, ids: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], Any]:
    """What rows show, by noun and id; None of a tombstone."""
    return {
        (noun, row.id): row.snapshot.object
        for noun, row in await _rows(mirror, stripe_account, ids)
        if row.snapshot is not None
    }


async def changes(
    stores: Stores, stripe_account: str, subscriptions: Iterable[str]
) -> dict[str, Json]:
    """The history of subscriptions, by the event that told it."""
    return {
        one.event_id: {
            "type": one.event_type,
            "at": int(one.at.timestamp()),
            "subscription": one.subscription.id,
            "status": one.subscription.status,
            "items": [(item.price, item.quantity) for item in one.subscription.items],
        }
        for subscription in subscriptions
        for one in await stores.subscription_history.of_subscription(
            stripe_account, subscription, after=None, limit=_ALL
        )
    }


async def contacts(
    stores: Stores, tenant: str, stripe_account: str, customers: Iterable[str]
) -> dict[str, Json]:
    """What the contacts of customers show, by customer."""
    linked = await stores.contacts.links(tenant, stripe_account, sorted(customers))
    found: dict[str, Json] = {}
    for customer, link in linked.items():
        contact = await stores.contacts.get(tenant, link.contact)
        found[customer] = dict(contact.fields) if contact else {}
    return found


async def unsettled(stores: Stores, event_ids: Iterable[str]) -> dict[str, str]:
    """The events that are not done with, by id, and what became of them."""
    found: dict[str, str] = {}
    for event_id in event_ids:
        event, error = await stores.inbox.get(event_id) or (None, "")
        if event is None:
            found[event_id] = "never came"
        elif event.state not in (EventState.PROCESSED, EventState.IGNORED):
            found[event_id] = f"{event.type} {event.state}: {event.decision} {error}"
    return found


async def _billing_events(stores: Stores, tenant: str) -> list[Job]:
    found: list[Job] = []
    after = 0
    while page := await stores.outbox.watch(tenant, after=after, limit=_ALL):
        found += [one.job for one in page]
        after = page[-1].position
    return found


async def _notified(stores: Stores, tenant: str) -> set[str]:
    """The invoices of which the tenant's jobs tell the support service."""
    claimed = await stores.outbox.claim("test", now=_LATE, lease=dt.timedelta(), limit=_ALL)
    assert len(claimed) < _ALL
    own = [one.job for one in claimed if one.job.account == tenant]
    assert {job.kind for job in own} <= {PAYMENT_NOTICE}
    return {job.payload["invoice"] for job in own}


async def _rows(
    mirror: Mirror, stripe_account: str, ids: Mapping[str, Sequence[str]]
) -> list[tuple[str, Row[Any]]]:
    found: list[tuple[str, Row[Any]]] = []
    for noun, wanted in ids.items():
        for start in range(0, len(wanted), _ALL):
            some = sorted(wanted[start : start + _ALL])
            fetched = await mirror.fetch(NOUN_BY_NAME[noun], stripe_account, some)
            found += [(noun, row) for row in fetched.values()]
    return found
