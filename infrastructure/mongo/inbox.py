"""The inbox port: one document an event, `_id` the event's own id."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec
from pymongo import UpdateMany

from application.events.inbox import LONGEST_PAUSE, ClaimedEvent, EventState, ReceivedEvent, Settled
from domain.errors import BillingError, RateLimited, Reason, Unavailable
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    BY_ID,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.due import due_by

INBOX: Final = "billing.events"
INBOX_PENDING: Final = "pending"

INDEXES: Final[Indexes] = {
    INBOX: [
        # Claims read ids and sizes from the index alone; processed events are not in it.
        index(
            *("state", "received_at", "_id", "due_at", "size"),
            name=INBOX_PENDING,
            partialFilterExpression={"state": "pending"},
        ),
    ],
}

MAX_WAITING: Final = 4_096
"""How many appends may wait; more are refused at once."""

_MAX_BATCH: Final = 500
_CLAIM_TRIES: Final = 5

_AT_ONCE: Final = dt.datetime.fromtimestamp(0, dt.UTC)
"""Due whatever the clock of the claiming process shows."""


class MongoInbox:
    """Inbox on MongoDB.

    An event is unique by its `_id`. A claim marks events with a token of its own, each atomically,
    and hands out what bears that token; `due_at` is when a pending event may be claimed: after the
    delay of its last failure, and after the lease of whoever holds it.
    """

    def __init__(self, database: Database, *, max_waiting: int = MAX_WAITING) -> None:
        self._database = database
        self._max_waiting = max_waiting
        self._waiting: list[_Append] = []
        self._committer: asyncio.Task[None] | None = None

    async def append(self, event: ReceivedEvent) -> bool:
        if len(self._waiting) >= self._max_waiting:
            raise RateLimited(
                Reason.OVERLOADED,
                "the store has too much to do; try again soon",
                retry_after_seconds=1,
            )
        append = _Append(_document(event), asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        if self._committer is None or self._committer.done():
            # A task of its own: whoever stops waiting must not stop the others' commit.
            self._committer = asyncio.create_task(self._commit())
        return await append.done

    async def _commit(self) -> None:
        """Insert all that waits, a batch after another; what comes meanwhile shares the next."""
        while self._waiting:
            batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
            await self._insert(batch)

    async def _insert(self, batch: Sequence["_Append"]) -> None:
        """Insert together; where that fails for another cause than the store's, each apart."""
        try:
            present = await self._events.insert_many([append.document for append in batch])
        except Exception as error:  # noqa: BLE001 - whoever waits is told, and no other
            if len(batch) > 1 and not isinstance(error, BillingError):
                for append in batch:
                    await self._insert([append])
                return
            for append in batch:
                append.fail(error)
        else:
            for position, append in enumerate(batch):
                append.finish(position not in present)

    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int, max_bytes: int
    ) -> Sequence[ClaimedEvent]:
        pending = {"state": EventState.PENDING, **due_by("due_at", now, LONGEST_PAUSE)}
        for _ in range(_CLAIM_TRIES):
            due = await self._events.find(
                pending,
                fields={"size": 1},
                sort=[("received_at", ASCENDING), ("_id", ASCENDING)],
                limit=limit,
                hint=INBOX_PENDING,
            )
            if not due:
                return []
            ids = _within(due, max_bytes)
            if claimed := await self._claim(ids, owner, pending, now + lease):
                return claimed
            # Another projector took them all between the two: others may be due.
        return []

    async def _claim(
        self, ids: Sequence[str], owner: str, pending: Document, until: dt.datetime
    ) -> Sequence[ClaimedEvent]:
        token = uuid4().hex
        await self._repeatable(
            UpdateMany(
                {"_id": {"$in": ids}, **pending},
                {"$set": {"owner": owner, "token": token, "due_at": until}},
                hint=BY_ID,
            )
        )
        found = await self._events.find(_marked(ids, token), limit=len(ids), hint=BY_ID)
        found.sort(key=lambda event: (event["received_at"], event["_id"]))
        return [ClaimedEvent(event_of(event), event["attempts"]) for event in found]

    async def settle(self, owner: str, outcomes: Sequence[Settled]) -> int:
        # Most events of a batch end alike: a few updates of many instead of one an event.
        alike: dict[tuple[Any, ...], list[str]] = {}
        for settled in outcomes:
            outcome = (
                settled.state,
                settled.decision,
                settled.error,
                settled.effects,
                settled.retry_at,
            )
            alike.setdefault(outcome, []).append(settled.event_id)
        if not alike:
            return 0
        token = uuid4().hex
        written = await self._repeatable(
            *(
                UpdateMany(
                    {"_id": {"$in": ids}, "state": EventState.PENDING, "owner": owner},
                    _outcome(token, *outcome),
                    hint=BY_ID,
                )
                for outcome, ids in alike.items()
            )
        )
        if written is not None:
            return written
        ids = [settled.event_id for settled in outcomes]
        return await self._events.count(_marked(ids, token), hint=BY_ID)

    async def _repeatable(self, *updates: UpdateMany) -> int | None:
        """Send updates that match nothing any more once they are done.

        The driver does not repeat an update of many when its answer is lost. These may be: what the
        first did, the second leaves, and the token that both write tells what either did. Returns
        how many events were updated, None where only the token knows.
        """
        try:
            return (await self._events.write(updates))[0]
        except Unavailable:
            await self._events.write(updates)
            return None

    async def backlog(self) -> int:
        return await self._events.count({"state": EventState.PENDING}, hint=INBOX_PENDING)

    async def get(self, event_id: str) -> tuple[ReceivedEvent, str] | None:
        found = await self._events.find_one({"_id": event_id})
        return None if found is None else (event_of(found), found["error"])

    @property
    def _events(self) -> Collection:
        return self._database.collection(INBOX)


@dataclass(frozen=True, slots=True)
class _Append:
    """An event that waits for its commit."""

    document: Document
    done: asyncio.Future[bool]

    def finish(self, is_new: bool) -> None:
        if not self.done.done():  # who waited may have been cancelled
            self.done.set_result(is_new)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _document(event: ReceivedEvent) -> Document:
    document: Document = to_builtins(event)
    document["_id"] = document.pop("id")
    return document | {
        "effects": (),
        "attempts": 0,
        "due_at": _AT_ONCE,
        "owner": None,
        "token": None,
        "size": len(event.payload),
    }


def _marked(ids: Sequence[str], token: str) -> Document:
    return {"_id": {"$in": ids}, "token": token}


def _outcome(
    token: str,
    state: EventState,
    decision: str,
    error: str,
    effects: Sequence[str],
    retry_at: dt.datetime | None,
) -> Document:
    """The update that writes an outcome and gives the lease back."""
    change = {
        "state": state,
        "decision": decision,
        "error": error,
        "effects": effects,
        "owner": None,
        "token": token,
    }
    if state is not EventState.PENDING:
        return {"$set": change}
    return {"$set": {**change, "due_at": retry_at or _AT_ONCE}, "$inc": {"attempts": 1}}


def event_of(document: Document) -> ReceivedEvent:
    """An event of the port from its document."""
    return msgspec.convert({**document, "id": document["_id"], "error": ""}, ReceivedEvent)


def _within(due: Sequence[Document], max_bytes: int) -> list[str]:
    """The ids of the first events, up to `max_bytes` together; one at least."""
    chosen: list[str] = []
    total = 0
    for event in due:
        total += event["size"]
        if chosen and total > max_bytes:
            break
        chosen.append(event["_id"])
    return chosen
