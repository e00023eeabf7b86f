"""The process log port: one document a process, `_id` its id."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pymongo import UpdateMany
from typing_extensions import override

from application.mutations.ports import Lease
from application.processes.ports import (
    LONGEST_LEASE,
    Change,
    Course,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
    Progress,
    Watch,
    by_age,
)
from domain.errors import AlreadyExists, Reason
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import (
    ASCENDING,
    DESCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.due import due_by

_PROCESSES: Final = "billing.processes"
_DUE: Final = "due"
_OF: Final = "of"
_PUT_OFF: Final = "put_off"
_ATTENTION: Final = "attention"
_OPEN: Final = "open"
_WATCHES: Final = "watches"

INDEXES: Final[Indexes] = {
    _PROCESSES: [
        index("account", "kind", "request_id", unique=True),
        # An object belongs to one process. A process that watches none lacks the field.
        index("watches", name=_WATCHES, unique=True, sparse=True),
        # A claim belongs to one process that does not rest; who has none lacks the field.
        index("claims", name="claims", unique=True, sparse=True),
        index("account", "kind", "created_at", "_id", name=_OF),
        index("stripe_account", "progress.course", name=_OPEN),
        index("due_at", name=_DUE, sparse=True),
        index("put_off_at", name=_PUT_OFF),
        index("attention_at", name=_ATTENTION, sparse=True),
    ],
}

_MAX_WOKEN: Final = 10_000


class MongoProcessLog(ProcessLog):
    """ProcessLog on MongoDB.

    A process is unique by its key; who may change it is a condition of each update. `due_at` is
    when it falls to the loop: at the end of its lease, or when whoever gave it back said (null:
    once it is woken); `put_off_at` by which clock that was said.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def begin(self, record: ProcessRecord, lease: Lease) -> tuple[ProcessRecord, bool]:
        try:
            await self._processes.insert_one({**_document(record), **_leased(lease)})
        except Duplicate:
            found = await self._processes.find_one(_of(record.key))
            if found is None:
                raise await self._open(record) from None
            return _record(found), False
        return record, True

    @override
    async def take(
        self, process_id: str, lease: Lease, *, now: dt.datetime
    ) -> tuple[ProcessRecord, bool] | None:
        ended = due_by("leased_until", now, LONGEST_LEASE)
        free = {"$or": [{"owner": {"$in": [None, lease.owner]}}, ended]}
        taken = await self._processes.find_one_and_update(
            {"_id": process_id, **free}, {"$set": _leased(lease)}
        )
        if taken is not None:
            return _record(taken), True
        found = await self._processes.find_one({"_id": process_id})
        return None if found is None else (_record(found), False)

    @override
    async def renew(self, process_id: str, lease: Lease) -> bool:
        return await self._processes.update_one(
            {"_id": process_id, "owner": lease.owner}, {"$set": _leased(lease)}
        )

    @override
    async def write(self, process_id: str, lease: Lease, change: Change) -> bool:
        return await self._update(process_id, lease, {**_changed(change), **_leased(lease)})

    @override
    async def release(
        self, process_id: str, lease: Lease, change: Change, *,
        due_at: dt.datetime | None, wakes: int, now: dt.datetime,
    ) -> bool:  # fmt: skip
        woken = {"$gt": ["$wakes", wakes]}
        given_back = {
            "owner": None, "put_off_at": now, "due_at": {"$cond": [woken, now, due_at]},
        }  # fmt: skip
        return await self._update(process_id, lease, {**_changed(change), **given_back})

    @override
    async def wake(self, objects: Sequence[Watch], *, now: dt.datetime) -> int:
        found = await self._processes.find(
            {"watches": {"$in": [_watched(watch) for watch in objects]}},
            fields={"_id": 1},
            limit=_MAX_WOKEN,
        )
        if not found:
            return 0
        free = {"$eq": ["$owner", None]}
        due_at = {"$cond": [free, {"$min": ["$due_at", now]}, "$due_at"]}
        woken = {"wakes": {"$add": ["$wakes", 1]}, "due_at": due_at}
        ids = [document["_id"] for document in found]
        await self._processes.write([UpdateMany({"_id": {"$in": ids}}, [{"$set": woken}])])
        return len(ids)

    @override
    async def get(self, process_id: str) -> ProcessRecord | None:
        found = await self._processes.find_one({"_id": process_id})
        return None if found is None else _record(found)

    @override
    async def find(self, key: ProcessKey) -> ProcessRecord | None:
        found = await self._processes.find_one(_of(key))
        return None if found is None else _record(found)

    @override
    async def list(
        self, account: str, kind: str, *, after: tuple[dt.datetime, str] | None, limit: int
    ) -> Sequence[ProcessRecord]:
        where: Document = {"account": account, "kind": kind}
        if after is not None:
            created_at, process_id = after
            tie = {"created_at": created_at, "_id": {"$lt": process_id}}
            where["created_at"] = {"$lte": created_at}
            where["$or"] = [{"created_at": {"$lt": created_at}}, tie]
        found = await self._processes.find(
            where, limit=limit, sort=[("created_at", DESCENDING), ("_id", DESCENDING)], hint=_OF
        )
        return [_record(document) for document in found]

    @override
    async def find_due(self, *, now: dt.datetime, limit: int) -> Sequence[str]:
        found = await self._processes.find(
            {"due_at": {"$lte": now}},
            limit=limit, fields={"_id": 1}, sort=[("due_at", ASCENDING)], hint=_DUE,
        )  # fmt: skip
        if len(found) < limit:
            found += await self._processes.find(
                {"put_off_at": {"$gt": now + LONGEST_LEASE}, "due_at": {"$gt": now}},
                limit=limit - len(found), fields={"_id": 1}, sort=[("put_off_at", ASCENDING)],
                hint=_PUT_OFF,
            )  # fmt: skip
        return [document["_id"] for document in found]

    @override
    async def find_open(self, stripe_account: str, *, limit: int) -> Sequence[ProcessRecord]:
        goes_on = {"progress.course": {"$in": [one for one in Course if not one.rests]}}
        # Watches are text that begins with the Stripe account; `-` follows `,` in ASCII.
        begin = _watched(Watch(stripe_account, "")).removesuffix('""]')
        there = {"$elemMatch": {"$gte": begin, "$lt": f"{begin[:-1]}-"}}
        acting = await self._processes.find(
            {"stripe_account": stripe_account, **goes_on}, limit=limit, hint=_OPEN
        )
        watching = await self._processes.find(
            {"watches": there, **goes_on}, limit=limit, hint=_WATCHES
        )
        records = {document["_id"]: _record(document) for document in (*acting, *watching)}
        return sorted(records.values(), key=by_age)[:limit]

    @override
    async def find_attention(self, *, limit: int) -> Sequence[ProcessRecord]:
        found = await self._processes.find(
            {"attention_at": {"$gt": dt.datetime.fromtimestamp(0, dt.UTC)}},
            limit=limit,
            sort=[("attention_at", ASCENDING)],
            hint=_ATTENTION,
        )
        return [_record(document) for document in found]

    async def _open(self, record: ProcessRecord) -> AlreadyExists:
        """What names the process that has a claim of a new one. It may rest by now."""
        held = await self._processes.find_one({"claims": {"$in": list(record.claims)}})
        metadata = {"process": held["_id"]} if held is not None else {}
        return AlreadyExists(Reason.ALREADY_EXISTS, "another process is open", metadata=metadata)

    async def _update(self, process_id: str, lease: Lease, changed: Document) -> bool:
        try:
            return await self._processes.update_one(
                {"_id": process_id, "owner": lease.owner}, [{"$set": changed}]
            )
        except Duplicate as error:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "another process watches this object"
            ) from error

    @property
    def _processes(self) -> Collection:
        return self._database.collection(_PROCESSES)


