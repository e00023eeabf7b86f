"""Both stores, opened for tests: every port of one database, and a way to see query plans."""

import datetime as dt
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from application.accounts.ports import Accounts
from application.analytics.fact_figures import FactFigures
from application.analytics.fact_rows import FactRows
from application.analytics.ports import Analytics, Rates
from application.analytics.remembered_facts import FactStocks
from application.analytics.remembered_port import RememberedFigures
from application.background.checkpoints import Checkpoints
from application.checkouts.ports import Carts, StoreCatalogue, StoreSubscriptions
from application.connecting.ports import OauthStates
from application.connections.deployment import Deployment
from application.connections.ports import ConnectionRepository
from application.contacts.ports import ContactDirectory
from application.effects.waiting import WaitingEvents
from application.events.event_log import EventLog
from application.events.inbox import Inbox
from application.events.lists import EventHistory
from application.facts.ports import Dues, EvidenceStore, FactStore
from application.invoices.totals_port import InvoiceTotals
from application.jobs.outbox import Outbox
from application.mirror.nouns import NOUNS
from application.mirror.ports import NEWEST_FIRST, Changes, Column, Mirror, Noun, Order
from application.mutations.ports import MutationLog
from application.notes.ports import NoteRepository
from application.payouts.ports import BalanceReadings
from application.processes.ports import ProcessLog
from application.subscriptions.history import SubscriptionHistory
from application.support.ports import SupportInbox
from application.upkeep.ports import Reports
from application.upkeep.shadows import Shadows
from application.wallet.ports import Buyers, Journal, WalletSettingsStore
from domain.money import Money
from infrastructure.clock import SystemClock
from infrastructure.mongo.accounts import MongoAccounts
from infrastructure.mongo.analytics.engine import MongoAnalytics
from infrastructure.mongo.analytics.facts import MongoFactFigures
from infrastructure.mongo.balance_readings import MongoBalanceReadings
from infrastructure.mongo.buyers import MongoBuyers
from infrastructure.mongo.carts import MongoCarts
from infrastructure.mongo.checkpoints import MongoCheckpoints
from infrastructure.mongo.connections import MongoConnections
from infrastructure.mongo.contacts import MongoContactDirectory
from infrastructure.mongo.core.database import Database as MongoDatabase
from infrastructure.mongo.deployment import MongoDeployment
from infrastructure.mongo.dues import MongoDues
from infrastructure.mongo.event_log import MongoEventLog
from infrastructure.mongo.evidence import MongoEvidenceStore
from infrastructure.mongo.fact_stocks import MongoFactStocks
from infrastructure.mongo.facts import MongoFactStore
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.invoice_totals import MongoInvoiceTotals
from infrastructure.mongo.journal import MongoJournal
from infrastructure.mongo.mirror.changes import MongoChanges
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.mutation_log import MongoMutationLog
from infrastructure.mongo.notes import MongoNotes
from infrastructure.mongo.oauth_states import MongoOauthStates
from infrastructure.mongo.outbox import MongoOutbox
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.mongo.process_log import MongoProcessLog
from infrastructure.mongo.rates import MongoRates
from infrastructure.mongo.remembered_figures import MongoRememberedFigures
from infrastructure.mongo.reports import MongoReports
from infrastructure.mongo.shadows import MongoShadows
from infrastructure.mongo.store_catalogue import MongoStoreCatalogue
from infrastructure.mongo.store_subscriptions import MongoStoreSubscriptions
from infrastructure.mongo.subscription_history import MongoSubscriptionHistory
from infrastructure.mongo.support import MongoSupportInbox
from infrastructure.mongo.waiting_events import MongoWaitingEvents
from infrastructure.mongo.wallet_settings import MongoWalletSettings
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.analytics.engine import SqliteAnalytics
from infrastructure.sqlite.analytics.facts import SqliteFactFigures
from infrastructure.sqlite.balance_readings import SqliteBalanceReadings
from infrastructure.sqlite.buyers import SqliteBuyers
from infrastructure.sqlite.carts import SqliteCarts
from infrastructure.sqlite.checkpoints import SqliteCheckpoints
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.core.database import Database as SqliteDatabase
from infrastructure.sqlite.deployment import SqliteDeployment
from infrastructure.sqlite.dues import SqliteDues
from infrastructure.sqlite.event_log import SqliteEventLog
from infrastructure.sqlite.evidence import SqliteEvidenceStore
from infrastructure.sqlite.fact_stocks import SqliteFactStocks
from infrastructure.sqlite.facts import SqliteFactStore
from infrastructure.sqlite.inbox import SqliteInbox
from infrastructure.sqlite.invoice_totals import SqliteInvoiceTotals
from infrastructure.sqlite.journal import SqliteJournal
from infrastructure.sqlite.mirror.changes import SqliteChanges
from infrastructure.sqlite.mirror.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.sqlite.notes import SqliteNotes
from infrastructure.sqlite.oauth_states import SqliteOauthStates
from infrastructure.sqlite.outbox import SqliteOutbox
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.sqlite.process_log import SqliteProcessLog
from infrastructure.sqlite.rates import SqliteRates
from infrastructure.sqlite.remembered_figures import SqliteRememberedFigures
from infrastructure.sqlite.reports import SqliteReports
from infrastructure.sqlite.shadows import SqliteShadows
from infrastructure.sqlite.store_catalogue import SqliteStoreCatalogue
from infrastructure.sqlite.store_subscriptions import SqliteStoreSubscriptions
from infrastructure.sqlite.subscription_history import SqliteSubscriptionHistory
from infrastructure.sqlite.support import SqliteSupportInbox
from infrastructure.sqlite.waiting_events import SqliteWaitingEvents
from infrastructure.sqlite.wallet_settings import SqliteWalletSettings
from infrastructure.stripe.readers.befores import read_before


