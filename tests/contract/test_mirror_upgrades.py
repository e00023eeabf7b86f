"""What becomes of rows that are there where a noun gains a column of many values, or a field."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from application.mirror.ports import NEWEST_FIRST, Column, Filter, Mirror, Noun, Order
from domain.money import Money
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.mirror import columns
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON, OURS, list_ids, probe, snapshot, store_new, tombstone
from tests.support.servers.stores import PROBES

_CREATED = Column("created", "object.created")
WITHOUT = replace(PROBES, columns=(_CREATED,), indexes=(("created",),), orders=(NEWEST_FIRST,))
WITH = replace(
    WITHOUT,
    columns=(_CREATED, Column("tags", "object.tags", many=True)),
    indexes=(("created",), ("tags", "created")),
)
BESIDE = replace(
    WITH,
    columns=(*WITH.columns, Column("owner", "object.owner")),
    indexes=(("created",), ("tags", "owner", "created")),
)


@asynccontextmanager
async def _opened(place: Path | str, noun: Noun[Any], name: str) -> AsyncIterator[Mirror]:
    """The mirror of a release that knows the noun so."""
    database: Any
    if isinstance(place, Path):
        database = SqliteDatabase(place, partial(prepare_sqlite, nouns=(noun,)))
    else:
        database = MongoDatabase(place, name, partial(prepare_mongo, nouns=(noun,)))
    await database.start()
    kind: Any = SqliteMirror if isinstance(place, Path) else MongoMirror
    try:
        yield kind(database, read_before)
    finally:
        await database.close()


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_lines_are_made_of_the_rows_that_are_there(
    kind: str, tmp_path: Path, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_REFILL_ROWS", 2)
    place: Path | str = tmp_path / "billing.db" if kind == "sqlite" else mongo_url
    opened = partial(_opened, place, name=f"billing_test_{uuid4().hex}")
    tagged = Filter({"tags": "a"})
    try:
        async with opened(noun=WITHOUT) as mirror:
            some = [probe(f"pr_{n}", tags=("a", "b"), owner="ann") for n in range(5)]
            await store_new(mirror, WITHOUT, *some, probe("pr_9"))
            assert await mirror.replace(WITHOUT, [(tombstone("pr_0"), 1)]) == []
        expected = ["pr_4", "pr_3", "pr_2", "pr_1"]
        for _ in range(2):
            async with opened(noun=WITH) as mirror:
                assert await list_ids(mirror, WITH, tagged) == expected
        async with opened(noun=WITHOUT) as mirror:  # an earlier release, which knows no tags
            await store_new(mirror, WITHOUT, probe("pr_5", tags=("a",), owner="bob"))
            assert await mirror.replace(WITHOUT, [(tombstone("pr_4"), 1)]) == []
        expected = ["pr_5", *expected[1:]]
        async with opened(noun=WITH) as mirror:
            assert await list_ids(mirror, WITH, tagged) == expected
        async with opened(noun=BESIDE) as mirror:
            narrowed = Filter({"tags": "a", "owner": "ann"})
            assert await list_ids(mirror, BESIDE, narrowed, order=Order("created")) == expected[1:]
    finally:
        if kind == "mongo":
            drop_mongo_database(mongo_url, opened.keywords["name"])


@dataclass(frozen=True, slots=True)
class _Before:
    """A probe as an earlier release read it."""

    id: str
    created: dt.datetime
    amount: Money
    rank: int
    live: bool
    owner: str | None = None


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_a_row_names_unknown_what_was_not_read_when_it_was_stored(
    kind: str, tmp_path: Path, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_REFILL_ROWS", 2)
    place: Path | str = tmp_path / "billing.db" if kind == "sqlite" else mongo_url
    opened = partial(_opened, place, name=f"billing_test_{uuid4().hex}")
    earlier: Any = replace(WITHOUT, type=_Before)
    ids = [f"pr_{n}" for n in range(5)]
    try:
        async with opened(noun=earlier) as mirror:
            before = [_Before(id_, NOON, Money(1, "usd"), 1, True) for id_ in ids]
            await store_new(mirror, earlier, *before)
            owner_untold = replace(snapshot(before[1]), unknown=frozenset({"owner"}))
            assert await mirror.replace(earlier, [(owner_untold, 1), (tombstone("pr_2"), 1)]) == []
        for _ in range(2):
            async with opened(noun=WITHOUT) as mirror:
                rows = await mirror.fetch(WITHOUT, OURS, ids)
                told = {id_: row.snapshot.unknown for id_, row in rows.items() if row.snapshot}
                assert told == {
                    "pr_0": {"tags", "metadata"},
                    "pr_1": {"owner", "tags", "metadata"},
                    "pr_2": frozenset(),
                    "pr_3": {"tags", "metadata"},
                    "pr_4": {"tags", "metadata"},
                }
    finally:
        if kind == "mongo":
            drop_mongo_database(mongo_url, opened.keywords["name"])