def _of(key: ProcessKey) -> Document:
    return {"account": key.account, "kind": key.kind, "request_id": key.request_id}


def _watched(watch: Watch) -> str:
    """A watch as one text that no other has."""
    return msgspec.json.encode((watch.stripe_account, watch.object_id)).decode()


def _leased(lease: Lease) -> Document:
    until = lease.until
    return {"owner": lease.owner, "leased_until": until, "due_at": until, "put_off_at": until}


def _changed(change: Change) -> Document:
    """What a change sets, as expressions: a step's name may be no plain field name."""
    changed: Document = {}
    if change.step is not None:
        value = {"$literal": to_builtins(change.step)}
        field = {"field": {"$literal": change.step.name}, "input": "$steps", "value": value}
        changed["steps"] = {"$setField": field}
    if change.progress is not None:
        changed["progress"] = {"$literal": to_builtins(change.progress)}
        changed["attention_at"] = _attention_at(change.progress)
        if change.progress.course.rests:
            changed["claims"] = "$$REMOVE"
    if change.watches:
        new = {"$literal": [_watched(watch) for watch in change.watches]}
        changed["watches"] = {"$setUnion": [{"$ifNull": ["$watches", []]}, new]}
    return changed


def _attention_at(progress: Progress) -> Any:
    return progress.history[-1].at if progress.attention else "$$REMOVE"


def _document(record: ProcessRecord) -> Document:
    document: Document = to_builtins(record)
    document |= {"_id": document.pop("id"), **document.pop("key")}
    del document["watches"]
    if not record.claims:
        del document["claims"]
    return document


def _record(document: Document) -> ProcessRecord:
    watches = [Watch(*watch) for watch in map(msgspec.json.decode, document.get("watches", ()))]
    key = {name: document[name] for name in ("account", "kind", "request_id")}
    plain = {**document, "id": document["_id"], "key": key, "watches": tuple(sorted(watches))}
    return msgspec.convert(plain, ProcessRecord)