@dataclass(frozen=True, slots=True)
class Probe:
    """A mirrored noun that only tests know: adding one must need no store code."""

    id: str
    created: dt.datetime
    amount: Money
    rank: int
    live: bool
    owner: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


PROBES: Final = Noun(
    name="probe",
    type=Probe,
    collection="billing.probes",
    columns=(
        Column("created", "object.created"),
        Column("rank", "object.rank"),
        Column("live", "object.live"),
        Column("owner", "object.owner"),
        Column("currency", "object.amount.currency"),
        Column("fee", "derived.balance.fee"),
        Column("invoice", "derived.attribution.invoice"),
        Column("tags", "object.tags", many=True),
        Column("at", ("derived.balance.at_ms", "object.created")),
        Column("holder", ("derived.balance.holder", "object.owner"), absent="nobody"),
    ),
    indexes=(
        ("created",),
        ("rank",),
        ("owner", "created"),
        ("live", "currency", "created"),
        ("invoice", "created"),
        ("fee", "rank"),
        ("rank", "id", "currency", "owner", "created"),
        ("live", "currency", "owner", "rank"),
        ("tags", "created"),
        ("tags", "owner"),
        ("at",),
        ("holder", "created"),
    ),
    orders=(NEWEST_FIRST, Order("created", descending=False), Order("rank", descending=False)),
)

NOUNS_UNDER_TEST: Final = (*NOUNS, PROBES)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the database answered one statement.

    `indexes` are those that were read, each as the names of its columns. `scans`: some table or
    collection was read without an index. `sorts`: rows were collected and put in order after they
    were read (grouping for sums is no sort). `covered`: the index alone answered, no row was read.
    `text` is for the reader of a failure.
    """

    text: str
    indexes: tuple[tuple[str, ...], ...]
    scans: bool
    sorts: bool
    covered: bool


class Explain(Protocol):
    """Runs an action against the store and tells the plan of each query that it really sent."""

    async def __call__(self, action: Callable[[], Awaitable[object]]) -> Sequence[Plan]: ...


class StoreClock:
    """The clock by which rows are known: the machine's, until a test sets its `instant`."""

    def __init__(self) -> None:
        self.instant: dt.datetime | None = None

    def now(self) -> dt.datetime:
        """As the port says."""
        return self.instant or SystemClock().now()


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store port on one database. `clock` is the mirror's."""

    kind: str
    mirror: Mirror
    changes: Changes
    inbox: Inbox
    dues: Dues
    event_log: EventLog
    evidence: EvidenceStore
    fact_stocks: FactStocks
    facts: FactStore
    fact_rows: FactRows
    fact_figures: FactFigures
    event_history: EventHistory
    mutation_log: MutationLog
    accounts: Accounts
    connections: ConnectionRepository
    deployment: Deployment
    analytics: Analytics
    invoice_totals: InvoiceTotals
    balance_readings: BalanceReadings
    checkpoints: Checkpoints
    process_log: ProcessLog
    rates: Rates
    remembered_figures: RememberedFigures
    reports: Reports
    oauth_states: OauthStates
    outbox: Outbox
    waiting_events: WaitingEvents
    contacts: ContactDirectory
    support: SupportInbox
    subscription_history: SubscriptionHistory
    shadows: Shadows
    notes: NoteRepository
    journal: Journal
    wallet_settings: WalletSettingsStore
    buyers: Buyers
    carts: Carts
    store_catalogue: StoreCatalogue
    store_subscriptions: StoreSubscriptions
    clock: StoreClock
    explain: Explain


