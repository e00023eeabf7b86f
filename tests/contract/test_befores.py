"""The state before an update stays bytes in a row; whoever asks for it finds it the same."""

from dataclasses import replace
from functools import partial
from typing import Final, NoReturn
from uuid import uuid4

import pytest

from application.events.inbox import ReceivedEvent
from application.events.readings import Observed
from application.mirror.nouns import CHARGES
from domain.charges import Charge
from domain.mirror import Snapshot
from infrastructure.befores import EncodedBefore
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare
from infrastructure.stripe.readers.befores import read_before
from infrastructure.stripe.readers.envelopes import received
from infrastructure.stripe.readers.events import StripeEventReader
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON, OURS, fetch_one
from tests.support.servers.stores import Stores
from tests.unit.stripe import samples

# A text that a database may stumble over, in a value and in a key.
_ODD: Final = "$a.b\0 \N{SNOWMAN} \" ' {"


def told() -> Snapshot[Charge]:
    """A charge that was edited, and tells what it was before."""
    now = samples.charge(description="now", metadata={_ODD: _ODD, "new": "1"})
    previous = {"description": _ODD, "metadata": {"new": None}}
    payload = samples.event(now, "charge.updated", previous=previous) | {"account": OURS}
    event: ReceivedEvent = received(samples.encoded(payload), now=NOON, livemode=False)
    said = StripeEventReader().read(event, OURS)
    assert isinstance(said, Observed)
    snapshot: Snapshot[Charge] = said.snapshot  # type: ignore[assignment]  # of a charge
    return snapshot


def unread(snapshot: Snapshot[Charge]) -> tuple[Snapshot[Charge], bytes]:
    """The same observation, whose state before must not be looked at; and its bytes."""
    befores = snapshot.befores
    assert isinstance(befores, EncodedBefore)

    def looked_at(_: bytes) -> NoReturn:
        pytest.fail("a state before was decoded, and nobody has asked for it")

    return replace(snapshot, befores=EncodedBefore(befores.told, looked_at)), befores.told


async def test_nobody_decodes_the_state_before_but_who_asks(stores: Stores) -> None:
    snapshot = told()
    assert snapshot.object is not None
    sealed, bytes_told = unread(snapshot)
    assert await stores.mirror.replace(CHARGES, [(sealed, 0)]) == []
    stored = (await fetch_one(stores.mirror, CHARGES, snapshot.id)).snapshot
    assert stored is not None
    again, bytes_stored = unread(stored)
    assert bytes_stored == bytes_told
    assert await stores.mirror.replace(CHARGES, [(again, 1)]) == [], "as it was read"
    row = await fetch_one(stores.mirror, CHARGES, snapshot.id)
    assert row.snapshot == snapshot
    assert row.snapshot.befores == (
        replace(snapshot.object, description=_ODD, metadata={_ODD: _ODD}),
    )


async def test_the_next_snapshot_takes_its_place(stores: Stores) -> None:
    snapshot = told()
    befores: tuple[tuple[Charge | None, ...], ...] = ((), (None,), (snapshot.object, None))
    for revision, states in enumerate(befores):
        assert await stores.mirror.replace(CHARGES, [(snapshot, 2 * revision)]) == []
        later = replace(snapshot, befores=states)
        assert await stores.mirror.replace(CHARGES, [(later, 2 * revision + 1)]) == []
        assert (await fetch_one(stores.mirror, CHARGES, snapshot.id)).snapshot == later


async def test_beside_processes_of_an_earlier_release_it_passes_for_untold(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    snapshot = told()
    try:
        database = Database(mongo_url, name, partial(prepare, nouns=(CHARGES,)))
        await database.start()
        mirror = MongoMirror(database, read_before)
        rows = database.collection(CHARGES.collection)
        assert await mirror.replace(CHARGES, [(snapshot, 0)]) == []
        (row,) = await rows.find({}, limit=1)
        assert row["befores"] == [None], "which they read as always"
        written = {"revision": 2, "befores": []}  # they know no field but these
        await rows.update_one({"_id": row["_id"]}, {"$set": written})
        assert (await fetch_one(mirror, CHARGES, snapshot.id)).snapshot == replace(
            snapshot, befores=()
        )
        await database.close()
    finally:
        drop_mongo_database(mongo_url, name)
