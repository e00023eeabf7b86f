"""Domain objects with defaults, for the contract suite."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from application.events.inbox import EventState, ReceivedEvent
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    DISPUTES,
    INVOICE_PAYMENTS,
    INVOICES,
    PAYMENT_INTENTS,
    PAYOUTS,
    REFUNDS,
)
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.mutations.ports import MutationKey, MutationRecord
from application.requests.paging import Position
from domain.charges import Charge
from domain.mirror import Facet, MirroredObject, Row, Snapshot, Version
from domain.money import Money
from tests.support.expected.revenue import History
from tests.support.servers.stores import Probe

T = TypeVar("T", bound=MirroredObject)

NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NOON_MS: Final = 1_772_366_400_000
SECOND: Final = dt.timedelta(seconds=1)
OURS: Final = "acct_1Ours"
THEIRS: Final = "acct_1Theirs"

BERLIN: Final = "Europe/Berlin"
SPRING: Final = dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC)
AUTUMN: Final = dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC)
"""When Berlin's clocks change."""

KEY: Final = MutationKey("account-1", "/billing.v1.CustomerService/CreateCustomer", "request-1")

_MOST_PAGES: Final = 200


def charge(
    id_: str = "ch_1",
    *,
    created: dt.datetime = NOON,
    amount: int = 1_000,
    currency: str = "usd",
    status: str = "succeeded",
    customer: str | None = None,
) -> Charge:
    """A charge, captured in full where it succeeded."""
    succeeded = status == "succeeded"
    return Charge(
        id=id_,
        created=created,
        amount=Money(amount, currency),
        amount_captured=Money(amount if succeeded else 0, currency),
        amount_refunded=Money(0, currency),
        status=status,
        captured=succeeded,
        refunded=False,
        disputed=False,
        customer=customer,
    )


def probe(
    id_: str,
    *,
    created: dt.datetime = NOON,
    rank: int = 0,
    live: bool = True,
    owner: str | None = None,
    currency: str = "usd",
    tags: tuple[str, ...] = (),
) -> Probe:
    """An object of the noun that only tests know."""
    return Probe(id_, created, Money(100, currency), rank, live, owner, tags)


def snapshot(found: T, *, at: int = NOON_MS, stripe_account: str = OURS) -> Snapshot[T]:
    """What an event of a moment (milliseconds) says of an object."""
    return Snapshot(stripe_account, found.id, Version.of_event(at), found)


def tombstone(id_: str, *, stripe_account: str = OURS) -> Snapshot[Any]:
    """An observation that an object is deleted."""
    return Snapshot(stripe_account, id_, Version.of_event(NOON_MS), None)


def facet(
    id_: str,
    name: str = "balance",
    /,
    *,
    at: int = 1,
    stripe_account: str = OURS,
    **values: object,
) -> Facet:
    """A part of a derived half."""
    return Facet(stripe_account, id_, name, values, Version.of_event(at))


async def store_new(mirror: Mirror, noun: Noun[T], *objects: T, stripe_account: str = OURS) -> None:
    """Store the first snapshot of each object."""
    fresh = [(snapshot(found, stripe_account=stripe_account), 0) for found in objects]
    assert await mirror.replace(noun, fresh) == []


async def fetch_one(mirror: Mirror, noun: Noun[T], id_: str) -> Row[T]:
    """The row of an id that must be there."""
    return (await mirror.fetch(noun, OURS, [id_]))[id_]


async def list_ids(
    mirror: Mirror,
    noun: Noun[T],
    where: Filter | None = None,
    *,
    order: Order | None = None,
    limit: int = 1_000,
    stripe_account: str = OURS,
) -> list[str]:
    """The ids of all pages of a list, in the order listed."""
    ids: list[str] = []
    after: Position | None = None
    for _ in range(_MOST_PAGES):
        page = await mirror.list(
            noun,
            stripe_account,
            where or Filter(),
            order=order or noun.orders[0],
            after=after,
            limit=limit,
        )
        assert len(page.rows) <= limit
        ids += [row.id for row in page.rows]
        after = page.next
        if after is None:
            return ids
        assert len(page.rows) == limit, "only the last page is short"
    raise AssertionError("the list does not end")


def event(
    id_: str = "evt_1",
    *,
    received_at: dt.datetime = NOON,
    payload: bytes = b'{"id":"evt_1"}',
    state: EventState = EventState.PENDING,
) -> ReceivedEvent:
    """A verified event of a connected account."""
    return ReceivedEvent(
        id=id_,
        stripe_account=OURS,
        type="charge.succeeded",
        api_version="2026-10-28.endive",
        created=NOON_MS,
        object_type="charge",
        object_id="ch_1",
        payload=payload,
        received_at=received_at,
        state=state,
        decision="" if state is EventState.PENDING else "of the other mode",
    )


def record(
    key: MutationKey = KEY, *, payload_hash: str = "hash", created_at: dt.datetime = NOON
) -> MutationRecord:
    """A new mutation, nothing sent yet."""
    return MutationRecord(
        key,
        stripe_account=OURS,
        payload=b'{"name":"$set","a.b":1}',
        payload_hash=payload_hash,
        created_at=created_at,
    )


async def store_history(mirror: Mirror, history: History, stripe_account: str) -> None:
    """Store all that an account had, and derive what its objects tell about each other."""
    enrichment = Enrichment(mirror)
    objects: list[tuple[Noun[Any], Sequence[MirroredObject]]] = [
        (INVOICES, history.invoices),
        (INVOICE_PAYMENTS, history.invoice_payments),
        (PAYMENT_INTENTS, history.intents),
        (CHARGES, history.charges),
        (REFUNDS, history.refunds),
        (DISPUTES, history.disputes),
        (PAYOUTS, history.payouts),
        (BALANCE_TRANSACTIONS, history.transactions),
    ]
    for noun, found in objects:
        if found:
            snapshots = [snapshot(each, stripe_account=stripe_account) for each in found]
            assert await mirror.replace(noun, [(each, 0) for each in snapshots]) == []
            await enrichment.after(noun, snapshots)