Opener = Callable[[], AbstractAsyncContextManager[Stores]]
"""Opens one and the same database, with NOUNS_UNDER_TEST: what an earlier opening wrote is there.

Leaving the context closes it in good order. May be opened again while it is open.
"""


@asynccontextmanager
async def sqlite_stores(path: Path) -> AsyncIterator[Stores]:
    """The stores on a SQLite file; an `Opener` once bound to its path."""
    statements: list[str] = []
    explaining = False
    clock = StoreClock()

    def trace(statement: str) -> None:
        if explaining:
            statements.append(statement)

    database = SqliteDatabase(path, partial(prepare_sqlite, nouns=NOUNS_UNDER_TEST), trace=trace)
    await database.start()

    async def explain(action: Callable[[], Awaitable[object]]) -> Sequence[Plan]:
        nonlocal explaining
        statements.clear()
        explaining = True
        try:
            await action()
        finally:
            explaining = False
        return await database.read(partial(_plans, tuple(statements)))

    try:
        yield Stores(
            kind="sqlite",
            mirror=SqliteMirror(database, read_before, clock),
            changes=SqliteChanges(database),
            inbox=SqliteInbox(database),
            dues=SqliteDues(database),
            event_log=SqliteEventLog(database),
            evidence=SqliteEvidenceStore(database),
            fact_stocks=SqliteFactStocks(database),
            facts=SqliteFactStore(database),
            fact_rows=SqliteFactStore(database),
            fact_figures=SqliteFactFigures(database),
            event_history=SqliteEventLog(database),
            mutation_log=SqliteMutationLog(database),
            accounts=SqliteAccounts(database),
            connections=SqliteConnections(database),
            deployment=SqliteDeployment(database),
            analytics=SqliteAnalytics(database),
            invoice_totals=SqliteInvoiceTotals(database),
            balance_readings=SqliteBalanceReadings(database),
            checkpoints=SqliteCheckpoints(database),
            process_log=SqliteProcessLog(database),
            rates=SqliteRates(database),
            remembered_figures=SqliteRememberedFigures(database),
            reports=SqliteReports(database),
            oauth_states=SqliteOauthStates(database),
            outbox=SqliteOutbox(database),
            waiting_events=SqliteWaitingEvents(database),
            contacts=SqliteContactDirectory(database),
            support=SqliteSupportInbox(database),
            subscription_history=SqliteSubscriptionHistory(database),
            shadows=SqliteShadows(database, read_before),
            notes=SqliteNotes(database),
            journal=SqliteJournal(database),
            wallet_settings=SqliteWalletSettings(database),
            buyers=SqliteBuyers(database),
            store_subscriptions=SqliteStoreSubscriptions(database),
            store_catalogue=SqliteStoreCatalogue(database),
            carts=SqliteCarts(database),
            clock=clock,
            explain=explain,
        )
    finally:
        await database.close()


_QUERIES: Final = ("SELECT", "UPDATE", "DELETE")
_SQLITE_INDEX: Final = re.compile(
    r"USING (?P<covering>COVERING )?INDEX (?P<name>.+?)(?: \(|$)|USING (?:INTEGER )?PRIMARY KEY"
)


def _plans(statements: Sequence[str], connection: sqlite3.Connection) -> Sequence[Plan]:
    return [
        _plan(statement, connection) for statement in statements if statement.startswith(_QUERIES)
    ]


def _plan(statement: str, connection: sqlite3.Connection) -> Plan:
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    # Neither a list of values that came with the question nor what a subquery gives is a table.
    reads = [
        step
        for step in steps
        if step.startswith(("SCAN", "SEARCH")) and "VIRTUAL" not in step and "(subq" not in step
    ]
    found = [_SQLITE_INDEX.search(step) for step in reads]
    return Plan(
        text="\n".join((statement, *steps)),
        indexes=tuple(_columns(match["name"], connection) for match in found if match),
        scans=not all(found) or any(step.startswith("SCAN") for step in reads),
        sorts=any("USE TEMP B-TREE FOR ORDER BY" in step for step in steps),
        covered=all(match and match["covering"] for match in found),
    )


