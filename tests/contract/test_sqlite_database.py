"""What the embedded database promises beyond the ports."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from application.events.event_log import EventFilter
from application.events.inbox import EventState, Settled
from application.mirror.nouns import CHARGES
from application.mirror.ports import Column, Filter, Noun
from domain.charges import Charge
from domain.errors import FailedPrecondition, RateLimited, Reason, Unavailable
from infrastructure.sqlite.core import database as core
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.event_log import SqliteEventLog
from infrastructure.sqlite.inbox import SqliteInbox
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.preparation import prepare
from infrastructure.stripe.readers.befores import read_before
from tests.contract.samples import NOON, SECOND, charge, facet, list_ids, store_new, tombstone

BOUND_SECONDS = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "billing.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """An open database with a table of numbers."""
    database = Database(path, prepare, max_waiting=8)
    await database.start()
    await database.write(lambda connection: connection.execute("CREATE TABLE t (n UNIQUE)").close())
    yield database
    await database.close()


def insert(number: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO t VALUES (?)", (number,))
    return number


async def numbers(database: Database) -> list[int]:
    return await database.read(
        lambda connection: [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]
    )


class Gate:
    """A write that holds the writer until it is let go."""

    def __init__(self, database: Database) -> None:
        self._held = threading.Event()
        self._go = threading.Event()
        self._task = asyncio.create_task(database.write(self._wait))

    async def closed(self) -> None:
        assert await asyncio.to_thread(self._held.wait, BOUND_SECONDS)

    async def open(self) -> None:
        self._go.set()
        await self._task

    def _wait(self, _: sqlite3.Connection) -> None:
        self._held.set()
        assert self._go.wait(BOUND_SECONDS)


async def test_it_is_durable_and_in_wal(database: Database) -> None:
    def pragmas(connection: sqlite3.Connection) -> tuple[str, int]:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        return mode, synchronous

    assert await database.write(pragmas) == ("wal", 2)


async def test_what_waits_shares_one_commit(path: Path) -> None:
    statements: list[str] = []
    database = Database(path, prepare, trace=statements.append)
    await database.start()
    gate = Gate(database)
    await gate.closed()
    table = database.write(lambda connection: connection.execute("CREATE TABLE t (n)").close())
    waiting = asyncio.gather(table, *(database.write(lambda c: insert(1, c)) for _ in range(100)))
    # Not before the tasks have handed in their jobs, which they do in their first step.
    await asyncio.sleep(0)
    statements.clear()
    await gate.open()
    await waiting
    await database.close()
    assert statements.count("COMMIT") == 2, "one for the gate, one for all the others"


async def test_those_who_shared_a_commit_are_waited_for_and_one_alone_waits_for_nobody(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering, come = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        gathering.set()
        assert come.wait(BOUND_SECONDS)

    monkeypatch.setattr(core, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    statements: list[str] = []
    database = Database(path, prepare, trace=statements.append)
    await database.start()
    await database.write(lambda connection: connection.execute("CREATE TABLE t (n UNIQUE)").close())
    for number in range(3):
        await database.write(partial(insert, number))
    assert not gathering.is_set()
    gate = Gate(database)
    await gate.closed()
    shared = [asyncio.create_task(database.write(partial(insert, n))) for n in (3, 4)]
    await asyncio.sleep(0)
    await gate.open()
    await asyncio.gather(*shared)
    statements.clear()
    back = [asyncio.create_task(database.write(partial(insert, 5)))]
    assert await asyncio.to_thread(gathering.wait, BOUND_SECONDS)
    back.append(asyncio.create_task(database.write(partial(insert, 6))))
    await asyncio.sleep(0)
    come.set()
    assert await asyncio.gather(*back) == [5, 6]
    assert statements.count("COMMIT") == 1, "what has come meanwhile goes along"
    await database.close()


async def test_a_failing_job_undoes_its_own_writes_only(database: Database) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        insert(1_000, connection)
        raise LookupError("on purpose")

    gate = Gate(database)
    await gate.closed()
    jobs = asyncio.gather(
        database.write(lambda c: insert(1, c)),
        database.write(fail),
        database.write(lambda c: insert(2, c)),
        database.write(lambda c: insert(1, c)),
        database.write(lambda c: insert(3, c)),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await gate.open()
    first, failed, second, twice, third = await jobs
    assert (first, second, third) == (1, 2, 3)
    assert isinstance(failed, LookupError)
    assert isinstance(twice, Unavailable)
    assert twice.reason is Reason.STORE_UNAVAILABLE
    assert isinstance(twice.__cause__, sqlite3.IntegrityError)
    assert await numbers(database) == [1, 2, 3]


async def test_the_writer_lives_on_after_a_job_that_breaks_its_transaction(
    database: Database,
) -> None:
    with pytest.raises(Unavailable):
        await database.write(lambda connection: connection.execute("ROLLBACK").close())
    assert await database.write(lambda c: insert(1, c)) == 1
    assert await numbers(database) == [1]


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable):
        await database.read(lambda c: insert(1, c))
    assert await numbers(database) == []


async def test_a_reader_goes_on_while_the_writer_is_busy(database: Database) -> None:
    await database.write(lambda c: insert(1, c))
    gate = Gate(database)
    await gate.closed()
    assert await asyncio.wait_for(numbers(database), BOUND_SECONDS) == [1]
    await gate.open()


async def test_too_many_writes_are_refused_at_once(database: Database) -> None:
    gate = Gate(database)
    await gate.closed()
    waiting = [asyncio.create_task(database.write(lambda c: insert(1, c))) for _ in range(8)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await database.write(lambda c: insert(99, c))
    assert refused.value.reason is Reason.OVERLOADED
    assert refused.value.retry_after_seconds >= 1
    await gate.open()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await database.write(lambda c: insert(2, c)) == 2
    assert await numbers(database) == [1, 2]


async def test_too_many_reads_are_refused_at_once(database: Database) -> None:
    go = threading.Event()
    waiting = [
        asyncio.create_task(database.read(lambda _: go.wait(BOUND_SECONDS))) for _ in range(8)
    ]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await numbers(database)
    assert refused.value.reason is Reason.OVERLOADED
    go.set()
    assert await asyncio.gather(*waiting) == [True] * 8
    assert await numbers(database) == []


async def test_an_endless_read_is_broken_off(path: Path) -> None:
    database = Database(path, prepare, read_timeout_seconds=0.05)
    await database.start()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    with pytest.raises(Unavailable):
        await asyncio.wait_for(
            database.read(lambda connection: connection.execute(endless).fetchone()), BOUND_SECONDS
        )
    # The reader lives on.
    assert await database.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    await database.close()


async def test_whoever_stopped_waiting_in_time_writes_nothing(database: Database) -> None:
    gate = Gate(database)
    await gate.closed()
    given_up = asyncio.create_task(database.write(lambda c: insert(1, c)))
    stays = asyncio.create_task(database.write(lambda c: insert(2, c)))
    await asyncio.sleep(0)
    given_up.cancel()
    await gate.open()
    assert await stays == 2
    assert given_up.cancelled()
    assert await numbers(database) == [2]


async def test_close_finishes_what_waits_and_refuses_what_comes(path: Path) -> None:
    database = Database(path, prepare)
    await database.start()
    await database.write(lambda connection: connection.execute("CREATE TABLE t (n)").close())
    gate = Gate(database)
    await gate.closed()
    waiting = [asyncio.create_task(database.write(lambda c: insert(1, c))) for _ in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await database.write(lambda c: insert(2, c))
    await gate.open()
    assert await asyncio.gather(*waiting) == [1] * 5
    await closing
    await database.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (5,)
    connection.close()


async def test_it_may_be_started_twice_and_opened_again(database: Database) -> None:
    await database.start()
    await database.write(lambda c: insert(1, c))
    await database.close()
    await database.start()
    assert await numbers(database) == [1]


async def test_a_file_of_a_newer_release_is_refused(path: Path) -> None:
    await _make(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(FailedPrecondition, match="999"):
        await Database(path, prepare).start()


_EVENTS_OF_VERSION_1 = """
    CREATE TABLE "billing.events" (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stripe_account TEXT NOT NULL,
        type TEXT NOT NULL, api_version TEXT NOT NULL, created INTEGER NOT NULL,
        object_type TEXT NOT NULL, object_id TEXT NOT NULL, received_at INTEGER NOT NULL,
        state TEXT NOT NULL, decision TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL DEFAULT 0, owner TEXT,
        size INTEGER NOT NULL
    );
    CREATE TABLE "billing.event_payloads" (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);
    CREATE INDEX "billing.events pending"
    ON "billing.events" (state, received_at, seq, due_at, size) WHERE state = 'pending';
    INSERT INTO "billing.events" (
        id, stripe_account, type, api_version, created, object_type, object_id, received_at, state,
        decision, size
    ) VALUES
        ('evt_1', 'acct_1', 'charge.updated', '', 1, 'charge', 'ch_1', 1, 'processed', 'kept', 2),
        ('evt_2', 'acct_1', 'charge.updated', '', 2, 'charge', 'ch_1', 2, 'pending', '', 2);
    INSERT INTO "billing.event_payloads" VALUES (1, x'7b7d'), (2, x'7b7d');
    PRAGMA user_version = 1;
