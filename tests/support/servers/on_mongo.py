"""The real service on a MongoDB database of its own, in one process or in two."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pymongo

from sandbox.servers.mongod import drop_mongo_database
from tests.support.servers.service import Service, ServiceAndEmulator, check_log, world

_NO_SCANS: Final = "notablescan"


@asynccontextmanager
async def mongo_world(url: str, folder: Path, **settings: str) -> AsyncIterator[ServiceAndEmulator]:
    """A world on a new database, on a server that refuses whatever would scan a collection."""
    name = f"billing_e2e_{uuid4().hex}"
    on_mongo = {
        "BILLING_STORE": "mongo", "BILLING_MONGO_URL": url, "BILLING_MONGO_DATABASE": name,
    }  # fmt: skip
    try:
        with _no_scans(url):
            async with world(folder, **on_mongo, **settings) as made:
                yield made
    finally:
        drop_mongo_database(url, name)


@asynccontextmanager
async def neighbour_of(here: ServiceAndEmulator, folder: Path) -> AsyncIterator[Service]:
    """A second process on the same database, with ports of its own."""
    service = Service(here.service.settings, folder / "log")
    try:
        await service.start()
        yield service
        await service.stop()
    finally:
        await service.close()
    check_log(service.log)


@contextmanager
def _no_scans(url: str) -> Iterator[None]:
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.admin.command({"setParameter": 1, _NO_SCANS: True})
        try:
            yield
        finally:
            client.admin.command({"setParameter": 1, _NO_SCANS: False})
