"""The driver: constructed, bounded and made to speak our errors, in this file only.

The ports know collections and documents; a switch from motor to pymongo's own `AsyncMongoClient`
(motor's successor) changes this file and no other.
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pymongo
from bson import Int64
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import DeleteOne, InsertOne, UpdateMany, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from typing_extensions import override

from application.ports.mirror import Noun
from application.ports.nouns import NOUNS
from domain.errors import Reason, Unavailable
from infrastructure.mongo.columns import refill
from infrastructure.mongo.indexes import DEPLOYMENT, declared_indexes

Document = dict[str, Any]
Write = InsertOne[Document] | UpdateOne | UpdateMany | DeleteOne
Answered = Callable[[], AbstractContextManager[None]]
Failed = Callable[[str], None]
"""Called with what the driver itself says, for the log: it holds no documents."""

ASCENDING: Final = pymongo.ASCENDING
DESCENDING: Final = pymongo.DESCENDING

ANSWER_TIMEOUT: Final = dt.timedelta(seconds=10)
"""How long the server may work on one operation, the wait for its majority included.

An operation is sent twice at most, by the driver's own retry, after a primary was found anew.
"""

_SELECTION_TIMEOUT_MS: Final = 5_000
_CONNECT_TIMEOUT_MS: Final = 5_000
_MAX_CONNECTIONS: Final = 32
_MAX_IDLE_MS: Final = 300_000
_HEARTBEAT_MS: Final = 2_000
_SOCKET_SLACK_MS: Final = 1_000
_INDEX_BUILD_SECONDS: Final = 600.0
_DUPLICATE_KEY: Final = 11000
_MAX_CAUSE: Final = 200


class _PlainIntegers(TypeDecoder):
    """Integers of more than 32 bits as plain ones: the driver's own kind cannot become JSON."""

    bson_type = Int64

    @override
    def transform_bson(self, value: Any) -> int:
        return int(value)


_CODEC: Final = CodecOptions[Document](
    tz_aware=True, tzinfo=dt.UTC, type_registry=TypeRegistry([_PlainIntegers()])
)
_READ_CONCERN: Final = ReadConcern("majority")

# The driver logs commands with their documents at its lowest level: personal data, all of them.
logging.getLogger("pymongo").setLevel(logging.WARNING)


class Duplicate(Exception):
    """A unique index refused the document, and nothing was written."""


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
        fields: Mapping[str, int] | None = None,
        sort: Sequence[tuple[str, int]] | None = None,
        hint: str | None = None,
        collation: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """At most `limit` documents, in one round trip where they fit into a reply (16 MiB)."""
        with self._answered():
            cursor = self._driver.find(
                where,
                fields,
                sort=sort,
                limit=limit,
                batch_size=limit,
                hint=hint,
                collation=collation,
                max_time_ms=self._answer_ms,
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

        The driver sends a bulk again where its answer is lost, but for one with an `UpdateMany`.
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


class Database:
    """One MongoDB database: `start` before use, `close` after.

    Works on a standalone, a replica set and a sharded cluster alike, since nothing here needs a
    transaction. `nouns` are those whose indexes are created at start.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        nouns: Sequence[Noun[Any]] = NOUNS,
        timeout: dt.timedelta = ANSWER_TIMEOUT,
    ) -> None:
        self._url = url
        self._name = name
        self._nouns = tuple(nouns)
        self._answer_ms = timeout // dt.timedelta(milliseconds=1)
        self._client: AsyncIOMotorClient[Document] | None = None
        self._failed: Failed = _unheard

    @property
    def name(self) -> str:
        """What it is called on its server."""
        return self._name

    def beside(self, name: str) -> "Database":
        """Another database of the same server, used in the same way."""
        timeout = dt.timedelta(milliseconds=self._answer_ms)
        other = Database(self._url, name, nouns=self._nouns, timeout=timeout)
        other.report_to(self._failed)
        return other

    def report_to(self, failed: Failed) -> None:
        """Tell each error of the server and of the driver from now on: callers hear of none."""
        self._failed = failed

    async def start(self) -> None:
        """Connect, create the declared indexes, fill the columns of a changed declaration.

        Indexes that are there are left alone. Takes a moment, or minutes after such a change.

        Raises Unavailable (STORE_UNAVAILABLE) where the server does not answer or refuses one.
        """
        if self._client is not None:
            return
        with self._answered():
            self._client = AsyncIOMotorClient(
                self._url,
                appname="billing",
                # Not `timeoutMS`: under it the driver repeats a failing operation without a pause
                # until the time is over. A server that has too much to do is not to be stormed.
                socketTimeoutMS=self._answer_ms + _SOCKET_SLACK_MS,
                waitQueueTimeoutMS=_SELECTION_TIMEOUT_MS,
                serverSelectionTimeoutMS=min(_SELECTION_TIMEOUT_MS, self._answer_ms),
                connectTimeoutMS=_CONNECT_TIMEOUT_MS,
                maxPoolSize=_MAX_CONNECTIONS,
                maxIdleTimeMS=_MAX_IDLE_MS,
                heartbeatFrequencyMS=_HEARTBEAT_MS,
                retryWrites=True,
                retryReads=True,
            )
        try:
            with self._answered():
                await self._client.admin.command("ping")
                await self._create_indexes()
            for noun in self._nouns:
                await refill(self.collection(noun.collection), self.collection(DEPLOYMENT), noun)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all connections. May be called again, or without a start."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def collection(self, name: str) -> Collection:
        """A collection, with the concerns that every invariant here stands on."""
        return Collection(self._driver_collection(name), self._answer_ms, self._answered)

    async def names(self, prefix: str) -> list[str]:
        """The names, in order, of the databases of this server whose names begin so."""
        where = {"name": {"$regex": f"^{re.escape(prefix)}"}}
        with self._answered():
            answer = await self._opened().admin.command(
                "listDatabases", nameOnly=True, filter=where
            )
            return sorted(one["name"] for one in answer["databases"])

    async def drop(self, name: str) -> None:
        """Remove a database of this server and all that is in it. Idempotent."""
        concern = {"w": "majority", "wtimeout": self._answer_ms}
        with self._answered():
            await self._opened()[name].command("dropDatabase", writeConcern=concern)

    def _opened(self) -> "AsyncIOMotorClient[Document]":
        if self._client is None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the store is not open")
        return self._client

    def _driver_collection(self, name: str) -> "AsyncIOMotorCollection[Document]":
        return self._opened()[self._name].get_collection(
            name,
            codec_options=_CODEC,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", j=True, wtimeout=self._answer_ms),
            read_concern=_READ_CONCERN,
        )

    async def _create_indexes(self) -> None:
        # A new index on a grown collection takes minutes: the bound of one operation is not its.
        with pymongo.timeout(_INDEX_BUILD_SECONDS):
            for name, indexes in declared_indexes(self._nouns).items():
                await self._driver_collection(name).create_indexes(list(indexes))

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """The one place where the driver's errors become ours."""
        try:
            yield
        except DuplicateKeyError as error:
            raise Duplicate from error
        except PyMongoError as error:
            self._failed(_cause(error))
            # The driver's message may hold addresses and documents: its class says enough.
            raise Unavailable(
                Reason.STORE_UNAVAILABLE, f"the store does not answer ({type(error).__name__})"
            ) from error


def _unheard(_: str) -> None:
    """Nobody is told of the database's errors: there is no service yet."""


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
