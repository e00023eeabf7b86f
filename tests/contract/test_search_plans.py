"""How searches are answered: from the index, by the rarest word; and what the index costs."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest

from application.mirror.nouns import CUSTOMERS, PRODUCTS
from application.mirror.ports import Noun, Search
from application.mirror.writer import MirrorWriter
from application.requests.paging import Position
from domain.customers import Customer
from domain.errors import Unavailable
from domain.products import Product
from domain.search import RULES
from infrastructure import documents
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.mirror.columns import refill
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.mirror import columns
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.stripe.readers.befores import read_before
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON, OURS, SECOND, snapshot, store_new, tombstone
from tests.contract.test_mirror_search import ADA, ALAN, STRASSE, search
from tests.contract.test_plans import assert_ordered
from tests.support.servers.stores import Opener, Stores, mongo_stores

UNSEARCHED = replace(CUSTOMERS, search=None)
BY_EMAIL = replace(CUSTOMERS, search=Search(texts=("email",)))
POSITIONS = [None, Position(10**13, "cus_1")]


@pytest.mark.parametrize("after", POSITIONS)
@pytest.mark.parametrize("words", [["ada"], ["ada", "love"], ["ada", "com", "43"]])
async def test_a_reading_is_one_range_of_the_index_in_order(
    stores: Stores, words: Sequence[str], after: Position | None
) -> None:
    await store_new(stores.mirror, CUSTOMERS, ADA, ALAN, STRASSE)
    plans = await assert_ordered(
        stores, lambda: stores.mirror.search(CUSTOMERS, OURS, [words], after=after, limit=5)
    )
    *counts, found = plans
    assert len(counts) == (len(words) if len(words) > 1 else 0), "to find the rarest"
    if stores.kind == "mongo":
        for plan in plans:
            assert {*plan.indexes} == {("stripe_account", "terms", "created", "id")}, plan.text
        return
    beyond = "" if after is None else " AND (created,id)<(?,?)"
    driving = f"SEARCH t USING PRIMARY KEY (stripe_account=? AND term=?{beyond})"
    row = "SEARCH r USING INDEX sqlite_autoindex_billing.customers_1 (stripe_account=? AND id=?)"
    other = "SEARCH o USING PRIMARY KEY (stripe_account=? AND term=? AND created=? AND id=?)"
    steps = [step for step in found.text.splitlines() if step.startswith(("SEARCH", "SCAN"))]
    assert steps[0] == driving
    assert sorted(steps[1:]) == sorted([row, *[other] * (len(words) - 1)])
    for plan in counts:
        assert "SEARCH billing.customers terms USING PRIMARY KEY" in plan.text


@pytest.mark.parametrize("active", [True, False])
async def test_a_flag_is_a_range_of_the_index_as_a_word_is(stores: Stores, active: bool) -> None:
    seats = [Product(f"prod_{n}", NOON, "Seat", active=n < 1) for n in range(9)]
    await store_new(stores.mirror, PRODUCTS, *seats)
    flags = {"active": active}
    plans = await assert_ordered(
        stores,
        lambda: stores.mirror.search(PRODUCTS, OURS, [["seat"]], after=None, limit=5, flags=flags),
    )
    assert len(plans) == 3, "two to find what is rarer"
    if stores.kind == "mongo":
        for plan in plans:
            assert {*plan.indexes} == {("stripe_account", "terms", "created", "id")}, plan.text


@pytest.mark.parametrize("after", POSITIONS)
async def test_readings_are_ranges_that_are_merged_in_order(
    stores: Stores, after: Position | None
) -> None:
    await store_new(stores.mirror, CUSTOMERS, ADA, ALAN, STRASSE)
    readings = [["43", "ada"], ["example"], ["nobody", "ada"]]
    plans = await assert_ordered(
        stores, lambda: stores.mirror.search(CUSTOMERS, OURS, readings, after=after, limit=5)
    )
    # The third is not looked for, since a word of it is nobody's: on SQLite its other one neither.
    assert len(plans) == {"sqlite": 3 + 2, "mongo": 4 + 1}[stores.kind]


@pytest.mark.parametrize("after", [None, Position(10**15, "x")])
async def test_the_rarest_word_drives_and_no_other_row_is_read(
    mongo_url: str, after: Position | None
) -> None:
    name = f"billing_test_{uuid4().hex}"
    many = [replace(ADA, id=f"cus_{n}", created=NOON + n * SECOND, phone=None) for n in range(300)]
    try:
        async with mongo_stores(mongo_url, name) as stores:
            await store_new(stores.mirror, CUSTOMERS, *many, ALAN)
            for words in (["ada", "43"], ["alan", "example", "com"], ["example", "alan"]):
                read = await _rows_read(mongo_url, name, stores, words, after)
                assert read == (1 if "alan" in words else 0), words
    finally:
        drop_mongo_database(mongo_url, name)


async def _rows_read(
    url: str, name: str, stores: Stores, words: Sequence[str], after: Position | None
) -> int:
    """How many documents a search has fetched."""
    with pymongo.MongoClient[dict[str, int]](url) as client:
        client[name].command("profile", 2)
        await stores.mirror.search(CUSTOMERS, OURS, [words], after=after, limit=10)
        client[name].command("profile", 0)
        entries = list(client[name]["system.profile"].find({"op": "query"}))
        client[name].drop_collection("system.profile")
    return sum(entry["docsExamined"] for entry in entries)


async def test_a_snapshot_with_the_same_words_writes_no_term(tmp_path: Path) -> None:
    statements: list[str] = []
    database = SqliteDatabase(tmp_path / "billing.db", prepare_sqlite, trace=statements.append)
    await database.start()
    mirror = SqliteMirror(database, read_before)
    await store_new(mirror, CUSTOMERS, ADA)
    assert any("customers terms" in one for one in statements)
    for change, writes in (
        (replace(ADA, delinquent=True), 0),
        (replace(ADA, name="lovelace, ADA"), 0),
        (replace(ADA, name="Ada Lovelaced"), 1),
    ):
        statements.clear()
        revision = (await mirror.fetch(CUSTOMERS, OURS, ["cus_ada"]))["cus_ada"].revision
        assert await mirror.replace(CUSTOMERS, [(snapshot(change), revision)]) == []
        assert sum("customers terms" in one for one in statements) == writes, change
    await database.close()


async def _sqlite(path: Path, noun: Noun[Customer]) -> tuple[SqliteDatabase, SqliteMirror]:
    database = SqliteDatabase(path, partial(prepare_sqlite, nouns=(noun,)))
    await database.start()
    return database, SqliteMirror(database, read_before)


async def test_sqlite_indexes_the_rows_that_are_there_when_the_declaration_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "billing.db"
    database, mirror = await _sqlite(path, UNSEARCHED)
    await store_new(mirror, UNSEARCHED, ADA, ALAN, STRASSE)
    assert await mirror.replace(UNSEARCHED, [(tombstone("cus_alan"), 1)]) == []
    await database.close()
    for _ in range(2):
        database, mirror = await _sqlite(path, CUSTOMERS)
        assert await search(mirror, "ada") == ["cus_ada"]
        assert await search(mirror, "stras") == ["cus_str"]
        assert await search(mirror, "alan") == []
        await database.close()

    # A release that knows of no search changes rows behind the index, and it is made anew.
    database, mirror = await _sqlite(path, UNSEARCHED)
    change = (snapshot(replace(ADA, name="Grace")), 1)
    assert await mirror.replace(UNSEARCHED, [change, (tombstone("cus_str"), 1)]) == []
    await database.close()
    database, mirror = await _sqlite(path, CUSTOMERS)
    assert await search(mirror, "grace") == ["cus_ada"]
    assert await search(mirror, "love") == await search(mirror, "stras") == []
    back = replace(STRASSE, name="Gasse")
    assert await mirror.replace(CUSTOMERS, [(snapshot(back), 2)]) == []
    assert await search(mirror, "stras") == []
    assert await search(mirror, "gasse") == ["cus_str"]
    await database.close()

    database, mirror = await _sqlite(path, BY_EMAIL)
    assert await search(mirror, "grace", noun=BY_EMAIL) == []
    assert await search(mirror, "exam", noun=BY_EMAIL) == ["cus_ada"]
    await database.close()


async def test_sqlite_goes_on_where_indexing_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "billing.db"
    monkeypatch.setattr(columns, "_REFILL_ROWS", 2)
    monkeypatch.setattr(columns, "_TOLD_ROWS", 4)
    caplog.set_level("INFO")
    every = [f"cus_{number}" for number in range(7)]
    refill_after, places = columns._refill_after, list[int]()
    places_left = 2

    def cut_short(connection: Any, noun: Any, rowid: int, names: Any) -> tuple[int, int]:
        nonlocal places_left
        if not places_left:
            raise OSError("the power fails")
        places_left -= 1
        places.append(rowid)
        return refill_after(connection, noun, rowid, names)

    monkeypatch.setattr(columns, "_refill_after", cut_short)
    database, mirror = await _sqlite(path, UNSEARCHED)
    await store_new(mirror, UNSEARCHED, *(replace(ADA, id=id_) for id_ in every))
    await database.close()
    with pytest.raises(Unavailable):
        await _sqlite(path, CUSTOMERS)
    places_left = 1
    with pytest.raises(Unavailable):
        await _sqlite(path, CUSTOMERS)
    assert places == [0, 2, 4]

    # A release that knows of no search comes in between: nothing is relied on any more.
    database, mirror = await _sqlite(path, UNSEARCHED)
    assert await mirror.replace(UNSEARCHED, [(tombstone("cus_0"), 1)]) == []
    await database.close()
    places.clear()
    caplog.clear()
    places_left = 99
    database, mirror = await _sqlite(path, CUSTOMERS)
    assert places == [0, 2, 4, 6, 7]
    assert sorted(await search(mirror, "ada")) == every[1:]
    await database.close()
    told = [one for one in caplog.records if one.name == columns.__name__]
    assert [(one.message, one.__dict__["rows"]) for one in told] == [
        ("columns are being filled", 4), ("columns are filled", 7),
    ]  # fmt: skip
    places.clear()
    database, mirror = await _sqlite(path, CUSTOMERS)
    await database.close()
    assert places == [], "filled once"


async def test_mongodb_indexes_the_rows_that_are_there_when_the_declaration_changes(
    mongo_url: str,
) -> None:
    name = f"billing_test_{uuid4().hex}"

    async def opened(noun: Noun[Customer]) -> tuple[MongoDatabase, MongoMirror]:
        database = MongoDatabase(mongo_url, name, partial(prepare_mongo, nouns=(noun,)))
        await database.start()
        return database, MongoMirror(database, read_before)

    try:
        database, mirror = await opened(UNSEARCHED)
        await store_new(mirror, UNSEARCHED, ADA, ALAN, STRASSE)
        assert await mirror.replace(UNSEARCHED, [(tombstone("cus_alan"), 1)]) == []
        await database.close()
        for _ in range(2):
            database, mirror = await opened(CUSTOMERS)
            assert await search(mirror, "ada") == ["cus_ada"]
            assert await search(mirror, "stras") == ["cus_str"]
            assert await search(mirror, "alan") == []
            rows, stamps = map(database.collection, (CUSTOMERS.collection, "billing.deployment"))
            assert await refill(rows, stamps, CUSTOMERS) == 0, "filled once"
            await database.close()
        database, mirror = await opened(BY_EMAIL)
        assert await search(mirror, "love", noun=BY_EMAIL) == []
        assert await search(mirror, "exam", noun=BY_EMAIL) == ["cus_ada"]
        await database.close()
    finally:
        drop_mongo_database(mongo_url, name)


async def test_rows_are_indexed_anew_when_the_rules_change(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(documents, "RULES", RULES - 1)
        earlier.setattr(documents, "object_words", lambda *_: ("earlier",))
        # The first opening of a database that tests share makes nothing: the second one stamps it.
        async with opener(), opener() as stores:
            await store_new(stores.mirror, CUSTOMERS, ADA)
            assert await search(stores.mirror, "earlier") == ["cus_ada"]
    async with opener() as stores:
        assert await search(stores.mirror, "earlier") == []
        assert await search(stores.mirror, "ada 43-660") == ["cus_ada"]


async def test_a_shadow_is_searched_too(stores: Stores) -> None:
    try:
        async with stores.shadows.open(OURS, "0f") as shadow:
            await MirrorWriter(shadow.mirror).observe(CUSTOMERS, [snapshot(ADA)])
            assert await search(shadow.mirror, "ada") == ["cus_ada"]
            assert await search(stores.mirror, "ada") == []
    finally:
        await stores.shadows.discard(OURS, "0f")
