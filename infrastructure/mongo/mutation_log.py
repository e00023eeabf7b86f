"""The mutation log port: one document a mutation, `_id` its key."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from pymongo import DeleteOne

from application.mutations.ports import (
    LONGEST_PAUSE,
    Lease,
    MutationKey,
    MutationRecord,
    MutationState,
    Step,
)
from domain.errors import Conflict, Reason
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.due import due_by

_MUTATIONS: Final = "billing.mutations"
_OPEN: Final = "open"
_DONE: Final = "done"

INDEXES: Final[Indexes] = {
    _MUTATIONS: [
        index("due_at", name=_OPEN, partialFilterExpression={"state": "open"}),
        index("created_at", name=_DONE, partialFilterExpression={"state": "done"}),
    ],
}

_BEGIN_TRIES: Final = 3
_NOBODY: Final = {"owner": None, "leased_until": None}


class MongoMutationLog:
    """MutationLog on MongoDB.

    A record is unique by its `_id`; who may change it is a condition of each update. `due_at` is
    when an open record falls to the recovery task: at the end of its lease, or when whoever gave it
    back said (null: never).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, record: MutationRecord, lease: Lease, *, now: dt.datetime
    ) -> tuple[MutationRecord, bool]:
        leased = _leased(lease)
        for _ in range(_BEGIN_TRIES):
            try:
                await self._mutations.insert_one({**_document(record), **leased})
            except Duplicate:
                pass
            else:
                return record, True
            ended = due_by("leased_until", now, LONGEST_PAUSE)
            free = {"$or": [{"owner": {"$in": [None, lease.owner]}}, ended]}
            same = {"state": MutationState.OPEN, "payload_hash": record.payload_hash}
            taken = await self._mutations.find_one_and_update(
                {"_id": _id(record.key), **same, **free}, {"$set": leased}
            )
            if taken is not None:
                return _record(taken), True
            found = await self._mutations.find_one({"_id": _id(record.key)})
            if found is not None:
                return _record(found), False
            # Purged between the two: the key is free again.
        raise Conflict(Reason.REQUEST_IN_FLIGHT, "the request's record comes and goes; try again")

    async def save_step(self, key: MutationKey, lease: Lease, step: Step) -> bool:
        # By expression, since a step's name may be no plain field name.
        steps = {"$setField": {"field": {"$literal": step.name}, "input": "$steps"}}
        steps["$setField"]["value"] = {"$literal": to_builtins(step)}
        return await self._mutations.update_one(
            _held(key, lease), [{"$set": {"steps": steps, **_leased(lease)}}]
        )

    async def finish(
        self, key: MutationKey, lease: Lease, *, reply: bytes | None, failure: bytes | None
    ) -> bool:
        done = {"state": MutationState.DONE, "reply": reply, "failure": failure, **_NOBODY}
        return await self._mutations.update_one(_held(key, lease), {"$set": done})

    async def release(
        self, key: MutationKey, lease: Lease, *, retry_at: dt.datetime | None
    ) -> bool:
        return await self._mutations.update_one(
            _held(key, lease), {"$set": {**_NOBODY, "due_at": retry_at}}
        )

    async def find_open(self, *, now: dt.datetime, limit: int) -> Sequence[MutationRecord]:
        found = await self._mutations.find(
            {"state": MutationState.OPEN, **due_by("due_at", now, LONGEST_PAUSE)},
            sort=[("due_at", ASCENDING)],
            limit=limit,
            hint=_OPEN,
        )
        return [_record(document) for document in found]

    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        found = await self._mutations.find(
            {"state": MutationState.DONE, "created_at": {"$lt": before}},
            fields={"_id": 1},
            sort=[("created_at", ASCENDING)],
            limit=limit,
            hint=_DONE,
        )
        if len(found) < limit:
            given_back = {"state": MutationState.OPEN, "due_at": None}
            found += await self._mutations.find(
                {**given_back, "created_at": {"$lt": before}},
                fields={"_id": 1},
                limit=limit - len(found),
                hint=_OPEN,
            )
        if not found:
            return 0
        # One by one, so that the driver may send them again where the answer is lost.
        return (await self._mutations.write([DeleteOne(document) for document in found]))[0]

    @property
    def _mutations(self) -> Collection:
        return self._database.collection(_MUTATIONS)


def _id(key: MutationKey) -> Document:
    """A document as `_id`: no character of a part can make two keys one."""
    document: Document = to_builtins(key)
    return document


def _leased(lease: Lease) -> Document:
    return {"owner": lease.owner, "leased_until": lease.until, "due_at": lease.until}


def _held(key: MutationKey, lease: Lease) -> Document:
    return {"_id": _id(key), "state": MutationState.OPEN, "owner": lease.owner}


def _document(record: MutationRecord) -> Document:
    document: Document = to_builtins(record)
    document["_id"] = document.pop("key")
    return document


def _record(document: Document) -> MutationRecord:
    return msgspec.convert({**document, "key": document["_id"]}, MutationRecord)
