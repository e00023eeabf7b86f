"""The checkpoints port: one document a Stripe account and task."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pymongo import DeleteOne
from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
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
from infrastructure.mongo.core.keys import restored, storable

_CHECKPOINTS: Final = "billing.checkpoints"
_BY_ACCOUNT: Final = "stripe_account_task"
_BY_TIME: Final = "stripe_account_saved_at"

INDEXES: Final[Indexes] = {
    _CHECKPOINTS: [
        index("stripe_account", "task", name=_BY_ACCOUNT),
        index("stripe_account", "saved_at", name=_BY_TIME),
    ],
}

_MOST_TASKS = 1_000


class MongoCheckpoints(Checkpoints):
    """Checkpoints on MongoDB.

    The unique `_id` lets one first save through, and an update that names the revision which its
    writer has seen every later one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def load(self, stripe_account: str, task: str) -> Checkpoint:
        found = await self._checkpoints.find_one({"_id": _id(stripe_account, task)})
        return Checkpoint(stripe_account, task, 0) if found is None else _checkpoint(found)

    @override
    async def save(self, checkpoint: Checkpoint, *, now: dt.datetime) -> Checkpoint:
        saved = replace(checkpoint, revision=checkpoint.revision + 1, saved_at=now)
        id_ = _id(saved.stripe_account, saved.task)
        document: Document = to_builtins(saved)
        document["state"] = storable(document["state"])
        if checkpoint.revision == 0:
            try:
                await self._checkpoints.insert_one({"_id": id_, **document})
            except Duplicate:
                stored = False
            else:
                stored = True
        else:
            seen = {"_id": id_, "revision": checkpoint.revision}
            stored = await self._checkpoints.update_one(seen, {"$set": document})
        if not stored:
            raise Conflict(Reason.REQUEST_IN_FLIGHT, f"{saved.task}: somebody else has taken over")
        return saved

    @override
    async def forget(self, stripe_account: str, *, before: dt.datetime, limit: int) -> int:
        found = await self._checkpoints.find(
            {"stripe_account": stripe_account, "saved_at": {"$lt": before}},
            fields={"revision": 1},
            sort=[("saved_at", ASCENDING)],
            limit=limit,
            hint=_BY_TIME,
        )
        if not found:
            return 0
        # By revision, so that one that is saved meanwhile stays.
        gone = [DeleteOne({"_id": one["_id"], "revision": one["revision"]}) for one in found]
        return (await self._checkpoints.write(gone))[0]

    @override
    async def of(self, stripe_account: str) -> Sequence[Checkpoint]:
        found = await self._checkpoints.find(
            {"stripe_account": stripe_account},
            sort=[("task", ASCENDING)],
            limit=_MOST_TASKS,
            hint=_BY_ACCOUNT,
        )
        return [_checkpoint(document) for document in found]

    @property
    def _checkpoints(self) -> Collection:
        return self._database.collection(_CHECKPOINTS)


def _id(stripe_account: str, task: str) -> Document:
    """A document as `_id`: no character of a part can make two keys one."""
    return {"stripe_account": stripe_account, "task": task}


def _checkpoint(document: Document) -> Checkpoint:
    return Checkpoint(
        document["stripe_account"],
        document["task"],
        document["revision"],
        restored(document["state"]),
        document["saved_at"],
    )
