"""Positions of billing events in MongoDB: no hole is ever made, so none is ever filled later.

A hole below a visible position would be an event that appears behind a reader's back. It is made,
if at all, where two processes append at once; here the other one comes between any two operations.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from typing_extensions import override

from domain.jobs import Job
from infrastructure.mongo.core.collection import Collection
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.outbox import MongoOutbox
from infrastructure.mongo.preparation import prepare
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON

NAMES = ("a", "b", "c", "d")
OPERATIONS = 5

Documents = pymongo.collection.Collection[dict[str, Any]]


class Interrupted(MongoOutbox):
    """An outbox of a process that another one comes between before each of its operations."""

    def __init__(self, database: Database, interrupt: Callable[[int], None]) -> None:
        super().__init__(database)
        self._interrupt, self._operations = interrupt, 0

    @property
    @override
    def _jobs(self) -> Collection:
        self._interrupt(self._operations)
        self._operations += 1
        return super()._jobs


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[tuple[Database, Documents]]:
    name = f"billing_test_{uuid4().hex}"
    database = Database(mongo_url, name, partial(prepare, nouns=()))
    await database.start()
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
        yield database, client[name]["queues"]
    await database.close()
    drop_mongo_database(mongo_url, name)


def billing_event(name: str) -> Job:
    return Job(name, "events.invoice_paid", "acme", NOON)


def insert(documents: Documents, *names: str) -> None:
    """What another process does, event by event."""
    for name in names:
        last = documents.find_one({"position": {"$gt": 0}}, sort=[("position", -1)])
        position = 1 if last is None else last["position"] + 1
        job = {"kind": "events.invoice_paid", "account": "acme", "created_at": NOON, "payload": {}}
        with contextlib.suppress(pymongo.errors.DuplicateKeyError):  # it is there
            documents.insert_one({**job, "_id": name, "state": "watched", "position": position})


@pytest.mark.parametrize("others", [("x",), ("a",), ("b",), ("d",), ("x", "c"), ("d", "b", "y")])
@pytest.mark.parametrize("at", range(OPERATIONS))
async def test_two_processes_append_without_holes(
    database: tuple[Database, Documents], at: int, others: tuple[str, ...]
) -> None:
    opened, documents = database
    positions: list[list[int]] = []

    def interrupt(operation: int) -> None:
        positions.append(sorted(documents.distinct("position", {"position": {"$gt": 0}})))
        if operation == at:
            insert(documents, *others)

    await Interrupted(opened, interrupt).append([billing_event(name) for name in NAMES])
    interrupt(-1)
    for seen in positions:
        assert seen == list(range(1, len(seen) + 1)), "a hole"
    read = await MongoOutbox(opened).watch("acme", after=0, limit=10)
    names = [one.job.id for one in read]
    assert {*NAMES} <= {*names}, "every event has a position in the end"
    assert len(names) == len({*names}) == len(positions[-1])


async def test_a_batch_that_is_there_takes_one_more_insert(
    database: tuple[Database, Documents],
) -> None:
    """A batch projected again repeats all its events: they must not cost a round trip each."""
    opened, _ = database
    jobs = [billing_event(f"event-{number:03}") for number in range(100)]
    await MongoOutbox(opened).append(jobs)
    operations: list[int] = []
    outbox = Interrupted(opened, operations.append)
    await outbox.append([*jobs, billing_event("new")])
    assert len(operations) <= 5
    assert [one.position for one in await outbox.watch("acme", after=100, limit=9)] == [101]
