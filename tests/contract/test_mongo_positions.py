"""Positions of billing events in MongoDB: no hole is ever made, so none is ever filled later.

A hole below a visible position would be an event that appears behind a reader's back. It is made,
if at all, where two processes number at once; here the other one comes between any two operations.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from typing_extensions import override

from domain.jobs import Job
from infrastructure.mongo.database import Collection, Database
from infrastructure.mongo.outbox import MongoOutbox
from tests.contract.samples import NOON
from tests.support.stores import drop_mongo_database

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
    database = Database(mongo_url, name, nouns=())
    await database.start()
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
        yield database, client[name]["queues"]
    await database.close()
    drop_mongo_database(mongo_url, name)


def number(documents: Documents, *names: str) -> None:
    """What another process does, which has seen none but these."""
    for name in names:
        last = documents.find_one({"position": {"$gt": 0}}, sort=[("position", -1)])
        position = 1 if last is None else last["position"] + 1
        documents.update_one(
            {"_id": name, "state": "unnumbered"},
            {"$set": {"state": "watched", "position": position}},
        )


@pytest.mark.parametrize("others", [("a",), ("b",), ("c",), ("d",), ("b", "a"), ("d", "b")])
@pytest.mark.parametrize("at", range(OPERATIONS))
async def test_two_processes_number_without_holes(
    database: tuple[Database, Documents], at: int, others: tuple[str, ...]
) -> None:
    opened, documents = database
    jobs = [Job(name, "events.invoice_paid", "acme", NOON) for name in NAMES]
    positions: list[list[int]] = []

    def interrupt(operation: int) -> None:
        positions.append(sorted(documents.distinct("position", {"position": {"$gt": 0}})))
        if operation == at:
            number(documents, *others)

    outbox = Interrupted(opened, interrupt)
    await outbox.append(jobs)
    interrupt(-1)
    for seen in positions:
        assert seen == list(range(1, len(seen) + 1)), "a hole"
    assert len(positions[-1]) == len(NAMES), "all are numbered in the end"
    read = await MongoOutbox(opened).watch("acme", after=0, limit=10)
    assert sorted(one.job.id for one in read) == list(NAMES)
