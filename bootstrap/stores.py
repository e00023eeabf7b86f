"""The store's side of the composition: which adapter stands behind each of its ports."""

from collections.abc import Callable
from typing import Any

from dependency_injector import containers, providers

from bootstrap.settings import Settings
from infrastructure.mongo.accounts import MongoAccounts
from infrastructure.mongo.analytics import MongoAnalytics
from infrastructure.mongo.checkpoints import MongoCheckpoints
from infrastructure.mongo.connections import MongoConnections
from infrastructure.mongo.contacts import MongoContactDirectory
from infrastructure.mongo.database import Database as MongoDatabase
from infrastructure.mongo.deployment import MongoDeployment
from infrastructure.mongo.event_log import MongoEventLog
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.invoice_totals import MongoInvoiceTotals
from infrastructure.mongo.mirror import MongoMirror
from infrastructure.mongo.mutation_log import MongoMutationLog
from infrastructure.mongo.notes import MongoNotes
from infrastructure.mongo.outbox import MongoOutbox
from infrastructure.mongo.parked import MongoParkedEvents
from infrastructure.mongo.preparation import prepare as prepare_mongo
from infrastructure.mongo.reports import MongoReports
from infrastructure.mongo.shadow import MongoShadows
from infrastructure.mongo.subscription_history import MongoSubscriptionHistory
from infrastructure.mongo.support import MongoSupportInbox
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.analytics import SqliteAnalytics
from infrastructure.sqlite.checkpoints import SqliteCheckpoints
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.database import Database as SqliteDatabase
from infrastructure.sqlite.deployment import SqliteDeployment
from infrastructure.sqlite.event_log import SqliteEventLog
from infrastructure.sqlite.inbox import SqliteInbox
from infrastructure.sqlite.invoice_totals import SqliteInvoiceTotals
from infrastructure.sqlite.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.sqlite.notes import SqliteNotes
from infrastructure.sqlite.outbox import SqliteOutbox
from infrastructure.sqlite.parked import SqliteParkedEvents
from infrastructure.sqlite.preparation import prepare as prepare_sqlite
from infrastructure.sqlite.reports import SqliteReports
from infrastructure.sqlite.shadow import SqliteShadows
from infrastructure.sqlite.subscription_history import SqliteSubscriptionHistory
from infrastructure.sqlite.support import SqliteSupportInbox
from infrastructure.sqlite.takeover import SqliteTakeover


class Stores(containers.DeclarativeContainer):
    """Every port of the store. Both adapters are declared, the selected one alone is made."""

    settings = providers.Dependency(instance_of=Settings)

    _store = settings.provided.store
    _sqlite = providers.Singleton(SqliteDatabase, settings.provided.sqlite_path, prepare_sqlite)
    _mongo = providers.Singleton(
        MongoDatabase,
        settings.provided.mongo_url.get_secret_value.call(),
        settings.provided.mongo_database,
        prepare_mongo,
    )

    # The defaults hand the class's own names into a function of its body.
    @staticmethod
    def _port(
        sqlite: Callable[..., Any],
        mongo: Callable[..., Any],
        *,
        store: Any = _store,
        databases: tuple[Any, Any] = (_sqlite, _mongo),
    ) -> providers.Selector:
        return providers.Selector(
            store,
            sqlite=providers.Singleton(sqlite, databases[0]),
            mongo=providers.Singleton(mongo, databases[1]),
        )

    database = providers.Selector(_store, sqlite=_sqlite, mongo=_mongo)
    accounts = _port(SqliteAccounts, MongoAccounts)
    analytics = _port(SqliteAnalytics, MongoAnalytics)
    checkpoints = _port(SqliteCheckpoints, MongoCheckpoints)
    connections = _port(SqliteConnections, MongoConnections)
    contacts = _port(SqliteContactDirectory, MongoContactDirectory)
    deployment = _port(SqliteDeployment, MongoDeployment)
    event_log = _port(SqliteEventLog, MongoEventLog)
    inbox = _port(SqliteInbox, MongoInbox)
    invoice_totals = _port(SqliteInvoiceTotals, MongoInvoiceTotals)
    mirror = _port(SqliteMirror, MongoMirror)
    mutation_log = _port(SqliteMutationLog, MongoMutationLog)
    notes = _port(SqliteNotes, MongoNotes)
    outbox = _port(SqliteOutbox, MongoOutbox)
    parked_events = _port(SqliteParkedEvents, MongoParkedEvents)
    reports = _port(SqliteReports, MongoReports)
    shadows = _port(SqliteShadows, MongoShadows)
    subscription_history = _port(SqliteSubscriptionHistory, MongoSubscriptionHistory)
    support = _port(SqliteSupportInbox, MongoSupportInbox)
    # On MongoDB other processes may be at work: there a lease ends by itself.
    takeover = providers.Selector(
        _store, sqlite=providers.Singleton(SqliteTakeover, _sqlite), mongo=providers.Object(None)
    )
