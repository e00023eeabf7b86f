"""A collection as the ports use it: the driver's operations, which speak our errors.

This file and `database.py` are all that speaks to the driver: a switch from motor to pymongo's own
`AsyncMongoClient` (motor's successor) changes these two and no other.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pymongo
from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo import DeleteMany, DeleteOne, IndexModel, InsertOne, UpdateMany, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from domain.errors import Reason, Unavailable

Document = dict[str, Any]
Write = InsertOne[Document] | UpdateOne | UpdateMany | DeleteOne | DeleteMany
Answered = Callable[[], AbstractContextManager[None]]
Session = AsyncIOMotorClientSession
"""Reads that follow one another: see `Database.session`."""

Failed = Callable[[str], None]
"""Called with what the driver itself says, for the log: it holds no documents."""

Indexes = Mapping[str, Sequence[IndexModel]]
"""What an adapter declares beside its queries: of each collection that they read, by its name, the
indexes that they need. `preparation.py` creates them.
"""

ASCENDING: Final = pymongo.ASCENDING
DESCENDING: Final = pymongo.DESCENDING

BY_ID: Final = "_id_"
"""The index that every collection has: unique, on `_id`."""

_DUPLICATE_KEY: Final = 11000
_MAX_CAUSE: Final = 200


class Duplicate(Exception):
    """A unique index refused the document, and nothing was written."""


def index(*fields: str, name: str | None = None, **options: Any) -> IndexModel:
    """An index on fields, all ascending. Its name tells them unless it is given one.

    So a changed declaration is a new index beside the old one, and never a conflict at start; what
    is no longer declared is left for an operator to drop.
    """
    keys = [(field, ASCENDING) for field in fields]
    return IndexModel(keys, name=name or "_".join(fields), **options)


class Collection:
    """The operations that the ports use, on one collection.

    Writes are acknowledged once a majority has them in its journal; reads see only what a majority
    has. Every method raises Unavailable (STORE_UNAVAILABLE) where the server does not answer or
    does not answer so; what was sent then may have been done.
    """

    def __init__(
        self, driver: "AsyncIOMotorCollection[Document]", answer_ms: int, answered: Answered
    ) -> None:
        self._driver = driver
        self._answer_ms = answer_ms
        self._answered = answered

    async def find(
        self,
        where: Mapping[str, Any],
        *,
        limit: int,
        skip: int = 0,
        fields: Mapping[str, int] | None = None,
        sort: Sequence[tuple[str, int]] | None = None,
        hint: str | None = None,
        collation: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> list[Document]:
        """At most `limit` documents behind the first `skip`.

        In one round trip where they fit into a reply (16 MiB). In a `session` it sees at least what
        was seen in it before.
        """
        with self._answered():
            cursor = self._driver.find(
                where,
                fields,
                sort=sort,
                skip=skip,
                limit=limit,
                batch_size=limit,
                hint=hint,
                collation=collation,
                max_time_ms=self._answer_ms,
                session=session,
            )
            return await cursor.to_list(limit)

    async def find_one(self, where: Mapping[str, Any]) -> Document | None:
        """The first document that matches, or None."""
        with self._answered():
            found: Document | None = await self._driver.find_one(where, max_time_ms=self._answer_ms)
            return found

    async def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], *, hint: str
    ) -> list[Document]:
        """All that a pipeline answers: the caller bounds it by what it groups by."""
        with self._answered():
            cursor = self._driver.aggregate(list(pipeline), hint=hint, maxTimeMS=self._answer_ms)
            return await cursor.to_list(None)

    async def count(self, where: Mapping[str, Any], *, hint: str, limit: int | None = None) -> int:
        """How many documents match, counted up to `limit` if there is one."""
        options: dict[str, Any] = {"hint": hint, "maxTimeMS": self._answer_ms}
        if limit is not None:
            options["limit"] = limit
        with self._answered():
            return await self._driver.count_documents(where, **options)

    async def insert_one(self, document: Document) -> None:
        """Insert a document. Raises Duplicate."""
        with self._answered():
            await self._driver.insert_one(document)

    async def insert_many(self, documents: Sequence[Document]) -> frozenset[int]:
        """Insert what is not there yet; returns the positions of those that a unique index refused.

        Each document is inserted or refused on its own.
        """
        return (await self.write([InsertOne(document) for document in documents]))[1]

    async def write(self, operations: Sequence[Write]) -> tuple[int, frozenset[int]]:
        """Do all operations, unordered, each document's atomically.

        The driver sends a bulk again where its answer is lost, but for one with an `UpdateMany`
        or a `DeleteMany`.
        Returns how many documents were inserted, matched or deleted, and the positions of those
        that a unique index refused.
        """
        refused: frozenset[int] = frozenset()
        with self._answered():
            try:
                outcome = await self._driver.bulk_write(list(operations), ordered=False)
                counts = dict(outcome.bulk_api_result)
            except BulkWriteError as error:
                counts = dict(error.details or {})
                errors = counts["writeErrors"]
                only_refusals = all(failed["code"] == _DUPLICATE_KEY for failed in errors)
                if not only_refusals or counts["writeConcernErrors"]:
                    raise
                refused = frozenset(failed["index"] for failed in errors)
        done = ("nInserted", "nMatched", "nUpserted", "nRemoved")
        return sum(counts[kind] for kind in done), refused

    async def insert_in_order(self, documents: Sequence[Document]) -> tuple[int, str | None]:
        """Insert documents one after another, up to the first that a unique index refuses.

        Returns how many were inserted, and the first field of the index that refused the next one
        (None: all were inserted). What comes behind a refused one is not there, and nobody can see
        a document before those that come ahead of it.
        """
        with self._answered():
            try:
                await self._driver.bulk_write([InsertOne(one) for one in documents], ordered=True)
            except BulkWriteError as error:
                details = dict(error.details or {})
                errors = details["writeErrors"]
                refused = [failed["code"] == _DUPLICATE_KEY for failed in errors]
                if refused != [True] or details["writeConcernErrors"]:
                    raise
                return details["nInserted"], next(iter(errors[0]["keyPattern"]))
        return len(documents), None

    async def update_one(self, where: Mapping[str, Any], update: Any) -> bool:
        """Update the document that matches; whether there was one. Raises Duplicate."""
        with self._answered():
            return (await self._driver.update_one(where, update)).matched_count == 1

    async def find_one_and_update(self, where: Mapping[str, Any], update: Any) -> Document | None:
        """Update the document that matches and return it as it then is; None where none does."""
        with self._answered():
            found: Document | None = await self._driver.find_one_and_update(
                where, update, return_document=pymongo.ReturnDocument.AFTER
            )
            return found

    async def upsert(self, where: Mapping[str, Any], update: Any) -> Document:
        """Update the document that matches, made if need be, and return it as it then is."""
        with self._answered():
            document: Document = await self._driver.find_one_and_update(
                where, update, upsert=True, return_document=pymongo.ReturnDocument.AFTER
            )
            return document

    async def replace_one(self, where: Mapping[str, Any], document: Document) -> None:
        """Put a document in the place of the one that matches, or beside all. Raises Duplicate."""
        with self._answered():
            await self._driver.replace_one(where, document, upsert=True)


@contextmanager
def answered(failed: Failed) -> Iterator[None]:
    """The one place where the driver's errors become ours; `failed` is told of them."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Duplicate from error
    except PyMongoError as error:
        failed(_cause(error))
        # The driver's message may hold addresses and documents: its class says enough.
        raise Unavailable(
            Reason.STORE_UNAVAILABLE, f"the store does not answer ({type(error).__name__})"
        ) from error


def _cause(error: PyMongoError) -> str:
    """What went wrong, for the log: addresses and the server's codes, and nothing of documents."""
    name = type(error).__name__
    if isinstance(error, OperationFailure):
        return f"{name}: {_code(error)}"
    if isinstance(error, ConnectionFailure):
        # What follows is the topology, or the server's whole answer.
        words = re.split(r" \(configured timeouts|, (?:Timeout|full error):", str(error))[0]
        return f"{name}: {words[:_MAX_CAUSE]}"
    return name


def _code(error: OperationFailure) -> str:
    details = error.details or {}
    if isinstance(error, BulkWriteError):  # its own code stands for all bulks
        details = next(iter([*details["writeErrors"], *details["writeConcernErrors"]]), details)
    return f"{details.get('codeName', 'code')} {details.get('code', error.code)}"
