"""One MongoDB database for all tests of a module, empty before each of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import pymongo
from pymongo.database import Database

_OF_THE_SERVER: Final = "system."
_ANY: Final[Sequence[dict[str, Any]]] = ({"$limit": 1}, {"$project": {"_id": 0}})


class SharedDatabase:
    """A database of its own name, whose collections and indexes stay as long as it does.

    To make them costs the server ten times what a test does in them. So a test that changes
    indexes, or that makes the server itself fail, has a database of its own instead.
    """

    def __init__(self, client: "pymongo.MongoClient[dict[str, Any]]") -> None:
        self.name: Final = f"billing_test_{uuid4().hex}"
        self._client = client

    @property
    def _database(self) -> "Database[dict[str, Any]]":
        return self._client[self.name]

    def empty(self) -> None:
        """Remove all documents, and what else a test may have left on the server."""
        for name in self._names():
            if name.startswith(_OF_THE_SERVER):
                self._database.drop_collection(name)
        for name in self._filled():
            self._database[name].delete_many({})  # until a majority has it, as the stores read
        for shadow in self._shadows():
            self._client.drop_database(shadow)

    def drop(self) -> None:
        """Remove everything."""
        for shadow in self._shadows():
            self._client.drop_database(shadow)
        self._client.drop_database(self.name)

    def _names(self) -> Sequence[str]:
        return self._database.list_collection_names()

    def _filled(self) -> Sequence[str]:
        """The collections that hold something, asked for in one question."""
        pipelines = [
            (name, [*_ANY, {"$set": {"collection": name}}])
            for name in self._names()
            if not name.startswith(_OF_THE_SERVER)
        ]
        if not pipelines:
            return []
        (first, pipeline), *others = pipelines
        unions = [{"$unionWith": {"coll": name, "pipeline": each}} for name, each in others]
        return [found["collection"] for found in self._database[first].aggregate(pipeline + unions)]

    def _shadows(self) -> Sequence[str]:
        """The databases that `infrastructure.mongo.shadow` has made beside this one."""
        where = {"name": {"$regex": f"^{self.name[:20]}-rebuild-"}}
        found = self._client.admin.command("listDatabases", nameOnly=True, filter=where)
        return [one["name"] for one in found["databases"]]


@contextmanager
def shared_database(url: str) -> Iterator[SharedDatabase]:
    """A database until the context is left."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = SharedDatabase(client)
        try:
            yield database
        finally:
            database.drop()
