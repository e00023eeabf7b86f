"""The event log port, on the documents of the inbox."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from pymongo import UpdateOne
from typing_extensions import override

from application.events.event_log import (
    MAX_ABOUT,
    EventFilter,
    EventLog,
    EventRecord,
    check_filter,
    check_ids,
    check_limit,
)
from application.events.inbox import EventState, ReceivedEvent
from application.events.lists import EventHistory
from domain.errors import Reason, Unavailable
from domain.periods import from_milliseconds
from infrastructure.mongo.core.collection import (
    ASCENDING,
    BY_ID,
    DESCENDING,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.inbox import INBOX, INBOX_PENDING, event_of

_DEAD: Final = "dead"
_BY_RECEIPT: Final = "received_at_id_type"
_BY_ACCOUNT: Final = "stripe_account_received_at_id_type"
_BY_OBJECT: Final = "object_id_stripe_account_created_id"

INDEXES: Final[Indexes] = {
    INBOX: [
        index(
            *("state", "received_at", "_id", "stripe_account"),
            name=_DEAD,
            partialFilterExpression={"state": "dead"},
        ),
        # Lists that ask for a type skip the others without reading documents.
        index("received_at", "_id", "type", name=_BY_RECEIPT),
        index("stripe_account", "received_at", "_id", "type", name=_BY_ACCOUNT),
        index("object_id", "stripe_account", "created", "_id", name=_BY_OBJECT),
    ],
}

_RETRY_TRIES: Final = 5
_NO_PAYLOAD: Final = {"payload": 0}


class MongoEventLog(EventLog, EventHistory):
    """EventLog and EventHistory on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def list(
        self, where: EventFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[EventRecord]:
        check_filter(where)
        check_limit(limit)
        conditions = _matching(where, where.state)
        found = await self._events.find(
            conditions if after is None else _before(conditions, after),
            fields=_NO_PAYLOAD,
            sort=[("received_at", DESCENDING), ("_id", DESCENDING)],
            limit=limit,
            hint=_serving(where, where.state),
        )
        return [_record(document) for document in found]

    @override
    async def record(self, event_id: str) -> EventRecord | None:
        found = await self._events.find({"_id": event_id}, fields=_NO_PAYLOAD, limit=1)
        return _record(found[0]) if found else None

    @override
    async def payload(self, event_id: str) -> bytes | None:
        found = await self._events.find({"_id": event_id}, fields={"payload": 1}, limit=1)
        return found[0]["payload"] if found else None

    @override
    async def about(
        self, stripe_account: str, object_id: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[ReceivedEvent]:
        check_limit(limit, MAX_ABOUT)
        conditions: Document = {"object_id": object_id, "stripe_account": stripe_account}
        found = await self._events.find(
            conditions if after is None else _beyond(conditions, "created", *after),
            sort=[("created", ASCENDING), ("_id", ASCENDING)],
            limit=limit,
            hint=_BY_OBJECT,
        )
        return [event_of(document) for document in found]

    @override
    async def of_account(
        self, stripe_account: str, *, after: str, limit: int
    ) -> Sequence[ReceivedEvent]:
        check_limit(limit)
        conditions: Document = {
            "stripe_account": stripe_account,
            "state": {"$ne": EventState.IGNORED},
        }
        if after:
            last = await self.record(after)
            if last is None or last.stripe_account != stripe_account:
                raise ValueError("after: no event of this Stripe account")
            conditions = _beyond(conditions, "received_at", last.received_at, after)
        found = await self._events.find(
            conditions,
            sort=[("received_at", ASCENDING), ("_id", ASCENDING)],
            limit=limit,
            hint=_BY_ACCOUNT,
        )
        return [event_of(document) for document in found]

    @override
    async def retry(self, event_ids: Sequence[str], *, now: dt.datetime) -> int:
        check_ids(event_ids)
        waits = {"state": EventState.PENDING, "owner": None, "due_at": {"$gt": now}}
        # Whoever holds an event may still settle it, also after its lease: the owner stays.
        failed = {"state": EventState.PENDING, "due_at": {"$lte": now}, "attempts": {"$gt": 0}}
        return await self._make_due(
            event_ids, {"$or": [{"state": EventState.DEAD}, waits, failed]}, now
        )

    @override
    async def retry_dead(self, where: EventFilter, *, now: dt.datetime, limit: int) -> int:
        check_filter(where)
        check_limit(limit)
        for _ in range(_RETRY_TRIES):
            dead = await self._events.find(
                _matching(where, EventState.DEAD),
                fields={"_id": 1},
                sort=[("received_at", ASCENDING), ("_id", ASCENDING)],
                limit=limit,
                hint=_serving(where, EventState.DEAD),
            )
            if not dead:
                return 0
            ids = [document["_id"] for document in dead]
            if retried := await self._make_due(ids, {"state": EventState.DEAD}, now):
                return retried
            # Another operator retried them all between the two: others may be dead.
        raise Unavailable(Reason.STORE_UNAVAILABLE, "others retry the same events; try again")

    async def _make_due(self, event_ids: Sequence[str], if_so: Document, now: dt.datetime) -> int:
        """Make those events due that are as `if_so` says; how many.

        One by one, so that the driver may send them again, and counts them once, where the answer
        is lost.
        """
        if not event_ids:
            return 0
        change = {"state": EventState.PENDING, "attempts": 0, "due_at": now}
        updates = [
            UpdateOne({"_id": event_id, **if_so}, {"$set": change}, hint=BY_ID)
            for event_id in event_ids
        ]
        return (await self._events.write(updates))[0]

    @override
    async def counts(self, stripe_account: str | None) -> dict[EventState, int]:
        where = EventFilter(stripe_account=stripe_account)
        return {
            state: await self._events.count(_matching(where, state), hint=_serving(where, state))
            for state in (EventState.PENDING, EventState.DEAD)
        }

    @override
    async def oldest_pending(self, stripe_account: str) -> int | None:
        where = EventFilter(stripe_account=stripe_account)
        found = await self._events.aggregate(
            [
                {"$match": _matching(where, EventState.PENDING)},
                {"$group": {"_id": None, "oldest": {"$min": "$created"}}},
            ],
            hint=_serving(where, EventState.PENDING),
        )
        return int(found[0]["oldest"]) if found else None

    @property
    def _events(self) -> Collection:
        return self._database.collection(INBOX)


def _matching(where: EventFilter, state: EventState | None) -> Document:
    """The conditions of a filter, with this state in the place of its own."""
    equal = {
        "stripe_account": where.stripe_account,
        "state": state,
        "type": where.type,
        "object_id": where.object_id,
    }
    conditions: Document = {name: value for name, value in equal.items() if value is not None}
    bounds = {"$gte": where.received_from, "$lt": where.received_until}
    if received := {name: bound for name, bound in bounds.items() if bound is not None}:
        conditions["received_at"] = received
    return conditions


def _serving(where: EventFilter, state: EventState | None) -> str:
    if where.object_id is not None:
        return _BY_OBJECT
    if state is EventState.DEAD:
        return _DEAD
    if state is EventState.PENDING:
        return INBOX_PENDING
    return _BY_RECEIPT if where.stripe_account is None else _BY_ACCOUNT


def _before(conditions: Document, place: tuple[int, str]) -> Document:
    """What matches and was received before a place: two ranges of the index, read in order."""
    at = from_milliseconds(place[0])
    received = conditions.get("received_at", {})
    until = min(at, received.get("$lt", at))
    return {
        "$or": [
            {**conditions, "received_at": {**received, "$lt": until}},
            {**conditions, "received_at": {**received, "$eq": at}, "_id": {"$lt": place[1]}},
        ]
    }


def _beyond(conditions: Document, column: str, value: int | dt.datetime, id_: str) -> Document:
    """What matches and comes after a place in the order of a column and the id."""
    return {
        "$or": [
            {**conditions, column: {"$gt": value}},
            {**conditions, column: value, "_id": {"$gt": id_}},
        ]
    }


def _record(document: Document) -> EventRecord:
    due_at = None
    if document["state"] == EventState.PENDING:
        due_at = max(document["due_at"], document["received_at"])
    # An event that was settled before its effects were kept has none.
    facts = {"effects": (), **document, "id": document["_id"], "due_at": due_at}
    return msgspec.convert(facts, EventRecord)