def _columns(index: str | None, connection: sqlite3.Connection) -> tuple[str, ...]:
    """The columns of an index; of the table's own tree where there is none."""
    if index is None:
        return ("rowid",)
    rows = connection.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
    return tuple(name for (name,) in rows)


_PROFILE_BYTES: Final = 16_000_000


@asynccontextmanager
async def mongo_stores(url: str, name: str, *, connect_only: bool = False) -> AsyncIterator[Stores]:
    """The stores in one database of a server; an `Opener` once bound to both.

    With `connect_only` nothing is made: all that a start makes is there.
    """

    async def prepare(opened: MongoDatabase) -> None:
        if not (connect_only and opened.name == name):  # shadows beside it are always made
            await prepare_mongo(opened, NOUNS_UNDER_TEST)

    clock = StoreClock()
    database = MongoDatabase(url, name, prepare)
    await database.start()

    async def explain(action: Callable[[], Awaitable[object]]) -> Sequence[Plan]:
        here = database._opened()[name]
        # The server's own is so small that of a hundred statements it forgets most.
        await here.create_collection("system.profile", capped=True, size=_PROFILE_BYTES)
        await here.command("profile", 2)
        try:
            await action()
        finally:
            await here.command("profile", 0)
        profiled = await here["system.profile"].find().to_list(None)
        await here.drop_collection("system.profile")
        # What needed no plan (an insert, a command of the server's own) has no summary of one.
        return [_profiled(entry) for entry in profiled if "planSummary" in entry]

    try:
        yield Stores(
            kind="mongo",
            mirror=MongoMirror(database, read_before, clock),
            changes=MongoChanges(database),
            inbox=MongoInbox(database),
            dues=MongoDues(database),
            event_log=MongoEventLog(database),
            evidence=MongoEvidenceStore(database),
            fact_stocks=MongoFactStocks(database),
            facts=MongoFactStore(database),
            fact_rows=MongoFactStore(database),
            fact_figures=MongoFactFigures(database),
            event_history=MongoEventLog(database),
            mutation_log=MongoMutationLog(database),
            accounts=MongoAccounts(database),
            connections=MongoConnections(database),
            deployment=MongoDeployment(database),
            analytics=MongoAnalytics(database),
            invoice_totals=MongoInvoiceTotals(database),
            balance_readings=MongoBalanceReadings(database),
            checkpoints=MongoCheckpoints(database),
            process_log=MongoProcessLog(database),
            rates=MongoRates(database),
            remembered_figures=MongoRememberedFigures(database),
            reports=MongoReports(database),
            oauth_states=MongoOauthStates(database),
            outbox=MongoOutbox(database),
            waiting_events=MongoWaitingEvents(database),
            contacts=MongoContactDirectory(database),
            support=MongoSupportInbox(database),
            subscription_history=MongoSubscriptionHistory(database),
            shadows=MongoShadows(database, read_before),
            notes=MongoNotes(database),
            journal=MongoJournal(database),
            wallet_settings=MongoWalletSettings(database),
            buyers=MongoBuyers(database),
            store_subscriptions=MongoStoreSubscriptions(database),
            store_catalogue=MongoStoreCatalogue(database),
            carts=MongoCarts(database),
            clock=clock,
            explain=explain,
        )
    finally:
        await database.close()


_MONGO_INDEX: Final = re.compile(r"\{ (.*?) \}")


def _profiled(entry: Mapping[str, Any]) -> Plan:
    """The plan that an operation really had, as the server's profiler saw it."""
    summary = entry["planSummary"]
    patterns = ["_id: 1"] if summary == "IDHACK" else _MONGO_INDEX.findall(summary)
    return Plan(
        text=f"{entry['op']} {entry['ns']} {summary} {entry.get('command')}",
        indexes=tuple(
            tuple(field.split(":")[0].strip() for field in pattern.split(","))
            for pattern in patterns
        ),
        scans="COLLSCAN" in summary,
        sorts=entry.get("hasSortStage", False),
        covered=entry.get("docsExamined", 0) == 0,
    )
