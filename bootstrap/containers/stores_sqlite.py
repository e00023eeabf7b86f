"""SQLite behind the ports of the store."""

from dependency_injector import containers, providers

from bootstrap.settings import Settings
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.analytics.engine import SqliteAnalytics
from infrastructure.sqlite.analytics.facts import SqliteFactFigures
from infrastructure.sqlite.balance_readings import SqliteBalanceReadings
from infrastructure.sqlite.buyers import SqliteBuyers
from infrastructure.sqlite.carts import SqliteCarts
from infrastructure.sqlite.checkpoints import SqliteCheckpoints
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.contacts import SqliteContactDirectory
from infrastructure.sqlite.core.database import Database
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
from infrastructure.sqlite.preparation import prepare
from infrastructure.sqlite.process_log import SqliteProcessLog
from infrastructure.sqlite.rates import SqliteRates
from infrastructure.sqlite.remembered_figures import SqliteRememberedFigures
from infrastructure.sqlite.reports import SqliteReports
from infrastructure.sqlite.shadows import SqliteShadows
from infrastructure.sqlite.store_catalogue import SqliteStoreCatalogue
from infrastructure.sqlite.store_subscriptions import SqliteStoreSubscriptions
from infrastructure.sqlite.subscription_history import SqliteSubscriptionHistory
from infrastructure.sqlite.support import SqliteSupportInbox
from infrastructure.sqlite.takeover import SqliteTakeover
from infrastructure.sqlite.waiting_events import SqliteWaitingEvents
from infrastructure.sqlite.wallet_settings import SqliteWalletSettings
from infrastructure.stripe.readers.befores import read_before


class SqliteStores(containers.DeclarativeContainer):
    """What stands behind each port of the store, with BILLING_STORE=sqlite."""

    settings = providers.Dependency(instance_of=Settings)

    database = providers.Singleton(Database, settings.provided.sqlite_path, prepare)
    accounts = providers.Singleton(SqliteAccounts, database)
    analytics = providers.Singleton(SqliteAnalytics, database)
    balance_readings = providers.Singleton(SqliteBalanceReadings, database)
    buyers = providers.Singleton(SqliteBuyers, database)
    carts = providers.Singleton(SqliteCarts, database)
    store_catalogue = providers.Singleton(SqliteStoreCatalogue, database)
    store_subscriptions = providers.Singleton(SqliteStoreSubscriptions, database)
    changes = providers.Singleton(SqliteChanges, database)
    checkpoints = providers.Singleton(SqliteCheckpoints, database)
    connections = providers.Singleton(SqliteConnections, database)
    contacts = providers.Singleton(SqliteContactDirectory, database)
    deployment = providers.Singleton(SqliteDeployment, database)
    dues = providers.Singleton(SqliteDues, database)
    event_log = providers.Singleton(SqliteEventLog, database)
    evidence = providers.Singleton(SqliteEvidenceStore, database)
    fact_stocks = providers.Singleton(SqliteFactStocks, database)
    facts = providers.Singleton(SqliteFactStore, database)
    fact_figures = providers.Singleton(SqliteFactFigures, database)
    inbox = providers.Singleton(SqliteInbox, database)
    invoice_totals = providers.Singleton(SqliteInvoiceTotals, database)
    journal = providers.Singleton(SqliteJournal, database)
    mirror = providers.Singleton(SqliteMirror, database, read_before)
    mutation_log = providers.Singleton(SqliteMutationLog, database)
    notes = providers.Singleton(SqliteNotes, database)
    oauth_states = providers.Singleton(SqliteOauthStates, database)
    outbox = providers.Singleton(SqliteOutbox, database)
    wallet_settings = providers.Singleton(SqliteWalletSettings, database)
    waiting_events = providers.Singleton(SqliteWaitingEvents, database)
    process_log = providers.Singleton(SqliteProcessLog, database)
    rates = providers.Singleton(SqliteRates, database)
    remembered_figures = providers.Singleton(SqliteRememberedFigures, database)
    reports = providers.Singleton(SqliteReports, database)
    shadows = providers.Singleton(SqliteShadows, database, read_before)
    subscription_history = providers.Singleton(SqliteSubscriptionHistory, database)
    support = providers.Singleton(SqliteSupportInbox, database)
    takeover = providers.Singleton(SqliteTakeover, database)
