"""Texts that somebody chose at Stripe, odd ones, come back from every store as they came."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import pytest

from application.background.checkpoints import Checkpoint
from application.contacts.ports import SourceVersion
from application.events.inbox import EventState, Settled
from application.mirror.nouns import CHARGES
from application.mirror.ports import NEWEST_FIRST, Filter, Noun
from application.mutations.ports import Lease, Step
from application.notes.ports import NoteFilter
from application.support.ports import SystemMessage
from application.upkeep.ports import Report
from domain.contacts import Contact
from domain.jobs import Job
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.notes import Note
from domain.subscription_history import SubscriptionChange
from tests.contract.samples import KEY, NOON, NOON_MS, OURS, SECOND, event, facet, fetch_one, record
from tests.support.servers.stores import NOUNS_UNDER_TEST, PROBES, Stores

TEXT: Final = "$a.b\0 c\r\n'\"\\ %00 \u2028 \U0001f980"
KEYS: Final = {
    key: f"{number} {TEXT}"
    for number, key in enumerate(
        ("", ".", "a.b", "$", "$set", "$ref", "$id", "$db", "a\0b", "\0", "%00", "%24", "%",
         "keys_escaped", "_id", "größe 🦀")
    )
}  # fmt: skip
"""Metadata with all that some database means something by."""

DEEP: Final = {"text": TEXT, "map": KEYS, "list": [KEYS, [TEXT]], **KEYS}


def odd(type_: Any, name: str = "") -> Any:
    """A value of a domain type whose texts are all odd."""
    origin, args = get_origin(type_), get_args(type_)
    if origin is UnionType:
        return odd(next(arg for arg in args if arg is not NoneType), name)
    if origin in (tuple, frozenset):
        return origin([odd(args[0])])
    if type_ is Money:
        return Money(100, "usd")
    if dataclasses.is_dataclass(type_):
        make: Any = type_
        return make(**{name: odd(hint, name) for name, hint in get_type_hints(type_).items()})
    if name == "currency":
        return "usd"
    if isinstance(type_, type) and issubclass(type_, StrEnum):
        return next(iter(type_))
    if origin is Mapping:
        return KEYS if args[1] is str else {key: odd(args[1]) for key in KEYS}
    return {str: TEXT, int: 7, bool: True, dt.datetime: NOON}[type_]


def observed(noun: Noun[Any]) -> Snapshot[Any]:
    """An observation of an odd object, and of the odd ones that it may have followed."""
    found = replace(odd(noun.type), id="odd.$1")
    befores = (found, replace(found, created=NOON - SECOND))
    return Snapshot(OURS, found.id, Version.of_event(NOON_MS), found, befores=befores)


@pytest.mark.parametrize("noun", NOUNS_UNDER_TEST, ids=lambda noun: noun.name)
async def test_a_mirrored_object_comes_back_as_it_came(stores: Stores, noun: Noun[Any]) -> None:
    mirror, told = stores.mirror, observed(noun)
    for revision in range(2):
        assert await mirror.replace(noun, [(told, revision)]) == []
        assert (await fetch_one(mirror, noun, told.id)).snapshot == told
    listed = await mirror.list(noun, OURS, Filter(), order=noun.orders[0], after=None, limit=5)
    assert [row.snapshot for row in listed.rows] == [told]
    columns = {column.name: column.paths[0].removeprefix("object.") for column in noun.columns}
    for index in noun.indexes:
        if len(index) == 2 and index[1] == NEWEST_FIRST.column and "." not in columns[index[0]]:
            value = getattr(told.object, columns[index[0]])
            where = Filter({index[0]: value[0] if index[0] in noun.many else value})
            page = await mirror.list(noun, OURS, where, order=NEWEST_FIRST, after=None, limit=5)
            assert [row.id for row in page.rows] == [told.id], index


@pytest.mark.parametrize("noun", [CHARGES, PROBES], ids=lambda noun: noun.name)
@pytest.mark.parametrize("facet_first", [True, False])
async def test_a_facet_comes_back_as_it_came(
    stores: Stores, noun: Noun[Any], *, facet_first: bool
) -> None:
    told = observed(noun)
    derived = replace(facet(told.id, "attribution"), values={"invoice": TEXT, **DEEP})
    if facet_first:
        await stores.mirror.derive(noun, [derived])
    assert await stores.mirror.replace(noun, [(told, 0)]) == []
    await stores.mirror.derive(noun, [derived])
    row = await fetch_one(stores.mirror, noun, told.id)
    assert (row.snapshot, row.derived) == (told, {"attribution": derived})
    if noun is PROBES:
        where = Filter({"invoice": TEXT})
        page = await stores.mirror.list(noun, OURS, where, order=NEWEST_FIRST, after=None, limit=5)
        assert list(page.rows) == [row]


async def test_a_subscriptions_history_comes_back_as_it_came(stores: Stores) -> None:
    change = replace(odd(SubscriptionChange), stripe_account=OURS)
    await stores.subscription_history.append([change])
    found = await stores.subscription_history.of_subscription(OURS, TEXT, after=None, limit=5)
    assert list(found) == [change]


async def test_a_job_comes_back_as_it_came(stores: Stores) -> None:
    queued, watched = (
        Job(f"job-{kind}", kind, "acme", NOON, DEEP) for kind in ("crm.contact", "events.paid")
    )
    await stores.outbox.append([queued, watched])
    claimed = await stores.outbox.claim("one", now=NOON, lease=SECOND, limit=5)
    assert [one.job for one in claimed] == [queued]
    assert [one.job for one in await stores.outbox.watch("acme", after=0, limit=5)] == [watched]


async def test_an_event_and_what_became_of_it_come_back_as_they_came(stores: Stores) -> None:
    received = replace(event(payload=TEXT.encode()), api_version=TEXT, type=TEXT, object_id=TEXT)
    assert await stores.inbox.append(received)
    (claimed,) = await stores.inbox.claim(
        "one", now=NOON, lease=SECOND, limit=5, max_bytes=1_000_000
    )
    assert claimed.event == received
    dead = Settled(received.id, EventState.DEAD, decision=TEXT, error=TEXT)
    assert await stores.inbox.settle("one", [dead]) == 1
    settled = replace(received, state=EventState.DEAD, decision=TEXT)
    assert await stores.inbox.get(received.id) == (settled, TEXT)
    about = await stores.event_log.about(OURS, TEXT, after=None, limit=5)
    assert list(about) == [settled]


async def test_a_mutations_steps_and_answer_come_back_as_they_came(stores: Stores) -> None:
    log, lease = stores.mutation_log, Lease("one", NOON + SECOND)
    kept, _ = await log.begin(replace(record(), payload=TEXT.encode()), lease, now=NOON)
    step = Step("create", TEXT.encode(), answer=TEXT.encode())
    assert await log.save_step(KEY, lease, step)
    assert await log.finish(KEY, lease, reply=TEXT.encode(), failure=None)
    found, ours = await log.begin(record(), lease, now=NOON)
    assert not ours
    assert (found.payload, found.steps, found.reply) == (
        kept.payload, {"create": step}, TEXT.encode(),
    )  # fmt: skip


async def test_a_checkpoint_comes_back_as_it_came(stores: Stores) -> None:
    first = Checkpoint(OURS, "backfill", 0, DEEP)
    saved = await stores.checkpoints.save(first, now=NOON)
    assert await stores.checkpoints.load(OURS, "backfill") == saved
    await stores.checkpoints.save(replace(saved, state={"plain": 1}), now=NOON)
    assert (await stores.checkpoints.load(OURS, "backfill")).state == {"plain": 1}


async def test_a_contact_is_filled_with_what_came(stores: Stores) -> None:
    contacts, version = stores.contacts, SourceVersion(1, 1, 1)
    told = {"name": TEXT, "email": f"{TEXT}@example.com", "phone": TEXT}
    for number, create in ((1, True), (2, False)):
        fields = {**told, "note": f"{number} {TEXT}"}
        assert await contacts.fill(
            "acme", "c-1", fields, version, stripe_account=OURS, create=create
        )
        assert await contacts.get("acme", "c-1") == Contact("c-1", "acme", fields)
    for found in (
        await contacts.with_email("acme", told["email"], limit=5),
        await contacts.with_phone("acme", [TEXT], limit=5),
    ):
        assert [one.id for one in found] == ["c-1"]


async def test_words_for_people_come_back_as_they_came(stores: Stores) -> None:
    note = Note("note_1", "acme", OURS, "cus_1", TEXT, TEXT, NOON, NOON)
    await stores.notes.add(note)
    assert await stores.notes.get("acme", "note_1") == note
    listed = await stores.notes.list("acme", NoteFilter(author=TEXT), after=None, limit=5)
    assert list(listed) == [note]
    message = SystemMessage("m-1", "acme", "c-1", TEXT, NOON)
    posted = await stores.support.post(message)
    assert await stores.support.messages("acme", "c-1", limit=5) == [posted]
    assert posted.message == message
    report = odd(Report)
    await stores.reports.put(report)
    assert await stores.reports.get(TEXT, TEXT) == report
