"""The outbox port: one document a job, `_id` the job's own id."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec
from pymongo import DeleteOne, UpdateMany, UpdateOne
from typing_extensions import override

from application.ports.outbox import (
    LONGEST_PAUSE,
    MAX_JOBS,
    ClaimedJob,
    FailedJob,
    Outbox,
    OutboxCounts,
    WatchedJob,
)
from domain.errors import Unavailable
from domain.jobs import Job
from infrastructure.documents import to_builtins
from infrastructure.mongo.database import ASCENDING, DESCENDING, Collection, Database, Document
from infrastructure.mongo.due import due_by
from infrastructure.mongo.indexes import (
    BY_ID,
    OUTBOX,
    OUTBOX_BY_ACCOUNT,
    OUTBOX_PENDING,
    OUTBOX_POSITIONS,
    OUTBOX_PUBLISHED,
    OUTBOX_UNNUMBERED,
)
from infrastructure.mongo.keys import restored, storable

_TRIES: Final = 5
_NUMBER_TRIES: Final = 20
_NUMBERED: Final[Document] = {"position": {"$gt": 0}}


class MongoOutbox(Outbox):
    """Outbox on MongoDB.

    A claim marks jobs with a token of its own, each atomically, and hands out what bears it.

    Billing events are inserted `unnumbered` and then take positions, by whoever comes by: an
    appending or a watching process. Documents of several processes become visible in any order, so
    a number taken before the insert could appear late. A position is the greatest visible one plus
    one, and a unique index refuses it to all but one: see `_number`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbering = asyncio.Lock()

    @override
    async def append(self, jobs: Sequence[Job]) -> None:
        _check(len(jobs))
        if not jobs:
            return
        await self._jobs.insert_many([_document(job, place) for place, job in enumerate(jobs)])
        if any(job.watched for job in jobs):
            await self._number()

    async def _number(self) -> None:
        """Give positions to the events that have none, a thousand at a time, the oldest first.

        No position appears below one that is visible, whoever else does this at once. Let `last` be
        the greatest position, read before the list of unnumbered events. Whoever else has numbered
        an event of the list has done so above `last`. So when the first n of ours are done (by us,
        or by another and our update matched nothing), n events at least stand above `last`, and
        the n+1st position is taken, which ends our turn, or is the very next one.
        """
        async with self._numbering:  # within a process they would only get in each other's way
            for _ in range(_NUMBER_TRIES):
                last = await self._outermost(DESCENDING)
                waiting = await self._jobs.find(
                    {"state": "unnumbered"},
                    fields={"_id": 1},
                    sort=[("created_at", ASCENDING), ("place", ASCENDING), ("_id", ASCENDING)],
                    limit=MAX_JOBS,
                    hint=OUTBOX_UNNUMBERED,
                )
                if not waiting:
                    return
                numbers = [
                    UpdateOne(
                        {"_id": found["_id"], "state": "unnumbered"},
                        {"$set": {"state": "watched", "position": position}},
                    )
                    for position, found in enumerate(waiting, last + 1)
                ]
                whole = await self._jobs.write_in_order(numbers)
                if whole and len(waiting) < MAX_JOBS:
                    return

    async def _outermost(self, direction: int) -> int:
        found = await self._jobs.find(
            _NUMBERED,
            fields={"_id": 0, "position": 1},
            sort=[("position", direction)],
            limit=1,
            hint=OUTBOX_POSITIONS,
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
                hint=OUTBOX_PENDING,
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
        pending = await self._jobs.count({"state": "pending"}, hint=OUTBOX_PENDING)
        found = await self._jobs.find(
            {"state": "pending"},
            fields={"created_at": 1},
            sort=[("due_at", ASCENDING), ("_id", ASCENDING)],
            limit=1,
            hint=OUTBOX_PENDING,
        )
        return OutboxCounts(pending, found[0]["created_at"] if found else None)

    @override
    async def watch(self, account: str, *, after: int, limit: int) -> Sequence[WatchedJob]:
        _check(limit)
        await self._number()  # what a process that died has left
        found = await self._jobs.find(
            {"account": account, "position": {"$gt": max(after, 0)}},
            sort=[("position", ASCENDING)],
            limit=limit,
            hint=OUTBOX_BY_ACCOUNT,
        )
        return [WatchedJob(document["position"], _job(document)) for document in found]

    @override
    async def bounds(self) -> tuple[int, int]:
        await self._number()
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
            hint=OUTBOX_PUBLISHED,
        )
        last = await self._outermost(DESCENDING)
        events = await self._jobs.find(
            {"position": {"$gt": 0, "$lt": last}},
            fields={"created_at": 1},
            sort=[("position", ASCENDING)],
            limit=limit,
            hint=OUTBOX_POSITIONS,
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
        return self._database.collection(OUTBOX)


def _check(count: int) -> None:
    if count > MAX_JOBS:
        raise ValueError(f"at most {MAX_JOBS} jobs a call")


def _marked(ids: Sequence[str], token: str) -> Document:
    return {"_id": {"$in": list(ids)}, "token": token}


def _document(job: Job, place: int) -> Document:
    """A job as stored; `place` is its place among those that were appended together."""
    document: Document = to_builtins(job)
    document["_id"] = document.pop("id")
    document["payload"] = storable(document["payload"])
    return document | {
        "state": "unnumbered" if job.watched else "pending",
        "place": place,
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
