"""What the MongoDB stores do when the server fails: fail points make it fail where it is told to.

One failure is not seen by anybody; a lasting one is Unavailable; nothing that was done in part, or
not by a majority, is told as done.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import pymongo
import pytest
from pymongo import InsertOne, UpdateOne

from application.analytics.metrics import GROSS_VOLUME
from application.analytics.ports import FigureRow
from application.analytics.remembered_port import Asked, Remembered
from application.contacts.ports import ContactLink
from application.events.event_log import EventFilter
from application.events.inbox import EventState, Settled
from application.invoices.totals_port import TotalsFilter
from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter
from application.mutations.ports import Lease, Step
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import ContactSync
from domain.errors import Reason, Unavailable
from domain.notes import Note
from domain.wallets import Buyer, WalletSettings
from infrastructure.mongo.core.collection import Duplicate, Write
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.preparation import prepare
from sandbox.servers.mongod import own_mongod
from tests.contract.samples import KEY, NOON, OURS, SECOND, charge, event, facet, record, snapshot
from tests.support.rooms.store import ADD_ON, item, subscription
from tests.support.servers.stores import Stores, mongo_stores

Client = pymongo.MongoClient[dict[str, Any]]
Check = Callable[[Stores], Awaitable[bool]]

COMMANDS: Final = ("find", "aggregate", "insert", "update", "delete", "findAndModify")
WRITES: Final = ["insert", "update", "delete", "findAndModify"]
NO_MAJORITY: Final = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waited in vain"}
RETRYABLE: Final = 89
"""NetworkTimeout, an error that drivers retry at once and that a server marks as such."""

LEASE: Final = Lease("one", NOON + SECOND)
LINK: Final = Connection("acme", OURS, Mode.TEST, ConnectionKind.OAUTH, NOON)
TO_CONTACT: Final = ContactLink("acme", OURS, "cus_1", "ada", NOON)
NOTE: Final = Note("note_1", "acme", OURS, "cus_1", "ada", "Called.", NOON, NOON)
SETTINGS: Final = WalletSettings("acme", NOON)
BUYER: Final = Buyer("acme", OURS, "cus_1", NOON)
DAY: Final = [NOON, NOON + 86_400 * SECOND]


async def _claims(stores: Stores) -> bool:
    claimed = await stores.inbox.claim("one", now=NOON, lease=SECOND, limit=9, max_bytes=10_000)
    return [one.event.id for one in claimed] == ["evt_1", "evt_2"]


async def _settles(stores: Stores) -> bool:
    outcomes = [
        Settled("evt_1", EventState.PROCESSED, "applied"),
        Settled("evt_2", EventState.PENDING, "", "it broke", NOON),
    ]
    if await stores.inbox.settle("one", outcomes) != 2:
        return False
    (again,) = await stores.inbox.claim("one", now=NOON, lease=SECOND, limit=9, max_bytes=10_000)
    return again.attempts == 1


async def _lists_events(stores: Stores) -> bool:
    records = await stores.event_log.list(EventFilter(), after=None, limit=9)
    return [record.id for record in records] == ["evt_2", "evt_1"]


async def _dies(stores: Stores) -> bool:
    return await stores.inbox.settle("one", [Settled("evt_2", EventState.DEAD, "dead")]) == 1


async def _retries(stores: Stores) -> bool:
    return await stores.event_log.retry(["evt_1", "evt_2"], now=NOON) == 1


async def _fetches(stores: Stores) -> bool:
    return (await stores.mirror.fetch(CHARGES, OURS, ["ch_1"]))["ch_1"].revision == 2


async def _lists(stores: Stores) -> bool:
    page = await stores.mirror.list(
        CHARGES, OURS, Filter(), order=NEWEST_FIRST, after=None, limit=9
    )
    return [row.id for row in page.rows] == ["ch_1"]


async def _searches(stores: Stores) -> bool:
    page = await stores.mirror.search(CUSTOMERS, OURS, [["ada"]], after=None, limit=9)
    return not page.rows


async def _derives(stores: Stores) -> bool:
    await stores.mirror.derive(CHARGES, [facet("ch_1", fee=1)])
    row = (await stores.mirror.fetch(CHARGES, OURS, ["ch_1"]))["ch_1"]
    return row.derived["balance"].values == {"fee": 1}


async def _sums(stores: Stores) -> bool:
    (row,) = await stores.analytics.figures(GROSS_VOLUME, OURS, DAY)
    return (row.bucket, row.sums, row.count) == (0, (2_000,), 1)


async def _purges(stores: Stores) -> bool:
    return await stores.mutation_log.purge(before=NOON + SECOND, limit=9) == 1


async def _puts(stores: Stores) -> bool:
    await stores.connections.put(LINK)
    return await stores.connections.get("acme", Mode.TEST) == LINK


async def _adds(stores: Stores) -> bool:
    await stores.accounts.add(Account("acme", "Acme", "usd"))
    return [one.id for one in await stores.accounts.list_all(after="", limit=9)] == ["acme"]


async def _keeps(stores: Stores) -> bool:
    await stores.deployment.keep_platform_account(OURS)
    return await stores.deployment.platform_account() == OURS


async def _notes(stores: Stores) -> bool:
    await stores.notes.add(NOTE)
    return await stores.notes.get("acme", NOTE.id) == NOTE


async def _sums_invoices(stores: Stores) -> bool:
    return not await stores.invoice_totals.totals(OURS, TotalsFilter(), ["open"], now=NOON)


async def _keeps_figures(stores: Stores) -> bool:
    asked = Asked(OURS, "digest", "")
    kept = Remembered((0, 1), 3, (FigureRow(0, "usd", ("paid", None), (5,), 1),))
    await stores.remembered_figures.keep(asked, [kept], most=1)
    return await stores.remembered_figures.recall(asked, [kept.bucket, (1, 2)]) == [kept]


async def _reads_marks(stores: Stores) -> bool:
    return len(await stores.remembered_figures.marks(OURS, "charge", range(30_000))) > 0


async def _saves(stores: Stores) -> bool:
    seen = await stores.checkpoints.load(OURS, "link")
    return (await stores.checkpoints.save(seen, now=NOON)).revision == seen.revision + 1


async def _replaces(stores: Stores, seen: int, amount: int) -> bool:
    told = snapshot(charge(amount=amount))
    return await stores.mirror.replace(CHARGES, [(told, seen)]) == []


async def _sets(stores: Stores) -> bool:
    await stores.wallet_settings.put(SETTINGS)
    kept = await stores.wallet_settings.get("acme")
    return kept is not None and kept.settings == SETTINGS


async def _buys(stores: Stores) -> bool:
    return await stores.buyers.add(BUYER) == BUYER == await stores.buyers.get("acme", OURS)


async def _sells(stores: Stores) -> bool:
    filled = await stores.carts.put("lily", item(ADD_ON), new_id="cart_1", at=NOON)
    sold = subscription()
    added = await stores.store_subscriptions.add(sold) == sold
    return filled.revision == 1 and added and await stores.store_subscriptions.get(
        "lily", sold.id
    ) == sold  # fmt: skip


DAY_OF_WORK: Final[Mapping[str, Check]] = {
    "append": lambda s: s.inbox.append(event("evt_1")),
    "append another": lambda s: s.inbox.append(event("evt_2")),
    "claim": _claims,
    "insert a row": lambda s: _replaces(s, 0, 1_000),
    "replace a row": lambda s: _replaces(s, 1, 2_000),
    "derive": _derives,
    "fetch": _fetches,
    "list": _lists,
    "search": _searches,
    "sum": _sums,
    "settle": _settles,
    "list events": _lists_events,
    "let an event die": _dies,
    "retry it": _retries,
    "begin": lambda s: _first(s.mutation_log.begin(record(), LEASE, now=NOON)),
    "begin again": lambda s: _first(s.mutation_log.begin(record(), LEASE, now=NOON)),
    "save a step": lambda s: s.mutation_log.save_step(KEY, LEASE, Step("create", b"{}")),
    "finish": lambda s: s.mutation_log.finish(KEY, LEASE, reply=b"{}", failure=None),
    "put": _puts,
    "add": _adds,
    "stamp": lambda s: _equal(s.deployment.stamp(Mode.TEST), Mode.TEST),
    "keep": _keeps,
    "purge": _purges,
    "note": _notes,
    "sum invoices": _sums_invoices,
    "keep figures": _keeps_figures,
    "read marks": _reads_marks,
    "save": _saves,
    "save again": _saves,
    "map contacts": lambda s: s.contacts.put_sync_settings(ContactSync("acme", {"name": "name"})),
    "link": lambda s: _equal(s.contacts.link(TO_CONTACT), TO_CONTACT),
    "unlink": lambda s: s.contacts.unlink("acme", OURS, TO_CONTACT.customer),
    "set a wallet": _sets,
    "buy": _buys,
    "sell": _sells,
    "read a balance": lambda s: _equal(s.journal.head("acme"), None),
}
"""Each port's methods in an order that gives each something to do, and whether it was done."""


