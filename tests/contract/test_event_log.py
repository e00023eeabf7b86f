"""The promises of `application.events.event_log`, and of the EventHistory beside it."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import uuid4

import pymongo
import pytest

from application.events.event_log import MAX_ABOUT, MAX_EVENTS, EventFilter, EventLog, EventRecord
from application.events.inbox import EventState, ReceivedEvent, Settled
from domain.periods import to_milliseconds
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON, NOON_MS, OURS, SECOND, THEIRS, event
from tests.support.servers.stores import Opener, Stores, mongo_stores

LEASE = 30 * SECOND
MILLISECOND = dt.timedelta(milliseconds=1)
LATER = NOON + 3_600 * SECOND
MOST_PAGES = 100


def told(
    id_: str,
    after_noon: int = 0,
    *,
    account: str = OURS,
    type_: str = "charge.succeeded",
    about: str = "ch_1",
    created: int = NOON_MS,
    state: EventState = EventState.PENDING,
) -> ReceivedEvent:
    """An event received so many milliseconds after noon."""
    received = event(id_, received_at=NOON + after_noon * MILLISECOND, state=state)
    return replace(
        received,
        stripe_account=account,
        type=type_,
        object_id=about,
        created=created,
        payload=f'{{"id":"{id_}"}}'.encode(),
    )


async def receive(stores: Stores, *events: ReceivedEvent) -> None:
    assert all(await asyncio.gather(*(stores.inbox.append(one) for one in events)))


async def hold(stores: Stores, *, now: dt.datetime = LATER, owner: str = "one") -> list[str]:
    """Claim all that is due."""
    claimed = await stores.inbox.claim(owner, now=now, lease=LEASE, limit=1_000, max_bytes=10**9)
    return [one.event.id for one in claimed]


async def settle(stores: Stores, *outcomes: Settled, owner: str = "one") -> None:
    assert await stores.inbox.settle(owner, outcomes) == len(outcomes)


async def kill(stores: Stores, *ids: str) -> None:
    """Let held events be dead."""
    await settle(
        stores, *(Settled(id_, EventState.DEAD, "failed too often", "broke") for id_ in ids)
    )


async def become(stores: Stores, id_: str) -> EventRecord:
    """The record of an event that must be there."""
    found = await stores.event_log.record(id_)
    assert found is not None
    return found


async def listed(
    log: EventLog, where: EventFilter | None = None, *, limit: int = MAX_EVENTS
) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    after: tuple[int, str] | None = None
    for _ in range(MOST_PAGES):
        page = await log.list(where or EventFilter(), after=after, limit=limit)
        assert len(page) <= limit
        ids += [one.id for one in page]
        if len(page) < limit:
            return ids
        after = to_milliseconds(page[-1].received_at), page[-1].id
    raise AssertionError("the list does not end")


def ids_of(events: Sequence[ReceivedEvent]) -> list[str]:
    return [one.id for one in events]


async def test_a_record_tells_what_came_in(stores: Stores) -> None:
    received = event(payload=b"x" * 1_234)
    await receive(stores, received)
    assert await stores.event_log.record("evt_1") == EventRecord(
        "evt_1", OURS, "charge.succeeded", "2026-10-28.endive", NOON_MS, "charge", "ch_1",
        NOON, 1_234, EventState.PENDING, "", (), 0, "", NOON,
    )  # fmt: skip
    assert await stores.event_log.record("evt_2") is None


async def test_a_payload_comes_byte_for_byte(stores: Stores) -> None:
    await receive(stores, event(payload=bytes(range(256))))
    assert await stores.event_log.payload("evt_1") == bytes(range(256))
    assert await stores.event_log.payload("evt_2") is None


async def test_a_record_tells_what_became_of_it(stores: Stores) -> None:
    await receive(stores, told("evt_1"))
    await hold(stores)
    held = await become(stores, "evt_1")
    assert (held.state, held.attempts, held.due_at) == (EventState.PENDING, 0, LATER + LEASE)
    failed = Settled("evt_1", EventState.PENDING, "waits", "broke", LATER + SECOND, ("one job",))
    await settle(stores, failed)
    waits = await become(stores, "evt_1")
    assert (waits.decision, waits.error, waits.attempts) == ("waits", "broke", 1)
    assert (waits.due_at, waits.effects) == (LATER + SECOND, ("one job",))
    await hold(stores, now=LATER + SECOND)
    words = ("support message", 'a "quoted" für 1 €')
    await settle(stores, Settled("evt_1", EventState.PROCESSED, "applied", effects=words))
    done = await become(stores, "evt_1")
    assert (done.state, done.decision, done.effects) == (EventState.PROCESSED, "applied", words)
    assert (done.error, done.attempts, done.due_at) == ("", 1, None)


async def test_each_event_has_its_own_effects(stores: Stores) -> None:
    await receive(stores, *(told(f"evt_{number}") for number in range(4)))
    await hold(stores)
    effects = [(), ("a",), ("a", "b"), ("b", "a")]
    await settle(
        stores,
        *(
            Settled(f"evt_{number}", EventState.PROCESSED, "applied", effects=words)
            for number, words in enumerate(effects)
        ),
    )
    assert [(await become(stores, f"evt_{number}")).effects for number in range(4)] == effects


async def test_the_last_received_come_first_and_then_the_greatest_id(stores: Stores) -> None:
    await receive(
        stores, told("evt_b", 5), told("evt_x", 1), told("evt_c", 5), told("evt_y", 9),
        told("evt_a", 5),
    )  # fmt: skip
    ordered = ["evt_y", "evt_c", "evt_b", "evt_a", "evt_x"]
    for limit in range(1, 7):
        assert await listed(stores.event_log, limit=limit) == ordered


ACCOUNTS = (OURS, THEIRS, "")
TYPES = ("charge.succeeded", "invoice.paid")
OBJECTS = ("ch_1", "ch_2")
BOUNDS = ((None, None), (4, None), (None, 9), (4, 9))


def _matches(where: EventFilter, record: EventRecord) -> bool:
    start, end = where.received_from, where.received_until
    return (
        where.stripe_account in (None, record.stripe_account)
        and where.state in (None, record.state)
        and where.type in (None, record.type)
        and where.object_id in (None, record.object_id)
        and (start is None or start <= record.received_at)
        and (end is None or record.received_at < end)
    )


def _filters() -> list[EventFilter]:
    return [
        EventFilter(
            account, state, type_, about,
            None if start is None else NOON + start * MILLISECOND,
            None if end is None else NOON + end * MILLISECOND,
        )
        for account, state, type_, about, (start, end) in product(
            (None, OURS, ""), (None, *EventState), (None, TYPES[0]), (None, OBJECTS[0]), BOUNDS
        )
        if about is None or account is not None
    ]  # fmt: skip


async def test_every_filter_gives_what_matches_all_its_conditions_page_by_page(
    stores: Stores,
) -> None:
    kinds = list(product(ACCOUNTS, TYPES, OBJECTS, EventState))
    events = [
        told(f"evt_{number:02}", number // 4, account=account, type_=type_, about=about)
        for number, (account, type_, about, _) in enumerate(kinds)
    ]
    await receive(stores, *events)
    assert len(await hold(stores)) == len(kinds)
    await settle(
        stores,
        *(
            Settled(one.id, state, "so it is")
            for one, (_, _, _, state) in zip(events, kinds, strict=True)
            if state is not EventState.PENDING
        ),
    )
    records = [await become(stores, one.id) for one in events]
    records.sort(key=lambda one: (one.received_at, one.id), reverse=True)
    for where in _filters():
        wanted = [one.id for one in records if _matches(where, one)]
        assert await listed(stores.event_log, where, limit=5) == wanted, where
    assert await stores.event_log.list(EventFilter(), after=None, limit=100) == records


async def test_a_page_starts_at_its_position_also_beyond_the_times_asked_for(
    stores: Stores,
) -> None:
    await receive(stores, *(told(f"evt_{number}", number) for number in range(6)))
    where = EventFilter(received_from=NOON + 2 * MILLISECOND, received_until=NOON + 4 * MILLISECOND)
    pages = {
        (NOON_MS + 9, "evt_9"): ["evt_3", "evt_2"],
        (NOON_MS + 4, "evt_0"): ["evt_3", "evt_2"],
        (NOON_MS + 3, "evt_9"): ["evt_3", "evt_2"],
        (NOON_MS + 3, "evt_3"): ["evt_2"],
        (NOON_MS + 2, "evt_2"): [],
        (NOON_MS + 1, "evt_9"): [],
    }
    for after, wanted in pages.items():
        page = await stores.event_log.list(where, after=after, limit=9)
        assert [one.id for one in page] == wanted, after


async def test_what_arrives_meanwhile_shifts_no_page(stores: Stores) -> None:
    await receive(stores, *(told(f"evt_{number}", number) for number in range(4)))
    first = await stores.event_log.list(EventFilter(), after=None, limit=2)
    await receive(stores, told("evt_9", 9), told("evt_tie", 2))
    after = to_milliseconds(first[-1].received_at), first[-1].id
    second = await stores.event_log.list(EventFilter(), after=after, limit=9)
    assert [one.id for one in (*first, *second)] == ["evt_3", "evt_2", "evt_1", "evt_0"]


async def test_more_than_the_bounds_is_refused(stores: Stores) -> None:
    log = stores.event_log
    for limit in (0, -1, MAX_EVENTS + 1):
        with pytest.raises(ValueError, match="limit"):
            await log.list(EventFilter(), after=None, limit=limit)
        with pytest.raises(ValueError, match="limit"):
            await log.retry_dead(EventFilter(), now=NOON, limit=limit)
        with pytest.raises(ValueError, match="limit"):
            await stores.event_history.of_account(OURS, after="", limit=limit)
    for limit in (0, MAX_ABOUT + 1):
        with pytest.raises(ValueError, match="limit"):
            await log.about(OURS, "ch_1", after=None, limit=limit)
    with pytest.raises(ValueError, match="at most"):
        await log.retry(["evt_1"] * (MAX_EVENTS + 1), now=NOON)
    homeless = EventFilter(object_id="ch_1")
    with pytest.raises(ValueError, match="stripe_account"):
        await log.list(homeless, after=None, limit=1)
    with pytest.raises(ValueError, match="stripe_account"):
        await log.retry_dead(homeless, now=NOON, limit=1)


async def test_events_about_an_object_come_in_stripes_order(stores: Stores) -> None:
    wanted = [
        told("evt_9", 9, created=NOON_MS),
        told("evt_b", 1, created=NOON_MS + 1_000),
        told("evt_c", 0, created=NOON_MS + 1_000),
        told("evt_a", 5, created=NOON_MS + 2_000),
    ]
    others = [
        told("evt_o", about="ch_2"),
        told("evt_t", account=THEIRS),
        told("evt_p", account=""),
    ]
    await receive(stores, *others, *reversed(wanted))
    log = stores.event_log
    found = await log.about(OURS, "ch_1", after=None, limit=9)
    assert [(one.id, one.payload) for one in found] == [(one.id, one.payload) for one in wanted]
    after: tuple[int, str] | None = None
    for one in wanted:
        (page,) = await log.about(OURS, "ch_1", after=after, limit=1)
        assert page.id == one.id
        after = page.created, page.id
    assert await log.about(OURS, "ch_1", after=after, limit=9) == []


async def test_an_object_of_the_same_id_elsewhere_is_another_tenants(stores: Stores) -> None:
    await receive(stores, told("evt_o"), told("evt_t", account=THEIRS), told("evt_p", account=""))
    log = stores.event_log
    for account, wanted in ((OURS, "evt_o"), (THEIRS, "evt_t"), ("", "evt_p")):
        assert ids_of(await log.about(account, "ch_1", after=None, limit=9)) == [wanted]
        own = EventFilter(stripe_account=account, object_id="ch_1")
        assert await listed(log, own) == [wanted]
    assert await log.about("acct_1Nobody", "ch_1", after=None, limit=9) == []


async def test_what_became_of_an_event_does_not_hide_it_from_its_object(stores: Stores) -> None:
    await receive(stores, told("evt_1", state=EventState.IGNORED), told("evt_2"), told("evt_3"))
    await hold(stores)
    await kill(stores, "evt_2")
    found = await stores.event_log.about(OURS, "ch_1", after=None, limit=9)
    assert ids_of(found) == ["evt_1", "evt_2", "evt_3"]


async def test_counts_are_of_what_is_pending_and_dead(stores: Stores) -> None:
    log = stores.event_log
    assert await log.counts(None) == {EventState.PENDING: 0, EventState.DEAD: 0}
    await receive(
        stores,
        *(told(f"evt_{number}", account=(OURS, THEIRS)[number % 2]) for number in range(8)),
        told("evt_i", state=EventState.IGNORED),
        told("evt_p", account=""),
    )
    await hold(stores)
    await kill(stores, "evt_0", "evt_1", "evt_2")
    await settle(stores, Settled("evt_3", EventState.PROCESSED, "applied"))
    assert await log.counts(None) == {EventState.PENDING: 5, EventState.DEAD: 3}
    assert await log.counts(OURS) == {EventState.PENDING: 2, EventState.DEAD: 2}
    assert await log.counts(THEIRS) == {EventState.PENDING: 2, EventState.DEAD: 1}
    assert await log.counts("") == {EventState.PENDING: 1, EventState.DEAD: 0}


async def test_the_oldest_pending_event_is_of_those_that_are_not_done(stores: Stores) -> None:
    log = stores.event_log
    assert await log.oldest_pending(OURS) is None
    events = {"evt_old": 7, "evt_done": 5, "evt_dead": 3, "evt_new": 9}
    await receive(
        stores,
        *(replace(told(id_), created=at) for id_, at in events.items()),
        replace(told("evt_theirs", account=THEIRS), created=1),
        replace(told("evt_p", account=""), created=2),
    )
    await hold(stores)
    await kill(stores, "evt_dead")
    await settle(stores, Settled("evt_done", EventState.PROCESSED, "applied"))
    assert await log.oldest_pending(OURS) == 7
    assert await log.oldest_pending("") == 2


async def test_an_accounts_history_comes_in_the_order_of_receipt(stores: Stores) -> None:
    wanted = [told("evt_9", 0), told("evt_b", 1), told("evt_c", 1), told("evt_a", 2)]
    await receive(
        stores,
        *reversed(wanted),
        told("evt_i", 1, state=EventState.IGNORED),
        told("evt_t", 1, account=THEIRS),
        told("evt_p", 1, account=""),
    )
    history = stores.event_history
    assert await history.of_account(OURS, after="", limit=9) == wanted
    assert ids_of(await history.of_account("", after="", limit=9)) == ["evt_p"]
    after = ""
    for one in wanted:
        (found,) = await history.of_account(OURS, after=after, limit=1)
        assert found == one
        after = found.id
    assert await history.of_account(OURS, after=after, limit=9) == []
    await receive(stores, told("evt_0", 3))
    assert ids_of(await history.of_account(OURS, after=after, limit=9)) == ["evt_0"]


async def test_a_history_goes_on_only_from_an_event_of_its_account(stores: Stores) -> None:
    await receive(stores, told("evt_1"), told("evt_t", account=THEIRS))
    for after in ("evt_t", "evt_x"):
        with pytest.raises(ValueError, match="after"):
            await stores.event_history.of_account(OURS, after=after, limit=9)


async def test_mongo_tells_events_of_before_effects_were_kept(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    async with mongo_stores(mongo_url, name) as stores:
        await receive(stores, told("evt_1"))
        with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
            client[name]["billing.events"].update_many({}, {"$unset": {"effects": ""}})
        assert (await become(stores, "evt_1")).effects == ()
    drop_mongo_database(mongo_url, name)


async def test_it_survives_reopening(opener: Opener) -> None:
    async with opener() as first:
        await receive(first, told("evt_1"), told("evt_2", 1))
        await hold(first)
        await kill(first, "evt_1")
    async with opener() as second:
        assert await listed(second.event_log) == ["evt_2", "evt_1"]
        assert await second.event_log.counts(OURS) == {EventState.PENDING: 1, EventState.DEAD: 1}