"""


async def test_a_file_of_version_1_keeps_its_events_and_goes_on(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(_EVENTS_OF_VERSION_1)
    connection.close()
    for waiting in (["evt_2"], []):  # it is mended once, and opened again as it is
        database = Database(path, prepare)
        await database.start()
        inbox, log = SqliteInbox(database), SqliteEventLog(database)
        claimed = await inbox.claim("one", now=NOON, lease=SECOND, limit=9, max_bytes=99)
        assert [one.event.id for one in claimed] == waiting
        for id_ in waiting:
            assert await inbox.settle("one", [_settled(id_)]) == 1
        records = await log.list(EventFilter(), after=None, limit=9)
        assert [(one.id, one.effects) for one in records] == [("evt_2", ("job",)), ("evt_1", ())]
        about = await log.about("acct_1", "ch_1", after=None, limit=9)
        assert [(one.id, one.payload) for one in about] == [("evt_1", b"{}"), ("evt_2", b"{}")]
        await database.close()
    with sqlite3.connect(path) as connection:
        query = "SELECT count(*) FROM sqlite_schema WHERE name = 'billing.events pending'"
        assert connection.execute(query).fetchone() == (0,), "nobody pays for the index of before"
    connection.close()


def _settled(id_: str) -> Settled:
    return Settled(id_, EventState.PROCESSED, "applied", effects=("job",))


@pytest.fixture
def nonsense(tmp_path: Path) -> Path:
    path = tmp_path / "nonsense.db"
    path.write_bytes(b"not a database" * 1_000)
    return path


async def test_a_file_that_is_no_database_is_unavailable(nonsense: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        await Database(nonsense, prepare).start()
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert "not a database" in str(refused.value)
    assert str(nonsense) not in str(refused.value)


def _charges_with(
    columns: tuple[Column, ...], indexes: tuple[tuple[str, ...], ...]
) -> Noun[Charge]:
    return replace(CHARGES, columns=columns, indexes=indexes, counted=None)


async def _make(path: Path) -> None:
    database = Database(path, prepare)
    await database.start()
    await database.close()


def _mirror_indexes(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'billing.charges'"
        " AND sql IS NOT NULL"
    )
    return {name for (name,) in found}


async def test_indexes_are_made_in_the_order_of_the_declaration(path: Path) -> None:
    # Between two that serve alike SQLite takes the one that was made later.
    await _make(path)
    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index'"
            " AND tbl_name = 'billing.charges' AND sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    connection.close()
    declared = [f"billing.charges by {', '.join(columns)}" for columns in CHARGES.indexes]
    assert [name for (name,) in found] == declared


async def test_a_changed_declaration_changes_the_table(path: Path) -> None:
    created, risk = Column("created", "object.created"), Column("risk", "object.risk_level")
    before = _charges_with((created, risk), (("created",), ("risk",), ("risk", "created")))
    # Another path under an old name, a new column of each half, one index less and two more.
    after = _charges_with(
        (
            created,
            Column("risk", "object.outcome_type"),
            Column("payer", "object.customer"),
            Column("fee", "derived.balance.fee"),
        ),
        (("created",), ("payer", "created"), ("fee", "created"), ("risk", "created")),
    )
    database = Database(path, partial(prepare, nouns=(before,)))
    await database.start()
    mirror = SqliteMirror(database, read_before)
    blocked = replace(charge("ch_1", customer="cus_1"), risk_level="high", outcome_type="blocked")
    await store_new(mirror, before, blocked, charge("ch_2", customer="cus_1"), charge("ch_3"))
    await mirror.derive(before, [facet("ch_1", fee=30), facet("ch_9", fee=30)])
    assert await mirror.replace(before, [(tombstone("ch_2"), 1)]) == []
    assert await list_ids(mirror, before, Filter({"risk": "high"})) == ["ch_1"]
    await database.close()

    for _ in range(2):
        database = Database(path, partial(prepare, nouns=(after,)))
        await database.start()
        mirror = SqliteMirror(database, read_before)
        assert await list_ids(mirror, after, Filter({"payer": "cus_1"})) == ["ch_1"]
        assert await list_ids(mirror, after, Filter({"fee": 30})) == ["ch_1"]
        assert await list_ids(mirror, after, Filter({"risk": "blocked"})) == ["ch_1"]
        assert await list_ids(mirror, after, Filter({"risk": "high"})) == []
        assert await mirror.count(after, "acct_1Ours") == 2
        assert await database.read(_mirror_indexes) == {
            f"billing.charges by {columns}"
            for columns in ("created", "payer, created", "fee, created", "risk, created")
        }
        await database.close()


async def test_a_column_cannot_take_a_name_of_the_store(path: Path) -> None:
    columns = (Column("created", "object.created"), Column("revision", "object.status"))
    taken = _charges_with(columns, (("created",),))
    with pytest.raises(ValueError, match="revision"):
        await Database(path, partial(prepare, nouns=(taken,))).start()