async def _first(begun: Awaitable[tuple[Any, bool]]) -> bool:
    return (await begun)[1]


async def _equal(told: Awaitable[object], wanted: object) -> bool:
    return await told == wanted


class FailPoint:
    """The server's `failCommand`, for the commands of our own client only."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @contextmanager
    def failing(self, mode: str | Mapping[str, float], **data: Any) -> Iterator[Callable[[], int]]:
        """Let commands fail; gives what tells how often one has."""
        before = self._set(mode, **data)
        try:
            yield lambda: self._set(mode, **data) - before
        finally:
            self._set("off")

    def _set(self, mode: str | Mapping[str, float], **data: Any) -> int:
        answer = self._client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": mode,
                "data": {"appName": "billing", **data},
            }
        )
        count: int = answer["count"]
        return count


@pytest.fixture
def name() -> str:
    return f"billing_test_{uuid4().hex}"


@pytest.fixture
async def client(mongo_url: str, name: str) -> AsyncIterator[Client]:
    with Client(mongo_url, serverSelectionTimeoutMS=5_000) as found:
        yield found
        found.drop_database(name)


@pytest.fixture
def fail_point(client: Client) -> FailPoint:
    return FailPoint(client)


@pytest.fixture
async def stores(mongo_url: str, name: str, client: Client) -> AsyncIterator[Stores]:
    del client  # it drops the database after
    async with mongo_stores(mongo_url, name) as opened:
        yield opened


@pytest.mark.parametrize("command", COMMANDS)
async def test_one_failure_is_not_noticed(
    stores: Stores, fail_point: FailPoint, command: str
) -> None:
    failed = 0
    for name, done in DAY_OF_WORK.items():
        with fail_point.failing({"times": 1}, failCommands=[command], errorCode=RETRYABLE) as count:
            assert await done(stores), name
            failed += count()
    assert failed, f"nothing of the day's work sends {command}"


@pytest.mark.parametrize("command", ["insert", "update", "find"])
async def test_a_lost_connection_is_not_noticed(
    stores: Stores, fail_point: FailPoint, command: str
) -> None:
    steps = ("append", "append another", "claim", "insert a row", "replace a row", "fetch")
    for name in steps:
        with fail_point.failing({"times": 1}, failCommands=[command], closeConnection=True):
            assert await DAY_OF_WORK[name](stores), name


async def test_a_lasting_failure_is_unavailable_and_nothing_is_sent_often(
    stores: Stores, fail_point: FailPoint
) -> None:
    for name, done in DAY_OF_WORK.items():
        with fail_point.failing(
            "alwaysOn", failCommands=list(COMMANDS), errorCode=RETRYABLE
        ) as count:
            with pytest.raises(Unavailable) as refused:
                await done(stores)
            assert count() == 2, name
        assert refused.value.reason is Reason.STORE_UNAVAILABLE
        assert "127.0.0.1" not in str(refused.value), "no addresses in errors"
        assert await done(stores), f"{name}: all is well once the server is"


async def test_what_the_server_says_is_told_without_documents(
    mongo_url: str, name: str, client: Client, fail_point: FailPoint
) -> None:
    del client  # it drops the database after
    database, said = Database(mongo_url, name, prepare), list[str]()
    await database.start()
    database.report_to(said.append)
    rows = database.collection("rows")
    try:
        with fail_point.failing("alwaysOn", failCommands=["find"], errorCode=RETRYABLE):
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await rows.find_one({"_id": "personal"})
        await rows.insert_one({"_id": "personal", "words": "personal"})
        for work in (
            rows.update_one({"_id": "personal"}, {"$inc": {"words": 1}}),
            rows.write([UpdateOne({"_id": "personal"}, {"$inc": {"words": 1}})]),
        ):
            with pytest.raises(Unavailable):
                await work
        with (
            fail_point.failing("alwaysOn", failCommands=["find"], closeConnection=True),
            pytest.raises(Unavailable),
        ):
            await rows.find_one({})
        with pytest.raises(Duplicate):
            await rows.insert_one({"_id": "personal"})
    finally:
        await database.close()
    assert said[:4] == [
        *["OperationFailure: NetworkTimeout 89"] * 2,
        "WriteError: code 14",
        "BulkWriteError: code 14",
    ]
    assert said[4].startswith("AutoReconnect: 127.0.0.1:")
    assert len(said) == 5
    assert "personal" not in str(said)


async def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    said: list[str] = []
    database = Database(
        "mongodb://user:hidden@127.0.0.1:9/", "x", prepare, timeout=dt.timedelta(seconds=0.2)
    )
    database.report_to(said.append)
    with pytest.raises(Unavailable) as refused:
        await database.start()
    (cause,) = said
    assert cause.startswith("ServerSelectionTimeoutError: 127.0.0.1:9: ")
    assert len(cause) < 120
    assert "hidden" not in cause + str(refused.value)


async def test_what_no_majority_has_is_not_told_as_done(
    stores: Stores, fail_point: FailPoint
) -> None:
    reads = {"fetch", "list", "search", "sum", "list events", "begin again", "sum invoices"}
    reads |= {"read a balance", "read marks"}
    for name in [name for name in DAY_OF_WORK if name not in reads]:
        with (
            fail_point.failing("alwaysOn", failCommands=WRITES, writeConcernError=NO_MAJORITY),
            pytest.raises(Unavailable),
        ):
            await DAY_OF_WORK[name](stores)
        await stores.deployment.check()  # what came before has a majority when this write has one


async def test_an_event_refused_halfway_is_taken_when_it_comes_again(
    stores: Stores, fail_point: FailPoint
) -> None:
    with fail_point.failing("alwaysOn", failCommands=["insert"], writeConcernError=NO_MAJORITY):
        answers = await asyncio.gather(
            *(stores.inbox.append(event(f"evt_{number}")) for number in range(20)),
            return_exceptions=True,
        )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    again = [await stores.inbox.append(event(f"evt_{number}")) for number in range(20)]
    assert not any(again), "all were there already"
    assert await stores.inbox.backlog() == 20


async def test_a_known_event_is_not_told_as_kept_before_a_majority_has_it(
    stores: Stores, fail_point: FailPoint
) -> None:
    await stores.inbox.append(event())
    with (
        fail_point.failing("alwaysOn", failCommands=["insert"], writeConcernError=NO_MAJORITY),
        pytest.raises(Unavailable),
    ):
        await stores.inbox.append(event())


async def test_a_bulk_done_in_part_is_unavailable(
    mongo_url: str, name: str, client: Client, fail_point: FailPoint
) -> None:
    database = Database(mongo_url, name, prepare)
    await database.start()
    try:
        rows = database.collection("rows")
        bulk: list[Write] = [InsertOne({"_id": 1}), UpdateOne({"_id": 1}, {"$set": {"x": 1}})]
        with (
            fail_point.failing("alwaysOn", failCommands=["update"], errorCode=RETRYABLE),
            pytest.raises(Unavailable),
        ):
            await rows.write(bulk)
        assert client[name]["rows"].count_documents({}) == 1, "the first half was done"
        assert await rows.write(bulk) == (1, frozenset({0})), "each is told by itself"
    finally:
        await database.close()


async def test_a_lost_answer_loses_no_claim(stores: Stores, fail_point: FailPoint) -> None:
    await stores.inbox.append(event("evt_1"))
    await stores.inbox.append(event("evt_2"))
    lost = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "gone after the write"}
    with fail_point.failing({"times": 1}, failCommands=["update"], writeConcernError=lost) as count:
        assert await _claims(stores)
        assert count() == 1
    with fail_point.failing({"times": 1}, failCommands=["update"], writeConcernError=lost) as count:
        assert await _settles(stores), "the outcome counts once, and so does the attempt"
        assert count() == 1


async def test_a_lost_answer_of_a_retry_counts_once(stores: Stores, fail_point: FailPoint) -> None:
    for name in ("append", "append another", "claim"):
        assert await DAY_OF_WORK[name](stores)
    assert await _dies(stores)
    lost = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "gone after the write"}
    with fail_point.failing({"times": 1}, failCommands=["update"], writeConcernError=lost) as count:
        assert await stores.event_log.retry_dead(EventFilter(), now=NOON, limit=9) == 1
        assert count() == 1


async def test_a_server_that_hangs_is_unavailable_in_time(
    mongo_url: str, name: str, fail_point: FailPoint
) -> None:
    database = Database(mongo_url, name, prepare, timeout=dt.timedelta(milliseconds=200))
    await database.start()
    try:
        inbox = MongoInbox(database)
        with fail_point.failing(
            {"times": 2}, failCommands=["insert"], blockConnection=True, blockTimeMS=3_000
        ):
            async with asyncio.timeout(10):
                with pytest.raises(Unavailable):
                    await inbox.append(event())
    finally:
        await database.close()


async def test_whoever_stops_waiting_does_not_stop_the_others(stores: Stores) -> None:
    appends = [asyncio.create_task(stores.inbox.append(event(f"evt_{n}"))) for n in range(30)]
    await asyncio.sleep(0)
    appends[0].cancel()
    kept = await asyncio.gather(*appends[1:])
    assert all(kept)


async def test_a_start_without_a_server_is_unavailable() -> None:
    database = Database(
        "mongodb://127.0.0.1:1/", "nowhere", prepare, timeout=dt.timedelta(milliseconds=200)
    )
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await database.start()


@pytest.fixture(scope="module")
def standalone_url() -> Iterator[str]:
    """A server that is no replica set: no retries by the driver, no transactions."""
    with own_mongod(replica_set=False) as server:
        yield server.url


async def test_a_standalone_does(standalone_url: str, name: str) -> None:
    async with mongo_stores(standalone_url, name) as stores:
        for step, done in DAY_OF_WORK.items():
            assert await done(stores), step
