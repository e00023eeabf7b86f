"""The journal on MongoDB when answers are lost, heads are stale, and old documents are about."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pymongo
import pytest

from application.wallet.proof import prove
from domain.errors import Unavailable
from domain.ledger_commands import Command
from domain.ledger_entries import Entry, EntryKind
from domain.ledger_outcomes import Appended, Outcome, References, Refusal, Refused, Standing
from infrastructure.mongo import journal as module
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.journal import INDEXES, MongoJournal
from infrastructure.mongo.preparation import prepare
from sandbox.servers.mongod import own_mongod
from tests.contract.test_journal import whole
from tests.contract.test_mongo_failures import NO_MAJORITY, RETRYABLE, Client, FailPoint
from tests.support.rooms.ledger import WALLET, grant, hold, refund, release, usage

ENTRIES: Final = "onebalance-usage_logs"


@pytest.fixture
def name() -> str:
    return f"billing_test_{uuid4().hex}"


@pytest.fixture
def client(mongo_url: str, name: str) -> Any:
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as opened:
        yield opened
        opened.drop_database(name)


@pytest.fixture
def fail_point(client: Client) -> FailPoint:
    return FailPoint(client)


@pytest.fixture
async def database(mongo_url: str, name: str, client: Client) -> AsyncIterator[Database]:
    del client  # it drops the database after
    opened = Database(mongo_url, name, partial(prepare, nouns=()))
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def journal(database: Database) -> MongoJournal:
    made = MongoJournal(database)
    await made.append(WALLET, [grant("g", 10)])
    return made


async def test_an_entry_whose_answer_was_lost_is_the_answer(
    journal: MongoJournal, fail_point: FailPoint
) -> None:
    batch = [usage("a", 1), usage("b", 1), usage("c", 99)]
    with fail_point.failing({"times": 1}, failCommands=["insert"], writeConcernError=NO_MAJORITY):
        outcomes = await journal.append(WALLET, batch)
    assert [type(outcome) for outcome in outcomes] == [Standing, Standing, Refused]
    assert [entry.key for entry in await whole(journal)] == ["g", "a", "b"]


@pytest.mark.parametrize("times", [1, 2, 4])
async def test_a_lost_connection_is_not_noticed(
    journal: MongoJournal, fail_point: FailPoint, times: int
) -> None:
    with fail_point.failing({"times": times}, failCommands=["insert"], closeConnection=True):
        (outcome,) = await journal.append(WALLET, [usage("a", 1)])
    assert isinstance(outcome, Appended)
    assert len(await whole(journal)) == 2


@pytest.mark.parametrize("commands", [["insert"], ["insert", "find"]])
async def test_a_lasting_failure_is_unavailable_and_a_repetition_safe(
    journal: MongoJournal, fail_point: FailPoint, commands: list[str]
) -> None:
    batch = [usage("a", 1), usage("b", 1)]
    with fail_point.failing("alwaysOn", failCommands=commands, errorCode=RETRYABLE) as count:
        calls = [journal.append(WALLET, [command]) for command in batch]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert 2 <= count() <= 6, "nothing is sent often"
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    outcomes = await journal.append(WALLET, batch)
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended]
    assert [entry.key for entry in await whole(journal)] == ["g", "a", "b"]


async def test_who_comes_after_a_failure_is_served(
    journal: MongoJournal, fail_point: FailPoint
) -> None:
    with (
        fail_point.failing("alwaysOn", failCommands=["insert", "find"], errorCode=RETRYABLE),
        pytest.raises(Unavailable),
    ):
        await journal.append(WALLET, [usage("a", 1)])
    (outcome,) = await journal.append(WALLET, [usage("b", 1)])
    assert isinstance(outcome, Appended)


class Stale(MongoJournal):
    """A journal whose next reads do not show the newest entries, as before a majority has them."""

    stale: "list[tuple[Entry | None, References]]"
    before_the_last: Callable[[], None] | None = None

    async def _read(
        self, wallet: str, commands: Sequence[Command]
    ) -> tuple[Entry | None, References]:
        if len(self.stale) == 1 and self.before_the_last is not None:
            self.before_the_last()
        return self.stale.pop() if self.stale else await super()._read(wallet, commands)


async def test_a_head_that_is_not_visible_yet_is_waited_for(
    database: Database, journal: MongoJournal
) -> None:
    stale = Stale(database)
    stale.stale = [await journal._read("acme", [])] * 5
    await journal.append(WALLET, [usage("a", 1)])
    outcomes = await stale.append(WALLET, [usage("a", 1), usage("b", 1)])
    assert [type(outcome) for outcome in outcomes] == [Standing, Appended]
    assert not stale.stale
    assert [entry.key for entry in await whole(journal)] == ["g", "a", "b"]


async def test_what_was_taken_by_an_entry_that_no_majority_got_is_taken_again(
    database: Database,
    journal: MongoJournal,
    client: Client,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an election can end: the entry that stood in the way is gone."""
    monkeypatch.setattr(module, "_MAX_PAUSES", 2)
    stale = Stale(database)
    head, _ = await journal._read("acme", [])
    stale.stale = [(head, References())] * 4
    in_the_way = {"_id": "acme/2"}
    client[name][ENTRIES].insert_one(in_the_way)

    def roll_back() -> None:
        client[name][ENTRIES].delete_one(in_the_way)

    stale.before_the_last = roll_back
    (outcome,) = await stale.append(WALLET, [usage("a", 1)])
    assert isinstance(outcome, Appended)
    assert [entry.key for entry in await whole(journal)] == ["g", "a"]


