"""One MongoDB database for all tests of a module, empty before each of them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import uuid4

import pymongo
from pymongo.database import Database

from infrastructure.mongo.deployment import DEPLOYMENT
from tests.support.servers.stores import Stores, mongo_stores

_OF_THE_SERVER: Final = "system."
_STAMPS: Final[Mapping[str, Any]] = {"_id": {"$regex": "^columns/"}}
"""What says which declaration has filled the columns. It holds for no rows as it does for some."""


class SharedDatabase:
    """A database of its own name, whose collections and indexes stay as long as it does.

    To make them costs the server ten times what most tests do in them. A test that changes indexes,
    or that makes the server itself fail, has a database of its own instead.
    """

    def __init__(self, url: str, client: "pymongo.MongoClient[dict[str, Any]]") -> None:
        self.name: Final = f"billing_test_{uuid4().hex}"
        self._url = url
        self._client = client
        self._made = False
        self._opened = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Stores]:
        """An `Opener`: in a test's first opening nothing is made that is there already."""
        connect_only, self._opened = self._made and not self._opened, True
        async with mongo_stores(self._url, self.name, connect_only=connect_only) as stores:
            self._made = True
            yield stores

    def empty(self) -> None:
        """Remove whatever tests may have left, but for what every opening makes anew."""
        for name in self._names(of_the_server=True):
            self._database.drop_collection(name)
        for name in self._filled():
            rest = {"$nor": [_STAMPS]} if name == DEPLOYMENT else {}
            self._database[name].delete_many(rest)  # until a majority has it, as the stores read
        self._drop_shadows()
        self._opened = False

    def drop(self) -> None:
        """Remove everything."""
        self._drop_shadows()
        self._client.drop_database(self.name)

    @property
    def _database(self) -> "Database[dict[str, Any]]":
        return self._client[self.name]

    def _names(self, *, of_the_server: bool) -> Sequence[str]:
        names = self._database.list_collection_names()
        return [name for name in names if name.startswith(_OF_THE_SERVER) == of_the_server]

    def _filled(self) -> Sequence[str]:
        """The collections that hold something, asked for in one question."""
        pipelines = [
            (name, [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}])
            for name in self._names(of_the_server=False)
        ]
        if not pipelines:
            return []
        (first, pipeline), *others = pipelines
        unions = [{"$unionWith": {"coll": name, "pipeline": each}} for name, each in others]
        return [found["name"] for found in self._database[first].aggregate([*pipeline, *unions])]

    def _drop_shadows(self) -> None:
        """Remove the databases that `infrastructure.mongo.shadows` has made beside this one."""
        where = {"name": {"$regex": f"^{self.name[:20]}-rebuild-"}}
        answer = self._client.admin.command("listDatabases", nameOnly=True, filter=where)
        for shadow in answer["databases"]:
            self._client.drop_database(shadow["name"])


@contextmanager
def shared_database(url: str) -> Iterator[SharedDatabase]:
    """A database until the context is left."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = SharedDatabase(url, client)
        try:
            yield database
        finally:
            database.drop()
