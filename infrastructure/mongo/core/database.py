"""The driver: constructed and bounded in this file only.

The ports know collections and documents: what is done with them stands in `collection.py`.
"""

import datetime as dt
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

import pymongo
from bson import Int64
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from typing_extensions import override

from domain.errors import Reason, Unavailable
from infrastructure.mongo.core.collection import (
    Collection,
    Document,
    Failed,
    Indexes,
    Session,
    answered,
)

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


class Database:
    """One MongoDB database: `start` before use, `close` after.

    Works on a standalone, a replica set and a sharded cluster alike, since nothing here needs a
    transaction. `prepare` makes what its users need, once it is connected.
    """

    def __init__(
        self,
        url: str,
        name: str,
        prepare: "Prepare",
        *,
        timeout: dt.timedelta = ANSWER_TIMEOUT,
    ) -> None:
        self._url = url
        self._name = name
        self._prepare = prepare
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
        other = Database(self._url, name, self._prepare, timeout=timeout)
        other.report_to(self._failed)
        return other

    def report_to(self, failed: Failed) -> None:
        """Tell each error of the server and of the driver from now on: callers hear of none."""
        self._failed = failed

    async def start(self) -> None:
        """Connect and prepare. A second call does nothing.

        Raises Unavailable (STORE_UNAVAILABLE) where the server does not answer, and what `prepare`
        raises.
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
            await self._prepare(self)
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

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Causally consistent reads, one after another, until the context is left.

        None is older than those before it, though another member has become the primary in between,
        which need not know yet all that a majority has.
        """
        with self._answered():
            session = await self._opened().start_session(causal_consistency=True)
        try:
            yield session
        finally:
            await session.end_session()

    async def create_indexes(self, declared: Indexes) -> None:
        """Create the indexes that are not there; the others are left alone."""
        # A new index on a grown collection takes minutes: the bound of one operation is not its.
        with self._answered(), pymongo.timeout(_INDEX_BUILD_SECONDS):
            for name, indexes in declared.items():
                await self._driver_collection(name).create_indexes(list(indexes))

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

    def _answered(self) -> AbstractContextManager[None]:
        return answered(self._failed)


Prepare = Callable[[Database], Awaitable[None]]
"""Makes what is missing in a database that is connected. Idempotent, also in several at once."""


def _unheard(_: str) -> None:
    """Nobody is told of the database's errors: there is no service yet."""