async def test_patience_ends(
    database: Database, journal: MongoJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_PATIENCE_SECONDS", 0.05)
    stale = Stale(database)
    stale.stale = [await journal._read("acme", [])] * 10_000
    await journal.append(WALLET, [usage("a", 1)])
    with pytest.raises(Unavailable, match="others take every next place"):
        await stale.append(WALLET, [usage("b", 1)])
    stale.stale = []
    (outcome,) = await stale.append(WALLET, [usage("b", 1)])
    assert isinstance(outcome, Appended)


async def test_a_remembered_head_spares_every_read(
    database: Database, journal: MongoJournal, client: Client, name: str
) -> None:
    def finds() -> int:
        count: int = client.admin.command("serverStatus")["metrics"]["commands"]["find"]["total"]
        return count

    before = finds()
    await journal.append(WALLET, [usage("a", 1), hold("h", 2)])
    await journal.append(WALLET, [grant("b", 1)])
    assert finds() == before
    await journal.append(WALLET, [refund("c", "a", 1), release("h")])
    assert finds() == before + 3, "the head, the entries, what was refunded"
    other = MongoJournal(database)
    (outcome,) = await other.append(WALLET, [usage("d", 99)])
    assert outcome == Refused(Refusal.BALANCE_TOO_LOW, 11)
    assert client[name][ENTRIES].count_documents({}) == 6


async def test_documents_of_the_old_module_are_never_read(
    journal: MongoJournal, client: Client, name: str
) -> None:
    old = {"wallet": "acme", "key": "a", "reference": "a", "balance": 1_000_000}
    client[name][ENTRIES].insert_many([{**old}, {**old}, {"amount": 5}])
    await journal.append(WALLET, [usage("a", 1), refund("b", "a", 1, EntryKind.USAGE)])
    assert [entry.key for entry in await whole(journal)] == ["g", "a", "b"]
    assert set(await journal.by_keys("acme", ["a"])) == {"a"}
    last = await journal.last_follower("acme", "a")
    assert last is not None
    assert last.key == "b"


async def test_what_is_looked_at_is_never_older_than_the_head(
    journal: MongoJournal, client: Client, name: str
) -> None:
    await journal.append(WALLET, [usage("a", 1)])
    client[name].command("profile", 2)
    await journal.append(WALLET, [refund("b", "a", 1)])
    client[name].command("profile", 0)
    where = {"op": "query", "ns": f"{name}.{ENTRIES}"}
    reads = [found["command"] for found in client[name]["system.profile"].find(where)]
    assert [read["readConcern"]["level"] for read in reads] == ["majority"] * 3
    assert len({read["lsid"]["id"] for read in reads}) == 1
    after = [read["readConcern"].get("afterClusterTime") for read in reads]
    assert after[0] is None
    assert all(after[1:]), "the others are not older than the first"


async def test_many_that_repeat_what_failed_are_served_once_each(
    database: Database, journal: MongoJournal, fail_point: FailPoint
) -> None:
    """Answers are lost, connections break, no majority is there in time, for two processes."""
    failures: Sequence[Mapping[str, Any]] = (
        {"failCommands": ["insert"], "closeConnection": True},
        {"failCommands": ["insert"], "writeConcernError": NO_MAJORITY},
        {"failCommands": ["find", "insert"], "errorCode": RETRYABLE},
        {"failCommands": ["insert"], "errorCode": 11600, "writeConcernError": NO_MAJORITY},
    )
    journals = journal, MongoJournal(database)
    await journal.append(WALLET, [grant("plenty", 150)])
    served: list[Outcome] = []

    async def spend(spender: int) -> None:
        for number in range(10):
            asked = usage(f"{spender}-{number}", 1)
            while True:
                try:
                    served.extend(await journals[number % 2].append(WALLET, [asked]))
                except Unavailable:
                    continue
                break

    spending = asyncio.gather(*map(spend, range(16)))
    place = failed = 0
    while not spending.done():
        mode = {"activationProbability": 0.3}
        with fail_point.failing(mode, **failures[place % len(failures)]) as count:
            await asyncio.wait([spending], timeout=0.05)
            failed += count()
        place += 1
    await spending
    proof = await prove(journal, "acme")
    assert proof.holds, proof.differences
    refused = [outcome for outcome in served if isinstance(outcome, Refused)]
    assert (proof.entries, proof.available, len(refused)) == (162, 0, 0)
    assert len(served) == 160
    keys = {outcome.entry.key for outcome in served if not isinstance(outcome, Refused)}
    assert len(keys) == 160
    assert failed, "nothing has failed"


def test_the_collection_may_be_sharded_by_the_wallet() -> None:
    for index in INDEXES[ENTRIES]:
        assert next(iter(index.document["key"])) == "wallet"


async def test_a_standalone_server_will_do() -> None:
    with own_mongod(replica_set=False) as server:
        database = Database(server.url, "billing", partial(prepare, nouns=()))
        await database.start()
        try:
            one, other = MongoJournal(database), MongoJournal(database)
            await one.append(WALLET, [grant("g", 40)])
            await asyncio.gather(
                *((one, other)[n % 2].append(WALLET, [usage(f"u{n}", 1)]) for n in range(40))
            )
            assert (await whole(one))[-1].available_after == 0
        finally:
            await database.close()
