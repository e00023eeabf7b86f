"""What a MongoDB store has acknowledged survives the death of the server."""

import asyncio
import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pymongo

from application.mirror.nouns import CHARGES
from domain.errors import Unavailable
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import own_mongod
from tests.contract.samples import charge, event, snapshot

ROUNDS: Final = 3
WRITERS: Final = 16
ENOUGH: Final = 300
"""Acknowledged appends after which the server is killed, in the middle of others."""

_prepare: Final = partial(prepare, nouns=(CHARGES,))


async def test_no_acknowledged_write_is_lost_when_the_server_is_killed() -> None:
    with own_mongod(on_disk=True) as server:
        events: set[str] = set()
        rows: set[str] = set()
        for number in range(ROUNDS):
            timeout = dt.timedelta(seconds=1)
            database = Database(server.url, "crash", _prepare, timeout=timeout)
            await database.start()
            try:
                if number == 0:
                    _keep_collections(server.url)
                await _write_until_killed(database, server.kill, number, events, rows)
            finally:
                await database.close()
            server.start()
            with pymongo.MongoClient[dict[str, Any]](server.url) as client:
                found = {row["_id"] for row in client["crash"]["billing.events"].find({}, {})}
                stored = {row["id"] for row in client["crash"][CHARGES.collection].find()}
            assert events - found == set(), "acknowledged events were lost"
            assert rows - stored == set(), "acknowledged rows were lost"
            assert len(events) >= ENOUGH * (number + 1)
            assert rows


def _keep_collections(url: str) -> None:
    """Have the data files written, so that no restart has to make collections and indexes anew.

    What is acknowledged from now on is in the journal alone.
    """
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.admin.command("fsync")


async def _write_until_killed(
    database: Database, kill: Callable[[], None], number: int, events: set[str], rows: set[str]
) -> None:
    """Append and replace from many tasks, kill the server under them, wait until all have seen it.

    Adds to `events` and `rows` what was acknowledged.
    """
    inbox, mirror = MongoInbox(database), MongoMirror(database, read_before)
    before = len(events)
    enough = asyncio.Event()

    async def append(writer: int) -> None:
        for count in range(100_000):
            id_ = f"evt_{number}_{writer}_{count}"
            await inbox.append(event(id_))
            events.add(id_)
            if len(events) - before >= ENOUGH:
                enough.set()

    async def replace() -> None:
        for count in range(100_000):
            ids = [f"ch_{number}_{count}_{one}" for one in range(10)]
            told = [(snapshot(charge(id_)), 0) for id_ in ids]
            assert await mirror.replace(CHARGES, told) == []
            rows.update(ids)

    tasks = [asyncio.create_task(append(writer)) for writer in range(WRITERS)]
    tasks.append(asyncio.create_task(replace()))
    async with asyncio.timeout(60):
        await enough.wait()
        await asyncio.to_thread(kill)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, Unavailable) for end in ends), ends
