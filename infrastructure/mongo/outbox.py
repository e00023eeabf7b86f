"""The outbox port: one document a job, `_id` the job's own id."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from secrets import SystemRandom
from typing import Any, Final
from uuid import uuid4

import msgspec
from pymongo import DeleteOne, UpdateMany
from typing_extensions import override

from application.jobs.outbox import (
    LONGEST_PAUSE,
    MAX_JOBS,
    ClaimedJob,
    FailedJob,
    Outbox,
    OutboxCounts,
    WatchedJob,
)
from domain.errors import Reason, Unavailable
from domain.jobs import Job
from infrastructure.documents import to_builtins
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
from infrastructure.mongo.core.due import due_by
from infrastructure.mongo.core.keys import restored, storable

_JOBS: Final = "queues"
_PENDING: Final = "pending"
_PUBLISHED: Final = "published"
_POSITIONS: Final = "position"
_BY_ACCOUNT: Final = "account_position"

_NUMBERED: Final[Document] = {"position": {"$gt": 0}}

INDEXES: Final[Indexes] = {
    _JOBS: [
        index("due_at", "_id", name=_PENDING, partialFilterExpression={"state": "pending"}),
        index("published_at", name=_PUBLISHED, partialFilterExpression={"state": "published"}),
        # Unique, so that of two processes which take the next position at once one is refused.
        index("position", name=_POSITIONS, unique=True, partialFilterExpression=_NUMBERED),
        index("account", "position", name=_BY_ACCOUNT, partialFilterExpression=_NUMBERED),
    ],
}

_TRIES: Final = 5

_APPEND_TRIES: Final = 50
"""How often the next positions are taken by others before an append gives up."""

_LAST_PAUSE_SECONDS: Final = 0.1

_random = SystemRandom()


class MongoOutbox(Outbox):
    """Outbox on MongoDB.

    A claim marks jobs with a token of its own, each atomically, and hands out what bears it. A
    billing event is inserted with its position: see `_append_events`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._appending = asyncio.Lock()

    @override
    async def append(self, jobs: Sequence[Job]) -> None:
        _check(len(jobs))
        if published := [_document(job) for job in jobs if not job.watched]:
            await self._jobs.insert_many(published)
        if watched := {job.id: _document(job) for job in reversed(jobs) if job.watched}:
            async with self._appending:  # within a process they would only get in each other's way
                await self._append_events([*reversed(watched.values())])

    async def _append_events(self, waiting: Sequence[Document]) -> None:
        """Insert billing events with the positions behind the greatest visible one, in order.

        Example: the last is 7, two events wait. They are inserted as 8 and 9. If another process
        has taken 8 meanwhile, the unique index refuses ours, 9 is not tried, and both begin anew
        behind what is visible then. An event that is there already stops the insert in the same
        way and is left out.

        So a position is inserted only when the one before it is there: there is never a hole below
        a visible position, and none can be filled behind a reader's back.
        """
        for attempt in range(_APPEND_TRIES):
            last = await self._outermost(DESCENDING)
            inserted, refused_by = await self._jobs.insert_in_order(
                [{**one, "position": position} for position, one in enumerate(waiting, last + 1)]
            )
            waiting = waiting[inserted:]
            if refused_by == "_id":
                waiting = await self._absent(waiting)
            elif refused_by is not None and not inserted:
                # Whoever was first may not be visible yet: a majority has to have it.
                pause = min(0.001 * 2**attempt, _LAST_PAUSE_SECONDS)
                await asyncio.sleep(pause * _random.uniform(0.5, 1))
            if not waiting:
                return
        raise Unavailable(Reason.STORE_UNAVAILABLE, "others take every next position; try again")

    async def _absent(self, documents: Sequence[Document]) -> Sequence[Document]:
        """Those that are not there, whatever a majority has seen of them."""
        ids = [document["_id"] for document in documents]
        there = await self._jobs.find(
            {"_id": {"$in": ids}}, fields={"_id": 1}, limit=len(ids), hint=BY_ID
        )
        # The first was refused: it is there, even if a majority does not show it yet.
        present = {ids[0], *(document["_id"] for document in there)}
        return [document for document in documents if document["_id"] not in present]

    async def _outermost(self, direction: int) -> int:
        found = await self._jobs.find(
            _NUMBERED,
            fields={"_id": 0, "position": 1},
            sort=[("position", direction)],
            limit=1,
            hint=_POSITIONS,
        )
        return int(found[0]["position"]) if found else 0

    @override
    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int
    ) -> Sequence[ClaimedJob]:
        _check(limit)
        pending = {"state": "pending", **due_by("due_at", now, LONGEST_PAUSE)}
        for _ in range(_TRIES):
            due = await self._jobs.find(
                pending,
                fields={"_id": 1},
                sort=[("due_at", ASCENDING), ("_id", ASCENDING)],
                limit=limit,
                hint=_PENDING,
            )
            if not due:
                return []
            ids = [found["_id"] for found in due]
            token = uuid4().hex
            await self._repeatable(
                UpdateMany(
                    {"_id": {"$in": ids}, **pending},
                    {"$set": {"owner": owner, "token": token, "due_at": now + lease}},
                    hint=BY_ID,
                )
            )
            ours = await self._jobs.find(_marked(ids, token), limit=limit, hint=BY_ID)
            if ours:
                places = {id_: place for place, id_ in enumerate(ids)}
                ours.sort(key=lambda found: places[found["_id"]])
                return [ClaimedJob(_job(found), found["attempts"]) for found in ours]
            # Another publisher took them all between the two: others may be due.
        return []

    @override
    async def mark_published(self, owner: str, ids: Sequence[str], *, now: dt.datetime) -> int:
        change = {"state": "published", "published_at": now, "error": ""}
        return await self._end(owner, [(list(ids), {"$set": change})] if ids else [])

    @override
    async def release(self, owner: str, failures: Sequence[FailedJob]) -> int:
        changes: list[tuple[list[str], Document]] = [
            (
                [failed.job_id],
                {
                    "$set": {"error": failed.error, "due_at": failed.retry_at},
                    "$inc": {"attempts": 1},
                },
            )
            for failed in failures
        ]
        return await self._end(owner, changes)

    async def _end(self, owner: str, changes: Sequence[tuple[list[str], Document]]) -> int:
        """Change jobs that `owner` holds, and give them back."""
        everything = [id_ for ids, _ in changes for id_ in ids]
        _check(len(everything))
        if not changes:
            return 0
        token = uuid4().hex
        written = await self._repeatable(
            *(
                UpdateMany(
                    {"_id": {"$in": ids}, "state": "pending", "owner": owner},
                    {**change, "$set": {**change["$set"], "owner": None, "token": token}},
                    hint=BY_ID,
                )
                for ids, change in changes
            )
        )
        if written is not None:
            return written
        return await self._jobs.count(_marked(everything, token), hint=BY_ID)

    async def _repeatable(self, *updates: UpdateMany) -> int | None:
        """Send updates that match nothing any more once done, again where the answer is lost.

        The driver does not repeat an update of many. Returns how many jobs were updated, None where
        only the token that they write knows.
        """
        try:
            return (await self._jobs.write(updates))[0]
        except Unavailable:
            await self._jobs.write(updates)
            return None

    @override
    async def counts(self) -> OutboxCounts:
        pending = await self._jobs.count({"state": "pending"}, hint=_PENDING)
        found = await self._jobs.find(
            {"state": "pending"},
            fields={"created_at": 1},
            sort=[("due_at", ASCENDING), ("_id", ASCENDING)],
            limit=1,
            hint=_PENDING,
        )
        return OutboxCounts(pending, found[0]["created_at"] if found else None)

    @override
    async def watch(self, account: str, *, after: int, limit: int) -> Sequence[WatchedJob]:
        _check(limit)
        found = await self._jobs.find(
            {"account": account, "position": {"$gt": max(after, 0)}},
            sort=[("position", ASCENDING)],
            limit=limit,
            hint=_BY_ACCOUNT,
        )
        return [WatchedJob(document["position"], _job(document)) for document in found]

    @override
    async def bounds(self) -> tuple[int, int]:
        first = await self._outermost(ASCENDING)
        return first, await self._outermost(DESCENDING)

    @override
    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        _check(limit)
        published = await self._jobs.find(
            {"state": "published", "published_at": {"$lt": before}},
            fields={"_id": 1},
            sort=[("published_at", ASCENDING)],
            limit=limit,
            hint=_PUBLISHED,
        )
        last = await self._outermost(DESCENDING)
        events = await self._jobs.find(
            {"position": {"$gt": 0, "$lt": last}},
            fields={"created_at": 1},
            sort=[("position", ASCENDING)],
            limit=limit,
            hint=_POSITIONS,
        )
        old = [found["_id"] for found in published]
        for found in events:
            if found["created_at"] >= before:
                break
            old.append(found["_id"])
        if not old:
            return 0
        # One by one, so that the driver may send them again where the answer is lost.
        return (await self._jobs.write([DeleteOne({"_id": id_}) for id_ in old]))[0]

    @property
    def _jobs(self) -> Collection:
        return self._database.collection(_JOBS)


def _check(count: int) -> None:
    if count > MAX_JOBS:
        raise ValueError(f"at most {MAX_JOBS} jobs a call")


def _marked(ids: Sequence[str], token: str) -> Document:
    return {"_id": {"$in": list(ids)}, "token": token}


def _document(job: Job) -> Document:
    """A job as stored."""
    document: Document = to_builtins(job)
    document["_id"] = document.pop("id")
    document["payload"] = storable(document["payload"])
    return document | {
        "state": "watched" if job.watched else "pending",
        "attempts": 0,
        "due_at": job.created_at,
        "owner": None,
        "token": None,
        "error": "",
    }


def _job(document: Document) -> Job:
    payload = restored(document["payload"])
    fields: dict[str, Any] = {**document, "id": document["_id"], "payload": payload}
    return msgspec.convert(fields, Job)
