"""A changed declaration changes the columns of the rows that are there."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from application.mirror.nouns import CHARGES
from application.mirror.ports import Column, Filter, Noun
from domain.charges import Charge
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.columns import refill
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import OURS, charge, facet, list_ids, store_new, tombstone

CREATED = Column("created", "object.created")
BEFORE = (CREATED, Column("risk", "object.risk_level"))
# Another path under an old name, and a new column of each half.
AFTER = (
    CREATED,
    Column("risk", "object.outcome_type"),
    Column("payer", "object.customer"),
    Column("fee", "derived.balance.fee"),
)


def _charges_with(columns: Sequence[Column]) -> Noun[Charge]:
    others = [column.name for column in columns if column is not CREATED]
    indexes = (("created",), *((name, "created") for name in others))
    return replace(CHARGES, columns=tuple(columns), indexes=indexes, counted=None)


async def test_rows_get_the_columns_of_a_changed_declaration(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    before, after = _charges_with(BEFORE), _charges_with(AFTER)
    try:
        database = Database(mongo_url, name, partial(prepare, nouns=(before,)))
        await database.start()
        await _fill(MongoMirror(database, read_before), before)
        await database.close()
        for _ in range(2):
            database = Database(mongo_url, name, partial(prepare, nouns=(after,)))
            await database.start()
            await _assert_filled(MongoMirror(database, read_before), after)
            rows, stamps = map(database.collection, (after.collection, "billing.deployment"))
            assert await refill(rows, stamps, after) == 0, "filled once"
            await database.close()
    finally:
        drop_mongo_database(mongo_url, name)


async def _fill(mirror: MongoMirror, noun: Noun[Any]) -> None:
    blocked = replace(charge("ch_1", customer="cus_1"), risk_level="high", outcome_type="blocked")
    await store_new(mirror, noun, blocked, charge("ch_2", customer="cus_1"), charge("ch_3"))
    await mirror.derive(noun, [facet("ch_1", fee=30), facet("ch_9", fee=30)])
    assert await mirror.replace(noun, [(tombstone("ch_2"), 1)]) == []
    assert await list_ids(mirror, noun, Filter({"risk": "high"})) == ["ch_1"]


async def _assert_filled(mirror: MongoMirror, noun: Noun[Any]) -> None:
    assert await list_ids(mirror, noun, Filter({"payer": "cus_1"})) == ["ch_1"]
    assert await list_ids(mirror, noun, Filter({"fee": 30})) == ["ch_1"]
    assert await list_ids(mirror, noun, Filter({"risk": "blocked"})) == ["ch_1"]
    assert await list_ids(mirror, noun, Filter({"risk": "high"})) == []
    assert await mirror.count(noun, OURS) == 2
